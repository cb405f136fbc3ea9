// SPDX-License-Identifier: GPL-2.0-or-later
/* What is UTF-8, and what becomes of what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/utf8.h"

static void well_formed_characters_have_their_length(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = {
		{"a", 1},
		{"\xc2\x80", 2},
		{"\xdf\xbf", 2},
		{"\xe0\xa0\x80", 3},
		{"\xed\x9f\xbf", 3},
		{"\xef\xbf\xbf", 3},
		{"\xf0\x90\x80\x80", 4},
		{"\xf4\x8f\xbf\xbf", 4},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *end = cases[i].text + strlen(cases[i].text);

		assert_int_equal(utf8_length(cases[i].text, end), cases[i].length);
	}
}

static void what_rfc_3629_forbids_has_none(void **state)
{
	static const char *const cases[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xc3",
		"\xe2\x82",
		"\xc3(",
		"\xe2\x82(",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(utf8_length(cases[i], cases[i] + strlen(cases[i])), 0);
	assert_int_equal(utf8_length("", ""), 0);
}

static void validity_is_of_all_bytes(void **state)
{
	(void)state;
	assert_true(utf8_is_valid("", 0));
	assert_true(utf8_is_valid("a\0b", 3));
	assert_true(utf8_is_valid("\xc3\xa9!", 3));
	assert_false(utf8_is_valid("\xc3\xa9", 1));
	assert_false(utf8_is_valid("ok\xff", 3));
}

static void a_copy_is_never_cut_within_a_character(void **state)
{
	char buf[8];

	(void)state;
	assert_string_equal(utf8_clean(buf, 4, "ab\xc3\xa9"), "ab");
	assert_string_equal(utf8_clean(buf, 5, "ab\xc3\xa9"), "ab\xc3\xa9");
	assert_string_equal(utf8_clean(buf, 1, "ab"), "");
	assert_string_equal(utf8_clean(buf, 3, "\xff\xff\xff"), "??");
}

static void invisible_characters_are_replaced(void **state)
{
	char buf[64];

	(void)state;
	/* Right-to-left override, zero width space, byte order mark. */
	assert_string_equal(utf8_clean(buf, sizeof(buf), "a\xe2\x80\xae|"), "a?|");
	assert_string_equal(utf8_clean(buf, sizeof(buf), "\xe2\x80\x8b|\xef\xbb\xbf"), "?|?");
	/* Their neighbours can be seen: a dash, an ellipsis. */
	assert_string_equal(utf8_clean(buf, sizeof(buf), "\xe2\x80\x90\xe2\x80\xa6"),
			    "\xe2\x80\x90\xe2\x80\xa6");
}

static void a_copy_is_valid_and_no_longer_than_its_text(void **state)
{
	unsigned int seed = 7;
	char text[64], copy[64];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(text) - 1; i++)
			text[i] = (char)(1 + rand_r(&seed) % 255);
		text[sizeof(text) - 1] = '\0';
		utf8_clean(copy, sizeof(copy), text);
		assert_true(utf8_is_valid(copy, strlen(copy)));
		assert_true(strlen(copy) <= strlen(text));
		assert_null(strpbrk(copy, "\x1b\n\t\x7f"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_characters_have_their_length),
		cmocka_unit_test(what_rfc_3629_forbids_has_none),
		cmocka_unit_test(validity_is_of_all_bytes),
		cmocka_unit_test(a_copy_is_never_cut_within_a_character),
		cmocka_unit_test(invisible_characters_are_replaced),
		cmocka_unit_test(a_copy_is_valid_and_no_longer_than_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
