// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tiny guest does what its list says, and nothing else.  Which pages a KVM
 * sees it touch is the matter of the other tests.  Needs /dev/kvm.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "tiny-remote.h"
#include "tiny.h"

#define PAGES 4096
#define LIST  600

static uint64_t *word_of(struct tiny *t, uint64_t gfn)
{
	return (uint64_t *)((uint8_t *)tiny_memory_at(&t->ram, gfn) + TINY_WORD_OFFSET);
}

static int teardown(void **state)
{
	tiny_free(*state);
	return 0;
}

/* A guest of which every word that it may read is known. */
static struct tiny *start(void **state, const struct tiny_options *opts)
{
	struct tiny *t = NULL;
	int r = tiny_new(opts, &t);

	if (r == -EAGAIN || r == -ENOSYS) {
		print_message("skipped: no 2 MiB pages to be had\n");
		skip();
	}
	assert_int_equal(r, 0);
	*state = t;
	for (uint64_t gfn = t->first_free; gfn < t->ram.pages; gfn++)
		*word_of(t, gfn) = gfn * gfn;
	return t;
}

/* What the words are after the list, and the sum of what it read. */
static uint64_t play(const struct tiny_touch *list, size_t count, uint64_t stamp, uint64_t *words)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (list[i].op == TINY_READ)
			sum += words[list[i].gfn];
		else if (list[i].op == TINY_WRITE)
			words[list[i].gfn] = stamp + (list[i].gfn << PAGE_SHIFT_4K);
	}
	return sum;
}

/* Random lists on random vCPUs; words and sums are as played by the host. */
static void assert_plays_right(struct tiny *t, int passes)
{
	static uint64_t words[PAGES];
	struct tiny_touch list[LIST];
	uint64_t random = tiny_seed(), sum;

	for (uint64_t gfn = t->first_free; gfn < PAGES; gfn++)
		words[gfn] = gfn * gfn;
	for (int pass = 0; pass < passes; pass++) {
		uint64_t stamp = tiny_random(&random);

		tiny_list_random(&random, t->first_free, PAGES, list, LIST);
		assert_int_equal(tiny_run(t, tiny_random_below(&random, t->nr_vcpus), list, LIST,
					  stamp, &sum),
				 0);
		assert_int_equal(sum, play(list, LIST, stamp, words));
		for (uint64_t gfn = t->first_free; gfn < PAGES; gfn++)
			assert_int_equal(*word_of(t, gfn), words[gfn]);
	}
}

static void a_guest_reads_and_writes_what_its_list_says(void **state)
{
	assert_plays_right(start(state, &(struct tiny_options) {.vcpus = 3}), 20);
}

static void so_it_does_in_large_pages(void **state)
{
	assert_plays_right(start(state, &(struct tiny_options) {.backing = TINY_ANON_THP}), 5);
}

static void so_it_does_in_shared_memory(void **state)
{
	assert_plays_right(start(state, &(struct tiny_options) {.backing = TINY_MEMFD}), 5);
}

static void so_it_does_while_writes_are_logged(void **state)
{
	assert_plays_right(start(state, &(struct tiny_options) {.log_dirty = true}), 5);
}

static void the_same_seed_gives_the_same_list(void **state)
{
	struct tiny_touch one[LIST], two[LIST];
	uint64_t a = 42, b = 42;

	(void)state;
	memset(one, 0, sizeof(one));
	memset(two, 0, sizeof(two));
	tiny_list_random(&a, 100, PAGES, one, LIST);
	tiny_list_random(&b, 100, PAGES, two, LIST);
	assert_memory_equal(one, two, sizeof(one));
	tiny_list_random(&b, 100, PAGES, two, LIST);
	assert_memory_not_equal(one, two, sizeof(one));
}

static void a_list_that_would_leave_its_room_is_refused(void **state)
{
	struct tiny *t = start(state, NULL);
	static struct tiny_touch list[TINY_LIST_MAX + 1];

	tiny_list_every(TINY_READ, t->first_free, list, 1);
	assert_int_equal(tiny_run(t, 0, list, 1, 0, NULL), 0);
	list[0].gfn = t->first_free - 1;
	assert_int_equal(tiny_run(t, 0, list, 1, 0, NULL), -EINVAL);
	list[0].gfn = PAGES;
	assert_int_equal(tiny_run(t, 0, list, 1, 0, NULL), -EINVAL);
	for (size_t i = 0; i <= TINY_LIST_MAX; i++)
		list[i].gfn = t->first_free;
	assert_int_equal(tiny_run(t, 0, list, TINY_LIST_MAX, 0, NULL), 0);
	assert_int_equal(tiny_run(t, 0, list, TINY_LIST_MAX + 1, 0, NULL), -EINVAL);
	assert_int_equal(tiny_run(t, 0, NULL, 0, 0, NULL), 0);
}

static void a_frame_without_slot_is_a_fault_and_with_one_it_is_memory(void **state)
{
	struct tiny *t = start(state, &(struct tiny_options) {.map_pages = 2 * PAGES});
	struct tiny_touch beyond = {.gfn = PAGES + 10, .op = TINY_WRITE};
	struct tiny_memory extra = TINY_MEMORY_NULL;

	assert_int_equal(tiny_run(t, 0, &beyond, 1, 0, NULL), -EFAULT);
	assert_int_equal(tiny_memory_init(&extra, TINY_ANON_4K, 512, TINY_ANY_NODE), 0);
	assert_int_equal(tiny_set_slot(t, 1, PAGES, 512, extra.base, 0), 0);
	/* The write that failed is emulated to its end first; then the list runs anew. */
	assert_int_equal(tiny_run(t, 0, &beyond, 1, 5, NULL), 0);
	assert_int_equal(((uint64_t *)tiny_memory_at(&extra, 10))[1],
			 ((PAGES + 10ULL) << PAGE_SHIFT_4K) + 5);
	assert_int_equal(tiny_set_slot(t, 1, PAGES, 0, extra.base, 0), 0);
	tiny_memory_deinit(&extra);
}

static void what_is_expected_of_a_list_is_its_pages_and_the_way_to_them(void **state)
{
	struct tiny *t = start(state, NULL);
	struct tiny_touch list[] = {{1500, TINY_READ}, {3000, TINY_WRITE}};
	uint64_t map[PAGES / 64] = {0};
	/* Code, list; PML4, PDPT, PD; the tables of 0..., 1024... and 2560... */
	uint64_t want[] = {1500, 3000, 1, t->vcpus[0].list_gfn, 2, 3, 4, 5, 5 + 2, 5 + 5};

	tiny_expect(t, 0, list, 2, map);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_true(bitmap_test(map, want[i]));
	assert_int_equal(bitmap_count(map, PAGES), ARRAY_SIZE(want));

	list[0].op = TINY_FETCH;
	tiny_expect(t, 0, list, 2, map);
	assert_true(bitmap_test(map, t->vcpus[0].stack_gfn));
	assert_int_equal(bitmap_count(map, PAGES), ARRAY_SIZE(want) + 1);
}

static void memory_lies_where_it_was_bound_and_moves(void **state)
{
	static int nodes[PAGES];
	struct tiny *t;

	if (access("/sys/devices/system/node/node1", F_OK)) {
		print_message("skipped: this machine has no node 1\n");
		skip();
	}
	for (int backing = 0; backing <= TINY_MEMFD; backing++) {
		tiny_free(*state);
		*state = NULL;
		t = start(state, &(struct tiny_options) {.backing = (enum tiny_backing)backing,
							 .bind = true,
							 .node = 1});
		assert_int_equal(tiny_memory_nodes(&t->ram, nodes), 0);
		assert_int_equal(nodes[PAGES - 1], 1);
		assert_int_equal(tiny_memory_move(&t->ram, PAGES / 2, PAGES / 2, 0), 0);
		assert_int_equal(tiny_memory_nodes(&t->ram, nodes), 0);
		assert_int_equal(nodes[PAGES - 1], 0);
		assert_int_equal(nodes[PAGES / 2 - 1], 1);
		assert_plays_right(t, 2);
	}
}

static void a_remote_guest_obeys_and_dies(void **state)
{
	_cleanup_(tiny_remote_freep) struct tiny_remote *r = NULL;
	struct tiny_touch list[2] = {{2000, TINY_WRITE}, {2000, TINY_READ}};
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(tiny_remote_new(NULL, &r), 0);
	assert_int_equal(tiny_remote_run(r, 0, list, 2, 7, &sum), 0);
	assert_int_equal(sum, (2000ULL << PAGE_SHIFT_4K) + 7);
	tiny_remote_kill(r);
	assert_int_equal(tiny_remote_run(r, 0, list, 2, 7, &sum), -EPIPE);
}

#define test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_guest_reads_and_writes_what_its_list_says),
		test(so_it_does_in_large_pages),
		test(so_it_does_in_shared_memory),
		test(so_it_does_while_writes_are_logged),
		test(the_same_seed_gives_the_same_list),
		test(a_list_that_would_leave_its_room_is_refused),
		test(a_frame_without_slot_is_a_fault_and_with_one_it_is_memory),
		test(what_is_expected_of_a_list_is_its_pages_and_the_way_to_them),
		test(memory_lies_where_it_was_bound_and_moves),
		test(a_remote_guest_obeys_and_dies),
	};
	_cleanup_(closep) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "skipped: /dev/kvm: %s\n", strerror(errno));
		return 77;
	}
	tiny_seed();
	tiny_hold_kvm();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
