/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest that is measured: a tiny guest (tests/lab/tiny.h) with a range of
 * pages, all mapped by entries of 4 KiB, that are all accessed or all idle.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tiny.h"

/**
 * struct bed - the guest, run by the calling thread
 * @guest: its VM and memory, private pages of 4 KiB
 * @first: first frame of the range, aligned to the chunks in which a harvest walks,
 *	so that cost per page does not depend on the place
 * @pages: of the range
 * @access_fd: an access fd that may clear, or -1
 * @list: scratch
 */
struct bed {
	struct tiny *guest;
	uint64_t first;
	size_t pages;
	int access_fd;
	struct tiny_touch list[TINY_LIST_MAX];
};

/**
 * bed_new() - make the guest; all pages of the range are resident and mapped
 * @pages: a multiple of 64
 * @node: where all memory lies, or TINY_ANY_NODE
 * @ret_bed: returned, caller frees
 *
 * The step that failed is written to stderr.
 *
 * Return: 0 or a negative errno.
 */
int bed_new(size_t pages, int node, struct bed **ret_bed);

/**
 * bed_new_stock() - the same without an access fd, which a stock KVM does not have
 */
int bed_new_stock(size_t pages, int node, struct bed **ret_bed);

/** bed_free() - end the guest; NULL is fine.  Return: NULL. */
struct bed *bed_free(struct bed *bed);

static inline void bed_freep(struct bed **bed)
{
	bed_free(*bed);
}

/** bed_touch() - the guest touches each page of the range.  Return: 0 or a negative errno. */
int bed_touch(struct bed *bed, enum tiny_op op);

/** bed_at() - host address of page @index of the range */
static inline uint8_t *bed_at(const struct bed *bed, size_t index)
{
	return tiny_memory_at(&bed->guest->ram, bed->first + index);
}

/**
 * bed_remap() - take the range away from the guest and give it back
 *
 * Nothing of the guest is mapped afterwards, so its next touch of each page is a
 * nested page fault; the host's pages and mappings stay.
 *
 * Return: 0 or a negative errno.
 */
int bed_remap(struct bed *bed);
