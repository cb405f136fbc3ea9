// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * Every quantity of a page is spread over bit planes, so that one word
 * operation works on 64 pages.  Folding shifts the history by exchanging the
 * plane pointers and writing the newest; the idle counter is a bit-sliced
 * saturating adder.  A page that is not present keeps its node, because a
 * zapped mapping does not move the page; discover/residency corrects that at
 * its own pace.
 */
#include "heat/heatmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"

struct heatmap *heatmap_new(size_t npages, size_t nnodes)
{
	size_t nwords = bitmap_words(npages), nblocks = (npages + 511) / 512, planes = 0;
	struct heatmap *map = calloc(1, sizeof(*map));
	uint64_t *at;

	if (!map)
		return NULL;
	/* Mapped lazily; folding leaves words alone that were and are empty. */
	at = calloc(HEAT_PLANES * nwords + 2 * bitmap_words(nblocks) + 1, sizeof(*at));
	if (!at) {
		free(map);
		return NULL;
	}
	map->memory = at;
	map->npages = npages;
	map->nwords = nwords;
	map->node_planes = sample_node_planes(nnodes);
	for (unsigned int k = 0; k < HEAT_HISTORY; k++)
		map->history[k] = at + planes++ * nwords;
	map->here = at + planes++ * nwords;
	for (unsigned int k = 0; k < map->node_planes; k++)
		map->node[k] = at + planes++ * nwords;
	if (planes < HEAT_PLANES)
		map->written = at + planes++ * nwords;
	while (planes < HEAT_PLANES && map->idle_planes < 2)
		map->idle[map->idle_planes++] = at + planes++ * nwords;
	map->large = at + HEAT_PLANES * nwords;
	map->whole = map->large + bitmap_words(nblocks);
	return map;
}

struct heatmap *heatmap_free(struct heatmap *map)
{
	if (map) {
		free(map->memory);
		free(map);
	}
	return NULL;
}

/* One more for idle pages, saturating; zero for the rest. */
static void fold_idle(struct heatmap *map, size_t w, uint64_t idle)
{
	if (map->idle_planes == 2) {
		uint64_t b0 = map->idle[0][w], b1 = map->idle[1][w];

		map->idle[0][w] = (~b0 | b1) & idle;
		map->idle[1][w] = (b1 | b0) & idle;
	} else if (map->idle_planes == 1) {
		map->idle[0][w] = idle;
	}
}

static void fold_large(struct heatmap *map, const struct sample *sample)
{
	size_t nblocks = map->npages / 512;

	for (size_t b = 0; b < nblocks; b++) {
		uint64_t present = 0, large = 0;

		for (size_t w = b * 8; w < b * 8 + 8; w++) {
			present |= sample->present[w];
			large |= sample->large[w];
		}
		if (present)
			bitmap_assign(map->large, b, large != 0);
	}
}

void heatmap_fold(struct heatmap *map, const struct sample *sample)
{
	uint64_t *oldest = map->history[HEAT_HISTORY - 1];
	uint64_t step = map->passes % HEAT_IDLE_STEP == HEAT_IDLE_STEP - 1 ? ~0ULL : 0;

	for (unsigned int k = HEAT_HISTORY - 1; k > 0; k--)
		map->history[k] = map->history[k - 1];
	map->history[0] = oldest;

	for (size_t w = 0; w < map->nwords; w++) {
		uint64_t now = sample->accessed[w] | sample->written[w];
		uint64_t present = sample->present[w], used;
		uint64_t placed = sample->placed ? sample->placed[w] & present : present;

		if (!(now | present | map->here[w] | map->history[1][w] | map->history[2][w] |
		      (map->written ? map->written[w] : 0))) {
			if (oldest[w])
				oldest[w] = 0;
			continue;
		}
		oldest[w] = now;
		used = now | map->history[1][w] | map->history[2][w];
		if (step)
			fold_idle(map, w, ~used);
		else
			for (unsigned int k = 0; k < map->idle_planes; k++)
				map->idle[k][w] &= ~used;
		if (map->written)
			map->written[w] = (map->written[w] & used) | sample->written[w];
		map->here[w] = (map->here[w] & ~present) | placed;
		for (unsigned int k = 0; k < map->node_planes; k++)
			map->node[k][w] =
				(map->node[k][w] & ~present) | (sample->node[k][w] & placed);
	}
	fold_large(map, sample);
	map->passes++;
}

void heatmap_forget_history(struct heatmap *map)
{
	for (unsigned int k = 0; k < HEAT_HISTORY; k++)
		memset(map->history[k], 0, map->nwords * sizeof(*map->history[k]));
}

void heatmap_place(struct heatmap *map, uint64_t index, int node)
{
	bitmap_assign(map->here, index, node >= 0);
	for (unsigned int k = 0; node >= 0 && k < map->node_planes; k++)
		bitmap_assign(map->node[k], index, node >> k & 1);
}

void heatmap_moved(struct heatmap *map, uint64_t index, uint64_t pages, unsigned int node,
		   bool promoted)
{
	for (uint64_t i = index; i < index + pages && i < map->npages; i++) {
		heatmap_place(map, i, (int)node);
		for (unsigned int k = 0; k < HEAT_HISTORY; k++)
			bitmap_assign(map->history[k], i, promoted);
		for (unsigned int k = 0; k < map->idle_planes; k++)
			bitmap_clear(map->idle[k], i);
	}
}

static void copy_plane(uint64_t *dst, uint64_t to, const uint64_t *src, uint64_t from,
		       uint64_t npages)
{
	if (dst && src)
		bitmap_or_at(dst, to, src, from, npages);
}

void heatmap_copy(struct heatmap *dst, uint64_t to, const struct heatmap *src, uint64_t from,
		  uint64_t npages)
{
	for (unsigned int k = 0; k < HEAT_HISTORY; k++)
		copy_plane(dst->history[k], to, src->history[k], from, npages);
	for (unsigned int k = 0; k < dst->node_planes && k < src->node_planes; k++)
		copy_plane(dst->node[k], to, src->node[k], from, npages);
	for (unsigned int k = 0; k < dst->idle_planes && k < src->idle_planes; k++)
		copy_plane(dst->idle[k], to, src->idle[k], from, npages);
	copy_plane(dst->here, to, src->here, from, npages);
	copy_plane(dst->written, to, src->written, from, npages);
	if (to % 512 == from % 512 && npages)
		for (uint64_t b = 0; b <= (from % 512 + npages - 1) / 512; b++)
			if (to / 512 + b < dst->npages / 512 &&
			    from / 512 + b < src->npages / 512 &&
			    bitmap_test(src->large, from / 512 + b))
				bitmap_set(dst->large, to / 512 + b);
	if (dst->passes < src->passes)
		dst->passes = src->passes;
}

int heatmap_node(const struct heatmap *map, uint64_t index)
{
	int node = 0;

	if (!bitmap_test(map->here, index))
		return -1;
	for (unsigned int k = 0; k < map->node_planes; k++)
		node |= bitmap_test(map->node[k], index) << k;
	return node;
}

void heatmap_set_whole(struct heatmap *map, uint64_t index, uint64_t npages)
{
	for (uint64_t b = index / 512; b < (index + npages) / 512 && b < map->npages / 512; b++)
		bitmap_set(map->whole, b);
}

bool heatmap_is_large(const struct heatmap *map, uint64_t index)
{
	return index / 512 < map->npages / 512 &&
	       (bitmap_test(map->large, index / 512) || bitmap_test(map->whole, index / 512));
}
