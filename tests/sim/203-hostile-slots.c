// SPDX-License-Identifier: GPL-2.0-or-later
/* A process that shows others' memory as guest RAM gets none of it moved. */
#include <string.h>

#include "sim.h"

#define PART  4096
#define PARTS 6
#define PAGES (PARTS * PART)
#define OURS  21
#define ALIEN 13

/* Where each part of the "RAM" really comes from. */
enum part { PART_OWN, PART_LIBRARY, PART_ALIEN, PART_ALIAS, PART_DEVICE, PART_UNMAPPED };

static struct host_mapping mapping(const struct machine_guest *g, enum part part)
{
	struct host_mapping m = {
		.start = machine_hva(g, (size_t)part * PART),
		.end = machine_hva(g, ((size_t)part + 1) * PART),
		.backing = HOST_BACKING_SHMEM,
		.shared = true,
		.writable = true,
		.dev = 1,
		.ino = OURS,
	};

	if (part == PART_LIBRARY) {
		m.backing = HOST_BACKING_FILE;
		m.ino = 77;
	} else if (part == PART_ALIEN) {
		m.ino = ALIEN;
	} else if (part == PART_DEVICE) {
		m.backing = HOST_BACKING_SPECIAL;
		m.ino = 0;
	}
	return m;
}

static void touch_all(struct machine_guest *g)
{
	for (size_t i = 0; i < PAGES; i++)
		machine_touch(g, i, true);
}

static void only_what_is_its_own_ram_moves(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct host_mapping maps[PARTS];
	struct kvm_access_slot slots[PARTS];
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "mallory", PAGES, CXL, false);
	for (int p = 0; p < PARTS; p++) {
		maps[p] = mapping(g, (enum part)p);
		slots[p] = (struct kvm_access_slot) {
			.slot = (uint32_t)p,
			.base_gfn = (uint64_t)p * 0x10000,
			.npages = PART,
			.userspace_addr = maps[p].start,
		};
	}
	machine_hold_file(sim.machine, ALIEN, 4711);
	machine_set_maps(g, maps, PART_UNMAPPED);
	machine_change_slots(g, slots, PARTS);
	sim_start(&sim);
	for (int pass = 0; pass < 10; pass++) {
		touch_all(g);
		sim_period(&sim);
	}
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(machine_node_of(g, i), i / PART == PART_OWN ? DRAM : CXL);
	assert_true(sim_report(&sim, "mallory", &report));
	assert_int_equal(report.ram_pages, PART);
	assert_int_equal(report.skipped_pages, 5 * PART);
	assert_true(report.skipped_reason[0] != '\0');
	sim_close(&sim);
}

static void memory_that_another_process_has_let_go_of_is_moved_then(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct host_mapping map;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	map = mapping(g, PART_ALIEN);
	map.start = machine_hva(g, 0);
	map.end = machine_hva(g, PAGES);
	machine_set_maps(g, &map, 1);
	machine_hold_file(sim.machine, ALIEN, 4711);
	sim_start(&sim);
	for (int pass = 0; pass < 5; pass++) {
		touch_all(g);
		sim_period(&sim);
	}
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_non_null(strstr(report.reason, "also held by process 4711"));
	assert_int_equal(machine_counts(sim.machine).moves, 0);

	machine_hold_file(sim.machine, ALIEN, 0);
	for (int pass = 0; pass < 75; pass++) {
		touch_all(g);
		sim_period(&sim);
	}
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "active");
	assert_int_equal(report.skipped_pages, 0);
	assert_int_equal(machine_pages_on(g, DRAM), PAGES);
	sim_close(&sim);
}

/* The slots stay, the process maps something else over its RAM. */
static void run_remapped(struct host_mapping over)
{
	struct sim sim;
	struct machine_guest *g;
	struct host_mapping own = {
		.backing = HOST_BACKING_SHMEM,
		.shared = true,
		.writable = true,
		.dev = 1,
		.ino = OURS,
	};
	uint64_t before;

	sim_open(&sim, 65536, 65536);
	sim.config.rate_mib_per_s = 8; /* so that some is left to be moved */
	g = machine_add_guest(sim.machine, "mallory", PAGES, CXL, false);
	machine_hold_file(sim.machine, ALIEN, 4711);
	own.start = machine_hva(g, 0);
	own.end = machine_hva(g, PAGES);
	machine_set_maps(g, &own, 1);
	sim_start(&sim);
	for (int pass = 0; pass < 3; pass++) {
		touch_all(g);
		sim_period(&sim);
	}
	before = machine_counts(sim.machine).moved_pages;
	assert_in_range(before, 1, PAGES / 2);

	over.start = machine_hva(g, 0);
	over.end = machine_hva(g, PAGES);
	machine_set_maps(g, &over, 1);
	for (int pass = 0; pass < 6; pass++) {
		touch_all(g);
		sim_period(&sim);
	}

	assert_int_equal(machine_counts(sim.machine).moved_pages, before);
	sim_close(&sim);
}

static void a_library_mapped_over_ram_is_noticed_before_anything_moves(void **state)
{
	(void)state;
	run_remapped((struct host_mapping) {.backing = HOST_BACKING_FILE, .ino = 77});
}

static void another_guests_memfd_mapped_over_ram_is_noticed_before_anything_moves(void **state)
{
	(void)state;
	run_remapped((struct host_mapping) {.backing = HOST_BACKING_SHMEM,
					    .shared = true,
					    .writable = true,
					    .dev = 1,
					    .ino = ALIEN});
}

static void absurd_slots_harm_nobody(void **state)
{
	struct sim sim;
	struct machine_guest *g, *other;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "mallory", 1024, CXL, false);
	other = machine_add_guest(sim.machine, "db1", 1024, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 40; pass++) {
		struct kvm_access_slot slots[64];

		for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
			uint64_t *words = (uint64_t *)&slots[i];

			for (size_t w = 0; w < sizeof(slots[i]) / sizeof(*words); w++)
				words[w] = dice_roll(&sim.dice) >> dice_below(&sim.dice, 64);
			slots[i].npages %= 1 << 20;
			slots[i].as_id &= 1;
			if (dice_chance(&sim.dice, 30))
				slots[i].userspace_addr = machine_hva(g, 0);
		}
		machine_change_slots(g, slots, dice_below(&sim.dice, ARRAY_SIZE(slots)));
		for (size_t i = 0; i < 100; i++)
			machine_touch(other, i, false);
		sim_period(&sim);
	}
	assert_int_equal(machine_pages_on(other, DRAM), 100);
	sim_close(&sim);
}

static void a_claim_of_more_ram_than_any_host_has_is_refused_in_words(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct host_mapping map;
	struct kvm_access_slot slot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "mallory", 1024, CXL, false);
	map = (struct host_mapping) {
		.start = machine_hva(g, 0),
		.end = machine_hva(g, 1ULL << 30),
		.backing = HOST_BACKING_ANON,
		.writable = true,
	};
	slot = (struct kvm_access_slot) {.npages = 1ULL << 30, .userspace_addr = map.start};
	machine_set_maps(g, &map, 1);
	machine_change_slots(g, &slot, 1);
	sim_start(&sim);
	sim_period(&sim);
	assert_true(sim_report(&sim, "mallory", &report));
	assert_string_equal(report.state, "degraded");
	assert_non_null(strstr(report.reason, "claim more than"));
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_its_own_ram_moves),
		cmocka_unit_test(memory_that_another_process_has_let_go_of_is_moved_then),
		cmocka_unit_test(a_library_mapped_over_ram_is_noticed_before_anything_moves),
		cmocka_unit_test(
			another_guests_memfd_mapped_over_ram_is_noticed_before_anything_moves),
		cmocka_unit_test(absurd_slots_harm_nobody),
		cmocka_unit_test(a_claim_of_more_ram_than_any_host_has_is_refused_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
