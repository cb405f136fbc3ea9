// SPDX-License-Identifier: GPL-2.0-or-later
/* Ask, drop, look, move, ask again: one call's worth at a time. */
#include "migrate/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"

/* Most addresses in one call: BATCH_CALL_BYTES of 4 KiB pages. */
#define CALL_MAX (BATCH_CALL_BYTES / PAGE_BYTES)

struct call {
	uint64_t hvas[CALL_MAX];
	int status[CALL_MAX];
	size_t unit[CALL_MAX]; /* index into the batch */
	size_t n;
};

struct batch *batch_new(size_t n)
{
	return calloc(1, sizeof(struct batch) + n * sizeof(struct moved));
}

static int by_hva(const void *va, const void *vb)
{
	const struct moved *a = va, *b = vb;

	return a->hva < b->hva ? -1 : a->hva > b->hva;
}

void batch_sort(struct batch *batch)
{
	qsort(batch->units, batch->n, sizeof(batch->units[0]), by_hva);
}

static enum cause cause_of(int status)
{
	switch (status) {
	case -EBUSY:
		return CAUSE_BUSY;
	case -ENOMEM:
		return CAUSE_NO_MEMORY;
	case -EACCES:
		return CAUSE_SHARED;
	case -ENOENT:
	case -EFAULT:
		return CAUSE_NOT_MAPPED;
	default:
		return status >= 0 ? CAUSE_PINNED : CAUSE_OTHER;
	}
}

static enum cause cause_of_call(long r)
{
	switch (r) {
	case -EACCES:
		return CAUSE_CPUSET;
	case -ESRCH:
		return CAUSE_GONE;
	case -ENOMEM:
		return CAUSE_NO_MEMORY;
	default:
		return CAUSE_OTHER;
	}
}

/* Moved, found there, or failed: each unit once. */
static void unit_settled(struct batch *batch, const struct moved *unit)
{
	atomic_fetch_sub(&batch->lane->inflight_pages[batch->direction], unit->pages);
}

static void unit_failed(struct batch *batch, size_t u, enum cause cause)
{
	unit_settled(batch, &batch->units[u]);
	batch->units[u].node = -1 - (int)cause;
	batch->outcome.failed_pages[cause] += batch->units[u].pages;
}

static long ask(struct batch *batch, struct call *call)
{
	struct host_vm *vm = batch->lane->vm;

	batch->outcome.queries++;
	return vm->host->ops->vm_move(vm, call->n, call->hvas, -1, call->status);
}

/* Keep those whose status says that they lie on another node; account for the others. */
static void drop_settled(struct batch *batch, struct call *call, bool after_move)
{
	size_t kept = 0;

	for (size_t i = 0; i < call->n; i++) {
		struct moved *unit = &batch->units[call->unit[i]];

		if (call->status[i] == batch->node) {
			unit_settled(batch, unit);
			unit->node = batch->node;
			unit->was_there = !after_move;
			if (after_move)
				batch->outcome.moved_pages += unit->pages;
			else
				batch->outcome.there_pages += unit->pages;
		} else if (call->status[i] < 0) {
			unit_failed(batch, call->unit[i], cause_of(call->status[i]));
		} else {
			call->hvas[kept] = call->hvas[i];
			call->unit[kept] = call->unit[i];
			kept++;
		}
	}
	call->n = kept;
}

static void fail_all(struct batch *batch, struct call *call, enum cause cause)
{
	for (size_t i = 0; i < call->n; i++)
		unit_failed(batch, call->unit[i], cause);
	call->n = 0;
}

/*
 * What the kernel said of each page in the moving call, before the second
 * question overwrote it: the reason, where it gave one.
 */
static void note_reasons(struct batch *batch, const struct call *call)
{
	for (size_t i = 0; i < call->n; i++)
		batch->units[call->unit[i]].node =
			call->status[i] < 0 && call->status[i] != -EINPROGRESS
				? -1 - (int)cause_of(call->status[i])
				: 0;
}

/*
 * After a call that did not move everything: pages for which the kernel gave a
 * reason are done with.  Return: whether there were any.
 */
static bool drop_refused(struct batch *batch, struct call *call)
{
	size_t kept = 0, n = call->n;

	for (size_t i = 0; i < n; i++) {
		size_t u = call->unit[i];
		int noted = batch->units[u].node;

		if (noted < 0) {
			unit_failed(batch, u, (enum cause)(-1 - noted));
			continue;
		}
		call->hvas[kept] = call->hvas[i];
		call->unit[kept++] = u;
	}
	call->n = kept;
	return kept < n;
}

/*
 * The kernel collects pages into one list and tries it when a page is refused
 * or the call ends; a list that cannot be moved whole ends the call.  So while
 * a round moves a page or refuses one, the rest may not have been tried and
 * goes again; once a round does neither, all of the rest was in its one list
 * and has been tried.  Source: do_pages_move(), mm/migrate.c, Linux 6.12.
 */
static void move_call(struct batch *batch, struct call *call)
{
	struct host_vm *vm = batch->lane->vm;
	bool progress = true;

	for (int round = 0; call->n && progress && round < BATCH_ROUNDS; round++) {
		long r = vm->host->ops->vm_move(vm, call->n, call->hvas, batch->node, call->status);
		long asked;
		size_t before;

		batch->outcome.calls++;
		if (r == -ESRCH) {
			fail_all(batch, call, CAUSE_GONE);
			return;
		}
		note_reasons(batch, call);
		asked = ask(batch, call);
		if (asked < 0) {
			fail_all(batch, call, cause_of_call(asked));
			return;
		}
		before = call->n;
		drop_settled(batch, call, true);
		if (r < 0) {
			fail_all(batch, call, cause_of_call(r));
			return;
		}
		progress = drop_refused(batch, call) || call->n < before;
	}
	/* While there is progress some of the rest were perhaps never tried. */
	fail_all(batch, call, progress ? CAUSE_STALE : CAUSE_PINNED);
}

/* What the next call would take if the pace allowed all of it. */
static uint64_t wanted_bytes(const struct batch *batch)
{
	uint64_t wanted = 0;

	for (size_t u = batch->at; u < batch->n && u - batch->at < CALL_MAX; u++) {
		uint64_t bytes = batch->units[u].pages * PAGE_BYTES;

		if (wanted && wanted + bytes > BATCH_CALL_BYTES)
			break;
		wanted += bytes;
	}
	return wanted;
}

/* Tokens of the host and of the guest; 0 and how long to wait for them. */
static uint64_t take_tokens(struct batch *batch, uint64_t *ret_wait_ns)
{
	struct host *host = batch->lane->vm->host;
	uint64_t unit_bytes = batch->units[batch->at].pages * PAGE_BYTES;
	uint64_t now_ns = host->ops->now_ns(host), own_ns, host_ns;
	uint64_t grant = pace_grant(batch->host_pace, wanted_bytes(batch), unit_bytes, now_ns);
	uint64_t own = grant ? pace_grant(batch->pace, grant, unit_bytes, now_ns) : 0;

	pace_return(batch->host_pace, grant - own);
	if (own)
		return own;
	own_ns = pace_wait_ns(batch->pace, unit_bytes, now_ns);
	host_ns = pace_wait_ns(batch->host_pace, unit_bytes, now_ns);
	*ret_wait_ns = (own_ns > host_ns ? own_ns : host_ns) + 1;
	return 0;
}

static void return_tokens(struct batch *batch, uint64_t bytes)
{
	pace_return(batch->pace, bytes);
	pace_return(batch->host_pace, bytes);
}

/* The next units, as many as the tokens are good for. */
static void fill_call(struct batch *batch, struct call *call, uint64_t tokens)
{
	for (call->n = 0; batch->at < batch->n && call->n < CALL_MAX; batch->at++) {
		uint64_t bytes = batch->units[batch->at].pages * PAGE_BYTES;

		if (bytes > tokens)
			break;
		tokens -= bytes;
		call->hvas[call->n] = batch->units[batch->at].hva;
		call->unit[call->n++] = batch->at;
	}
	return_tokens(batch, tokens);
}

/*
 * A page of hugetlbfs is never split: with nothing in the target's pool the
 * kernel makes a new page of the node's free memory, and if it cannot, the call
 * ends with -ENOMEM.  Source: alloc_hugetlb_folio_nodemask(), mm/hugetlb.c, Linux
 * 6.12; tests/lab/test-content.c.
 */
static bool takes_block(const struct moved *unit)
{
	return unit->pages == LARGE_PAGES && !unit->from_pool;
}

/* Large units that the target has blocks for.  Where nobody can tell, none. */
static uint64_t blocks_to_take(struct batch *batch)
{
	struct host *host = batch->lane->vm->host;
	uint64_t blocks = 0;

	if (host->ops->free_blocks(host, batch->node, &blocks) < 0)
		return 0;
	return blocks > BATCH_SPARE_BLOCKS ? blocks - BATCH_SPARE_BLOCKS : 0;
}

/*
 * The kernel allocates for a large page with __GFP_THISNODE and, failing that,
 * splits it and moves the pieces: the guest's 2 MiB mapping is lost and nothing
 * says so.  Hence one look at the target before the call.  Source:
 * alloc_migration_target() and migrate_pages_batch(), mm/migrate.c, Linux 6.12.
 */
static void drop_without_block(struct batch *batch, struct call *call)
{
	size_t kept = 0, n = call->n;
	bool looked = false;
	uint64_t blocks = 0;

	for (size_t i = 0; i < n; i++) {
		size_t u = call->unit[i];

		if (takes_block(&batch->units[u])) {
			if (!looked)
				blocks = blocks_to_take(batch);
			looked = true;
			if (!blocks) {
				unit_failed(batch, u, CAUSE_NO_HUGE_PAGE);
				continue;
			}
			blocks--;
		}
		call->hvas[kept] = call->hvas[i];
		call->unit[kept++] = u;
	}
	call->n = kept;
}

static void one_call(struct batch *batch, struct call *call)
{
	struct outcome *outcome = &batch->outcome;
	uint64_t *no_huge_page = &outcome->failed_pages[CAUSE_NO_HUGE_PAGE];
	uint64_t untried = outcome->there_pages + *no_huge_page, moved = outcome->moved_pages;
	long asked = ask(batch, call);

	if (asked < 0) {
		fail_all(batch, call, cause_of_call(asked));
		return;
	}
	drop_settled(batch, call, false);
	drop_without_block(batch, call);
	/* What was there already, or is left alone, costs the guest nothing of its rate. */
	untried = outcome->there_pages + *no_huge_page - untried;
	return_tokens(batch, untried * PAGE_BYTES);
	move_call(batch, call);
	moved = outcome->moved_pages - moved;
	atomic_fetch_add(&batch->lane->moved_pages[batch->direction], moved);
}

static void batch_end(struct batch *batch)
{
	for (; batch->at < batch->n; batch->at++)
		unit_failed(batch, batch->at, CAUSE_STALE);
}

static bool is_overtaken(const struct batch *batch)
{
	return atomic_load(&batch->lane->hold) || atomic_load(&batch->lane->epoch) != batch->epoch;
}

enum batch_progress batch_step(struct batch *batch, struct call *call,
			       const atomic_bool *keep_going, uint64_t *ret_wait_ns)
{
	uint64_t tokens;

	if (!batch->started) {
		batch->started = true;
		atomic_fetch_sub(&batch->lane->queued_pages[batch->direction], batch->pages);
		atomic_fetch_add(&batch->lane->inflight_pages[batch->direction], batch->pages);
	}
	if (batch->at == batch->n || is_overtaken(batch) || !atomic_load(keep_going)) {
		batch_end(batch);
		return BATCH_DONE;
	}
	tokens = take_tokens(batch, ret_wait_ns);
	if (!tokens)
		return BATCH_WAITS;
	fill_call(batch, call, tokens);
	one_call(batch, call);
	return BATCH_MOVED;
}

struct call *call_new(void)
{
	return malloc(sizeof(struct call));
}

void batch_carry_out(struct batch *batch, const atomic_bool *keep_going)
{
	struct host *host = batch->lane->vm->host;
	_cleanup_(freep) struct call *call = call_new();
	enum batch_progress progress = BATCH_MOVED;
	uint64_t wait_ns = 0;

	while (call && progress != BATCH_DONE) {
		progress = batch_step(batch, call, keep_going, &wait_ns);
		if (progress == BATCH_WAITS)
			host->ops->sleep_ns(host, wait_ns);
	}
}
