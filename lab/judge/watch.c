// SPDX-License-Identifier: GPL-2.0-or-later
#include "watch.h"

#include <string.h>

#include "bits.h"

int watch_init(struct watch *watch, size_t npages)
{
	uint64_t **all[] = {&watch->in_use,	&watch->moved,	    &watch->unsure,
			    &watch->accessed,	&watch->present,    &watch->window,
			    &watch->history[0], &watch->history[1], &watch->history[2]};

	*watch = (struct watch) {.npages = npages, .large_min = UINT64_MAX};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*all[i] = bits_new(npages);
		if (!*all[i])
			return -1;
	}
	return 0;
}

void watch_deinit(struct watch *watch)
{
	free(watch->in_use);
	free(watch->moved);
	free(watch->unsure);
	free(watch->accessed);
	free(watch->present);
	free(watch->window);
	for (size_t i = 0; i < 3; i++)
		free(watch->history[i]);
	*watch = (struct watch) {};
}

/* How long the last three whole passes took, or as many as there are. */
static void measure_three(struct watch *watch, uint64_t ms)
{
	uint64_t oldest, took;

	watch->opened_ms[2] = watch->opened_ms[1];
	watch->opened_ms[1] = watch->opened_ms[0];
	watch->opened_ms[0] = watch->window_opened_ms;
	watch->nwindows++;
	oldest = watch->nwindows < 3 ? watch->nwindows - 1 : 2;
	took = ms - watch->opened_ms[oldest];
	watch->three_ms_max = took > watch->three_ms_max ? took : watch->three_ms_max;
}

/* A pass is over: it takes the place of the oldest one. */
static void close_window(struct watch *watch, uint64_t ms)
{
	uint64_t *oldest = watch->history[2];

	measure_three(watch, ms);
	watch->history[2] = watch->history[1];
	watch->history[1] = watch->history[0];
	watch->history[0] = watch->window;
	watch->window = oldest;
	for (size_t i = 0; i < bits_words(watch->npages); i++) {
		uint64_t a = watch->history[0][i], b = watch->history[1][i],
			 c = watch->history[2][i];

		watch->in_use[i] |= (a & b) | (a & c) | (b & c);
	}
}

static bool was_cleared(const struct watch *watch, const struct peek *peek)
{
	size_t lost = 0;

	for (size_t i = 0; i < bits_words(watch->npages); i++)
		lost += (size_t)__builtin_popcountll(watch->accessed[i] & watch->present[i] &
						     peek->present[i] & ~peek->accessed[i]);
	return lost >= WATCH_CLEARED_PAGES;
}

static void follow_passes(struct watch *watch, const struct peek *peek, uint64_t ms)
{
	size_t bytes = bits_words(watch->npages) * sizeof(uint64_t);

	if (watch->peeks && was_cleared(watch, peek)) {
		watch->passes += !watch->clearing;
		if (watch->window_open)
			close_window(watch, ms);
		watch->window_open = false;
		watch->clearing = true;
	} else if (watch->clearing) {
		memcpy(watch->window, peek->accessed, bytes);
		watch->window_open = true;
		watch->window_opened_ms = ms;
		watch->clearing = false;
	} else if (watch->window_open) {
		for (size_t i = 0; i < bits_words(watch->npages); i++)
			watch->window[i] |= peek->accessed[i];
	}
}

void watch_add(struct watch *watch, const struct peek *peek, uint64_t ms)
{
	size_t bytes = bits_words(watch->npages) * sizeof(uint64_t);
	size_t large = bits_count(peek->large, watch->npages);

	follow_passes(watch, peek, ms);
	for (size_t i = 0; i < bits_words(watch->npages); i++) {
		watch->moved[i] |= peek->in_dram[i];
		watch->unsure[i] |= watch->present[i];
		watch->unsure[i] &= ~peek->present[i] & ~watch->moved[i];
	}
	watch->large_min = large < watch->large_min ? large : watch->large_min;
	watch->large_max = large > watch->large_max ? large : watch->large_max;
	memcpy(watch->accessed, peek->accessed, bytes);
	memcpy(watch->present, peek->present, bytes);
	watch->peeks++;
}
