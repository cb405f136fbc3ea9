// SPDX-License-Identifier: GPL-2.0-or-later
/* The share is full of what was hot yesterday: the coldest make room for today's. */
#include "sim.h"

#define PAGES 16384
#define SHARE 4000

static void share_is_kept(struct sim *sim)
{
	assert_true(machine_pages_on(sim->check_ctx, DRAM) <= SHARE);
}

static void a_new_hot_set_takes_the_place_of_the_old_one(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set old, new;
	uint64_t before;

	(void)state;
	sim_open(&sim, 65536, 65536);
	old = hot_set_scatter(&sim.dice, PAGES, 20);
	new = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_policy(&sim, "db1", "tier", SHARE);
	sim.check = share_is_kept;
	sim.check_ctx = g;
	sim_start(&sim);
	sim_run(&sim, g, &old, 6);
	assert_int_equal(hot_set_on(&old, g, DRAM), old.n);
	before = machine_counts(sim.machine).moved_pages;

	sim_run(&sim, g, &new, 12);

	assert_true(hot_set_on(&new, g, DRAM) >= new.n * 95 / 100);
	/* As many out as in, and none twice. */
	assert_true(machine_counts(sim.machine).moved_pages - before <= 2 * new.n);
	hot_set_free(&old);
	hot_set_free(&new);
	sim_close(&sim);
}

static void a_hot_set_larger_than_the_share_does_not_ping_pong(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	uint64_t before;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 60);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_policy(&sim, "db1", "tier", SHARE);
	sim.check = share_is_kept;
	sim.check_ctx = g;
	sim_start(&sim);
	sim_run(&sim, g, &hot, 8);
	assert_int_equal(machine_pages_on(g, DRAM), SHARE);
	before = machine_counts(sim.machine).moved_pages;
	sim_run(&sim, g, &hot, 20);
	assert_int_equal(machine_counts(sim.machine).moved_pages, before);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_hot_set_takes_the_place_of_the_old_one),
		cmocka_unit_test(a_hot_set_larger_than_the_share_does_not_ping_pong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
