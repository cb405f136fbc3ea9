// SPDX-License-Identifier: GPL-2.0-or-later
/* Bit planes against a record per page. */
#include <string.h>

#include "test.h"

#include "base/bitmap.h"
#include "heat/heatmap.h"

#define PAGES 2048

/* What the planes say of one page, without any bit trick. */
struct record {
	bool history[HEAT_HISTORY];
	bool written;
	bool here;
	unsigned int node;
	unsigned int idle; /* saturates at idle_max */
};

struct model {
	struct record page[PAGES];
	bool large[PAGES / 512];
	uint64_t passes;
	unsigned int node_planes, idle_max;
	bool has_written;
};

static void model_init(struct model *model, size_t nnodes)
{
	unsigned int left;

	memset(model, 0, sizeof(*model));
	model->node_planes = nnodes <= 2 ? 1 : nnodes <= 4 ? 2 : nnodes <= 8 ? 3 : 4;
	left = HEAT_PLANES - HEAT_HISTORY - 1 - model->node_planes;
	model->has_written = left > 0;
	left -= model->has_written;
	model->idle_max = left >= 2 ? 3 : left;
}

static void model_fold_page(struct model *model, size_t i, const struct sample *s, bool idle_step)
{
	struct record *r = &model->page[i];
	bool now = bitmap_test(s->accessed, i) || bitmap_test(s->written, i), used;

	r->history[2] = r->history[1];
	r->history[1] = r->history[0];
	r->history[0] = now;
	used = r->history[0] || r->history[1] || r->history[2];
	if (used)
		r->idle = 0;
	else if (idle_step && r->idle < model->idle_max)
		r->idle++;
	r->written = model->has_written && ((r->written && used) || bitmap_test(s->written, i));
	if (!bitmap_test(s->present, i))
		return;
	r->here = !s->placed || bitmap_test(s->placed, i);
	r->node = 0;
	for (unsigned int k = 0; k < model->node_planes; k++)
		r->node |= bitmap_test(s->node[k], i) << k;
}

/* A word of which no page is known or was seen lately is left alone: nobody counts there. */
static bool word_is_known(const struct model *model, size_t w, const struct sample *s)
{
	bool known = s->present[w] | s->accessed[w] | s->written[w];

	for (size_t i = w * 64; i < w * 64 + 64; i++) {
		const struct record *r = &model->page[i];

		known |= r->here | r->written | r->history[0] | r->history[1];
	}
	return known;
}

static void model_fold(struct model *model, const struct sample *s)
{
	bool idle_step = ++model->passes % HEAT_IDLE_STEP == 0;

	for (size_t w = 0; w < PAGES / 64; w++) {
		bool counts = idle_step && word_is_known(model, w, s);

		for (size_t i = w * 64; i < w * 64 + 64; i++)
			model_fold_page(model, i, s, counts);
	}
	for (size_t b = 0; b < PAGES / 512; b++) {
		bool present = false, large = false;

		for (size_t i = b * 512; i < b * 512 + 512; i++) {
			present |= bitmap_test(s->present, i);
			large |= bitmap_test(s->large, i);
		}
		if (present)
			model->large[b] = large;
	}
}

static void check_page(const struct model *model, const struct heatmap *map, size_t i)
{
	const struct record *r = &model->page[i];
	unsigned int idle = 0;

	for (unsigned int k = 0; k < HEAT_HISTORY; k++)
		assert_int_equal(bitmap_test(map->history[k], i), r->history[k]);
	if (map->written)
		assert_int_equal(bitmap_test(map->written, i), r->written);
	for (unsigned int k = 0; k < map->idle_planes; k++)
		idle |= (unsigned int)bitmap_test(map->idle[k], i) << k;
	assert_int_equal(idle, r->idle);
	assert_int_equal(heatmap_node(map, i), r->here ? (int)r->node : -1);
	assert_int_equal(heatmap_hot_word(map, i / 64) >> i % 64 & 1,
			 r->history[0] + r->history[1] + r->history[2] >= 2);
	assert_int_equal(heatmap_is_large(map, i), model->large[i / 512]);
}

static void check(const struct model *model, const struct heatmap *map, size_t nnodes)
{
	for (size_t i = 0; i < PAGES; i++)
		check_page(model, map, i);
	for (size_t w = 0; w < map->nwords; w++)
		for (unsigned int n = 0; n < nnodes; n++) {
			uint64_t word = heatmap_node_word(map, w, n);

			for (size_t i = 0; i < 64; i++)
				assert_int_equal(word >> i & 1,
						 model->page[w * 64 + i].here &&
							 model->page[w * 64 + i].node == n);
		}
}

/* Runs of like pages and single ones, so that whole words and odd bits both occur. */
static struct sample *random_sample(struct dice *dice, size_t nnodes, bool other_nodes)
{
	struct sample *s = sample_new(PAGES, nnodes, other_nodes);

	assert_non_null(s);
	for (size_t i = 0; i < PAGES;) {
		size_t run = dice_chance(dice, 30) ? 1 + dice_below(dice, 600) : 1;
		bool present = dice_chance(dice, 70), accessed = dice_chance(dice, 35);
		bool large = dice_chance(dice, 20), written = dice_chance(dice, 10);
		uint64_t node = dice_below(dice, nnodes);
		bool placed = !other_nodes || dice_chance(dice, 80);

		for (; run && i < PAGES; run--, i++) {
			bitmap_assign(s->written, i, written);
			bitmap_assign(s->present, i, present);
			bitmap_assign(s->accessed, i, present && accessed);
			bitmap_assign(s->large, i, present && large);
			for (unsigned int k = 0; k < s->node_planes; k++)
				bitmap_assign(s->node[k], i, present && placed && (node >> k & 1));
			if (other_nodes)
				bitmap_assign(s->placed, i, present && placed);
		}
	}
	return s;
}

static void folding_does_what_a_record_per_page_does(void **state)
{
	struct dice dice = dice_new();
	static struct model model;

	(void)state;
	for (size_t n = 2; n <= 33; n++) {
		size_t nnodes = n / 2;
		bool other_nodes = n % 2;
		struct heatmap *map = heatmap_new(PAGES, nnodes);

		model_init(&model, nnodes);
		for (int pass = 0; pass < 40; pass++) {
			struct sample *s = random_sample(&dice, nnodes, other_nodes);

			heatmap_fold(map, s);
			model_fold(&model, s);
			sample_free(s);
		}
		check(&model, map, nnodes);
		for (int pass = 0; pass < 5; pass++) {
			struct sample *s = random_sample(&dice, nnodes, other_nodes);

			heatmap_fold(map, s);
			model_fold(&model, s);
			sample_free(s);
			check(&model, map, nnodes);
		}
		heatmap_free(map);
	}
}

static void a_page_costs_one_byte_whatever_the_number_of_nodes(void **state)
{
	(void)state;
	for (size_t nnodes = 1; nnodes <= 16; nnodes++) {
		struct heatmap *map = heatmap_new(PAGES, nnodes);
		unsigned int planes = HEAT_HISTORY + 1 + map->node_planes + map->idle_planes;

		if (map->written)
			planes++;
		assert_int_equal(planes, 8);
		assert_int_equal(map->written != NULL, nnodes <= 8);
		assert_int_equal(map->idle_planes, nnodes <= 4 ? 2 - (nnodes > 2) : 0);
		heatmap_free(map);
	}
}

static struct sample *sample_of_page(size_t page, bool accessed, unsigned int node)
{
	struct sample *s = sample_new(512, 4, false);

	bitmap_set(s->present, page);
	bitmap_assign(s->accessed, page, accessed);
	bitmap_assign(s->node[0], page, node & 1);
	bitmap_assign(s->node[1], page, node >> 1);
	return s;
}

static void a_page_is_hot_when_accessed_in_two_of_three_passes(void **state)
{
	(void)state;
	for (unsigned int pattern = 0; pattern < 8; pattern++) {
		struct heatmap *map = heatmap_new(512, 4);

		for (unsigned int pass = 0; pass < 3; pass++) {
			struct sample *s = sample_of_page(77, pattern >> pass & 1, 2);

			heatmap_fold(map, s);
			sample_free(s);
		}
		assert_int_equal(heatmap_hot_word(map, 1) == 1ULL << 13,
				 __builtin_popcount(pattern) >= 2);
		assert_int_equal(heatmap_hot_word(map, 0), 0);
		heatmap_free(map);
	}
}

static void a_page_that_is_not_mapped_keeps_its_node(void **state)
{
	struct heatmap *map = heatmap_new(512, 4);
	struct sample *seen = sample_of_page(77, true, 3), *nothing = sample_new(512, 4, false);

	(void)state;
	heatmap_fold(map, seen);
	for (int pass = 0; pass < 20; pass++)
		heatmap_fold(map, nothing);
	assert_int_equal(heatmap_node(map, 77), 3);
	assert_int_equal(heatmap_node(map, 78), -1);
	sample_free(seen);
	sample_free(nothing);
	heatmap_free(map);
}

static void idle_counts_every_fourth_pass_and_saturates(void **state)
{
	static const unsigned int expected[] = {0, 0, 1, 1, 1, 1, 2, 2, 2,
						2, 3, 3, 3, 3, 3, 3, 3, 3};
	struct heatmap *map = heatmap_new(512, 2);
	struct sample *seen = sample_of_page(5, true, 0), *nothing = sample_new(512, 2, false);

	/* The counter moves in every fourth fold; the first one saw the page in use. */
	(void)state;
	heatmap_fold(map, seen);
	for (size_t pass = 0; pass < ARRAY_SIZE(expected); pass++) {
		heatmap_fold(map, nothing);
		assert_int_equal(bitmap_test(map->idle[0], 5) | bitmap_test(map->idle[1], 5) << 1,
				 expected[pass]);
	}
	heatmap_fold(map, seen);
	assert_false(bitmap_test(map->idle[0], 5) || bitmap_test(map->idle[1], 5));
	sample_free(seen);
	sample_free(nothing);
	heatmap_free(map);
}

static void a_page_that_is_never_mapped_does_not_stay_written_for_ever(void **state)
{
	struct heatmap *map = heatmap_new(512, 2);
	struct sample *written = sample_new(512, 2, false), *nothing = sample_new(512, 2, false);

	(void)state;
	bitmap_set(written->written, 77);
	heatmap_fold(map, written);
	for (int pass = 0; pass < 2; pass++) {
		heatmap_fold(map, nothing);
		assert_true(bitmap_test(map->written, 77));
	}
	heatmap_fold(map, nothing);
	assert_false(bitmap_test(map->written, 77));
	sample_free(written);
	sample_free(nothing);
	heatmap_free(map);
}

static void promoted_pages_count_as_used_and_demoted_ones_as_idle(void **state)
{
	struct heatmap *map = heatmap_new(512, 2);
	struct sample *nothing = sample_new(512, 2, false);

	(void)state;
	heatmap_moved(map, 10, 1, 0, true);
	heatmap_moved(map, 20, 3, 1, false);
	assert_int_equal(heatmap_node(map, 10), 0);
	assert_int_equal(heatmap_node(map, 19), -1);
	assert_int_equal(heatmap_node(map, 20), 1);
	assert_int_equal(heatmap_node(map, 22), 1);
	assert_int_equal(heatmap_node(map, 23), -1);
	assert_int_equal(heatmap_hot_word(map, 0), 1ULL << 10);
	/* The grace of a promoted page: it is not cold before three passes have seen it. */
	heatmap_fold(map, nothing);
	heatmap_fold(map, nothing);
	assert_true(bitmap_test(map->history[2], 10));
	heatmap_fold(map, nothing);
	assert_false(bitmap_test(map->history[2], 10));
	sample_free(nothing);
	heatmap_free(map);
}

static void a_move_at_the_end_of_the_map_stays_within_it(void **state)
{
	struct heatmap *map = heatmap_new(512, 2);

	(void)state;
	heatmap_moved(map, 511, 512, 1, true);
	assert_int_equal(heatmap_node(map, 511), 1);
	heatmap_free(map);
}

static void placing_a_page_changes_where_it_lies_and_nothing_else(void **state)
{
	struct heatmap *map = heatmap_new(512, 16);

	(void)state;
	heatmap_moved(map, 100, 1, 15, true);
	heatmap_place(map, 100, 9);
	assert_int_equal(heatmap_node(map, 100), 9);
	heatmap_place(map, 100, -1);
	assert_int_equal(heatmap_node(map, 100), -1);
	assert_int_equal(heatmap_hot_word(map, 1), 1ULL << 36);
	heatmap_free(map);
}

static void copied_pages_bring_all_that_is_known_of_them(void **state)
{
	struct dice dice = dice_new();
	static struct model model, copy;

	(void)state;
	for (int round = 0; round < 60; round++) {
		size_t nnodes = 1 + dice_below(&dice, 16);
		uint64_t n = dice_below(&dice, 1200), from = dice_below(&dice, PAGES - n);
		uint64_t to = dice_below(&dice, PAGES - n);
		struct heatmap *src = heatmap_new(PAGES, nnodes), *dst = heatmap_new(PAGES, nnodes);

		if (dice_chance(&dice, 50)) /* as layouts do it */
			to = from % 512 +
			     512 * dice_below(&dice, (PAGES - n - from % 512) / 512 + 1);
		model_init(&model, nnodes);
		model_init(&copy, nnodes);
		for (int pass = 0; pass < 12; pass++) {
			struct sample *s = random_sample(&dice, nnodes, false);

			heatmap_fold(src, s);
			model_fold(&model, s);
			sample_free(s);
		}
		heatmap_copy(dst, to, src, from, n);
		for (uint64_t i = 0; i < n; i++) {
			copy.page[to + i] = model.page[from + i];
			if (to % 512 == from % 512)
				copy.large[(to + i) / 512] = model.large[(from + i) / 512];
		}
		check(&copy, dst, nnodes);
		assert_int_equal(dst->passes, src->passes);
		heatmap_free(src);
		heatmap_free(dst);
	}
}

static void a_whole_block_is_large_however_it_is_mapped(void **state)
{
	struct heatmap *map = heatmap_new(2048, 2);
	struct sample *s = sample_new(2048, 2, false);

	(void)state;
	for (size_t i = 0; i < 2048; i++)
		bitmap_set(s->present, i);
	heatmap_set_whole(map, 512, 1024);
	heatmap_fold(map, s); /* present, and by small entries */
	assert_false(heatmap_is_large(map, 511));
	assert_true(heatmap_is_large(map, 512));
	assert_true(heatmap_is_large(map, 1535));
	assert_false(heatmap_is_large(map, 1536));
	heatmap_set_whole(map, 1536, 4096); /* no further than the map */
	assert_true(heatmap_is_large(map, 2047));
	assert_false(heatmap_is_large(map, 2048));
	sample_free(s);
	heatmap_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folding_does_what_a_record_per_page_does),
		cmocka_unit_test(a_page_costs_one_byte_whatever_the_number_of_nodes),
		cmocka_unit_test(a_page_is_hot_when_accessed_in_two_of_three_passes),
		cmocka_unit_test(a_page_that_is_not_mapped_keeps_its_node),
		cmocka_unit_test(idle_counts_every_fourth_pass_and_saturates),
		cmocka_unit_test(a_page_that_is_never_mapped_does_not_stay_written_for_ever),
		cmocka_unit_test(promoted_pages_count_as_used_and_demoted_ones_as_idle),
		cmocka_unit_test(a_move_at_the_end_of_the_map_stays_within_it),
		cmocka_unit_test(placing_a_page_changes_where_it_lies_and_nothing_else),
		cmocka_unit_test(a_whole_block_is_large_however_it_is_mapped),
		cmocka_unit_test(copied_pages_bring_all_that_is_known_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
