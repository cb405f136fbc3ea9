/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole agent on the fake machine: node 0 is DRAM, node 1 is CXL.  Time
 * passes by periods, and nothing is left under way between two of them.
 */
#pragma once

#include "test.h"

#include "agent/agent.h"
#include "base/units.h"
#include "sim/machine.h"

#define DRAM 0
#define CXL  1

/**
 * struct sim - machine, agent and dice
 * @check: called after every turn of the agent, if set; @check_ctx: for it
 * @config, @sockets: may be changed before sim_start(); its sockets lie in @directory
 */
struct sim {
	struct machine *machine;
	struct config config;
	struct agent *agent;
	struct dice dice;
	void (*check)(struct sim *sim);
	void *check_ctx;
	bool sockets;
	char directory[64];
};

/** sim_open() - a machine with @dram and @cxl pages (0: no such node); no agent yet */
void sim_open(struct sim *sim, uint64_t dram, uint64_t cxl);

/** sim_policy() - the policy file of guest @name: @mode, and @max_pages of DRAM (0: no maximum) */
void sim_policy(struct sim *sim, const char *name, const char *mode, uint64_t max_pages);

/** sim_start() - an agent that has looked for guests once; sim_stop() ends it */
void sim_start(struct sim *sim);
void sim_stop(struct sim *sim);

/** sim_close() - everything; what the agent opened must be closed */
void sim_close(struct sim *sim);

/** sim_turns() - turn the agent until no pass and no batch is under way */
void sim_turns(struct sim *sim);

/** sim_period() - let a period pass, then sim_turns() */
void sim_period(struct sim *sim);

/** sim_guest() - the agent's view of guest @name; fails the test if it has none */
struct guest *sim_guest(struct sim *sim, const char *name);

/** sim_report() - a copy of what is published of guest @name; false if nothing is */
bool sim_report(struct sim *sim, const char *name, struct report_guest *ret_guest);

/** sim_has_problem() - whether the published report has a problem of the host with @words in it */
bool sim_has_problem(struct sim *sim, const char *words);

/** sim_failed() - pages that did not move because of @cause, both directions */
uint64_t sim_failed(struct sim *sim, const char *name, enum cause cause);

/** sim_ask() - one request to socket @path, turning the agent until the answer is there */
void sim_ask(struct sim *sim, const char *path, const char *request, char *answer, size_t size);

/** sim_fds() - how many fds this process has open */
size_t sim_fds(void);

/** sim_settle() - wait until reports that nobody reads any more have been freed */
void sim_settle(void);

/** sim_rss_bytes() - resident size of this process */
uint64_t sim_rss_bytes(void);

/**
 * struct hot_set - some pages of a guest that it uses all the time
 * @page: @n of them; @is_hot: by page of its RAM
 */
struct hot_set {
	size_t n;
	size_t *page;
	bool *is_hot;
	size_t npages;
};

/** hot_set_scatter() - @percent of @npages pages, drawn at random; hot_set_free() ends it */
struct hot_set hot_set_scatter(struct dice *dice, size_t npages, unsigned int percent);
void hot_set_free(struct hot_set *set);

/** hot_set_touch() - the guest uses all of them, and @strays other pages drawn at random */
void hot_set_touch(const struct hot_set *set, struct machine_guest *g, struct dice *dice,
		   size_t strays);

/** sim_run() - @periods of them, in each of which guest @g uses all of @set and nothing else */
void sim_run(struct sim *sim, struct machine_guest *g, const struct hot_set *set,
	     unsigned int periods);

/** hot_set_on() - how many of them lie on @node */
size_t hot_set_on(const struct hot_set *set, struct machine_guest *g, int node);
