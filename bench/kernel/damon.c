// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions of DAMON per page that it checks.
 *
 * DOC: the method
 * DAMON works in a thread of its own, so it cannot be marked.  Two windows of equal
 * length are counted in which this program sleeps and nothing else goes on, one
 * without DAMON and one with it; the difference is DAMON's.
 *
 * DAMON checks one page of each region in each sampling interval: it clears the
 * page's accessed bits before the interval and tests them behind it.  Here the
 * number of regions is fixed: as many as min_nr_regions, so that none may be merged,
 * and more than half of max_nr_regions, so that none may be split.  The sampling
 * intervals are the times that its thread has slept.  Both are checked with
 * the tracepoint damon:damon_aggregated, in a third window that is not counted.
 *
 * No guest runs in a window, so idle pages stay idle.  Accessed ones were touched by the
 * guest right before a window that is short: as pages are picked at random, 9 checks of 10
 * meet one that was not checked since, if a region has 128 of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "damon-control.h"
#include "measure.h"
#include "text_file.h"

#define NR_REGIONS 512
#define SAMPLE_US  50000
/* Sampling intervals of an aggregation, behind which merging and splitting come. */
#define SAMPLES		   20
#define AGGREGATION_US	   (SAMPLES * SAMPLE_US)
#define WINDOW_US	   (4 * AGGREGATION_US)
#define ACCESSED_WINDOW_US AGGREGATION_US

/* A number behind a word in a file of the thread. */
static int thread_number(long tid, const char *file, const char *word, uint64_t *ret_value)
{
	static char text[8192];
	char path[64];
	const char *at;
	long r;

	snprintf(path, sizeof(path), "/proc/%ld/%s", tid, file);
	r = text_read(path, text, sizeof(text));
	if (r < 0)
		return (int)r;
	at = strstr(text, word);
	if (!at)
		return -ENOENT;
	*ret_value = strtoull(at + strlen(word), NULL, 10);
	return 0;
}

/**
 * struct effort - of DAMON's thread so far
 * @sleeps: times it went to sleep of its own will: once per sampling interval
 * @ns: on a CPU
 */
struct effort {
	uint64_t sleeps;
	uint64_t ns;
};

static int effort_read(long tid, struct effort *e)
{
	int r = thread_number(tid, "status", "\nvoluntary_ctxt_switches:", &e->sleeps);

	return r ? r : thread_number(tid, "schedstat", "", &e->ns);
}

/* Count the window with DAMON, as the tracepoint sees it. */
static int verify(struct measure *m, const struct damon_plan *plan, long tid)
{
	struct effort before, after;
	struct damon_findings found;
	uint64_t aggregations, sleeps;
	int r = damon_watch();

	r = r ? r : effort_read(tid, &before);
	usleep(WINDOW_US);
	r = r ? r : damon_read(plan, &found);
	r = r ? r : effort_read(tid, &after);
	if (r)
		return r;
	aggregations = found.events / NR_REGIONS;
	sleeps = after.sleeps - before.sleeps;
	fprintf(m->meter.out,
		"{\"series\": \"damon check\", \"events\": %" PRIu64 ", \"other_counts\": %" PRIu64
		", \"aggregations\": %" PRIu64
		", \"samples_per_aggregation\": %d, \"sleeps\": %" PRIu64 "}\n",
		found.events, found.other_counts, aggregations, SAMPLES, sleeps);
	/* The window begins and ends anywhere within an aggregation. */
	if (aggregations && !found.other_counts && found.events % NR_REGIONS == 0 &&
	    sleeps < (aggregations + 1) * SAMPLES && sleeps > (aggregations - 1) * SAMPLES)
		return 0;
	fprintf(stderr,
		"damon: %" PRIu64 " regions in %" PRIu64 " events, %" PRIu64
		" not of %d: checks cannot be counted, no figures\n",
		found.events, aggregations, found.other_counts, NR_REGIONS);
	return -EPROTO;
}

static int window(struct measure *m, const char *variant, const char *state, useconds_t us,
		  long tid)
{
	struct effort before = {0}, after = {0};
	uint64_t checks;
	char more[80];
	int r = tid ? effort_read(tid, &before) : 0;

	if (r)
		return r;
	meter_begin(&m->meter);
	usleep(us);
	meter_end(&m->meter);
	r = tid ? effort_read(tid, &after) : 0;
	if (r)
		return r;
	checks = (after.sleeps - before.sleeps) * NR_REGIONS;
	snprintf(more, sizeof(more), ", \"thread_ns\": %" PRIu64, after.ns - before.ns);
	meter_write(&m->meter, &(struct reading) {.series = "damon",
						  .variant = variant,
						  .state = state,
						  .pages = checks,
						  .more = more});
	return 0;
}

static int window_both(struct measure *m, const char *variant, long tid)
{
	int r = window(m, variant, "idle", WINDOW_US, tid);

	if (!r)
		r = bed_touch(m->bed, TINY_READ);
	if (!r)
		r = window(m, variant, "accessed", ACCESSED_WINDOW_US, tid);
	return r ? r : notifier_clear(m);
}

int measure_damon(struct measure *m)
{
	const struct damon_plan plan = {
		.pid = getpid(),
		.start = (uintptr_t)bed_at(m->bed, 0),
		.bytes = m->bed->pages * PAGE_BYTES,
		.nr_regions = NR_REGIONS,
		.sample_us = SAMPLE_US,
		.samples = SAMPLES,
	};
	unsigned int reps = m->reps < 5 ? m->reps : 5;
	int r = damon_set_up(&plan);
	long tid = 0;

	r = r ? r : notifier_clear(m);
	for (unsigned int i = 0; !r && i < reps; i++) {
		usleep(500000);
		r = window_both(m, "without", 0);
		if (!r)
			r = damon_start(&tid);
		if (r)
			break;
		/* Its first passes meet bits of the process's own entries. */
		usleep(2 * AGGREGATION_US);
		r = window_both(m, "with", tid);
		if (!r && !i)
			r = verify(m, &plan, tid);
		if (!r)
			r = damon_stop();
	}
	return r;
}
