// SPDX-License-Identifier: GPL-2.0-or-later
/* Whatever is due, no more moves than the rates allow. */
#include "sim.h"

#define PAGES 8192

/* The largest burst at a low rate: a bucket holds one large page. */
#define BURST MIB(2)

struct meter {
	uint64_t start_ns;
	uint64_t bytes_per_s;
};

/* At any moment: what has moved so far fits the time that has passed, and one burst. */
static void rate_is_kept(struct sim *sim)
{
	const struct meter *meter = sim->check_ctx;
	uint64_t moved = machine_counts(sim->machine).moved_pages * PAGE_BYTES;
	uint64_t now_ns = sim->agent->host->ops->now_ns(sim->agent->host);
	double allowed = (double)meter->bytes_per_s * (double)(now_ns - meter->start_ns) / 1e9;

	assert_true((double)moved <= allowed + (double)BURST);
}

static uint64_t run(uint64_t rate, uint64_t host_rate, size_t guests, uint64_t limit)
{
	struct machine_guest *g[4];
	char name[8];
	struct hot_set hot;
	struct meter meter;
	struct sim sim;
	uint64_t moved;

	sim_open(&sim, 200000, 200000);
	sim.config.rate_mib_per_s = rate;
	sim.config.host_rate_mib_per_s = host_rate;
	hot = hot_set_scatter(&sim.dice, PAGES, 90);
	for (size_t i = 0; i < guests; i++) {
		snprintf(name, sizeof(name), "db%zu", i);
		g[i] = machine_add_guest(sim.machine, name, PAGES, CXL, false);
	}
	meter = (struct meter) {.bytes_per_s = MIB(limit), .start_ns = NSEC_PER_SEC};
	sim.check = rate_is_kept;
	sim.check_ctx = &meter;
	sim_start(&sim);
	for (int pass = 0; pass < 8; pass++) {
		for (size_t i = 0; i < guests; i++)
			hot_set_touch(&hot, g[i], &sim.dice, 0);
		sim_period(&sim);
	}
	moved = machine_counts(sim.machine).moved_pages;
	assert_true(machine_counts(sim.machine).longest_move_bytes <= BURST);
	hot_set_free(&hot);
	sim_close(&sim);
	return moved;
}

static void the_rate_of_a_guest_holds(void **state)
{
	/* Four passes of two seconds at 4 MiB/s: 8192 pages. */
	(void)state;
	assert_true(run(4, 0, 1, 4) > 4096);
}

static void the_rate_of_the_host_holds_for_all_guests_together(void **state)
{
	(void)state;
	assert_true(run(0, 4, 3, 4) > 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_of_a_guest_holds),
		cmocka_unit_test(the_rate_of_the_host_holds_for_all_guests_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
