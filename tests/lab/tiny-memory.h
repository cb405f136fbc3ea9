/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host memory that backs a tiny guest: of a known kind, page size and node, so
 * that a test can say what the second-level page tables must look like.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * enum tiny_backing - what lies behind the guest's RAM
 * @TINY_ANON_4K: private memory, MADV_NOHUGEPAGE
 * @TINY_ANON_THP: private memory, all of it in 2 MiB pages
 * @TINY_MEMFD: shared memory of 4 KiB pages, as with vhost-user
 * @TINY_HUGETLB_2M: shared memory of 2 MiB pages from the pool, which the test has to fill
 * @TINY_HUGETLB_1G: pages of 1 GiB from the pool, which the test has to fill
 */
enum tiny_backing {
	TINY_ANON_4K,
	TINY_ANON_THP,
	TINY_MEMFD,
	TINY_HUGETLB_2M,
	TINY_HUGETLB_1G,
	_TINY_BACKING_MAX,
};

/** TINY_ANY_NODE - leave the node to the kernel's default policy */
#define TINY_ANY_NODE (-1)

/**
 * struct tiny_memory - one mapping
 * @base: start, aligned to 2 MiB, or 1 GiB with TINY_HUGETLB_1G
 * @pages: of 4 KiB
 * @backing: its kind
 * @fd: the memfd of TINY_MEMFD and TINY_HUGETLB_2M, else -1
 */
struct tiny_memory {
	uint8_t *base;
	size_t pages;
	enum tiny_backing backing;
	int fd;
};

#define TINY_MEMORY_NULL \
	{                \
		.fd = -1 \
	}

/**
 * tiny_memory_init() - map @pages, and place them on @node
 * @node: the policy is MPOL_BIND to it, or TINY_ANY_NODE
 *
 * TINY_ANON_THP is populated at once, the others page by page as they are
 * touched by anybody.
 *
 * Return: 0, -EINVAL, -ENOMEM, -EAGAIN if the kernel gave no 2 MiB pages, -ENOSYS
 * if it has no MADV_COLLAPSE (before 6.1), or what mbind(2) says.
 */
int tiny_memory_init(struct tiny_memory *m, enum tiny_backing backing, size_t pages, int node);

/** tiny_memory_deinit() - unmap; harmless on TINY_MEMORY_NULL and when repeated */
void tiny_memory_deinit(struct tiny_memory *m);

/** tiny_memory_at() - host address of page @index */
static inline void *tiny_memory_at(const struct tiny_memory *m, uint64_t index)
{
	return m->base + (index << 12);
}

/**
 * tiny_memory_nodes() - on which node does each page lie?
 * @m: a mapping of this process
 * @ret_nodes: one int per page: the node, or the negative errno that
 *	move_pages(2) with nodes=NULL gives (-ENOENT: no page there)
 * Return: 0 or a negative errno.
 */
int tiny_memory_nodes(const struct tiny_memory *m, int *ret_nodes);

/**
 * tiny_memory_move() - move_pages(2) pages [@first, @first + @count) to @node
 *
 * Pages that are not there stay so.
 *
 * Return: 0 if all that are there lie on @node now, -EBUSY if some do not, or a
 * negative errno.
 */
int tiny_memory_move(const struct tiny_memory *m, size_t first, size_t count, int node);
