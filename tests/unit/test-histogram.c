// SPDX-License-Identifier: GPL-2.0-or-later
/* Counting pages, against counting them one by one. */
#include <string.h>

#include "test.h"

#include "base/bitmap.h"
#include "heat/histogram.h"

#define PAGES 1024

static void random_heat(struct dice *dice, struct heatmap *map, size_t nnodes)
{
	for (size_t i = 0; i < PAGES; i++) {
		for (unsigned int k = 0; k < HEAT_HISTORY; k++)
			bitmap_assign(map->history[k], i, dice_chance(dice, 50));
		if (dice_chance(dice, 80))
			heatmap_place(map, i, (int)dice_below(dice, nnodes));
	}
}

static void count_page(const struct heatmap *map, size_t i, struct histogram *h)
{
	int node = heatmap_node(map, i);
	size_t passes = 0;

	for (unsigned int k = 0; k < HEAT_HISTORY; k++)
		passes += bitmap_test(map->history[k], i);
	if (node < 0) {
		h->unplaced_hot += passes >= 2;
		return;
	}
	h->hot += passes >= 2;
	h->resident[node]++;
	h->accessed[node] += bitmap_test(map->history[0], i);
	h->bucket[node][passes]++;
}

static void a_histogram_counts_what_counting_page_by_page_finds(void **state)
{
	struct dice dice = dice_new();

	(void)state;
	for (size_t nnodes = 1; nnodes <= 16; nnodes++) {
		struct heatmap *map = heatmap_new(PAGES, nnodes);
		struct histogram h, model = {.hot = 0};

		random_heat(&dice, map, nnodes);
		memset(&h, 0xff, sizeof(h));
		for (size_t i = 0; i < PAGES; i++)
			count_page(map, i, &model);

		histogram_build(map, nnodes, &h);

		assert_memory_equal(&h, &model, sizeof(h));
		heatmap_free(map);
	}
}

static void an_empty_map_has_an_empty_histogram(void **state)
{
	struct heatmap *map = heatmap_new(0, 2);
	struct histogram h, zero = {.hot = 0};

	(void)state;
	histogram_build(map, 2, &h);
	assert_memory_equal(&h, &zero, sizeof(h));
	heatmap_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_histogram_counts_what_counting_page_by_page_finds),
		cmocka_unit_test(an_empty_map_has_an_empty_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
