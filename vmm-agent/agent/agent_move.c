// SPDX-License-Identifier: GPL-2.0-or-later
/* From a plan to the mover, and from its outcome back into the heat map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/log.h"
#include "base/units.h"

/* Without a rate a plan is bounded all the same: 1 GiB, so that it does not grow stale. */
#define PLAN_PAGES_MAX 262144
#define PLAN_PAGES_MIN 512

/* Memory comes back by the second where it is demoted, hardly ever where it leaked. */
#define NO_MEMORY_MAX_NS (60 * NSEC_PER_SEC)

struct barred_ctx {
	const struct quarantine *quarantine;
	uint64_t now_ns;
};

static bool is_barred(const void *ctx, uint64_t index)
{
	const struct barred_ctx *barred = ctx;

	return quarantine_bars(barred->quarantine, index, barred->now_ns);
}

/* What the pace can carry until the next plan; more would only grow old in the queue. */
static uint64_t plan_pages(const struct agent *agent)
{
	uint64_t rate = agent->config.rate_mib_per_s, pages;

	if (!rate)
		return PLAN_PAGES_MAX;
	pages = (rate << 20) / PAGE_BYTES * agent->config.period_ms / 1000;
	if (pages > PLAN_PAGES_MAX)
		return PLAN_PAGES_MAX;
	return pages < PLAN_PAGES_MIN ? PLAN_PAGES_MIN : pages;
}

/* Memory that is resident perhaps, while not all of the guest has been looked up. */
static uint64_t hidden_pages(const struct agent *agent, const struct guest *guest)
{
	uint64_t placed = 0;

	for (size_t n = 0; n < agent->nnodes; n++)
		placed += guest->histogram.resident[n];
	return guest->swept || guest->map->ram_pages < placed ? 0 : guest->map->ram_pages - placed;
}

/* Never below zero. */
static uint64_t less(uint64_t from, uint64_t n)
{
	return from > n ? from - n : 0;
}

/* Free memory that other guests' batches are on their way to is not free. */
static void free_nodes(const struct agent *agent, struct host_node nodes[HOST_MAX_NODES])
{
	memcpy(nodes, agent->nodes, sizeof(agent->nodes));
	for (size_t n = 0; n < agent->nnodes; n++)
		nodes[n].free_bytes =
			less(nodes[n].free_bytes, agent->reserved_pages[n] * PAGE_BYTES);
}

static struct plan *make_plan(struct agent *agent, struct guest *guest)
{
	struct host_node nodes[HOST_MAX_NODES];
	struct barred_ctx barred = {.quarantine = &guest->quarantine, .now_ns = agent->now_ns};
	struct plan_input in = {
		.heat = guest->heat,
		.histogram = &guest->histogram,
		.nodes = nodes,
		.nnodes = agent->nnodes,
		.vcpu_nodes = guest->facts.vcpu_nodes,
		.allowed_nodes = guest->facts.allowed_nodes,
		.policy = guest->policy,
		.share_pages = guest->policy.dram_limited
				       ? guest->policy.dram_max_bytes / PAGE_BYTES
				       : UINT64_MAX,
		.hidden_pages = hidden_pages(agent, guest),
		.barred_pages = quarantine_count(&guest->quarantine, agent->now_ns),
		.max_pages = plan_pages(agent),
		.headroom_bytes = agent->config.headroom_mib << 20,
		.barred = is_barred,
		.barred_ctx = &barred,
	};
	struct plan *plan = NULL;

	free_nodes(agent, nodes);
	return plan_build(&in, &plan) < 0 ? NULL : plan;
}

static int node_id(const struct agent *agent, int index)
{
	return index < 0 ? -1 : agent->nodes[index].id;
}

static void note_plan(struct agent *agent, struct guest *guest, const struct plan *plan)
{
	struct report_guest *r = &guest->report;

	guest->dram_none = plan->dram_none;
	guest->cxl_none = plan->cxl_none;
	guest->stuck = plan->stuck_pages > 0;
	r->dir[DIRECTION_PROMOTE].target_node = node_id(agent, plan->target);
	r->dir[DIRECTION_DEMOTE].target_node = node_id(agent, plan->sink);
	r->would_promote_pages = plan->promote_pages;
	r->would_demote_pages = plan->demote_pages;
}

static struct batch *make_batch(struct agent *agent, struct guest *guest, const struct plan *plan,
				enum direction direction)
{
	struct batch *batch = batch_new(plan->n);

	if (!batch)
		return NULL;
	batch->lane = &guest->lane;
	batch->guest = guest->id;
	batch->layout = guest->layout_id;
	batch->nodes_epoch = agent->nodes_epoch;
	batch->epoch = atomic_load(&guest->lane.epoch);
	batch->direction = direction;
	batch->pace = &guest->pace;
	for (size_t i = 0; i < plan->n; i++) {
		const struct planned *move = &plan->moves[i];
		const struct area *area = memmap_area_at(guest->map, move->index);

		if (move->direction != direction || !area)
			continue;
		batch->node = agent->nodes[move->node].id;
		batch->units[batch->n++] = (struct moved) {
			.hva = memmap_hva(guest->map, move->index),
			.index = move->index,
			.pages = move->pages,
			.from_pool = area->page_bytes != 0,
			.node = -1,
		};
		batch->pages += move->pages;
	}
	if (!batch->n) {
		free(batch);
		return NULL;
	}
	batch_sort(batch);
	return batch;
}

static int node_index(const struct agent *agent, int id)
{
	for (size_t n = 0; n < agent->nnodes; n++)
		if (agent->nodes[n].id == id)
			return (int)n;
	return -1;
}

static void send_batch(struct agent *agent, struct guest *guest, struct batch *batch)
{
	if (!batch)
		return;
	if (agent->now_ns < guest->again_ns[batch->direction]) {
		free(batch); /* the target had no memory a moment ago */
		return;
	}
	atomic_fetch_add(&guest->lane.queued_pages[batch->direction], batch->pages);
	if (mover_put(agent->mover, batch) < 0) {
		atomic_fetch_sub(&guest->lane.queued_pages[batch->direction], batch->pages);
		free(batch);
		return;
	}
	guest->batches++;
	agent->reserved_pages[node_index(agent, batch->node)] += batch->pages;
}

static void carry_out(struct agent *agent, struct guest *guest, const struct plan *plan)
{
	if (!plan->n)
		return;
	if (!agent->host->ops->vm_alive(guest->vm)) {
		agent_guest_gone(agent, guest);
		return;
	}
	/* Demotions first: they make the room that the next plan's promotions take. */
	send_batch(agent, guest, make_batch(agent, guest, plan, DIRECTION_DEMOTE));
	send_batch(agent, guest, make_batch(agent, guest, plan, DIRECTION_PROMOTE));
}

void agent_plan_and_move(struct agent *agent, struct guest *guest, const struct pass *pass)
{
	struct plan *plan = make_plan(agent, guest);
	enum guest_state state;

	if (!plan)
		return;
	note_plan(agent, guest, plan);
	state = agent_judge(agent, guest);
	/*
	 * While a plan is on its way no second one is sent after it, and none is
	 * made from a pass that began before it was done: they would know less.
	 */
	if (state == STATE_ACTIVE && guest->policy.mode != MODE_OBSERVE && !guest->batches &&
	    pass->started_ns >= guest->moved_ns && pass->still_ours)
		carry_out(agent, guest, plan);
	plan_free(plan);
}

static void take_unit(struct agent *agent, struct guest *guest, const struct batch *batch,
		      const struct moved *unit, int node)
{
	if (unit->node < 0) {
		quarantine_add(&guest->quarantine, unit->index, unit->pages,
			       (enum cause)(-1 - unit->node), agent->now_ns);
		return;
	}
	quarantine_remove(&guest->quarantine, unit->index);
	if (!unit->was_there)
		heatmap_moved(guest->heat, unit->index, unit->pages, (unsigned int)node,
			      batch->direction == DIRECTION_PROMOTE);
	else
		for (uint64_t i = 0; i < unit->pages; i++)
			heatmap_place(guest->heat, unit->index + i, node);
}

/* A target without memory is left alone for a while, longer each time. */
static void note_no_memory(struct agent *agent, struct guest *guest, const struct batch *batch)
{
	uint64_t period_ns = agent->config.period_ms * NSEC_PER_MSEC;
	uint64_t *backoff_ns = &guest->backoff_ns[batch->direction];

	if (!batch->outcome.failed_pages[CAUSE_NO_MEMORY]) {
		*backoff_ns = 0;
		return;
	}
	*backoff_ns = *backoff_ns ? 2 * *backoff_ns : period_ns;
	if (*backoff_ns > NO_MEMORY_MAX_NS)
		*backoff_ns = NO_MEMORY_MAX_NS;
	guest->again_ns[batch->direction] = agent->now_ns + *backoff_ns;
}

/*
 * What has moved is no longer on its way, and not free either: free memory was
 * read perhaps before it came.  If it was read since, too little is free until
 * it is read again.
 */
static void release(struct agent *agent, const struct batch *batch)
{
	int node = node_index(agent, batch->node);

	if (node < 0 || batch->nodes_epoch != agent->nodes_epoch)
		return;
	agent->reserved_pages[node] = less(agent->reserved_pages[node], batch->pages);
	agent->nodes[node].free_bytes =
		less(agent->nodes[node].free_bytes, batch->outcome.moved_pages * PAGE_BYTES);
}

static void finish_batch(struct agent *agent, struct guest *guest, const struct batch *batch)
{
	struct report_direction *dir = &guest->report.dir[batch->direction];
	int node = node_index(agent, batch->node);

	guest->batches--;
	guest->moved_ns = agent->now_ns;
	note_no_memory(agent, guest, batch);
	for (int c = 0; c < CAUSE_COUNT; c++)
		dir->failed_pages[c] += batch->outcome.failed_pages[c];
	dir->there_pages += batch->outcome.there_pages;
	dir->calls += batch->outcome.calls;
	dir->queries += batch->outcome.queries;
	if (batch->outcome.failed_pages[CAUSE_GONE] && !guest->gone &&
	    !agent->host->ops->vm_alive(guest->vm))
		agent_guest_gone(agent, guest);
	if (batch->layout != guest->layout_id || node < 0 || !guest->heat ||
	    guest->nodes_epoch != agent->nodes_epoch)
		return;
	for (size_t u = 0; u < batch->n; u++)
		take_unit(agent, guest, batch, &batch->units[u], node);
	histogram_build(guest->heat, agent->nnodes, &guest->histogram);
}

void agent_finish_batches(struct agent *agent)
{
	struct batch *batch;

	agent->now_ns = agent->host->ops->now_ns(agent->host);
	while ((batch = queue_take(agent->moved))) {
		release(agent, batch);
		for (struct guest *g = agent->guests; g; g = g->next)
			if (g->id == batch->guest)
				finish_batch(agent, g, batch);
		free(batch);
		agent->report_due_ns = agent->now_ns;
	}
}
