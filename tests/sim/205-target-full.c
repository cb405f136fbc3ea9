// SPDX-License-Identifier: GPL-2.0-or-later
/* DRAM is full of others' memory: nothing is forced in, and what fits later comes later. */
#include "sim.h"

#define PAGES	 8192
#define DRAM_ALL 65536
#define HEADROOM 256 /* pages: 1 MiB */

static void headroom_is_left(struct sim *sim)
{
	struct host_node nodes[HOST_MAX_NODES];
	size_t n, left_out;

	sim->agent->host->ops->nodes(sim->agent->host, nodes, &n, &left_out, NULL);
	assert_true(nodes[DRAM].free_bytes >= HEADROOM * PAGE_BYTES);
}

static void hot_pages_wait_until_there_is_room(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, DRAM_ALL, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_use_node(sim.machine, DRAM, DRAM_ALL - HEADROOM);
	sim.check = headroom_is_left;
	sim_start(&sim);
	sim_run(&sim, g, &hot, 8);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	assert_int_equal(machine_pages_on(g, DRAM), 0);

	machine_use_node(sim.machine, DRAM, -100);
	sim_run(&sim, g, &hot, 4);
	assert_int_equal(machine_pages_on(g, DRAM), 100);
	machine_use_node(sim.machine, DRAM, -PAGES);
	sim_run(&sim, g, &hot, 4);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

/* The normal state of a tiered host: DRAM is full, of this guest's cold pages among others. */
static void cold_pages_of_a_full_node_make_room_without_a_maximum_too(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, DRAM_ALL, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES / 2, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	/* The upper half lies in DRAM and is never used; the hot set is in the lower one. */
	for (size_t i = PAGES / 2; i < PAGES; i++)
		machine_discard(g, i);
	machine_first_touch(g, DRAM);
	for (size_t i = PAGES / 2; i < PAGES; i++)
		machine_touch(g, i, true);
	machine_use_node(sim.machine, DRAM, DRAM_ALL - PAGES / 2 - HEADROOM);
	sim.check = headroom_is_left;
	sim_start(&sim);
	sim_run(&sim, g, &hot, 10);
	assert_true(hot_set_on(&hot, g, DRAM) >= hot.n * 95 / 100);
	assert_int_equal(machine_pages_on(g, DRAM), PAGES / 2);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void two_guests_do_not_promise_themselves_the_same_free_pages(void **state)
{
	struct sim sim;
	struct machine_guest *a, *b;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, DRAM_ALL, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 50);
	a = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	b = machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	machine_use_node(sim.machine, DRAM, (int64_t)(DRAM_ALL - HEADROOM - hot.n));
	sim.check = headroom_is_left;
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		hot_set_touch(&hot, a, &sim.dice, 0);
		hot_set_touch(&hot, b, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(a, DRAM) + machine_pages_on(b, DRAM), hot.n);
	assert_int_equal(sim_failed(&sim, "db1", CAUSE_NO_MEMORY), 0);
	assert_int_equal(sim_failed(&sim, "db2", CAUSE_NO_MEMORY), 0);
	hot_set_free(&hot);
	sim_close(&sim);
}

/* Somebody takes the last pages of DRAM just before each move. */
static void all_is_taken(struct sim *sim)
{
	struct host_node nodes[HOST_MAX_NODES];
	size_t n, left_out;

	sim->agent->host->ops->nodes(sim->agent->host, nodes, &n, &left_out, NULL);
	machine_use_node(sim->machine, DRAM, (int64_t)(nodes[DRAM].free_bytes / PAGE_BYTES));
}

static void what_one_guest_just_took_is_not_promised_to_the_next(void **state)
{
	struct sim sim;
	struct machine_guest *a, *b;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, DRAM_ALL, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 50);
	a = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	b = machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	machine_use_node(sim.machine, DRAM, (int64_t)(DRAM_ALL - HEADROOM - hot.n));
	sim.check = headroom_is_left;
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		hot_set_touch(&hot, a, &sim.dice, 0);
		hot_set_touch(&hot, b, &sim.dice, 0);
		machine_stall(b, true);
		machine_advance(sim.machine, sim.config.period_ms * NSEC_PER_MSEC);
		/* Free memory is read, the first has its pass and its moves; all in one second. */
		do {
			assert_int_equal(agent_turn(sim.agent, 20), 0);
		} while (!guest_is_idle(sim_guest(&sim, "db1")));
		machine_stall(b, false);
		sim_turns(&sim);
	}
	assert_int_equal(machine_pages_on(a, DRAM), hot.n);
	assert_int_equal(machine_pages_on(b, DRAM), 0);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void memory_that_vanishes_under_way_is_counted_and_not_quarantined(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, DRAM_ALL, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		machine_advance(sim.machine, sim.config.period_ms * NSEC_PER_MSEC);
		/* The turn that starts the pass reads free memory; then it is gone. */
		assert_int_equal(agent_turn(sim.agent, 0), 0);
		all_is_taken(&sim);
		sim_turns(&sim);
		machine_use_node(sim.machine, DRAM, -DRAM_ALL);
	}
	assert_int_equal(machine_pages_on(g, DRAM), 0);
	assert_true(sim_failed(&sim, "db1", CAUSE_NO_MEMORY) > 0);
	sim_run(&sim, g, &hot, 2);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hot_pages_wait_until_there_is_room),
		cmocka_unit_test(cold_pages_of_a_full_node_make_room_without_a_maximum_too),
		cmocka_unit_test(two_guests_do_not_promise_themselves_the_same_free_pages),
		cmocka_unit_test(what_one_guest_just_took_is_not_promised_to_the_next),
		cmocka_unit_test(memory_that_vanishes_under_way_is_counted_and_not_quarantined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
