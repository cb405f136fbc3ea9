// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * One turn: wait; take what workers, mover, clients and dying guests have
 * sent; look for guests when it is time; start the passes that are due; say
 * what is.  A finished pass is folded, planned on and its moves handed to the
 * mover in one go (agent_pass.c, agent_move.c).  Everything else in here is
 * bookkeeping.
 */
#include "agent/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/units.h"

/* Reports are at most this old even when nothing happens. */
#define REPORT_NS NSEC_PER_SEC

static void passes_ready(void *ctx, uint32_t events)
{
	struct agent *agent = ctx;

	(void)events;
	workers_rest(agent->workers);
	agent_finish_passes(agent);
}

static void scan_ready(void *ctx, uint32_t events)
{
	struct agent *agent = ctx;

	(void)events;
	workers_rest(agent->finder);
	agent_finish_scan(agent);
}

static void batches_ready(void *ctx, uint32_t events)
{
	struct agent *agent = ctx;

	(void)events;
	queue_rest(agent->moved);
	agent_finish_batches(agent);
}

static void requests_ready(void *ctx, uint32_t events)
{
	(void)events;
	agent_take_requests(ctx);
}

static int start_rooms(struct agent *agent, bool with_sockets, struct error *err)
{
	const struct config *config = &agent->config;
	int r = loop_new(&agent->loop);

	if (r >= 0)
		r = workers_start((unsigned int)config->workers, &agent->workers);
	if (r >= 0)
		r = workers_start(1, &agent->finder);
	if (r >= 0)
		r = queue_new(&agent->moved);
	if (r >= 0)
		r = mover_start(agent->host, config->host_rate_mib_per_s << 20, agent->moved,
				&agent->mover);
	agent->publisher = publisher_new();
	if (r >= 0 && !agent->publisher)
		r = -ENOMEM;
	if (r >= 0)
		r = loop_add(agent->loop, workers_fd(agent->workers), EPOLLIN, passes_ready, agent);
	if (r >= 0)
		r = loop_add(agent->loop, workers_fd(agent->finder), EPOLLIN, scan_ready, agent);
	if (r >= 0)
		r = loop_add(agent->loop, queue_fd(agent->moved), EPOLLIN, batches_ready, agent);
	if (r < 0)
		return error_set(err, r, "cannot start: %s", strerror(-r));
	if (!with_sockets)
		return 0;
	r = control_start(agent->host, config->socket, config->hook_socket, agent->publisher,
			  &agent->control, err);
	if (r < 0)
		return r;
	r = loop_add(agent->loop, control_fd(agent->control), EPOLLIN, requests_ready, agent);
	return r < 0 ? error_set(err, r, "cannot start: %s", strerror(-r)) : 0;
}

int agent_new(const struct config *config, struct host *host, bool with_sockets,
	      struct agent **ret_agent, struct error *err)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int r;

	if (!agent)
		return error_set(err, -ENOMEM, "out of memory");
	agent->config = *config;
	agent->host = host;
	agent->started_ns = agent->now_ns = host->ops->now_ns(host);
	r = start_rooms(agent, with_sockets, err);
	if (r < 0) {
		agent_free(agent);
		return r;
	}
	agent_refresh_nodes(agent);
	agent_publish(agent);
	*ret_agent = agent;
	return 0;
}

struct agent *agent_free(struct agent *agent)
{
	if (!agent)
		return NULL;
	for (struct guest *g = agent->guests; g; g = g->next)
		atomic_store(&g->lane.hold, true);
	control_stop(agent->control);
	mover_stop(agent->mover);
	workers_stop(agent->workers);
	workers_stop(agent->finder);
	pass_free(agent->scan);
	agent_free_notices(agent->notices);
	agent_free_notices(agent->scanned);
	queue_free(agent->moved);
	for (struct guest *g = agent->guests, *next; g; g = next) {
		next = g->next;
		pass_free(g->pass);
		guest_free(g);
	}
	publisher_free(agent->publisher);
	loop_free(agent->loop);
	free(agent->refused);
	free(agent);
	return NULL;
}

struct guest *agent_find(struct agent *agent, const char *name)
{
	for (struct guest *g = agent->guests; g; g = g->next)
		if (!strcmp(g->report.name, name))
			return g;
	return NULL;
}

static uint64_t next_due_ns(const struct agent *agent)
{
	uint64_t due_ns = agent->report_due_ns;

	if (!agent->scan && agent->scan_due_ns < due_ns)
		due_ns = agent->scan_due_ns;
	for (const struct guest *g = agent->guests; g; g = g->next)
		if (agent_guest_is_looked_at(g) && !g->pass && g->due_ns < due_ns)
			due_ns = g->due_ns;
	return due_ns;
}

int agent_turn(struct agent *agent, int timeout_ms)
{
	uint64_t due_ns = next_due_ns(agent), now_ns = agent->host->ops->now_ns(agent->host);
	uint64_t wait_ms = due_ns > now_ns ? (due_ns - now_ns) / NSEC_PER_MSEC + 1 : 0;
	int r;

	if (timeout_ms < 0 || wait_ms < (uint64_t)timeout_ms)
		timeout_ms = (int)wait_ms;
	r = loop_turn(agent->loop, timeout_ms);
	if (r < 0)
		return r;
	agent->now_ns = agent->host->ops->now_ns(agent->host);
	agent_refresh_nodes(agent);
	agent_start_scan(agent);
	agent_drop_gone(agent);
	agent_start_passes(agent);
	if (agent->now_ns >= agent->report_due_ns)
		agent_publish(agent);
	return 0;
}
