// SPDX-License-Identifier: GPL-2.0-or-later
/* Passes: started when due, taken in when a worker brings them back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "base/units.h"

/* A guest whose passes fail is tried at ever longer intervals, up to this many periods. */
#define BACKOFF_MAX 16

/* numa_maps walks all of a process' page tables: often enough for a person to look at. */
#define TOTALS_NS (60 * NSEC_PER_SEC)

/* A pass that comes later than this after the one before only sets the clock to zero. */
#define WINDOW_PERIODS 8
#define WINDOW_MIN_NS  (5 * NSEC_PER_SEC)

/* One failure may be a moment's; after so many in a row the guest is called degraded. */
#define FAILURES_MAX 3

/* vCPUs, VFIO and SEV come and go rarely: look at the fds once in so many passes. */
#define RESCAN_PASSES 16

static uint64_t host_bytes(const struct agent *agent)
{
	uint64_t bytes = 0;

	for (size_t n = 0; n < agent->nnodes; n++)
		bytes += agent->nodes[n].total_bytes;
	return bytes;
}

static void pass_free(struct pass *pass)
{
	sample_free(pass->job.sample);
	residency_slice_deinit(&pass->job.slice);
	free(pass);
}

/* A guest that was met just now is swept faster: its share is judged on what is known. */
static size_t slice_pages(const struct guest *guest)
{
	return guest->swept ? RESIDENCY_SLICE_PAGES : RESIDENCY_FIRST_PAGES;
}

static struct pass *pass_new(struct agent *agent, struct guest *guest)
{
	struct pass *pass = calloc(1, sizeof(*pass));

	if (!pass)
		return NULL;
	pass->guest = guest->id;
	pass->nodes_epoch = agent->nodes_epoch;
	pass->started_ns = agent->now_ns;
	pass->job = (struct harvest_job) {
		.vm = guest->vm,
		.map = guest->map,
		.rings = guest->rings,
		.nnodes = agent->nnodes,
		.flush = agent->config.flush,
		.slice_from = guest->slice_from,
		.sample = sample_new(guest->map->npages, agent->nnodes),
	};
	memcpy(pass->job.nodes, agent->nodes, sizeof(agent->nodes));
	if (!pass->job.sample || residency_slice_init(&pass->job.slice, slice_pages(guest)) < 0) {
		pass_free(pass);
		return NULL;
	}
	return pass;
}

static void rescan(struct guest *guest)
{
	size_t nrings = guest->vm->host->ops->vm_rescan(guest->vm);

	if (nrings == (guest->rings ? guest->rings->nrings : 0))
		return;
	/* A ring that came later shifts no other: losing their copies costs one look. */
	ring_set_free(guest->rings);
	guest->rings = nrings ? ring_set_new(nrings) : NULL;
	guest->report.ring_vcpus = guest->rings ? nrings : 0;
}

static bool layout_ready(struct agent *agent, struct guest *guest)
{
	int r;

	if (!guest->wants_layout)
		return true;
	r = guest_read_layout(guest, agent->nnodes, agent->nodes_epoch, host_bytes(agent));
	if (r == -EAGAIN) {
		guest->due_ns = agent->now_ns + 10 * NSEC_PER_MSEC;
	} else if (r < 0) {
		guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC;
		agent_judge(agent, guest);
	}
	return r >= 0;
}

static void start_pass(struct agent *agent, struct guest *guest)
{
	if (!agent->host->ops->vm_alive(guest->vm)) {
		agent_guest_gone(agent, guest);
		return;
	}
	if (guest->passes_until_rescan-- == 0 || guest->wants_layout) {
		guest->passes_until_rescan = RESCAN_PASSES;
		rescan(guest);
	}
	if (!layout_ready(agent, guest))
		return;
	guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC;
	guest->pass = pass_new(agent, guest);
	if (guest->pass)
		workers_put(agent->workers, guest->pass);
}

/* A guest whose accesses or layout cannot be read is asked for its totals, to show something. */
static void show_totals(struct agent *agent, struct guest *guest)
{
	guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC;
	agent_retry_source(agent, guest);
	if (agent->now_ns < guest->totals_due_ns)
		return;
	guest->totals_due_ns = agent->now_ns + TOTALS_NS;
	if (agent->host->ops->vm_node_totals(guest->vm, guest->report.node_pages) < 0)
		return;
	guest->report.ram_pages = 0;
	for (size_t n = 0; n < agent->nnodes; n++)
		guest->report.ram_pages += guest->report.node_pages[n];
}

/* A frozen guest is not harvested, so somebody has to see that it runs again. */
static void look_again(struct agent *agent, struct guest *guest)
{
	guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC;
	if (agent->host->ops->vm_facts(guest->vm, &guest->facts) < 0)
		agent_guest_gone(agent, guest);
	else
		agent_judge(agent, guest);
}

/* Whether a pass, or at least an attempt at one, is due in this state. */
static bool guest_is_tried(const struct guest *guest)
{
	return state_harvests(guest->state) ||
	       (guest->state == STATE_DEGRADED && !guest->source[0]);
}

void agent_start_passes(struct agent *agent)
{
	for (struct guest *g = agent->guests; g; g = g->next) {
		if (g->gone || g->pass || agent->now_ns < g->due_ns)
			continue;
		if (guest_is_tried(g))
			start_pass(agent, g);
		else if (g->state == STATE_FROZEN)
			look_again(agent, g);
		else if (g->source[0])
			show_totals(agent, g);
	}
}

static void note_sample(struct guest *guest, const struct sample *sample)
{
	struct report_guest *r = &guest->report;

	r->ram_pages = guest->map->ram_pages;
	r->skipped_pages = guest->map->skipped_pages;
	snprintf(r->skipped_reason, sizeof(r->skipped_reason), "%s", guest->map->skipped_reason);
	r->present_pages = bitmap_count(sample->present, sample->npages);
	r->large_pages = bitmap_count(sample->large, sample->npages);
	r->accessed_pages = bitmap_count(sample->accessed, sample->npages);
	r->written_pages = bitmap_count(sample->written, sample->npages);
	r->ring_entries += sample->ring_entries;
	r->ring_lost += sample->ring_lost;
	r->ring_bad += sample->ring_bad;
	r->last_pass_ns = sample->taken_ns;
	r->passes++;
}

/*
 * Accessed bits say "since they were cleared last".  At the first pass that is
 * since the guest booted, after a pause since the pause began: nearly every
 * page was accessed in such a time, and that says nothing of how warm it is.
 */
static bool window_is_known(const struct agent *agent, const struct guest *guest,
			    const struct sample *sample)
{
	uint64_t longest_ns = WINDOW_PERIODS * agent->config.period_ms * NSEC_PER_MSEC;

	if (longest_ns < WINDOW_MIN_NS)
		longest_ns = WINDOW_MIN_NS;
	return guest->report.last_pass_ns &&
	       sample->taken_ns - guest->report.last_pass_ns <= longest_ns;
}

static void forget_accesses(struct sample *sample)
{
	memset(sample->accessed, 0, sample->nwords * sizeof(*sample->accessed));
	memset(sample->written, 0, sample->nwords * sizeof(*sample->written));
}

static void take_in(struct agent *agent, struct guest *guest, const struct pass *pass)
{
	const struct harvest_job *job = &pass->job;
	struct sample *sample = job->sample;

	if (pass->nodes_epoch != agent->nodes_epoch)
		return; /* nodes came or went meanwhile: the next pass has a new map */
	if (!window_is_known(agent, guest, sample))
		forget_accesses(sample);
	heatmap_fold(guest->heat, sample);
	guest->slice_from = residency_apply(guest->heat, sample, &job->slice);
	guest->swept |= guest->slice_from >= guest->map->npages;
	histogram_build(guest->heat, agent->nnodes, &guest->histogram);
	note_sample(guest, sample);
	agent->passes++;
	if (agent->host->ops->vm_facts(guest->vm, &guest->facts) < 0) {
		agent_guest_gone(agent, guest);
		return;
	}
	agent_plan_and_move(agent, guest, pass->started_ns);
}

static void pass_failed(struct agent *agent, struct guest *guest, int r)
{
	unsigned int factor = 1U << (guest->failures < 4 ? guest->failures : 4);

	if (!guest->failures++)
		log_at(LOG_WARN, "guest '%s': a pass failed (%s), trying again more slowly",
		       guest->report.name, strerror(-r));
	if (factor > BACKOFF_MAX)
		factor = BACKOFF_MAX;
	if (guest->failures == FAILURES_MAX)
		snprintf(guest->failing, sizeof(guest->failing),
			 "its passes fail (%s), they are tried "
			 "again more slowly",
			 strerror(-r));
	agent_judge(agent, guest);
	guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC * factor;
}

static void finish_pass(struct agent *agent, struct guest *guest, struct pass *pass)
{
	guest->pass = NULL;
	if (guest->gone)
		return;
	if (pass->result < 0) {
		pass_failed(agent, guest, pass->result);
		return;
	}
	guest->failures = 0;
	guest->failing[0] = '\0';
	switch ((enum harvest_outcome)pass->result) {
	case HARVEST_OK:
		guest->was_stale = false;
		take_in(agent, guest, pass);
		break;
	case HARVEST_STALE:
		guest->wants_layout = true;
		guest->report.stale_passes++;
		guest_overtake(guest);
		/* Once may be chance; a guest that goes on changing its slots waits its turn. */
		if (!guest->was_stale)
			guest->due_ns = agent->now_ns;
		guest->was_stale = true;
		break;
	case HARVEST_GONE:
		agent_guest_gone(agent, guest);
		break;
	}
}

void agent_finish_passes(struct agent *agent)
{
	struct pass *pass;

	agent->now_ns = agent->host->ops->now_ns(agent->host);
	while ((pass = workers_take(agent->workers))) {
		for (struct guest *g = agent->guests; g; g = g->next)
			if (g->id == pass->guest)
				finish_pass(agent, g, pass);
		pass_free(pass);
		agent->report_due_ns = agent->now_ns;
	}
}
