// SPDX-License-Identifier: GPL-2.0-or-later
/* The judge's arithmetic: passes seen from outside, who may move, what the guest said. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bits.h"
#include "guest.h"
#include "verdict.h"
#include "watch.h"

#define NPAGES 4096u

/* Pages [1024, 2048) are swept, a part at a time: these lose their bit in each pass. */
#define SWEPT_FIRST 1024u
#define SWEPT_PAGES (2 * WATCH_CLEARED_PAGES)

struct fixture {
	uint64_t ms;
	struct watch watch;
	struct peek peek;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(watch_init(&f->watch, NPAGES), 0);
	f->peek.accessed = bits_new(NPAGES);
	f->peek.present = bits_new(NPAGES);
	f->peek.large = bits_new(NPAGES);
	f->peek.in_dram = bits_new(NPAGES);
	memset(f->peek.present, 0xff, NPAGES / 8);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	watch_deinit(&f->watch);
	free(f->peek.accessed);
	free(f->peek.present);
	free(f->peek.large);
	free(f->peek.in_dram);
	free(f);
	return 0;
}

static void touch(struct fixture *f, size_t gfn, size_t npages)
{
	for (size_t i = 0; i < npages; i++)
		bits_set(f->peek.accessed, gfn + i);
}

static void look(struct fixture *f)
{
	f->ms += 100;
	watch_add(&f->watch, &f->peek, f->ms);
}

/* A daemon clears all; two looks fall into the pass that begins. */
static void begin_pass(struct fixture *f)
{
	memset(f->peek.accessed, 0, NPAGES / 8);
	look(f);
	look(f);
}

/* The pass goes on: pages that will not be used in the next one. */
static void end_pass(struct fixture *f)
{
	touch(f, SWEPT_FIRST, SWEPT_PAGES);
	look(f);
}

static void a_page_accessed_in_two_of_three_passes_is_in_use(void **state)
{
	struct fixture *f = *state;

	end_pass(f);
	for (int pass = 0; pass < 4; pass++) {
		begin_pass(f);
		if (pass == 0 || pass == 2)
			touch(f, 7, 1);
		if (pass == 1)
			touch(f, 8, 1);
		end_pass(f);
	}
	assert_int_equal(f->watch.passes, 4);
	assert_true(bits_test(f->watch.in_use, 7));
	assert_false(bits_test(f->watch.in_use, 8));
}

static void one_access_that_stays_visible_until_cleared_counts_once(void **state)
{
	struct fixture *f = *state;

	end_pass(f);
	begin_pass(f);
	touch(f, 7, 1);
	for (int i = 0; i < 50; i++)
		look(f);
	end_pass(f);
	begin_pass(f);
	end_pass(f);
	begin_pass(f);
	assert_int_equal(f->watch.passes, 3);
	assert_false(bits_test(f->watch.in_use, 7));
}

static void what_was_accessed_before_the_first_clearing_counts_for_nothing(void **state)
{
	struct fixture *f = *state;

	touch(f, 0, NPAGES);
	look(f);
	look(f);
	begin_pass(f);
	touch(f, 7, 1);
	end_pass(f);
	begin_pass(f);
	assert_int_equal(f->watch.passes, 2);
	assert_int_equal(bits_count(f->watch.in_use, NPAGES), 0);
}

static void a_clearing_that_two_looks_meet_half_done_is_one_pass(void **state)
{
	struct fixture *f = *state;

	touch(f, 0, NPAGES);
	look(f);
	memset(f->peek.accessed, 0, NPAGES / 16);
	look(f);
	memset(f->peek.accessed, 0, NPAGES / 8);
	look(f);
	look(f);
	assert_int_equal(f->watch.passes, 1);
	assert_int_equal(bits_count(f->watch.window, NPAGES), 0);
}

static void three_passes_are_measured_from_the_first_to_the_end_of_the_third(void **state)
{
	struct fixture *f = *state;

	end_pass(f);
	for (int pass = 0; pass < 6; pass++) {
		begin_pass(f);
		f->ms += pass == 2 ? 5000 : 0;
		end_pass(f);
	}
	/* 300 ms each; a window opens 100 ms after the clearing and ends with the next one. */
	assert_int_equal(f->watch.three_ms_max, 5000 + 3 * 300 - 100);
}

static void a_page_that_goes_out_of_sight_is_unsure_until_seen_again(void **state)
{
	struct fixture *f = *state;

	look(f);
	bits_clear(f->peek.present, 7);
	bits_clear(f->peek.present, 8);
	look(f);
	look(f);
	assert_int_equal(bits_count(f->watch.unsure, NPAGES), 2);
	bits_set(f->peek.present, 7);
	bits_set(f->peek.in_dram, 7);
	look(f);
	assert_true(bits_test(f->watch.moved, 7));
	assert_int_equal(bits_count(f->watch.unsure, NPAGES), 1);
	bits_clear(f->watch.unsure, 8); /* the caller has asked */
	look(f);
	assert_int_equal(bits_count(f->watch.unsure, NPAGES), 0);
}

static void a_page_once_in_dram_stays_moved(void **state)
{
	struct fixture *f = *state;

	bits_set(f->peek.in_dram, 9);
	look(f);
	bits_clear(f->peek.in_dram, 9);
	look(f);
	assert_int_equal(bits_count(f->watch.moved, NPAGES), 1);
}

/* --- the verdict -------------------------------------------------------- */

#define RAM_PAGES (384u << 8)
#define HOT_PAGES 20000u

struct run {
	struct vm vm;
	struct watch watch;
	struct guest guest;
	struct guest at_end;
	int *before;
	int *after;
	struct verdict verdict;
};

static int set_up_run(void **state)
{
	struct run *run = calloc(1, sizeof(*run));

	assert_non_null(run);
	run->vm = (struct vm) {.npages = RAM_PAGES, .ram = bits_new(RAM_PAGES), .dram_nodes = 1};
	memset(run->vm.ram, 0xff, RAM_PAGES / 8);
	assert_int_equal(watch_init(&run->watch, RAM_PAGES), 0);
	run->guest = (struct guest) {.npages = RAM_PAGES,
				     .unit_pages = 1,
				     .sweep_ms = 24000,
				     .hot = bits_new(RAM_PAGES),
				     .sweep = bits_new(RAM_PAGES)};
	run->before = calloc(RAM_PAGES, sizeof(int));
	run->after = calloc(RAM_PAGES, sizeof(int));
	for (size_t gfn = 0; gfn < RAM_PAGES; gfn++) {
		bits_set(gfn < HOT_PAGES ? run->guest.hot : run->guest.sweep, gfn);
		run->before[gfn] = 1;
		run->after[gfn] = gfn < HOT_PAGES ? 0 : 1;
	}
	run->at_end = run->guest;
	run->at_end.earlier = (struct guest_count) {.ms = 1000, .hot = 1000, .sweep = 100};
	run->at_end.last = (struct guest_count) {.ms = 6000, .hot = 10000, .sweep = 1100};
	run->watch.passes = run->verdict.daemon_passes = 36;
	run->watch.three_ms_max = 3300;
	run->verdict.seconds = 37;
	*state = run;
	return 0;
}

static int tear_down_run(void **state)
{
	struct run *run = *state;

	watch_deinit(&run->watch);
	free(run->vm.ram);
	free(run->guest.hot);
	free(run->guest.sweep);
	free(run->before);
	free(run->after);
	free(run);
	return 0;
}

static void reach(struct run *run)
{
	verdict_reach(&run->verdict, &run->vm, &run->watch, &run->guest, &run->at_end, run->before,
		      run->after);
}

static void the_hot_set_and_nothing_else_in_dram_passes(void **state)
{
	struct run *run = *state;

	reach(run);
	assert_int_equal(run->verdict.nfailures, 0);
	assert_int_equal(run->verdict.moved, HOT_PAGES);
	assert_int_equal(run->verdict.stray, 0);
	assert_int_equal((int)run->verdict.share_before, 0);
	assert_int_equal((int)run->verdict.share_after, 90);
}

static void less_than_95_percent_of_the_hot_set_fails(void **state)
{
	struct run *run = *state;

	for (size_t gfn = 0; gfn < HOT_PAGES * 5 / 100; gfn++)
		run->after[gfn] = 1;
	reach(run);
	assert_int_equal(run->verdict.nfailures, 0);
	run->after[HOT_PAGES - 1] = 1;
	reach(run);
	assert_int_equal(run->verdict.nfailures, 1);
	assert_false(run->verdict.invalid);
}

static void strays_of_a_tenth_of_the_hot_set_fail_even_if_they_went_back(void **state)
{
	struct run *run = *state;

	for (size_t i = 0; i < HOT_PAGES / 10; i++)
		bits_set(run->watch.moved, HOT_PAGES + i);
	reach(run);
	assert_int_equal(run->verdict.stray, HOT_PAGES / 10);
	assert_int_equal(run->verdict.nfailures, 1);
}

static void pages_in_use_are_no_strays(void **state)
{
	struct run *run = *state;

	for (size_t i = 0; i < HOT_PAGES / 10; i++) {
		run->after[HOT_PAGES + i] = 0;
		bits_set(run->watch.in_use, HOT_PAGES + i);
	}
	reach(run);
	assert_int_equal(run->verdict.nfailures, 0);
	assert_int_equal(run->verdict.moved_in_use, HOT_PAGES / 10);
}

static void a_guest_that_began_in_dram_proves_nothing(void **state)
{
	struct run *run = *state;

	run->before[5] = 0;
	reach(run);
	assert_true(run->verdict.invalid);
}

static void a_guest_of_single_pages_with_a_large_entry_proves_nothing(void **state)
{
	struct run *run = *state;

	run->watch.large_max = 512;
	reach(run);
	assert_true(run->verdict.invalid);
}

static void fewer_than_six_passes_in_a_sweep_prove_nothing(void **state)
{
	struct run *run = *state;

	run->verdict.seconds = 40;
	run->watch.passes = run->verdict.daemon_passes = 10;
	reach(run);
	assert_int_equal(run->verdict.nfailures, 0);
	run->watch.passes = run->verdict.daemon_passes = 9;
	reach(run);
	assert_true(run->verdict.invalid);
}

static void three_passes_that_took_more_than_half_a_sweep_prove_nothing(void **state)
{
	struct run *run = *state;

	run->watch.three_ms_max = 12000;
	reach(run);
	assert_int_equal(run->verdict.nfailures, 0);
	run->watch.three_ms_max = 12001;
	reach(run);
	assert_true(run->verdict.invalid);
}

static void passes_that_only_the_judge_has_seen_prove_nothing(void **state)
{
	struct run *run = *state;

	run->watch.passes = 38;
	reach(run);
	assert_int_equal(run->verdict.nfailures, 0);
	run->watch.passes = 39;
	reach(run);
	assert_true(run->verdict.invalid);
}

static void a_tenth_of_the_passes_may_go_unseen_and_no_more(void **state)
{
	struct run *run = *state;

	run->watch.passes = 30; /* 36 less 4, less 2 at the end */
	reach(run);
	assert_int_equal(run->verdict.nfailures, 0);
	run->watch.passes = 29;
	reach(run);
	assert_true(run->verdict.invalid);
}

/* --- the guest's word --------------------------------------------------- */

static int read_text(const char *text, struct guest *ret_guest)
{
	char path[] = "/tmp/test-judge-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = guest_read(path, 1500, 2000, ret_guest);
	unlink(path);
	return r;
}

static void the_report_of_a_guest_is_read(void **state)
{
	struct guest guest;

	(void)state;
	assert_int_equal(read_text("guest seed=3 ram_pages=100 unit_pages=1 cycle_ms=1 sweep_s=2\n"
				   "hot 2 3\nhot 99 1\nsweep 10 20\nready\n"
				   "count 1000 10 1 1 0 99\ncount 2000 20 2 2 0 7\n"
				   "count 3000 30 3 3 0 5\ncount 4000 40 4 4 1 6\ncount 50",
				   &guest),
			 0);
	assert_int_equal(guest.seed, 3);
	assert_int_equal(guest.sweep_ms, 2000);
	assert_int_equal(bits_count(guest.hot, guest.npages), 4);
	assert_int_equal(bits_count(guest.sweep, guest.npages), 20);
	assert_int_equal(guest.last.hot, 40);
	assert_int_equal(guest.earlier.hot, 20);
	assert_int_equal(guest.slowest_ms, 7);
	free(guest.hot);
	free(guest.sweep);
}

static void a_report_that_makes_no_sense_is_refused(void **state)
{
	static const char *const reports[] = {
		"",
		"hot 1 1\n",
		"guest seed=1 ram_pages=100 unit_pages=1 cycle_ms=1 sweep_s=2\nhot 1 1\n",
		"guest seed=1 ram_pages=100 unit_pages=1\nhot 1 1\nready\ncount 1 1 1 1 1 1\n",
		"guest seed=1 ram_pages=100 unit_pages=1 cycle_ms=1 sweep_s=2\nhot 100 "
		"1\nready\ncount 1 1 1 1 1 1\n",
		"guest seed=1 ram_pages=100 unit_pages=1 cycle_ms=1 sweep_s=2\nhot 9 "
		"18446744073709551615\n",
		"guest seed=1 ram_pages=18446744073709551615 unit_pages=1 cycle_ms=1 "
		"sweep_s=2\nready\n",
		"guest seed=1 ram_pages=100 unit_pages=1 cycle_ms=1 sweep_s=2\nready\ncount 1 1\n",
	};
	struct guest guest;

	(void)state;
	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++)
		assert_int_equal(read_text(reports[i], &guest), -1);
}

int main(void)
{
#define WATCH_TEST(name)   cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define VERDICT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_run, tear_down_run)
	const struct CMUnitTest tests[] = {
		WATCH_TEST(a_page_accessed_in_two_of_three_passes_is_in_use),
		WATCH_TEST(one_access_that_stays_visible_until_cleared_counts_once),
		WATCH_TEST(what_was_accessed_before_the_first_clearing_counts_for_nothing),
		WATCH_TEST(a_clearing_that_two_looks_meet_half_done_is_one_pass),
		WATCH_TEST(three_passes_are_measured_from_the_first_to_the_end_of_the_third),
		WATCH_TEST(a_page_that_goes_out_of_sight_is_unsure_until_seen_again),
		WATCH_TEST(a_page_once_in_dram_stays_moved),
		VERDICT_TEST(the_hot_set_and_nothing_else_in_dram_passes),
		VERDICT_TEST(less_than_95_percent_of_the_hot_set_fails),
		VERDICT_TEST(strays_of_a_tenth_of_the_hot_set_fail_even_if_they_went_back),
		VERDICT_TEST(pages_in_use_are_no_strays),
		VERDICT_TEST(a_guest_that_began_in_dram_proves_nothing),
		VERDICT_TEST(a_guest_of_single_pages_with_a_large_entry_proves_nothing),
		VERDICT_TEST(fewer_than_six_passes_in_a_sweep_prove_nothing),
		VERDICT_TEST(three_passes_that_took_more_than_half_a_sweep_prove_nothing),
		VERDICT_TEST(passes_that_only_the_judge_has_seen_prove_nothing),
		VERDICT_TEST(a_tenth_of_the_passes_may_go_unseen_and_no_more),
		cmocka_unit_test(the_report_of_a_guest_is_read),
		cmocka_unit_test(a_report_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
