// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of operations of the running kernel; the work is in linux_*.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "host/linux.h"

static uint64_t linux_now_ns(struct host *host)
{
	struct timespec ts;

	(void)host;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void linux_sleep_ns(struct host *host, uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};

	(void)host;
	nanosleep(&ts, NULL); /* early is fine: the caller looks at its clock */
}

static void linux_free(struct host *host)
{
	struct linux_host *lh = to_linux(host);

	if (lh->null_fd >= 0)
		close(lh->null_fd);
	pthread_mutex_destroy(&lh->lock);
	free(lh->blocks.node);
	free(lh->seen);
	free(lh);
}

static const struct host_ops linux_ops = {
	.now_ns = linux_now_ns,
	.sleep_ns = linux_sleep_ns,
	.kvm = linux_kvm,
	.nodes = linux_nodes,
	.free_blocks = linux_free_blocks,
	.find = linux_find,
	.vm_open = linux_vm_open,
	.vm_close = linux_vm_close,
	.vm_detach = linux_vm_detach,
	.vm_alive = linux_vm_alive,
	.vm_watch_fd = linux_vm_watch_fd,
	.vm_slots = linux_vm_slots,
	.vm_harvest = linux_vm_harvest,
	.process_runs = linux_process_runs,
	.vm_rescan = linux_vm_rescan,
	.vm_ring_copy = linux_vm_ring_copy,
	.vm_maps = linux_vm_maps,
	.vm_file_holder = linux_vm_file_holder,
	.vm_residency = linux_vm_residency,
	.vm_node_totals = linux_vm_node_totals,
	.vm_facts = linux_vm_facts,
	.vm_move = linux_vm_move,
	.free = linux_free,
};

/* All memfds live on one internal tmpfs mount; its device number is learned from one of ours. */
static uint64_t memfd_dev(void)
{
	_cleanup_(closep) int fd = memfd_create("vmtier-probe", MFD_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_dev : 0;
}

int host_linux_new(const char *root, struct host **ret_host)
{
	struct linux_host *lh = calloc(1, sizeof(*lh));

	if (!lh)
		return -ENOMEM;
	lh->base.ops = &linux_ops;
	lh->root = root;
	lh->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	lh->shmem_dev = memfd_dev();
	pthread_mutex_init(&lh->lock, NULL);
	*ret_host = &lh->base;
	return 0;
}
