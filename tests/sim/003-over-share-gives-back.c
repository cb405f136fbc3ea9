// SPDX-License-Identifier: GPL-2.0-or-later
/* A guest that was started in DRAM gives back what its share does not hold. */
#include "sim.h"

#define PAGES 16384
#define SHARE 4096

static void the_coldest_leave_dram_and_the_hot_set_stays(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, DRAM, false);
	sim_policy(&sim, "db1", "tier", SHARE);
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		hot_set_touch(&hot, g, &sim.dice, 30);
		sim_period(&sim);
	}
	/* A stray or two may just be waiting for the room that was made for it. */
	assert_in_range(machine_pages_on(g, DRAM), SHARE - 30, SHARE);
	assert_true(hot_set_on(&hot, g, DRAM) >= hot.n * 99 / 100);
	assert_true(machine_counts(sim.machine).moved_pages <= (PAGES - SHARE) * 102 / 100);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_coldest_leave_dram_and_the_hot_set_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
