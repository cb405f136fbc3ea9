// SPDX-License-Identifier: GPL-2.0-or-later
/* A host with memory of one kind: said once, and nothing moves. */
#include <string.h>

#include "sim.h"

#define PAGES 4096

static void run(uint64_t dram, uint64_t cxl, int node, const char *problem)
{
	struct sim sim;
	struct machine_guest *g;
	struct report_guest report;

	sim_open(&sim, dram, cxl);
	g = machine_add_guest(sim.machine, "db1", PAGES, node, false);
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++) {
		machine_touch(g, 7, false);
		sim_period(&sim);
	}
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "blocked");
	assert_non_null(strstr(report.reason, "one tier"));
	assert_int_equal(report.node_pages[0], PAGES);
	assert_true(report.passes >= 5); /* it is harvested and shown all the same */
	assert_int_equal(report.hot_pages, 1);
	assert_true(sim_has_problem(&sim, problem));
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	sim_close(&sim);
}

static void one_dram_node_alone_is_nothing_to_tier(void **state)
{
	(void)state;
	run(65536, 0, DRAM, "one NUMA node only");
}

static void a_node_that_comes_later_is_used(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 0);
	g = machine_add_guest(sim.machine, "db1", PAGES, DRAM, false);
	sim_policy(&sim, "db1", "tier", 1000);
	sim_start(&sim);
	for (int pass = 0; pass < 4; pass++)
		sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_BLOCKED);
	/* Node 2 has index 2, for which a heat map of one node has no bit. */
	machine_add_node(sim.machine, 1, true, 4, 65536);
	machine_add_node(sim.machine, 2, false, 45, 65536);
	for (int pass = 0; pass < 8; pass++)
		sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(machine_pages_on(g, DRAM), 1000);
	assert_int_equal(machine_pages_on(g, 2), PAGES - 1000);
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.node_pages[0], 1000);
	assert_int_equal(report.node_pages[2], PAGES - 1000);
	assert_false(sim_has_problem(&sim, "one NUMA node only"));
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_dram_node_alone_is_nothing_to_tier),
		cmocka_unit_test(a_node_that_comes_later_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
