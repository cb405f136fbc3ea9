// SPDX-License-Identifier: GPL-2.0-or-later
/* The memslot table changes under way: a pass is lost, what is known of the pages is not. */
#include "sim.h"

#define PAGES 16384
#define HALF  (PAGES / 2)

/* Slots from page @from on, as KVM shows them when memory has been plugged or split. */
static struct kvm_access_slot slot_of(const struct machine_guest *g, uint32_t id, uint64_t gfn,
				      size_t from, size_t npages)
{
	return (struct kvm_access_slot) {
		.slot = id,
		.base_gfn = gfn,
		.npages = npages,
		.userspace_addr = machine_hva(g, from),
	};
}

static void a_guest_that_is_met_before_it_has_memory_is_served_when_it_has(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct kvm_access_slot slot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	slot = slot_of(g, 0, 0, 0, PAGES);
	machine_change_slots(g, &slot, 0);
	sim_start(&sim);
	sim_run(&sim, g, &hot, 5);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_string_equal(report.reason, "it has no memory yet");
	machine_change_slots(g, &slot, 1);
	sim_run(&sim, g, &hot, 8);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "active");
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void heat_follows_its_pages_to_their_new_indices(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct kvm_access_slot slots[2];
	struct report_guest report;
	uint64_t upper_hot = 0, dram_before;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	slots[0] = slot_of(g, 1, 0x100000, HALF, HALF);
	slots[1] = slot_of(g, 0, 0, 0, HALF);
	machine_change_slots(g, slots, 1); /* at first the upper half only */
	for (size_t i = 0; i < hot.n; i++)
		upper_hot += hot.page[i] >= HALF;
	sim_start(&sim);
	sim_run(&sim, g, &hot, 5);
	dram_before = machine_pages_on(g, DRAM);
	assert_int_equal(dram_before, upper_hot);
	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.ram_pages, HALF);
	assert_int_equal(report.hot_dram_pages, upper_hot);
	assert_int_equal(report.stale_passes, 0);

	/* The lower half is plugged in, and every index of the upper half shifts. */
	machine_change_slots(g, slots, 2);
	machine_set_facts(g, true, false, false); /* pinned, so that nothing moves meanwhile */
	sim_period(&sim);

	assert_true(sim_report(&sim, "db1", &report));
	assert_int_equal(report.stale_passes, 1);
	assert_int_equal(report.ram_pages, PAGES);
	/* Nobody has touched anything since: hot is what was hot. */
	assert_int_equal(report.hot_dram_pages, upper_hot);
	assert_int_equal(report.node_pages[DRAM], dram_before);
	machine_set_facts(g, false, false, false);
	sim_run(&sim, g, &hot, 5);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	assert_int_equal(machine_pages_on(g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_table_that_changes_all_the_time_stops_nothing_else(void **state)
{
	struct sim sim;
	struct machine_guest *g, *other;
	struct hot_set hot;
	struct kvm_access_slot slot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, HALF, 20);
	g = machine_add_guest(sim.machine, "db1", HALF, CXL, false);
	other = machine_add_guest(sim.machine, "db2", HALF, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 12; pass++) {
		slot = slot_of(g, 0, 0x1000 + dice_below(&sim.dice, 0x1000), 0,
			       HALF - dice_below(&sim.dice, 1000));
		machine_change_slots(g, &slot, 1);
		hot_set_touch(&hot, g, &sim.dice, 0);
		hot_set_touch(&hot, other, &sim.dice, 0);
		sim_period(&sim);
	}
	assert_int_equal(hot_set_on(&hot, other, DRAM), hot.n);
	/* And its own passes go on, too. */
	assert_true(hot_set_on(&hot, g, DRAM) >= hot.n * 80 / 100);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void memory_that_is_unplugged_is_left_alone(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct kvm_access_slot slot;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 2; pass++) {
		slot = slot_of(g, 0, 0, 0, HALF);
		if (pass == 1)
			machine_change_slots(g, &slot, 1);
		hot_set_touch(&hot, g, &sim.dice, 0);
		sim_period(&sim);
	}
	sim_run(&sim, g, &hot, 4);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(machine_node_of(g, i), i < HALF && hot.is_hot[i] ? DRAM : CXL);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_that_is_met_before_it_has_memory_is_served_when_it_has),
		cmocka_unit_test(heat_follows_its_pages_to_their_new_indices),
		cmocka_unit_test(a_table_that_changes_all_the_time_stops_nothing_else),
		cmocka_unit_test(memory_that_is_unplugged_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
