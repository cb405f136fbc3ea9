// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Work lists of a tiny guest, and bitmaps of touched pages.
 */
#define _GNU_SOURCE
#include "tiny-touch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/bitmap.h"
#include "base/units.h"

uint64_t tiny_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t tiny_random_below(uint64_t *state, uint64_t limit)
{
	return tiny_random(state) % limit;
}

void tiny_list_random(uint64_t *state, uint64_t first, uint64_t end, struct tiny_touch *list,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		list[i].gfn = first + tiny_random_below(state, end - first);
		list[i].op = (enum tiny_op)tiny_random_below(state, _TINY_OP_MAX);
	}
}

void tiny_list_every(enum tiny_op op, uint64_t first, struct tiny_touch *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i] = (struct tiny_touch) {.gfn = first + i, .op = op};
}

void tiny_map_widen(uint64_t *map, size_t nbits)
{
	for (size_t start = 0; start < nbits; start += LARGE_PAGES) {
		size_t end = start + LARGE_PAGES < nbits ? start + LARGE_PAGES : nbits;

		if (bitmap_count(map + start / BITMAP_WORD, end - start))
			bitmap_set_range(map, start, end);
	}
}

size_t tiny_map_diff(const uint64_t *a, const uint64_t *b, size_t nbits)
{
	for (size_t bit = 0; bit < nbits; bit++)
		if (bitmap_test(a, bit) != bitmap_test(b, bit))
			return bit;
	return nbits;
}

uint64_t tiny_seed(void)
{
	static uint64_t seed;
	static bool known;
	const char *text = getenv("VMTIER_SEED");

	if (known)
		return seed;
	known = true;
	if (text)
		seed = strtoull(text, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = 1;
	fprintf(stderr, "# seed: VMTIER_SEED=0x%" PRIx64 "\n", seed);
	return seed;
}
