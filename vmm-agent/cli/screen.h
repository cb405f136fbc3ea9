/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text on a terminal: what may be shown of foreign text, how wide it is, and
 * where lines end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Tables fit this; a wider terminal only gives more room to long names. */
#define SCREEN_WIDTH 80

/**
 * struct screen - where a command prints to
 * @width: columns, at least SCREEN_WIDTH
 * @bold: whether the output takes escape sequences
 */
struct screen {
	FILE *out;
	unsigned int width;
	bool bold;
};

/**
 * screen_init() - for @out
 *
 * Anything but a terminal gets SCREEN_WIDTH columns and no escape sequences, as
 * do TERM=dumb and NO_COLOR (no-color.org).
 */
void screen_init(struct screen *ret_screen, FILE *out);

/**
 * screen_escape() - copy @text as it may be shown
 *
 * Printable characters of the locale stay; all others, those without width
 * and what is not text in this locale, become \xNN for each byte, and a
 * backslash becomes two: different names never look the same.
 * @dst, @size: room; too little cuts the text between two characters.
 * Return: @dst.
 */
char *screen_escape(char *dst, size_t size, const char *text);

/* Enough for screen_escape() of a text of @n bytes. */
#define SCREEN_ESCAPED(n) (4 * (n) + 1)

/** screen_columns() - columns that escaped text takes */
unsigned int screen_columns(const char *escaped);

/** screen_cut() - shorten escaped text in place to @columns, the last one then being '~' */
void screen_cut(char *escaped, unsigned int columns);

/**
 * screen_paragraph() - print words, with line ends where they are needed
 * @indent: blanks before the first line; later ones get @hang
 * @bold: this many bytes of @escaped are printed bold
 */
void screen_paragraph(const struct screen *screen, unsigned int indent, unsigned int hang,
		      size_t bold, const char *escaped);

/** screen_duration() - "1.2 s", "3 min 20 s", "3 h 12 min", "2 d 4 h"; returns @buf */
char *screen_duration(uint64_t ns, char *buf, size_t size);
