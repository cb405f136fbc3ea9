// SPDX-License-Identifier: GPL-2.0-or-later
/* Saying what is: the state of each guest, and the report of all. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/log.h"
#include "base/units.h"

static bool has_tier(const struct agent *agent, enum host_tier tier)
{
	for (size_t n = 0; n < agent->nnodes; n++)
		if (agent->nodes[n].tier == tier)
			return true;
	return false;
}

const char *agent_tier_problem(const struct agent *agent)
{
	if (has_tier(agent, HOST_TIER_CXL))
		return "";
	return agent->nnodes == 1 ? "this host has one NUMA node only: there is no slower memory "
				    "to move to"
				  : "no NUMA node of this host is CXL memory (all have CPUs or are "
				    "faster than those that have)";
}

enum guest_state agent_judge(struct agent *agent, struct guest *guest)
{
	struct evidence evidence = {
		.gone = guest->gone,
		.ended = guest->ended,
		.paused = guest->paused,
		.stopped = guest->facts.stopped,
		.vfio = guest->facts.vfio,
		.sev = guest->facts.sev,
		.mode = guest->policy.mode,
		.source = guest->source,
		.layout = guest->layout,
		.failing = guest->failing,
		.policy = guest->policy_error,
		.passes = guest->report.passes,
		.settle_passes = agent->config.settle_passes,
		.has_dram = has_tier(agent, HOST_TIER_DRAM),
		.has_cxl = has_tier(agent, HOST_TIER_CXL),
		.stuck = guest->stuck,
		.dram_none = guest->dram_none,
		.cxl_none = guest->cxl_none,
	};
	enum guest_state state =
		lifecycle_judge(&evidence, guest->report.reason, sizeof(guest->report.reason));

	if (state != guest->state && guest->report.state && state != STATE_GONE)
		log_at(LOG_NOTE, "guest '%s' is %s: %s", guest->report.name, state_name(state),
		       guest->report.reason);
	guest->state = state;
	guest->report.state = state_name(state);
	atomic_store(&guest->lane.hold, state != STATE_ACTIVE);
	return state;
}

static const char *source_name(const struct guest *guest)
{
	if (guest->source[0])
		return "none";
	return guest->rings ? "kvm+ring" : "kvm";
}

static void fill_direction(struct agent *agent, struct guest *guest, enum direction direction)
{
	struct report_direction *dir = &guest->report.dir[direction];
	uint64_t moved = atomic_load(&guest->lane.moved_pages[direction]);
	uint64_t elapsed_ns = agent->now_ns - guest->rate_ns[direction];

	dir->queued_pages = atomic_load(&guest->lane.queued_pages[direction]);
	dir->inflight_pages = atomic_load(&guest->lane.inflight_pages[direction]);
	dir->done_pages = moved;
	if (elapsed_ns < NSEC_PER_SEC)
		return;
	dir->bytes_per_s = (uint64_t)((double)(moved - guest->rate_pages[direction]) * PAGE_BYTES *
				      NSEC_PER_SEC / (double)elapsed_ns);
	guest->rate_pages[direction] = moved;
	guest->rate_ns[direction] = agent->now_ns;
}

static uint64_t hot_in_dram(const struct agent *agent, const struct histogram *h)
{
	uint64_t pages = 0;

	for (size_t n = 0; n < agent->nnodes; n++)
		if (agent->nodes[n].tier == HOST_TIER_DRAM)
			pages += h->bucket[n][2] + h->bucket[n][3];
	return pages;
}

static void fill_guest(struct agent *agent, struct guest *guest)
{
	struct report_guest *r = &guest->report;
	uint64_t placed = 0;

	if (guest->gone)
		r->pid = 0;
	r->mode = mode_name(guest->policy.mode);
	r->policy = policy_origin_name(guest->policy.origin);
	r->source = source_name(guest);
	r->share_limited = guest->policy.dram_limited;
	r->share_pages = guest->policy.dram_limited ? guest->policy.dram_max_bytes / PAGE_BYTES : 0;
	r->period_ns = agent->config.period_ms * NSEC_PER_MSEC;
	r->rate_limit_bytes_per_s = agent->config.rate_mib_per_s << 20;
	for (int d = 0; d < DIRECTION_COUNT; d++)
		fill_direction(agent, guest, (enum direction)d);
	if (!guest->heat)
		return;
	if (guest->nodes_epoch != agent->nodes_epoch) { /* its indices are of other nodes */
		memset(r->node_pages, 0, sizeof(r->node_pages));
		r->unplaced_pages = r->ram_pages;
		r->hot_dram_pages = 0;
		return;
	}
	memcpy(r->node_pages, guest->histogram.resident, sizeof(r->node_pages));
	for (size_t n = 0; n < agent->nnodes; n++)
		placed += r->node_pages[n];
	r->unplaced_pages = r->ram_pages > placed ? r->ram_pages - placed : 0;
	r->hot_pages = guest->histogram.hot + guest->histogram.unplaced_hot;
	r->hot_dram_pages = hot_in_dram(agent, &guest->histogram);
}

static void add_problem(struct report *report, const char *text)
{
	if (text[0] && report->nproblems < sizeof(report->problems) / sizeof(report->problems[0]))
		snprintf(report->problems[report->nproblems++], REPORT_REASON_MAX, "%s", text);
}

/* A pass over a TiB takes seconds. */
#define STUCK_NS (60 * NSEC_PER_SEC)

/* Errands that do not come back, as where a process holds its mmap_lock or a file system hangs. */
static const char *stuck_text(const struct agent *agent, char *text, size_t size)
{
	uint64_t stuck = 0;

	for (const struct guest *g = agent->guests; g; g = g->next)
		stuck += g->pass && agent->now_ns - g->pass->started_ns > STUCK_NS;
	text[0] = '\0';
	if (agent->scan && agent->now_ns - agent->scan->started_ns > STUCK_NS)
		snprintf(text, size,
			 "the search for guests has not come back for a minute: new ones are not "
			 "seen; look for processes in state D");
	else if (stuck)
		snprintf(text, size,
			 "%llu guests have been looked at for more than a minute: something that "
			 "they or other processes do holds that up; look for processes in state D",
			 (unsigned long long)stuck);
	return text;
}

static void fill_host(const struct agent *agent, struct report *report)
{
	char text[REPORT_REASON_MAX];
	static const char *const kvm_names[] = {
		[HOST_KVM_NONE] = "none",
		[HOST_KVM_STOCK] = "stock",
		[HOST_KVM_PATCHED] = "patched",
	};

	report->built_ns = agent->now_ns;
	report->started_ns = agent->started_ns;
	report->pid = getpid();
	report->kvm = kvm_names[agent->kvm];
	report->passes = agent->passes;
	report->policy_errors = agent->policy_errors;
	memcpy(report->last_policy_error, agent->last_policy_error,
	       sizeof(report->last_policy_error));
	memcpy(report->nodes, agent->nodes, sizeof(report->nodes));
	report->nnodes = agent->nnodes;
	add_problem(report, agent->kvm_why);
	add_problem(report, agent->nodes_why);
	add_problem(report, agent->find_why);
	add_problem(report, agent->store_why);
	if (!agent->nodes_why[0])
		add_problem(report, agent_tier_problem(agent));
	add_problem(report, stuck_text(agent, text, sizeof(text)));
	if (agent->nodes_left_out)
		add_problem(report, "this host has nodes with memory that vmtier does not handle "
				    "(more than 16, or numbers above 63): pages there are left "
				    "alone");
}

static void add_totals(struct report *report)
{
	for (size_t i = 0; i < report->nguests; i++)
		for (int d = 0; d < DIRECTION_COUNT; d++) {
			const struct report_direction *dir = &report->guests[i].dir[d];

			report->moved_pages[d] += dir->done_pages;
			for (int c = 0; c < CAUSE_COUNT; c++)
				report->failed_pages[d][c] += dir->failed_pages[c];
		}
}

void agent_publish(struct agent *agent)
{
	struct report *report = report_new(agent->nguests);
	size_t i = agent->nguests;

	agent->report_due_ns = agent->now_ns + NSEC_PER_SEC;
	if (!report)
		return;
	fill_host(agent, report);
	/* The list has the newest first, the report the oldest. */
	for (struct guest *g = agent->guests; g; g = g->next) {
		fill_guest(agent, g);
		report->guests[--i] = g->report;
	}
	memcpy(report->moved_pages, agent->gone_moved_pages, sizeof(report->moved_pages));
	memcpy(report->failed_pages, agent->gone_failed_pages, sizeof(report->failed_pages));
	add_totals(report);
	publisher_put(agent->publisher, report);
}
