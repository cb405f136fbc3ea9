// SPDX-License-Identifier: GPL-2.0-or-later
/* Modes that only look, and one that does not even look. */
#include "sim.h"

#define PAGES 8192

static void run(struct sim *sim, const char *mode, size_t *ret_hot)
{
	struct machine_guest *g;
	struct hot_set hot;

	sim_open(sim, 65536, 65536);
	hot = hot_set_scatter(&sim->dice, PAGES, 20);
	g = machine_add_guest(sim->machine, "db1", PAGES, CXL, false);
	sim_policy(sim, "db1", mode, 0);
	sim_start(sim);
	sim_run(sim, g, &hot, 10);
	*ret_hot = hot.n;
	hot_set_free(&hot);
}

static void mode_observe_tells_what_would_move_and_moves_nothing(void **state)
{
	struct sim sim;
	struct report_guest report;
	size_t hot;

	(void)state;
	run(&sim, "observe", &hot);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	assert_int_equal(machine_counts(sim.machine).queries, 0);
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.would_promote_pages, hot);
	assert_int_equal(report.hot_pages, hot);
	assert_int_equal(report.hot_dram_pages, 0);
	assert_string_equal(report.mode, "observe");
	sim_close(&sim);
}

static void mode_off_does_not_even_look(void **state)
{
	struct sim sim;
	size_t hot;

	(void)state;
	run(&sim, "off", &hot);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	assert_int_equal(machine_counts(sim.machine).harvests, 0);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_PAUSED);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mode_observe_tells_what_would_move_and_moves_nothing),
		cmocka_unit_test(mode_off_does_not_even_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
