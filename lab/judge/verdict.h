/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The figures of one run and what they are worth. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest.h"
#include "vm.h"
#include "watch.h"

/* The acceptance of the demo: at least so much of the hot set in DRAM at the end ... */
#define VERDICT_HOT_PERCENT_MIN 95.0
/* ... and fewer strays than this, measured in hot sets. */
#define VERDICT_STRAY_PERCENT_LIMIT 10.0

/* What the demo promises of its guest: RAM, and how much of it is hot. */
#define VERDICT_RAM_PAGES_MIN	 (384u << 8)
#define VERDICT_HOT_PAGES_MIN	 (64u << 8)
#define VERDICT_HOT_PERCENT_LOW	 15.0
#define VERDICT_HOT_PERCENT_HIGH 25.0
/* Of what is mapped, by large entries when units are large; the rest is the first MiB and such. */
#define VERDICT_LARGE_PERCENT_MIN 90.0

/*
 * A page that only the sweep visits must not be found in use in two of three
 * successive passes, or every page counts as in use and no stray is left.  Its
 * visits are a sweep apart, less when the guest was held up and catches up:
 * three passes shall last half a sweep at most, so there are at least six in the
 * time of one.  The demo sweeps in 24 s, that is four periods of a second for a
 * pass; it has seen 36 passes in 37 s.
 */
#define VERDICT_PASSES_PER_SWEEP 6u
/*
 * Passes that the judge may have seen more or fewer than the daemon has counted:
 * one that is on at the end, and one that ended after the daemon was asked.
 */
#define VERDICT_PASSES_OFF 2u
/*
 * Beyond that, percent of them that it may have missed: two between the same
 * looks, which a machine that stalls brings about.  None that it has made up.
 */
#define VERDICT_PASSES_MISSED_PERCENT 10u

#define VERDICT_FAILURES_MAX 12

/**
 * struct verdict - one run; pages are of 4 KiB
 * @seed, @unit_pages, @ram_pages, @hot_pages, @sweep_pages: the guest
 * @hot_dram_before, @hot_dram_after: of the hot set, by move_pages(2)
 * @ram_dram_before, @ram_dram_after: of all RAM
 * @unplaced_after: pages that had a node before and none at the end
 * @share_before, @share_after: percent of the guest's page accesses that DRAM serves
 * @moved: ever in DRAM, = @moved_hot + @moved_in_use (not hot, in use) + @stray
 * @in_use: pages found in use in two of three passes, of these @hot_in_use hot
 * @large_before, @large_after, @large_max, @present_before, @present_after: second-level entries
 * @daemon_passes: as the daemon counts them
 * @three_passes_ms_max: see struct watch
 * @passes, @peeks, @peek_ms_max, @seconds: of the watch
 * @slowest_cycle_ms: through the hot set, during the watch
 * @sweeps: how often the other pages were swept during the watch
 * @invalid: the run was not what it should be: the guest's fault, not the daemon's
 * @failures, @nfailures: why the verdict is not good, in sentences
 */
struct verdict {
	uint64_t seed;
	size_t unit_pages;
	size_t ram_pages;
	size_t hot_pages;
	size_t sweep_pages;
	size_t hot_dram_before;
	size_t hot_dram_after;
	size_t ram_dram_before;
	size_t ram_dram_after;
	size_t unplaced_after;
	double share_before;
	double share_after;
	size_t moved;
	size_t moved_hot;
	size_t moved_in_use;
	size_t stray;
	size_t in_use;
	size_t hot_in_use;
	size_t large_before;
	size_t large_after;
	size_t large_max;
	size_t present_before;
	size_t present_after;
	uint64_t daemon_passes;
	uint64_t three_passes_ms_max;
	uint64_t passes;
	uint64_t peeks;
	uint64_t peek_ms_max;
	uint64_t seconds;
	uint64_t slowest_cycle_ms;
	double sweeps;
	bool invalid;
	char failures[VERDICT_FAILURES_MAX][160];
	size_t nfailures;
};

/**
 * verdict_reach() - fill in all that is still missing and judge
 * @verdict: has @seconds, @daemon_passes and what single peeks showed
 * @guest: as the guest spoke before, @at_end: after
 * @before, @after: node of each gfn, see vm_place()
 */
void verdict_reach(struct verdict *verdict, const struct vm *vm, const struct watch *watch,
		   const struct guest *guest, const struct guest *at_end, const int *before,
		   const int *after);

/** verdict_write() - as JSON, one field on a line; 0 or -1, said */
int verdict_write(const struct verdict *verdict, const char *path);
