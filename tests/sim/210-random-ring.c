// SPDX-License-Identifier: GPL-2.0-or-later
/* A VMM that fills its dirty ring with random bytes fools itself at most. */
#include <string.h>

#include "sim.h"

#define PAGES	8192
#define SHARE	1000
#define ENTRIES 1024

static void share_is_kept(struct sim *sim)
{
	assert_true(machine_pages_on(sim->check_ctx, DRAM) <= SHARE);
}

static void random_ring(struct dice *dice, struct host_ring_entry *entries)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		entries[i].flags = (uint32_t)dice_roll(dice);
		entries[i].slot = (uint32_t)dice_roll(dice);
		entries[i].offset = dice_roll(dice);
		if (dice_chance(dice, 30)) {
			entries[i].slot = 0;
			entries[i].offset = dice_below(dice, 2 * PAGES);
		}
	}
}

static void random_bytes_in_the_ring_move_nothing_but_its_own_ram(void **state)
{
	static struct host_ring_entry entries[ENTRIES];
	struct sim sim;
	struct machine_guest *g, *other;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "mallory", PAGES, CXL, false);
	other = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_add_ring(g, ENTRIES);
	sim_policy(&sim, "mallory", "tier", SHARE);
	sim.check = share_is_kept;
	sim.check_ctx = g;
	sim_start(&sim);
	for (int pass = 0; pass < 50; pass++) {
		random_ring(&sim.dice, entries);
		machine_fill_ring(g, entries);
		for (size_t i = 0; i < 100; i++)
			machine_touch(other, i, false);
		sim_period(&sim);
	}
	assert_true(sim_report(&sim, "mallory", &report));
	assert_string_equal(report.source, "kvm+ring");
	assert_true(report.ring_bad > 1000);
	assert_true(report.ring_lost > 10);
	assert_true(report.written_pages <= PAGES);
	assert_int_equal(machine_pages_on(other, DRAM), 100);
	sim_close(&sim);
}

static void written_pages_count_as_accessed(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_add_ring(g, ENTRIES);
	sim_start(&sim);
	for (int pass = 0; pass < 6; pass++) {
		for (uint64_t page = 0; page < 50; page++)
			machine_push(g, 0, page * 7 + (uint64_t)pass % 2, true);
		sim_period(&sim);
	}
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.written_pages, 50);
	assert_int_equal(report.ring_lost, 0);
	assert_int_equal(report.ring_bad, 0);
	/* Each of the two sets of 50 was written in 2 of 4 passes: 2 of 3 once in a while. */
	assert_true(machine_pages_on(g, DRAM) >= 50);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_bytes_in_the_ring_move_nothing_but_its_own_ram),
		cmocka_unit_test(written_pages_count_as_accessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
