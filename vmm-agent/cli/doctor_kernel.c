// SPDX-License-Identifier: GPL-2.0-or-later
/* Settings that forbid vmtier its work, and others on the host who move pages too. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/doctor.h"

/* A number in a file, or @absent. */
static long number(const struct doctor *doctor, const char *path, long absent)
{
	char text[64];

	return doctor_read(doctor, path, text, sizeof(text)) == 0 ? strtol(text, NULL, 10) : absent;
}

/* The word in brackets of "always [madvise] never"; "" if the file or brackets are missing. */
static void chosen(const struct doctor *doctor, const char *path, char *buf, size_t size)
{
	char text[256];
	const char *open;

	buf[0] = '\0';
	if (doctor_read(doctor, path, text, sizeof(text)) < 0)
		return;
	open = strchr(text, '[');
	if (open)
		snprintf(buf, size, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
}

static void check_ptrace(struct doctor *doctor)
{
	long scope = number(doctor, "/proc/sys/kernel/yama/ptrace_scope", 0);

	if (scope >= 3)
		doctor_add(doctor, VERDICT_FAIL, "ptrace",
			   "set kernel.yama.ptrace_scope=2 in /etc/sysctl.d and reboot",
			   "kernel.yama.ptrace_scope is %ld: nobody may take hold of a guest, not "
			   "even root.",
			   scope);
	else
		doctor_add(doctor, VERDICT_OK, "ptrace", NULL,
			   "kernel.yama.ptrace_scope does not stand in the way (%ld).", scope);
}

/* Our modules are not signed by a distribution. */
static void check_lockdown(struct doctor *doctor)
{
	char mode[32];

	chosen(doctor, "/sys/kernel/security/lockdown", mode, sizeof(mode));
	if (mode[0] && strcmp(mode, "none"))
		doctor_add(doctor, VERDICT_WARN, "lockdown",
			   "sign the modules with a key that the firmware knows (mokutil --import)",
			   "The kernel is locked down (%s): it loads signed modules only.", mode);
	else
		doctor_add(doctor, VERDICT_OK, "lockdown", NULL, "The kernel is not locked down.");
}

static void check_balancing(struct doctor *doctor)
{
	long mode = number(doctor, "/proc/sys/kernel/numa_balancing", 0);

	if (mode)
		doctor_add(
			doctor, VERDICT_WARN, "NUMA balancing", "sysctl kernel.numa_balancing=0",
			"kernel.numa_balancing is %ld: the kernel moves pages of guests as well, "
			"by rules of its own.",
			mode);
	else
		doctor_add(doctor, VERDICT_OK, "NUMA balancing", NULL,
			   "Automatic NUMA balancing is off.");
}

static void check_demotion(struct doctor *doctor)
{
	char text[16];

	if (doctor_read(doctor, "/sys/kernel/mm/numa/demotion_enabled", text, sizeof(text)) == 0 &&
	    (text[0] == 't' || text[0] == '1'))
		doctor_add(doctor, VERDICT_WARN, "demotion",
			   "echo 0 > /sys/kernel/mm/numa/demotion_enabled",
			   "Reclaim demotes pages to the slow tier too: a guest may lose DRAM that "
			   "its policy gives it.");
	else
		doctor_add(doctor, VERDICT_OK, "demotion", NULL,
			   "Reclaim does not demote pages by itself.");
}

/* The pid of a process called @comm, 0 if there is none. */
static long process_find(const struct doctor *doctor, const char *comm)
{
	char path[PATH_MAX], name[32];
	struct dirent *entry;
	long pid = 0;
	DIR *proc;

	snprintf(path, sizeof(path), "%s/proc", doctor->root);
	proc = opendir(path);
	if (!proc)
		return 0;
	while (!pid && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (doctor_read(doctor, path, name, sizeof(name)) == 0 && !strcmp(name, comm))
			pid = strtol(entry->d_name, NULL, 10);
	}
	closedir(proc);
	return pid;
}

static void check_numad(struct doctor *doctor)
{
	long pid = process_find(doctor, "numad");

	if (pid)
		doctor_add(doctor, VERDICT_WARN, "numad", "systemctl disable --now numad",
			   "numad runs (pid %ld) and moves whole guests between nodes.", pid);
	else
		doctor_add(doctor, VERDICT_OK, "numad", NULL, "numad does not run.");
}

static void check_ksm(struct doctor *doctor)
{
	long run = number(doctor, "/sys/kernel/mm/ksm/run", 0);
	long across = number(doctor, "/sys/kernel/mm/ksm/merge_across_nodes", 1);

	if (run == 1 && across)
		doctor_add(
			doctor, VERDICT_WARN, "KSM",
			"echo 2 > /sys/kernel/mm/ksm/run, then 0 > .../merge_across_nodes",
			"KSM merges pages across nodes: merged pages are not moved and may serve "
			"hot guests from the slow tier.");
	else if (run == 1)
		doctor_add(doctor, VERDICT_OK, "KSM", NULL, "KSM merges within nodes only.");
	else
		doctor_add(doctor, VERDICT_OK, "KSM", NULL, "KSM does not merge pages.");
}

static void check_thp(struct doctor *doctor)
{
	char anon[32], shmem[32];

	chosen(doctor, "/sys/kernel/mm/transparent_hugepage/enabled", anon, sizeof(anon));
	chosen(doctor, "/sys/kernel/mm/transparent_hugepage/shmem_enabled", shmem, sizeof(shmem));
	doctor_add(doctor, VERDICT_OK, "huge pages", NULL,
		   "Transparent huge pages: %s, for memfd: %s; RAM that is mapped so is moved in "
		   "2 MiB blocks.",
		   anon[0] ? anon : "none", shmem[0] ? shmem : "none");
}

void doctor_check_kernel(struct doctor *doctor)
{
	check_ptrace(doctor);
	check_lockdown(doctor);
	check_balancing(doctor);
	check_demotion(doctor);
	check_numad(doctor);
	check_ksm(doctor);
	check_thp(doctor);
}
