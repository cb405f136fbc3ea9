// SPDX-License-Identifier: GPL-2.0-or-later
/* From slots and mappings to page indices, with slots and mappings that lie. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "test.h"

#include "base/bitmap.h"
#include "base/units.h"
#include "discover/memslot.h"

#define HVA	  0x7f0000000000ULL /* a multiple of 2 MiB */
#define PAGES(n)  ((uint64_t)(n)*PAGE_BYTES)
#define NO_LIMIT  (1ULL << 40)
#define NO_INDEX  UINT64_MAX
#define OTHER_PID 4711

static struct kvm_access_slot slot_of(uint32_t id, uint64_t gfn, uint64_t npages, uint64_t hva)
{
	return (struct kvm_access_slot) {
		.slot = id,
		.base_gfn = gfn,
		.npages = npages,
		.userspace_addr = hva,
	};
}

static struct host_mapping anonymous(uint64_t hva, uint64_t npages)
{
	return (struct host_mapping) {
		.start = hva,
		.end = hva + PAGES(npages),
		.backing = HOST_BACKING_ANON,
		.writable = true,
	};
}

static struct host_mapping memfd(uint64_t hva, uint64_t npages, uint64_t ino, uint64_t offset_pages)
{
	return (struct host_mapping) {
		.start = hva,
		.end = hva + PAGES(npages),
		.backing = HOST_BACKING_SHMEM,
		.shared = true,
		.writable = true,
		.dev = 1,
		.ino = ino,
		.offset = PAGES(offset_pages),
	};
}

static struct host_mapping hugetlb(uint64_t hva, uint64_t npages, uint64_t page_bytes)
{
	struct host_mapping m = memfd(hva, npages, 31, 0);

	m.backing = HOST_BACKING_HUGETLB;
	m.page_bytes = page_bytes;
	return m;
}

/* Inode 13 is held by somebody else. */
static int inode_13_is_foreign(void *ctx, uint64_t dev, uint64_t ino)
{
	(void)ctx;
	(void)dev;
	return ino == 13 ? OTHER_PID : 0;
}

static struct memmap *build(const struct kvm_access_slot *slots, size_t nslots,
			    const struct host_mapping *maps, size_t nmaps)
{
	struct error err = {0};
	struct memmap *map = NULL;

	assert_int_equal(memmap_build(slots, nslots, 7, maps, nmaps, inode_13_is_foreign, NULL,
				      NO_LIMIT, &map, &err),
			 0);
	return map;
}

static void memmap_freep(struct memmap **map)
{
	memmap_free(*map);
}

#define _memmap_ _cleanup_(memmap_freep) struct memmap *

static void one_slot_becomes_one_area_at_index_zero(void **state)
{
	struct kvm_access_slot slot = slot_of(0, 0x100, 1000, HVA);
	struct host_mapping ram = anonymous(HVA, 1000);
	_memmap_ map = build(&slot, 1, &ram, 1);

	(void)state;
	assert_int_equal(map->generation, 7);
	assert_int_equal(map->nareas, 1);
	assert_int_equal(map->ram_pages, 1000);
	assert_int_equal(map->npages, 1024);
	assert_int_equal(map->skipped_pages, 0);
	assert_string_equal(map->skipped_reason, "");
	assert_int_equal(memmap_hva(map, 0), HVA);
	assert_int_equal(memmap_hva(map, 999), HVA + PAGES(999));
	assert_int_equal(memmap_hva(map, 1000), 0);
	assert_true(memmap_index(map, HVA - 1) == NO_INDEX);
	assert_int_equal(memmap_index(map, HVA + 5), 0);
	assert_true(memmap_index(map, HVA + PAGES(1000)) == NO_INDEX);
}

static void without_slots_there_is_an_empty_map(void **state)
{
	struct host_mapping ram = anonymous(HVA, 1000);
	_memmap_ map = build(NULL, 0, &ram, 1);

	(void)state;
	assert_int_equal(map->npages, 0);
	assert_int_equal(memmap_hva(map, 0), 0);
	assert_null(memmap_area_at(map, 0));
	assert_true(memmap_index(map, HVA) == NO_INDEX);
	assert_true(memmap_ring_index(map, 0, 0) == NO_INDEX);
}

static void two_address_spaces_that_show_one_memory_count_it_once(void **state)
{
	struct kvm_access_slot slots[] = {slot_of(0, 0, 600, HVA), slot_of(0, 0, 600, HVA)};
	struct host_mapping ram = anonymous(HVA, 600);
	_memmap_ map = NULL;

	(void)state;
	slots[1].as_id = 1;
	map = build(slots, 2, &ram, 1);
	assert_int_equal(map->ram_pages, 600);
	assert_int_equal(map->nareas, 1);
	assert_int_equal(map->nsegments, 2);
	assert_int_equal(map->segments[0].index, map->segments[1].index);
	assert_int_equal(memmap_ring_index(map, 0 << 16, 599), 599);
	assert_int_equal(memmap_ring_index(map, 1 << 16, 599), 599);
}

static void slots_that_overlap_in_part_share_the_pages_they_share(void **state)
{
	struct kvm_access_slot slots[] = {slot_of(0, 0, 100, HVA),
					  slot_of(1, 0x1000, 100, HVA + PAGES(60))};
	struct host_mapping ram = anonymous(HVA, 160);
	_memmap_ map = build(slots, 2, &ram, 1);

	(void)state;
	assert_int_equal(map->ram_pages, 160);
	assert_int_equal(memmap_ring_index(map, 0, 60), memmap_ring_index(map, 1, 0));
}

static void neighbouring_slots_become_one_area(void **state)
{
	struct kvm_access_slot slots[] = {slot_of(1, 0x100000, 512, HVA + PAGES(160)),
					  slot_of(0, 0, 160, HVA)};
	struct host_mapping ram = anonymous(HVA, 672);
	_memmap_ map = build(slots, 2, &ram, 1);

	(void)state;
	assert_int_equal(map->nareas, 1);
	assert_int_equal(map->areas[0].npages, 672);
	assert_int_equal(map->nsegments, 2);
	assert_int_equal(map->segments[0].slot, 0);
	assert_int_equal(memmap_ring_index(map, 1, 0), 160);
}

static void index_and_host_page_agree_modulo_two_mebibytes(void **state)
{
	struct kvm_access_slot slots[] = {slot_of(0, 0, 10, HVA + PAGES(3)),
					  slot_of(1, 0x10, 700, HVA + PAGES(5000)),
					  slot_of(2, 0x900, 1, HVA + PAGES(10239))};
	struct host_mapping ram = anonymous(HVA, 20480);
	_memmap_ map = build(slots, 3, &ram, 1);

	(void)state;
	assert_int_equal(map->nareas, 3);
	for (size_t a = 0; a < 3; a++)
		assert_int_equal(map->areas[a].index % 512, map->areas[a].hva / PAGE_BYTES % 512);
	assert_int_equal(map->areas[0].index, 3);
	assert_int_equal(map->areas[1].index, 512 + 5000 % 512);
	assert_int_equal(map->npages % 512, 0);
	assert_null(memmap_area_at(map, 13));
	assert_int_equal(memmap_hva(map, 2), 0);
}

static void expect_skipped(struct kvm_access_slot slot, const struct host_mapping *maps,
			   size_t nmaps, uint64_t pages, const char *why)
{
	_memmap_ map = build(&slot, 1, maps, nmaps);

	assert_int_equal(map->skipped_pages, pages);
	assert_int_equal(map->ram_pages, slot.npages - pages);
	if (!strstr(map->skipped_reason, why))
		fail_msg("'%s' does not say '%s'", map->skipped_reason, why);
}

static void a_read_only_slot_is_skipped_and_counted(void **state)
{
	struct kvm_access_slot slot = slot_of(0, 0, 64, HVA);
	struct host_mapping ram = anonymous(HVA, 64);

	(void)state;
	slot.flags = KVM_MEM_READONLY;
	expect_skipped(slot, &ram, 1, 64, "read-only");
}

static void code_of_a_library_is_skipped(void **state)
{
	struct host_mapping libc = memfd(HVA, 64, 21, 0);

	(void)state;
	libc.backing = HOST_BACKING_FILE;
	libc.shared = false;
	libc.writable = false;
	expect_skipped(slot_of(0, 0, 64, HVA), &libc, 1, 64, "read-only memory");
}

static void page_cache_of_a_file_is_skipped_even_if_writable(void **state)
{
	struct host_mapping file = memfd(HVA, 64, 21, 0);

	(void)state;
	file.backing = HOST_BACKING_FILE;
	expect_skipped(slot_of(0, 0, 64, HVA), &file, 1, 64, "page cache");
}

static void devices_are_skipped(void **state)
{
	struct host_mapping device = memfd(HVA, 64, 0, 0);

	(void)state;
	device.backing = HOST_BACKING_SPECIAL;
	expect_skipped(slot_of(0, 0, 64, HVA), &device, 1, 64, "device");
}

static void anonymous_memory_shared_with_others_is_skipped(void **state)
{
	struct host_mapping shared = anonymous(HVA, 64);

	(void)state;
	shared.shared = true;
	expect_skipped(slot_of(0, 0, 64, HVA), &shared, 1, 64, "shared anonymous");
}

static void a_file_held_by_another_process_is_skipped(void **state)
{
	struct host_mapping foreign = memfd(HVA, 64, 13, 0);

	(void)state;
	expect_skipped(slot_of(0, 0, 64, HVA), &foreign, 1, 64, "held by process 4711");
}

static void pages_of_1_gib_are_skipped_in_so_many_words(void **state)
{
	struct host_mapping giant = hugetlb(HVA, 1 << 18, 1 << 30);

	(void)state;
	expect_skipped(slot_of(0, 0, 1 << 18, HVA), &giant, 1, 1 << 18,
		       "hugetlbfs pages of 1.0 GiB");
}

static void pages_of_unknown_size_are_skipped(void **state)
{
	struct host_mapping odd = hugetlb(HVA, 1024, 0);

	(void)state;
	expect_skipped(slot_of(0, 0, 1024, HVA), &odd, 1, 1024, "hugetlbfs pages of");
	odd.page_bytes = 64 << 10;
	expect_skipped(slot_of(0, 0, 1024, HVA), &odd, 1, 1024, "hugetlbfs pages of 64.0 KiB");
}

static void areas_say_which_of_them_is_hugetlbfs(void **state)
{
	struct host_mapping maps[] = {anonymous(HVA, 1024),
				      hugetlb(HVA + PAGES(1024), 1024, MIB(2)),
				      anonymous(HVA + PAGES(2048), 100)};
	struct kvm_access_slot slot = slot_of(0, 0, 2148, HVA);
	_memmap_ map = build(&slot, 1, maps, 3);

	(void)state;
	assert_int_equal(map->nareas, 3);
	assert_int_equal(map->areas[0].page_bytes, 0);
	assert_int_equal(map->areas[1].page_bytes, MIB(2));
	assert_int_equal(map->areas[2].page_bytes, 0);
	for (uint64_t i = 0; i < 2148; i += 211)
		assert_int_equal(memmap_hva(map, i), HVA + PAGES(i));
	assert_int_equal(map->ram_pages, 2148);
	assert_int_equal(map->skipped_pages, 0);
	assert_true(memmap_still_ours(map, maps, 3));
}

/* QEMU's first MiB: RAM, a hole for VGA, RAM again, all of one mapping. */
static void of_hugetlbfs_only_whole_pages_are_taken(void **state)
{
	struct kvm_access_slot slots[] = {slot_of(0, 0, 160, HVA),
					  slot_of(1, 192, 1000, HVA + PAGES(192)),
					  slot_of(2, 1192, 400, HVA + PAGES(1192))};
	struct host_mapping ram = hugetlb(HVA, 2048, MIB(2));
	_memmap_ map = build(slots, 3, &ram, 1);

	(void)state;
	assert_int_equal(map->nareas, 1);
	assert_int_equal(map->areas[0].hva, HVA + PAGES(512));
	assert_int_equal(map->ram_pages, 1024);
	assert_int_equal(map->skipped_pages, 160 + (512 - 192) + (1592 - 1536));
	assert_non_null(strstr(map->skipped_reason, "a part of a hugetlbfs page"));
	assert_true(memmap_ring_index(map, 0, 0) == NO_INDEX);
	assert_true(memmap_ring_index(map, 1, 511 - 192) == NO_INDEX);
	assert_int_equal(memmap_hva(map, memmap_ring_index(map, 1, 512 - 192)), HVA + PAGES(512));
	assert_int_equal(memmap_hva(map, memmap_ring_index(map, 2, 0)), HVA + PAGES(1192));
	assert_true(memmap_ring_index(map, 2, 1536 - 1192) == NO_INDEX);
}

static void a_slot_within_a_page_of_hugetlbfs_is_skipped(void **state)
{
	struct host_mapping ram = hugetlb(HVA, 1024, MIB(2));

	(void)state;
	expect_skipped(slot_of(0, 0, 500, HVA + PAGES(4)), &ram, 1, 500, "a part of");
	expect_skipped(slot_of(0, 0, 600, HVA + PAGES(300)), &ram, 1, 600, "a part of");
}

static void a_slot_that_reaches_beyond_its_mapping_keeps_what_is_mapped(void **state)
{
	struct host_mapping ram = anonymous(HVA, 64);

	(void)state;
	expect_skipped(slot_of(0, 0, 100, HVA), &ram, 1, 36, "beyond");
	expect_skipped(slot_of(0, 0, 100, HVA - PAGES(50)), &ram, 1, 50, "beyond");
	expect_skipped(slot_of(0, 0, 100, HVA - PAGES(18)), &ram, 1, 36, "beyond");
	expect_skipped(slot_of(0, 0, 100, HVA), NULL, 0, 100, "beyond");
}

static void a_slot_across_mappings_keeps_the_parts_that_are_ram(void **state)
{
	struct host_mapping maps[] = {anonymous(HVA, 10), memfd(HVA + PAGES(10), 10, 21, 0),
				      memfd(HVA + PAGES(20), 10, 13, 0),
				      anonymous(HVA + PAGES(30), 10)};
	struct kvm_access_slot slot = slot_of(4, 0x100, 40, HVA);
	_memmap_ map = NULL;

	(void)state;
	maps[1].backing = HOST_BACKING_FILE;
	map = build(&slot, 1, maps, 4);
	assert_int_equal(map->ram_pages, 20);
	assert_int_equal(map->skipped_pages, 20);
	assert_non_null(strstr(map->skipped_reason, "page cache"));
	assert_int_equal(memmap_hva(map, memmap_ring_index(map, 4, 35)), HVA + PAGES(35));
	assert_true(memmap_ring_index(map, 4, 15) == NO_INDEX);
}

static void a_file_mapped_twice_counts_once(void **state)
{
	struct host_mapping maps[] = {memfd(HVA, 64, 21, 0), memfd(HVA + PAGES(4096), 64, 21, 0)};
	struct kvm_access_slot slots[] = {slot_of(0, 0, 64, HVA),
					  slot_of(1, 0x100, 64, HVA + PAGES(4096))};
	_memmap_ map = build(slots, 2, maps, 2);

	(void)state;
	assert_int_equal(map->ram_pages, 64);
	assert_int_equal(map->skipped_pages, 64);
	assert_non_null(strstr(map->skipped_reason, "another slot shows"));
	assert_int_equal(memmap_hva(map, memmap_ring_index(map, 0, 0)), HVA);
	assert_true(memmap_ring_index(map, 1, 0) == NO_INDEX);
}

static void different_parts_of_a_file_are_different_memory(void **state)
{
	struct host_mapping maps[] = {memfd(HVA, 64, 21, 0), memfd(HVA + PAGES(4096), 64, 21, 64)};
	struct kvm_access_slot slots[] = {slot_of(0, 0, 64, HVA),
					  slot_of(1, 0x100, 64, HVA + PAGES(4096))};
	_memmap_ map = build(slots, 2, maps, 2);

	(void)state;
	assert_int_equal(map->ram_pages, 128);
	assert_int_equal(map->skipped_pages, 0);
}

static void impossible_addresses_are_skipped(void **state)
{
	struct host_mapping everything = anonymous(0, 1ULL << 35);
	const struct kvm_access_slot slots[] = {
		slot_of(0, 0, 16, HVA + 1),
		slot_of(1, 0, 16, 1ULL << 56),
		slot_of(2, 0, 16, UINT64_MAX - 4095),
		slot_of(3, 0, UINT64_MAX, 0),
		slot_of(4, 0, UINT64_MAX / PAGE_BYTES, HVA),
		slot_of(5, UINT64_MAX - 63, 64, HVA),
		slot_of(6, UINT64_MAX - 99, 64, HVA),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		_memmap_ map = build(&slots[i], 1, &everything, 1);

		assert_int_equal(map->ram_pages, 0);
		assert_int_equal(map->npages, 0);
		assert_true(map->skipped_pages == slots[i].npages);
		assert_non_null(strstr(map->skipped_reason, "impossible"));
	}
}

static void slots_without_pages_are_nothing(void **state)
{
	struct kvm_access_slot slot = slot_of(0, 0, 0, HVA);
	struct host_mapping ram = anonymous(HVA, 64);
	_memmap_ map = build(&slot, 1, &ram, 1);

	(void)state;
	assert_int_equal(map->ram_pages, 0);
	assert_true(memmap_ring_index(map, 0, 0) == NO_INDEX);
}

/* Memory that is shown a thousand times over costs its VMM next to nothing. */
static void very_many_slots_on_very_many_mappings_are_refused(void **state)
{
	static struct kvm_access_slot slots[1000];
	static struct host_mapping maps[1000];
	struct memmap *map = NULL;
	struct error err = {0};

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		slots[i] = slot_of((uint32_t)i, i * 4096, 2000, HVA);
		maps[i] = anonymous(HVA + i * 2 * PAGE_BYTES, 1);
	}
	assert_int_equal(memmap_build(slots, 1000, 7, maps, 1000, NULL, NULL, 1 << 30, &map, &err),
			 -E2BIG);
	assert_null(map);
	assert_non_null(strstr(err.text, "too many mappings"));
	/* A hundred slots are dear, but can be. */
	assert_int_equal(memmap_build(slots, 100, 7, maps, 1000, NULL, NULL, 1 << 30, &map, &err),
			 0);
	memmap_free(map);
}

static void more_ram_than_the_limit_is_refused(void **state)
{
	struct kvm_access_slot slot = slot_of(0, 0, 4096, HVA);
	struct host_mapping ram = anonymous(HVA, 4096);
	struct memmap *map = (struct memmap *)&slot, *before = map;
	struct error err = {0};

	(void)state;
	assert_int_equal(memmap_build(&slot, 1, 7, &ram, 1, NULL, NULL, 4095, &map, &err), -E2BIG);
	assert_ptr_equal(map, before);
	assert_non_null(strstr(err.text, "15 MiB"));
	assert_int_equal(memmap_build(&slot, 1, 7, &ram, 1, NULL, NULL, 4096, &map, &err), 0);
	memmap_free(map);
}

static void ring_entries_that_point_nowhere_have_no_index(void **state)
{
	struct kvm_access_slot slots[] = {slot_of(3, 0x500, 100, HVA),
					  slot_of(9, 0x900, 100, HVA + PAGES(300))};
	struct host_mapping ram = anonymous(HVA, 400);
	_memmap_ map = build(slots, 2, &ram, 1);

	(void)state;
	assert_int_equal(memmap_ring_index(map, 3, 99), 99);
	assert_true(memmap_ring_index(map, 3, 100) == NO_INDEX);
	assert_true(memmap_ring_index(map, 4, 0) == NO_INDEX);
	assert_true(memmap_ring_index(map, 1 << 16 | 3, 0) == NO_INDEX);
	assert_true(memmap_ring_index(map, UINT32_MAX, UINT64_MAX) == NO_INDEX);
	assert_true(memmap_ring_index(map, 3, UINT64_MAX) == NO_INDEX);
	assert_true(memmap_ring_index(map, 9, UINT64_MAX - 50) == NO_INDEX);
}

static void layouts_are_the_same_if_their_areas_are(void **state)
{
	struct kvm_access_slot slot = slot_of(0, 0, 64, HVA);
	struct host_mapping ram = anonymous(HVA, 128);
	_memmap_ a = build(&slot, 1, &ram, 1);
	_memmap_ b = NULL;
	_memmap_ c = NULL;

	(void)state;
	slot.base_gfn = 0x5000;
	b = build(&slot, 1, &ram, 1);
	slot.npages = 65;
	c = build(&slot, 1, &ram, 1);
	assert_true(memmap_same_layout(a, b));
	assert_false(memmap_same_layout(a, c));
}

static void memory_mapped_over_guest_ram_is_noticed(void **state)
{
	struct kvm_access_slot slot = slot_of(0, 0, 64, HVA);
	struct host_mapping before = memfd(HVA, 64, 21, 0);
	_memmap_ map = build(&slot, 1, &before, 1);
	struct host_mapping library = before, foreign = memfd(HVA, 64, 13, 0);
	struct host_mapping shifted = memfd(HVA, 64, 21, 64), shorter = memfd(HVA, 63, 21, 0);
	struct host_mapping holed[] = {memfd(HVA, 30, 21, 0), memfd(HVA + PAGES(31), 33, 21, 31)};
	struct host_mapping patched[] = {memfd(HVA, 30, 21, 0), memfd(HVA + PAGES(30), 1, 13, 0),
					 memfd(HVA + PAGES(31), 33, 21, 31)};

	(void)state;
	library.backing = HOST_BACKING_FILE;
	assert_true(memmap_still_ours(map, &before, 1));
	assert_false(memmap_still_ours(map, &library, 1));
	assert_false(memmap_still_ours(map, &foreign, 1));
	assert_false(memmap_still_ours(map, &shifted, 1));
	assert_false(memmap_still_ours(map, &shorter, 1));
	assert_false(memmap_still_ours(map, holed, 2));
	assert_false(memmap_still_ours(map, patched, 3));
	assert_false(memmap_still_ours(map, NULL, 0));
}

static void mappings_split_by_the_kernel_are_still_the_same_memory(void **state)
{
	struct kvm_access_slot slots[] = {slot_of(0, 0, 64, HVA),
					  slot_of(1, 0x100, 64, HVA + PAGES(64))};
	struct host_mapping before[] = {memfd(HVA, 64, 21, 0), anonymous(HVA + PAGES(64), 64)};
	_memmap_ map = build(slots, 2, before, 2);
	struct host_mapping after[] = {memfd(HVA, 10, 21, 0), memfd(HVA + PAGES(10), 54, 21, 10),
				       anonymous(HVA + PAGES(64), 1),
				       anonymous(HVA + PAGES(65), 100)};

	(void)state;
	assert_true(memmap_still_ours(map, after, 4));
}

/* ---- a property, on a small address space with everything in it ---- */

#define SPAN	  3000 /* pages */
#define MAPS_MAX  40
#define SLOTS_MAX 24

struct world {
	struct host_mapping maps[MAPS_MAX];
	size_t nmaps;
	struct kvm_access_slot slots[SLOTS_MAX];
	size_t nslots;
	uint64_t base;
};

static void make_maps(struct dice *dice, struct world *world, bool with_files)
{
	uint64_t at = 0;

	while (world->nmaps < MAPS_MAX && at < SPAN) {
		uint64_t npages = 1 + dice_below(dice, 300);
		struct host_mapping *m = &world->maps[world->nmaps];

		if (dice_chance(dice, 30)) {
			at += 1 + dice_below(dice, 700);
			continue;
		}
		*m = anonymous(world->base + PAGES(at), npages);
		if (with_files && dice_chance(dice, 60))
			*m = memfd(m->start, npages, 11 + dice_below(dice, 3),
				   dice_below(dice, 400));
		if (dice_chance(dice, 15))
			m->writable = false;
		if (dice_chance(dice, 10))
			m->backing = HOST_BACKING_FILE;
		world->nmaps++;
		at += npages;
	}
}

static void make_slots(struct dice *dice, struct world *world)
{
	uint64_t gfn[2] = {0, 0};

	world->nslots = 1 + dice_below(dice, SLOTS_MAX);
	for (size_t i = 0; i < world->nslots; i++) {
		uint32_t as_id = dice_chance(dice, 30);
		uint64_t npages = 1 + dice_below(dice, 600);

		world->slots[i] = slot_of((uint32_t)i, gfn[as_id], npages,
					  world->base + PAGES(dice_below(dice, SPAN)));
		world->slots[i].as_id = as_id;
		if (dice_chance(dice, 10))
			world->slots[i].flags = KVM_MEM_READONLY;
		gfn[as_id] += npages + dice_below(dice, 50);
	}
}

static const struct host_mapping *mapping_at(const struct world *world, uint64_t hva)
{
	for (size_t i = 0; i < world->nmaps; i++)
		if (hva >= world->maps[i].start && hva < world->maps[i].end)
			return &world->maps[i];
	return NULL;
}

static bool is_guest_ram(const struct world *world, uint64_t hva)
{
	const struct host_mapping *m = mapping_at(world, hva);

	if (!m || !m->writable || m->backing == HOST_BACKING_FILE || m->ino == 13)
		return false;
	for (size_t i = 0; i < world->nslots; i++) {
		const struct kvm_access_slot *s = &world->slots[i];

		if (!(s->flags & KVM_MEM_READONLY) && hva >= s->userspace_addr &&
		    hva < s->userspace_addr + PAGES(s->npages))
			return true;
	}
	return false;
}

static void check_indices(const struct memmap *map)
{
	uint64_t ram = 0;

	for (uint64_t i = 0; i < map->npages; i++) {
		uint64_t hva = memmap_hva(map, i);
		const struct area *area = memmap_area_at(map, i);

		assert_int_equal(!area, !hva);
		if (!hva)
			continue;
		ram++;
		assert_int_equal(memmap_index(map, hva), i);
		assert_int_equal(memmap_index(map, hva + PAGE_BYTES - 1), i);
		assert_int_equal(hva / PAGE_BYTES % 512, i % 512);
	}
	assert_int_equal(map->ram_pages, ram);
	assert_int_equal(map->npages % 64, 0);
}

static void check_segments(const struct world *world, const struct memmap *map)
{
	for (size_t k = 0; k < map->nsegments; k++) {
		const struct segment *s = &map->segments[k];

		for (uint64_t p = 0; p < s->npages; p++) {
			uint64_t hva = world->slots[s->slot].userspace_addr +
				       PAGES(s->gfn + p - s->slot_gfn);

			assert_int_equal(memmap_hva(map, s->index + p), hva);
			assert_int_equal(memmap_ring_index(map, s->as_id << 16 | s->slot,
							   s->gfn + p - s->slot_gfn),
					 s->index + p);
		}
		assert_true(!k || s[-1].as_id < s->as_id ||
			    (s[-1].as_id == s->as_id && s[-1].gfn + s[-1].npages <= s->gfn));
	}
}

static void every_page_of_guest_ram_has_one_index_and_comes_back_from_it(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct world world = {.base = HVA + PAGES(dice_below(&dice, 1024))};
		_memmap_ map = NULL;

		make_maps(&dice, &world, false);
		make_slots(&dice, &world);
		map = build(world.slots, world.nslots, world.maps, world.nmaps);
		check_indices(map);
		check_segments(&world, map);
		for (uint64_t p = 0; p < SPAN; p++) {
			uint64_t hva = world.base + PAGES(p);

			assert_int_equal(memmap_index(map, hva) != NO_INDEX,
					 is_guest_ram(&world, hva));
		}
		assert_true(memmap_still_ours(map, world.maps, world.nmaps));
	}
}

static void with_files_mapped_at_random_no_memory_has_two_indices(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct world world = {.base = HVA + PAGES(dice_below(&dice, 1024))};
		uint64_t seen[3][bitmap_words(1024)];
		_memmap_ map = NULL;

		memset(seen, 0, sizeof(seen));
		make_maps(&dice, &world, true);
		make_slots(&dice, &world);
		map = build(world.slots, world.nslots, world.maps, world.nmaps);
		check_indices(map);
		check_segments(&world, map);
		for (uint64_t i = 0; i < map->npages; i++) {
			uint64_t hva = memmap_hva(map, i), page;
			const struct host_mapping *m = hva ? mapping_at(&world, hva) : NULL;

			assert_true(!hva || is_guest_ram(&world, hva));
			if (!m || !m->ino)
				continue;
			page = (m->offset + hva - m->start) / PAGE_BYTES;
			assert_false(bitmap_test(seen[m->ino - 11], page));
			bitmap_set(seen[m->ino - 11], page);
		}
	}
}

static void of_hugetlbfs_no_page_is_taken_in_part_whatever_the_slots(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct world world = {.base = HVA, .nmaps = 1};
		bool taken[6] = {false};
		_memmap_ map = NULL;

		world.maps[0] = hugetlb(HVA, 6 * 512, MIB(2));
		make_slots(&dice, &world);
		map = build(world.slots, world.nslots, world.maps, world.nmaps);
		check_indices(map);
		check_segments(&world, map);
		for (size_t a = 0; a < map->nareas; a++) {
			assert_int_equal(map->areas[a].hva % MIB(2), 0);
			assert_int_equal(map->areas[a].npages % 512, 0);
			assert_int_equal(map->areas[a].index % 512, 0);
		}
		for (uint64_t p = 0; p < 6 * 512; p++)
			if (memmap_index(map, HVA + PAGES(p)) != NO_INDEX)
				taken[p / 512] = true;
		for (size_t block = 0; block < 6; block++) {
			bool all = true;

			for (uint64_t p = block * 512; p < block * 512 + 512; p++)
				all &= is_guest_ram(&world, HVA + PAGES(p));
			assert_int_equal(taken[block], all);
		}
	}
}

static void hostile_ring_entries_never_leave_the_map(void **state)
{
	struct dice dice = dice_new();
	struct world world = {.base = HVA};
	_memmap_ map = NULL;

	(void)state;
	make_maps(&dice, &world, true);
	make_slots(&dice, &world);
	map = build(world.slots, world.nslots, world.maps, world.nmaps);
	for (int i = 0; i < 200000; i++) {
		uint32_t slot =
			(uint32_t)dice_roll(&dice) & (dice_chance(&dice, 50) ? 0x1001f : ~0U);
		uint64_t offset = dice_roll(&dice) >> dice_below(&dice, 64);
		uint64_t index = memmap_ring_index(map, slot, offset);

		assert_true(index == NO_INDEX || memmap_hva(map, index));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_slot_becomes_one_area_at_index_zero),
		cmocka_unit_test(without_slots_there_is_an_empty_map),
		cmocka_unit_test(two_address_spaces_that_show_one_memory_count_it_once),
		cmocka_unit_test(slots_that_overlap_in_part_share_the_pages_they_share),
		cmocka_unit_test(neighbouring_slots_become_one_area),
		cmocka_unit_test(index_and_host_page_agree_modulo_two_mebibytes),
		cmocka_unit_test(a_read_only_slot_is_skipped_and_counted),
		cmocka_unit_test(code_of_a_library_is_skipped),
		cmocka_unit_test(page_cache_of_a_file_is_skipped_even_if_writable),
		cmocka_unit_test(devices_are_skipped),
		cmocka_unit_test(anonymous_memory_shared_with_others_is_skipped),
		cmocka_unit_test(a_file_held_by_another_process_is_skipped),
		cmocka_unit_test(pages_of_1_gib_are_skipped_in_so_many_words),
		cmocka_unit_test(pages_of_unknown_size_are_skipped),
		cmocka_unit_test(areas_say_which_of_them_is_hugetlbfs),
		cmocka_unit_test(of_hugetlbfs_only_whole_pages_are_taken),
		cmocka_unit_test(a_slot_within_a_page_of_hugetlbfs_is_skipped),
		cmocka_unit_test(a_slot_that_reaches_beyond_its_mapping_keeps_what_is_mapped),
		cmocka_unit_test(a_slot_across_mappings_keeps_the_parts_that_are_ram),
		cmocka_unit_test(a_file_mapped_twice_counts_once),
		cmocka_unit_test(different_parts_of_a_file_are_different_memory),
		cmocka_unit_test(impossible_addresses_are_skipped),
		cmocka_unit_test(slots_without_pages_are_nothing),
		cmocka_unit_test(very_many_slots_on_very_many_mappings_are_refused),
		cmocka_unit_test(more_ram_than_the_limit_is_refused),
		cmocka_unit_test(ring_entries_that_point_nowhere_have_no_index),
		cmocka_unit_test(layouts_are_the_same_if_their_areas_are),
		cmocka_unit_test(memory_mapped_over_guest_ram_is_noticed),
		cmocka_unit_test(mappings_split_by_the_kernel_are_still_the_same_memory),
		cmocka_unit_test(every_page_of_guest_ram_has_one_index_and_comes_back_from_it),
		cmocka_unit_test(with_files_mapped_at_random_no_memory_has_two_indices),
		cmocka_unit_test(of_hugetlbfs_no_page_is_taken_in_part_whatever_the_slots),
		cmocka_unit_test(hostile_ring_entries_never_leave_the_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
