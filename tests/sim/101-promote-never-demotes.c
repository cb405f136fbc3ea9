// SPDX-License-Identifier: GPL-2.0-or-later
/* Mode promote: in, never out, though the share is full and hot pages wait. */
#include "sim.h"

#define PAGES 8192
#define SHARE 1000

static void nothing_ever_goes_out(struct sim *sim)
{
	static size_t before;
	size_t now = machine_pages_on(sim->check_ctx, DRAM);

	assert_true(now >= before && now <= SHARE);
	before = now;
}

static void a_full_share_stays_as_it_is(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set old, new;

	(void)state;
	sim_open(&sim, 65536, 65536);
	old = hot_set_scatter(&sim.dice, PAGES, 20);
	new = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_policy(&sim, "db1", "promote", SHARE);
	sim.check = nothing_ever_goes_out;
	sim.check_ctx = g;
	sim_start(&sim);
	for (int pass = 0; pass < 30; pass++) {
		hot_set_touch(pass < 8 ? &old : &new, g, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(hot_set_on(&old, g, DRAM), SHARE);
	assert_int_equal(machine_counts(sim.machine).moved_pages, SHARE);
	hot_set_free(&old);
	hot_set_free(&new);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_share_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
