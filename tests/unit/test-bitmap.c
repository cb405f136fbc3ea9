// SPDX-License-Identifier: GPL-2.0-or-later
/* Bitmaps against a model that does one bit at a time. */
#include <string.h>

#include "test.h"

#include "base/bitmap.h"

static uint64_t *random_map(struct dice *dice, size_t nbits)
{
	uint64_t *map = calloc(bitmap_words(nbits) + 1, sizeof(*map));

	assert_non_null(map);
	for (size_t i = 0; i < nbits; i++)
		if (dice_chance(dice, 50))
			bitmap_set(map, i);
	return map;
}

static void or_at_does_what_or_bit_by_bit_does(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = dice_below(&dice, 300), to = dice_below(&dice, 200);
		size_t from = dice_below(&dice, 200), words = bitmap_words(to + n);
		_cleanup_(freep) uint64_t *src = random_map(&dice, from + n);
		_cleanup_(freep) uint64_t *dst = random_map(&dice, to + n);
		_cleanup_(freep) uint64_t *model = malloc((words + 1) * sizeof(*model));

		memcpy(model, dst, (words + 1) * sizeof(*model));
		for (size_t i = 0; i < n; i++)
			if (bitmap_test(src, from + i))
				bitmap_set(model, to + i);

		bitmap_or_at(dst, to, src, from, n);

		assert_memory_equal(dst, model, (words + 1) * sizeof(*model));
	}
}

static void or_at_reads_and_writes_only_the_words_that_hold_its_bits(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 5000; round++) {
		/* Allocated to the word, so that the address sanitizer sees a step too far. */
		size_t n = 1 + dice_below(&dice, 200), to = dice_below(&dice, 64);
		size_t from = dice_below(&dice, 64);
		_cleanup_(freep) uint64_t *src = calloc(bitmap_words(from + n), sizeof(*src));
		_cleanup_(freep) uint64_t *dst = calloc(bitmap_words(to + n), sizeof(*dst));

		memset(src, 0xff, bitmap_words(from + n) * sizeof(*src));
		bitmap_or_at(dst, to, src, from, n);
		assert_int_equal(bitmap_count(dst, to + n), n);
	}
}

static void or_at_of_no_bits_touches_nothing(void **state)
{
	uint64_t src = ~0ULL, dst = 0;

	(void)state;
	bitmap_or_at(&dst, 13, &src, 7, 0);
	assert_int_equal(dst, 0);
}

static void a_range_is_set_from_start_to_before_end(void **state)
{
	(void)state;
	for (size_t start = 0; start < 200; start += 7)
		for (size_t end = start; end <= 256; end += 5) {
			uint64_t map[4] = {0};

			bitmap_set_range(map, start, end);
			for (size_t i = 0; i < 256; i++)
				assert_int_equal(bitmap_test(map, i), i >= start && i < end);
			assert_int_equal(bitmap_count(map, 256), end - start);
		}
}

static void a_range_that_ends_before_it_starts_is_empty(void **state)
{
	uint64_t map[4] = {0};

	(void)state;
	bitmap_set_range(map, 130, 100);
	assert_int_equal(bitmap_count(map, 256), 0);
}

static void one_bit_can_be_set_cleared_and_assigned(void **state)
{
	uint64_t map[2] = {0};

	(void)state;
	bitmap_set(map, 64);
	assert_int_equal(map[1], 1);
	bitmap_assign(map, 127, true);
	assert_int_equal(map[1], 1 | 1ULL << 63);
	bitmap_assign(map, 64, false);
	bitmap_assign(map, 65, false);
	assert_int_equal(map[1], 1ULL << 63);
	bitmap_clear(map, 127);
	assert_int_equal(map[0] | map[1], 0);
}

static void words_are_rounded_up(void **state)
{
	(void)state;
	assert_int_equal(bitmap_words(0), 0);
	assert_int_equal(bitmap_words(1), 1);
	assert_int_equal(bitmap_words(64), 1);
	assert_int_equal(bitmap_words(65), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(or_at_does_what_or_bit_by_bit_does),
		cmocka_unit_test(or_at_reads_and_writes_only_the_words_that_hold_its_bits),
		cmocka_unit_test(or_at_of_no_bits_touches_nothing),
		cmocka_unit_test(a_range_is_set_from_start_to_before_end),
		cmocka_unit_test(a_range_that_ends_before_it_starts_is_empty),
		cmocka_unit_test(one_bit_can_be_set_cleared_and_assigned),
		cmocka_unit_test(words_are_rounded_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
