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

/* A look at a sample of a process' pages: often enough for a person to look at. */
#define TOTALS_NS (60 * NSEC_PER_SEC)

/* A pass that comes later than this after the one before only sets the clock to zero. */
#define WINDOW_PERIODS 8
#define WINDOW_MIN_NS  (5 * NSEC_PER_SEC)

/* One failure may be a moment's; after so many in a row the guest is called degraded. */
#define FAILURES_MAX 3

/* vCPUs, VFIO and SEV come and go rarely: look at the fds once in so many passes. */
#define RESCAN_PASSES 16

/* After a layout was read it is left alone so many times as long: a tenth of a worker at most. */
#define LAYOUT_REST	9
#define LAYOUT_REST_MAX (60 * NSEC_PER_SEC)

/* A slot table that was caught changing is complete again in a moment, or somebody sees to it. */
#define LAYOUT_RETRY_NS	   (10 * NSEC_PER_MSEC)
#define LAYOUT_PATIENCE_NS (5 * NSEC_PER_SEC)

/* Memory that another process holds is asked for again: it may have let go or ended. */
#define HELD_NS (60 * NSEC_PER_SEC)

static uint64_t host_bytes(const struct agent *agent)
{
	uint64_t bytes = 0;

	for (size_t n = 0; n < agent->nnodes; n++)
		bytes += agent->nodes[n].total_bytes;
	return bytes;
}

/* A guest that was met just now is swept faster: its share is judged on what is known. */
static size_t slice_pages(const struct guest *guest)
{
	return guest->swept ? RESIDENCY_SLICE_PAGES : RESIDENCY_FIRST_PAGES;
}

static int fill_job(struct agent *agent, struct guest *guest, struct harvest_job *job)
{
	*job = (struct harvest_job) {
		.vm = guest->vm,
		.map = guest->map,
		.rings = guest->rings,
		.nnodes = agent->nnodes,
		.flush = agent->config.flush,
		.slice_from = guest->slice_from,
		.sample = sample_new(guest->map->npages, agent->nnodes, agent->nodes_left_out > 0),
	};
	memcpy(job->nodes, agent->nodes, sizeof(agent->nodes));
	if (!job->sample)
		return -ENOMEM;
	return residency_slice_init(&job->slice, slice_pages(guest));
}

/* Whatever comes of it, the next one is due a period from now unless finish_pass() knows better. */
static void send(struct agent *agent, struct guest *guest, enum errand errand)
{
	struct pass *pass = calloc(1, sizeof(*pass));

	guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC;
	if (!pass)
		return;
	pass->errand = errand;
	pass->guest = guest->id;
	pass->host = agent->host;
	pass->vm = guest->vm;
	pass->nodes_epoch = agent->nodes_epoch;
	pass->started_ns = agent->now_ns;
	pass->host_bytes = host_bytes(agent);
	if (errand == ERRAND_HARVEST && fill_job(agent, guest, &pass->job) < 0) {
		pass_free(pass);
		return;
	}
	pass->rescan = errand == ERRAND_LAYOUT && !guest->layout_changing_ns;
	if (pass->rescan || !guest->passes_until_rescan--) {
		guest->passes_until_rescan = RESCAN_PASSES;
		pass->rescan = true;
	}
	guest->pass = pass;
	workers_put(agent->workers, pass);
}

static void start_pass(struct agent *agent, struct guest *guest)
{
	if (guest->reread_ns && agent->now_ns >= guest->reread_ns)
		guest->wants_layout = true;
	if (!agent->host->ops->vm_alive(guest->vm))
		agent_guest_gone(agent, guest);
	else if (!guest->wants_layout)
		send(agent, guest, ERRAND_HARVEST);
	else if (agent->now_ns >= guest->layout_due_ns)
		send(agent, guest, ERRAND_LAYOUT);
	else
		guest->due_ns = guest->layout_due_ns;
}

/* A guest whose accesses or layout cannot be read is asked for its totals, to show something. */
static void show_totals(struct agent *agent, struct guest *guest)
{
	guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC;
	agent_retry_source(agent, guest);
	if (agent->now_ns < guest->totals_due_ns)
		return;
	guest->totals_due_ns = agent->now_ns + TOTALS_NS;
	send(agent, guest, ERRAND_TOTALS);
}

/* Whether a pass, or at least an attempt at one, is due in this state. */
static bool is_tried(const struct guest *guest)
{
	return state_harvests(guest->state) ||
	       (guest->state == STATE_DEGRADED && !guest->source[0]);
}

bool agent_guest_is_looked_at(const struct guest *guest)
{
	return !guest->gone && (state_harvests(guest->state) || guest->state == STATE_FROZEN ||
				guest->state == STATE_DEGRADED);
}

void agent_start_passes(struct agent *agent)
{
	for (struct guest *g = agent->guests; g; g = g->next) {
		if (!agent_guest_is_looked_at(g) || g->pass || agent->now_ns < g->due_ns)
			continue;
		if (is_tried(g))
			start_pass(agent, g);
		else if (g->state == STATE_FROZEN)
			send(agent, g, ERRAND_LOOK); /* somebody has to see that it runs again */
		else
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
	r->unknown_pages = sample->unknown_pages;
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

/* Nor does what was seen before: it is older than the passes that it would count for. */
static void forget_accesses(struct guest *guest, struct sample *sample)
{
	memset(sample->accessed, 0, sample->nwords * sizeof(*sample->accessed));
	memset(sample->written, 0, sample->nwords * sizeof(*sample->written));
	heatmap_forget_history(guest->heat);
}

static void take_sample(struct agent *agent, struct guest *guest, const struct pass *pass)
{
	const struct harvest_job *job = &pass->job;
	struct sample *sample = job->sample;

	if (pass->nodes_epoch != agent->nodes_epoch)
		return; /* nodes came or went meanwhile: the next pass has a new map */
	if (!window_is_known(agent, guest, sample))
		forget_accesses(guest, sample);
	heatmap_fold(guest->heat, sample);
	guest->slice_from = residency_apply(guest->heat, sample, &job->slice);
	guest->swept |= guest->slice_from >= guest->map->npages;
	histogram_build(guest->heat, agent->nnodes, &guest->histogram);
	note_sample(guest, sample);
	agent->passes++;
	if (!pass->still_ours) {
		guest->wants_layout = true;
		guest_overtake(guest);
	}
	if (guest->unseen)
		snprintf(guest->failing, sizeof(guest->failing),
			 "the fds of its process cannot be looked at: whether VFIO or SEV pins "
			 "its pages cannot be told");
	/* Such pages look accessed, and nobody can tell which they are. */
	if (sample->unknown_pages)
		snprintf(guest->failing, sizeof(guest->failing),
			 "KVM maps %llu of its pages without accessed bits: what is hot cannot "
			 "be told",
			 (unsigned long long)sample->unknown_pages);
	guest->facts = pass->facts;
	agent_plan_and_move(agent, guest, pass);
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

/* Files of /proc that cannot be read are a reason to stop, not yet the end of the guest. */
static void facts_failed(struct agent *agent, struct guest *guest, int r)
{
	if (r == -ESRCH || r == -ENOENT || !agent->host->ops->vm_alive(guest->vm))
		agent_guest_gone(agent, guest);
	else
		pass_failed(agent, guest, r);
}

static void finish_look(struct agent *agent, struct guest *guest, const struct pass *pass)
{
	if (pass->facts_result < 0) {
		facts_failed(agent, guest, pass->facts_result);
		return;
	}
	guest->facts = pass->facts;
	agent_judge(agent, guest);
}

static void finish_harvest(struct agent *agent, struct guest *guest, const struct pass *pass)
{
	if (pass->result < 0) {
		pass_failed(agent, guest, pass->result);
		return;
	}
	if (pass->result == HARVEST_OK && pass->facts_result < 0) {
		facts_failed(agent, guest, pass->facts_result);
		return;
	}
	guest->failures = 0;
	guest->failing[0] = '\0';
	switch ((enum harvest_outcome)pass->result) {
	case HARVEST_OK:
		guest->was_stale = false;
		take_sample(agent, guest, pass);
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

static void layout_failed(struct agent *agent, struct guest *guest, const char *why)
{
	snprintf(guest->layout, sizeof(guest->layout), "its memory layout cannot be read: %.180s",
		 why);
	agent_judge(agent, guest);
}

/* A VMM can keep a change of its slots from ever being over. */
static void layout_changes(struct agent *agent, struct guest *guest)
{
	uint64_t retry_ns = agent->now_ns + LAYOUT_RETRY_NS;

	if (!guest->layout_changing_ns)
		guest->layout_changing_ns = agent->now_ns;
	guest->due_ns = retry_ns > guest->layout_due_ns ? retry_ns : guest->layout_due_ns;
	if (agent->now_ns - guest->layout_changing_ns < LAYOUT_PATIENCE_NS)
		return;
	guest->due_ns = agent->now_ns + agent->config.period_ms * NSEC_PER_MSEC;
	layout_failed(agent, guest, "its memory slots do not stop changing");
}

/* A guest that has just begun, or one whose RAM is not moved, is not called active. */
static void note_ram(struct guest *guest)
{
	const struct memmap *map = guest->map;

	guest->layout[0] = '\0';
	if (!map->ram_pages && map->skipped_pages)
		snprintf(guest->layout, sizeof(guest->layout), "none of its memory is moved: %s",
			 map->skipped_reason);
	else if (!map->ram_pages)
		snprintf(guest->layout, sizeof(guest->layout), "it has no memory yet");
}

static void finish_layout(struct agent *agent, struct guest *guest, struct pass *pass)
{
	int r = pass->result;

	guest->layout_due_ns =
		agent->now_ns + min_u64(LAYOUT_REST * pass->took_ns, LAYOUT_REST_MAX);
	if (r == -EAGAIN) {
		layout_changes(agent, guest);
		return;
	}
	guest->layout_changing_ns = 0;
	if (r >= 0) {
		r = guest_adopt_layout(guest, pass->layout, agent->nnodes, agent->nodes_epoch);
		pass->layout = NULL;
	}
	if (r < 0) {
		layout_failed(agent, guest, error_text(&pass->err, r));
		return;
	}
	note_ram(guest);
	guest->reread_ns = guest->map->held_pages ? agent->now_ns + HELD_NS : 0;
	guest->wants_layout = false;
	guest->due_ns = agent->now_ns;
}

static void finish_totals(const struct agent *agent, struct guest *guest, const struct pass *pass)
{
	if (pass->result < 0 || pass->nodes_epoch != agent->nodes_epoch)
		return;
	guest->report.ram_pages = 0;
	for (size_t n = 0; n < agent->nnodes; n++) {
		guest->report.node_pages[n] = pass->node_pages[n];
		guest->report.ram_pages += pass->node_pages[n];
	}
}

/* Rings come with vCPUs, behind those that are there. */
static void take_rings(struct guest *guest, size_t nrings)
{
	if (guest->rings) {
		if (nrings > guest->rings->nrings && ring_set_grow(guest->rings, nrings) < 0)
			return; /* those that are followed go on, the next look tries again */
	} else if (nrings) {
		guest->rings = ring_set_new(nrings);
	}
	guest->report.ring_vcpus = guest->rings ? guest->rings->nrings : 0;
}

/* VFIO or SEV may be there unseen: until a look has succeeded nothing moves. */
static void finish_rescan(struct agent *agent, struct guest *guest, const struct pass *pass)
{
	if (pass->rescan_result == -ESRCH) {
		agent_guest_gone(agent, guest);
		return;
	}
	guest->unseen = pass->rescan_result < 0;
	if (!guest->unseen)
		take_rings(guest, pass->nrings);
	else
		guest->passes_until_rescan = 0;
}

static void finish_pass(struct agent *agent, struct guest *guest, struct pass *pass)
{
	guest->pass = NULL;
	if (guest->gone)
		return;
	if (pass->rescan)
		finish_rescan(agent, guest, pass);
	if (guest->gone)
		return;
	switch (pass->errand) {
	case ERRAND_LAYOUT:
		finish_layout(agent, guest, pass);
		break;
	case ERRAND_HARVEST:
		finish_harvest(agent, guest, pass);
		break;
	case ERRAND_LOOK:
		finish_look(agent, guest, pass);
		break;
	case ERRAND_TOTALS:
		finish_totals(agent, guest, pass);
		break;
	case ERRAND_FIND: /* for no guest */
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
