// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * A VMM is a process with an fd that links to "anon_inode:kvm-vm".  Looking
 * through the fds of every process at each scan would cost a big host seconds
 * a minute, so a process that has lived for a minute without such an fd is
 * looked at only every half minute.  A VMM opens its VM early, so the VM
 * fd has a low number, and a process with very many fds is not looked through.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "base/utf8.h"
#include "host/linux.h"

#define YOUNG_NS      (60 * NSEC_PER_SEC) /* a VMM opens its VM in its first seconds */
#define LOOK_AGAIN_NS (30 * NSEC_PER_SEC) /* pids are reused: the longest we miss one */

/* readdir(3) gives them in rising order.  QEMU's VM fd is about the tenth. */
#define FDS_MAX 4096

/* QEMU's -name: "NAME" or "[guest=]NAME,opt=...", a comma in the name is doubled. */
static void name_from_option(const char *option, char *name, size_t size)
{
	size_t n = 0;

	if (!strncmp(option, "guest=", 6))
		option += 6;
	for (; *option && n + 1 < size; option++) {
		if (*option == ',') {
			if (option[1] != ',')
				break;
			option++;
		}
		name[n++] = *option;
	}
	name[n] = '\0';
}

static void read_name(int proc_fd, int pid, char *name, size_t size)
{
	_cleanup_(freep) char *text = NULL;
	char raw[GUEST_NAME_MAX];
	size_t len = 0;

	raw[0] = '\0';
	if (linux_read_at(proc_fd, "cmdline", &text, &len, 4U << 20) == 0) {
		char *end = text + len;

		for (char *arg = text; arg < end; arg += strlen(arg) + 1) {
			const char *next = arg + strlen(arg) + 1;

			if ((!strcmp(arg, "-name") || !strcmp(arg, "--name")) && next < end) {
				name_from_option(next, raw, sizeof(raw));
				break;
			}
		}
	}
	utf8_clean(name, size, raw);
	if (!name[0])
		snprintf(name, size, "pid-%d", pid);
}

/* The number of its first VM fd, or a negative errno. */
static int find_vm_fd(int proc_fd)
{
	struct dirent *entry;
	DIR *dir;
	int found = -ENOENT, r = linux_opendir_at(proc_fd, "fd", &dir);

	if (r < 0)
		return r;
	for (int fds = 0; fds < FDS_MAX && (entry = readdir(dir)); fds++) {
		char link[64];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (!strcmp(link, "anon_inode:kvm-vm")) {
			found = atoi(entry->d_name);
			break;
		}
	}
	closedir(dir);
	return found;
}

static struct seen_pid *seen_find(struct linux_host *host, int pid)
{
	for (size_t low = 0, high = host->nseen; low < high;) {
		size_t mid = low + (high - low) / 2;

		if (host->seen[mid].pid == pid)
			return &host->seen[mid];
		if (host->seen[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static int by_pid(const void *a, const void *b)
{
	return ((const struct seen_pid *)a)->pid - ((const struct seen_pid *)b)->pid;
}

static int look_at(struct linux_host *host, int pid, struct host_found *found)
{
	_cleanup_(closep) int proc_fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc_fd = linux_open(host, path, O_RDONLY | O_DIRECTORY);
	if (proc_fd < 0)
		return proc_fd;
	found->vm_fd = find_vm_fd(proc_fd);
	if (found->vm_fd < 0)
		return found->vm_fd;
	found->pid = pid;
	read_name(proc_fd, pid, found->name, sizeof(found->name));
	return linux_stat_fields(proc_fd, NULL, &found->start_time, NULL);
}

/* What one scan collects. */
struct scan {
	struct host_found *found;
	size_t nfound, room;
	struct seen_pid *seen;
	size_t nseen, seen_room;
};

static int scan_pid(struct linux_host *host, int pid, uint64_t now_ns, struct scan *scan)
{
	const struct seen_pid *known = seen_find(host, pid);
	struct seen_pid seen = known ? *known : (struct seen_pid) {.pid = pid, .first_ns = now_ns};

	if (scan->nfound == scan->room) {
		size_t room = scan->room ? scan->room * 2 : 16;
		struct host_found *more = reallocarray(scan->found, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		scan->found = more;
		scan->room = room;
	}
	if (scan->nseen == scan->seen_room) {
		size_t room = scan->seen_room ? scan->seen_room * 2 : 512;
		struct seen_pid *more = reallocarray(scan->seen, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		scan->seen = more;
		scan->seen_room = room;
	}
	if (now_ns >= seen.again_ns) {
		int r = look_at(host, pid, &scan->found[scan->nfound]);

		if (r == 0) {
			scan->nfound++;
			return 0;
		}
		if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
			return r; /* not that process' fault: nobody knows what it is */
		if (now_ns - seen.first_ns > YOUNG_NS)
			seen.again_ns = now_ns + LOOK_AGAIN_NS;
	}
	scan->seen[scan->nseen++] = seen;
	return 0;
}

int linux_find(struct host *host, struct host_found **ret_found, size_t *ret_n, struct error *err)
{
	struct linux_host *lh = to_linux(host);
	uint64_t now_ns = host->ops->now_ns(host);
	struct scan scan = {0};
	struct dirent *entry;
	DIR *dir;
	int r = linux_opendir(lh, "/proc", &dir);

	if (r < 0)
		return error_set(err, r, "cannot read /proc: %s", strerror(-r));
	while (r >= 0 && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			r = scan_pid(lh, atoi(entry->d_name), now_ns, &scan);
	closedir(dir);
	if (r < 0) {
		free(scan.found);
		free(scan.seen);
		return error_set(err, r, "cannot look through /proc: %s", strerror(-r));
	}
	qsort(scan.seen, scan.nseen, sizeof(*scan.seen), by_pid);
	free(lh->seen);
	lh->seen = scan.seen;
	lh->nseen = scan.nseen;
	*ret_found = scan.found;
	*ret_n = scan.nfound;
	return 0;
}

bool linux_process_runs(struct host *host, int pid, uint64_t start_time)
{
	_cleanup_(closep) int proc_fd = -1;
	uint64_t began = 0;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc_fd = linux_open(to_linux(host), path, O_RDONLY | O_DIRECTORY);
	r = proc_fd < 0 ? proc_fd : linux_stat_fields(proc_fd, NULL, &began, NULL);
	if (r < 0)
		return r != -ENOENT && r != -ESRCH;
	return began == start_time;
}
