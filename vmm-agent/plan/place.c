// SPDX-License-Identifier: GPL-2.0-or-later
/* Choosing nodes: a score per candidate, compared lexicographically. */
#include "plan/place.h"

#include <stdbool.h>

/* What speaks for a node; earlier members decide first. */
struct score {
	uint64_t accessed;
	uint64_t vcpus;
	uint64_t nearness; /* 0xffff - distance to the node whose pages are accessed most */
	uint64_t free_bytes;
};

static bool score_better(const struct score *a, const struct score *b)
{
	if (a->accessed != b->accessed)
		return a->accessed > b->accessed;
	if (a->vcpus != b->vcpus)
		return a->vcpus > b->vcpus;
	if (a->nearness != b->nearness)
		return a->nearness > b->nearness;
	return a->free_bytes > b->free_bytes;
}

static bool node_is_allowed(const struct place_input *in, unsigned int n)
{
	return in->allowed >> in->nodes[n].id & 1;
}

static unsigned int most_accessed(const struct place_input *in)
{
	unsigned int best = 0;

	for (unsigned int n = 1; n < in->nnodes; n++)
		if (in->accessed[n] > in->accessed[best])
			best = n;
	return best;
}

static enum place_none place(const struct place_input *in, enum host_tier tier, unsigned int from,
			     bool by_access, unsigned int *ret_node)
{
	enum place_none none = PLACE_NO_TIER;
	struct score best = {0}, best_full = {0};
	bool found = false, found_full = false;

	for (unsigned int n = 0; n < in->nnodes; n++) {
		const struct host_node *node = &in->nodes[n];
		struct score score = {
			.accessed = by_access ? in->accessed[n] : 0,
			.vcpus = by_access ? in->vcpu_nodes[n] : 0,
			.nearness = 0xffffU - node->distance[from],
			.free_bytes = node->free_bytes,
		};

		if (node->tier != tier)
			continue;
		if (!node_is_allowed(in, n)) {
			none = none == PLACE_NO_TIER ? PLACE_FORBIDDEN : none;
			continue;
		}
		if (!place_spare_bytes(node, in->headroom_bytes)) {
			none = PLACE_FULL;
			if (!found && (!found_full || score_better(&score, &best_full))) {
				found_full = true;
				best_full = score;
				*ret_node = n;
			}
			continue;
		}
		if (!found || score_better(&score, &best)) {
			found = true;
			best = score;
			*ret_node = n;
		}
	}
	return found ? PLACE_OK : none;
}

enum place_none place_dram(const struct place_input *in, unsigned int *ret_node)
{
	return place(in, HOST_TIER_DRAM, most_accessed(in), true, ret_node);
}

enum place_none place_cxl(const struct place_input *in, unsigned int from, unsigned int *ret_node)
{
	return place(in, HOST_TIER_CXL, from, false, ret_node);
}
