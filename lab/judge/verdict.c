// SPDX-License-Identifier: GPL-2.0-or-later
#include "verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bits.h"

static double percent(size_t part, size_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static size_t count_in_dram(const struct vm *vm, const uint64_t *which, const int *nodes)
{
	size_t count = 0;

	for (size_t gfn = 0; gfn < vm->npages; gfn++)
		count += bits_test(which, gfn) && vm_is_dram(vm, nodes[gfn]);
	return count;
}

/*
 * Percent of page accesses that DRAM serves: visits of hot and swept pages, as
 * the guest counted them, times the part of these pages that lies in DRAM.
 * Within each of the two sets all pages are visited equally often.
 */
static double access_share(uint64_t hot_visits, uint64_t sweep_visits, double hot_percent,
			   double sweep_percent)
{
	double visits = (double)hot_visits + (double)sweep_visits;

	return visits > 0
		       ? ((double)hot_visits * hot_percent + (double)sweep_visits * sweep_percent) /
				 visits
		       : 0.0;
}

__attribute__((format(printf, 2, 3))) static void fail(struct verdict *verdict, const char *format,
						       ...)
{
	va_list args;

	if (verdict->nfailures == VERDICT_FAILURES_MAX)
		return;
	va_start(args, format);
	vsnprintf(verdict->failures[verdict->nfailures++], sizeof(verdict->failures[0]), format,
		  args);
	va_end(args);
}

/* What is in use is known by passes: are these the daemon's, and short beside a sweep? */
static void check_passes(struct verdict *v, uint64_t sweep_ms)
{
	uint64_t least = v->daemon_passes * (100 - VERDICT_PASSES_MISSED_PERCENT) / 100;

	if (v->passes * sweep_ms < v->seconds * 1000 * VERDICT_PASSES_PER_SWEEP)
		fail(v,
		     "%" PRIu64 " passes in %" PRIu64 " s are fewer than %u in a sweep of %" PRIu64
		     " s: what is in use cannot be told",
		     v->passes, v->seconds, VERDICT_PASSES_PER_SWEEP, sweep_ms / 1000);
	if (v->three_passes_ms_max > sweep_ms / (VERDICT_PASSES_PER_SWEEP / 3))
		fail(v,
		     "three passes took %" PRIu64 " ms of a sweep of %" PRIu64
		     " s: what is in use cannot be told",
		     v->three_passes_ms_max, sweep_ms / 1000);
	if (v->passes > v->daemon_passes + VERDICT_PASSES_OFF ||
	    v->passes + VERDICT_PASSES_OFF < least)
		fail(v, "%" PRIu64 " passes were seen, the daemon counts %" PRIu64, v->passes,
		     v->daemon_passes);
}

/* A run that was not the one promised proves nothing, whatever moved. */
static void check_run(struct verdict *v, const struct guest *at_end)
{
	double hot = percent(v->hot_pages, v->ram_pages);

	if (v->ram_pages < VERDICT_RAM_PAGES_MIN || v->hot_pages < VERDICT_HOT_PAGES_MIN ||
	    hot < VERDICT_HOT_PERCENT_LOW || hot > VERDICT_HOT_PERCENT_HIGH)
		fail(v, "the guest has %zu MiB of RAM and a hot set of %zu MiB (%.1f %%)",
		     v->ram_pages >> 8, v->hot_pages >> 8, hot);
	if (v->ram_dram_before)
		fail(v, "%zu pages of the guest were in DRAM before anything moved",
		     v->ram_dram_before);
	if (v->unit_pages == 1 && v->large_max)
		fail(v, "%zu pages were mapped by large entries, none should be", v->large_max);
	if (v->unit_pages > 1 &&
	    percent(v->large_before, v->present_before) < VERDICT_LARGE_PERCENT_MIN)
		fail(v, "only %.1f %% of the mapped pages had large entries before anything moved",
		     percent(v->large_before, v->present_before));
	if (at_end->moved)
		fail(v, "the guest's kernel moved %" PRIu64 " pages of the workload",
		     at_end->moved);
	check_passes(v, at_end->sweep_ms);
	v->invalid = v->nfailures > 0;
}

static void judge(struct verdict *v)
{
	if (percent(v->hot_dram_after, v->hot_pages) < VERDICT_HOT_PERCENT_MIN)
		fail(v, "%.1f %% of the hot set is in DRAM, at least %.0f %% should be",
		     percent(v->hot_dram_after, v->hot_pages), VERDICT_HOT_PERCENT_MIN);
	if (percent(v->stray, v->hot_pages) >= VERDICT_STRAY_PERCENT_LIMIT)
		fail(v,
		     "%zu pages that moved were neither hot nor in use, %.1f %% of the hot set: "
		     "less than %.0f %% should be",
		     v->stray, percent(v->stray, v->hot_pages), VERDICT_STRAY_PERCENT_LIMIT);
}

/* Each page that was ever in DRAM, and with what right. */
static void sort_moved(struct verdict *v, const struct vm *vm, const struct watch *watch,
		       const struct guest *guest, const int *after)
{
	for (size_t gfn = 0; gfn < vm->npages; gfn++) {
		bool hot = bits_test(guest->hot, gfn), in_use = bits_test(watch->in_use, gfn);

		v->in_use += in_use;
		v->hot_in_use += hot && in_use;
		if (!bits_test(vm->ram, gfn) ||
		    !(bits_test(watch->moved, gfn) || vm_is_dram(vm, after[gfn])))
			continue;
		v->moved++;
		v->moved_hot += hot;
		v->moved_in_use += !hot && in_use;
		v->stray += !hot && !in_use;
	}
}

void verdict_reach(struct verdict *v, const struct vm *vm, const struct watch *watch,
		   const struct guest *guest, const struct guest *at_end, const int *before,
		   const int *after)
{
	const struct guest_count *last = &at_end->last, *earlier = &at_end->earlier;

	v->seed = guest->seed;
	v->unit_pages = guest->unit_pages;
	v->ram_pages = guest->npages;
	v->hot_pages = bits_count(guest->hot, vm->npages);
	v->sweep_pages = bits_count(guest->sweep, vm->npages);
	v->hot_dram_before = count_in_dram(vm, guest->hot, before);
	v->hot_dram_after = count_in_dram(vm, guest->hot, after);
	v->ram_dram_before = count_in_dram(vm, vm->ram, before);
	v->ram_dram_after = count_in_dram(vm, vm->ram, after);
	for (size_t gfn = 0; gfn < vm->npages; gfn++)
		v->unplaced_after += bits_test(vm->ram, gfn) && before[gfn] >= 0 && after[gfn] < 0;
	v->share_before = access_share(
		guest->last.hot, guest->last.sweep, percent(v->hot_dram_before, v->hot_pages),
		percent(count_in_dram(vm, guest->sweep, before), v->sweep_pages));
	v->share_after =
		access_share(last->hot - earlier->hot, last->sweep - earlier->sweep,
			     percent(v->hot_dram_after, v->hot_pages),
			     percent(count_in_dram(vm, guest->sweep, after), v->sweep_pages));
	sort_moved(v, vm, watch, guest, after);
	v->large_max = watch->large_max;
	v->passes = watch->passes;
	v->three_passes_ms_max = watch->three_ms_max;
	v->peeks = watch->peeks;
	v->slowest_cycle_ms = at_end->slowest_ms;
	v->sweeps = v->sweep_pages
			    ? (double)(last->sweep - guest->last.sweep) / (double)v->sweep_pages
			    : 0.0;
	check_run(v, at_end);
	judge(v);
}

int verdict_write(const struct verdict *v, const char *path)
{
	FILE *file = fopen(path, "we");
	int status = 0;

	if (!file) {
		fprintf(stderr, "judge: '%s': %s\n", path, strerror(errno));
		return -1;
	}
	fprintf(file, "{\n");
	fprintf(file, "  \"seed\": %" PRIu64 ",\n", v->seed);
	fprintf(file, "  \"verdict\": \"%s\",\n",
		v->invalid     ? "invalid"
		: v->nfailures ? "fail"
			       : "pass");
	fprintf(file, "  \"failures\": [");
	for (size_t i = 0; i < v->nfailures; i++)
		fprintf(file, "%s\"%s\"", i ? ", " : "", v->failures[i]);
	fprintf(file, "],\n");

	const struct {
		const char *name;
		double value;
	} reals[] = {
		{"hot_dram_before_percent", percent(v->hot_dram_before, v->hot_pages)},
		{"hot_dram_after_percent", percent(v->hot_dram_after, v->hot_pages)},
		{"access_share_dram_before_percent", v->share_before},
		{"access_share_dram_after_percent", v->share_after},
		{"stray_percent_of_hot", percent(v->stray, v->hot_pages)},
		{"sweeps_watched", v->sweeps},
	};
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"unit_pages", v->unit_pages},
		{"ram_pages", v->ram_pages},
		{"hot_pages", v->hot_pages},
		{"sweep_pages", v->sweep_pages},
		{"hot_dram_before_pages", v->hot_dram_before},
		{"hot_dram_after_pages", v->hot_dram_after},
		{"ram_dram_before_pages", v->ram_dram_before},
		{"ram_dram_after_pages", v->ram_dram_after},
		{"unplaced_after_pages", v->unplaced_after},
		{"moved_pages", v->moved},
		{"moved_hot_pages", v->moved_hot},
		{"moved_in_use_pages", v->moved_in_use},
		{"stray_pages", v->stray},
		{"in_use_pages", v->in_use},
		{"hot_in_use_pages", v->hot_in_use},
		{"large_before_pages", v->large_before},
		{"large_after_pages", v->large_after},
		{"large_max_pages", v->large_max},
		{"present_before_pages", v->present_before},
		{"present_after_pages", v->present_after},
		{"peeks", v->peeks},
		{"peek_ms_max", v->peek_ms_max},
		{"slowest_cycle_ms", v->slowest_cycle_ms},
		{"three_passes_ms_max", v->three_passes_ms_max},
		{"daemon_passes", v->daemon_passes},
		{"passes", v->passes},
		{"seconds", v->seconds},
	};
	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
		fprintf(file, "  \"%s\": %.2f,\n", reals[i].name, reals[i].value);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		fprintf(file, "  \"%s\": %" PRIu64 "%s\n", numbers[i].name, numbers[i].value,
			i + 1 < sizeof(numbers) / sizeof(numbers[0]) ? "," : "");
	fprintf(file, "}\n");
	status = ferror(file);
	if (fclose(file) != 0 || status) {
		fprintf(stderr, "judge: '%s': cannot write\n", path);
		return -1;
	}
	return 0;
}
