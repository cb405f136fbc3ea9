// SPDX-License-Identifier: GPL-2.0-or-later
/* What is kept over a restart: read back exactly, or refused. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "test.h"

#include "agent/store.h"

#define PID   4321
#define START 987654321ULL

static char top[] = "/tmp/vmtier-store-XXXXXX";
static char dir[64];  /* the store, in @top */
static char path[96]; /* the file of PID */

static int make_top(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	snprintf(dir, sizeof(dir), "%s/guests", top);
	snprintf(path, sizeof(path), "%s/%d-%llu", dir, PID, START);
	return 0;
}

static int remove_top(void **state)
{
	(void)state;
	return rmdir(top);
}

/* Each test begins without the directory. */
static int clean(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf -- '%s'/*", top);
	return system(command);
}

static void write_kept(const struct kept *kept)
{
	struct error err = {0};

	if (store_write(dir, PID, START, kept, &err) != 0)
		fail_msg("%s", err.text);
}

static struct kept read_kept(void)
{
	struct kept kept;
	struct error err = {0};

	if (store_read(dir, PID, START, &kept, &err) != 0)
		fail_msg("not there, or: %s", err.text);
	return kept;
}

/* The file is refused: a sentence with these words and the path, nothing taken. */
static void refused(const char *words)
{
	struct kept kept, before;
	struct error err = {0};

	memset(&kept, 0x5a, sizeof(kept));
	before = kept;
	if (store_read(dir, PID, START, &kept, &err) >= 0)
		fail_msg("it was not refused ('%s')", words);
	if (!strstr(err.text, words) || !strstr(err.text, path))
		fail_msg("'%s' does not say '%s' of '%s'", err.text, words, path);
	assert_memory_equal(&kept, &before, sizeof(kept));
}

static void put(const char *where, const void *bytes, size_t len)
{
	FILE *file;

	if (mkdir(dir, 0700) < 0)
		assert_int_equal(errno, EEXIST);
	file = fopen(where, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
	assert_int_equal(chmod(where, 0600), 0);
}

static bool is_there(const char *name)
{
	char where[160];
	struct stat st;

	snprintf(where, sizeof(where), "%s/%s", dir, name);
	return lstat(where, &st) == 0;
}

static const struct kept paused = {.paused = true};

static void what_is_written_is_read_back(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 500; round++) {
		struct kept kept = {
			.paused = dice_chance(&dice, 50),
			.refused = dice_chance(&dice, 20),
			.has_policy = true,
			.policy.mode = (enum mode)dice_below(&dice, MODE_COUNT),
			.policy.dram_limited = dice_chance(&dice, 50),
			.policy.target_nodes = dice_chance(&dice, 50) ? dice_roll(&dice) : 0,
		};
		struct kept back;

		if (kept.policy.dram_limited)
			kept.policy.dram_max_bytes =
				dice_roll(&dice) >> (1 + dice_below(&dice, 63));
		write_kept(&kept);
		back = read_kept();
		assert_int_equal(back.paused, kept.paused);
		assert_int_equal(back.refused, kept.refused);
		assert_true(back.has_policy);
		assert_int_equal(back.policy.mode, kept.policy.mode);
		assert_int_equal(back.policy.dram_limited, kept.policy.dram_limited);
		assert_true(back.policy.dram_max_bytes == kept.policy.dram_max_bytes);
		assert_true(back.policy.target_nodes == kept.policy.target_nodes);
	}
}

static void a_pause_alone_brings_no_policy(void **state)
{
	struct kept back;

	(void)state;
	write_kept(&paused);
	back = read_kept();
	assert_true(back.paused);
	assert_false(back.has_policy);
	assert_false(back.refused);
}

static void limits_of_zero_and_of_all_there_is_stay_limits(void **state)
{
	struct kept kept = {.has_policy = true, .policy = {.dram_limited = true}};
	struct kept back;

	(void)state;
	write_kept(&kept);
	back = read_kept();
	assert_true(back.policy.dram_limited);
	assert_true(back.policy.dram_max_bytes == 0);
	kept.policy.dram_max_bytes = UINT64_MAX;
	write_kept(&kept);
	back = read_kept();
	assert_true(back.policy.dram_limited);
	assert_true(back.policy.dram_max_bytes == INT64_MAX);
}

static void a_reused_pid_is_another_process(void **state)
{
	struct kept kept;

	(void)state;
	write_kept(&paused);
	assert_int_equal(store_read(dir, PID, START + 1, &kept, NULL), STORE_NONE);
	assert_int_equal(store_read(dir, PID + 1, START, &kept, NULL), STORE_NONE);
}

static void without_anything_to_keep_there_is_no_file(void **state)
{
	static const struct kept nothing;
	struct kept kept;

	(void)state;
	assert_int_equal(store_read(dir, PID, START, &kept, NULL), STORE_NONE);
	write_kept(&nothing);
	assert_int_equal(store_read(dir, PID, START, &kept, NULL), STORE_NONE);
	write_kept(&paused);
	write_kept(&nothing);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_guest_that_is_gone_is_forgotten(void **state)
{
	(void)state;
	store_forget(dir, PID, START);
	write_kept(&paused);
	store_forget(dir, PID, START + 1);
	assert_int_equal(access(path, F_OK), 0);
	store_forget(dir, PID, START);
	assert_int_equal(access(path, F_OK), -1);
}

static bool none_runs(void *ctx, int pid, uint64_t start_time)
{
	(void)ctx, (void)pid, (void)start_time;
	return false;
}

static void an_empty_directory_name_turns_it_off(void **state)
{
	struct kept kept;

	(void)state;
	assert_int_equal(chdir(top), 0);
	assert_int_equal(store_write("", PID, START, &paused, NULL), 0);
	assert_int_equal(store_read("", PID, START, &kept, NULL), STORE_NONE);
	assert_int_equal(store_sweep("", none_runs, NULL, NULL), 0);
	store_forget("", PID, START);
	assert_int_equal(rmdir(top), 0); /* it is empty */
	assert_int_equal(mkdir(top, 0700), 0);
	assert_int_equal(chdir("/"), 0);
}

static void only_we_may_look_at_it(void **state)
{
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	write_kept(&paused);
	umask(old);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Who has the old file open goes on reading it: it is never written to. */
static void a_file_is_replaced_and_never_changed(void **state)
{
	struct kept other = {.has_policy = true, .policy.mode = MODE_OFF};
	char before[256], after[256];
	ssize_t n;
	int fd;

	(void)state;
	write_kept(&paused);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = pread(fd, before, sizeof(before), 0);
	assert_true(n > 0);
	write_kept(&other);
	assert_int_equal(pread(fd, after, sizeof(after), 0), n);
	assert_memory_equal(before, after, (size_t)n);
	close(fd);
	assert_int_equal(read_kept().policy.mode, MODE_OFF);
}

static void one_that_was_killed_while_writing_stands_in_nobody_s_way(void **state)
{
	char half[128];

	(void)state;
	snprintf(half, sizeof(half), "%s.new", path);
	put(half, "{\"vers", 6);
	write_kept(&paused);
	assert_true(read_kept().paused);
	assert_int_equal(access(half, F_OK), -1);
}

static void what_is_no_text_of_ours_is_refused(void **state)
{
	static const struct {
		const char *text;
		const char *words;
	} cases[] = {
		{"", "is not JSON"},
		{"\n", "is not JSON"},
		{"garbage", "is not JSON"},
		{"{\"version\":1,\"paused\":true", "is not JSON"},
		{"{\"version\":1,\"paused\":true} {}", "is not JSON"},
		{"{\"version\":1,\"paused\":true,\"paused\":false}", "is not JSON"},
		{"{\"version\":1,\"refused\":\"\xff\"}", "is not JSON"},
		{"[]", "no version"},
		{"null", "is not JSON"},
		{"{}", "no version"},
		{"{\"paused\":true}", "no version"},
		{"{\"version\":\"1\",\"paused\":true}", "no version"},
		{"{\"version\":1.0,\"paused\":true}", "no version"},
		{"{\"version\":2,\"paused\":true}", "has version 2"},
		{"{\"version\":0,\"paused\":true}", "has version 0"},
		{"{\"version\":4294967297,\"paused\":true}", "has version 4294967297"},
		{"{\"version\":1}", "holds nothing"},
		{"{\"version\":1,\"paused\":false}", "holds nothing"},
		{"{\"version\":1,\"paused\":1}", "does not know"},
		{"{\"version\":1,\"paused\":null}", "does not know"},
		{"{\"version\":1,\"paused\":true,\"fast\":true}", "does not know"},
		{"{\"version\":1,\"policy\":null}", "a policy"},
		{"{\"version\":1,\"policy\":[]}", "a policy"},
		{"{\"version\":1,\"policy\":{}}", "a policy"},
		{"{\"version\":1,\"policy\":{\"mode\":\"fast\"}}", "a policy"},
		{"{\"version\":1,\"policy\":{\"mode\":3}}", "a policy"},
		{"{\"version\":1,\"policy\":{\"dram_max_bytes\":1}}", "a policy"},
#define TIER "{\"version\":1,\"policy\":{\"mode\":\"tier\","
		{TIER "\"origin\":1}}", "a policy"},
		{TIER "\"dram_max_bytes\":-1}}", "a policy"},
		{TIER "\"dram_max_bytes\":1.5}}", "a policy"},
		{TIER "\"dram_max_bytes\":null}}", "a policy"},
		{TIER "\"dram_max_bytes\":\"1\"}}", "a policy"},
		{TIER "\"dram_max_bytes\":9223372036854775808}}", "is not JSON"},
		{TIER "\"target_nodes\":[]}}", "a policy"},
		{TIER "\"target_nodes\":null}}", "a policy"},
		{TIER "\"target_nodes\":5}}", "a policy"},
		{TIER "\"target_nodes\":[64]}}", "a policy"},
		{TIER "\"target_nodes\":[-1]}}", "a policy"},
		{TIER "\"target_nodes\":[1,1]}}", "a policy"},
		{TIER "\"target_nodes\":[2,1]}}", "a policy"},
		{TIER "\"target_nodes\":[\"1\"]}}", "a policy"},
		{TIER "\"target_nodes\":[0.0]}}", "a policy"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put(path, cases[i].text, strlen(cases[i].text));
		refused(cases[i].words);
	}
}

static void a_file_that_was_cut_is_refused_wherever_the_cut_is(void **state)
{
	struct kept kept = {
		.paused = true,
		.has_policy = true,
		.policy = {.dram_limited = true, .dram_max_bytes = 1 << 20, .target_nodes = 0xd},
	};
	char text[512];
	ssize_t len;
	int fd;

	(void)state;
	write_kept(&kept);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = read(fd, text, sizeof(text));
	close(fd);
	assert_true(len > 0 && len < (ssize_t)sizeof(text));
	for (ssize_t cut = 0; cut < len; cut++) {
		put(path, text, (size_t)cut);
		refused("is not JSON");
	}
}

static void random_bytes_are_refused(void **state)
{
	struct dice dice = dice_new();
	unsigned char bytes[4096];

	(void)state;
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)dice_roll(&dice);
		put(path, bytes, dice_below(&dice, sizeof(bytes)));
		refused("is not JSON");
	}
}

static void a_file_that_is_too_long_is_refused_and_not_cut(void **state)
{
	static char text[STORE_FILE_MAX + 1];

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"version\":1,\"paused\":true}", 27);
	put(path, text, STORE_FILE_MAX);
	assert_true(read_kept().paused);
	put(path, text, sizeof(text));
	refused("is longer than 64 KiB");
}

static void deep_nesting_is_refused(void **state)
{
	static char text[60000];

	(void)state;
	memset(text, '[', sizeof(text));
	put(path, text, sizeof(text));
	refused("is not JSON");
}

static void a_symbolic_link_is_not_followed(void **state)
{
	static const char good[] = "{\"version\":1,\"paused\":true}";
	struct kept other = {.has_policy = true};
	char target[96], half[128], text[64];
	FILE *file;

	(void)state;
	snprintf(target, sizeof(target), "%s/target", top);
	snprintf(half, sizeof(half), "%s.new", path);
	put(target, good, strlen(good));
	assert_int_equal(symlink(target, path), 0);
	refused("is a symbolic link");
	/* Nor is it written through, whichever of the two it is. */
	write_kept(&other);
	assert_int_equal(symlink(target, half), 0);
	write_kept(&other);
	assert_true(read_kept().has_policy);
	file = fopen(target, "re");
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_string_equal(text, good);
}

static void what_is_no_regular_file_is_refused_at_once(void **state)
{
	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused("is not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	refused("is not a regular file");
}

static void a_file_that_others_could_have_written_is_refused(void **state)
{
	(void)state;
	write_kept(&paused);
	assert_int_equal(chmod(path, 0620), 0);
	refused("can be written by others");
	assert_int_equal(chmod(path, 0602), 0);
	refused("can be written by others");
	assert_int_equal(chmod(path, 0644), 0);
	assert_true(read_kept().paused);
	if (geteuid() != 0)
		return; /* only root can give a file away */
	assert_int_equal(chown(path, 65534, 65534), 0);
	refused("belongs to user 65534");
}

static void a_file_that_may_not_be_read_is_refused(void **state)
{
	bool root = geteuid() == 0;
	struct kept kept;
	struct error err = {0};
	int r;

	(void)state;
	write_kept(&paused);
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(chmod(top, 0755) || chmod(dir, 0755), 0);
	assert_int_equal(seteuid(root ? 65534 : geteuid()), 0); /* root may read everything */
	r = store_read(dir, PID, START, &kept, &err);
	assert_int_equal(seteuid(root ? 0 : geteuid()), 0);
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(err.text, "cannot be read"));
}

static void what_cannot_be_written_is_not_believed_later(void **state)
{
	struct kept wide = {.has_policy = true, .policy.mode = MODE_TIER};
	struct kept narrow = {.has_policy = true, .policy.mode = MODE_OFF};
	struct rlimit old, none;
	struct error err = {0};
	char half[128];

	(void)state;
	snprintf(half, sizeof(half), "%s.new", path);
	write_kept(&wide);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = (struct rlimit) {.rlim_cur = 0, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0); /* as if the file system were full */
	assert_int_equal(store_write(dir, PID, START, &narrow, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(err.text, dir));
	assert_int_equal(access(half, F_OK), -1);
	refused("is not JSON");
	write_kept(&narrow);
	assert_int_equal(read_kept().policy.mode, MODE_OFF);
}

static bool seven_and_nine_run(void *ctx, int pid, uint64_t start_time)
{
	(void)ctx;
	return (pid == 7 && start_time == 70) || (pid == 9 && start_time == UINT64_MAX);
}

static void files_of_processes_that_ended_are_removed(void **state)
{
	(void)state;
	assert_int_equal(store_write(dir, 7, 70, &paused, NULL), 0);
	assert_int_equal(store_write(dir, 7, 71, &paused, NULL), 0);
	assert_int_equal(store_write(dir, 8, 70, &paused, NULL), 0);
	assert_int_equal(store_write(dir, 9, UINT64_MAX, &paused, NULL), 0);
	put(path, "garbage", 7);
	assert_int_equal(store_sweep(dir, seven_and_nine_run, NULL, NULL), 0);
	assert_true(is_there("7-70"));
	assert_true(is_there("9-18446744073709551615"));
	assert_false(is_there("7-71"));
	assert_false(is_there("8-70"));
	assert_int_equal(access(path, F_OK), -1);
}

static void halves_of_processes_that_ended_are_removed(void **state)
{
	char half[128];

	(void)state;
	snprintf(half, sizeof(half), "%s.new", path);
	put(half, "{", 1);
	assert_int_equal(store_sweep(dir, none_runs, NULL, NULL), 0);
	assert_int_equal(access(half, F_OK), -1);
}

static void what_is_not_called_like_ours_is_left_alone(void **state)
{
	static const char *const names[] = {
		"README",
		".hidden",
		"12",
		"12-",
		"-12",
		"12-34-56",
		"012-34",
		"12-034",
		"+12-34",
		" 12-34",
		"12-34 ",
		"12-34.bak",
		"12-34.new.new",
		"12-34.newer",
		"12.new",
		"0-34",
		"-1-34",
		"12--34",
		"a12-34",
		"12-34a",
		"0x12-34",
		"2147483648-34",
		"4294967308-34",
		"12-18446744073709551616",
		"12-+34",
		"99999999999999999999999-34",
	};
	char where[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(where, sizeof(where), "%s/%s", dir, names[i]);
		put(where, "x", 1);
	}
	snprintf(where, sizeof(where), "%s/56-78", dir);
	assert_int_equal(mkdir(where, 0700), 0);
	assert_int_equal(store_sweep(dir, none_runs, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!is_there(names[i]))
			fail_msg("'%s' was removed", names[i]);
	assert_true(is_there("56-78"));
}

static void a_directory_that_cannot_be_made_is_told(void **state)
{
	struct error err = {0};
	struct kept kept;

	(void)state;
	assert_true(store_sweep("/proc/vmtier/guests", none_runs, NULL, &err) < 0);
	assert_non_null(strstr(err.text, "/proc/vmtier/guests"));
	assert_non_null(strstr(err.text, "state_dir"));
	err.code = 0;
	assert_true(store_write("/proc/vmtier/guests", PID, START, &paused, &err) < 0);
	assert_non_null(strstr(err.text, "/proc/vmtier/guests"));
	/* Where there is no directory nothing can have been kept. */
	assert_int_equal(store_read("/proc/vmtier/guests", PID, START, &kept, NULL), STORE_NONE);
}

/* Both ways: what is there is not believed, and nothing is put there. */
static void directory_refused(const char *words)
{
	struct error err = {0};
	struct kept kept;

	assert_true(store_read(dir, PID, START, &kept, &err) < 0);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	assert_true(store_write(dir, PID, START, &paused, &err) < 0);
	assert_true(store_sweep(dir, none_runs, NULL, &err) < 0);
	if (!strstr(err.text, words) || !strstr(err.text, dir))
		fail_msg("'%s' does not say '%s' of '%s'", err.text, words, dir);
}

static void a_directory_of_others_is_not_used(void **state)
{
	char target[96];

	(void)state;
	write_kept(&paused);
	assert_int_equal(chmod(dir, 01777), 0);
	directory_refused("others can write to it");
	assert_int_equal(chmod(dir, 0755), 0);
	assert_true(read_kept().paused);
	snprintf(target, sizeof(target), "%s/elsewhere", top);
	assert_int_equal(rename(dir, target), 0);
	assert_int_equal(symlink(target, dir), 0);
	directory_refused("Not a directory");
	assert_int_equal(unlink(dir) || rename(target, dir), 0);
	if (geteuid() != 0)
		return; /* only root can give a directory away */
	assert_int_equal(chown(dir, 65534, 65534), 0);
	directory_refused("belongs to user 65534");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, clean, clean)
		TEST(what_is_written_is_read_back),
		TEST(a_pause_alone_brings_no_policy),
		TEST(limits_of_zero_and_of_all_there_is_stay_limits),
		TEST(a_reused_pid_is_another_process),
		TEST(without_anything_to_keep_there_is_no_file),
		TEST(a_guest_that_is_gone_is_forgotten),
		TEST(an_empty_directory_name_turns_it_off),
		TEST(only_we_may_look_at_it),
		TEST(a_file_is_replaced_and_never_changed),
		TEST(one_that_was_killed_while_writing_stands_in_nobody_s_way),
		TEST(what_is_no_text_of_ours_is_refused),
		TEST(a_file_that_was_cut_is_refused_wherever_the_cut_is),
		TEST(random_bytes_are_refused),
		TEST(a_file_that_is_too_long_is_refused_and_not_cut),
		TEST(deep_nesting_is_refused),
		TEST(a_symbolic_link_is_not_followed),
		TEST(what_is_no_regular_file_is_refused_at_once),
		TEST(a_file_that_others_could_have_written_is_refused),
		TEST(a_file_that_may_not_be_read_is_refused),
		TEST(what_cannot_be_written_is_not_believed_later),
		TEST(files_of_processes_that_ended_are_removed),
		TEST(halves_of_processes_that_ended_are_removed),
		TEST(what_is_not_called_like_ours_is_left_alone),
		TEST(a_directory_that_cannot_be_made_is_told),
		TEST(a_directory_of_others_is_not_used),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
