/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members of an answer, read so that a missing one or one of another type is
 * harmless: the daemon may be older or newer than this program.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/units.h"

/** answer_u64() - a number, 0 if there is none */
static inline uint64_t answer_u64(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

/** answer_bytes() - a number of 4 KiB pages, in bytes */
static inline uint64_t answer_bytes(const json_t *object, const char *name)
{
	uint64_t pages = answer_u64(object, name);

	return pages > UINT64_MAX / PAGE_BYTES ? UINT64_MAX : pages * PAGE_BYTES;
}

/** answer_text() - a string, "-" if there is none; borrowed from @object */
static inline const char *answer_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

/** answer_percent() - @part of @whole, rounded; 0 of nothing */
static inline unsigned int answer_percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned int)(100.0 * (double)part / (double)whole + 0.5) : 0;
}
