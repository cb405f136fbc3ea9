/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Measured intervals: marked for the plugin, timed, and written as one line of
 * JSON each.  The script that reads them joins line and count by the interval's
 * number.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "base/units.h"
#include "mark.h"

/**
 * struct meter - where intervals go
 * @out: the lines; with a large buffer, as a write makes devices interrupt later on
 * @intervals: so far, as the plugin counts them
 * @start_ns: of the one under way
 * @ns: of the last one
 */
struct meter {
	FILE *out;
	unsigned int intervals;
	uint64_t start_ns;
	uint64_t ns;
};

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Nothing but what stands between these two is counted. */
static inline void meter_begin(struct meter *m)
{
	m->start_ns = clock_ns(CLOCK_MONOTONIC);
	MARK(MARK_BEGIN);
}

static inline void meter_ended(struct meter *m)
{
	m->ns = clock_ns(CLOCK_MONOTONIC) - m->start_ns;
	m->intervals++;
}

static inline void meter_end(struct meter *m)
{
	MARK(MARK_END);
	meter_ended(m);
}

/**
 * struct reading - what an interval was about
 * @series: what was measured: "harvest", "notifier", ...
 * @variant: in which way
 * @state: of the pages: "accessed", "idle", or ""
 * @pages: how many
 * @seen: how many of them the measured thing itself said were accessed
 * @expected: instructions, where they are known beforehand, else 0
 * @more: further members of the JSON object, ", " in front of each, or NULL
 */
struct reading {
	const char *series;
	const char *variant;
	const char *state;
	uint64_t pages;
	uint64_t seen;
	uint64_t expected;
	const char *more;
};

/** meter_write() - the line of the interval that ended last */
void meter_write(struct meter *m, const struct reading *r);
