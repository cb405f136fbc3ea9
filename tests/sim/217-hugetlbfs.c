// SPDX-License-Identifier: GPL-2.0-or-later
/* RAM of hugetlbfs: pages of 2 MiB move whole however they are mapped, larger ones stay. */
#include <string.h>

#include "sim.h"

#define BLOCKS 32
#define PAGES  (BLOCKS * 512)

static void pages_of_2_mib_move_whole_though_mapped_by_small_entries(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, BLOCKS, 25);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_use_hugetlb(g, MIB(2));
	machine_fragment(sim.machine, DRAM, 0); /* they come from a pool */
	sim_policy(&sim, "db1", "tier", (hot.n + 2) * 512);
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		for (size_t i = 0; i < hot.n; i++)
			machine_touch(g, hot.page[i] * 512 + 77, true);
		sim_period(&sim);
	}
	for (size_t b = 0; b < BLOCKS; b++)
		for (size_t i = b * 512; i < b * 512 + 512; i++)
			assert_int_equal(machine_node_of(g, i), hot.is_hot[b] ? DRAM : CXL);
	/* Each moved once and was counted whole. */
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(machine_counts(sim.machine).moved_pages, hot.n * 512);
	assert_int_equal(report.dir[DIRECTION_PROMOTE].done_pages, hot.n * 512);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void pages_of_1_gib_stay_and_are_told_of(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, true);
	machine_use_hugetlb(g, MIB(1024));
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++) {
		for (size_t i = 0; i < PAGES; i += 512)
			machine_touch(g, i, true);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(g, CXL), PAGES);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.skipped_pages, PAGES);
	assert_non_null(strstr(report.skipped_reason, "hugetlbfs pages of 1.0 GiB"));
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_2_mib_move_whole_though_mapped_by_small_entries),
		cmocka_unit_test(pages_of_1_gib_stay_and_are_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
