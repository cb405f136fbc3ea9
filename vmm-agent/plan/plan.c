// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * Candidates are found a word at a time, class by class, from the hottest (or
 * coldest) on, until the room is used up; only pages that are taken cost more
 * than their share of a word operation.  A 2 MiB block that is mapped large is
 * one unit: its accessed bit stands for all of it, and it moves whole.  Its
 * pages may differ for some passes after it became large.
 */
#include "plan/plan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"

static const char *const reason_texts[] = {
	[REASON_HOT] = "accessed in at least 2 of the last 3 passes",
	[REASON_ROOM] = "idle, and hotter pages wait for its place",
	[REASON_OVER_SHARE] = "the guest has more in DRAM than its share",
};
static_assert(sizeof(reason_texts) / sizeof(reason_texts[0]) == REASON_COUNT, "a text per reason");

/* The planning of one guest while it goes on. */
struct planning {
	const struct plan_input *in;
	struct plan *plan;
	/* Pages that this direction still needs, and may take at all: pace, room of the node. */
	uint64_t left;
	uint64_t most;
	/* Index of the DRAM node for hot pages, even if it is full; or -1. */
	int wanted_node;
	/* Take from this node of the tier only; or -1. */
	enum host_tier from;
	int from_node;
};

typedef uint64_t (*class_word)(const struct heatmap *map, size_t w);

static uint64_t hot_all(const struct heatmap *map, size_t w)
{
	return map->history[0][w] & map->history[1][w] & map->history[2][w];
}

static uint64_t hot_all_written(const struct heatmap *map, size_t w)
{
	return map->written ? hot_all(map, w) & map->written[w] : 0;
}

static uint64_t hot_written(const struct heatmap *map, size_t w)
{
	return map->written ? heatmap_hot_word(map, w) & map->written[w] : 0;
}

/* What the first three classes of plan_promotions() have taken. */
static uint64_t hot_taken(const struct heatmap *map, size_t w)
{
	return hot_all(map, w) | hot_written(map, w);
}

static uint64_t used_word(const struct heatmap *map, size_t w)
{
	return map->history[0][w] | map->history[1][w] | map->history[2][w];
}

static uint64_t cold(const struct heatmap *map, size_t w)
{
	return ~used_word(map, w);
}

static uint64_t cold_longest(const struct heatmap *map, size_t w)
{
	uint64_t word = cold(map, w);

	for (unsigned int k = 0; k < map->idle_planes; k++)
		word &= map->idle[k][w];
	return word;
}

static uint64_t cold_longer(const struct heatmap *map, size_t w)
{
	return map->idle_planes ? cold(map, w) & map->idle[map->idle_planes - 1][w] : cold(map, w);
}

static uint64_t lukewarm(const struct heatmap *map, size_t w)
{
	return ~heatmap_hot_word(map, w);
}

static uint64_t anything(const struct heatmap *map, size_t w)
{
	(void)map;
	(void)w;
	return ~0ULL;
}

/* Pages of word @w that lie where this direction takes from. */
static uint64_t from_word(const struct planning *p, size_t w)
{
	const struct plan_input *in = p->in;
	uint64_t on = 0;

	for (unsigned int n = 0; n < in->nnodes; n++)
		if (in->nodes[n].tier == p->from && (p->from_node < 0 || p->from_node == (int)n))
			on |= heatmap_node_word(in->heat, w, n);
	return on;
}

static int plan_add(struct plan *plan, const struct planned *move)
{
	if (plan->n == plan->room) {
		size_t room = plan->room ? plan->room * 2 : 1024;
		struct planned *moves = reallocarray(plan->moves, room, sizeof(*moves));

		if (!moves)
			return -ENOMEM;
		plan->moves = moves;
		plan->room = room;
	}
	plan->moves[plan->n++] = *move;
	return 0;
}

/* A block is as warm as its warmest page: one is enough to come in, all must be cold to go out. */
static bool block_is(const struct planning *p, uint64_t index, class_word class)
{
	uint64_t inside = 0, outside = 0;

	for (size_t w = index / 64; w < (index + LARGE_PAGES) / 64; w++) {
		uint64_t on = from_word(p, w);

		inside |= on & class(p->in->heat, w);
		outside |= on & ~class(p->in->heat, w);
	}
	return inside && !(p->from == HOST_TIER_DRAM && outside);
}

/*
 * What does not fit is passed over, for smaller units behind it.  On the way
 * out the last unit may be larger than what is needed: else a guest whose cold
 * memory is all large could never make room for less than 2 MiB.
 */
static int take(struct planning *p, const struct planned *move)
{
	const struct plan_input *in = p->in;

	if (in->barred && in->barred(in->barred_ctx, move->index))
		return 0;
	if (move->pages > (move->direction == DIRECTION_PROMOTE ? p->left : p->most))
		return 0;
	p->most -= move->pages;
	p->left -= move->pages < p->left ? move->pages : p->left;
	return plan_add(p->plan, move);
}

/* Later classes contain the earlier ones: what was taken is taken out again by @earlier. */
static int take_class(struct planning *p, class_word class, class_word earlier, struct planned move)
{
	const struct heatmap *heat = p->in->heat;
	int r = 0;

	for (size_t w = 0; w < heat->nwords && p->left; w++) {
		uint64_t word = heat->here[w] ? class(heat, w) & from_word(p, w) : 0;

		if (word && earlier)
			word &= ~earlier(heat, w);
		while (word && p->left && r >= 0) {
			move.index = w * 64 + (uint64_t)__builtin_ctzll(word);
			move.pages = 1;
			word &= word - 1;
			if (!heatmap_is_large(heat, move.index)) {
				r = take(p, &move);
				continue;
			}
			move.index &= ~511ULL;
			move.pages = LARGE_PAGES;
			if (block_is(p, move.index, class) &&
			    !(earlier && block_is(p, move.index, earlier)))
				r = take(p, &move);
			/* Whether taken or not, the block is done: go on behind it. */
			w = (move.index + LARGE_PAGES) / 64 - 1;
			break;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static uint64_t sum_pages(const struct plan_input *in, const uint64_t *by_node, enum host_tier tier)
{
	uint64_t pages = 0;

	for (size_t n = 0; n < in->nnodes; n++)
		if (in->nodes[n].tier == tier)
			pages += by_node[n];
	return pages;
}

static uint64_t wanted_pages(const struct plan_input *in)
{
	uint64_t pages = 0;

	for (size_t n = 0; n < in->nnodes; n++)
		if (in->nodes[n].tier != HOST_TIER_DRAM)
			pages += in->histogram->bucket[n][2] + in->histogram->bucket[n][3];
	return pages > in->barred_pages ? pages - in->barred_pages : 0;
}

static uint64_t node_room_pages(const struct plan_input *in, int node)
{
	return place_spare_bytes(&in->nodes[node], in->headroom_bytes) / PAGE_BYTES;
}

static uint64_t share_room(const struct plan_input *in, const struct plan *plan)
{
	return in->share_pages - min_u64(plan->dram_pages, in->share_pages);
}

/*
 * How many pages should go out: what is over the share, and what hot pages
 * wait for.  Where the node is what they wait for, only its own pages help.
 */
static uint64_t pages_to_go(struct planning *p, uint64_t over)
{
	const struct plan *plan = p->plan;
	uint64_t share = share_room(p->in, plan), room = share;

	p->from_node = -1;
	if (p->wanted_node >= 0 && !over && node_room_pages(p->in, p->wanted_node) < share) {
		room = node_room_pages(p->in, p->wanted_node);
		p->from_node = p->wanted_node;
	}
	return over + (plan->wanted_pages > room ? plan->wanted_pages - room : 0);
}

static int plan_demotions(struct planning *p)
{
	static const struct {
		class_word class;
		class_word earlier;
		bool only_over_share;
	} coldest_first[] = {
		{cold_longest, NULL, false}, {cold_longer, cold_longest, false},
		{cold, cold_longer, false},  {lukewarm, cold, true},
		{anything, lukewarm, true},
	};
	const struct plan_input *in = p->in;
	struct plan *plan = p->plan;
	uint64_t over = plan->dram_pages > in->share_pages ? plan->dram_pages - in->share_pages : 0;
	uint64_t all = pages_to_go(p, over);
	int r = 0;

	if (in->policy.mode == MODE_PROMOTE)
		return 0;
	if (plan->sink < 0) {
		plan->stuck_pages = all;
		return 0;
	}
	p->from = HOST_TIER_DRAM;
	p->most = min_u64(in->max_pages, node_room_pages(in, plan->sink));
	for (size_t c = 0; c < ARRAY_SIZE(coldest_first) && r >= 0; c++) {
		uint64_t need = coldest_first[c].only_over_share ? over : all;
		size_t before = plan->n;

		if (plan->demote_pages >= need)
			continue;
		p->left = min_u64(need - plan->demote_pages, p->most);
		r = take_class(p, coldest_first[c].class, coldest_first[c].earlier,
			       (struct planned) {.node = (uint8_t)plan->sink,
						 .direction = DIRECTION_DEMOTE,
						 .reason = over ? REASON_OVER_SHARE : REASON_ROOM});
		for (size_t i = before; i < plan->n; i++)
			plan->demote_pages += plan->moves[i].pages;
	}
	return r;
}

static int plan_promotions(struct planning *p)
{
	static const struct {
		class_word class;
		class_word earlier;
	} hottest_first[] = {
		{hot_all_written, NULL},
		{hot_all, hot_all_written},
		{hot_written, hot_all},
		{heatmap_hot_word, hot_taken},
	};
	const struct plan_input *in = p->in;
	struct plan *plan = p->plan;
	uint64_t room = share_room(in, plan);
	int r = 0;

	if (plan->target < 0)
		return 0;
	/* Without a maximum it does not matter where the hidden ones lie. */
	if (in->share_pages != UINT64_MAX)
		room -= min_u64(room, in->hidden_pages);
	p->left = min_u64(min_u64(room, in->max_pages), node_room_pages(in, plan->target));
	p->most = p->left;
	p->from = HOST_TIER_CXL;
	p->from_node = -1;
	for (size_t c = 0; c < ARRAY_SIZE(hottest_first) && p->left && r >= 0; c++) {
		size_t before = plan->n;

		r = take_class(p, hottest_first[c].class, hottest_first[c].earlier,
			       (struct planned) {.node = (uint8_t)plan->target,
						 .direction = DIRECTION_PROMOTE,
						 .reason = REASON_HOT});
		for (size_t i = before; i < plan->n; i++)
			plan->promote_pages += plan->moves[i].pages;
	}
	return r;
}

static void plan_nodes(struct planning *p)
{
	const struct plan_input *in = p->in;
	struct plan *plan = p->plan;
	struct place_input place = {
		.nodes = in->nodes,
		.nnodes = in->nnodes,
		.accessed = in->histogram->accessed,
		.vcpu_nodes = in->vcpu_nodes,
		.allowed = in->allowed_nodes,
		.headroom_bytes = in->headroom_bytes,
	};
	unsigned int node = 0;

	plan->target = plan->sink = p->wanted_node = -1;
	if (in->policy.target_nodes)
		place.allowed &= in->policy.target_nodes;
	plan->dram_none = place_dram(&place, &node);
	if (plan->dram_none == PLACE_OK)
		plan->target = (int)node;
	if (plan->dram_none == PLACE_OK || plan->dram_none == PLACE_FULL)
		p->wanted_node = (int)node;
	place.allowed = in->allowed_nodes;
	plan->cxl_none = place_cxl(&place, node, &node);
	if (plan->cxl_none == PLACE_OK)
		plan->sink = (int)node;
}

int plan_build(const struct plan_input *in, struct plan **ret_plan)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	struct planning p = {.in = in, .plan = plan};
	int r;

	if (!plan)
		return -ENOMEM;
	plan_nodes(&p);
	plan->dram_pages = sum_pages(in, in->histogram->resident, HOST_TIER_DRAM);
	plan->wanted_pages = wanted_pages(in);
	r = plan_demotions(&p);
	if (r >= 0)
		r = plan_promotions(&p);
	if (r < 0) {
		plan_free(plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

struct plan *plan_free(struct plan *plan)
{
	if (plan) {
		free(plan->moves);
		free(plan);
	}
	return NULL;
}

const char *reason_text(enum reason reason)
{
	return reason_texts[reason];
}
