/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's memory layout, and the only place where gfn, hva and page index
 * are turned into one another.
 *
 * Heat is kept per *page index*: guest RAM sorted by host address, each host
 * page once whatever the number of slots and address spaces that show it.
 * Each area starts at an index equal to its host page number modulo 512, so
 * that an index that is a multiple of 512 starts a 2 MiB page of the host; the
 * gaps between areas are never present.
 *
 * The memslot table comes from the guest's process and is not trusted: a slot
 * may point at code, at the same memory twice, at another guest's file.  What
 * is not this guest's own RAM is left out and counted.  So are pages of
 * hugetlbfs larger than 2 MiB, which are not moved yet, and those of 2 MiB of
 * which slots show a part only.
 */
#pragma once

#include <stdint.h>
#include <stddef.h>

#include "base/error.h"
#include "host/host.h"

/**
 * struct area - consecutive host pages of guest RAM
 * @page_bytes: 2 MiB if it is hugetlbfs, all of it in whole pages, which can only move whole; else 0
 */
struct area {
	uint64_t hva;
	uint64_t npages;
	uint64_t index;
	uint64_t page_bytes;
};

/** struct segment - a part of a slot, all of it within one area; sorted by as_id, then gfn */
struct segment {
	uint32_t as_id;
	uint32_t slot;
	uint64_t slot_gfn; /* base of its slot, which ring offsets count from */
	uint64_t gfn;
	uint64_t npages;
	uint64_t index;
};

/**
 * struct memmap - the layout for one generation of the slot table
 * @npages: indices are below this; a multiple of 64
 * @ram_pages: sum over the areas
 * @skipped_pages: slot pages left out; @skipped_reason: why the first of them
 * @held_pages: of these, for what other processes do, which may be over soon
 * @origins: the memory that the areas consist of, sorted by address
 * @segments: sorted by address space and gfn; @by_slot: the same by address space and slot
 */
struct memmap {
	uint64_t generation;
	uint64_t npages;
	uint64_t ram_pages;
	uint64_t skipped_pages;
	uint64_t held_pages;
	char skipped_reason[160];
	size_t nareas;
	struct area *areas;
	size_t norigins;
	struct host_mapping *origins;
	size_t nsegments;
	struct segment *segments;
	struct segment *by_slot;
};

/**
 * memmap_build() - from what KVM and the process say
 * @slots, @maps: @maps sorted by address; borrowed
 * @is_foreign: the pid of another process that holds a file, 0 if there is none, negative if
 *	nobody can tell; asked once per file, for 16 files at most; may be NULL
 * @limit_pages: more RAM than this is refused with -E2BIG
 * Return: 0, -ENOMEM, -E2BIG.  The caller frees @ret_map with memmap_free().
 */
int memmap_build(const struct kvm_access_slot *slots, size_t nslots, uint64_t generation,
		 const struct host_mapping *maps, size_t nmaps,
		 int (*is_foreign)(void *ctx, uint64_t dev, uint64_t ino), void *ctx,
		 uint64_t limit_pages, struct memmap **ret_map, struct error *err);

/** memmap_free() - also of NULL */
void memmap_free(struct memmap *map);

/** memmap_same_layout() - whether both have the same areas at the same indices */
int memmap_same_layout(const struct memmap *a, const struct memmap *b);

/** memmap_hva() - host address of a page index; 0 if the index lies in no area */
uint64_t memmap_hva(const struct memmap *map, uint64_t index);

/** memmap_area_at() - the area that holds @index, or NULL */
const struct area *memmap_area_at(const struct memmap *map, uint64_t index);

/** memmap_index() - page index of a host address, UINT64_MAX if it is not guest RAM */
uint64_t memmap_index(const struct memmap *map, uint64_t hva);

/** memmap_ring_index() - page index of a dirty ring entry, UINT64_MAX if it points nowhere */
uint64_t memmap_ring_index(const struct memmap *map, uint32_t slot, uint64_t offset);

/**
 * memmap_still_ours() - whether every area still consists of the very same memory
 *
 * To be asked before pages are moved: between two passes the process may have
 * mapped something else over its own RAM.  Lines that the kernel has split or
 * merged are no change.
 */
int memmap_still_ours(const struct memmap *map, const struct host_mapping *maps, size_t nmaps);
