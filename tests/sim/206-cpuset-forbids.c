// SPDX-License-Identifier: GPL-2.0-or-later
/* A cpuset without DRAM blocks a guest, in words, until it is widened. */
#include <string.h>

#include "sim.h"

#define PAGES 8192

static void a_blocked_guest_is_told_and_freed_when_the_cpuset_is_widened(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_set_allowed(g, 1 << CXL);
	sim_start(&sim);
	sim_run(&sim, g, &hot, 6);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "blocked");
	assert_non_null(strstr(report.reason, "cpuset"));
	assert_int_equal(report.dir[DIRECTION_PROMOTE].target_node, -1);
	assert_int_equal(machine_counts(sim.machine).moves, 0);

	machine_set_allowed(g, 1 << DRAM | 1 << CXL);
	sim_run(&sim, g, &hot, 3);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "active");
	assert_int_equal(report.dir[DIRECTION_PROMOTE].target_node, DRAM);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_cpuset_narrowed_under_way_ends_in_blocked_and_not_in_a_retry_loop(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim.config.rate_mib_per_s = 1;
	sim.config.period_ms = 10000; /* a plan is all of the hot set then */
	sim_start(&sim);
	sim_run(&sim, g, &hot, 1);
	/*
	 * The next pass is planned with the old cpuset and carried out under the new
	 * one: 512 pages go at once, the others one by one, in seconds of real time.
	 */
	hot_set_touch(&hot, g, &sim.dice, 0);
	machine_slow_down(sim.machine, 5000);
	machine_advance(sim.machine, 10 * NSEC_PER_SEC);
	for (int turn = 0; turn < 1000 && !sim_guest(&sim, "db1")->batches; turn++)
		agent_turn(sim.agent, 1);
	machine_set_allowed(g, 1 << CXL);
	machine_slow_down(sim.machine, 0);
	sim_turns(&sim);
	sim_run(&sim, g, &hot, 10);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_BLOCKED);
	/* At most what one plan held was tried in vain. */
	assert_in_range(sim_failed(&sim, "db1", CAUSE_CPUSET), 1, hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_blocked_guest_is_told_and_freed_when_the_cpuset_is_widened),
		cmocka_unit_test(
			a_cpuset_narrowed_under_way_ends_in_blocked_and_not_in_a_retry_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
