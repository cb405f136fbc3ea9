// SPDX-License-Identifier: GPL-2.0-or-later
/* Foreign text made harmless, measured and wrapped; the C library's locale decides. */
#include "cli/screen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/units.h"

/* Longer lines than this are hard to follow with the eye. */
#define SCREEN_WIDTH_MAX 132

static bool takes_escapes(int fd)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	if (!isatty(fd) || !term || !strcmp(term, "dumb"))
		return false;
	return !no_color || !no_color[0];
}

void screen_init(struct screen *ret_screen, FILE *out)
{
	int fd = fileno(out);
	struct winsize ws;

	*ret_screen = (struct screen) {.out = out, .width = SCREEN_WIDTH};
	if (fd < 0)
		return;
	ret_screen->bold = takes_escapes(fd);
	if (isatty(fd) && ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > SCREEN_WIDTH)
		ret_screen->width = ws.ws_col < SCREEN_WIDTH_MAX ? ws.ws_col : SCREEN_WIDTH_MAX;
}

/*
 * Bytes of the character at @text and the columns that it takes; 0 columns for
 * one that may not be shown as it is.
 */
static size_t character(const char *text, unsigned int *ret_columns)
{
	mbstate_t state = {0};
	wchar_t wide;
	size_t n = mbrtowc(&wide, text, strlen(text), &state);
	int columns;

	*ret_columns = 0;
	if (n == 0 || n == (size_t)-1 || n == (size_t)-2)
		return 1;
	columns = wcwidth(wide);
	if (columns > 0)
		*ret_columns = (unsigned int)columns;
	return n;
}

char *screen_escape(char *dst, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n, need, len = 0;
	unsigned int columns;

	for (; *text; text += n) {
		n = character(text, &columns);
		need = !columns ? 4 * n : *text == '\\' ? 2 : n;
		if (len + need >= size)
			break;
		if (columns) {
			if (*text == '\\')
				dst[len++] = '\\';
			memcpy(dst + len, text, n);
			len += n;
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			uint8_t byte = (uint8_t)text[i];

			dst[len++] = '\\';
			dst[len++] = 'x';
			dst[len++] = hex[byte >> 4];
			dst[len++] = hex[byte & 15];
		}
	}
	dst[len] = '\0';
	return dst;
}

unsigned int screen_columns(const char *escaped)
{
	unsigned int sum = 0, columns;

	while (*escaped) {
		escaped += character(escaped, &columns);
		sum += columns;
	}
	return sum;
}

/* Bytes of the longest start of @text that takes at most @max columns. */
static size_t bytes_within(const char *text, unsigned int max)
{
	unsigned int sum = 0, columns;
	size_t len = 0, n;

	for (; text[len]; len += n) {
		n = character(text + len, &columns);
		if (sum + columns > max)
			break;
		sum += columns;
	}
	return len;
}

void screen_cut(char *escaped, unsigned int columns)
{
	size_t len;

	if (!columns || screen_columns(escaped) <= columns)
		return;
	len = bytes_within(escaped, columns - 1);
	strcpy(escaped + len, "~");
}

/* Bytes of the next line: to the last blank that fits, or as much as fits if there is none. */
static size_t line_length(const char *text, unsigned int columns)
{
	size_t fits = bytes_within(text, columns), len = fits;

	if (!text[fits])
		return fits;
	while (len && text[len] != ' ')
		len--;
	return len ? len : fits ? fits : 1;
}

void screen_paragraph(const struct screen *screen, unsigned int indent, unsigned int hang,
		      size_t bold, const char *escaped)
{
	unsigned int blanks = indent;

	do {
		size_t len = line_length(escaped, screen->width - blanks);
		size_t strong = !screen->bold ? 0 : bold < len ? bold : len;

		fprintf(screen->out, "%*s", (int)blanks, "");
		if (strong)
			fprintf(screen->out, "\033[1m%.*s\033[0m", (int)strong, escaped);
		fprintf(screen->out, "%.*s\n", (int)(len - strong), escaped + strong);
		escaped += len;
		bold = bold > len ? bold - len : 0;
		while (*escaped == ' ')
			escaped++;
		blanks = hang;
	} while (*escaped);
}

char *screen_duration(uint64_t ns, char *buf, size_t size)
{
	uint64_t s = ns / NSEC_PER_SEC;

	if (s < 60)
		snprintf(buf, size, "%.1f s", (double)ns / NSEC_PER_SEC);
	else if (s < 3600)
		snprintf(buf, size, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, size, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s % 86400 / 3600);
	return buf;
}
