// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Run a command, and harvest all VMs that it makes, without pause and from
 * outside, as vmtierd does, but clearing and asking for everything.  For tests
 * of KVM that must not notice.  Its status is the command's, or 125 if nothing
 * was harvested.
 *
 * Usage: harvest-beside COMMAND [ARGUMENT]...
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
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
 * @vm_fds: their numbers in the command's table
 * @access_fds: ours
 * @harvests: ranges harvested
 * @accessed: pages that were accessed, over all harvests
 * @dirty: pages that were dirty, over all harvests
 */
struct beside {
	pid_t pid;
	int pidfd;
	size_t nr_vms;
	int vm_fds[MAX_VMS];
	int access_fds[MAX_VMS];
	uint64_t harvests;
	uint64_t accessed;
	uint64_t dirty;
};

static bool is_known(const struct beside *b, int vm_fd)
{
	for (size_t i = 0; i < b->nr_vms; i++)
		if (b->vm_fds[i] == vm_fd)
			return true;
	return false;
}

static void add_vm(struct beside *b, int vm_fd)
{
	_cleanup_(closep) int copy = (int)syscall(SYS_pidfd_getfd, b->pidfd, vm_fd, 0);
	int fd;

	if (copy < 0)
		return; /* closed in between */
	fd = tiny_access_open(copy, KVM_ACCESS_FD_CLEAR);
	if (fd < 0) {
		fprintf(stderr, "harvest-beside: no access fd for fd %d of %d: %s\n", vm_fd,
			(int)b->pid, strerror(-fd));
		return;
	}
	b->vm_fds[b->nr_vms] = vm_fd;
	b->access_fds[b->nr_vms++] = fd;
}

static void find_vms(struct beside *b)
{
	char dir[64], path[PATH_MAX], target[64];
	struct dirent *entry;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)b->pid);
	d = opendir(dir);
	if (!d)
		return;
	while ((entry = readdir(d)) && b->nr_vms < MAX_VMS) {
		ssize_t n;

		if (!isdigit((unsigned char)entry->d_name[0]) || is_known(b, atoi(entry->d_name)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		if (!strcmp(target, "anon_inode:kvm-vm"))
			add_vm(b, atoi(entry->d_name));
	}
	closedir(d);
}

static void harvest_slot(struct beside *b, int fd, const struct kvm_access_slot *slot)
{
	uint64_t first = slot->base_gfn / 64 * 64;
	uint64_t end = slot->base_gfn + slot->npages;
	struct tiny_access_maps m;

	if (tiny_access_maps_init(&m, first, end - first) < 0)
		return;
	/* Other address spaces have the same frames; KVM's tests have none. */
	if (!slot->as_id &&
	    !tiny_access_harvest(fd, &m, b->harvests % 2 ? KVM_ACCESS_FLUSH_END : 0)) {
		b->harvests++;
		b->accessed += m.sum.nr_accessed;
		b->dirty += m.sum.nr_dirty;
	}
	tiny_access_maps_deinit(&m);
}

static void harvest_all(struct beside *b)
{
	struct kvm_access_slot slots[MAX_SLOTS];
	uint32_t count;

	for (size_t i = 0; i < b->nr_vms; i++) {
		if (tiny_access_slots(b->access_fds[i], slots, MAX_SLOTS, &count, NULL) < 0)
			continue;
		for (uint32_t s = 0; s < count; s++)
			harvest_slot(b, b->access_fds[i], &slots[s]);
	}
}

int main(int argc, char **argv)
{
	struct beside b = {0};
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
		" accessed pages, %" PRIu64 " dirty ones\n",
		b.nr_vms, b.harvests, b.accessed, b.dirty);
	if (!b.harvests)
		return NOTHING;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
