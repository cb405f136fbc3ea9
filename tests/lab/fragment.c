// SPDX-License-Identifier: GPL-2.0-or-later
/* Take all, lock it, give back every other page, take the whole blocks that are left. */
#define _GNU_SOURCE
#include "fragment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define COMPACT_LOCKED "/proc/sys/vm/compact_unevictable_allowed"

/* Left alone while the node is filled: above its watermarks, so that nobody is reclaimed. */
#define KEEP_BYTES MIB(96)

#define LARGE_BYTES (LARGE_PAGES * PAGE_BYTES)

static int put(const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static uint64_t free_bytes(int node)
{
	_cleanup_(fclosep) FILE *file = NULL;
	unsigned long long kib;
	char text[128];

	snprintf(text, sizeof(text), "/sys/devices/system/node/node%d/meminfo", node);
	file = fopen(text, "re");
	while (file && fgets(text, sizeof(text), file))
		if (sscanf(text, "Node %*d MemFree: %llu", &kib) == 1)
			return kib << 10;
	return 0;
}

/* Memory of the node that is not there yet; @advice says in which pages it will be. */
static uint8_t *map_on(int node, size_t bytes, int advice)
{
	unsigned long mask = 1UL << node;
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || madvise(p, bytes, advice) < 0 ||
	    syscall(SYS_mbind, p, bytes, MPOL_BIND, &mask, 64UL, 0) < 0)
		return NULL;
	return p;
}

static int take_to_pieces(int node)
{
	uint64_t free = free_bytes(node);
	size_t bytes = free > KEEP_BYTES ? (free - KEEP_BYTES) / PAGE_BYTES * PAGE_BYTES : 0;
	uint8_t *small = bytes ? map_on(node, bytes, MADV_NOHUGEPAGE) : NULL;
	uint8_t *large = map_on(node, 2 * KEEP_BYTES, MADV_HUGEPAGE);

	if (!small || !large || mlock(small, bytes) < 0)
		return errno ? -errno : -ENOMEM;
	for (size_t at = 0; at < bytes; at += 2 * PAGE_BYTES)
		if (madvise(small + at, PAGE_BYTES, MADV_DONTNEED_LOCKED) < 0)
			return -errno;
	for (size_t at = 0; at < 2 * KEEP_BYTES; at += LARGE_BYTES)
		large[at] = 1;
	return 0;
}

int fragment_start(int node, pid_t *ret_pid)
{
	int ready[2], r = put(COMPACT_LOCKED, "0");
	pid_t pid;

	if (r < 0 || pipe(ready) < 0)
		return r < 0 ? r : -errno;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		r = take_to_pieces(node);
		if (write(ready[1], &r, sizeof(r)) == sizeof(r))
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &r, sizeof(r)) != sizeof(r))
		r = -ECHILD;
	close(ready[0]);
	if (r < 0)
		fragment_stop(pid);
	else
		*ret_pid = pid;
	return r;
}

void fragment_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	put(COMPACT_LOCKED, "1");
}
