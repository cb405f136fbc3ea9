/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole: discover, harvest, heat, plan, migrate, report, guest by guest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/guest.h"
#include "base/loop.h"
#include "harvest/worker.h"
#include "host/host.h"
#include "migrate/mover.h"
#include "report/control.h"
#include "report/publish.h"

/**
 * struct agent - all mutable state, owned by the loop thread
 * @now_ns: read once per turn
 * @nodes: refreshed every second; @nodes_epoch grows when the set of nodes changes
 * @kvm: what KVM offers, looked at with each scan while it is not patched
 * @finder: one worker of its own for scans, so that passes and scans do not wait for each other
 * @scan: looking for guests, on its way to a worker or back; the next one is due at @scan_due_ns
 * @notices: of the hook, which want a scan that has not begun, oldest first; @scanned: those
 *	whose scan is @scan
 * @reserved_pages: on their way to a node, by index: not free for other plans
 * @store_why: why nothing can be kept over a restart, or ""
 * @store_swept: what was kept of processes that are no more has been removed
 * @gone_moved_pages, @gone_failed_pages: of guests that were dropped, for the totals
 * @control: NULL in tests
 */
struct agent {
	struct config config;
	struct host *host;
	struct loop *loop;
	uint64_t now_ns;
	uint64_t started_ns;
	struct host_node nodes[HOST_MAX_NODES];
	size_t nnodes;
	size_t nodes_left_out;
	uint64_t nodes_epoch;
	uint64_t nodes_due_ns;
	enum host_kvm kvm;
	char kvm_why[REPORT_REASON_MAX];
	char nodes_why[REPORT_REASON_MAX];
	char find_why[REPORT_REASON_MAX];
	char store_why[REPORT_REASON_MAX];
	bool store_swept;
	struct pass *scan;
	uint64_t scan_due_ns;
	struct notice *notices;
	struct notice *scanned;
	struct guest *guests;
	size_t nguests;
	uint64_t next_guest_id;
	struct host_found *refused; /* processes that could not be opened, said once each */
	size_t nrefused;
	struct workers *workers;
	struct workers *finder;
	struct mover *mover;
	struct queue *moved;
	struct publisher *publisher;
	struct control *control;
	uint64_t report_due_ns;
	uint64_t reserved_pages[HOST_MAX_NODES];
	uint64_t passes;
	uint64_t gone_moved_pages[DIRECTION_COUNT];
	uint64_t gone_failed_pages[DIRECTION_COUNT][CAUSE_COUNT];
	uint64_t policy_errors;
	char last_policy_error[REPORT_REASON_MAX];
};

/**
 * agent_new() - threads started, nothing harvested yet
 * @with_sockets: serve the control and hook sockets of @config
 * @host: borrowed, outlives the agent
 * Return: 0 or a negative errno with a sentence.
 */
int agent_new(const struct config *config, struct host *host, bool with_sockets,
	      struct agent **ret_agent, struct error *err);

/** agent_free() - stop moving, leave pages where they are, free everything.  NULL is fine. */
struct agent *agent_free(struct agent *agent);

/** agent_turn() - wait for work, at most @timeout_ms, and do it: a negative errno ends the daemon */
int agent_turn(struct agent *agent, int timeout_ms);

/** agent_find() - the guest called @name, NULL if there is none */
struct guest *agent_find(struct agent *agent, const char *name);

/* agent_discover.c */
void agent_start_scan(struct agent *agent);
void agent_finish_scan(struct agent *agent);
void agent_refresh_nodes(struct agent *agent);
void agent_guest_gone(struct agent *agent, struct guest *guest);
void agent_drop_gone(struct agent *agent);
void agent_retry_source(struct agent *agent, struct guest *guest);

/* agent_policy.c */
void agent_read_policy(struct agent *agent, struct guest *guest);
void agent_sweep_store(struct agent *agent);
void agent_serve_notices(struct agent *agent, struct notice *notices);
void agent_free_notices(struct notice *notices);
void agent_take_requests(struct agent *agent);

/* agent_pass.c */
bool agent_guest_is_looked_at(const struct guest *guest);
void agent_start_passes(struct agent *agent);
void agent_finish_passes(struct agent *agent);

/* agent_move.c */
void agent_plan_and_move(struct agent *agent, struct guest *guest, const struct pass *pass);
void agent_finish_batches(struct agent *agent);

/* agent_report.c; agent_tier_problem(): why nothing can ever move on this host, or "" */
const char *agent_tier_problem(const struct agent *agent);
enum guest_state agent_judge(struct agent *agent, struct guest *guest);
void agent_publish(struct agent *agent);
