/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How warm each page of one guest is, and where it lies.
 *
 * Shape: eight bit planes, so exactly one byte per 4 KiB page (256 MiB per TiB
 * of guest), and two bits per 2 MiB block: "mapped large", "always whole".
 *
 *	history	3	accessed in the last, the last but one, the one before
 *	written	1	written since it was last idle for three passes
 *	here	1	resident, as far as is known
 *	node	1..4	index of its node, valid where `here` is set
 *	idle	2..0	how long idle after three idle passes: counts every
 *			HEAT_IDLE_STEP passes, saturating; what the nodes leave
 *
 * With more than eight nodes the written plane gives way.
 * Cost of a fold: about 20 word operations per 64 pages, no branch per page.
 * Pure: no system call, no clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harvest/sample.h"

#define HEAT_PLANES  8
#define HEAT_HISTORY 3

/* A fold in so many moves the idle counter: with a pass a second it saturates after 12 s. */
#define HEAT_IDLE_STEP 4

/**
 * struct heatmap - the planes
 * @history: newest first; @idle: lowest bit first
 * @written: NULL with more than eight nodes
 * @large: bit per block of 512 page indices: was last seen mapped by a large entry
 * @whole: bit per block: cannot be anything but one page of 2 MiB
 * @passes: folds so far
 */
struct heatmap {
	size_t npages;
	size_t nwords;
	uint64_t *history[HEAT_HISTORY];
	uint64_t *written;
	uint64_t *here;
	uint64_t *node[SAMPLE_NODE_PLANES];
	unsigned int node_planes;
	uint64_t *idle[2];
	unsigned int idle_planes;
	uint64_t *large;
	uint64_t *whole;
	uint64_t passes;
	uint64_t *memory;
};

/** heatmap_new() - nothing known yet; NULL when out of memory.  @npages: multiple of 64 */
struct heatmap *heatmap_new(size_t npages, size_t nnodes);

/** heatmap_free() - also of NULL; returns NULL */
struct heatmap *heatmap_free(struct heatmap *map);

/**
 * heatmap_fold() - take in one pass
 * @sample: of the same npages and nodes; residency is taken for present pages only,
 *	others keep what was known of them; present pages on a node left alone lie nowhere
 */
void heatmap_fold(struct heatmap *map, const struct sample *sample);

/** heatmap_forget_history() - no page was accessed in the passes before; the rest stays */
void heatmap_forget_history(struct heatmap *map);

/**
 * heatmap_moved() - pages [index, index + pages) now lie on node @node
 * @promoted: they count as accessed in all passes, so that they are not judged cold before
 *	three passes have seen them (a move zaps the guest's mapping); otherwise as idle
 */
void heatmap_moved(struct heatmap *map, uint64_t index, uint64_t pages, unsigned int node,
		   bool promoted);

/** heatmap_place() - residency of one page from another source; @node < 0: not resident */
void heatmap_place(struct heatmap *map, uint64_t index, int node);

/** heatmap_copy() - [from, from + npages) of @src becomes [to, ...) of @dst, bit by bit */
void heatmap_copy(struct heatmap *dst, uint64_t to, const struct heatmap *src, uint64_t from,
		  uint64_t npages);

/** heatmap_node_word() - pages of word @w that are resident on node @node */
static inline uint64_t heatmap_node_word(const struct heatmap *map, size_t w, unsigned int node)
{
	uint64_t on = map->here[w];

	for (unsigned int k = 0; k < map->node_planes; k++)
		on &= node >> k & 1 ? map->node[k][w] : ~map->node[k][w];
	return on;
}

/** heatmap_hot_word() - pages of word @w accessed in at least two of the last three passes */
static inline uint64_t heatmap_hot_word(const struct heatmap *map, size_t w)
{
	uint64_t a = map->history[0][w], b = map->history[1][w], c = map->history[2][w];

	return (a & b) | (c & (a | b));
}

/** heatmap_node() - node of a page, or -1 if not known to be resident */
int heatmap_node(const struct heatmap *map, uint64_t index);

/**
 * heatmap_set_whole() - blocks of [index, index + npages) are pages of 2 MiB for ever
 *
 * For hugetlbfs: KVM maps it by 4 KiB entries while it logs dirty pages, but it
 * moves in its own pages all the same.  @index and @npages are multiples of 512.
 */
void heatmap_set_whole(struct heatmap *map, uint64_t index, uint64_t npages);

/** heatmap_is_large() - whether the page is one of 2 MiB, or was last seen mapped as one */
bool heatmap_is_large(const struct heatmap *map, uint64_t index);
