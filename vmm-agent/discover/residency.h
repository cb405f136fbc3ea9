/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On which node each page lies, as far as the harvest cannot tell.
 *
 * The harvest's node bitmaps cover what is mapped for the guest.  Pages that
 * are resident but not mapped (after a zap, a move, a restart of the VMM's
 * mappings) are looked up in /proc/PID/pagemap, a slice of the guest at a
 * time, so that the cost of a pass does not grow with the guest.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "discover/memslot.h"
#include "harvest/sample.h"
#include "heat/heatmap.h"
#include "host/host.h"

/* 256 MiB of guest a pass: 512 KiB read from pagemap, some milliseconds. */
#define RESIDENCY_SLICE_PAGES 65536

/* 4 GiB a pass while a guest is swept for the first time: 256 passes for a TiB. */
#define RESIDENCY_FIRST_PAGES (1U << 20)

/**
 * struct residency_slice - what pagemap said of page indices [index, index + n)
 * @room: most that one slice takes
 * @nodes: index in the node array, or -1; RESIDENCY_UNKNOWN where there is no guest RAM
 */
struct residency_slice {
	uint64_t index;
	size_t n;
	size_t room;
	int8_t *nodes;
};

#define RESIDENCY_UNKNOWN INT8_MIN

/** residency_slice_init() - room for @room pages; residency_slice_deinit() ends it */
int residency_slice_init(struct residency_slice *slice, size_t room);
void residency_slice_deinit(struct residency_slice *slice);

/**
 * residency_read() - look up the slice of @map that starts at @from
 * @slice: n is 0 afterwards if nothing could be read
 * Context: harvest worker.
 */
void residency_read(struct host_vm *vm, const struct memmap *map, uint64_t from,
		    struct residency_slice *slice);

/**
 * residency_apply() - take a slice into the heat map
 * @sample: of the same pass; where it saw a page mapped it knows better.  May be NULL.
 * Return: the index at which the next slice starts; behind the guest's last one all is done.
 * Context: loop thread.
 */
uint64_t residency_apply(struct heatmap *heat, const struct sample *sample,
			 const struct residency_slice *slice);
