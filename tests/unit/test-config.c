// SPDX-License-Identifier: GPL-2.0-or-later
/* vmtierd.conf, good and bad. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

#include "agent/config.h"
#include "base/log.h"

static char directory[] = "/tmp/vmtier-unit-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/c.conf", mkdtemp(directory) ? directory : "/nonexistent");
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static int read_bytes(struct config *config, const void *bytes, size_t len, struct error *err)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
	err->code = 0;
	return config_read(config, path, true, err);
}

static int read_text(struct config *config, const char *text, struct error *err)
{
	return read_bytes(config, text, strlen(text), err);
}

/* It must be refused with these words, and leave the config as it was. */
static void refused(const char *text, const char *words)
{
	struct config config, before;
	struct error err;

	config_default(&config);
	config.rate_mib_per_s = 123;
	before = config;
	if (read_text(&config, text, &err) != -EINVAL)
		fail_msg("'%s' was not refused", text);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	assert_non_null(strstr(err.text, path));
	assert_memory_equal(&config, &before, sizeof(config));
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct config config;

	(void)state;
	config_default(&config);
	assert_string_equal(config.policy_dir, "/etc/vmtier/policy.d");
	assert_string_equal(config.state_dir, "/run/vmtier/guests");
	assert_string_equal(config.socket, "/run/vmtier/vmtier.sock");
	assert_string_equal(config.hook_socket, "/run/vmtier/hook.sock");
	assert_int_equal(config.log_level, LOG_NEWS);
	assert_int_equal(config.scan_ms, 2000);
	assert_int_equal(config.period_ms, 2000);
	assert_int_equal(config.flush, 0);
	assert_int_equal(config.workers, 4);
	assert_int_equal(config.settle_passes, 3);
	assert_int_equal(config.rate_mib_per_s, 256);
	assert_int_equal(config.host_rate_mib_per_s, 1024);
	assert_int_equal(config.headroom_mib, 64);
}

static void every_option_can_be_set(void **state)
{
	struct config config;
	struct error err;

	(void)state;
	config_default(&config);
	assert_int_equal(read_text(&config,
				   "# a comment\n"
				   "[daemon]\n"
				   "policy_dir = /p\n"
				   "state_dir = /k\n"
				   "socket=/s\n"
				   "hook_socket = /h ; another comment\n"
				   "log_level = debug\n"
				   "scan_ms = 100\n"
				   "\n"
				   "[harvest]\n"
				   "period_ms = 600000\n"
				   "flush = yes\n"
				   "workers = 64\n"
				   "settle_passes = 1000\n"
				   "[migrate]\n"
				   "rate_mib_per_s = 0\n"
				   "host_rate_mib_per_s = 1048576\n"
				   "headroom_mib = 0\n",
				   &err),
			 0);
	assert_string_equal(config.policy_dir, "/p");
	assert_string_equal(config.state_dir, "/k");
	assert_string_equal(config.socket, "/s");
	assert_string_equal(config.hook_socket, "/h");
	assert_int_equal(config.log_level, LOG_TRACE);
	assert_int_equal(config.scan_ms, 100);
	assert_int_equal(config.period_ms, 600000);
	assert_int_equal(config.flush, 1);
	assert_int_equal(config.workers, 64);
	assert_int_equal(config.settle_passes, 1000);
	assert_int_equal(config.rate_mib_per_s, 0);
	assert_int_equal(config.host_rate_mib_per_s, 1048576);
	assert_int_equal(config.headroom_mib, 0);
}

static void what_is_not_set_stays(void **state)
{
	struct config config;
	struct error err;

	(void)state;
	config_default(&config);
	config.workers = 7;
	assert_int_equal(read_text(&config, "[harvest]\nflush=1\n", &err), 0);
	assert_int_equal(config.workers, 7);
	assert_int_equal(config.flush, 1);
	assert_int_equal(read_text(&config, "", &err), 0);
	assert_int_equal(config.flush, 1);
}

static void unknown_keys_and_sections_are_refused_with_their_line(void **state)
{
	(void)state;
	refused("[daemon]\n\nsockets = /x\n", "line 3: there is no option 'sockets'");
	refused("[deamon]\nsocket = /x\n", "[deamon]");
	refused("socket = /x\n", "no option 'socket' in section []");
	refused("[harvest]\nsocket = /x\n", "no option 'socket' in section [harvest]");
	refused("[daemon]\nSocket = /x\n", "no option 'Socket'");
}

static void bad_numbers_are_refused_with_the_limits(void **state)
{
	static const char *const values[] = {"",	 "-1",	   "1.5",
					     "two",	 "0x10",   "2000ms",
					     "99",	 "600001", "18446744073709551616",
					     "2000 3000"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char text[128];

		snprintf(text, sizeof(text), "[harvest]\nperiod_ms = %s\n", values[i]);
		refused(text, "line 2: 'period_ms' must be a number from 100 to 600000");
	}
	refused("[harvest]\nworkers = 0\n", "from 1 to 64");
	refused("[harvest]\nsettle_passes = 2\n", "from 3 to 1000");
}

static void bad_words_and_paths_are_refused(void **state)
{
	char text[600] = "[daemon]\nsocket = /";

	(void)state;
	refused("[harvest]\nflush = maybe\n", "'flush' must be yes or no");
	refused("[harvest]\nflush =\n", "'flush' must be yes or no");
	refused("[daemon]\nlog_level = loud\n", "'log_level' must be");
	refused("[daemon]\nlog_level = 7\n", "'log_level' must be");
	refused("[daemon]\nsocket = run/vmtier.sock\n", "absolute path");
	refused("[daemon]\nsocket =\n", "absolute path");
	memset(text + strlen(text), 'x', 108);
	refused(text, "at most 107 bytes");
}

static void the_first_mistake_is_told_and_nothing_of_the_file_is_taken(void **state)
{
	(void)state;
	refused("[harvest]\nworkers = 9\nflush = 2\nperiod_ms = x\n", "line 3: 'flush'");
}

static void lines_that_mean_nothing_are_refused_with_their_number(void **state)
{
	(void)state;
	refused("[daemon\n", "line 1");
	refused("[daemon]\nsocket\n", "line 2");
	refused("[daemon]\nscan_ms = 500\n\x01\x02\x03\n", "line 3");
	refused("%PDF-1.7\n", "line 1");
	/* The line is that of the first mistake, also if a later one is of another kind. */
	refused("[daemon]\ngarbage\nfoo = 1\n", "line 2: neither");
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	static const char nul[] = "[harvest]\nworkers = 4\0"
				  "2\n";
	struct dice dice = dice_new();
	struct config config, before;
	struct error err;
	unsigned char bytes[4096];

	(void)state;
	config_default(&config);
	before = config;
	assert_int_equal(read_bytes(&config, nul, sizeof(nul) - 1, &err), -EINVAL);
	assert_memory_equal(&config, &before, sizeof(config));
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)dice_roll(&dice);
		assert_int_equal(read_bytes(&config, bytes, sizeof(bytes), &err), -EINVAL);
		assert_memory_equal(&config, &before, sizeof(config));
	}
}

static void lines_that_are_too_long_are_refused_and_not_cut(void **state)
{
	static char text[70000];

	(void)state;
	/* Cut after some hundred bytes this would be a comment, and then an option. */
	for (size_t len = 100; len < 66000; len += len / 2) {
		struct config config;
		struct error err;

		strcpy(text, "[harvest]\nworkers = 9 ");
		memset(text + strlen(text), ' ', len);
		strcpy(text + 22 + len, "9\n");
		config_default(&config);
		assert_int_equal(read_text(&config, text, &err), -EINVAL);
		assert_int_equal(config.workers, 4);
	}
}

static void a_long_comment_is_no_mistake(void **state)
{
	static char text[3000] = "[harvest]\n#";
	struct config config;
	struct error err;

	(void)state;
	memset(text + strlen(text), 'x', 2000);
	strcat(text, " workers = 7\nworkers = 5\n");
	config_default(&config);
	assert_int_equal(read_text(&config, text, &err), 0);
	assert_int_equal(config.workers, 5);
}

static void a_file_that_is_not_there_is_an_error_only_if_it_must_be(void **state)
{
	struct config config, before;
	struct error err = {0};

	(void)state;
	config_default(&config);
	before = config;
	assert_int_equal(config_read(&config, "/nonexistent/c.conf", false, &err), 0);
	assert_int_equal(err.code, 0);
	assert_int_equal(config_read(&config, "/nonexistent/c.conf", true, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/c.conf"));
	assert_memory_equal(&config, &before, sizeof(config));
}

static void a_directory_is_no_config(void **state)
{
	struct config config, before;
	struct error err = {0};

	(void)state;
	config_default(&config);
	before = config;
	assert_true(config_read(&config, directory, true, &err) < 0);
	assert_non_null(strstr(err.text, directory));
	assert_memory_equal(&config, &before, sizeof(config));
}

static void a_file_that_may_not_be_read_is_told(void **state)
{
	bool root = geteuid() == 0;
	struct config config;
	struct error err = {0};
	int r;

	(void)state;
	config_default(&config);
	assert_int_equal(read_text(&config, "", &err), 0);
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(seteuid(root ? 65534 : geteuid()), 0); /* root may read everything */
	r = config_read(&config, path, false, &err);
	assert_int_equal(seteuid(root ? 0 : geteuid()), 0);
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(chmod(path, 0600), 0);
}

static void log_levels_have_their_names(void **state)
{
	(void)state;
	assert_int_equal(config_log_level("error"), LOG_ERROR);
	assert_int_equal(config_log_level("warning"), LOG_WARN);
	assert_int_equal(config_log_level("notice"), LOG_NOTE);
	assert_int_equal(config_log_level("info"), LOG_NEWS);
	assert_int_equal(config_log_level("debug"), LOG_TRACE);
	assert_int_equal(config_log_level("Debug"), 0);
	assert_int_equal(config_log_level(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(every_option_can_be_set),
		cmocka_unit_test(what_is_not_set_stays),
		cmocka_unit_test(unknown_keys_and_sections_are_refused_with_their_line),
		cmocka_unit_test(bad_numbers_are_refused_with_the_limits),
		cmocka_unit_test(bad_words_and_paths_are_refused),
		cmocka_unit_test(the_first_mistake_is_told_and_nothing_of_the_file_is_taken),
		cmocka_unit_test(lines_that_mean_nothing_are_refused_with_their_number),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
		cmocka_unit_test(lines_that_are_too_long_are_refused_and_not_cut),
		cmocka_unit_test(a_long_comment_is_no_mistake),
		cmocka_unit_test(a_file_that_is_not_there_is_an_error_only_if_it_must_be),
		cmocka_unit_test(a_directory_is_no_config),
		cmocka_unit_test(a_file_that_may_not_be_read_is_told),
		cmocka_unit_test(log_levels_have_their_names),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
