/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One guest's pages on their way to one node, as few system calls as can be.
 *
 * The rules, from reading mm/migrate.c of Linux 6.12: each moving call drains
 * every CPU of the host, so calls are big; a page that is in place already or
 * that cannot be found flushes what was collected, so the kernel is asked
 * first and such pages are dropped; addresses are sorted; a page that cannot
 * move ends the call with a positive count and leaves statuses unwritten, so
 * statuses are preset, the kernel is asked again and the tail is retried
 * without the page; a 2 MiB page for which the target has no free block of its
 * size is split without a word, so no more of them go than there are blocks.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "host/host.h"
#include "migrate/outcome.h"
#include "migrate/pace.h"

/*
 * A call takes at most this much: the drain that it starts lasts as long as
 * the call, and 64 MiB take about 20 ms at the 3.7 GB/s of 4 KiB pages that
 * kernel developers measured.
 */
#define BATCH_CALL_BYTES (64ULL << 20)

/*
 * Free blocks of 2 MiB that are left on the target, of those that a look has
 * found: for whoever allocates while the call lasts, and for blocks that are
 * counted and cannot be had, as those kept for atomic allocations.  With too few
 * a large page is split now and then; each one more is 2 MiB that a fragmented
 * node does not take.  16 MiB is a guess: in the lab, idle and with memory above
 * the watermarks, every block that was counted could be had.
 */
#define BATCH_SPARE_BLOCKS 8

/* How often the tail behind pages that cannot move is tried again; two rounds are the rule. */
#define BATCH_ROUNDS 16

/**
 * struct lane - what the loop and the mover share of one guest
 * @hold: the loop sets it to have batches dropped: paused, gone, frozen
 * @epoch: the loop raises it when what batches were planned on is no longer so: layout, policy
 * @queued_pages, @inflight_pages, @moved_pages: by direction, for the report; moved counts on
 *
 * Freed by the loop after the last batch that names it has come back.
 */
struct lane {
	struct host_vm *vm;
	atomic_bool hold;
	atomic_uint_fast64_t epoch;
	atomic_uint_fast64_t queued_pages[DIRECTION_COUNT];
	atomic_uint_fast64_t inflight_pages[DIRECTION_COUNT];
	atomic_uint_fast64_t moved_pages[DIRECTION_COUNT];
};

/**
 * struct batch - the value that goes to the mover and comes back as an outcome
 * @lane: borrowed; @guest: the loop's number for the guest, which may be gone meanwhile
 * @layout: generation of the layout that the indices are of
 * @nodes_epoch: the loop's number for the set of nodes that it was planned for
 * @epoch: of the lane when it was planned; another one drops the rest
 * @node: id of the destination
 * @pace: the guest's, owned by the mover thread while the batch is with it
 * @units: @n of them, sorted by address; @pages: their sum
 * @at: the next to be carried out; @started: whether the mover has begun
 * @outcome: filled, as are the nodes of @units
 */
struct batch {
	struct batch *next;
	struct lane *lane;
	uint64_t guest;
	uint64_t layout;
	uint64_t nodes_epoch;
	uint64_t epoch;
	enum direction direction;
	int node;
	struct pace *pace;
	struct pace *host_pace;
	size_t n;
	size_t at;
	bool started;
	uint64_t pages;
	struct outcome outcome;
	struct moved units[];
};

/** batch_new() - with room for @n units; NULL when out of memory; free() ends it */
struct batch *batch_new(size_t n);

/** batch_sort() - by address, which keeps the kernel's lists long */
void batch_sort(struct batch *batch);

/** call_new() - scratch for one call, NULL when out of memory; free() ends it */
struct call;
struct call *call_new(void);

/**
 * enum batch_progress - what a step did
 * @BATCH_DONE: nothing is left, or the rest was dropped as CAUSE_STALE
 * @BATCH_MOVED: one call was carried out
 * @BATCH_WAITS: the pace allows nothing yet
 */
enum batch_progress { BATCH_DONE, BATCH_MOVED, BATCH_WAITS };

/**
 * batch_step() - at most one call's worth
 * @keep_going: 0 drops the rest, as the lane's hold does
 * @ret_wait_ns: set with BATCH_WAITS: how long until tokens are there
 * Context: mover thread.
 */
enum batch_progress batch_step(struct batch *batch, struct call *call,
			       const atomic_bool *keep_going, uint64_t *ret_wait_ns);

/** batch_carry_out() - step until done.  Context: mover thread; sleeps */
void batch_carry_out(struct batch *batch, const atomic_bool *keep_going);
