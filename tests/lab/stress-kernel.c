// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel of the lab, asked about itself.
 */
#include "stress-kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

/* kmemleak takes no object for leaked that is younger than 5 s. */
#define LEAK_AGE_S 6

/* What KVM's guests cannot tell: of /proc/vmstat, since the stress began. */
static const struct {
	const char *name;
	enum stress_count count;
} vmstat[STRESS_KERNEL_COUNTS] = {
	{"thp_split_page", STRESS_THP_SPLIT},
	{"pswpout", STRESS_SWAPPED_OUT},
	{"pswpin", STRESS_SWAPPED_IN},
	{"cow_ksm", STRESS_UNMERGED},
};

static bool write_to(const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* The text of a record, without its number, level and time. */
static const char *record_text(char *record)
{
	char *text = strchr(record, ';');

	text = text ? text + 1 : record;
	text[strcspn(text, "\n")] = 0;
	return text;
}

void stress_kernel_listen(struct stress_kernel *k, struct stress *s)
{
	char record[8192];
	const char *text;
	ssize_t n;

	for (;;) {
		n = read(k->kmsg_fd, record, sizeof(record) - 1);
		if (n < 0 && (errno == EPIPE || errno == EINTR)) /* some were overwritten */
			continue;
		if (n <= 0)
			break;
		record[n] = 0;
		text = record_text(record);
		if (regexec(&k->splat, text, 0, NULL, 0))
			continue;
		if (!k->splats++) {
			snprintf(k->first_splat, sizeof(k->first_splat), "%.199s", text);
			stress_fail(s, "the kernel complains: %s", text);
		}
	}
}

static void read_vmstat(uint64_t *values)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/vmstat", "re");
	char name[64];
	uint64_t value;

	while (f && fscanf(f, "%63s %" SCNu64, name, &value) == 2)
		for (size_t i = 0; i < STRESS_KERNEL_COUNTS; i++)
			if (strcmp(name, vmstat[i].name) == 0)
				values[i] = value;
}

void stress_kernel_read_counts(const struct stress_kernel *k, struct stress *s)
{
	_cleanup_(fclosep) FILE *f = fopen("/sys/kernel/mm/ksm/pages_sharing", "re");
	uint64_t values[STRESS_KERNEL_COUNTS] = {0}, merged;

	read_vmstat(values);
	for (size_t i = 0; i < STRESS_KERNEL_COUNTS; i++)
		s->counts[vmstat[i].count] = values[i] - k->before[i];
	if (f && fscanf(f, "%" SCNu64, &merged) == 1 && merged > stress_count_get(s, STRESS_MERGED))
		s->counts[STRESS_MERGED] = merged;
}

void stress_kernel_quieten(void)
{
	/* What is not there does nothing either.  Two seconds let what is under way end. */
	write_to("/sys/kernel/mm/ksm/run", "0");
	write_to("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
		 "100000000");
	sleep(2);
}

/* Return: how many objects kmemleak suspects; the first one's description in @first. */
static unsigned int read_leaks(char *first, size_t room)
{
	_cleanup_(fclosep) FILE *f = fopen(KMEMLEAK, "re");
	static const char head[] = "unreferenced object";
	unsigned int leaks = 0, lines = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, head, strlen(head)) == 0)
			leaks++;
		if (leaks == 1 && lines++ < 16) { /* with the stack that allocated it */
			fprintf(stderr, "# kmemleak: %s", line);
			line[strcspn(line, "\n")] = 0;
			strncat(first, line, room - strlen(first) - 1);
		}
	}
	return leaks;
}

int stress_kernel_begin(struct stress_kernel *k, const char *splat)
{
	char ignored[1] = "";

	*k = (struct stress_kernel) {.kmsg_fd = -1};
	if (regcomp(&k->splat, splat, REG_EXTENDED | REG_NOSUB))
		return -EINVAL;
	read_vmstat(k->before);
	k->kmsg_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (k->kmsg_fd < 0)
		return -errno;
	lseek(k->kmsg_fd, 0, SEEK_END);
	k->has_kmemleak = access(KMEMLEAK, W_OK) == 0;
	if (!k->has_kmemleak)
		return 0;
	if (!write_to(KMEMLEAK, "scan"))
		return -EIO;
	k->leaks_before = read_leaks(ignored, sizeof(ignored));
	return write_to(KMEMLEAK, "clear") ? 0 : -EIO;
}

void stress_kernel_end(struct stress_kernel *k)
{
	closep(&k->kmsg_fd);
	k->kmsg_fd = -1;
	regfree(&k->splat);
}

void stress_kernel_find_leaks(struct stress_kernel *k, struct stress *s)
{
	if (!k->has_kmemleak)
		return;
	sleep(LEAK_AGE_S);
	/* The second scan forgets what the first one saw on the move. */
	if (!write_to(KMEMLEAK, "scan") || !write_to(KMEMLEAK, "scan")) {
		stress_fail(s, "kmemleak cannot be asked: %s", strerror(errno));
		return;
	}
	k->first_leak[0] = 0;
	k->leaks = read_leaks(k->first_leak, sizeof(k->first_leak));
	if (k->leaks)
		stress_fail(s, "kmemleak suspects %u objects, the first is %s", k->leaks,
			    k->first_leak);
}

static int unload(const char *module)
{
	if (syscall(SYS_delete_module, module, O_NONBLOCK) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

void stress_kernel_unload(struct stress_kernel *k, struct stress *s)
{
	static const char *const modules[] = {"kvm_amd", "kvm_intel", "kvm"};

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		int r = unload(modules[i]);

		if (r) {
			stress_fail(s, "the module %s cannot be unloaded: %s", modules[i],
				    strerror(-r));
			return;
		}
	}
	k->is_unloaded = access("/sys/module/kvm", F_OK) < 0;
	if (!k->is_unloaded)
		stress_fail(s, "kvm is unloaded, and still there");
}

/* Is there a line in the output of a command that @pattern matches? */
static bool says(const char *command, const char *pattern)
{
	FILE *f = popen(command, "re");
	char line[512];
	bool found = false;
	regex_t re;

	if (!f)
		return false;
	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0) {
		while (fgets(line, sizeof(line), f))
			found |= regexec(&re, line, 0, NULL, 0) == 0;
		regfree(&re);
	}
	pclose(f);
	return found;
}

#define CONFIG	"zcat /proc/config.gz 2> /dev/null"
#define CONSOLE "dmesg"

bool stress_kernel_check(const struct stress_kernel *k, FILE *out)
{
	/* What has to be there, as configured; and what it says itself. */
	static const struct {
		const char *name, *command, *pattern;
	} facts[] = {
		{"config_prove_locking", CONFIG, "^CONFIG_PROVE_LOCKING=y"},
		{"config_prove_rcu", CONFIG, "^CONFIG_PROVE_RCU=y"},
		{"config_prove_rcu_list", CONFIG, "^CONFIG_PROVE_RCU_LIST=y"},
		{"config_debug_atomic_sleep", CONFIG, "^CONFIG_DEBUG_ATOMIC_SLEEP=y"},
		{"config_kasan_generic", CONFIG, "^CONFIG_KASAN_GENERIC=y"},
		{"config_debug_kmemleak", CONFIG, "^CONFIG_DEBUG_KMEMLEAK=y"},
		{"config_debug_list", CONFIG, "^CONFIG_DEBUG_LIST=y"},
		{"config_debug_objects_rcu_head", CONFIG, "^CONFIG_DEBUG_OBJECTS_RCU_HEAD=y"},
		{"config_page_poisoning", CONFIG, "^CONFIG_PAGE_POISONING=y"},
		{"config_kvm_prove_mmu", CONFIG, "^CONFIG_KVM_PROVE_MMU=y"},
		{"config_preempt", CONFIG, "^CONFIG_PREEMPT=y"},
		{"lockdep_on_at_the_end", "cat /proc/lockdep_stats 2> /dev/null",
		 "debug_locks: +1"},
		{"kasan_initialized", CONSOLE, "kasan: KernelAddressSanitizer initialized"},
		{"page_poison_on", "cat /proc/cmdline", "page_poison=1"},
	};
	struct utsname u;
	bool all = k->has_kmemleak;

	uname(&u);
	fprintf(out, "  \"release\": \"%s\",\n", u.release);
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		bool is = says(facts[i].command, facts[i].pattern);

		fprintf(out, "  \"%s\": %s,\n", facts[i].name, is ? "true" : "false");
		all &= is;
	}
	fprintf(out, "  \"kmemleak_at_work\": %s,\n", k->has_kmemleak ? "true" : "false");
	fprintf(out, "  \"all_checks_at_work\": %s\n", all ? "true" : "false");
	return all;
}
