// SPDX-License-Identifier: GPL-2.0-or-later
/* One allocation holds all bitmaps of a pass. */
#include "harvest/sample.h"

#include <stdlib.h>

#include "base/bitmap.h"

#define SAMPLE_MAPS 4 /* accessed, written, present, large */

unsigned int sample_node_planes(size_t nnodes)
{
	unsigned int planes = 1;

	while ((1UL << planes) < nnodes && planes < SAMPLE_NODE_PLANES)
		planes++;
	return planes;
}

struct sample *sample_new(size_t npages, size_t nnodes, bool other_nodes)
{
	unsigned int planes = sample_node_planes(nnodes);
	size_t nwords = bitmap_words(npages);
	struct sample *sample = calloc(1, sizeof(*sample));
	uint64_t *at;

	if (!sample)
		return NULL;
	at = calloc((SAMPLE_MAPS + planes + other_nodes) * (nwords ? nwords : 1), sizeof(*at));
	if (!at) {
		free(sample);
		return NULL;
	}
	sample->npages = npages;
	sample->nwords = nwords;
	sample->node_planes = planes;
	sample->accessed = at;
	sample->written = at + nwords;
	sample->present = at + 2 * nwords;
	sample->large = at + 3 * nwords;
	for (unsigned int k = 0; k < planes; k++)
		sample->node[k] = at + (SAMPLE_MAPS + k) * nwords;
	if (other_nodes)
		sample->placed = at + (SAMPLE_MAPS + planes) * nwords;
	return sample;
}

struct sample *sample_free(struct sample *sample)
{
	if (sample) {
		free(sample->accessed);
		free(sample);
	}
	return NULL;
}
