// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes as libvirt and people write them. */
#include <errno.h>
#include <string.h>

#include "test.h"

#include "base/units.h"

static void units_are_those_of_libvirt(void **state)
{
	static const struct {
		const char *unit;
		uint64_t scale;
	} cases[] = {
		{NULL, 1024},	       {"b", 1},
		{"bytes", 1},	       {"KB", 1000},
		{"k", 1024},	       {"K", 1024},
		{"KiB", 1024},	       {"kib", 1024},
		{"MB", 1000000},       {"M", 1048576},
		{"MiB", 1048576},      {"GB", 1000000000},
		{"G", 1ULL << 30},     {"GiB", 1ULL << 30},
		{"TB", 1000000000000}, {"TiB", 1ULL << 40},
		{"PiB", 1ULL << 50},   {"EB", 1000000000000000000},
		{"EiB", 1ULL << 60},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(units_scale(cases[i].unit), cases[i].scale);
}

static void other_units_have_no_scale(void **state)
{
	static const char *const cases[] = {"",	  "Z",	  "ZiB",  "iB",	   "MiBs", "Mi",
					    "KK", "KiB ", " KiB", "pages", "B5",   "%s"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(units_scale(cases[i]), 0);
}

static void a_number_may_stand_between_blanks(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(units_parse_u64(" \t42\n", &value), 0);
	assert_int_equal(value, 42);
	assert_int_equal(units_parse_u64("18446744073709551615", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(units_parse_u64("007", &value), 0);
	assert_int_equal(value, 7);
}

static void what_is_no_number_is_refused_and_changes_nothing(void **state)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = {
		{"", -EINVAL},
		{" ", -EINVAL},
		{"-1", -EINVAL},
		{"+1", -EINVAL},
		{"1.5", -EINVAL},
		{"0x10", -EINVAL},
		{"1 2", -EINVAL},
		{"12MiB", -EINVAL},
		{"ten", -EINVAL},
		{"1e3", -EINVAL},
		{"18446744073709551616", -ERANGE},
		{"99999999999999999999999", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 77;

		assert_int_equal(units_parse_u64(cases[i].text, &value), cases[i].code);
		assert_int_equal(value, 77);
	}
}

static void bytes_are_number_times_unit_without_overflow(void **state)
{
	uint64_t bytes = 77;

	(void)state;
	assert_int_equal(units_parse_bytes("3", "MiB", &bytes), 0);
	assert_int_equal(bytes, 3145728);
	assert_int_equal(units_parse_bytes("8", NULL, &bytes), 0);
	assert_int_equal(bytes, 8192);
	assert_int_equal(units_parse_bytes("15", "EiB", &bytes), 0);
	assert_true(bytes == 15ULL << 60);
	bytes = 77;
	assert_int_equal(units_parse_bytes("16", "EiB", &bytes), -ERANGE);
	assert_int_equal(units_parse_bytes("1", "parsec", &bytes), -EINVAL);
	assert_int_equal(units_parse_bytes("x", "MiB", &bytes), -EINVAL);
	assert_int_equal(bytes, 77);
}

static void bytes_are_written_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{100 * 1024, "100 KiB"},
		{MIB(64), "64.0 MiB"},
		{3ULL << 40, "3.0 TiB"},
		{UINT64_MAX, "16.0 EiB"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[16];

		assert_string_equal(units_format_bytes(cases[i].bytes, buf, sizeof(buf)),
				    cases[i].text);
	}
}

static void writing_bytes_stays_within_its_buffer(void **state)
{
	char buf[4];

	(void)state;
	assert_string_equal(units_format_bytes(1023, buf, sizeof(buf)), "102");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_are_those_of_libvirt),
		cmocka_unit_test(other_units_have_no_scale),
		cmocka_unit_test(a_number_may_stand_between_blanks),
		cmocka_unit_test(what_is_no_number_is_refused_and_changes_nothing),
		cmocka_unit_test(bytes_are_number_times_unit_without_overflow),
		cmocka_unit_test(bytes_are_written_for_people),
		cmocka_unit_test(writing_bytes_stays_within_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
