// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables and paragraphs: 80 columns, whatever the cells hold. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/screen.h"
#include "cli/table.h"

/** struct paper - a screen whose lines can be read afterwards */
struct paper {
	struct screen screen;
	char text[1 << 16];
};

static struct screen *paper_init(struct paper *paper)
{
	memset(paper, 0, sizeof(*paper));
	paper->screen.out = fmemopen(paper->text, sizeof(paper->text), "w");
	paper->screen.width = SCREEN_WIDTH;
	assert_non_null(paper->screen.out);
	return &paper->screen;
}

static const char *paper_read(struct paper *paper)
{
	fclose(paper->screen.out);
	return paper->text;
}

static void assert_fits(const char *text)
{
	while (*text) {
		char line[1024];

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		assert_true(screen_columns(line) <= SCREEN_WIDTH);
		text += strlen(line);
		text += *text == '\n';
	}
}

static const char *escape(const char *text)
{
	static char buf[512];

	return screen_escape(buf, sizeof(buf), text);
}

static void cells_stand_under_their_headings(void **state)
{
	static const struct column columns[] = {
		{.head = "NAME"}, {.head = "PID", .right = true}, {.head = "STATE"}};
	_cleanup_(table_freep) struct table *table = table_new(columns, ARRAY_SIZE(columns));
	struct paper paper;

	(void)state;
	table_add(table, (const char *[]) {"db1", "7", "active"});
	table_add(table, (const char *[]) {"longer", "12345", NULL});
	table_print(table, paper_init(&paper));
	assert_string_equal(paper_read(&paper), "NAME      PID  STATE\n"
						"db1         7  active\n"
						"longer  12345  \n");
}

static void long_cells_are_cut_where_they_may_be(void **state)
{
	static const struct column columns[] = {{.head = "NAME", .elastic = true},
						{.head = "STATE"}};
	_cleanup_(table_freep) struct table *table = table_new(columns, ARRAY_SIZE(columns));
	char name[256];
	struct paper paper;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	table_add(table, (const char *[]) {name, "active"});
	table_print(table, paper_init(&paper));
	assert_fits(paper_read(&paper));
	assert_non_null(strstr(paper.text, "nnn~  active\n"));
}

static void many_rows_keep_their_order(void **state)
{
	static const struct column columns[] = {{.head = "N", .right = true}};
	_cleanup_(table_freep) struct table *table = table_new(columns, ARRAY_SIZE(columns));
	struct paper paper;
	char cell[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(cell, sizeof(cell), "%d", i);
		assert_int_equal(table_add(table, (const char *[]) {cell}), 0);
	}
	table_print(table, paper_init(&paper));
	assert_non_null(strstr(paper_read(&paper), "\n998\n999\n"));
}

static void control_characters_never_reach_the_terminal(void **state)
{
	(void)state;
	assert_string_equal(escape("a\x1b[2Jb"), "a\\x1b[2Jb");
	assert_string_equal(escape("one\ntwo\r\t\x7f"), "one\\x0atwo\\x0d\\x09\\x7f");
	assert_string_equal(escape("\xc2\x9b"), "\\xc2\\x9b");
	/* Right-to-left override and zero-width space. */
	assert_string_equal(escape("\xe2\x80\xae"), "\\xe2\\x80\\xae");
	assert_string_equal(escape("\xe2\x80\x8b"), "\\xe2\\x80\\x8b");
	assert_string_equal(escape("\xff\xfe"), "\\xff\\xfe");
}

static void different_names_never_look_the_same(void **state)
{
	(void)state;
	assert_string_equal(escape("\\x1b"), "\\\\x1b");
	assert_string_equal(escape("\x1b"), "\\x1b");
}

static void letters_of_the_locale_stay(void **state)
{
	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	assert_string_equal(escape("\xc3\xa9\xe4\xb8\xad"), "\xc3\xa9\xe4\xb8\xad");
	assert_int_equal(screen_columns("\xc3\xa9\xe4\xb8\xad"), 3);
	setlocale(LC_CTYPE, "C");
	assert_string_equal(escape("\xc3\xa9"), "\\xc3\\xa9");
}

static void a_text_is_cut_to_columns_and_not_to_bytes(void **state)
{
	char text[32];

	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	strcpy(text, "\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad");
	screen_cut(text, 4);
	assert_string_equal(text, "\xe4\xb8\xad~");
	strcpy(text, "fits");
	screen_cut(text, 4);
	assert_string_equal(text, "fits");
	setlocale(LC_CTYPE, "C");
}

static void escaping_respects_the_room_there_is(void **state)
{
	char buf[SCREEN_ESCAPED(3)];

	(void)state;
	assert_string_equal(screen_escape(buf, sizeof(buf), "\x01\x02\x03"), "\\x01\\x02\\x03");
	assert_string_equal(screen_escape(buf, 5, "\x01\x02"), "\\x01");
	assert_string_equal(screen_escape(buf, 4, "\x01"), "");
	assert_string_equal(screen_escape(buf, 3, "abc"), "ab");
}

static void paragraphs_wrap_between_words(void **state)
{
	struct paper paper;
	char text[512] = "";

	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(text, i ? " word" : "word");
	screen_paragraph(paper_init(&paper), 2, 4, 0, text);
	assert_fits(paper_read(&paper));
	assert_memory_equal(paper.text, "  word word", 11);
	assert_non_null(strstr(paper.text, "word\n    word"));
}

static void a_word_that_is_too_long_is_broken(void **state)
{
	struct paper paper;
	char text[512];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	screen_paragraph(paper_init(&paper), 0, 8, 0, text);
	assert_fits(paper_read(&paper));
}

static void durations_are_as_people_say_them(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(screen_duration(0, buf, sizeof(buf)), "0.0 s");
	assert_string_equal(screen_duration(1250000000, buf, sizeof(buf)), "1.2 s");
	assert_string_equal(screen_duration(200000000000, buf, sizeof(buf)), "3 min 20 s");
	assert_string_equal(screen_duration(11520000000000, buf, sizeof(buf)), "3 h 12 min");
	assert_string_equal(screen_duration(187200000000000, buf, sizeof(buf)), "2 d 4 h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_stand_under_their_headings),
		cmocka_unit_test(long_cells_are_cut_where_they_may_be),
		cmocka_unit_test(many_rows_keep_their_order),
		cmocka_unit_test(control_characters_never_reach_the_terminal),
		cmocka_unit_test(different_names_never_look_the_same),
		cmocka_unit_test(letters_of_the_locale_stay),
		cmocka_unit_test(a_text_is_cut_to_columns_and_not_to_bytes),
		cmocka_unit_test(escaping_respects_the_room_there_is),
		cmocka_unit_test(paragraphs_wrap_between_words),
		cmocka_unit_test(a_word_that_is_too_long_is_broken),
		cmocka_unit_test(durations_are_as_people_say_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
