// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest that is measured.
 */
#include "bed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <uapi/kvm_access.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "tiny-access.h"

/* KVM_ACCESS_CHUNK_PAGES of the series: 32 MiB. */
#define CHUNK_PAGES 8192

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int failed(const char *step, int r)
{
	fprintf(stderr, "the measured guest cannot be made: %s: %s\n", step, strerror(-r));
	return r;
}

/* What lies in front of the range: code and page tables, see tiny.h. */
static size_t head_pages(size_t pages)
{
	size_t tables = (pages / LARGE_PAGES) + (pages >> 18) + 64;

	return (tables + CHUNK_PAGES) / CHUNK_PAGES * CHUNK_PAGES;
}

int bed_new_stock(size_t pages, int node, struct bed **ret_bed)
{
	_cleanup_(bed_freep) struct bed *bed = calloc(1, sizeof(*bed));
	struct tiny_options opts = {.bind = node != TINY_ANY_NODE, .node = node};
	int r;

	if (!bed)
		return -ENOMEM;
	bed->access_fd = -1;
	bed->pages = pages;
	bed->first = head_pages(pages + 2 * CHUNK_PAGES);
	opts.pages = bed->first + pages;
	r = tiny_new(&opts, &bed->guest);
	if (r)
		return failed("KVM", r);
	if (bed->guest->first_free > bed->first)
		return failed("its page tables need more room", -ENOSPC);
	if (madvise(bed_at(bed, 0), pages * PAGE_BYTES, MADV_POPULATE_WRITE) < 0)
		return failed("memory, of which there may be too little", -errno);
	r = bed_touch(bed, TINY_READ);
	if (r)
		return failed("first touch", r);
	*ret_bed = take_ptr(bed);
	return 0;
}

int bed_new(size_t pages, int node, struct bed **ret_bed)
{
	_cleanup_(bed_freep) struct bed *bed = NULL;
	int r = bed_new_stock(pages, node, &bed);

	if (r)
		return r;
	bed->access_fd = tiny_access_open_own(bed->guest->vm_fd, KVM_ACCESS_FD_CLEAR);
	if (bed->access_fd < 0)
		return failed("access fd", bed->access_fd);
	*ret_bed = take_ptr(bed);
	return 0;
}

struct bed *bed_free(struct bed *bed)
{
	if (!bed)
		return NULL;
	closep(&bed->access_fd);
	tiny_free(bed->guest);
	free(bed);
	return NULL;
}

int bed_touch(struct bed *bed, enum tiny_op op)
{
	for (size_t done = 0; done < bed->pages;) {
		size_t left = bed->pages - done;
		size_t n = left < TINY_LIST_MAX ? left : TINY_LIST_MAX;
		int r;

		tiny_list_every(op, bed->first + done, bed->list, n);
		r = tiny_run(bed->guest, 0, bed->list, n, 0, NULL);
		while (r == -EINTR)
			r = tiny_resume(bed->guest, 0, NULL);
		if (r)
			return r;
		done += n;
	}
	return 0;
}

int bed_remap(struct bed *bed)
{
	struct tiny *t = bed->guest;
	int r = tiny_set_slot(t, 0, 0, 0, t->ram.base, 0);

	return r ? r : tiny_set_slot(t, 0, 0, t->ram.pages, t->ram.base, 0);
}
