/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that run errands, so that a slow guest never stops the loop.
 */
#pragma once

#include "harvest/pass.h"

struct workers;

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
