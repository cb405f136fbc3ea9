// SPDX-License-Identifier: GPL-2.0-or-later
/* A rate, as the mover lives with it. */
#include "test.h"

#include "base/units.h"
#include "migrate/pace.h"

#define SECOND NSEC_PER_SEC
#define T0     (77 * SECOND)

static void an_empty_bucket_grants_nothing(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, MIB(64), T0);
	assert_int_equal(pace_grant(&pace, MIB(1), PAGE_BYTES, T0), 0);
}

static void tokens_come_at_the_rate(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, MIB(64), T0);
	assert_int_equal(pace_grant(&pace, MIB(64), PAGE_BYTES, T0 + SECOND / 8), MIB(8));
	assert_int_equal(pace_grant(&pace, MIB(64), PAGE_BYTES, T0 + SECOND / 8), 0);
	assert_int_equal(pace_grant(&pace, MIB(2), PAGE_BYTES, T0 + SECOND / 4), MIB(2));
	assert_int_equal(pace_grant(&pace, MIB(64), PAGE_BYTES, T0 + SECOND / 4), MIB(6));
}

static void a_quiet_hour_saves_up_a_quarter_of_a_second_only(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, 64000000, T0);
	assert_int_equal(pace_grant(&pace, MIB(1024), PAGE_BYTES, T0 + 3600 * SECOND),
			 16000000 / PAGE_BYTES * PAGE_BYTES);
}

static void a_rate_of_zero_is_no_limit(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, 0, T0);
	assert_int_equal(pace_grant(&pace, MIB(4096), PAGE_BYTES, T0), MIB(4096));
	assert_int_equal(pace_wait_ns(&pace, MIB(4096), T0), 0);
	pace_return(&pace, MIB(4096));
	assert_int_equal(pace.tokens, 0);
}

static void a_bucket_smaller_than_the_unit_saves_up_for_it(void **state)
{
	struct pace pace;

	/* 1 MiB/s holds 256 KiB; a large page needs 2 MiB, which take two seconds. */
	(void)state;
	pace_init(&pace, MIB(1), T0);
	assert_int_equal(pace_grant(&pace, MIB(8), MIB(2), T0 + SECOND), 0);
	assert_int_equal(pace_wait_ns(&pace, MIB(2), T0 + SECOND), SECOND + 1);
	assert_int_equal(pace_grant(&pace, MIB(8), MIB(2), T0 + 2 * SECOND), MIB(2));
	assert_int_equal(pace_grant(&pace, MIB(8), MIB(2), T0 + 3 * SECOND), 0);
}

static void the_last_small_rest_is_granted_though_it_is_less_than_a_unit(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, MIB(64), T0);
	assert_int_equal(pace_grant(&pace, PAGE_BYTES, MIB(2), T0 + SECOND), PAGE_BYTES);
}

static void what_comes_back_may_be_granted_again(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, MIB(64), T0);
	assert_int_equal(pace_grant(&pace, MIB(1), PAGE_BYTES, T0 + SECOND / 64), MIB(1));
	pace_return(&pace, PAGE_BYTES);
	assert_int_equal(pace_grant(&pace, MIB(1), PAGE_BYTES, T0 + SECOND / 64), PAGE_BYTES);
}

static void fractions_of_a_byte_are_not_lost(void **state)
{
	struct pace pace;
	uint64_t granted = 0;

	/* Looked at every 300 ns, each time a third of a byte has come. */
	(void)state;
	pace_init(&pace, MIB(1), T0);
	for (uint64_t t = 0; t <= SECOND; t += 300)
		granted += pace_grant(&pace, MIB(1), PAGE_BYTES, T0 + t);
	assert_in_range(granted, MIB(1) * 99 / 100, MIB(1));
}

static void a_clock_that_stands_still_or_goes_back_grants_nothing_twice(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, MIB(64), T0);
	pace_grant(&pace, MIB(64), PAGE_BYTES, T0 + SECOND);
	assert_int_equal(pace_grant(&pace, MIB(64), PAGE_BYTES, T0 + SECOND), 0);
	assert_int_equal(pace_grant(&pace, MIB(64), PAGE_BYTES, T0), 0);
}

static void after_the_wait_that_was_told_the_grant_is_there(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint64_t rate = 1 + dice_below(&dice, MIB(4096)), now = T0, wait;
		uint64_t unit = dice_chance(&dice, 50) ? PAGE_BYTES : MIB(2);
		struct pace pace;

		pace_init(&pace, rate, now);
		for (int i = 0; i < 5; i++) {
			wait = pace_wait_ns(&pace, unit, now);
			now += wait;
			assert_true(pace_grant(&pace, unit, unit, now) == unit);
		}
	}
}

#define GRANTS_MAX 100000

static void the_rate_holds_over_any_ten_seconds_within_one_burst(void **state)
{
	static uint64_t at[GRANTS_MAX], bytes[GRANTS_MAX];
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 20; round++) {
		uint64_t rate = MIB(1 + dice_below(&dice, 512)), now = T0, sum = 0;
		uint64_t unit = dice_chance(&dice, 50) ? PAGE_BYTES : MIB(2);
		uint64_t burst = rate / 4 > MIB(2) ? rate / 4 : MIB(2);
		size_t n = 0, first = 0;
		struct pace pace;

		pace_init(&pace, rate, now);
		while (now < T0 + 60 * SECOND && n < GRANTS_MAX) {
			now += dice_below(&dice, dice_chance(&dice, 5) ? 5 * SECOND : SECOND / 20);
			at[n] = now;
			bytes[n] = pace_grant(&pace, dice_below(&dice, MIB(64)), unit, now);
			if (bytes[n] && dice_chance(&dice, 20)) {
				pace_return(&pace, PAGE_BYTES);
				bytes[n] -= PAGE_BYTES;
			}
			n++;
		}
		for (size_t i = 0; i < n; i++) {
			sum += bytes[i];
			while (at[i] - at[first] > 10 * SECOND)
				sum -= bytes[first++];
			assert_true(sum <= 10 * rate + burst);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_bucket_grants_nothing),
		cmocka_unit_test(tokens_come_at_the_rate),
		cmocka_unit_test(a_quiet_hour_saves_up_a_quarter_of_a_second_only),
		cmocka_unit_test(a_rate_of_zero_is_no_limit),
		cmocka_unit_test(a_bucket_smaller_than_the_unit_saves_up_for_it),
		cmocka_unit_test(the_last_small_rest_is_granted_though_it_is_less_than_a_unit),
		cmocka_unit_test(what_comes_back_may_be_granted_again),
		cmocka_unit_test(fractions_of_a_byte_are_not_lost),
		cmocka_unit_test(a_clock_that_stands_still_or_goes_back_grants_nothing_twice),
		cmocka_unit_test(after_the_wait_that_was_told_the_grant_is_there),
		cmocka_unit_test(the_rate_holds_over_any_ten_seconds_within_one_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
