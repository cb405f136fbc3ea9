// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages that failed, and how long they wait. */
#include "test.h"

#include "base/units.h"
#include "migrate/quarantine.h"

#define SECOND NSEC_PER_SEC

static void causes_have_their_own_delays(void **state)
{
	static const struct {
		enum cause cause;
		uint64_t delay_s;
	} cases[] = {
		{CAUSE_BUSY, 1},	  {CAUSE_PINNED, 4},	{CAUSE_SHARED, 30},
		{CAUSE_NOT_MAPPED, 4},	  {CAUSE_OTHER, 10},	{CAUSE_STALE, 0},
		{CAUSE_CPUSET, 0},	  {CAUSE_NO_MEMORY, 0}, {CAUSE_GONE, 0},
		{CAUSE_NO_HUGE_PAGE, 10},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct quarantine q;
		uint64_t end = 100 * SECOND + cases[i].delay_s * SECOND;

		quarantine_init(&q);
		quarantine_add(&q, 5, 1, cases[i].cause, 100 * SECOND);
		assert_int_equal(quarantine_bars(&q, 5, 100 * SECOND), cases[i].delay_s > 0);
		assert_int_equal(quarantine_bars(&q, 5, end - 1), cases[i].delay_s > 0);
		assert_false(quarantine_bars(&q, 5, end));
		assert_false(quarantine_bars(&q, 4, 100 * SECOND));
		quarantine_deinit(&q);
	}
}

static void each_failure_doubles_the_delay_up_to_five_minutes(void **state)
{
	static const uint64_t delays_s[] = {4, 8, 16, 32, 64, 128, 256, 300, 300, 300};
	struct quarantine q;
	uint64_t now = 0;

	(void)state;
	quarantine_init(&q);
	for (size_t i = 0; i < ARRAY_SIZE(delays_s); i++) {
		quarantine_add(&q, 9, 1, CAUSE_PINNED, now);
		assert_true(quarantine_bars(&q, 9, now + delays_s[i] * SECOND - 1));
		now += delays_s[i] * SECOND;
		assert_false(quarantine_bars(&q, 9, now));
	}
	quarantine_deinit(&q);
}

static void a_page_that_moved_starts_again(void **state)
{
	struct quarantine q;

	(void)state;
	quarantine_init(&q);
	quarantine_remove(&q, 9);
	quarantine_add(&q, 9, 1, CAUSE_PINNED, 0);
	quarantine_add(&q, 9, 1, CAUSE_PINNED, 0);
	quarantine_remove(&q, 9);
	quarantine_remove(&q, 10);
	assert_false(quarantine_bars(&q, 9, 1));
	quarantine_add(&q, 9, 1, CAUSE_PINNED, 0);
	assert_true(quarantine_bars(&q, 9, 4 * SECOND - 1));
	assert_false(quarantine_bars(&q, 9, 4 * SECOND));
	quarantine_deinit(&q);
}

static void nobody_is_forgotten_while_the_table_grows(void **state)
{
	struct dice dice = dice_new();
	static bool in[100000];
	struct quarantine q;

	(void)state;
	quarantine_init(&q);
	for (int i = 0; i < 60000; i++) {
		uint64_t index = dice_below(&dice, ARRAY_SIZE(in));

		in[index] = dice_chance(&dice, 70);
		if (in[index])
			quarantine_add(&q, index, 1, CAUSE_PINNED, 0);
		else
			quarantine_remove(&q, index);
	}
	for (uint64_t i = 0; i < ARRAY_SIZE(in); i++)
		assert_int_equal(quarantine_bars(&q, i, 1), in[i]);
	quarantine_deinit(&q);
}

static void a_full_table_stays_bounded_and_keeps_what_it_has(void **state)
{
	struct quarantine q;
	uint64_t barred = 0;

	(void)state;
	quarantine_init(&q);
	for (uint64_t i = 0; i < 4 * QUARANTINE_MAX; i++)
		quarantine_add(&q, i * 512, 512, CAUSE_PINNED, 0);
	assert_in_range(q.n, QUARANTINE_MAX / 2, QUARANTINE_MAX);
	assert_in_range(q.room, QUARANTINE_MAX, 2 * QUARANTINE_MAX);
	for (uint64_t i = 0; i < 4 * QUARANTINE_MAX; i++)
		barred += quarantine_bars(&q, i * 512, 1);
	assert_int_equal(barred, q.n);
	assert_int_equal(quarantine_count(&q, 1), 512 * barred);
	/* And those that it has go on to wait longer. */
	quarantine_add(&q, 0, 512, CAUSE_PINNED, 4 * SECOND);
	assert_true(quarantine_bars(&q, 0, 12 * SECOND - 1));
	quarantine_deinit(&q);
}

static void places_of_pages_that_moved_are_used_again(void **state)
{
	struct quarantine q;

	(void)state;
	quarantine_init(&q);
	for (uint64_t i = 0; i < 4 * QUARANTINE_MAX; i++) {
		quarantine_add(&q, i, 1, CAUSE_BUSY, i * NSEC_PER_MSEC);
		quarantine_remove(&q, i);
	}
	quarantine_add(&q, 1ULL << 30, 1, CAUSE_PINNED, 0);
	assert_true(quarantine_bars(&q, 1ULL << 30, 1));
	quarantine_deinit(&q);
}

static void pages_that_nobody_tries_any_more_make_place(void **state)
{
	struct quarantine q;

	(void)state;
	quarantine_init(&q);
	for (uint64_t i = 0; i < 2 * QUARANTINE_MAX; i++)
		quarantine_add(&q, i, 1, CAUSE_PINNED, 0);
	quarantine_add(&q, 1ULL << 30, 1, CAUSE_PINNED, 303 * SECOND);
	assert_false(quarantine_bars(&q, 1ULL << 30, 303 * SECOND + 1));
	quarantine_add(&q, 1ULL << 30, 1, CAUSE_PINNED, 313 * SECOND);
	assert_true(quarantine_bars(&q, 1ULL << 30, 313 * SECOND + 1));
	assert_int_equal(q.n, 1);
	quarantine_deinit(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(causes_have_their_own_delays),
		cmocka_unit_test(each_failure_doubles_the_delay_up_to_five_minutes),
		cmocka_unit_test(a_page_that_moved_starts_again),
		cmocka_unit_test(nobody_is_forgotten_while_the_table_grows),
		cmocka_unit_test(a_full_table_stays_bounded_and_keeps_what_it_has),
		cmocka_unit_test(places_of_pages_that_moved_are_used_again),
		cmocka_unit_test(pages_that_nobody_tries_any_more_make_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
