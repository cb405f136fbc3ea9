// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers that differ from each other, so that a mix-up shows. */
#include "sample-report.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND 1000000000ULL

static void guest_fill(struct report_guest *guest, size_t i)
{
	snprintf(guest->name, sizeof(guest->name), "db%zu", i);
	snprintf(guest->reason, sizeof(guest->reason), "harvested every second");
	guest->pid = 4000 + (int)i;
	guest->state = "active";
	guest->mode = "tier";
	guest->policy = "policy.d";
	guest->source = "kvm+ring";
	guest->ram_pages = 1024;
	guest->present_pages = 1000;
	guest->accessed_pages = 80;
	guest->unknown_pages = 24;
	guest->written_pages = 40;
	guest->hot_pages = 64;
	guest->hot_dram_pages = 48;
	guest->node_pages[0] = 256;
	guest->node_pages[1] = 768;
	guest->passes = 17;
	guest->last_pass_ns = SAMPLE_NOW_NS - 5 * SECOND / 2;
	guest->period_ns = SECOND;
	guest->rate_limit_bytes_per_s = 64 << 20;
	guest->dir[DIRECTION_DEMOTE].target_node = 2;
	guest->dir[DIRECTION_PROMOTE] = (struct report_direction) {
		.target_node = 0,
		.queued_pages = 11,
		.inflight_pages = 12,
		.done_pages = 13,
		.there_pages = 14,
		.calls = 15,
		.queries = 16,
		.bytes_per_s = 1 << 20,
		.failed_pages = {[CAUSE_BUSY] = 7},
	};
}

struct report *sample_report_new(size_t nguests)
{
	struct report *report = calloc(1, sizeof(*report) + nguests * sizeof(report->guests[0]));

	if (!report)
		abort();
	report->nguests = nguests;
	report->built_ns = SAMPLE_NOW_NS - SECOND / 2;
	report->started_ns = SAMPLE_NOW_NS - 90 * SECOND;
	report->pid = 812;
	report->kvm = "patched";
	report->passes = 17;
	report->nnodes = 2;
	report->nodes[0] = (struct host_node) {.id = 0,
					       .tier = HOST_TIER_DRAM,
					       .rank = 4,
					       .has_cpu = true,
					       .total_bytes = 8ULL << 30,
					       .free_bytes = 1ULL << 30,
					       .distance = {10, 20}};
	report->nodes[1] = (struct host_node) {.id = 2,
					       .tier = HOST_TIER_CXL,
					       .rank = 45,
					       .total_bytes = 16ULL << 30,
					       .free_bytes = 2ULL << 30,
					       .distance = {20, 10}};
	for (size_t i = 0; i < nguests; i++)
		guest_fill(&report->guests[i], i);
	return report;
}
