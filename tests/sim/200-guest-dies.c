// SPDX-License-Identifier: GPL-2.0-or-later
/* A guest that dies at the worst moments is shown as gone, then dropped. */
#include <string.h>

#include "sim.h"

#define PAGES 8192

enum moment { IN_HARVEST, IN_MOVE, BETWEEN_PASSES, WHILE_A_PASS_IS_OUT };

static void let_it_die(struct sim *sim, struct machine_guest *g, enum moment moment)
{
	switch (moment) {
	case IN_HARVEST:
		machine_kill_in_harvest(g);
		break;
	case IN_MOVE:
		machine_kill_in_move(g);
		break;
	case BETWEEN_PASSES:
		machine_kill(g);
		break;
	case WHILE_A_PASS_IS_OUT:
		machine_advance(sim->machine, sim->config.period_ms * NSEC_PER_MSEC);
		assert_int_equal(agent_turn(sim->agent, 0), 0);
		machine_kill(g);
		break;
	}
}

static void run(enum moment moment)
{
	struct sim sim;
	struct machine_guest *g, *other;
	struct hot_set hot;
	struct report_guest report;

	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 30);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	other = machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	sim_start(&sim);
	/* One pass at the start, one here: the next one is the first after which pages move. */
	hot_set_touch(&hot, g, &sim.dice, 0);
	hot_set_touch(&hot, other, &sim.dice, 0);
	sim_period(&sim);
	hot_set_touch(&hot, g, &sim.dice, 0);
	hot_set_touch(&hot, other, &sim.dice, 0);
	assert_int_equal(machine_counts(sim.machine).open_vms, 2);
	assert_int_equal(machine_counts(sim.machine).moves, 0);

	let_it_die(&sim, g, moment);
	sim_period(&sim);

	if (moment == IN_MOVE)
		assert_true(sim_failed(&sim, "db1", CAUSE_GONE) >= hot.n / 3);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "gone");
	assert_string_equal(report.reason, "its process has ended");
	assert_int_equal(report.pid, 0);
	/* Shown it is, but nothing of the kernel is held for it any more. */
	assert_int_equal(machine_counts(sim.machine).held_vms, 1);
	assert_int_equal(report.dir[DIRECTION_PROMOTE].queued_pages, 0);
	assert_int_equal(report.dir[DIRECTION_PROMOTE].inflight_pages, 0);
	sim_run(&sim, other, &hot, 4);
	assert_false(sim_report(&sim, "db1", &report));
	assert_int_equal(machine_counts(sim.machine).open_vms, 1);
	/* And the other one noticed nothing. */
	assert_int_equal(hot_set_on(&hot, other, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void killed_in_the_middle_of_a_harvest(void **state)
{
	(void)state;
	run(IN_HARVEST);
}

static void killed_in_the_middle_of_a_move(void **state)
{
	(void)state;
	run(IN_MOVE);
}

static void killed_between_two_passes(void **state)
{
	(void)state;
	run(BETWEEN_PASSES);
}

static void killed_while_a_pass_is_out(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		run(WHILE_A_PASS_IS_OUT);
}

static void a_successor_of_the_same_name_is_another_guest(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 5; pass++)
		sim_period(&sim);
	machine_kill(g);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	for (int pass = 0; pass < 4; pass++)
		sim_period(&sim);
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.pid, machine_pid(g));
	assert_in_range(report.passes, 1, 5);
	assert_int_equal(sim.agent->nguests, 1);
	sim_close(&sim);
}

static void two_living_guests_of_one_name_are_told_apart(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	char name[32];

	(void)state;
	sim_open(&sim, 65536, 65536);
	machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_period(&sim);
	snprintf(name, sizeof(name), "db1#%d", machine_pid(g));
	assert_int_equal(sim_guest(&sim, name)->found.pid, machine_pid(g));
	assert_int_equal(sim.agent->nguests, 2);
	sim_close(&sim);
}

static void an_agent_that_ends_while_pages_move_leaves_nothing_open(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	sim.config.rate_mib_per_s = 1;
	hot = hot_set_scatter(&sim.dice, PAGES, 90);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 3; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		machine_advance(sim.machine, 2 * NSEC_PER_SEC);
		for (int turn = 0; turn < 3; turn++)
			assert_int_equal(agent_turn(sim.agent, 5), 0);
	}
	sim_stop(&sim); /* checks that no vm is open */
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_process_that_closes_its_vm_is_gone_and_so_is_what_was_held_of_it(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	sim_period(&sim);
	assert_int_equal(machine_counts(sim.machine).held_vms, 1);
	machine_close_vm(g, true);
	for (int pass = 0; pass < 30 && machine_counts(sim.machine).held_vms; pass++)
		sim_period(&sim);
	assert_int_equal(machine_counts(sim.machine).held_vms, 0);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "gone");
	assert_non_null(strstr(report.reason, "closed its VM"));

	machine_close_vm(g, false);
	for (int pass = 0; pass < 8; pass++)
		sim_period(&sim);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "active");
	assert_int_equal(machine_counts(sim.machine).open_vms, 1);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_process_that_closes_its_vm_is_gone_and_so_is_what_was_held_of_it),
		cmocka_unit_test(killed_in_the_middle_of_a_harvest),
		cmocka_unit_test(killed_in_the_middle_of_a_move),
		cmocka_unit_test(killed_between_two_passes),
		cmocka_unit_test(killed_while_a_pass_is_out),
		cmocka_unit_test(a_successor_of_the_same_name_is_another_guest),
		cmocka_unit_test(two_living_guests_of_one_name_are_told_apart),
		cmocka_unit_test(an_agent_that_ends_while_pages_move_leaves_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
