// SPDX-License-Identifier: GPL-2.0-or-later
/* Following a dirty ring by looking at it now and then. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "test.h"

#include "base/bitmap.h"
#include "base/units.h"
#include "harvest/ring.h"
#include "sim/machine.h"

#define DIRTY KVM_DIRTY_GFN_F_DIRTY
#define RESET KVM_DIRTY_GFN_F_RESET

#define SEEN_MAX 70000

/* What a look told. */
struct told {
	uint64_t offsets[SEEN_MAX];
	size_t n;
};

static void tell(void *ctx, const struct host_ring_entry *entry)
{
	struct told *told = ctx;

	assert_true(told->n < SEEN_MAX);
	told->offsets[told->n++] = entry->offset;
}

/* A ring as KVM and a VMM keep it. Source: virt/kvm/dirty_ring.c, Linux 6.12. */
struct kvm_ring {
	struct host_ring_entry entries[256];
	size_t n;
	uint64_t pushed, harvested, reset;
};

static void kvm_push(struct kvm_ring *k, uint64_t offset)
{
	struct host_ring_entry *e = &k->entries[k->pushed++ % k->n];

	assert_true(k->pushed - k->reset <= k->n);
	e->slot = 0;
	e->offset = offset;
	e->flags = DIRTY;
}

/* QEMU takes up to @max entries: its store replaces DIRTY by RESET. */
static void vmm_harvests(struct kvm_ring *k, uint64_t max)
{
	for (; max && k->harvested < k->pushed; max--)
		k->entries[k->harvested++ % k->n].flags = RESET;
}

static void vmm_resets(struct kvm_ring *k)
{
	for (; k->reset < k->harvested; k->reset++)
		k->entries[k->reset % k->n].flags = 0;
}

static int look(struct ring *ring, const struct kvm_ring *k, struct told *told)
{
	told->n = 0;
	return ring_look(ring, k->entries, k->n, tell, told);
}

static struct ring ring_new(void)
{
	return (struct ring) {.next = RING_NEXT_UNKNOWN};
}

static void the_first_look_tells_what_waits_in_the_ring(void **state)
{
	struct kvm_ring k = {.n = 16};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	for (uint64_t i = 0; i < 5; i++)
		kvm_push(&k, 100 + i);
	vmm_harvests(&k, 2);
	assert_int_equal(look(&ring, &k, &told), 0);
	assert_int_equal(told.n, 5);
	assert_int_equal(told.offsets[0], 100);
	assert_int_equal(told.offsets[4], 104);
	assert_int_equal(ring.next, 5);
	free(ring.entries);
}

static void nothing_new_is_told_twice(void **state)
{
	struct kvm_ring k = {.n = 16};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	kvm_push(&k, 100);
	look(&ring, &k, &told);
	assert_int_equal(look(&ring, &k, &told), 0);
	assert_int_equal(told.n, 0);
	vmm_harvests(&k, 1);
	look(&ring, &k, &told);
	assert_int_equal(told.n, 0);
	vmm_resets(&k);
	look(&ring, &k, &told);
	assert_int_equal(told.n, 0);
	free(ring.entries);
}

static void entries_taken_and_reset_between_two_looks_are_told_all_the_same(void **state)
{
	struct kvm_ring k = {.n = 16};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	look(&ring, &k, &told);
	for (uint64_t i = 0; i < 6; i++)
		kvm_push(&k, 200 + i);
	vmm_harvests(&k, 6);
	vmm_resets(&k);
	assert_int_equal(look(&ring, &k, &told), 0);
	assert_int_equal(told.n, 6);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(told.offsets[i], 200 + i);
	free(ring.entries);
}

static void pushes_across_the_end_of_the_ring_are_told_in_order(void **state)
{
	struct kvm_ring k = {.n = 16, .pushed = 13, .harvested = 13, .reset = 13};
	struct ring ring = {.next = 13};
	static struct told told;

	(void)state;
	look(&ring, &k, &told);
	ring.next = 13;
	for (uint64_t i = 0; i < 6; i++)
		kvm_push(&k, 300 + i);
	assert_int_equal(look(&ring, &k, &told), 0);
	assert_int_equal(told.n, 6);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(told.offsets[i], 300 + i);
	assert_int_equal(ring.next, 3);
	free(ring.entries);
}

static void a_page_pushed_again_at_the_same_place_is_told_with_its_neighbours(void **state)
{
	struct kvm_ring k = {.n = 16};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	for (uint64_t i = 0; i < 16; i++) {
		kvm_push(&k, 400 + i);
		vmm_harvests(&k, 1);
		vmm_resets(&k);
		look(&ring, &k, &told);
	}
	/* Once round: 400 comes to its old place and is reset, 999 comes behind it. */
	kvm_push(&k, 400);
	kvm_push(&k, 999);
	vmm_harvests(&k, 2);
	vmm_resets(&k);
	assert_int_equal(look(&ring, &k, &told), 0);
	assert_int_equal(told.n, 2);
	assert_int_equal(told.offsets[0], 400);
	assert_int_equal(told.offsets[1], 999);
	free(ring.entries);
}

static void a_page_pushed_again_at_the_same_place_is_told_while_it_is_flagged(void **state)
{
	struct kvm_ring k = {.n = 16};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	for (uint64_t i = 0; i < 16; i++)
		kvm_push(&k, 450 + i);
	vmm_harvests(&k, 16);
	vmm_resets(&k);
	look(&ring, &k, &told);
	kvm_push(&k, 450); /* the only change is its flag */
	assert_int_equal(look(&ring, &k, &told), 0);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.offsets[0], 450);
	free(ring.entries);
}

static void pushes_that_leave_the_ring_as_it_was_cannot_be_seen(void **state)
{
	struct kvm_ring k = {.n = 16};
	struct ring ring = ring_new();
	static struct told told;

	/* A limit, not a wish: the bytes of the ring are the same before and after. */
	(void)state;
	for (uint64_t i = 0; i < 16; i++)
		kvm_push(&k, 500 + i);
	vmm_harvests(&k, 16);
	vmm_resets(&k);
	look(&ring, &k, &told);
	kvm_push(&k, 500);
	vmm_harvests(&k, 1);
	vmm_resets(&k);
	assert_int_equal(look(&ring, &k, &told), 0);
	assert_int_equal(told.n, 0);
	free(ring.entries);
}

static void half_a_ring_of_changes_is_reported_as_loss(void **state)
{
	for (uint64_t pushes = 6; pushes <= 10; pushes++) {
		struct kvm_ring k = {.n = 16};
		struct ring ring = ring_new();
		static struct told told;

		(void)state;
		look(&ring, &k, &told);
		for (uint64_t i = 0; i < pushes; i++)
			kvm_push(&k, 600 + i);
		assert_int_equal(look(&ring, &k, &told), pushes >= 8 ? RING_LOSSY : 0);
		assert_int_equal(told.n, pushes);
		free(ring.entries);
	}
}

static void pushes_that_go_round_are_reported_as_loss(void **state)
{
	struct kvm_ring k = {.n = 16};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	look(&ring, &k, &told);
	for (uint64_t i = 0; i < 19; i++) {
		kvm_push(&k, 700 + i);
		vmm_harvests(&k, 1);
		vmm_resets(&k);
	}
	assert_int_equal(look(&ring, &k, &told), RING_LOSSY);
	free(ring.entries);
}

static void sizes_that_kvm_never_makes_are_refused(void **state)
{
	static struct host_ring_entry entries[2 * RING_MAX_ENTRIES];
	static const size_t sizes[] = {0, 3, 15, 65537, 2 * RING_MAX_ENTRIES, SIZE_MAX};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(ring_look(&ring, entries, sizes[i], tell, &told), -EINVAL);
	assert_int_equal(ring_look(&ring, entries, 1, tell, &told), 0);
	assert_int_equal(ring_look(&ring, entries, RING_MAX_ENTRIES, tell, &told), 0);
	free(ring.entries);
}

static void a_ring_of_another_size_is_looked_at_as_a_new_one(void **state)
{
	struct kvm_ring k = {.n = 64};
	struct ring ring = ring_new();
	static struct told told;

	(void)state;
	for (uint64_t i = 0; i < 40; i++)
		kvm_push(&k, i);
	look(&ring, &k, &told);
	assert_int_equal(ring.next, 40);
	k.n = 16;
	memset(k.entries, 0, sizeof(k.entries));
	look(&ring, &k, &told);
	assert_int_equal(told.n, 0);
	k.entries[3] = (struct host_ring_entry) {.flags = DIRTY, .offset = 5};
	look(&ring, &k, &told);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.offsets[0], 5);
	free(ring.entries);
}

static void random_bytes_do_no_harm(void **state)
{
	struct dice dice = dice_new();
	struct ring ring = ring_new();
	static struct host_ring_entry entries[1024];
	static struct told told;

	(void)state;
	for (int round = 0; round < 500; round++) {
		size_t n = 1ULL << dice_below(&dice, 11);

		for (size_t i = 0; i < n * sizeof(entries[0]) / 8; i++)
			if (dice_chance(&dice, 70))
				((uint64_t *)entries)[i] = dice_roll(&dice);
		told.n = 0;
		assert_true(ring_look(&ring, entries, n, tell, &told) >= 0);
		assert_true(told.n <= n);
		assert_true(ring.next == RING_NEXT_UNKNOWN || ring.next < n);
	}
	free(ring.entries);
}

/* ---- a property: a VMM that takes and resets as it likes ---- */

struct follow {
	struct kvm_ring k;
	struct ring ring;
	uint64_t before; /* pushes at the last look */
	uint64_t history[200000];
};

static void push_another(struct dice *dice, struct follow *f)
{
	struct host_ring_entry *e = &f->k.entries[f->k.pushed % f->k.n];
	uint64_t offset;

	/* Any page but the one that stood in this place: see the limit above. */
	do
		offset = dice_below(dice, 40);
	while (offset == e->offset);
	f->history[f->k.pushed] = offset;
	kvm_push(&f->k, offset);
}

static void check_look(struct follow *f, bool first, uint64_t *losses)
{
	static struct told told;
	uint64_t n = f->k.pushed - f->before, told_set = 0, pushed_set = 0;
	int r = look(&f->ring, &f->k, &told);

	assert_true(r >= 0);
	for (size_t i = 0; i < told.n; i++)
		told_set |= 1ULL << told.offsets[i];
	for (uint64_t p = f->before; p < f->k.pushed; p++)
		pushed_set |= 1ULL << f->history[p];
	f->before = f->k.pushed;
	if (first)
		return;
	if (r == RING_LOSSY) {
		(*losses)++;
		assert_true(n >= f->k.n / 2);
		return;
	}
	assert_int_equal(told_set & pushed_set, pushed_set);
	assert_int_equal(told_set, pushed_set);
	assert_int_equal(told.n, n);
}

static void no_page_is_missed_unless_loss_is_reported(void **state)
{
	struct dice dice = dice_new();
	uint64_t losses = 0, looks = 0;

	(void)state;
	for (int round = 0; round < 60; round++) {
		static struct follow f;

		memset(&f, 0, sizeof(f));
		f.k.n = 1ULL << (3 + dice_below(&dice, 6));
		f.ring = ring_new();
		/* The first look finds a ring that has gone round some times already. */
		for (uint64_t i = dice_below(&dice, 300); i; i--) {
			push_another(&dice, &f);
			vmm_harvests(&f.k, 1);
			vmm_resets(&f.k);
		}
		check_look(&f, true, &losses);
		for (int step = 0; step < 2000; step++) {
			uint64_t burst = dice_below(&dice, 1 + dice_below(&dice, f.k.n));

			for (; burst; burst--) {
				if (f.k.pushed - f.k.reset == f.k.n - 1) {
					vmm_harvests(&f.k, f.k.n);
					vmm_resets(&f.k);
				}
				push_another(&dice, &f);
				if (dice_chance(&dice, 30))
					vmm_harvests(&f.k, dice_below(&dice, f.k.n));
				if (dice_chance(&dice, 20))
					vmm_resets(&f.k);
			}
			if (f.k.pushed > 190000)
				break;
			if (dice_chance(&dice, 60)) {
				check_look(&f, false, &losses);
				looks++;
			}
		}
		free(f.ring.entries);
	}
	/* The property would be empty if all were lost, or none. */
	assert_true(losses > 100 && losses < looks / 2);
}

static void a_pass_marks_written_pages_and_counts_what_points_nowhere(void **state)
{
	struct machine *machine = machine_new();
	struct machine_guest *g;
	struct host *host = machine_host(machine);
	struct host_found found = {0};
	struct host_vm *vm = NULL;
	struct kvm_access_slot slot;
	struct host_mapping ram;
	struct memmap *map = NULL;
	struct ring_set *set = ring_set_new(1);
	struct sample *sample;

	(void)state;
	machine_add_node(machine, 0, true, 4, 4096);
	g = machine_add_guest(machine, "db1", 1024, 0, false);
	machine_add_ring(g, 64);
	found.pid = machine_pid(g);
	assert_int_equal(host->ops->vm_open(host, &found, &vm, NULL, NULL), 0);
	slot = (struct kvm_access_slot) {.npages = 1024, .userspace_addr = machine_hva(g, 0)};
	ram = (struct host_mapping) {
		.start = machine_hva(g, 0), .end = machine_hva(g, 1024), .writable = true};
	assert_int_equal(memmap_build(&slot, 1, 2, &ram, 1, NULL, NULL, 1 << 20, &map, NULL), 0);
	sample = sample_new(map->npages, 1, false);

	machine_push(g, 0, 17, false);
	machine_push(g, 0, 1023, true);
	machine_push(g, 0, 1024, false);
	machine_push(g, 5, 17, false);
	ring_set_pass(set, vm, map, sample);
	assert_int_equal(sample->ring_entries, 2);
	assert_int_equal(sample->ring_bad, 2);
	machine_push(g, 0, 18, true);
	machine_push(g, 0, 40, true);
	ring_set_pass(set, vm, map, sample);

	assert_int_equal(sample->ring_entries, 4);
	assert_int_equal(sample->ring_lost, 0);
	assert_int_equal(bitmap_count(sample->written, sample->npages), 2);
	assert_true(bitmap_test(sample->written, 18));
	assert_true(bitmap_test(sample->written, 40));
	sample_free(sample);
	ring_set_free(set);
	memmap_free(map);
	host->ops->vm_close(vm);
	machine_free(machine);
}

static void rings_that_come_later_cost_the_others_nothing(void **state)
{
	struct ring_set *set = ring_set_new(1);
	struct host_ring_entry *entries = set->rings[0].entries = calloc(4, sizeof(*entries));

	(void)state;
	set->rings[0].n = 4;
	set->rings[0].next = 3;
	assert_int_equal(ring_set_grow(set, 3), 0);
	assert_int_equal(set->nrings, 3);
	assert_ptr_equal(set->rings[0].entries, entries);
	assert_int_equal(set->rings[0].n, 4);
	assert_int_equal(set->rings[0].next, 3);
	for (size_t i = 1; i < 3; i++) {
		assert_null(set->rings[i].entries);
		assert_int_equal(set->rings[i].n, 0);
		assert_int_equal(set->rings[i].next, RING_NEXT_UNKNOWN);
	}
	ring_set_free(set);
}

static void a_ring_that_cannot_be_copied_is_passed_over(void **state)
{
	struct machine *machine = machine_new();
	struct machine_guest *g;
	struct host *host = machine_host(machine);
	struct host_found found = {0};
	struct host_vm *vm = NULL;
	struct ring_set *set = ring_set_new(3);
	struct memmap map = {0};
	struct sample *sample = sample_new(64, 1, false);

	(void)state;
	machine_add_node(machine, 0, true, 4, 4096);
	g = machine_add_guest(machine, "db1", 64, 0, false);
	found.pid = machine_pid(g);
	assert_int_equal(host->ops->vm_open(host, &found, &vm, NULL, NULL), 0);
	ring_set_pass(set, vm, &map, sample);
	assert_int_equal(sample->ring_entries, 0);
	sample_free(sample);
	ring_set_free(set);
	host->ops->vm_close(vm);
	machine_free(machine);
}

static int copy_largest_ring(struct host_vm *vm, size_t vcpu, struct host_ring_entry *entries,
			     size_t max, size_t *ret_n)
{
	(void)vm;
	(void)vcpu;
	memset(entries, 0, max * sizeof(*entries));
	*ret_n = max;
	return 0;
}

static void copies_of_very_many_rings_are_bounded_and_the_rest_is_lost(void **state)
{
	const struct host_ops ops = {.vm_ring_copy = copy_largest_ring};
	struct host host = {.ops = &ops};
	struct host_vm vm = {.host = &host};
	struct ring_set *set = ring_set_new(RING_SET_ENTRIES_MAX / RING_MAX_ENTRIES + 6);
	struct memmap map = {0};
	struct sample *sample = sample_new(64, 1, false);

	(void)state;
	for (uint64_t pass = 1; pass <= 2; pass++) {
		ring_set_pass(set, &vm, &map, sample);
		assert_int_equal(set->entries, RING_SET_ENTRIES_MAX);
		assert_int_equal(sample->ring_lost, 6 * pass);
	}
	sample_free(sample);
	ring_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_of_very_many_rings_are_bounded_and_the_rest_is_lost),
		cmocka_unit_test(the_first_look_tells_what_waits_in_the_ring),
		cmocka_unit_test(nothing_new_is_told_twice),
		cmocka_unit_test(entries_taken_and_reset_between_two_looks_are_told_all_the_same),
		cmocka_unit_test(pushes_across_the_end_of_the_ring_are_told_in_order),
		cmocka_unit_test(a_page_pushed_again_at_the_same_place_is_told_with_its_neighbours),
		cmocka_unit_test(a_page_pushed_again_at_the_same_place_is_told_while_it_is_flagged),
		cmocka_unit_test(pushes_that_leave_the_ring_as_it_was_cannot_be_seen),
		cmocka_unit_test(half_a_ring_of_changes_is_reported_as_loss),
		cmocka_unit_test(pushes_that_go_round_are_reported_as_loss),
		cmocka_unit_test(sizes_that_kvm_never_makes_are_refused),
		cmocka_unit_test(a_ring_of_another_size_is_looked_at_as_a_new_one),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(no_page_is_missed_unless_loss_is_reported),
		cmocka_unit_test(a_pass_marks_written_pages_and_counts_what_points_nowhere),
		cmocka_unit_test(rings_that_come_later_cost_the_others_nothing),
		cmocka_unit_test(a_ring_that_cannot_be_copied_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
