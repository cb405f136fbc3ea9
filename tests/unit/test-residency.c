// SPDX-License-Identifier: GPL-2.0-or-later
/* Where pages lie that the harvest does not see, a slice at a time. */
#include <errno.h>
#include <string.h>

#include "test.h"

#include "base/bitmap.h"
#include "base/units.h"
#include "discover/residency.h"
#include "sim/machine.h"

#define SLICE RESIDENCY_SLICE_PAGES

struct bench {
	struct machine *machine;
	struct machine_guest *g;
	struct host_vm *vm;
	struct memmap *map;
	struct heatmap *heat;
	struct residency_slice slice;
};

/* Nodes 0 and 3, that is indices 0 and 1; RAM of @npages from page @from on. */
static void bench_open(struct bench *b, size_t npages, size_t from)
{
	struct host_found found = {0};
	struct kvm_access_slot slot;
	struct host_mapping ram = {.writable = true};

	b->machine = machine_new();
	machine_add_node(b->machine, 0, true, 4, 1 << 20);
	machine_add_node(b->machine, 3, false, 45, 1 << 20);
	b->g = machine_add_guest(b->machine, "db1", from + npages, 3, false);
	found.pid = machine_pid(b->g);
	assert_int_equal(
		machine_host(b->machine)
			->ops->vm_open(machine_host(b->machine), &found, &b->vm, NULL, NULL),
		0);
	slot = (struct kvm_access_slot) {.npages = npages,
					 .userspace_addr = machine_hva(b->g, from)};
	ram.start = machine_hva(b->g, from);
	ram.end = machine_hva(b->g, from + npages);
	assert_int_equal(memmap_build(&slot, 1, 2, &ram, 1, NULL, NULL, 1 << 20, &b->map, NULL), 0);
	b->heat = heatmap_new(b->map->npages, 2);
	assert_int_equal(residency_slice_init(&b->slice, RESIDENCY_SLICE_PAGES), 0);
}

static void bench_close(struct bench *b)
{
	residency_slice_deinit(&b->slice);
	heatmap_free(b->heat);
	memmap_free(b->map);
	b->vm->host->ops->vm_close(b->vm);
	machine_free(b->machine);
}

static void a_slice_tells_nodes_by_index_and_holes(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1000, 0);
	machine_discard(b.g, 17);
	residency_read(b.vm, b.map, 0, &b.slice);
	assert_int_equal(b.slice.index, 0);
	assert_int_equal(b.slice.n, b.map->npages);
	assert_int_equal(b.slice.nodes[16], 1);
	assert_int_equal(b.slice.nodes[17], -1);
	assert_int_equal(b.slice.nodes[1000], RESIDENCY_UNKNOWN);
	assert_int_equal(residency_apply(b.heat, NULL, &b.slice), b.map->npages);
	assert_int_equal(heatmap_node(b.heat, 16), 1);
	assert_int_equal(heatmap_node(b.heat, 17), -1);
	assert_int_equal(heatmap_node(b.heat, 1000), -1);
	bench_close(&b);
}

static void ram_that_starts_within_a_block_keeps_its_indices(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1000, 100);
	residency_read(b.vm, b.map, 0, &b.slice);
	assert_int_equal(b.slice.nodes[99], RESIDENCY_UNKNOWN);
	assert_int_equal(b.slice.nodes[100], 1);
	assert_int_equal(b.slice.nodes[1099], 1);
	assert_int_equal(b.slice.nodes[1100], RESIDENCY_UNKNOWN);
	bench_close(&b);
}

static void slices_go_round_a_big_guest(void **state)
{
	struct bench b;
	uint64_t next = 0;

	(void)state;
	bench_open(&b, 2 * SLICE + 1000, 0);
	for (int slice = 0; slice < 3; slice++) {
		residency_read(b.vm, b.map, next, &b.slice);
		assert_int_equal(b.slice.index, (uint64_t)slice * SLICE);
		next = residency_apply(b.heat, NULL, &b.slice);
	}
	assert_int_equal(next, b.map->npages);
	for (uint64_t i = 0; i < 2 * SLICE + 1000; i++)
		assert_int_equal(heatmap_node(b.heat, i), 1);
	residency_read(b.vm, b.map, next, &b.slice);
	assert_int_equal(b.slice.index, 0);
	residency_read(b.vm, b.map, UINT64_MAX, &b.slice);
	assert_int_equal(b.slice.index, 0);
	bench_close(&b);
}

static void where_the_harvest_saw_a_page_it_knows_better(void **state)
{
	struct bench b;
	struct sample *sample;

	(void)state;
	bench_open(&b, 1000, 0);
	sample = sample_new(b.map->npages, 2, false);
	bitmap_set(sample->present, 5);
	heatmap_place(b.heat, 5, 0);
	heatmap_place(b.heat, 6, 0);
	residency_read(b.vm, b.map, 0, &b.slice);
	residency_apply(b.heat, sample, &b.slice);
	assert_int_equal(heatmap_node(b.heat, 5), 0);
	assert_int_equal(heatmap_node(b.heat, 6), 1);
	sample_free(sample);
	bench_close(&b);
}

static int cannot_tell(struct host_vm *vm, uint64_t hva, size_t npages, int8_t *nodes)
{
	(void)vm;
	(void)hva;
	(void)npages;
	(void)nodes;
	return -EPERM;
}

static void a_slice_that_cannot_be_read_changes_nothing(void **state)
{
	struct bench b;
	struct host_ops ops;
	struct host host = {.ops = &ops};
	struct host_vm vm = {.host = &host};

	(void)state;
	bench_open(&b, 1000, 0);
	ops = *b.vm->host->ops;
	ops.vm_residency = cannot_tell;
	heatmap_place(b.heat, 6, 0);
	residency_read(&vm, b.map, 0, &b.slice);
	assert_int_equal(b.slice.n, 0);
	residency_apply(b.heat, NULL, &b.slice);
	assert_int_equal(heatmap_node(b.heat, 6), 0);
	bench_close(&b);
}

static void a_guest_without_ram_has_an_empty_slice(void **state)
{
	struct bench b;
	struct memmap empty = {.npages = 0};

	(void)state;
	bench_open(&b, 64, 0);
	residency_read(b.vm, &empty, 0, &b.slice);
	assert_int_equal(b.slice.n, 0);
	bench_close(&b);
}

static void a_slice_of_an_older_larger_layout_stays_within_the_map(void **state)
{
	struct bench b;
	struct heatmap *small = heatmap_new(512, 2);

	(void)state;
	bench_open(&b, 1000, 0);
	residency_read(b.vm, b.map, 0, &b.slice);
	residency_apply(small, NULL, &b.slice);
	assert_int_equal(heatmap_node(small, 511), 1);
	heatmap_free(small);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slice_tells_nodes_by_index_and_holes),
		cmocka_unit_test(ram_that_starts_within_a_block_keeps_its_indices),
		cmocka_unit_test(slices_go_round_a_big_guest),
		cmocka_unit_test(where_the_harvest_saw_a_page_it_knows_better),
		cmocka_unit_test(a_slice_that_cannot_be_read_changes_nothing),
		cmocka_unit_test(a_guest_without_ram_has_an_empty_slice),
		cmocka_unit_test(a_slice_of_an_older_larger_layout_stays_within_the_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
