// SPDX-License-Identifier: GPL-2.0-or-later
/* A scattered hot set on CXL comes to DRAM, and little else does. */
#include "sim.h"

#define PAGES 32768

struct limits {
	struct machine_guest *g;
	size_t share;
};

static void share_is_kept(struct sim *sim)
{
	const struct limits *limits = sim->check_ctx;

	assert_true(machine_pages_on(limits->g, DRAM) <= limits->share);
}

static void run(uint64_t rate_mib_per_s, int passes)
{
	struct sim sim;
	struct limits limits;
	struct hot_set hot;
	size_t stray;

	sim_open(&sim, 65536, 65536);
	sim.config.rate_mib_per_s = rate_mib_per_s;
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	limits.share = hot.n * 5 / 4;
	limits.g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_policy(&sim, "db1", "tier", limits.share);
	sim.check = share_is_kept;
	sim.check_ctx = &limits;
	sim_start(&sim);
	for (size_t i = 0; i < PAGES; i++)
		machine_touch(limits.g, i, true);

	for (int pass = 0; pass < passes; pass++) {
		hot_set_touch(&hot, limits.g, &sim.dice, PAGES / 200);
		sim_period(&sim);
	}

	assert_true(hot_set_on(&hot, limits.g, DRAM) >= hot.n * 95 / 100);
	stray = machine_pages_on(limits.g, DRAM) - hot_set_on(&hot, limits.g, DRAM);
	assert_true(stray <= hot.n / 10);
	/* Each hot page came once; nothing went to and fro. */
	assert_true(machine_counts(sim.machine).moved_pages <= hot.n * 110 / 100);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_hot_set_is_in_dram_after_five_passes(void **state)
{
	(void)state;
	run(256, 5);
}

static void with_a_low_rate_it_takes_longer_and_ends_the_same(void **state)
{
	/* 25 MiB at 2 MiB/s: some seven periods of two seconds. */
	(void)state;
	run(2, 12);
}

static void a_guest_that_waits_for_its_pace_holds_up_no_other(void **state)
{
	struct sim sim;
	struct machine_guest *a, *b;
	struct hot_set hot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	sim.config.rate_mib_per_s = 2;
	hot = hot_set_scatter(&sim.dice, 8192, 20);
	a = machine_add_guest(sim.machine, "db1", 8192, CXL, false);
	b = machine_add_guest(sim.machine, "db2", 8192, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		hot_set_touch(&hot, a, &sim.dice, 0);
		hot_set_touch(&hot, b, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_true(hot_set_on(&hot, a, DRAM) >= hot.n * 95 / 100);
	assert_true(hot_set_on(&hot, b, DRAM) >= hot.n * 95 / 100);
	hot_set_free(&hot);
	sim_close(&sim);
}

/* What the guest did before it was met, or while it was not looked at, says nothing of heat. */
static void what_was_accessed_before_the_first_pass_does_not_count(void **state)
{
	struct sim sim;
	struct machine_guest *g;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", 4096, CXL, false);
	for (size_t i = 0; i < 4096; i++)
		machine_touch(g, i, true);
	sim_start(&sim);
	for (size_t i = 0; i < 1000; i++)
		machine_touch(g, i, false);
	for (int pass = 0; pass < 5; pass++)
		sim_period(&sim);
	assert_int_equal(machine_pages_on(g, DRAM), 0);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_accessed_before_the_first_pass_does_not_count),
		cmocka_unit_test(a_hot_set_is_in_dram_after_five_passes),
		cmocka_unit_test(with_a_low_rate_it_takes_longer_and_ends_the_same),
		cmocka_unit_test(a_guest_that_waits_for_its_pace_holds_up_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
