// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DRAM has memory, but not in blocks of 2 MiB: large pages stay whole where they
 * are until there are blocks, and small ones do not wait for them.
 */
#include "migrate/batch.h"
#include "sim.h"

#define BLOCKS 32
#define PAGES  (BLOCKS * 512)

static void touch_blocks(struct sim *sim, struct machine_guest *g)
{
	for (size_t i = 0; i < BLOCKS; i++)
		machine_touch(g, i * 512 + dice_below(&sim->dice, 512), true);
}

static void large_pages_wait_for_whole_blocks(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	uint64_t failed;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, true);
	machine_fragment(sim.machine, DRAM, 0);
	sim_start(&sim);
	for (int pass = 0; pass < 60; pass++) {
		touch_blocks(&sim, g);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(g, DRAM), 0);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	/* Tried at once and again 10, 20 and 40 s later, not with each of 60 passes. */
	failed = sim_failed(&sim, "db1", CAUSE_NO_HUGE_PAGE);
	assert_in_range(failed, 2 * PAGES, 4 * PAGES);

	machine_fragment(sim.machine, DRAM, BLOCKS + BATCH_SPARE_BLOCKS);
	for (int pass = 0; pass < 90; pass++) {
		touch_blocks(&sim, g);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(g, DRAM), PAGES);
	assert_int_equal(machine_counts(sim.machine).split_blocks, 0);
	sim_close(&sim);
}

static void small_pages_go_meanwhile(void **state)
{
	struct sim sim;
	struct machine_guest *g;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, true);
	machine_split(g, 0);
	machine_fragment(sim.machine, DRAM, 0);
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++) {
		for (size_t i = 0; i < 512; i++)
			machine_touch(g, i, true);
		touch_blocks(&sim, g);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(g, DRAM), 512);
	assert_int_equal(machine_counts(sim.machine).split_blocks, 0);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_pages_wait_for_whole_blocks),
		cmocka_unit_test(small_pages_go_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
