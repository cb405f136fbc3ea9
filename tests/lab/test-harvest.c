// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a harvest says is what the guest did: the bitmaps of KVM_ACCESS_HARVEST
 * against a tiny guest that touches exactly the pages that it is told to.
 * Needs a KVM with the access fd, i.e. lab/run; root, for nodes and sysctls; and
 * --mem-cxl 3072 for the one test with a page of 1 GiB.
 *
 * The patterns are drawn from a seed, which is printed; VMTIER_SEED repeats it.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "tiny-bench.h"

#define PAGES  BENCH_PAGES
#define WORDS  BENCH_WORDS
#define PASSES 60

/* Random patterns, each harvested exactly, on both vCPUs in turn. */
static void harvest_patterns(struct bench *b, int passes)
{
	for (int pass = 0; pass < passes; pass++) {
		bench_forget(b);
		bench_draw(b);
		bench_run(b, (size_t)pass % 2);
		bench_harvest(b, KVM_ACCESS_FLUSH_END);
		bench_assert_exact(b);
	}
}

/* Tests: accessed and present */

static void the_pages_harvested_are_those_touched_pass_after_pass(void **state)
{
	struct bench *b = *state;

	bench_start(b, &(struct tiny_options) {.vcpus = 2});
	harvest_patterns(b, PASSES);
}

static void the_pages_harvested_of_shared_memory_are_those_touched(void **state)
{
	struct bench *b = *state;

	bench_start(b, &(struct tiny_options) {.vcpus = 2, .backing = TINY_MEMFD});
	harvest_patterns(b, PASSES);
}

static void of_large_pages_all_is_accessed_that_any_touch_falls_in(void **state)
{
	struct bench *b = *state;

	bench_start(b, &(struct tiny_options) {.vcpus = 2, .backing = TINY_ANON_THP});
	for (int pass = 0; pass < PASSES; pass++) {
		bench_forget(b);
		/* Few touches, or every 2 MiB would be hit by every pass. */
		bench_draw(b);
		b->count = 1 + b->count % 4;
		bench_run(b, (size_t)pass % 2);
		bench_widen(b);
		bench_harvest(b, KVM_ACCESS_FLUSH_END);
		bench_assert_exact(b);
	}
}

static void the_pages_harvested_are_those_touched_while_writes_are_logged(void **state)
{
	struct bench *b = *state;

	bench_start(b, &(struct tiny_options) {
			       .vcpus = 2, .backing = TINY_ANON_THP, .log_dirty = true});
	harvest_patterns(b, PASSES / 4);
	bench_assert_empty(b->maps.large, "large");
}

static void a_guest_of_another_process_is_harvested_as_exactly(void **state)
{
	struct bench *b = *state;

	bench_start_remote(b, &(struct tiny_options) {.vcpus = 2});
	/* The VM fd is not needed any more. */
	close(take_fd(&b->vm_fd));
	harvest_patterns(b, PASSES);
}

static void reads_writes_and_fetches_all_count_as_accesses(void **state)
{
	struct bench *b = *state;

	bench_start(b, NULL);
	for (int op = 0; op < _TINY_OP_MAX; op++) {
		bench_forget(b);
		bench_run_every(b, (enum tiny_op)op, 1000, 100);
		bench_harvest(b, KVM_ACCESS_FLUSH_END);
		bench_assert_exact(b);
	}
}

/* Once KVM's own marks are gone: it sets the D bit of whatever it maps as writable. */
static void the_dirty_pages_are_those_written_to_since_the_last_harvest(void **state)
{
	struct bench *b = *state;
	uint64_t written[WORDS];

	bench_start(b, &(struct tiny_options) {.vcpus = 2});
	bench_touch_all(b, TINY_WRITE);
	bench_run(b, 1); /* the same, for its list pages */
	bench_clear_all(b);
	for (int pass = 0; pass < PASSES; pass++) {
		size_t vcpu = (size_t)pass % 2;

		bench_forget(b);
		bench_draw(b);
		memset(written, 0, sizeof(written));
		tiny_expect_written(b->view, vcpu, b->list, b->count, written);
		bench_run(b, vcpu);
		bench_harvest(b, KVM_ACCESS_FLUSH_END);
		bench_assert_exact(b);
		bench_assert_equal(b->maps.dirty, written, "dirty");
	}
}

static void a_guest_at_rest_has_nothing_accessed(void **state)
{
	struct bench *b = *state;

	bench_start(b, NULL);
	bench_touch_all(b, TINY_WRITE);
	bench_clear_all(b);
	bench_harvest(b, KVM_ACCESS_FLUSH_END);
	bench_assert_exact(b);
	bench_assert_empty(b->maps.accessed, "accessed");
}

static void a_guest_that_never_ran_has_nothing_present(void **state)
{
	struct bench *b = *state;

	bench_start(b, NULL);
	bench_harvest(b, KVM_ACCESS_FLUSH_END);
	bench_assert_empty(b->maps.present, "present");
	bench_assert_empty(b->maps.accessed, "accessed");
	bench_assert_empty(b->maps.large, "large");
	bench_assert_empty(b->maps.on_nodes, "on_nodes");
}

static void an_idle_page_is_present_and_an_untouched_one_is_not(void **state)
{
	struct bench *b = *state;
	uint64_t idle = 1000, busy = 2000, untouched = 3000;

	bench_start(b, NULL);
	b->count = 2;
	b->list[0] = (struct tiny_touch) {.gfn = idle, .op = TINY_WRITE};
	b->list[1] = (struct tiny_touch) {.gfn = busy, .op = TINY_WRITE};
	bench_run(b, 0);
	bench_clear_all(b);
	bench_run_every(b, TINY_READ, busy, 1);
	bench_harvest(b, KVM_ACCESS_FLUSH_END);
	bench_assert_exact(b);

	assert_true(bitmap_test(b->maps.present, idle));
	assert_false(bitmap_test(b->maps.accessed, idle));
	assert_true(bitmap_test(b->maps.present, busy));
	assert_true(bitmap_test(b->maps.accessed, busy));
	assert_false(bitmap_test(b->maps.present, untouched));
	assert_false(bitmap_test(b->maps.accessed, untouched));
}

static void peeking_changes_nothing(void **state)
{
	struct bench *b = *state;

	bench_start(b, NULL);
	for (int pass = 0; pass < 5; pass++) {
		bench_forget(b);
		bench_draw(b);
		bench_run(b, 0);
		bench_harvest(b, KVM_ACCESS_PEEK);
		bench_assert_exact(b);
		bench_harvest(b, KVM_ACCESS_PEEK | KVM_ACCESS_FLUSH_END);
		bench_assert_exact(b);
		bench_harvest(b, KVM_ACCESS_FLUSH_END);
		bench_assert_exact(b);
		bench_harvest(b, KVM_ACCESS_PEEK);
		bench_assert_empty(b->maps.accessed, "accessed");
	}
}

static void without_a_flush_nothing_is_reported_that_was_not_touched(void **state)
{
	struct bench *b = *state;

	bench_start(b, NULL);
	for (int pass = 0; pass < 10; pass++) {
		bench_forget(b);
		bench_draw(b);
		bench_run(b, 0);
		bench_harvest(b, 0);
		/* A translation left in a TLB hides a touch; it cannot invent one. */
		for (size_t w = 0; w < WORDS; w++)
			assert_int_equal(b->maps.accessed[w] & ~b->expected[w], 0);
		bench_assert_equal(b->maps.present, b->ever, "present");
	}
}

static uint64_t flushes(const struct bench *b)
{
	uint64_t n = 0;

	assert_int_equal(tiny_stat(b->t, "remote_tlb_flush_requests", &n), 0);
	return n;
}

/* Whether a flush works cannot be seen where every entry into the guest flushes. */
static void there_is_one_flush_per_range_and_only_if_asked_for(void **state)
{
	struct bench *b = *state;
	uint64_t before;

	bench_start(b, NULL);
	bench_touch_all(b, TINY_READ);
	before = flushes(b);
	bench_harvest(b, KVM_ACCESS_PEEK);
	bench_harvest(b, 0);
	assert_int_equal(flushes(b), before);

	bench_touch_all(b, TINY_READ);
	before = flushes(b);
	bench_harvest(b, KVM_ACCESS_FLUSH_END);
	assert_int_equal(flushes(b), before + 1);
}

struct busy_vcpu {
	struct bench *b;
	uint64_t random;
	uint64_t touched[WORDS];
	bool done;
	int result;
};

static void *keep_busy(void *arg)
{
	struct busy_vcpu *v = arg;
	static struct tiny_touch list[BENCH_LIST_MAX];

	for (int i = 0; i < 100 && !v->result; i++) {
		tiny_list_random(&v->random, v->b->t->first_free, PAGES, list, BENCH_LIST_MAX);
		v->result = tiny_run(v->b->t, 0, list, BENCH_LIST_MAX, 0, NULL);
		tiny_expect(v->b->t, 0, list, BENCH_LIST_MAX, v->touched);
	}
	__atomic_store_n(&v->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void no_touch_is_lost_or_invented_while_the_vcpu_runs(void **state)
{
	struct bench *b = *state;
	struct busy_vcpu v = {.b = b, .random = b->random};
	uint64_t seen[WORDS] = {0};
	pthread_t thread;
	int passes = 0;
	bool last;

	bench_start(b, NULL);
	assert_int_equal(pthread_create(&thread, NULL, keep_busy, &v), 0);
	do {
		last = __atomic_load_n(&v.done, __ATOMIC_ACQUIRE);
		bench_harvest(b, KVM_ACCESS_FLUSH_END);
		for (size_t w = 0; w < WORDS; w++)
			seen[w] |= b->maps.accessed[w];
		passes++;
		/* Each pass kicks the vCPU: let it get somewhere. */
		usleep(1000);
	} while (!last);
	pthread_join(thread, NULL);
	assert_int_equal(v.result, 0);
	print_message("%d passes while it ran\n", passes);
	bench_assert_equal(seen, v.touched, "accessed in any pass");
}

/* Tests: large and on_nodes */

static void nothing_is_large_with_small_pages(void **state)
{
	struct bench *b = *state;

	bench_start(b, NULL);
	bench_touch_all(b, TINY_WRITE);
	bench_harvest(b, KVM_ACCESS_FLUSH_END);
	bench_assert_exact(b);
	bench_assert_empty(b->maps.large, "large");
}

static void everything_is_large_with_large_pages(void **state)
{
	struct bench *b = *state;
	uint64_t all[WORDS];

	bench_start(b, &(struct tiny_options) {.backing = TINY_ANON_THP});
	bench_touch_all(b, TINY_READ);
	bench_harvest(b, KVM_ACCESS_FLUSH_END);
	memset(all, 0xff, sizeof(all));
	bench_assert_equal(b->maps.present, all, "present");
	bench_assert_equal(b->maps.large, all, "large");
	bench_assert_equal(b->maps.accessed, all, "accessed");
	bench_assert_counters(b);
}

static bool have_node(int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	return access(path, R_OK) == 0;
}

static void need_two_nodes(void)
{
	if (have_node(0) && have_node(1))
		return;
	print_message("skipped: this machine has no nodes 0 and 1\n");
	skip();
}

/* on_nodes of each node alone, against move_pages(2) for the mapped pages. */
static void assert_nodes_are_as_move_pages_says(struct bench *b)
{
	static int nodes[PAGES];
	uint64_t want[WORDS];

	assert_int_equal(tiny_memory_nodes(&b->t->ram, nodes), 0);
	for (int node = 0; node < 2; node++) {
		b->maps.nodes = 1ULL << node;
		bench_harvest(b, KVM_ACCESS_PEEK);
		bench_assert_counters(b);
		memset(want, 0, sizeof(want));
		for (size_t i = 0; i < PAGES; i++)
			if (nodes[i] == node && bitmap_test(b->maps.present, i))
				bitmap_set(want, i);
		bench_assert_equal(b->maps.on_nodes, want, node ? "on node 1" : "on node 0");
	}
	b->maps.nodes = ~0ULL;
	bench_harvest(b, KVM_ACCESS_PEEK);
	bench_assert_equal(b->maps.on_nodes, b->maps.present, "on any node");
	b->maps.nodes = 0;
	bench_harvest(b, KVM_ACCESS_PEEK);
	bench_assert_empty(b->maps.on_nodes, "on no node");
}

static void move_and_ask(struct bench *b, enum tiny_backing backing)
{
	need_two_nodes();
	bench_start(b, &(struct tiny_options) {.backing = backing, .bind = true, .node = 0});
	bench_touch_all(b, TINY_WRITE);
	assert_nodes_are_as_move_pages_says(b);
	assert_true(b->maps.sum.nr_present >= PAGES - 64);

	/* KVM has unmapped what moved; half is back once all was touched again. */
	assert_int_equal(tiny_memory_move(&b->t->ram, PAGES / 2, PAGES / 2, 1), 0);
	assert_nodes_are_as_move_pages_says(b);
	assert_int_equal(bitmap_count(b->maps.present + WORDS / 2, PAGES / 2), 0);
	bench_touch_all(b, TINY_READ);
	assert_nodes_are_as_move_pages_says(b);
	assert_int_equal(bitmap_count(b->maps.present + WORDS / 2, PAGES / 2), PAGES / 2);

	/* And scattered, back and forth. */
	for (int i = 0; i < 20; i++) {
		size_t at = tiny_random_below(&b->random, PAGES / LARGE_PAGES) * LARGE_PAGES;

		assert_int_equal(tiny_memory_move(&b->t->ram, at, LARGE_PAGES, i % 2), 0);
	}
	bench_touch_all(b, TINY_READ);
	assert_nodes_are_as_move_pages_says(b);
}

static void on_nodes_is_what_move_pages_says_before_and_after_moving(void **state)
{
	move_and_ask(*state, TINY_ANON_4K);
}

static void on_nodes_is_what_move_pages_says_for_shared_memory(void **state)
{
	move_and_ask(*state, TINY_MEMFD);
}

static void on_nodes_is_what_move_pages_says_for_large_pages(void **state)
{
	move_and_ask(*state, TINY_ANON_THP);
}

static void ignore_signal(int number)
{
	(void)number;
}

/* A signal every @us microseconds from now on; 0: no more. */
static void disturb(suseconds_t us)
{
	struct sigaction act = {.sa_handler = us ? ignore_signal : SIG_IGN};
	struct itimerval often = {.it_interval.tv_usec = us, .it_value.tv_usec = us};

	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
}

/* One page of 1 GiB in the pool of a node, or none.  Return: the pages that there are. */
static int set_giant_pages(int node, int count)
{
	char path[128], text[16] = "";
	FILE *f;

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/hugepages/hugepages-1048576kB/nr_hugepages",
		 node);
	f = fopen(path, "r+e");
	if (!f)
		return 0;
	fprintf(f, "%d\n", count);
	rewind(f);
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return atoi(text);
}

static int giant_node = -1;

static int teardown_giant(void **state)
{
	bench_teardown(state);
	if (giant_node >= 0)
		set_giant_pages(giant_node, 0);
	giant_node = -1;
	return 0;
}

/* Harvest [@first, @first + @pages) alone, into the maps at their own offset. */
static void harvest_part(struct bench *b, uint64_t first, uint64_t pages, uint64_t *accessed)
{
	struct kvm_access_harvest h = {
		.gfn = first,
		.npages = pages,
		.bitmap_gfn = 0,
		.flags = KVM_ACCESS_FLUSH_END,
		.accessed = (uintptr_t)accessed,
	};

	do {
		assert_int_equal(ioctl(b->fd, KVM_ACCESS_HARVEST, &h), 0);
	} while (h.npages);
	assert_int_equal(h.gfn, first + pages);
}

/* Its A bit is seen, and cleared, by the first of many chunks of the walk. */
static void a_page_of_a_gigabyte_is_accessed_as_a_whole(void **state)
{
	enum { GIANT = 1 << 18 };
	struct bench *b = *state;
	struct tiny_access_maps m;
	unsigned int most_calls = 0;

	for (int node = 1; node >= 0 && giant_node < 0; node--)
		if (set_giant_pages(node, 1) == 1)
			giant_node = node;
	if (giant_node < 0) {
		print_message("skipped: no page of 1 GiB to be had (lab/run --mem-cxl 3072)\n");
		skip();
	}
	assert_int_equal(tiny_new(&(struct tiny_options) {.pages = GIANT,
							  .backing = TINY_HUGETLB_1G,
							  .bind = true,
							  .node = giant_node},
				  &b->t),
			 0);
	b->fd = tiny_access_open_own(b->t->vm_fd, KVM_ACCESS_FD_CLEAR);
	assert_int_equal(tiny_access_maps_init(&m, 0, GIANT), 0);
	m.nodes = 1ULL << giant_node;
	for (int pass = 0; pass < 20; pass++) {
		tiny_list_random(&b->random, b->t->first_free, GIANT, b->list, 10);
		assert_int_equal(tiny_run(b->t, 0, b->list, 10, 0, NULL), 0);
		/* Cut into several calls or not. */
		disturb(pass % 2 ? 300 : 0);
		assert_int_equal(tiny_access_harvest(b->fd, &m, KVM_ACCESS_FLUSH_END), 0);
		disturb(0);
		most_calls = m.calls > most_calls ? m.calls : most_calls;
		assert_int_equal(bitmap_count(m.large, GIANT), GIANT);
		assert_int_equal(bitmap_count(m.present, GIANT), GIANT);
		assert_int_equal(bitmap_count(m.accessed, GIANT), GIANT);
		/* To walk the guest's page tables is to write to them: tiny_expect_written(). */
		assert_int_equal(bitmap_count(m.dirty, GIANT), GIANT);
		assert_int_equal(bitmap_count(m.on_nodes, GIANT), GIANT);
		assert_int_equal(m.sum.nr_accessed, GIANT);
		assert_int_equal(tiny_access_harvest(b->fd, &m, KVM_ACCESS_FLUSH_END), 0);
		assert_int_equal(bitmap_count(m.accessed, GIANT), 0);
		assert_int_equal(bitmap_count(m.dirty, GIANT), 0);
		assert_int_equal(bitmap_count(m.present, GIANT), GIANT);
	}
	print_message("in up to %u calls\n", most_calls);

	/* A harvest of its own for each part of it, as vmtierd does. */
	tiny_list_random(&b->random, b->t->first_free, GIANT, b->list, 10);
	assert_int_equal(tiny_run(b->t, 0, b->list, 10, 0, NULL), 0);
	for (uint64_t half = 0; half < GIANT; half += GIANT / 2)
		harvest_part(b, half, GIANT / 2, m.accessed);
	assert_int_equal(bitmap_count(m.accessed, GIANT), GIANT);
	for (uint64_t half = 0; half < GIANT; half += GIANT / 2)
		harvest_part(b, half, GIANT / 2, m.accessed);
	assert_int_equal(bitmap_count(m.accessed, GIANT), 0);
	tiny_access_maps_deinit(&m);
}

/* Tests: ranges */

static void a_range_is_cleared_and_written_and_nothing_else(void **state)
{
	struct bench *b = *state;
	uint64_t part[WORDS];

	bench_start(b, NULL);
	for (int pass = 0; pass < 20; pass++) {
		uint64_t first = 64 * tiny_random_below(&b->random, WORDS);
		uint64_t pages = 1 + tiny_random_below(&b->random, PAGES - first);
		uint64_t end = first + pages;

		bench_clear_all(b);
		bench_draw(b);
		bench_run(b, 0);
		memset(part, 0xff, sizeof(part));
		harvest_part(b, first, pages, part);
		for (size_t w = 0; w < WORDS; w++) {
			bool inside = w >= first / 64 && w < (end + 63) / 64;
			uint64_t valid = end / 64 == w ? (1ULL << end % 64) - 1 : ~0ULL;

			/* Behind the end, the last word is zero; other words are as they were. */
			assert_int_equal(part[w], inside ? b->expected[w] & valid : ~0ULL);
		}
		for (uint64_t gfn = first; gfn < end; gfn++)
			bitmap_clear(b->expected, gfn);
		bench_harvest(b, KVM_ACCESS_PEEK);
		bench_assert_exact(b);
	}
}

static void a_part_of_a_large_page_clears_the_whole(void **state)
{
	struct bench *b = *state;
	uint64_t part[WORDS] = {0};

	bench_start(b, &(struct tiny_options) {.backing = TINY_ANON_THP});
	bench_run_every(b, TINY_READ, 1024, 1);
	harvest_part(b, 1024 + 128, 100, part);
	assert_int_equal(bitmap_count(part, PAGES), 100);
	bench_harvest(b, KVM_ACCESS_PEEK);
	assert_int_equal(bitmap_count(b->maps.accessed + 1024 / 64, 512), 0);
	/* The infrastructure in the first 2 MiB is another entry. */
	assert_int_equal(bitmap_count(b->maps.accessed, 512), 512);
}

static void a_range_need_not_begin_where_its_bitmap_does(void **state)
{
	struct bench *b = *state;
	uint64_t high[WORDS];

	bench_start(b, NULL);
	bench_run_every(b, TINY_READ, 2048 + 64, 64);
	memset(high, 0xff, sizeof(high));
	struct kvm_access_harvest h = {
		.gfn = 2048 + 64,
		.npages = 128,
		.bitmap_gfn = 2048,
		.flags = KVM_ACCESS_PEEK,
		.accessed = (uintptr_t)high,
	};
	assert_int_equal(ioctl(b->fd, KVM_ACCESS_HARVEST, &h), 0);
	assert_int_equal(h.npages, 0);
	assert_int_equal(high[0], ~0ULL);
	assert_int_equal(high[1], ~0ULL);
	assert_int_equal(high[2], 0);
	assert_int_equal(high[3], ~0ULL);
}

static void without_bitmaps_the_counters_are_the_same(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h = {.npages = PAGES, .flags = KVM_ACCESS_PEEK};

	bench_start(b, NULL);
	bench_draw(b);
	bench_run(b, 0);
	do {
		assert_int_equal(ioctl(b->fd, KVM_ACCESS_HARVEST, &h), 0);
	} while (h.npages);
	bench_harvest(b, KVM_ACCESS_PEEK);
	assert_int_equal(h.nr_accessed, bitmap_count(b->expected, PAGES));
	assert_int_equal(h.nr_accessed, b->maps.sum.nr_accessed);
	assert_int_equal(h.nr_present, b->maps.sum.nr_present);
}

static void a_long_range_is_done_in_the_end_and_empty_beyond_ram(void **state)
{
	struct bench *b = *state;
	struct tiny_access_maps m;
	size_t pages = 1 << 22; /* 16 GiB of guest frames */

	bench_start(b, NULL);
	assert_int_equal(tiny_access_maps_init(&m, 0, pages), 0);
	bench_draw(b);
	bench_run(b, 0);
	assert_int_equal(tiny_access_harvest(b->fd, &m, KVM_ACCESS_FLUSH_END), 0);
	print_message("16 GiB with bitmaps: %u calls, %" PRIu64 " walks\n", m.calls,
		      (uint64_t)m.sum.nr_walks);
	bench_assert_equal(m.accessed, b->expected, "accessed");
	bench_assert_equal(m.present, b->expected, "present");
	assert_int_equal(bitmap_count(m.accessed, pages), bitmap_count(b->expected, PAGES));
	assert_int_equal(bitmap_count(m.present, pages), bitmap_count(b->expected, PAGES));
	assert_int_equal(bitmap_count(m.large, pages), 0);
	assert_int_equal(m.sum.nr_accessed, bitmap_count(b->expected, PAGES));
	tiny_access_maps_deinit(&m);
}

static void signals_cut_a_harvest_into_more_calls_and_lose_nothing(void **state)
{
	struct bench *b = *state;
	uint64_t seen[WORDS] = {0};

	bench_start(b, NULL);
	for (int pass = 0; pass < 20; pass++) {
		bench_forget(b);
		bench_draw(b);
		bench_run(b, 0);
		disturb(500);
		for (int i = 0; i < 20; i++) {
			bench_harvest(b, 0);
			for (size_t w = 0; w < WORDS; w++)
				seen[w] |= b->maps.accessed[w];
		}
		disturb(0);
		bench_assert_equal(seen, b->expected, "accessed in any of 20");
		memset(seen, 0, sizeof(seen));
		bench_clear_all(b);
	}
}

/* As many frames as the CPU can address, as KVM does: but a TiB is long enough. */
static uint64_t all_frames(void)
{
	unsigned int eax, ebx, ecx, edx, bits = 36;

	if (__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx))
		bits = eax & 0xff;
	return 1ULL << ((bits < 40 ? bits : 40) - PAGE_SHIFT_4K);
}

static void a_terabyte_without_bitmaps_takes_few_calls(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h = {.npages = all_frames(), .flags = KVM_ACCESS_FLUSH_END};
	unsigned int calls = 0;

	bench_start(b, NULL);
	bench_draw(b);
	bench_run(b, 0);
	do {
		uint64_t left = h.npages;

		assert_int_equal(ioctl(b->fd, KVM_ACCESS_HARVEST, &h), 0);
		assert_true(h.npages < left);
		calls++;
	} while (h.npages);
	print_message("%" PRIu64 " GiB without bitmaps: %u calls, %" PRIu64 " walks\n",
		      all_frames() >> 18, calls, (uint64_t)h.nr_walks);
	assert_true(calls < 1000);
	assert_int_equal(h.nr_accessed, bitmap_count(b->expected, PAGES));
}

static void slots_far_apart_are_harvested_each_at_its_frames(void **state)
{
	struct bench *b = *state;
	struct tiny_memory extra = TINY_MEMORY_NULL;
	struct tiny_access_maps m;
	size_t at = 1 << 18; /* 1 GiB, behind a hole */
	size_t reach = at + 512;

	bench_start(b, &(struct tiny_options) {.map_pages = reach});
	assert_int_equal(tiny_memory_init(&extra, TINY_ANON_4K, 512, TINY_ANY_NODE), 0);
	assert_int_equal(tiny_set_slot(b->t, 1, at, 512, extra.base, 0), 0);
	assert_int_equal(tiny_access_maps_init(&m, 0, reach), 0);
	b->count = 2;
	b->list[0] = (struct tiny_touch) {.gfn = at + 7, .op = TINY_WRITE};
	b->list[1] = (struct tiny_touch) {.gfn = PAGES - 1, .op = TINY_READ};
	assert_int_equal(tiny_run(b->t, 0, b->list, 2, 0, NULL), 0);

	_cleanup_(freep) uint64_t *want = calloc(bitmap_words(reach), sizeof(uint64_t));
	assert_non_null(want);
	tiny_expect(b->t, 0, b->list, 2, want);
	assert_int_equal(tiny_access_harvest(b->fd, &m, KVM_ACCESS_FLUSH_END), 0);
	assert_true(bitmap_test(m.accessed, at + 7));
	assert_int_equal(tiny_map_diff(m.accessed, want, reach), reach);

	/* Its frames are not mapped any more when it is gone. */
	assert_int_equal(tiny_set_slot(b->t, 1, at, 0, extra.base, 0), 0);
	assert_int_equal(tiny_access_harvest(b->fd, &m, KVM_ACCESS_FLUSH_END), 0);
	assert_false(bitmap_test(m.present, at + 7));
	tiny_access_maps_deinit(&m);
	tiny_memory_deinit(&extra);
}

/* Others who clear A bits or unmap pages on their own account. */
static int quieten(void **state)
{
	_cleanup_(closep) int fd = open("/proc/sys/kernel/numa_balancing", O_WRONLY | O_CLOEXEC);

	(void)state;
	if (fd >= 0 && write(fd, "0", 1) != 1)
		fprintf(stderr, "# kernel.numa_balancing stays as it is\n");
	return 0;
}

#define test(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_pages_harvested_are_those_touched_pass_after_pass),
		test(the_pages_harvested_of_shared_memory_are_those_touched),
		test(of_large_pages_all_is_accessed_that_any_touch_falls_in),
		test(the_pages_harvested_are_those_touched_while_writes_are_logged),
		test(a_guest_of_another_process_is_harvested_as_exactly),
		test(reads_writes_and_fetches_all_count_as_accesses),
		test(the_dirty_pages_are_those_written_to_since_the_last_harvest),
		test(a_guest_at_rest_has_nothing_accessed),
		test(a_guest_that_never_ran_has_nothing_present),
		test(an_idle_page_is_present_and_an_untouched_one_is_not),
		test(peeking_changes_nothing),
		test(without_a_flush_nothing_is_reported_that_was_not_touched),
		test(there_is_one_flush_per_range_and_only_if_asked_for),
		test(no_touch_is_lost_or_invented_while_the_vcpu_runs),
		test(nothing_is_large_with_small_pages),
		test(everything_is_large_with_large_pages),
		test(on_nodes_is_what_move_pages_says_before_and_after_moving),
		test(on_nodes_is_what_move_pages_says_for_shared_memory),
		test(on_nodes_is_what_move_pages_says_for_large_pages),
		cmocka_unit_test_setup_teardown(a_page_of_a_gigabyte_is_accessed_as_a_whole,
						bench_setup, teardown_giant),
		test(a_range_is_cleared_and_written_and_nothing_else),
		test(a_part_of_a_large_page_clears_the_whole),
		test(a_range_need_not_begin_where_its_bitmap_does),
		test(without_bitmaps_the_counters_are_the_same),
		test(a_long_range_is_done_in_the_end_and_empty_beyond_ram),
		test(signals_cut_a_harvest_into_more_calls_and_lose_nothing),
		test(a_terabyte_without_bitmaps_takes_few_calls),
		test(slots_far_apart_are_harvested_each_at_its_frames),
	};

	if (bench_skip_without_access_fd())
		return 77;
	tiny_seed();
	tiny_hold_kvm();
	return cmocka_run_group_tests(tests, quieten, NULL);
}
