// SPDX-License-Identifier: GPL-2.0-or-later
/* Counting by popcount: one walk, a few words per node. */
#include "heat/histogram.h"

#include <string.h>

static unsigned int ones(uint64_t word)
{
	return (unsigned int)__builtin_popcountll(word);
}

void histogram_build(const struct heatmap *map, size_t nnodes, struct histogram *ret_histogram)
{
	struct histogram *h = ret_histogram;

	memset(h, 0, sizeof(*h));
	for (size_t w = 0; w < map->nwords; w++) {
		uint64_t a = map->history[0][w], b = map->history[1][w], c = map->history[2][w];
		uint64_t here = map->here[w], hot = heatmap_hot_word(map, w);
		uint64_t all = a & b & c, any = a | b | c;

		h->unplaced_hot += ones(hot & ~here);
		if (!here)
			continue;
		h->hot += ones(hot & here);
		for (unsigned int n = 0; n < nnodes; n++) {
			uint64_t on = heatmap_node_word(map, w, n);

			h->resident[n] += ones(on);
			h->accessed[n] += ones(on & a);
			h->bucket[n][3] += ones(on & all);
			h->bucket[n][2] += ones(on & hot & ~all);
			h->bucket[n][1] += ones(on & any & ~hot);
			h->bucket[n][0] += ones(on & ~any);
		}
	}
}
