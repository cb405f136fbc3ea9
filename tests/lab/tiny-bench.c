// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The work bench of the cmocka tests of the access fd.
 */
#define _GNU_SOURCE
#include "tiny-bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/cleanup.h"

#define ALL_NODES (~0ULL)

int bench_setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b || tiny_access_maps_init(&b->maps, 0, BENCH_PAGES))
		return -1;
	b->maps.nodes = ALL_NODES;
	b->fd = -1;
	b->vm_fd = -1;
	b->random = tiny_seed();
	*state = b;
	return 0;
}

int bench_setup_remote(void **state)
{
	if (bench_setup(state))
		return -1;
	bench_start_remote(*state, NULL);
	return 0;
}

int bench_teardown(void **state)
{
	struct bench *b = *state;

	closep(&b->fd);
	closep(&b->vm_fd);
	tiny_free(b->t);
	tiny_remote_free(b->r);
	tiny_access_maps_deinit(&b->maps);
	free(b);
	return 0;
}

bool bench_skip_without_access_fd(void)
{
	if (tiny_access_supported())
		return false;
	fprintf(stderr, "skipped: this machine's KVM has no access fd\n");
	return true;
}

void bench_start(struct bench *b, const struct tiny_options *opts)
{
	int r = tiny_new(opts, &b->t);

	if (r == -EAGAIN || r == -ENOSYS) {
		print_message("skipped: no 2 MiB pages to be had\n");
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(b->t->ram.pages, BENCH_PAGES);
	b->view = b->t;
	b->fd = tiny_access_open_own(b->t->vm_fd, KVM_ACCESS_FD_CLEAR);
	assert_true(b->fd >= 0);
}

void bench_start_remote(struct bench *b, const struct tiny_options *opts)
{
	assert_int_equal(tiny_remote_new(opts, &b->r), 0);
	b->view = &b->r->view;
	assert_int_equal(b->view->ram.pages, BENCH_PAGES);
	b->vm_fd = tiny_remote_get_fd(b->r, b->view->vm_fd);
	assert_true(b->vm_fd >= 0);
	b->fd = tiny_access_open(b->vm_fd, KVM_ACCESS_FD_CLEAR);
	assert_true(b->fd >= 0);
}

void bench_draw(struct bench *b)
{
	b->count = 1 + tiny_random_below(&b->random, BENCH_LIST_MAX);
	tiny_list_random(&b->random, b->view->first_free, BENCH_PAGES, b->list, b->count);
}

void bench_run(struct bench *b, size_t vcpu)
{
	int r;

	if (b->r)
		r = tiny_remote_run(b->r, vcpu, b->list, b->count, 0, NULL);
	else
		r = tiny_run(b->t, vcpu, b->list, b->count, 0, NULL);
	assert_int_equal(r, 0);
	tiny_expect(b->view, vcpu, b->list, b->count, b->expected);
	tiny_expect(b->view, vcpu, b->list, b->count, b->ever);
}

void bench_run_every(struct bench *b, enum tiny_op op, uint64_t first, size_t count)
{
	b->count = count;
	tiny_list_every(op, first, b->list, count);
	bench_run(b, 0);
}

void bench_touch_all(struct bench *b, enum tiny_op op)
{
	bench_run_every(b, op, b->view->first_free, BENCH_PAGES - b->view->first_free);
}

void bench_harvest(struct bench *b, uint32_t flags)
{
	assert_int_equal(tiny_access_harvest(b->fd, &b->maps, flags), 0);
}

void bench_forget(struct bench *b)
{
	memset(b->expected, 0, sizeof(b->expected));
}

void bench_clear_all(struct bench *b)
{
	bench_harvest(b, KVM_ACCESS_FLUSH_END);
	bench_forget(b);
}

void bench_widen(struct bench *b)
{
	tiny_map_widen(b->expected, BENCH_PAGES);
	tiny_map_widen(b->ever, BENCH_PAGES);
}

void bench_assert_equal(const uint64_t *got, const uint64_t *want, const char *what)
{
	size_t bit = tiny_map_diff(got, want, BENCH_PAGES);

	if (bit != BENCH_PAGES)
		fail_msg("%s, frame %zu: got %d, want %d (in all %zu and %zu)", what, bit,
			 bitmap_test(got, bit), bitmap_test(want, bit),
			 bitmap_count(got, BENCH_PAGES), bitmap_count(want, BENCH_PAGES));
}

void bench_assert_empty(const uint64_t *map, const char *what)
{
	static const uint64_t none[BENCH_WORDS];

	bench_assert_equal(map, none, what);
}

void bench_assert_counters(const struct bench *b)
{
	const struct tiny_access_maps *m = &b->maps;

	assert_int_equal(m->sum.nr_accessed, bitmap_count(m->accessed, m->pages));
	assert_int_equal(m->sum.nr_present, bitmap_count(m->present, m->pages));
	assert_int_equal(m->sum.nr_dirty, bitmap_count(m->dirty, m->pages));
	assert_int_equal(m->sum.nr_large, bitmap_count(m->large, m->pages));
	assert_int_equal(m->sum.nr_on_nodes, bitmap_count(m->on_nodes, m->pages));
	assert_int_equal(m->sum.nr_unknown, 0);
	assert_true(m->sum.nr_walks > 0);
	assert_int_equal(m->sum.gfn, m->first + m->pages);
}

void bench_assert_exact(const struct bench *b)
{
	bench_assert_equal(b->maps.accessed, b->expected, "accessed");
	bench_assert_equal(b->maps.present, b->ever, "present");
	bench_assert_counters(b);
}

void bench_assert_nothing_cleared(struct bench *b)
{
	bench_harvest(b, KVM_ACCESS_PEEK);
	bench_assert_equal(b->maps.accessed, b->expected, "accessed");
}
