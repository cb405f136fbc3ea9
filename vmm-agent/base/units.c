// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers with units, strictly. */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

uint64_t units_scale(const char *unit)
{
	static const char prefixes[] = "KMGTPE";
	const char *p;
	uint64_t binary = 1, decimal = 1;

	if (!unit)
		return 1024;
	if (!strcasecmp(unit, "b") || !strcasecmp(unit, "bytes"))
		return 1;
	p = unit[0] ? strchr(prefixes, toupper((unsigned char)unit[0])) : NULL;
	if (!p)
		return 0;
	for (const char *q = prefixes; q <= p; q++) {
		binary *= 1024;
		decimal *= 1000;
	}
	if (!unit[1] || !strcasecmp(unit + 1, "iB"))
		return binary;
	return strcasecmp(unit + 1, "B") ? 0 : decimal;
}

int units_parse_u64(const char *text, uint64_t *ret_value)
{
	uint64_t value;
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	while (isspace((unsigned char)*end))
		end++;
	if (*end)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int units_parse_bytes(const char *text, const char *unit, uint64_t *ret_bytes)
{
	uint64_t scale = units_scale(unit), value, bytes;
	int r;

	if (!scale)
		return -EINVAL;
	r = units_parse_u64(text, &value);
	if (r < 0)
		return r;
	if (__builtin_mul_overflow(value, scale, &bytes))
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

char *units_format_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1024 && i < sizeof(names) / sizeof(names[0]) - 1) {
		value /= 1024;
		i++;
	}
	snprintf(buf, size, i && value < 100 ? "%.1f %s" : "%.0f %s", value, names[i]);
	return buf;
}
