/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What should lie where: from a heat map to an ordered list of moves.  Pure.
 *
 * A page is hot if it was accessed in at least two of the last three passes.
 * Hot pages that are not on a DRAM node go to the target node, the hottest
 * first, as many as the guest's DRAM share, and the node, have room for now.
 * When there is no room the coldest pages go out, as many as are waiting to
 * come in; they make room for the next pass, so that a plan never overshoots
 * the share.  If it is the node that is full, they go from that node.  A guest
 * that is over its share gives back the coldest it has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heat/heatmap.h"
#include "heat/histogram.h"
#include "migrate/outcome.h"
#include "plan/place.h"
#include "plan/policy.h"

/**
 * enum reason - why a page is in the plan
 * @REASON_HOT: accessed in at least two of the last three passes
 * @REASON_ROOM: idle, and hot pages wait for its place in the share
 * @REASON_OVER_SHARE: the guest has more in DRAM than its share
 */
enum reason { REASON_HOT, REASON_ROOM, REASON_OVER_SHARE, REASON_COUNT };

/** struct planned - one unit: a 4 KiB page, or a 2 MiB block that is mapped large */
struct planned {
	uint64_t index;
	uint16_t pages; /* 1 or 512 */
	uint8_t node;	/* index of the destination in the node array */
	uint8_t direction;
	uint8_t reason;
};

/**
 * struct plan_input - what a plan is made from; everything borrowed
 * @share_pages: most pages in DRAM; UINT64_MAX without a maximum
 * @hidden_pages: resident perhaps, and nobody knows where: counted as DRAM for promotions
 * @barred_pages: so many are quarantined at most: they do not wait for room
 * @max_pages: most pages in the plan, each direction: what the pace can carry until the next
 * @barred: tells whether a page is quarantined; may be NULL
 */
struct plan_input {
	const struct heatmap *heat;
	const struct histogram *histogram;
	const struct host_node *nodes;
	size_t nnodes;
	const uint32_t *vcpu_nodes;
	uint64_t allowed_nodes;
	struct policy policy;
	uint64_t share_pages;
	uint64_t hidden_pages;
	uint64_t barred_pages;
	uint64_t max_pages;
	uint64_t headroom_bytes;
	bool (*barred)(const void *ctx, uint64_t index);
	const void *barred_ctx;
};

/**
 * struct plan - the moves, demotions first
 * @promote_pages, @demote_pages: sums over the moves
 * @wanted_pages: hot and not in DRAM, planned or not
 * @dram_pages: resident in DRAM now
 * @target: index of the DRAM node, -1 if there is none; @dram_none, @cxl_none: why not
 * @sink: index of the CXL node, -1 if there is none
 * @stuck_pages: should go out, and no CXL node can take them
 */
struct plan {
	size_t n;
	size_t room;
	struct planned *moves;
	uint64_t promote_pages;
	uint64_t demote_pages;
	uint64_t wanted_pages;
	uint64_t dram_pages;
	int target;
	int sink;
	enum place_none dram_none;
	enum place_none cxl_none;
	uint64_t stuck_pages;
};

/**
 * plan_build() - decide
 * Cost: a few word operations per 64 pages and class, and work per page planned.
 * Return: 0 or -ENOMEM.  The caller frees @ret_plan with plan_free().
 */
int plan_build(const struct plan_input *in, struct plan **ret_plan);

/** plan_free() - also of NULL; returns NULL */
struct plan *plan_free(struct plan *plan);

/** reason_text() - a sentence fragment: "accessed in 2 of the last 3 passes" */
const char *reason_text(enum reason reason);
