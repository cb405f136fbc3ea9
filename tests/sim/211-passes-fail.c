// SPDX-License-Identifier: GPL-2.0-or-later
/* Passes that fail are repeated more slowly, are told, and are forgotten when they succeed. */
#include <errno.h>
#include <string.h>

#include "sim.h"

#define PAGES 8192

static void a_guest_whose_passes_fail_is_degraded_until_one_succeeds(void **state)
{
	struct sim sim;
	struct machine_guest *g, *other;
	struct hot_set hot;
	struct report_guest report;
	uint64_t harvests;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	sim_turns(&sim);
	harvests = machine_counts(sim.machine).harvests;
	for (int pass = 0; pass < 40; pass++) {
		machine_fail_next_harvest(g, -EIO);
		sim_period(&sim);
	}
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_non_null(strstr(report.reason, strerror(EIO)));
	/* 80 s: after 2, 4, 8, 16, 32, 32 and not 40 times. */
	assert_in_range(machine_counts(sim.machine).harvests - harvests, 4, 8);
	assert_int_equal(machine_counts(sim.machine).moves, 0);

	machine_fail_next_harvest(g, 0);
	other = machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	for (int pass = 0; pass < 24; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		hot_set_touch(&hot, other, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	assert_int_equal(hot_set_on(&hot, other, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void one_failure_is_no_state(void **state)
{
	struct sim sim;
	struct machine_guest *g;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 5; pass++)
		sim_period(&sim);
	machine_fail_next_harvest(g, -EINTR); /* a signal: goes on at once */
	sim_period(&sim);
	machine_fail_next_harvest(g, -EIO);
	sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	sim_close(&sim);
}

static void while_nodes_cannot_be_read_nothing_is_promoted(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	machine_fail_nodes(sim.machine, true);
	sim_run(&sim, g, &hot, 10);
	assert_true(sim_has_problem(&sim, "nodes cannot be read"));
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	machine_fail_nodes(sim.machine, false);
	sim_run(&sim, g, &hot, 4);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_whose_passes_fail_is_degraded_until_one_succeeds),
		cmocka_unit_test(while_nodes_cannot_be_read_nothing_is_promoted),
		cmocka_unit_test(one_failure_is_no_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
