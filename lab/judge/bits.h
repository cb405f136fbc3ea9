/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bitmaps over guest frames, as arrays of 64-bit words: bit n is gfn n. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static inline size_t bits_words(size_t n)
{
	return (n + 63) / 64;
}

/** bits_new() - @n bits, all zero; NULL when out of memory */
static inline uint64_t *bits_new(size_t n)
{
	return calloc(bits_words(n), sizeof(uint64_t));
}

static inline bool bits_test(const uint64_t *bits, size_t at)
{
	return bits[at / 64] >> (at % 64) & 1;
}

static inline void bits_set(uint64_t *bits, size_t at)
{
	bits[at / 64] |= 1ull << (at % 64);
}

static inline void bits_clear(uint64_t *bits, size_t at)
{
	bits[at / 64] &= ~(1ull << (at % 64));
}

/** bits_count_and() - how many of @n bits are set in both @a and @b */
static inline size_t bits_count_and(const uint64_t *a, const uint64_t *b, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < bits_words(n); i++)
		count += (size_t)__builtin_popcountll(a[i] & b[i]);
	return count;
}

static inline size_t bits_count(const uint64_t *bits, size_t n)
{
	return bits_count_and(bits, bits, n);
}
