// SPDX-License-Identifier: GPL-2.0-or-later
/* Not being able to read of a process is not its end. */
#include <errno.h>
#include <string.h>

#include "sim.h"

#define PAGES 8192

static void a_guest_whose_facts_cannot_be_read_stays_and_is_not_moved(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct report_guest report;
	uint64_t id;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	id = sim_guest(&sim, "db1")->id;
	machine_fail_facts(g, -EMFILE);
	sim_run(&sim, g, &hot, 30);
	assert_int_equal(sim_guest(&sim, "db1")->id, id);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_non_null(strstr(report.reason, strerror(EMFILE)));
	assert_int_equal(machine_pages_on(g, DRAM), 0);

	machine_fail_facts(g, 0);
	sim_run(&sim, g, &hot, 40);
	assert_int_equal(sim_guest(&sim, "db1")->id, id);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_frozen_guest_whose_facts_cannot_be_read_stays_too(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	machine_set_facts(g, false, false, true);
	sim_run(&sim, g, &hot, 5);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_FROZEN);
	machine_fail_facts(g, -ENOMEM);
	sim_run(&sim, g, &hot, 5);
	assert_false(sim_guest(&sim, "db1")->gone);
	machine_fail_facts(g, 0);
	machine_set_facts(g, false, false, false);
	sim_run(&sim, g, &hot, 40);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void while_its_fds_cannot_be_looked_at_nothing_of_a_guest_moves(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_fail_rescan(g, -EMFILE);
	sim_start(&sim);
	sim_run(&sim, g, &hot, 10);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_DEGRADED);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	machine_fail_rescan(g, 0);
	sim_run(&sim, g, &hot, 5);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void facts_of_a_process_that_is_no_more_are_its_end(void **state)
{
	struct sim sim;
	struct machine_guest *g;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	machine_fail_facts(g, -ESRCH);
	sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_GONE);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_whose_facts_cannot_be_read_stays_and_is_not_moved),
		cmocka_unit_test(a_frozen_guest_whose_facts_cannot_be_read_stays_too),
		cmocka_unit_test(while_its_fds_cannot_be_looked_at_nothing_of_a_guest_moves),
		cmocka_unit_test(facts_of_a_process_that_is_no_more_are_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
