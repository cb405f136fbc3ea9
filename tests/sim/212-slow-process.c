// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel says of a process takes as long as the process makes it take. */
#include <string.h>
#include <time.h>

#include "sim.h"

#define PAGES 8192

/* Turns until a guest has had @passes passes in all; the machine's clock goes by periods. */
static void turns_until(struct sim *sim, const char *name, uint64_t passes)
{
	for (int turn = 0; sim_guest(sim, name)->report.passes < passes; turn++) {
		assert_in_range(turn, 0, 2000);
		if (!sim_guest(sim, name)->pass)
			machine_advance(sim->machine, sim->config.period_ms * NSEC_PER_MSEC);
		assert_int_equal(agent_turn(sim->agent, 5), 0);
	}
}

static void a_stalled_process_does_not_stop_the_passes_of_others(void **state)
{
	struct sim sim;
	struct machine_guest *stalled, *other;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	stalled = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	other = machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	sim_start(&sim);
	machine_stall(stalled, true);
	for (uint64_t passes = 2; passes < 12; passes++) {
		hot_set_touch(&hot, stalled, &sim.dice, 0);
		hot_set_touch(&hot, other, &sim.dice, 0);
		turns_until(&sim, "db2", passes);
	}
	assert_int_equal(hot_set_on(&hot, other, DRAM), hot.n);
	assert_non_null(sim_guest(&sim, "db1")->pass);
	assert_in_range(sim_guest(&sim, "db1")->report.passes, 1, 2);

	machine_stall(stalled, false);
	sim_run(&sim, stalled, &hot, 10);
	assert_int_equal(hot_set_on(&hot, stalled, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_stalled_process_that_dies_is_let_go_at_once(void **state)
{
	struct sim sim;
	struct machine_guest *stalled;

	(void)state;
	sim_open(&sim, 65536, 65536);
	stalled = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	machine_stall(stalled, true);
	machine_advance(sim.machine, sim.config.period_ms * NSEC_PER_MSEC);
	assert_int_equal(agent_turn(sim.agent, 0), 0);
	assert_non_null(sim_guest(&sim, "db1")->pass);
	machine_kill(stalled);
	assert_int_equal(agent_turn(sim.agent, 20), 0);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_GONE);
	assert_int_equal(machine_counts(sim.machine).held_vms, 0);
	machine_stall(stalled, false);
	sim_turns(&sim);
	sim_close(&sim);
}

static void slots_that_change_all_the_time_take_a_tenth_of_a_worker(void **state)
{
	const struct kvm_access_slot slots[2] = {{.npages = PAGES}, {.npages = PAGES / 2}};
	struct sim sim;
	struct machine_guest *g;
	struct kvm_access_slot slot;
	uint64_t layouts;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	machine_slow_maps(g, NSEC_PER_SEC);
	layouts = machine_counts(sim.machine).layouts;
	for (int pass = 0; pass < 100; pass++) {
		slot = slots[pass % 2];
		slot.userspace_addr = machine_hva(g, 0);
		machine_change_slots(g, &slot, 1);
		sim_period(&sim);
	}
	/* 200 s and more, 1 s for each. */
	assert_in_range(machine_counts(sim.machine).layouts - layouts, 5, 25);
	sim_close(&sim);
}

static void a_long_look_for_guests_stops_no_pass(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	machine_stall_find(sim.machine, true);
	for (uint64_t passes = 2; passes < 12; passes++) {
		hot_set_touch(&hot, g, &sim.dice, 0);
		turns_until(&sim, "db1", passes);
	}
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	machine_advance(sim.machine, 61 * NSEC_PER_SEC);
	assert_int_equal(agent_turn(sim.agent, 0), 0);
	assert_true(sim_has_problem(&sim, "search for guests has not come back"));
	machine_kill(g);
	assert_int_equal(agent_turn(sim.agent, 20), 0);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_GONE);
	machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	machine_stall_find(sim.machine, false);
	sim_turns(&sim);
	sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db2")->state, STATE_SETTLING);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void looking_for_guests_takes_a_fifth_of_a_worker(void **state)
{
	struct sim sim;
	uint64_t finds;

	(void)state;
	sim_open(&sim, 65536, 65536);
	sim_start(&sim);
	machine_slow_find(sim.machine, 10 * NSEC_PER_SEC);
	finds = machine_counts(sim.machine).finds;
	for (int pass = 0; pass < 100; pass++)
		sim_period(&sim);
	/* 200 s and what the looks take: one in 50 s. */
	assert_in_range(machine_counts(sim.machine).finds - finds, 3, 8);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stalled_process_does_not_stop_the_passes_of_others),
		cmocka_unit_test(a_stalled_process_that_dies_is_let_go_at_once),
		cmocka_unit_test(a_long_look_for_guests_stops_no_pass),
		cmocka_unit_test(looking_for_guests_takes_a_fifth_of_a_worker),
		cmocka_unit_test(slots_that_change_all_the_time_take_a_tenth_of_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
