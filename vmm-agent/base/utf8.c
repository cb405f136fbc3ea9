// SPDX-License-Identifier: GPL-2.0-or-later
/* Well-formed characters, by the table of RFC 3629. */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* First byte, and the range of the second one; all later bytes are 80 to bf. */
static const struct lead {
	uint8_t first, last;
	uint8_t low, high;
	uint8_t length;
} leads[] = {
	{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
	{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
	{0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static const struct lead *lead_of(uint8_t byte)
{
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
		if (byte >= leads[i].first && byte <= leads[i].last)
			return &leads[i];
	return NULL;
}

size_t utf8_length(const char *text, const char *end)
{
	const uint8_t *b = (const uint8_t *)text;
	const struct lead *lead;

	if (text >= end)
		return 0;
	if (b[0] < 0x80)
		return 1;
	lead = lead_of(b[0]);
	if (!lead || lead->length > end - text || b[1] < lead->low || b[1] > lead->high)
		return 0;
	for (size_t i = 2; i < lead->length; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	return lead->length;
}

bool utf8_is_valid(const char *text, size_t len)
{
	const char *end = text + len;
	size_t n;

	for (; text < end; text += n) {
		n = utf8_length(text, end);
		if (!n)
			return false;
	}
	return true;
}

static bool is_control(const char *text, size_t n)
{
	uint8_t first = (uint8_t)text[0], second = n == 2 ? (uint8_t)text[1] : 0;

	if (n == 1)
		return first < 0x20 || first == 0x7f;
	return n == 2 && first == 0xc2 && second < 0xa0;
}

/* The code point of three bytes: all that is invisible and not a control character has as many. */
static uint32_t code_of_three(const char *text)
{
	const uint8_t *b = (const uint8_t *)text;

	return (uint32_t)(b[0] & 0xf) << 12 | (uint32_t)(b[1] & 0x3f) << 6 | (b[2] & 0x3f);
}

/* Shown as nothing, or turning around what follows: a name could pass for another one. */
static bool is_invisible(const char *text, size_t n)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}};
	uint32_t code = n == 3 ? code_of_three(text) : 0;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

char *utf8_clean(char *dst, size_t size, const char *text)
{
	const char *end = text + strlen(text);
	char *out = dst;

	while (text < end) {
		size_t n = utf8_length(text, end);

		/* A '?' is never longer than what it stands for: no copy outgrows its text. */
		if (!n || is_control(text, n) || is_invisible(text, n)) {
			if (size < 2)
				break;
			*out = '?';
			text += n ? n : 1;
			n = 1;
		} else {
			if (size < n + 1)
				break;
			memcpy(out, text, n);
			text += n;
		}
		out += n;
		size -= n;
	}
	*out = '\0';
	return dst;
}
