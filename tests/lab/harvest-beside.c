// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Run a command, and harvest all VMs that it makes, without pause and from
 * outside, as vmtierd does, but clearing and asking for everything.  For tests
 * of KVM's dirty log, which must not notice.  Its status is the command's, or 125
 * if a harvest failed or if there was nothing to be noticed: see what_is_missing().
 *
 * Usage: harvest-beside COMMAND [ARGUMENT]...
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tiny-access.h"

#define MAX_VMS	  16
#define MAX_SLOTS 64
#define NOTHING	  125

/**
 * struct beside - what is harvested
 * @pid: the command
 * @pidfd: of the command
 * @nr_vms: VMs found so far
 * @access_fds: of these
 * @harvests: ranges harvested
 * @accessed: pages that were accessed, over all harvests
 * @accessed_logged: those of them in slots whose writes KVM logs
 * @dirty: pages that were dirty, over all harvests
 * @failed: something did, and was said
 */
struct beside {
	pid_t pid;
	int pidfd;
	size_t nr_vms;
	int access_fds[MAX_VMS];
	uint64_t harvests;
	uint64_t accessed;
	uint64_t accessed_logged;
	uint64_t dirty;
	bool failed;
};

/* VMs and their owners go away, slots change, signals come. */
static void fail(struct beside *b, const char *what, int error)
{
	if (error == ESRCH || error == ESTALE || error == EINTR)
		return;
	if (!b->failed) /* the next ones would only repeat it, thousands of times */
		fprintf(stderr, "harvest-beside: %s: %s\n", what, strerror(error));
	b->failed = true;
}

static bool is_vm(const char *dir, const char *name)
{
	char path[PATH_MAX], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	return !strcmp(target, "anon_inode:kvm-vm");
}

static void add_vm(struct beside *b, int vm_fd)
{
	_cleanup_(closep) int copy = (int)syscall(SYS_pidfd_getfd, b->pidfd, vm_fd, 0);
	char name[16];
	int fd;

	if (copy < 0) {
		if (errno != EBADF) /* closed in between */
			fail(b, "pidfd_getfd", errno);
		return;
	}
	snprintf(name, sizeof(name), "%d", copy);
	if (!is_vm("/proc/self/fd", name)) /* and opened again as something else */
		return;
	fd = tiny_access_open(copy, KVM_ACCESS_FD_CLEAR);
	if (fd == -EBUSY) /* by us: a number may come again, an owner is one of this VM */
		return;
	if (fd < 0) {
		fail(b, "no access fd", -fd);
		return;
	}
	if (b->nr_vms == MAX_VMS) {
		close(fd);
		fail(b, "another VM", ENOSPC);
		return;
	}
	b->access_fds[b->nr_vms++] = fd;
}

static void find_vms(struct beside *b)
{
	struct dirent *entry;
	char dir[64];
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)b->pid);
	d = opendir(dir);
	if (!d)
		return;
	while ((entry = readdir(d)))
		if (isdigit((unsigned char)entry->d_name[0]) && is_vm(dir, entry->d_name))
			add_vm(b, atoi(entry->d_name));
	closedir(d);
}

static void harvest_slot(struct beside *b, int fd, const struct kvm_access_slot *slot)
{
	uint64_t first = slot->base_gfn / 64 * 64;
	uint64_t end = slot->base_gfn + slot->npages;
	struct tiny_access_maps m;
	int r;

	if (slot->as_id) /* these have the same frames; KVM's tests have none */
		return;
	r = tiny_access_maps_init(&m, first, end - first);
	if (!r)
		r = tiny_access_harvest(fd, &m, b->harvests % 2 ? KVM_ACCESS_FLUSH_END : 0);
	if (r) {
		fail(b, "a harvest", -r);
	} else {
		b->harvests++;
		b->accessed += m.sum.nr_accessed;
		if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
			b->accessed_logged += m.sum.nr_accessed;
		b->dirty += m.sum.nr_dirty;
	}
	tiny_access_maps_deinit(&m);
}

static void harvest_all(struct beside *b)
{
	struct kvm_access_slot slots[MAX_SLOTS];
	uint32_t count;
	int r;

	for (size_t i = 0; i < b->nr_vms; i++) {
		r = tiny_access_slots(b->access_fds[i], slots, MAX_SLOTS, &count, NULL);
		if (r) {
			fail(b, "the table of slots", -r);
			continue;
		}
		for (uint32_t s = 0; s < count; s++)
			harvest_slot(b, b->access_fds[i], &slots[s]);
	}
}

/*
 * The dirty log could only notice a harvester that took accessed bits from the slots that are
 * logged, and dirty bits from others: of logged slots a harvest reports and takes none.
 */
static const char *what_is_missing(const struct beside *b)
{
	if (!b->accessed_logged)
		return "no accessed page in a slot whose writes are logged";
	if (!b->dirty)
		return "no dirty page";
	return NULL;
}

int main(int argc, char **argv)
{
	struct beside b = {0};
	const char *missing;
	int status;

	if (argc < 2) {
		fputs("Usage: harvest-beside COMMAND [ARGUMENT]...\n", stderr);
		return 2;
	}
	b.pid = fork();
	if (b.pid < 0) {
		perror("harvest-beside: fork");
		return NOTHING;
	}
	if (!b.pid) {
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	b.pidfd = (int)syscall(SYS_pidfd_open, b.pid, 0);
	if (b.pidfd < 0) {
		perror("harvest-beside: pidfd_open");
		kill(b.pid, SIGKILL);
		return NOTHING;
	}
	while (waitpid(b.pid, &status, WNOHANG) == 0) {
		find_vms(&b);
		harvest_all(&b);
		if (!b.nr_vms)
			usleep(1000);
	}
	for (size_t i = 0; i < b.nr_vms; i++)
		close(b.access_fds[i]);
	close(b.pidfd);

	fprintf(stderr,
		"harvest-beside: %zu VMs, %" PRIu64 " harvests, %" PRIu64
		" accessed pages (%" PRIu64 " where writes are logged), %" PRIu64 " dirty ones\n",
		b.nr_vms, b.harvests, b.accessed, b.accessed_logged, b.dirty);
	missing = what_is_missing(&b);
	if (missing)
		fprintf(stderr, "harvest-beside: %s was found\n", missing);
	if (missing || b.failed)
		return NOTHING;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
