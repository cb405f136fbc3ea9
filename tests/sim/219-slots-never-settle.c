// SPDX-License-Identifier: GPL-2.0-or-later
/* A VMM can keep a change of its slots from ever being over. */
#include <string.h>

#include "sim.h"

#define PAGES 8192

static void a_table_that_never_stops_changing_is_said_and_costs_little(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct report_guest report;
	uint64_t layouts;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++)
		sim_period(&sim);
	machine_change_for_ever(g, true);
	layouts = machine_counts(sim.machine).layouts;
	sim_run(&sim, g, &hot, 10);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_non_null(strstr(report.reason, "do not stop changing"));
	assert_in_range(machine_counts(sim.machine).layouts - layouts, 5, 12);
	assert_int_equal(machine_pages_on(g, DRAM), 0);

	machine_change_for_ever(g, false);
	sim_run(&sim, g, &hot, 8);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_change_that_is_soon_over_is_no_state(void **state)
{
	struct sim sim;
	struct machine_guest *g;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++)
		sim_period(&sim);
	machine_change_for_ever(g, true);
	sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	machine_change_for_ever(g, false);
	sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(sim_guest(&sim, "db1")->layout_changing_ns, 0);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_that_never_stops_changing_is_said_and_costs_little),
		cmocka_unit_test(a_change_that_is_soon_over_is_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
