// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host memory that backs a tiny guest.  No libnuma: the lab's machine may lack it.
 */
#define _GNU_SOURCE
#include "tiny-memory.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define LARGE_BYTES MIB(2)
#define GIANT_BYTES MIB(1024)

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

#ifndef MAP_HUGE_1GB
#define MAP_HUGE_1GB (30 << 26)
#endif

/* An aligned hole in the address space; what lies around it is given back. */
static uint8_t *reserve_aligned(size_t bytes, size_t align)
{
	size_t room = bytes + align;
	uint8_t *p, *base;

	p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	base = (uint8_t *)(((uintptr_t)p + align - 1) & ~(align - 1));
	if (base > p)
		munmap(p, (size_t)(base - p));
	if (p + room > base + bytes)
		munmap(base + bytes, (size_t)(p + room - base - bytes));
	return base;
}

static int map_over(struct tiny_memory *m, size_t bytes)
{
	bool large = m->backing == TINY_HUGETLB_2M;
	int flags = MAP_FIXED;

	if (m->backing == TINY_MEMFD || large) {
		m->fd = memfd_create("tiny",
				     MFD_CLOEXEC | (large ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
		if (m->fd < 0 || ftruncate(m->fd, (off_t)bytes) < 0)
			return -errno;
		flags |= MAP_SHARED;
	} else {
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	}
	if (m->backing == TINY_HUGETLB_1G)
		flags |= MAP_HUGETLB | MAP_HUGE_1GB;
	else if (!large) /* the pool is reserved now, so that no touch is a SIGBUS */
		flags |= MAP_NORESERVE;
	if (mmap(m->base, bytes, PROT_READ | PROT_WRITE, flags, m->fd, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

static int bind_to_node(const struct tiny_memory *m, size_t bytes, int node)
{
	unsigned long mask[16] = {0};
	size_t bits = sizeof(mask) * 8;

	if (node == TINY_ANY_NODE)
		return 0;
	if (node < 0 || (size_t)node >= bits)
		return -EINVAL;
	mask[(size_t)node / 64] = 1UL << (node % 64);
	if (syscall(SYS_mbind, m->base, bytes, MPOL_BIND, mask, bits, 0) < 0)
		return -errno;
	return 0;
}

/*
 * MADV_HUGEPAGE alone is a wish: the fault may fall back to 4 KiB.  After
 * MADV_COLLAPSE the range is made of 2 MiB pages, or it fails.
 */
static int make_large(const struct tiny_memory *m, size_t bytes)
{
	if (madvise(m->base, bytes, MADV_HUGEPAGE) < 0)
		return -errno;
	memset(m->base, 0, bytes);
	if (madvise(m->base, bytes, MADV_COLLAPSE) < 0)
		return errno == EINVAL ? -ENOSYS : -errno;
	return 0;
}

int tiny_memory_init(struct tiny_memory *m, enum tiny_backing backing, size_t pages, int node)
{
	size_t bytes = pages << PAGE_SHIFT_4K;
	size_t align = backing == TINY_HUGETLB_1G ? GIANT_BYTES : LARGE_BYTES;
	int r;

	if (!pages || backing >= _TINY_BACKING_MAX)
		return -EINVAL;
	if (backing != TINY_ANON_4K && backing != TINY_MEMFD && bytes % align)
		return -EINVAL;
	*m = (struct tiny_memory) {.pages = pages, .backing = backing, .fd = -1};
	m->base = reserve_aligned(bytes, align);
	if (!m->base)
		return -ENOMEM;
	r = map_over(m, bytes);
	if (!r)
		r = bind_to_node(m, bytes, node);
	if (!r && backing == TINY_ANON_THP)
		r = make_large(m, bytes);
	/* EINVAL: a kernel built without THP, where nothing needs to be forbidden. */
	if (!r && backing == TINY_ANON_4K && madvise(m->base, bytes, MADV_NOHUGEPAGE) < 0 &&
	    errno != EINVAL)
		r = -errno;
	if (r)
		tiny_memory_deinit(m);
	return r;
}

void tiny_memory_deinit(struct tiny_memory *m)
{
	if (m->base)
		munmap(m->base, m->pages << PAGE_SHIFT_4K);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct tiny_memory)TINY_MEMORY_NULL;
}

static void **page_addresses(const struct tiny_memory *m, size_t first, size_t count)
{
	void **at = calloc(count, sizeof(*at));

	for (size_t i = 0; at && i < count; i++)
		at[i] = tiny_memory_at(m, first + i);
	return at;
}

int tiny_memory_nodes(const struct tiny_memory *m, int *ret_nodes)
{
	_cleanup_(freep) void **at = page_addresses(m, 0, m->pages);

	if (!at)
		return -ENOMEM;
	if (syscall(SYS_move_pages, 0, m->pages, at, NULL, ret_nodes, 0) < 0)
		return -errno;
	return 0;
}

int tiny_memory_move(const struct tiny_memory *m, size_t first, size_t count, int node)
{
	_cleanup_(freep) void **at = page_addresses(m, first, count);
	_cleanup_(freep) int *nodes = calloc(count, sizeof(*nodes));
	_cleanup_(freep) int *status = calloc(count, sizeof(*status));

	if (!at || !nodes || !status)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		nodes[i] = node;
	if (syscall(SYS_move_pages, 0, count, at, nodes, status, MPOL_MF_MOVE) < 0)
		return -errno;
	if (syscall(SYS_move_pages, 0, count, at, NULL, status, 0) < 0)
		return -errno;
	for (size_t i = 0; i < count; i++)
		if (status[i] >= 0 && status[i] != node)
			return -EBUSY;
	return 0;
}
