// SPDX-License-Identifier: GPL-2.0-or-later
/* A code for the program, a sentence for people. */
#include <errno.h>
#include <string.h>

#include "test.h"

#include "base/error.h"

static void setting_an_error_returns_its_code(void **state)
{
	struct error err = {0};

	(void)state;
	assert_int_equal(error_set(&err, -EINVAL, "node %d has no memory", 3), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.text, "node 3 has no memory");
}

static void wrapping_puts_what_was_being_done_before(void **state)
{
	struct error err = {0};

	(void)state;
	error_set(&err, -ENOENT, "no such file");
	assert_int_equal(error_wrap(&err, "policy of '%s'", "db1"), -ENOENT);
	assert_int_equal(error_wrap(&err, "starting"), -ENOENT);
	assert_string_equal(err.text, "starting: policy of 'db1': no such file");
}

static void without_an_error_to_fill_the_code_is_returned_all_the_same(void **state)
{
	struct error empty = {0};

	(void)state;
	assert_int_equal(error_set(NULL, -EPERM, "nobody reads this"), -EPERM);
	assert_int_equal(error_wrap(NULL, "nor this"), -EIO);
	assert_int_equal(error_wrap(&empty, "nothing to wrap"), -EIO);
	assert_int_equal(empty.code, 0);
	assert_string_equal(empty.text, "");
}

static void sentences_that_are_too_long_are_cut_and_terminated(void **state)
{
	char word[600];
	struct error err = {0};

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	error_set(&err, -EINVAL, "%s", word);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	error_wrap(&err, "doing %s", word);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "doing xxx", 9);
}

static void an_error_without_a_sentence_is_shown_by_its_errno(void **state)
{
	struct error err = {.code = -ENOENT, .text = "there is no guest"};

	(void)state;
	assert_string_equal(error_text(&err, -EINVAL), "there is no guest");
	assert_string_equal(error_text(NULL, -ENOENT), strerror(ENOENT));
	err.text[0] = '\0';
	assert_string_equal(error_text(&err, -EACCES), strerror(EACCES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting_an_error_returns_its_code),
		cmocka_unit_test(wrapping_puts_what_was_being_done_before),
		cmocka_unit_test(without_an_error_to_fill_the_code_is_returned_all_the_same),
		cmocka_unit_test(sentences_that_are_too_long_are_cut_and_terminated),
		cmocka_unit_test(an_error_without_a_sentence_is_shown_by_its_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
