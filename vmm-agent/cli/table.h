/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows under headings, in the columns of a screen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/screen.h"

/* More columns than any table here has, so that widths can be on the stack. */
#define TABLE_COLUMNS_MAX 16

/**
 * struct column - one of a table
 * @head: heading
 * @right: aligned to the right, for numbers
 * @elastic: its cells are cut where the table would be wider than the screen
 */
struct column {
	const char *head;
	bool right;
	bool elastic;
};

/** struct table - opaque; holds copies of its cells */
struct table;

/**
 * table_new() - empty
 * @columns, @n: borrowed until table_free(); at most TABLE_COLUMNS_MAX
 * Return: NULL when out of memory.
 */
struct table *table_new(const struct column *columns, size_t n);

/** table_free() - also of NULL; returns NULL */
struct table *table_free(struct table *table);

/** table_freep() - for _cleanup_ */
void table_freep(struct table **table);

/**
 * table_add() - one row
 * @cells: as many as there are columns; escaped here, NULL is empty
 * Return: 0 or -ENOMEM.
 */
int table_add(struct table *table, const char *const *cells);

/**
 * table_columns() - columns that each column takes on @screen
 * @ret_widths: room for as many as the table has; the elastic ones have been cut as needed,
 *	but to no less than their heading
 */
void table_columns(const struct table *table, const struct screen *screen,
		   unsigned int *ret_widths);

/** table_print_head() - the headings, in the widths of table_columns() */
void table_print_head(const struct table *table, const struct screen *screen,
		      const unsigned int *widths);

/** table_print_row() - row @i, counted from 0 in the order of table_add() */
void table_print_row(const struct table *table, const struct screen *screen,
		     const unsigned int *widths, size_t i);

/** table_print() - headings and all rows */
void table_print(const struct table *table, const struct screen *screen);
