/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DAMON by its sysfs files, over one range of a process, and what its tracepoint
 * damon:damon_aggregated says.
 *
 * The number of regions is fixed: as many as min_nr_regions, so that none may be
 * merged, and more than half of max_nr_regions, so that none may be split.
 * Source: kdamond_merge_regions() and kdamond_split_regions(), mm/damon/core.c, Linux 6.12.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define DAMON_KDAMONDS "/sys/kernel/mm/damon/admin/kdamonds"

/**
 * struct damon_plan - what is looked at, and how often
 * @pid: of whose memory
 * @start: first address
 * @bytes: length, a multiple of @nr_regions pages
 * @nr_regions: of equal size
 * @sample_us: one page of each region is checked once in this time
 * @samples: of an aggregation, behind which DAMON tells what it has found
 */
struct damon_plan {
	pid_t pid;
	uint64_t start;
	uint64_t bytes;
	unsigned int nr_regions;
	unsigned int sample_us;
	unsigned int samples;
};

/**
 * struct damon_findings - of all aggregations between damon_watch() and damon_read()
 * @events: regions told of
 * @other_counts: events that tell of another number of regions than planned
 * @checks: pages checked, which is @events times the samples of an aggregation
 * @accessed: of these, found accessed
 */
struct damon_findings {
	uint64_t events;
	uint64_t other_counts;
	uint64_t checks;
	uint64_t accessed;
};

/** damon_set_up() - tell DAMON the plan; it must be off.  Return: 0 or a negative errno. */
int damon_set_up(const struct damon_plan *plan);

/**
 * damon_start() - begin
 * @ret_tid: DAMON's thread
 * Return: 0 or a negative errno.
 */
int damon_start(long *ret_tid);

/** damon_stop() - end.  Return: 0 or a negative errno. */
int damon_stop(void);

/** damon_watch() - begin to record the tracepoint.  Return: 0 or a negative errno. */
int damon_watch(void);

/** damon_read() - end that, and sum up.  Return: 0, -ENOMEM or a negative errno. */
int damon_read(const struct damon_plan *plan, struct damon_findings *ret_findings);
