// SPDX-License-Identifier: GPL-2.0-or-later
/* Guests come and go. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/agent.h"
#include "agent/store.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/units.h"
#include "base/utf8.h"

/* How long a guest that is gone is still shown: long enough for a person to see it. */
#define GONE_SHOWN_NS (5 * NSEC_PER_SEC)

/* After a scan the next one waits so many times as long: a fifth of a worker at most. */
#define SCAN_REST     4
#define SCAN_REST_MAX (60 * NSEC_PER_SEC)

/* How often to try again for an access fd: another harvester may have ended. */
#define SOURCE_RETRY_NS (15 * NSEC_PER_SEC)

/* Free memory of nodes changes all the time; a second is what a plan may be off by. */
#define NODES_NS NSEC_PER_SEC

static bool same_nodes(const struct agent *agent, const struct host_node *nodes, size_t n)
{
	bool same = n == agent->nnodes;

	for (size_t i = 0; same && i < n; i++)
		same = nodes[i].id == agent->nodes[i].id && nodes[i].tier == agent->nodes[i].tier;
	return same;
}

void agent_refresh_nodes(struct agent *agent)
{
	struct host_node nodes[HOST_MAX_NODES];
	struct error err = {0};
	size_t n = 0, left_out = 0;
	bool other_nodes;

	if (agent->now_ns < agent->nodes_due_ns)
		return;
	agent->nodes_due_ns = agent->now_ns + NODES_NS;
	if (agent->host->ops->nodes(agent->host, nodes, &n, &left_out, &err) < 0) {
		if (strcmp(agent->nodes_why, err.text))
			log_at(LOG_WARN, "%s; nothing can be moved", err.text);
		snprintf(agent->nodes_why, sizeof(agent->nodes_why), "%.250s", err.text);
		for (size_t i = 0; i < agent->nnodes; i++)
			agent->nodes[i].free_bytes = 0; /* nobody knows */
		return;
	}
	agent->nodes_why[0] = '\0';
	/* Heat maps know nodes by their index: another set of nodes makes them worthless. */
	other_nodes = !same_nodes(agent, nodes, n);
	if (other_nodes) {
		agent->nodes_epoch++;
		memset(agent->reserved_pages, 0, sizeof(agent->reserved_pages));
		for (struct guest *g = agent->guests; g; g = g->next) {
			g->wants_layout = true;
			g->totals_due_ns = 0;
			memset(g->report.node_pages, 0, sizeof(g->report.node_pages));
		}
	}
	memcpy(agent->nodes, nodes, sizeof(nodes));
	agent->nnodes = n;
	agent->nodes_left_out = left_out;
	if (other_nodes && agent_tier_problem(agent)[0])
		log_at(LOG_WARN, "%s; guests are shown and not moved", agent_tier_problem(agent));
}

static void process_ended(void *ctx, uint32_t events)
{
	struct guest *guest = ctx;

	(void)events;
	/* Only marks here; the turn does the rest with the agent at hand. */
	guest->gone = true;
	guest->ended = true;
}

/* Once: the end of a process is told for as long as anybody holds its pidfd. */
static int watch(struct agent *agent, struct guest *guest, struct host_vm *vm)
{
	return loop_add(agent->loop, agent->host->ops->vm_watch_fd(vm), EPOLLIN | EPOLLONESHOT,
			process_ended, guest);
}

/* A process that lives on may be adopted again, and was paused for a reason. */
static void forget(const struct agent *agent, const struct guest *guest)
{
	if (guest->ended)
		store_forget(agent->config.state_dir, guest->found.pid, guest->found.start_time);
}

void agent_guest_gone(struct agent *agent, struct guest *guest)
{
	if (guest->gone_ns)
		return;
	guest->gone = true;
	guest->gone_ns = agent->now_ns;
	atomic_store(&guest->lane.hold, true);
	agent->host->ops->vm_detach(guest->vm);
	forget(agent, guest);
	agent_judge(agent, guest);
	log_at(LOG_NOTE, "guest '%s' (pid %d) is gone", guest->report.name, guest->found.pid);
	agent->report_due_ns = agent->now_ns;
}

static void keep_totals(struct agent *agent, const struct guest *guest)
{
	for (int d = 0; d < DIRECTION_COUNT; d++) {
		agent->gone_moved_pages[d] += atomic_load(&guest->lane.moved_pages[d]);
		for (int c = 0; c < CAUSE_COUNT; c++)
			agent->gone_failed_pages[d][c] += guest->report.dir[d].failed_pages[c];
	}
}

void agent_drop_gone(struct agent *agent)
{
	struct guest **at = &agent->guests;
	size_t before = agent->nguests;

	while (*at) {
		struct guest *guest = *at;

		if (guest->gone && !guest->gone_ns)
			agent_guest_gone(agent, guest);
		else if (guest->gone) /* that its process has ended may be known by now */
			agent_judge(agent, guest);
		if (!guest->gone || !guest_is_idle(guest) ||
		    agent->now_ns < guest->gone_ns + GONE_SHOWN_NS) {
			at = &guest->next;
			continue;
		}
		*at = guest->next;
		agent->nguests--;
		keep_totals(agent, guest);
		loop_remove(agent->loop, agent->host->ops->vm_watch_fd(guest->vm));
		forget(agent, guest);
		guest_free(guest);
		agent->report_due_ns = agent->now_ns;
	}
	/* What guests have used lies in pieces between what others use: give it back. */
	if (agent->nguests < before)
		malloc_trim(0);
}

static struct guest *find_process(struct agent *agent, const struct host_found *found)
{
	for (struct guest *g = agent->guests; g; g = g->next)
		if (!g->gone && g->found.pid == found->pid &&
		    g->found.start_time == found->start_time)
			return g;
	return NULL;
}

static bool name_is_taken(struct agent *agent, const char *name)
{
	const struct guest *other = agent_find(agent, name);

	return other && !other->gone; /* one that is gone is dropped soon */
}

/* Two guests may bear one name, also NAME#PID; the later one is told apart. */
static void make_name_unique(struct agent *agent, struct guest *guest)
{
	char *name = guest->report.name, mark[32];
	unsigned int n = 0;

	while (name_is_taken(agent, name)) {
		if (n++)
			snprintf(mark, sizeof(mark), "#%d.%u", guest->found.pid, n);
		else
			snprintf(mark, sizeof(mark), "#%d", guest->found.pid);
		utf8_clean(name, sizeof(guest->report.name) - strlen(mark), guest->found.name);
		strcat(name, mark);
	}
}

static bool was_refused(const struct agent *agent, const struct host_found *found)
{
	for (size_t i = 0; i < agent->nrefused; i++)
		if (agent->refused[i].pid == found->pid &&
		    agent->refused[i].start_time == found->start_time)
			return true;
	return false;
}

static int adopt(struct agent *agent, const struct host_found *found)
{
	const struct host_ops *ops = agent->host->ops;
	struct error source = {0}, err = {0};
	struct host_vm *vm = NULL;
	struct guest *guest;
	int r = ops->vm_open(agent->host, found, &vm, &source, &err);

	if (r < 0) {
		if (r != -ESRCH && !was_refused(agent, found))
			log_at(LOG_WARN, "%s; it is left alone", error_text(&err, r));
		return r;
	}
	guest = guest_new(++agent->next_guest_id, found, vm);
	if (!guest) {
		ops->vm_close(vm);
		return -ENOMEM;
	}
	make_name_unique(agent, guest);
	if (source.code)
		snprintf(guest->source, sizeof(guest->source), "%.250s", source.text);
	pace_init(&guest->pace, agent->config.rate_mib_per_s << 20, agent->now_ns);
	r = watch(agent, guest, vm);
	if (r < 0) {
		guest_free(guest);
		return r;
	}
	guest->next = agent->guests;
	agent->guests = guest;
	agent->nguests++;
	guest->due_ns = agent->now_ns;
	guest->wants_kept = true;
	agent_read_policy(agent, guest);
	agent_judge(agent, guest);
	log_at(LOG_NOTE, "guest '%s' (pid %d) adopted: %s, %s", guest->report.name, found->pid,
	       state_name(guest->state), guest->report.reason);
	agent->report_due_ns = agent->now_ns;
	return 0;
}

/*
 * What stood in the way of an access fd may be over, e.g. another harvester.
 * The guest is opened anew beside what we have of it, and that is exchanged if
 * it went better.
 */
void agent_retry_source(struct agent *agent, struct guest *guest)
{
	const struct host_ops *ops = agent->host->ops;
	struct error source = {0};
	struct host_vm *vm = NULL;

	if (agent->now_ns < guest->source_due_ns || !guest_is_idle(guest))
		return;
	guest->source_due_ns = agent->now_ns + SOURCE_RETRY_NS;
	if (ops->vm_open(agent->host, &guest->found, &vm, &source, NULL) < 0)
		return;
	if (!source.code && watch(agent, guest, vm) >= 0) {
		loop_remove(agent->loop, ops->vm_watch_fd(guest->vm));
		ops->vm_close(guest->vm);
		guest->vm = guest->lane.vm = vm;
		guest->rings = ring_set_free(guest->rings); /* found in another order perhaps */
		guest->source[0] = '\0';
		guest->wants_layout = true;
		agent_judge(agent, guest);
		return;
	}
	if (source.code)
		snprintf(guest->source, sizeof(guest->source), "%.250s", source.text);
	ops->vm_close(vm);
}

static void look_at_kvm(struct agent *agent)
{
	struct error why = {0};
	enum host_kvm kvm = agent->host->ops->kvm(agent->host, &why);

	if (kvm != HOST_KVM_PATCHED && strcmp(agent->kvm_why, why.text))
		log_at(LOG_WARN, "%s; guests are shown and not moved", why.text);
	else if (kvm == HOST_KVM_PATCHED && agent->kvm != kvm)
		log_at(LOG_NOTE, "KVM offers access fds");
	agent->kvm = kvm;
	snprintf(agent->kvm_why, sizeof(agent->kvm_why), "%.250s",
		 kvm == HOST_KVM_PATCHED ? "" : why.text);
}

void agent_start_scan(struct agent *agent)
{
	if (agent->scan || (agent->now_ns < agent->scan_due_ns && !agent->notices))
		return;
	agent->scan_due_ns = agent->now_ns + agent->config.scan_ms * NSEC_PER_MSEC;
	if (agent->kvm != HOST_KVM_PATCHED)
		look_at_kvm(agent);
	agent->scan = calloc(1, sizeof(*agent->scan));
	if (!agent->scan)
		return;
	agent->scan->errand = ERRAND_FIND;
	agent->scan->host = agent->host;
	agent->scan->started_ns = agent->now_ns;
	agent->scanned = agent->notices;
	agent->notices = NULL;
	workers_put(agent->finder, agent->scan);
}

/* Whoever is not there any more, and whoever is there now. */
static void take_found(struct agent *agent, const struct host_found *found, size_t n)
{
	struct host_found *refused;
	size_t nrefused = 0;

	agent_sweep_store(agent);
	for (struct guest *g = agent->guests; g; g = g->next)
		if (!g->gone && !agent->host->ops->vm_alive(g->vm))
			agent_guest_gone(agent, g);
	refused = calloc(n + 1, sizeof(*refused));
	for (size_t i = 0; i < n; i++)
		if (!find_process(agent, &found[i]) && adopt(agent, &found[i]) < 0 && refused)
			refused[nrefused++] = found[i];
	free(agent->refused);
	agent->refused = refused;
	agent->nrefused = nrefused;
}

static void finish_scan(struct agent *agent, const struct pass *pass)
{
	struct notice *scanned = agent->scanned;
	uint64_t rest_ns = min_u64(SCAN_REST * pass->took_ns, SCAN_REST_MAX);

	agent->scan = NULL;
	agent->scanned = NULL;
	if (agent->now_ns + rest_ns > agent->scan_due_ns)
		agent->scan_due_ns = agent->now_ns + rest_ns;
	if (pass->result >= 0) {
		agent->find_why[0] = '\0';
		take_found(agent, pass->found, pass->nfound);
	} else {
		if (strcmp(agent->find_why, pass->err.text))
			log_at(LOG_WARN, "%s; new guests are not seen", pass->err.text);
		snprintf(agent->find_why, sizeof(agent->find_why), "%.250s", pass->err.text);
	}
	agent_serve_notices(agent, scanned);
}

void agent_finish_scan(struct agent *agent)
{
	struct pass *pass;

	agent->now_ns = agent->host->ops->now_ns(agent->host);
	while ((pass = workers_take(agent->finder))) {
		finish_scan(agent, pass);
		pass_free(pass);
		agent->report_due_ns = agent->now_ns;
	}
}
