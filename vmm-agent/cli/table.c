// SPDX-License-Identifier: GPL-2.0-or-later
/* Cells first, widths when all are known, then print. */
#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Blanks between two columns. */
#define GAP 2

/**
 * struct table - rows of escaped cells
 * @cells: @ncolumns times @nrows, row by row; owned
 */
struct table {
	const struct column *columns;
	size_t ncolumns;
	size_t nrows;
	size_t room;
	char **cells;
};

struct table *table_new(const struct column *columns, size_t n)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	table->ncolumns = n < TABLE_COLUMNS_MAX ? n : TABLE_COLUMNS_MAX;
	return table;
}

struct table *table_free(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->nrows * table->ncolumns; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
	return NULL;
}

void table_freep(struct table **table)
{
	*table = table_free(*table);
}

static int table_grow(struct table *table)
{
	size_t room = table->room ? 2 * table->room : 16;
	char **cells;

	if (table->nrows < table->room)
		return 0;
	cells = reallocarray(table->cells, room, table->ncolumns * sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	table->room = room;
	return 0;
}

int table_add(struct table *table, const char *const *cells)
{
	char **row;

	if (table_grow(table) < 0)
		return -ENOMEM;
	row = table->cells + table->nrows * table->ncolumns;
	for (size_t c = 0; c < table->ncolumns; c++) {
		const char *text = cells[c] ? cells[c] : "";
		size_t size = SCREEN_ESCAPED(strlen(text));

		row[c] = malloc(size);
		if (!row[c]) {
			while (c--)
				free(row[c]);
			return -ENOMEM;
		}
		screen_escape(row[c], size, text);
	}
	table->nrows++;
	return 0;
}

void table_columns(const struct table *table, const struct screen *screen, unsigned int *ret_widths)
{
	unsigned int sum = 0;

	for (size_t c = 0; c < table->ncolumns; c++) {
		ret_widths[c] = screen_columns(table->columns[c].head);
		for (size_t r = 0; r < table->nrows; r++) {
			unsigned int w = screen_columns(table->cells[r * table->ncolumns + c]);

			if (w > ret_widths[c])
				ret_widths[c] = w;
		}
		sum += ret_widths[c] + (c ? GAP : 0);
	}
	for (size_t c = 0; c < table->ncolumns && sum > screen->width; c++) {
		unsigned int least = screen_columns(table->columns[c].head);
		unsigned int less = sum - screen->width;

		if (!table->columns[c].elastic)
			continue;
		if (less > ret_widths[c] - least)
			less = ret_widths[c] - least;
		ret_widths[c] -= less;
		sum -= less;
	}
}

/* The last column is not filled up: no line ends in blanks. */
static void cell_print(const struct table *table, FILE *out, size_t c, unsigned int width,
		       const char *text)
{
	unsigned int columns = screen_columns(text);
	int fill = columns < width ? (int)(width - columns) : 0;

	if (c)
		fprintf(out, "%*s", GAP, "");
	if (table->columns[c].right)
		fprintf(out, "%*s%s", fill, "", text);
	else
		fprintf(out, "%s%*s", text, c + 1 < table->ncolumns ? fill : 0, "");
}

void table_print_head(const struct table *table, const struct screen *screen,
		      const unsigned int *widths)
{
	if (screen->bold)
		fputs("\033[1m", screen->out);
	for (size_t c = 0; c < table->ncolumns; c++)
		cell_print(table, screen->out, c, widths[c], table->columns[c].head);
	fputs(screen->bold ? "\033[0m\n" : "\n", screen->out);
}

void table_print_row(const struct table *table, const struct screen *screen,
		     const unsigned int *widths, size_t i)
{
	for (size_t c = 0; c < table->ncolumns; c++) {
		char *cell = table->cells[i * table->ncolumns + c];

		screen_cut(cell, widths[c]);
		cell_print(table, screen->out, c, widths[c], cell);
	}
	fputc('\n', screen->out);
}

void table_print(const struct table *table, const struct screen *screen)
{
	unsigned int widths[TABLE_COLUMNS_MAX];

	table_columns(table, screen, widths);
	table_print_head(table, screen, widths);
	for (size_t i = 0; i < table->nrows; i++)
		table_print_row(table, screen, widths, i);
}
