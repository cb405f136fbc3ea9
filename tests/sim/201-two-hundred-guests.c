// SPDX-License-Identifier: GPL-2.0-or-later
/* Two hundred guests come and go: no fd and no memory stays behind. */
#include <malloc.h>

#include "sim.h"

#define GUESTS 200
#define PAGES  4096
#define WARM   20

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_FREED_MEMORY true /* the address sanitizer does, on purpose */
#else
#define KEEPS_FREED_MEMORY false
#endif

/* One life: met, harvested, moved, killed, shown as gone, dropped. */
static void live_and_die(struct sim *sim, const struct hot_set *hot, int number)
{
	char name[16];
	struct machine_guest *g;

	snprintf(name, sizeof(name), "guest-%d", number);
	g = machine_add_guest(sim->machine, name, PAGES, CXL, false);
	machine_add_ring(g, 256);
	for (int pass = 0; pass < 5; pass++) {
		hot_set_touch(hot, g, &sim->dice, 10);
		machine_pin(g, dice_below(&sim->dice, PAGES), true);
		machine_push(g, 0, dice_below(&sim->dice, PAGES), false);
		sim_period(sim);
	}
	assert_true(machine_pages_on(g, DRAM) > 0);
	machine_kill(g);
	for (int pass = 0; pass < 4; pass++)
		sim_period(sim);
	assert_int_equal(sim->agent->nguests, 0);
	assert_int_equal(machine_counts(sim->machine).open_vms, 0);
	sim_settle();
}

static void nothing_stays_behind(void **state)
{
	struct sim sim;
	struct hot_set hot;
	size_t fds = 0;
	uint64_t rss = 0, rss_end;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	sim_start(&sim);
	for (int number = 1; number <= GUESTS; number++) {
		live_and_die(&sim, &hot, number);
		if (number < WARM)
			continue;
		if (number == WARM) {
			fds = sim_fds();
			rss = sim_rss_bytes();
		}
		assert_int_equal(sim_fds(), fds);
	}
	rss_end = sim_rss_bytes();
	printf("# resident: %llu KiB after %d guests, %llu KiB after %d\n",
	       (unsigned long long)rss >> 10, WARM, (unsigned long long)rss_end >> 10, GUESTS);
	if (!KEEPS_FREED_MEMORY)
		assert_true(rss_end <= rss + MIB(1));
	hot_set_free(&hot);
	sim_close(&sim);
}

static void many_at_once_leave_nothing_either(void **state)
{
	struct machine_guest *g[50];
	struct sim sim;
	size_t fds;

	(void)state;
	sim_open(&sim, 400000, 400000);
	sim.config.workers = 4;
	sim_start(&sim);
	fds = sim_fds();
	for (size_t i = 0; i < ARRAY_SIZE(g); i++) {
		char name[16];

		snprintf(name, sizeof(name), "guest-%zu", i);
		g[i] = machine_add_guest(sim.machine, name, 1024, CXL, false);
	}
	for (int pass = 0; pass < 5; pass++) {
		for (size_t i = 0; i < ARRAY_SIZE(g); i++)
			for (size_t page = 0; page < 100; page++)
				machine_touch(g[i], page, false);
		sim_period(&sim);
	}
	for (size_t i = 0; i < ARRAY_SIZE(g); i++) {
		assert_int_equal(machine_pages_on(g[i], DRAM), 100);
		machine_kill(g[i]);
	}
	for (int pass = 0; pass < 4; pass++)
		sim_period(&sim);
	assert_int_equal(sim.agent->nguests, 0);
	assert_int_equal(sim_fds(), fds);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_stays_behind),
		cmocka_unit_test(many_at_once_leave_nothing_either),
	};

	mallopt(M_MMAP_THRESHOLD, 128 << 10); /* as main.c does, and for its reason */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
