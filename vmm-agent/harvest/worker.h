/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that carry out passes, so that a slow guest never stops the loop.
 */
#pragma once

#include "harvest/source.h"

struct workers;

/**
 * struct pass - a job with its way back
 * @guest: the loop's number for the guest; @nodes_epoch: of the node set it was made for
 * @started_ns: when the loop handed it over
 * @result: of source_pass()
 */
struct pass {
	struct pass *next;
	uint64_t guest;
	uint64_t nodes_epoch;
	uint64_t started_ns;
	int result;
	struct harvest_job job;
};

/** workers_start() - @n threads; workers_stop() waits for those under way */
int workers_start(unsigned int n, struct workers **ret_workers);
struct workers *workers_stop(struct workers *workers);

/** workers_put() - hand a pass over; never waits for a thread */
void workers_put(struct workers *workers, struct pass *pass);

/** workers_take() - a finished pass, oldest first, NULL if there is none */
struct pass *workers_take(struct workers *workers);

/** workers_fd() - readable while passes are finished; workers_rest() clears that */
int workers_fd(const struct workers *workers);
void workers_rest(struct workers *workers);
