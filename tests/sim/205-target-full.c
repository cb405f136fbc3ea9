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
	for (int pass = 0; pass < 8; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	assert_int_equal(machine_pages_on(g, DRAM), 0);

	machine_use_node(sim.machine, DRAM, -100);
	for (int pass = 0; pass < 4; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(g, DRAM), 100);
	machine_use_node(sim.machine, DRAM, -PAGES);
	for (int pass = 0; pass < 4; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
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
	for (int pass = 0; pass < 2; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hot_pages_wait_until_there_is_room),
		cmocka_unit_test(memory_that_vanishes_under_way_is_counted_and_not_quarantined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
