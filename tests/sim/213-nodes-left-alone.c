// SPDX-License-Identifier: GPL-2.0-or-later
/* A host may have nodes that vmtier cannot tell apart: what lies there is nowhere, not on node 0. */
#include "sim.h"

#define PAGES 8192
#define OTHER 70 /* vmtier's node masks end at 63 */

static void pages_on_a_node_with_a_number_above_63_are_shown_as_unplaced(void **state)
{
	struct sim sim;
	struct machine_guest *there, *cxl;
	struct hot_set hot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	machine_add_node(sim.machine, OTHER, true, 4, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	there = machine_add_guest(sim.machine, "db1", PAGES, OTHER, false);
	cxl = machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	sim_policy(&sim, "db1", "tier", 64);
	sim_start(&sim);
	for (int pass = 0; pass < 12; pass++) {
		hot_set_touch(&hot, there, &sim.dice, 0);
		hot_set_touch(&hot, cxl, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_true(sim_has_problem(&sim, "left alone"));
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.node_pages[0], 0);
	assert_int_equal(report.node_pages[1], 0);
	assert_int_equal(report.unplaced_pages, PAGES);
	assert_int_equal(report.hot_pages, hot.n);
	/* Taken for pages on node 0 they would be far over their share. */
	assert_int_equal(machine_pages_on(there, OTHER), PAGES);
	assert_int_equal(hot_set_on(&hot, cxl, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_on_a_node_with_a_number_above_63_are_shown_as_unplaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
