/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest itself says about its pages, in the file that its
 * virtio-serial port writes; lab/guest/workload.c describes the lines.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** struct guest_count - one line of counters: visits of pages since the guest was ready */
struct guest_count {
	uint64_t ms;
	uint64_t hot;
	uint64_t sweep;
	uint64_t cycles;
	uint64_t sweeps;
	uint64_t slowest_ms;
};

/**
 * struct guest - the guest's word
 * @seed, @npages, @unit_pages: its RAM in pages of 4 KiB; a hot unit is 1 or 512 pages
 * @hot, @sweep: which gfns
 * @sweep_ms: time between two visits of a page by the sweep
 * @last: the newest counters
 * @earlier: the newest that are at least the asked time older than @last
 * @slowest_ms: the slowest cycle through the hot set after guest_read()'s @since_ms
 * @moved: pages that changed their gfn behind the lists
 */
struct guest {
	uint64_t seed;
	size_t npages;
	size_t unit_pages;
	uint64_t *hot;
	uint64_t *sweep;
	uint64_t sweep_ms;
	struct guest_count last;
	struct guest_count earlier;
	uint64_t slowest_ms;
	uint64_t moved;
};

/**
 * guest_read() - read the file from its start
 * @since_ms: cycles that ended before this do not count for @slowest_ms
 * @back_ms: how far before the end ret_guest->earlier shall be
 *
 * Return: 0, or -1 with a sentence on stderr: no such file, not ready, nonsense.
 */
int guest_read(const char *path, uint64_t since_ms, uint64_t back_ms, struct guest *ret_guest);
