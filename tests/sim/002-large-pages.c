// SPDX-License-Identifier: GPL-2.0-or-later
/* RAM mapped by 2 MiB entries moves in whole blocks. */
#include "sim.h"

#define BLOCKS 64
#define PAGES  (BLOCKS * 512)

static void hot_blocks_move_whole(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, BLOCKS, 25);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, true);
	sim_policy(&sim, "db1", "tier", (hot.n + 2) * 512);
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++) {
		for (size_t i = 0; i < hot.n; i++)
			machine_touch(g, hot.page[i] * 512 + dice_below(&sim.dice, 512), true);
		sim_period(&sim);
	}
	for (size_t b = 0; b < BLOCKS; b++)
		for (size_t i = b * 512; i < b * 512 + 512; i++)
			assert_int_equal(machine_node_of(g, i), hot.is_hot[b] ? DRAM : CXL);
	assert_int_equal(machine_counts(sim.machine).moved_pages, hot.n * 512);
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.large_pages, PAGES);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_share_that_holds_no_block_takes_none(void **state)
{
	struct sim sim;
	struct machine_guest *g;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, true);
	sim_policy(&sim, "db1", "tier", 511);
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++) {
		machine_touch(g, 700, true);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(g, DRAM), 0);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hot_blocks_move_whole),
		cmocka_unit_test(a_share_that_holds_no_block_takes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
