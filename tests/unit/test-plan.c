// SPDX-License-Identifier: GPL-2.0-or-later
/* What is planned, on a host of one DRAM node (index 0) and one CXL node (1). */
#include <string.h>

#include "test.h"

#include "base/bitmap.h"
#include "base/units.h"
#include "plan/plan.h"

#define PAGES 4096
#define DRAM  0
#define CXL   1

struct guest_setup {
	struct heatmap *heat;
	struct histogram histogram;
	struct host_node nodes[3];
	uint32_t vcpu_nodes[3];
	struct plan_input in;
};

static void setup(struct guest_setup *g)
{
	memset(g, 0, sizeof(*g));
	g->heat = heatmap_new(PAGES, 3);
	g->nodes[0] = (struct host_node) {.id = 0,
					  .tier = HOST_TIER_DRAM,
					  .has_cpu = true,
					  .free_bytes = MIB(1024),
					  .distance = {10, 20, 20}};
	g->nodes[1] = (struct host_node) {
		.id = 1, .tier = HOST_TIER_CXL, .free_bytes = MIB(1024), .distance = {20, 10, 30}};
	g->nodes[2] = (struct host_node) {.id = 2,
					  .tier = HOST_TIER_DRAM,
					  .has_cpu = true,
					  .free_bytes = MIB(1024),
					  .distance = {20, 30, 10}};
	g->in = (struct plan_input) {
		.heat = g->heat,
		.histogram = &g->histogram,
		.nodes = g->nodes,
		.nnodes = 2,
		.vcpu_nodes = g->vcpu_nodes,
		.allowed_nodes = ~0ULL,
		.policy = {.mode = MODE_TIER},
		.share_pages = UINT64_MAX,
		.max_pages = PAGES,
		.headroom_bytes = MIB(64),
	};
}

/* Pages [start, end) lie on @node and were accessed in the passes of @history (bit 0 newest). */
static void pages(struct guest_setup *g, size_t start, size_t end, int node, unsigned int history)
{
	for (size_t i = start; i < end; i++) {
		heatmap_place(g->heat, i, node);
		for (unsigned int k = 0; k < HEAT_HISTORY; k++)
			bitmap_assign(g->heat->history[k], i, history >> k & 1);
	}
}

static struct plan *plan(struct guest_setup *g)
{
	struct plan *plan = NULL;

	histogram_build(g->heat, g->in.nnodes, &g->histogram);
	assert_int_equal(plan_build(&g->in, &plan), 0);
	return plan;
}

static bool has(const struct plan *plan, uint64_t index, enum direction direction)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->moves[i].index == index && plan->moves[i].direction == direction)
			return true;
	return false;
}

static void done(struct guest_setup *g, struct plan *p)
{
	plan_free(p);
	heatmap_free(g->heat);
}

static void pages_accessed_in_two_of_three_passes_are_promoted(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	for (unsigned int history = 0; history < 8; history++)
		pages(&g, history, history + 1, CXL, history);
	p = plan(&g);
	assert_int_equal(p->promote_pages, 4);
	assert_int_equal(p->demote_pages, 0);
	assert_int_equal(p->wanted_pages, 4);
	for (unsigned int history = 0; history < 8; history++)
		assert_int_equal(has(p, history, DIRECTION_PROMOTE),
				 __builtin_popcount(history) >= 2);
	assert_int_equal(p->moves[0].index, 7); /* the hottest comes first */
	assert_int_equal(p->moves[0].reason, REASON_HOT);
	assert_int_equal(p->moves[0].node, DRAM);
	done(&g, p);
}

static void hot_pages_in_dram_and_holes_stay(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, DRAM, 7);
	pages(&g, 100, 200, -1, 7);
	p = plan(&g);
	assert_int_equal(p->n, 0);
	assert_int_equal(p->wanted_pages, 0);
	assert_int_equal(p->dram_pages, 100);
	done(&g, p);
}

static void written_pages_come_before_pages_that_are_only_read(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 10, CXL, 7);
	pages(&g, 10, 20, CXL, 3);
	bitmap_set(g.heat->written, 5);
	bitmap_set(g.heat->written, 15);
	g.in.share_pages = 11;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 11);
	assert_int_equal(p->moves[0].index, 5);
	assert_int_equal(p->moves[10].index, 15);
	done(&g, p);
}

static void promotions_stop_where_the_share_ends(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 90, DRAM, 7);
	pages(&g, 100, 200, CXL, 7);
	g.in.share_pages = 100;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 10);
	assert_int_equal(p->wanted_pages, 100);
	done(&g, p);
}

static void the_coldest_go_first_and_only_as_many_as_wait(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 50, DRAM, 0);
	pages(&g, 50, 100, DRAM, 7);
	pages(&g, 200, 205, CXL, 7);
	for (size_t i = 30; i < 34; i++)
		bitmap_set(g.heat->idle[0], i); /* three nodes: one idle plane */
	g.in.share_pages = 100;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 5);
	assert_int_equal(p->promote_pages, 0); /* no room yet */
	for (size_t i = 30; i < 34; i++)
		assert_true(has(p, i, DIRECTION_DEMOTE));
	assert_int_equal(p->moves[0].index, 30);
	assert_int_equal(p->moves[4].index, 0);
	assert_int_equal(p->moves[4].reason, REASON_ROOM);
	assert_int_equal(p->moves[4].node, CXL);
	done(&g, p);
}

static void nothing_goes_out_while_there_is_room(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 50, DRAM, 0);
	pages(&g, 200, 250, CXL, 7);
	g.in.share_pages = 100;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 0);
	assert_int_equal(p->promote_pages, 50);
	done(&g, p);
}

static void warm_pages_do_not_make_room(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, DRAM, 4);
	pages(&g, 200, 250, CXL, 7);
	g.in.share_pages = 100;
	p = plan(&g);
	assert_int_equal(p->n, 0);
	done(&g, p);
}

static void a_guest_over_its_share_gives_back_even_hot_pages_coldest_first(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 30, DRAM, 7);
	pages(&g, 30, 60, DRAM, 1);
	pages(&g, 60, 100, DRAM, 0);
	pages(&g, 200, 300, CXL, 7);
	g.in.share_pages = 20;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 80);
	assert_int_equal(p->promote_pages, 0);
	assert_int_equal(p->moves[0].reason, REASON_OVER_SHARE);
	for (size_t i = 30; i < 100; i++)
		assert_true(has(p, i, DIRECTION_DEMOTE));
	done(&g, p);
}

static void mode_promote_never_demotes(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, DRAM, 0);
	pages(&g, 200, 250, CXL, 7);
	g.in.share_pages = 110;
	g.in.policy.mode = MODE_PROMOTE;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 0);
	assert_int_equal(p->promote_pages, 10);
	plan_free(p);
	g.in.share_pages = 50;
	p = plan(&g);
	assert_int_equal(p->n, 0);
	done(&g, p);
}

static void a_large_block_is_one_move_of_512_pages(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 512, 1024, CXL, 7);
	pages(&g, 2048, 2060, CXL, 7);
	bitmap_set(g.heat->large, 1);
	p = plan(&g);
	assert_int_equal(p->n, 13);
	assert_int_equal(p->promote_pages, 524);
	assert_int_equal(p->moves[0].index, 512);
	assert_int_equal(p->moves[0].pages, 512);
	assert_int_equal(p->moves[1].pages, 1);
	done(&g, p);
}

static void a_large_block_that_would_overshoot_the_share_waits(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 512, 1024, CXL, 7);
	bitmap_set(g.heat->large, 1);
	g.in.share_pages = 511;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 0);
	done(&g, p);
}

static void a_large_block_of_mixed_warmth_is_planned_once(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 512, 1024, CXL, 3);
	pages(&g, 700, 710, CXL, 7);
	bitmap_set(g.heat->written, 900);
	bitmap_set(g.heat->large, 1);
	p = plan(&g);
	assert_int_equal(p->n, 1);
	assert_int_equal(p->promote_pages, 512);
	done(&g, p);
}

static void a_large_block_with_a_hot_page_makes_no_room(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 512, 1024, DRAM, 0);
	pages(&g, 700, 710, DRAM, 7);
	pages(&g, 1024, 1536, DRAM, 0);
	pages(&g, 2048, 2560, CXL, 7);
	bitmap_set(g.heat->large, 1);
	bitmap_set(g.heat->large, 2);
	g.in.share_pages = 1024;
	p = plan(&g);
	assert_int_equal(p->n, 1);
	assert_int_equal(p->moves[0].index, 1024);
	done(&g, p);
}

static bool bars_multiples_of_three(const void *ctx, uint64_t index)
{
	(void)ctx;
	return index % 3 == 0;
}

static void barred_pages_are_left_out(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 99, CXL, 7);
	g.in.barred = bars_multiples_of_three;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 66);
	assert_false(has(p, 33, DIRECTION_PROMOTE));
	done(&g, p);
}

static bool bars_block_of_512(const void *ctx, uint64_t index)
{
	(void)ctx;
	return index == 512;
}

static void a_barred_block_does_not_bar_what_lies_behind_it(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 512, 1536, CXL, 7);
	bitmap_set(g.heat->large, 1);
	bitmap_set(g.heat->large, 2);
	g.in.barred = bars_block_of_512;
	p = plan(&g);
	assert_int_equal(p->n, 1);
	assert_int_equal(p->moves[0].index, 1024);
	done(&g, p);
}

static void headroom_of_the_target_is_left_alone(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, CXL, 7);
	g.nodes[DRAM].free_bytes = MIB(64) + 40 * PAGE_BYTES + 1;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 40);
	plan_free(p);
	g.nodes[DRAM].free_bytes = MIB(64);
	p = plan(&g);
	assert_int_equal(p->promote_pages, 0);
	assert_int_equal(p->target, -1);
	assert_int_equal(p->dram_none, PLACE_FULL);
	done(&g, p);
}

static void headroom_of_the_sink_is_left_alone(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, DRAM, 0);
	g.in.share_pages = 50;
	g.nodes[CXL].free_bytes = MIB(64) + 7 * PAGE_BYTES;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 7);
	done(&g, p);
}

static void a_plan_holds_no_more_than_the_pace_can_carry(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 300, DRAM, 0);
	pages(&g, 1000, 1300, CXL, 7);
	g.in.share_pages = 290;
	g.in.max_pages = 33;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 33);
	assert_int_equal(p->promote_pages, 0);
	plan_free(p);
	g.in.share_pages = 1000;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 33);
	done(&g, p);
}

static void the_cpuset_and_the_policy_choose_the_target(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	g.in.nnodes = 3;
	pages(&g, 0, 10, CXL, 7);
	g.vcpu_nodes[0] = 4;
	p = plan(&g);
	assert_int_equal(p->target, 0);
	plan_free(p);
	g.in.policy.target_nodes = 1 << 2;
	p = plan(&g);
	assert_int_equal(p->target, 2);
	assert_int_equal(p->moves[0].node, 2);
	plan_free(p);
	g.in.allowed_nodes = 1 << 0 | 1 << 1;
	p = plan(&g);
	assert_int_equal(p->target, -1);
	assert_int_equal(p->dram_none, PLACE_FORBIDDEN);
	assert_int_equal(p->promote_pages, 0);
	done(&g, p);
}

static void without_a_sink_nothing_is_demoted(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, DRAM, 0);
	g.in.share_pages = 50;
	g.in.allowed_nodes = 1 << 0;
	p = plan(&g);
	assert_int_equal(p->n, 0);
	assert_int_equal(p->sink, -1);
	assert_int_equal(p->cxl_none, PLACE_FORBIDDEN);
	done(&g, p);
}

static void every_reason_has_its_text(void **state)
{
	(void)state;
	for (int r = 0; r < REASON_COUNT; r++)
		assert_true(reason_text((enum reason)r)[0] != '\0');
}

static void a_full_node_gives_cold_pages_for_hot_ones_without_any_maximum(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, DRAM, 0);
	pages(&g, 200, 230, CXL, 7);
	g.nodes[DRAM].free_bytes = MIB(60);
	p = plan(&g);
	assert_int_equal(p->target, -1);
	assert_int_equal(p->demote_pages, 30);
	assert_int_equal(p->promote_pages, 0); /* in the next pass */
	assert_int_equal(p->moves[0].reason, REASON_ROOM);
	done(&g, p);
}

static void for_room_on_a_full_node_pages_of_that_node_go(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	g.in.nnodes = 3;
	g.in.allowed_nodes = 3; /* hot pages may go to node 0 only */
	pages(&g, 0, 50, 2, 0);
	pages(&g, 64, 70, DRAM, 0);
	pages(&g, 200, 230, CXL, 7);
	g.nodes[DRAM].free_bytes = MIB(64);
	p = plan(&g);
	assert_int_equal(p->demote_pages, 6);
	for (size_t i = 64; i < 70; i++)
		assert_true(has(p, i, DIRECTION_DEMOTE));
	done(&g, p);
}

static void a_large_block_goes_out_where_less_would_do(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 1024, DRAM, 0);
	bitmap_set(g.heat->large, 0);
	bitmap_set(g.heat->large, 1);
	g.in.share_pages = 924;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 512);
	assert_int_equal(p->moves[0].reason, REASON_OVER_SHARE);
	done(&g, p);
}

static void what_does_not_fit_does_not_bar_smaller_ones_behind_it(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 512, 1024, CXL, 7);
	pages(&g, 2048, 2148, CXL, 7);
	bitmap_set(g.heat->large, 1);
	g.in.share_pages = 400;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 100);
	done(&g, p);
}

static void nobody_makes_room_for_pages_in_quarantine(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 0, 100, DRAM, 0);
	pages(&g, 200, 220, CXL, 7);
	g.in.share_pages = 100;
	g.in.barred_pages = 20;
	p = plan(&g);
	assert_int_equal(p->demote_pages, 0);
	done(&g, p);
}

static void pages_that_may_lie_in_dram_count_against_the_maximum(void **state)
{
	struct guest_setup g;
	struct plan *p;

	(void)state;
	setup(&g);
	pages(&g, 200, 300, CXL, 7);
	g.in.share_pages = 100;
	g.in.hidden_pages = 70;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 30);
	plan_free(p);
	g.in.share_pages = UINT64_MAX;
	p = plan(&g);
	assert_int_equal(p->promote_pages, 100);
	done(&g, p);
}

/* ---- a property over random guests ---- */

static void random_guest(struct dice *dice, struct guest_setup *g)
{
	setup(g);
	for (size_t b = 0; b < PAGES / 512; b++) {
		bool large = dice_chance(dice, 30);
		int node = (int)dice_below(dice, 3);

		bitmap_assign(g->heat->large, b, large);
		for (size_t i = b * 512; i < b * 512 + 512; i++) {
			pages(g, i, i + 1, large ? node : (int)dice_below(dice, 4) - 1,
			      (unsigned int)dice_below(dice, 8));
			bitmap_assign(g->heat->written, i, dice_chance(dice, 20));
			bitmap_assign(g->heat->idle[0], i, dice_chance(dice, 50));
		}
	}
	g->in.nnodes = 3;
	g->in.share_pages = dice_below(dice, PAGES + 500);
	g->in.max_pages = dice_below(dice, PAGES);
	g->in.policy.mode = dice_chance(dice, 70) ? MODE_TIER : MODE_PROMOTE;
	if (dice_chance(dice, 30))
		g->in.barred = bars_multiples_of_three;
	for (size_t n = 0; n < 3; n++)
		g->nodes[n].free_bytes = MIB(60) + dice_below(dice, PAGES) * PAGE_BYTES * 4;
}

static void check_move(const struct guest_setup *g, const struct planned *move, uint64_t *seen)
{
	bool promote = move->direction == DIRECTION_PROMOTE, apt = false;

	assert_int_equal(move->pages, heatmap_is_large(g->heat, move->index) ? 512 : 1);
	assert_int_equal(move->index % move->pages, 0);
	assert_false(g->in.barred && g->in.barred(NULL, move->index));
	assert_int_equal(g->nodes[move->node].tier, promote ? HOST_TIER_DRAM : HOST_TIER_CXL);
	for (uint64_t i = move->index; i < move->index + move->pages; i++) {
		int node = heatmap_node(g->heat, i);

		assert_false(bitmap_test(seen, i));
		bitmap_set(seen, i);
		if (node < 0)
			continue;
		assert_int_equal(g->nodes[node].tier, promote ? HOST_TIER_CXL : HOST_TIER_DRAM);
		apt |= heatmap_hot_word(g->heat, i / 64) >> i % 64 & 1;
	}
	if (promote)
		assert_true(apt);
	else if (move->reason == REASON_ROOM)
		assert_false(apt);
}

static void check_sums(const struct guest_setup *g, const struct plan *p)
{
	uint64_t sum[DIRECTION_COUNT] = {0};
	bool promoting = false;

	for (size_t i = 0; i < p->n; i++) {
		sum[p->moves[i].direction] += p->moves[i].pages;
		promoting |= p->moves[i].direction == DIRECTION_PROMOTE;
		assert_int_equal(promoting, p->moves[i].direction == DIRECTION_PROMOTE);
	}
	assert_int_equal(sum[DIRECTION_PROMOTE], p->promote_pages);
	assert_int_equal(sum[DIRECTION_DEMOTE], p->demote_pages);
	assert_true(p->promote_pages <= g->in.max_pages);
	assert_true(p->demote_pages <= g->in.max_pages);
	/* Even if no demotion comes about. */
	assert_true(!p->promote_pages || p->dram_pages + p->promote_pages <= g->in.share_pages);
	if (p->target >= 0)
		assert_true(p->promote_pages * PAGE_BYTES + MIB(64) <=
				    g->nodes[p->target].free_bytes ||
			    !p->promote_pages);
	assert_true(g->in.policy.mode == MODE_TIER || !p->demote_pages);
}

static void no_plan_breaks_a_rule(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (int round = 0; round < 400; round++) {
		uint64_t seen[PAGES / 64] = {0};
		struct guest_setup g;
		struct plan *p;

		random_guest(&dice, &g);
		p = plan(&g);
		for (size_t i = 0; i < p->n; i++)
			check_move(&g, &p->moves[i], seen);
		check_sums(&g, p);
		done(&g, p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_accessed_in_two_of_three_passes_are_promoted),
		cmocka_unit_test(hot_pages_in_dram_and_holes_stay),
		cmocka_unit_test(written_pages_come_before_pages_that_are_only_read),
		cmocka_unit_test(promotions_stop_where_the_share_ends),
		cmocka_unit_test(the_coldest_go_first_and_only_as_many_as_wait),
		cmocka_unit_test(nothing_goes_out_while_there_is_room),
		cmocka_unit_test(warm_pages_do_not_make_room),
		cmocka_unit_test(a_guest_over_its_share_gives_back_even_hot_pages_coldest_first),
		cmocka_unit_test(mode_promote_never_demotes),
		cmocka_unit_test(a_large_block_is_one_move_of_512_pages),
		cmocka_unit_test(a_large_block_that_would_overshoot_the_share_waits),
		cmocka_unit_test(a_large_block_of_mixed_warmth_is_planned_once),
		cmocka_unit_test(a_large_block_with_a_hot_page_makes_no_room),
		cmocka_unit_test(barred_pages_are_left_out),
		cmocka_unit_test(a_barred_block_does_not_bar_what_lies_behind_it),
		cmocka_unit_test(headroom_of_the_target_is_left_alone),
		cmocka_unit_test(headroom_of_the_sink_is_left_alone),
		cmocka_unit_test(a_plan_holds_no_more_than_the_pace_can_carry),
		cmocka_unit_test(the_cpuset_and_the_policy_choose_the_target),
		cmocka_unit_test(without_a_sink_nothing_is_demoted),
		cmocka_unit_test(a_full_node_gives_cold_pages_for_hot_ones_without_any_maximum),
		cmocka_unit_test(for_room_on_a_full_node_pages_of_that_node_go),
		cmocka_unit_test(a_large_block_goes_out_where_less_would_do),
		cmocka_unit_test(what_does_not_fit_does_not_bar_smaller_ones_behind_it),
		cmocka_unit_test(nobody_makes_room_for_pages_in_quarantine),
		cmocka_unit_test(pages_that_may_lie_in_dram_count_against_the_maximum),
		cmocka_unit_test(every_reason_has_its_text),
		cmocka_unit_test(no_plan_breaks_a_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
