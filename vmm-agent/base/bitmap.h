/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bitmaps of 64-bit words, bit i in word i / 64.  Ranges are half-open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_WORD 64

static inline size_t bitmap_words(size_t nbits)
{
	return (nbits + BITMAP_WORD - 1) / BITMAP_WORD;
}

static inline bool bitmap_test(const uint64_t *map, size_t bit)
{
	return map[bit / BITMAP_WORD] >> (bit % BITMAP_WORD) & 1;
}

static inline void bitmap_set(uint64_t *map, size_t bit)
{
	map[bit / BITMAP_WORD] |= 1ULL << (bit % BITMAP_WORD);
}

static inline void bitmap_clear(uint64_t *map, size_t bit)
{
	map[bit / BITMAP_WORD] &= ~(1ULL << (bit % BITMAP_WORD));
}

static inline void bitmap_assign(uint64_t *map, size_t bit, bool value)
{
	uint64_t mask = 1ULL << (bit % BITMAP_WORD);

	map[bit / BITMAP_WORD] = (map[bit / BITMAP_WORD] & ~mask) | (value ? mask : 0);
}

/** bitmap_count() - bits set in [0, nbits); bits behind nbits must be zero */
size_t bitmap_count(const uint64_t *map, size_t nbits);

/** bitmap_set_range() - set [start, end) */
void bitmap_set_range(uint64_t *map, size_t start, size_t end);

/**
 * bitmap_or_at() - OR @nbits bits of @src, from its bit @src_bit, into @dst at @dst_bit
 *
 * Works on words whatever the two offsets are; neither map is touched outside
 * of the words that hold the given bits.  Cost: two loads and a store per 64 bits.
 */
void bitmap_or_at(uint64_t *dst, size_t dst_bit, const uint64_t *src, size_t src_bit, size_t nbits);
