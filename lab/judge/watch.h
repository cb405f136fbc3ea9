/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What successive peeks add up to: which pages were ever in DRAM, and which
 * were found in use in two of three passes.  Pure: bits in, bits out.
 *
 * DOC: passes, seen from outside
 * A peek clears nothing, so an accessed bit tells that the page was accessed
 * since the tiering daemon last cleared it, however long ago that is.  Windows
 * by the judge's own clock would therefore see one access in two windows
 * whenever the daemon's clearing falls into the second.  So the windows are
 * cut where the clearing happens, which shows: many pages that were accessed at
 * one peek are mapped and not accessed at the next.  Between two such moments
 * an accessed bit means an access in that very pass.  The peek that shows a
 * clearing may have met it half done and is not used.  The time before the
 * first clearing and the pass that is not over yet at the end count for nothing.
 *
 * DOC: when that goes wrong
 * Of a clearing that was none, an access before it is seen once more behind it:
 * one counts as two.  Of a clearing that was not seen, two passes are taken for
 * one, and long enough ones hold two visits of a page that is visited rarely.  So
 * @passes is to be compared with the daemon's own count, and @three_ms_max with
 * the time between such visits: see verdict.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm.h"

/*
 * Pages that lose their accessed bit between two peeks when somebody cleared.
 * The demo's guest sweeps 3000 pages a second, which lose it each pass; without
 * a clearing only pages that KVM maps ahead of use could (a few per migration).
 */
#define WATCH_CLEARED_PAGES 256

/**
 * struct watch - the sum of all peeks
 * @npages: of the guest's RAM
 * @passes: clearings seen
 * @peeks: looks taken
 * @large_min, @large_max: pages mapped by large entries, over all peeks
 * @in_use: found accessed in two of three successive passes, at any time
 * @moved: ever found in DRAM, by peek or as the caller adds
 * @unsure: mapped before, then not: perhaps on the way to another node.  The caller asks the
 *	kernel for these and clears the bit of those that it has an answer for.
 * @accessed, @present: of the last peek
 * @window: the current pass's accesses if @window_open
 * @clearing: the last peek showed a clearing
 * @history: accesses of the last three whole passes, which are those since @opened_ms
 * @nwindows: whole passes so far
 * @window_opened_ms: when @window began
 * @three_ms_max: the longest time that three successive whole passes took
 */
struct watch {
	size_t npages;
	uint64_t passes;
	uint64_t peeks;
	uint64_t large_min;
	uint64_t large_max;
	uint64_t *in_use;
	uint64_t *moved;
	uint64_t *unsure;
	uint64_t *accessed;
	uint64_t *present;
	uint64_t *window;
	bool window_open;
	bool clearing;
	uint64_t *history[3];
	uint64_t opened_ms[3];
	uint64_t nwindows;
	uint64_t window_opened_ms;
	uint64_t three_ms_max;
};

/** watch_init() - nothing seen yet; 0, or -1 when out of memory */
int watch_init(struct watch *watch, size_t npages);

/** watch_deinit() - frees the bitmaps; fine for a half-made one */
void watch_deinit(struct watch *watch);

/** watch_add() - one more peek, taken at @ms, in the order of time */
void watch_add(struct watch *watch, const struct peek *peek, uint64_t ms);
