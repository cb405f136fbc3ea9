// SPDX-License-Identifier: GPL-2.0-or-later
/* The few bitmap operations that are more than one line. */
#include "base/bitmap.h"

size_t bitmap_count(const uint64_t *map, size_t nbits)
{
	size_t n = 0;

	for (size_t w = 0; w < bitmap_words(nbits); w++)
		n += (size_t)__builtin_popcountll(map[w]);
	return n;
}

void bitmap_set_range(uint64_t *map, size_t start, size_t end)
{
	for (; start < end && start % BITMAP_WORD; start++)
		bitmap_set(map, start);
	for (; start + BITMAP_WORD <= end; start += BITMAP_WORD)
		map[start / BITMAP_WORD] = ~0ULL;
	for (; start < end; start++)
		bitmap_set(map, start);
}

/* @n bits, 1 to 64, from bit @bit on; reads a second word only if bits lie there. */
static uint64_t bits_at(const uint64_t *map, size_t bit, unsigned int n)
{
	size_t w = bit / BITMAP_WORD;
	unsigned int shift = bit % BITMAP_WORD;
	uint64_t v = map[w] >> shift;

	if (shift && shift + n > BITMAP_WORD)
		v |= map[w + 1] << (BITMAP_WORD - shift);
	return n == BITMAP_WORD ? v : v & ((1ULL << n) - 1);
}

void bitmap_or_at(uint64_t *dst, size_t dst_bit, const uint64_t *src, size_t src_bit, size_t nbits)
{
	while (nbits) {
		unsigned int room = BITMAP_WORD - dst_bit % BITMAP_WORD;
		unsigned int n = nbits < room ? (unsigned int)nbits : room;

		dst[dst_bit / BITMAP_WORD] |= bits_at(src, src_bit, n) << (dst_bit % BITMAP_WORD);
		dst_bit += n;
		src_bit += n;
		nbits -= n;
	}
}
