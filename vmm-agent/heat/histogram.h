/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many of a guest's pages are how warm, and on which nodes: the few
 * numbers that the plan and the report need of a heat map.  Pure.
 */
#pragma once

#include <stdint.h>

#include "heat/heatmap.h"
#include "host/host.h"

/* Buckets 0..3: accessed in so many of the last three passes. */
#define HISTOGRAM_BUCKETS (HEAT_HISTORY + 1)

/**
 * struct histogram - pages, by node index of the host's node array
 * @resident: [node]; @accessed: [node], in the newest pass
 * @bucket: [node][passes accessed]
 * @hot: resident and accessed in at least two of three passes
 * @unplaced_hot: hot, but on no known node
 */
struct histogram {
	uint64_t resident[HOST_MAX_NODES];
	uint64_t accessed[HOST_MAX_NODES];
	uint64_t bucket[HOST_MAX_NODES][HISTOGRAM_BUCKETS];
	uint64_t hot;
	uint64_t unplaced_hot;
};

/** histogram_build() - one walk over the planes; @nnodes at most HOST_MAX_NODES */
void histogram_build(const struct heatmap *map, size_t nnodes, struct histogram *ret_histogram);
