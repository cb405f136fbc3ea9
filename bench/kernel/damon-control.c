// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DAMON by its sysfs files.
 */
#include "damon-control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "text_file.h"

#define CONTEXT DAMON_KDAMONDS "/0/contexts/0"
#define REGIONS CONTEXT "/targets/0/regions"
#define TRACING "/sys/kernel/tracing"
#define EVENT	TRACING "/events/damon/damon_aggregated/enable"

__attribute__((format(printf, 2, 3))) static int set(uint64_t value, const char *format, ...)
{
	char path[200];
	va_list list;

	va_start(list, format);
	vsnprintf(path, sizeof(path), format, list);
	va_end(list);
	return text_write_u64(path, value);
}

static int set_regions(const struct damon_plan *plan)
{
	uint64_t bytes = plan->bytes / plan->nr_regions, at = plan->start;
	int r = set(plan->nr_regions, REGIONS "/nr_regions");

	for (unsigned int i = 0; !r && i < plan->nr_regions; i++, at += bytes) {
		r = set(at, REGIONS "/%u/start", i);
		if (!r)
			r = set(at + bytes, REGIONS "/%u/end", i);
	}
	return r;
}

/* fvaddr: virtual addresses, and the regions are those that were given. */
int damon_set_up(const struct damon_plan *plan)
{
	int r = set(1, DAMON_KDAMONDS "/nr_kdamonds");

	r = r ? r : set(1, DAMON_KDAMONDS "/0/contexts/nr_contexts");
	r = r ? r : text_write(CONTEXT "/operations", "fvaddr");
	r = r ? r : set(plan->sample_us, CONTEXT "/monitoring_attrs/intervals/sample_us");
	r = r ? r
	      : set((uint64_t)plan->samples * plan->sample_us,
		    CONTEXT "/monitoring_attrs/intervals/aggr_us");
	r = r ? r : set(1000000000, CONTEXT "/monitoring_attrs/intervals/update_us");
	r = r ? r : set(plan->nr_regions, CONTEXT "/monitoring_attrs/nr_regions/min");
	r = r ? r : set(2 * plan->nr_regions - 2, CONTEXT "/monitoring_attrs/nr_regions/max");
	r = r ? r : set(1, CONTEXT "/targets/nr_targets");
	r = r ? r : set((uint64_t)plan->pid, CONTEXT "/targets/0/pid_target");
	return r ? r : set_regions(plan);
}

int damon_start(long *ret_tid)
{
	char text[32];
	int r = text_write(DAMON_KDAMONDS "/0/state", "on");

	if (!r && text_read(DAMON_KDAMONDS "/0/pid", text, sizeof(text)) < 0)
		r = -EIO;
	if (!r)
		*ret_tid = strtol(text, NULL, 10);
	return r;
}

int damon_stop(void)
{
	return text_write(DAMON_KDAMONDS "/0/state", "off");
}

int damon_watch(void)
{
	int r = text_write(TRACING "/trace", "");

	r = r ? r : set(16384, TRACING "/buffer_size_kb");
	return r ? r : text_write(EVENT, "1");
}

/* A line: "... damon_aggregated: target_id=0 nr_regions=N START-END: NR_ACCESSES AGE". */
static void add_event(const struct damon_plan *plan, const char *at, struct damon_findings *f)
{
	const char *colon;

	at += strlen("nr_regions=");
	f->events++;
	f->other_counts += strtoul(at, NULL, 10) != plan->nr_regions;
	colon = strchr(at, ':');
	if (colon)
		f->accessed += strtoul(colon + 1, NULL, 10);
}

int damon_read(const struct damon_plan *plan, struct damon_findings *ret_findings)
{
	enum { ROOM = 8 << 20 };
	_cleanup_(freep) char *text = malloc(ROOM);
	struct damon_findings found = {0};
	int r = text_write(EVENT, "0");

	if (!text)
		return -ENOMEM;
	if (r || text_read(TRACING "/trace", text, ROOM) < 0)
		return r ? r : -EIO;
	for (const char *at = text; (at = strstr(at, "nr_regions=")); at++)
		add_event(plan, at, &found);
	found.checks = found.events * plan->samples;
	text_write(TRACING "/trace", "");
	*ret_findings = found;
	return 0;
}
