// SPDX-License-Identifier: GPL-2.0-or-later
/* Batches on the fake machine: DRAM is node 0, CXL node 1. */
#include <errno.h>
#include <string.h>

#include "test.h"

#include "base/units.h"
#include "migrate/batch.h"
#include "sim/machine.h"

#define DRAM	   0
#define CXL	   1
#define RAM_PAGES  65536
#define NODE_PAGES 200000

struct bench {
	struct machine *machine;
	struct host *host;
	struct machine_guest *g;
	struct lane lane;
	struct pace pace, host_pace;
	atomic_bool keep_going;
};

static void bench_open(struct bench *b, bool large)
{
	struct host_found found = {0};

	memset(b, 0, sizeof(*b));
	b->machine = machine_new();
	b->host = machine_host(b->machine);
	machine_add_node(b->machine, DRAM, true, 4, NODE_PAGES);
	machine_add_node(b->machine, CXL, false, 45, NODE_PAGES);
	b->g = machine_add_guest(b->machine, "db1", RAM_PAGES, CXL, large);
	found.pid = machine_pid(b->g);
	assert_int_equal(b->host->ops->vm_open(b->host, &found, &b->lane.vm, NULL, NULL), 0);
	atomic_init(&b->keep_going, true);
	pace_init(&b->pace, 0, 0);
	pace_init(&b->host_pace, 0, 0);
}

static void bench_close(struct bench *b)
{
	assert_int_equal(atomic_load(&b->lane.queued_pages[DIRECTION_PROMOTE]), 0);
	assert_int_equal(atomic_load(&b->lane.inflight_pages[DIRECTION_PROMOTE]), 0);
	b->host->ops->vm_close(b->lane.vm);
	machine_free(b->machine);
}

/* @n units of @pages each, every @step pages from 0 on, to @node. */
static struct batch *batch_of(struct bench *b, size_t n, uint16_t pages, size_t step, int node)
{
	struct batch *batch = batch_new(n);

	batch->lane = &b->lane;
	batch->node = node;
	batch->direction = DIRECTION_PROMOTE;
	batch->pace = &b->pace;
	batch->host_pace = &b->host_pace;
	for (size_t i = 0; i < n; i++)
		batch->units[i] = (struct moved) {
			.hva = machine_hva(b->g, i * step),
			.index = i * step,
			.pages = pages,
			.node = -1,
		};
	batch->n = n;
	batch->pages = n * pages;
	atomic_fetch_add(&b->lane.queued_pages[DIRECTION_PROMOTE], batch->pages);
	return batch;
}

static uint64_t failed_in_all(const struct outcome *outcome)
{
	uint64_t sum = 0;

	for (int c = 0; c < CAUSE_COUNT; c++)
		sum += outcome->failed_pages[c];
	return sum;
}

/* Carry it out; every page ends in exactly one of moved, there, failed. */
static struct outcome carry_out(struct bench *b, struct batch *batch)
{
	batch_carry_out(batch, &b->keep_going);
	assert_int_equal(batch->outcome.moved_pages + batch->outcome.there_pages +
				 failed_in_all(&batch->outcome),
			 batch->pages);
	assert_int_equal(atomic_load(&b->lane.moved_pages[DIRECTION_PROMOTE]),
			 batch->outcome.moved_pages);
	for (size_t u = 0; u < batch->n; u++) {
		size_t page = (batch->units[u].hva - machine_hva(b->g, 0)) / PAGE_BYTES;

		if (batch->units[u].node >= 0)
			assert_int_equal(machine_node_of(b->g, page), batch->units[u].node);
	}
	return batch->outcome;
}

static void expect_cause(const struct batch *batch, size_t unit, enum cause cause)
{
	assert_int_equal(batch->units[unit].node, -1 - (int)cause);
}

static void a_good_batch_takes_one_move_between_two_questions(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	batch = batch_of(&b, 1000, 1, 3, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 1000);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.queries, 2);
	assert_int_equal(machine_pages_on(b.g, DRAM), 1000);
	assert_int_equal(batch->units[999].node, DRAM);
	assert_false(batch->units[999].was_there);
	free(batch);
	bench_close(&b);
}

static void pages_that_are_there_already_are_asked_for_and_dropped(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	batch = batch_of(&b, 50, 1, 2, DRAM);
	carry_out(&b, batch);
	free(batch);
	atomic_store(&b.lane.moved_pages[DIRECTION_PROMOTE], 0);
	batch = batch_of(&b, 100, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.there_pages, 50);
	assert_int_equal(o.moved_pages, 50);
	assert_int_equal(o.calls, 1);
	assert_true(batch->units[0].was_there);
	assert_false(batch->units[1].was_there);
	free(batch);
	/* Nothing left to move: no moving call at all. */
	atomic_store(&b.lane.moved_pages[DIRECTION_PROMOTE], 0);
	batch = batch_of(&b, 100, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.there_pages, 100);
	assert_int_equal(o.calls, 0);
	free(batch);
	bench_close(&b);
}

static void units_are_sorted_by_address(void **state)
{
	struct dice dice = dice_new();
	struct batch *batch = batch_new(1000);

	(void)state;
	batch->n = 1000;
	for (size_t i = 0; i < batch->n; i++)
		batch->units[i].hva = dice_roll(&dice);
	batch_sort(batch);
	for (size_t i = 1; i < batch->n; i++)
		assert_true(batch->units[i - 1].hva <= batch->units[i].hva);
	free(batch);
}

static void one_pinned_page_costs_one_more_question_and_one_more_move(void **state)
{
	static const size_t at[] = {0, 1, 500, 998, 999};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct bench b;
		struct batch *batch;
		struct outcome o;

		bench_open(&b, false);
		machine_pin(b.g, at[i], true);
		batch = batch_of(&b, 1000, 1, 1, DRAM);
		o = carry_out(&b, batch);
		assert_int_equal(o.moved_pages, 999);
		assert_int_equal(o.failed_pages[CAUSE_PINNED], 1);
		assert_in_range(o.calls, 1, 2);
		assert_in_range(o.queries, 2, 3);
		expect_cause(batch, at[i], CAUSE_PINNED);
		free(batch);
		bench_close(&b);
	}
}

static void a_thousand_scattered_pins_cost_no_more_than_two_moving_calls(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	for (size_t i = 0; i < 1000; i++)
		machine_pin(b.g, 7 + i * 13, true);
	batch = batch_of(&b, 16000, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_PINNED], 1000);
	assert_int_equal(o.moved_pages, 15000);
	assert_in_range(o.calls, 1, 2);
	free(batch);
	bench_close(&b);
}

static void busy_pages_and_pins_together_leave_no_page_untried(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	for (size_t i = 0; i < 5; i++) {
		machine_pin(b.g, 100 + 200 * i, true);
		machine_busy(b.g, 150 + 200 * i, true);
	}
	batch = batch_of(&b, 1000, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_PINNED], 5);
	assert_int_equal(o.failed_pages[CAUSE_BUSY], 5);
	assert_int_equal(o.moved_pages, 990);
	expect_cause(batch, 100, CAUSE_PINNED);
	expect_cause(batch, 950, CAUSE_BUSY);
	free(batch);
	bench_close(&b);
}

static void a_hopeless_batch_ends_after_a_bounded_number_of_calls(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	for (size_t i = 0; i < 1000; i++) {
		machine_pin(b.g, 2 * i, true);
		machine_busy(b.g, 2 * i + 1, true);
	}
	batch = batch_of(&b, 2000, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 0);
	assert_in_range(o.calls, 1, BATCH_ROUNDS);
	free(batch);
	bench_close(&b);
}

static void holes_are_not_mapped(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	machine_discard(b.g, 3);
	batch = batch_of(&b, 10, 1, 1, DRAM);
	batch->units[9].hva = machine_hva(b.g, RAM_PAGES + 100); /* nothing is mapped there */
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_NOT_MAPPED], 2);
	assert_int_equal(o.moved_pages, 8);
	assert_int_equal(o.calls, 1);
	expect_cause(batch, 3, CAUSE_NOT_MAPPED);
	free(batch);
	bench_close(&b);
}

static void pages_that_others_map_too_are_shared(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	machine_share(b.g, 4, true);
	batch = batch_of(&b, 10, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_SHARED], 1);
	assert_int_equal(o.moved_pages, 9);
	expect_cause(batch, 4, CAUSE_SHARED);
	free(batch);
	bench_close(&b);
}

static void a_target_without_memory_is_no_fault_of_the_pages(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	machine_use_node(b.machine, DRAM, NODE_PAGES - 30);
	batch = batch_of(&b, 100, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 30);
	assert_int_equal(o.failed_pages[CAUSE_NO_MEMORY], 70);
	assert_int_equal(o.calls, 1);
	free(batch);
	bench_close(&b);
}

static void a_forbidden_target_ends_the_call_and_is_told_as_cpuset(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	machine_set_allowed(b.g, 1 << CXL);
	batch = batch_of(&b, 100, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_CPUSET], 100);
	assert_int_equal(o.calls, 1);
	free(batch);
	bench_close(&b);
}

static void a_process_that_is_gone_is_told_as_gone(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	b.host->ops->vm_detach(b.lane.vm);
	batch = batch_of(&b, 40000, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_GONE], 40000);
	assert_int_equal(o.calls, 0);
	free(batch);
	bench_close(&b);
}

static void no_call_takes_more_than_64_mib(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	batch = batch_of(&b, 40000, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 40000);
	assert_int_equal(o.calls, 3); /* 16384 pages each at most */
	assert_int_equal(machine_counts(b.machine).longest_move_bytes, MIB(64));
	free(batch);
	bench_close(&b);
}

static void large_units_count_with_all_their_pages(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, true);
	batch = batch_of(&b, 40, 512, 512, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 40 * 512);
	assert_int_equal(o.calls, 2); /* 32 blocks are 64 MiB */
	assert_int_equal(machine_pages_on(b.g, DRAM), 40 * 512);
	assert_int_equal(machine_counts(b.machine).longest_move_bytes, MIB(64));
	free(batch);
	bench_close(&b);
}

/* ---- large pages need whole free blocks on the target ---- */

static void no_more_large_units_go_than_the_target_has_blocks_to_spare(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, true);
	machine_fragment(b.machine, DRAM, BATCH_SPARE_BLOCKS + 5);
	batch = batch_of(&b, 20, 512, 512, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 5 * 512);
	assert_int_equal(o.failed_pages[CAUSE_NO_HUGE_PAGE], 15 * 512);
	assert_int_equal(o.calls, 1);
	assert_int_equal(machine_pages_on(b.g, DRAM), 5 * 512);
	assert_int_equal(machine_counts(b.machine).split_blocks, 0);
	expect_cause(batch, 5, CAUSE_NO_HUGE_PAGE);
	expect_cause(batch, 19, CAUSE_NO_HUGE_PAGE);
	free(batch);
	bench_close(&b);
}

static void a_target_in_pieces_gets_no_moving_call_for_large_units(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, true);
	machine_fragment(b.machine, DRAM, BATCH_SPARE_BLOCKS);
	batch = batch_of(&b, 20, 512, 512, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_NO_HUGE_PAGE], 20 * 512);
	assert_int_equal(o.calls, 0);
	assert_int_equal(o.queries, 1);
	free(batch);
	bench_close(&b);
}

static void where_nobody_can_tell_large_units_stay(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, true);
	machine_hide_blocks(b.machine, true);
	batch = batch_of(&b, 20, 512, 512, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_NO_HUGE_PAGE], 20 * 512);
	assert_int_equal(machine_pages_on(b.g, DRAM), 0);
	free(batch);
	bench_close(&b);
}

static void small_units_of_the_same_batch_go_on(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, true);
	machine_fragment(b.machine, DRAM, 0);
	for (size_t i = 0; i < 20; i += 2)
		machine_split(b.g, i * 512);
	batch = batch_of(&b, 20, 512, 512, DRAM);
	for (size_t i = 0; i < 20; i += 2)
		batch->units[i].pages = 1;
	batch->pages = 10 * 512 + 10;
	atomic_store(&b.lane.queued_pages[DIRECTION_PROMOTE], batch->pages);
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 10);
	assert_int_equal(o.failed_pages[CAUSE_NO_HUGE_PAGE], 10 * 512);
	assert_int_equal(machine_counts(b.machine).split_blocks, 0);
	expect_cause(batch, 1, CAUSE_NO_HUGE_PAGE);
	free(batch);
	bench_close(&b);
}

static void pages_of_hugetlbfs_need_no_free_block(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	machine_use_hugetlb(b.g, MIB(2));
	machine_fragment(b.machine, DRAM, 0);
	batch = batch_of(&b, 20, 512, 512, DRAM);
	for (size_t i = 0; i < 20; i++)
		batch->units[i].from_pool = true;
	o = carry_out(&b, batch);
	assert_int_equal(o.moved_pages, 20 * 512);
	assert_int_equal(machine_counts(b.machine).looks, 0);
	free(batch);
	bench_close(&b);
}

static void one_look_is_taken_for_a_call_and_none_without_large_units(void **state)
{
	struct bench b;
	struct batch *batch;

	(void)state;
	bench_open(&b, true);
	batch = batch_of(&b, 40, 512, 512, DRAM);
	carry_out(&b, batch);
	assert_int_equal(machine_counts(b.machine).looks, 2); /* 32 blocks are 64 MiB */
	free(batch);
	/* All of them are there: nothing to look for. */
	atomic_store(&b.lane.moved_pages[DIRECTION_PROMOTE], 0);
	batch = batch_of(&b, 40, 512, 512, DRAM);
	carry_out(&b, batch);
	assert_int_equal(machine_counts(b.machine).looks, 2);
	free(batch);
	bench_close(&b);

	bench_open(&b, false);
	batch = batch_of(&b, 40000, 1, 1, DRAM);
	carry_out(&b, batch);
	assert_int_equal(machine_counts(b.machine).looks, 0);
	free(batch);
	bench_close(&b);
}

static void large_units_that_stay_cost_no_tokens(void **state)
{
	struct bench b;
	struct batch *batch;
	uint64_t from_ns;

	(void)state;
	bench_open(&b, true);
	machine_fragment(b.machine, DRAM, 0);
	batch = batch_of(&b, 64, 512, 512, DRAM);
	from_ns = b.host->ops->now_ns(b.host);
	pace_init(&b.pace, MIB(2), from_ns);
	machine_advance(b.machine, NSEC_PER_SEC);
	carry_out(&b, batch);
	assert_int_equal(batch->outcome.failed_pages[CAUSE_NO_HUGE_PAGE], 64 * 512);
	assert_true(b.host->ops->now_ns(b.host) - from_ns < 2 * NSEC_PER_SEC);
	free(batch);
	bench_close(&b);
}

static void the_pace_of_the_guest_is_kept(void **state)
{
	struct bench b;
	struct batch *batch;
	uint64_t from_ns, took_ns;

	(void)state;
	bench_open(&b, false);
	from_ns = b.host->ops->now_ns(b.host);
	pace_init(&b.pace, MIB(16), from_ns);
	batch = batch_of(&b, 16384, 1, 1, DRAM);
	carry_out(&b, batch);
	took_ns = b.host->ops->now_ns(b.host) - from_ns;
	assert_in_range(took_ns, 4 * NSEC_PER_SEC, 4 * NSEC_PER_SEC + 200 * NSEC_PER_MSEC);
	assert_true(machine_counts(b.machine).longest_move_bytes <= MIB(4));
	free(batch);
	bench_close(&b);
}

static void the_pace_of_the_host_is_kept_by_all_guests_together(void **state)
{
	struct bench b;
	uint64_t from_ns, took_ns;

	(void)state;
	bench_open(&b, false);
	from_ns = b.host->ops->now_ns(b.host);
	pace_init(&b.host_pace, MIB(16), from_ns);
	for (size_t guest = 0; guest < 2; guest++) {
		struct batch *batch = batch_of(&b, 8192, 1, 1, guest ? CXL : DRAM);

		pace_init(&b.pace, MIB(1024), from_ns);
		atomic_store(&b.lane.moved_pages[DIRECTION_PROMOTE], 0);
		carry_out(&b, batch);
		free(batch);
	}
	took_ns = b.host->ops->now_ns(b.host) - from_ns;
	assert_in_range(took_ns, 4 * NSEC_PER_SEC, 4 * NSEC_PER_SEC + 200 * NSEC_PER_MSEC);
	bench_close(&b);
}

static void pages_that_are_there_already_cost_no_tokens(void **state)
{
	struct bench b;
	struct batch *batch;
	uint64_t from_ns;

	(void)state;
	bench_open(&b, false);
	batch = batch_of(&b, 16384, 1, 1, CXL);
	from_ns = b.host->ops->now_ns(b.host);
	pace_init(&b.pace, MIB(1), from_ns);
	machine_advance(b.machine, NSEC_PER_SEC);
	carry_out(&b, batch);
	assert_int_equal(batch->outcome.there_pages, 16384);
	assert_true(b.host->ops->now_ns(b.host) - from_ns < 2 * NSEC_PER_SEC);
	free(batch);
	bench_close(&b);
}

static void a_step_waits_or_moves_or_ends(void **state)
{
	struct bench b;
	struct batch *batch;
	_cleanup_(freep) struct call *call = call_new();
	uint64_t wait_ns = 0;

	(void)state;
	bench_open(&b, false);
	pace_init(&b.pace, MIB(4), b.host->ops->now_ns(b.host));
	batch = batch_of(&b, 2, 1, 1, DRAM);
	assert_int_equal(batch_step(batch, call, &b.keep_going, &wait_ns), BATCH_WAITS);
	assert_in_range(wait_ns, 976562, 976565); /* a page at 4 MiB/s */
	assert_int_equal(atomic_load(&b.lane.inflight_pages[DIRECTION_PROMOTE]), 2);
	machine_advance(b.machine, wait_ns);
	assert_int_equal(batch_step(batch, call, &b.keep_going, &wait_ns), BATCH_MOVED);
	machine_advance(b.machine, NSEC_PER_SEC);
	assert_int_equal(batch_step(batch, call, &b.keep_going, &wait_ns), BATCH_MOVED);
	assert_int_equal(batch_step(batch, call, &b.keep_going, &wait_ns), BATCH_DONE);
	assert_int_equal(batch->outcome.moved_pages, 2);
	free(batch);
	bench_close(&b);
}

static void hold_drops_the_rest(void **state)
{
	struct bench b;
	struct batch *batch;
	_cleanup_(freep) struct call *call = call_new();
	uint64_t wait_ns = 0;

	(void)state;
	bench_open(&b, false);
	batch = batch_of(&b, 20000, 1, 1, DRAM);
	assert_int_equal(batch_step(batch, call, &b.keep_going, &wait_ns), BATCH_MOVED);
	atomic_store(&b.lane.hold, true);
	assert_int_equal(batch_step(batch, call, &b.keep_going, &wait_ns), BATCH_DONE);
	assert_int_equal(batch->outcome.moved_pages, 16384);
	assert_int_equal(batch->outcome.failed_pages[CAUSE_STALE], 20000 - 16384);
	expect_cause(batch, 19999, CAUSE_STALE);
	free(batch);
	bench_close(&b);
}

static void an_agent_that_ends_drops_everything(void **state)
{
	struct bench b;
	struct batch *batch;
	struct outcome o;

	(void)state;
	bench_open(&b, false);
	atomic_store(&b.keep_going, false);
	batch = batch_of(&b, 100, 1, 1, DRAM);
	o = carry_out(&b, batch);
	assert_int_equal(o.failed_pages[CAUSE_STALE], 100);
	assert_int_equal(o.queries, 0);
	free(batch);
	bench_close(&b);
}

static void random_trouble_loses_no_page(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 30; round++) {
		struct bench b;
		struct batch *batch;
		size_t n = 1 + dice_below(&dice, 5000);
		unsigned int percent = (unsigned int)dice_below(&dice, 5);

		bench_open(&b, false);
		for (size_t i = 0; i < n; i++) {
			machine_pin(b.g, i, dice_chance(&dice, percent));
			machine_busy(b.g, i, dice_chance(&dice, percent));
			machine_share(b.g, i, dice_chance(&dice, percent));
			if (dice_chance(&dice, percent))
				machine_discard(b.g, i);
		}
		if (dice_chance(&dice, 30))
			machine_use_node(b.machine, DRAM,
					 (int64_t)(NODE_PAGES - dice_below(&dice, n)));
		batch = batch_of(&b, n, 1, 1, DRAM);
		carry_out(&b, batch);
		assert_int_equal(machine_pages_on(b.g, DRAM), batch->outcome.moved_pages);
		free(batch);
		bench_close(&b);
	}
}

static void every_cause_and_direction_has_its_word(void **state)
{
	(void)state;
	for (int c = 0; c < CAUSE_COUNT; c++)
		assert_non_null(cause_name((enum cause)c));
	assert_string_equal(cause_name(CAUSE_NO_MEMORY), "no_memory");
	assert_string_equal(cause_name(CAUSE_NO_HUGE_PAGE), "no_huge_page");
	assert_string_equal(direction_name(DIRECTION_DEMOTE), "demote");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_batch_takes_one_move_between_two_questions),
		cmocka_unit_test(pages_that_are_there_already_are_asked_for_and_dropped),
		cmocka_unit_test(units_are_sorted_by_address),
		cmocka_unit_test(one_pinned_page_costs_one_more_question_and_one_more_move),
		cmocka_unit_test(a_thousand_scattered_pins_cost_no_more_than_two_moving_calls),
		cmocka_unit_test(busy_pages_and_pins_together_leave_no_page_untried),
		cmocka_unit_test(a_hopeless_batch_ends_after_a_bounded_number_of_calls),
		cmocka_unit_test(holes_are_not_mapped),
		cmocka_unit_test(pages_that_others_map_too_are_shared),
		cmocka_unit_test(a_target_without_memory_is_no_fault_of_the_pages),
		cmocka_unit_test(a_forbidden_target_ends_the_call_and_is_told_as_cpuset),
		cmocka_unit_test(a_process_that_is_gone_is_told_as_gone),
		cmocka_unit_test(no_call_takes_more_than_64_mib),
		cmocka_unit_test(large_units_count_with_all_their_pages),
		cmocka_unit_test(no_more_large_units_go_than_the_target_has_blocks_to_spare),
		cmocka_unit_test(a_target_in_pieces_gets_no_moving_call_for_large_units),
		cmocka_unit_test(where_nobody_can_tell_large_units_stay),
		cmocka_unit_test(small_units_of_the_same_batch_go_on),
		cmocka_unit_test(pages_of_hugetlbfs_need_no_free_block),
		cmocka_unit_test(one_look_is_taken_for_a_call_and_none_without_large_units),
		cmocka_unit_test(large_units_that_stay_cost_no_tokens),
		cmocka_unit_test(the_pace_of_the_guest_is_kept),
		cmocka_unit_test(the_pace_of_the_host_is_kept_by_all_guests_together),
		cmocka_unit_test(pages_that_are_there_already_cost_no_tokens),
		cmocka_unit_test(a_step_waits_or_moves_or_ends),
		cmocka_unit_test(hold_drops_the_rest),
		cmocka_unit_test(an_agent_that_ends_drops_everything),
		cmocka_unit_test(random_trouble_loses_no_page),
		cmocka_unit_test(every_cause_and_direction_has_its_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
