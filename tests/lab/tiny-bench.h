/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The work bench of the cmocka tests of the access fd: one tiny guest, of this
 * process or of a child, one clearing access fd to it, and a record of what the
 * guest touched.  Everything here asserts: use it from the test's own thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiny-access.h"
#include "tiny-remote.h"
#include "tiny.h"

#define BENCH_PAGES 4096
#define BENCH_WORDS (BENCH_PAGES / 64)

/** BENCH_LIST_MAX - longest random work list */
#define BENCH_LIST_MAX 800

/**
 * struct bench - what a test has in front of it
 * @t: the guest, if it is of this process
 * @r: the guest, if it is of a child
 * @view: sizes and frame numbers of whichever there is
 * @vm_fd: the child's VM, in this process's table, or -1
 * @fd: access fd with KVM_ACCESS_FD_CLEAR
 * @random: state of the random numbers
 * @list: work list
 * @count: its length
 * @maps: of the first BENCH_PAGES frames, for all nodes
 * @expected: what was touched since bench_forget()
 * @ever: what was touched since the start
 */
struct bench {
	struct tiny *t;
	struct tiny_remote *r;
	const struct tiny *view;
	int vm_fd;
	int fd;
	uint64_t random;
	struct tiny_touch list[TINY_LIST_MAX];
	size_t count;
	struct tiny_access_maps maps;
	uint64_t expected[BENCH_WORDS];
	uint64_t ever[BENCH_WORDS];
};

/** bench_setup() - cmocka setup: an empty bench as the state of the test */
int bench_setup(void **state);

/** bench_setup_remote() - cmocka setup: the same with a default guest in a child */
int bench_setup_remote(void **state);

/** bench_teardown() - cmocka teardown of both */
int bench_teardown(void **state);

/** bench_skip_without_access_fd() - for main().  Return: true, and says so, if there is none. */
bool bench_skip_without_access_fd(void);

/**
 * bench_start() - make a guest in this process, and get its access fd
 * @opts: with @pages 0 or BENCH_PAGES
 *
 * Skips the test if there are no 2 MiB pages to be had.
 */
void bench_start(struct bench *b, const struct tiny_options *opts);

/** bench_start_remote() - make a guest in a child, and get its access fd by pidfd_getfd(2) */
void bench_start_remote(struct bench *b, const struct tiny_options *opts);

/** bench_draw() - a random work list of random length */
void bench_draw(struct bench *b);

/** bench_run() - have a vCPU execute the list; what it touches goes to @expected and @ever */
void bench_run(struct bench *b, size_t vcpu);

/** bench_run_every() - bench_run() with a list of @count frames from @first on */
void bench_run_every(struct bench *b, enum tiny_op op, uint64_t first, size_t count);

/** bench_touch_all() - bench_run_every() with all that lists may touch */
void bench_touch_all(struct bench *b, enum tiny_op op);

/** bench_harvest() - harvest all frames into @maps */
void bench_harvest(struct bench *b, uint32_t flags);

/** bench_forget() - empty @expected */
void bench_forget(struct bench *b);

/** bench_clear_all() - clear all A bits, and forget */
void bench_clear_all(struct bench *b);

/** bench_widen() - @expected and @ever in whole 2 MiB, as with large pages */
void bench_widen(struct bench *b);

/** bench_assert_equal() - two maps of BENCH_PAGES bits; @what they tell */
void bench_assert_equal(const uint64_t *got, const uint64_t *want, const char *what);

/** bench_assert_empty() - no bit is set */
void bench_assert_empty(const uint64_t *map, const char *what);

/** bench_assert_counters() - the counters are the populations of the bitmaps */
void bench_assert_counters(const struct bench *b);

/** bench_assert_exact() - accessed is @expected, present is @ever, counters agree */
void bench_assert_exact(const struct bench *b);

/** bench_assert_nothing_cleared() - peeking still shows all of @expected */
void bench_assert_nothing_cleared(struct bench *b);
