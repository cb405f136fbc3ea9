// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages that cannot move are tried ever less often, and come when they can. */
#include "sim.h"

#define PAGES 8192

static void pins_cost_little_and_hold_up_nothing(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	uint64_t pinned = 0, failed, calls;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	for (size_t i = 0; i < hot.n; i += 10, pinned++)
		machine_pin(g, hot.page[i], true);
	sim_start(&sim);
	sim_run(&sim, g, &hot, 60);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n - pinned);
	failed = sim_failed(&sim, "db1", CAUSE_PINNED);
	calls = machine_counts(sim.machine).moves;
	/* Two minutes: after 4, 8, 16, 32 and 64 s, and not with each of 60 passes. */
	assert_in_range(failed, 4 * pinned, 6 * pinned);
	assert_true(calls <= 14);

	for (size_t i = 0; i < hot.n; i += 10)
		machine_pin(g, hot.page[i], false);
	sim_run(&sim, g, &hot, 70);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void busy_pages_come_with_one_of_the_next_passes(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	for (size_t i = 0; i < hot.n; i += 10)
		machine_busy(g, hot.page[i], true);
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		if (pass == 4)
			for (size_t i = 0; i < hot.n; i += 10)
				machine_busy(g, hot.page[i], false);
		hot_set_touch(&hot, g, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_true(sim_failed(&sim, "db1", CAUSE_BUSY) > 0);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_guest_with_vfio_is_pinned_as_a_whole_and_left_alone(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_set_facts(g, true, false, false);
	sim_start(&sim);
	sim_run(&sim, g, &hot, 8);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_PINNED);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins_cost_little_and_hold_up_nothing),
		cmocka_unit_test(busy_pages_come_with_one_of_the_next_passes),
		cmocka_unit_test(a_guest_with_vfio_is_pinned_as_a_whole_and_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
