// SPDX-License-Identifier: GPL-2.0-or-later
/* Entries without accessed bits always look accessed: nothing may be moved on that. */
#include <string.h>

#include "sim.h"

#define PAGES 8192

static void while_some_pages_have_no_accessed_bit_nothing_moves(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, DRAM, false);
	sim_policy(&sim, "db1", "tier", PAGES / 2);
	for (size_t i = 0; i < 7; i++)
		machine_unseen(g, hot.page[i], true);
	sim_start(&sim);
	sim_run(&sim, g, &hot, 12);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_non_null(strstr(report.reason, "7 of its pages without accessed bits"));
	assert_int_equal(report.unknown_pages, 7);
	assert_int_equal(machine_pages_on(g, DRAM), PAGES);
	assert_in_range(report.passes, 12, 14);

	for (size_t i = 0; i < 7; i++)
		machine_unseen(g, hot.page[i], false);
	sim_run(&sim, g, &hot, 12);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(machine_pages_on(g, DRAM), PAGES / 2);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(while_some_pages_have_no_accessed_bit_nothing_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
