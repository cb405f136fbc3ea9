/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that moves pages, apart from the loop and from the harvest.
 * Batches take turns, a call each, so that a guest that waits for its pace
 * holds up no other.
 */
#pragma once

#include "migrate/queue.h"

struct mover;

/**
 * mover_start() - with @bytes_per_s for the whole host, 0 for no limit
 * @done: where finished batches go; borrowed, outlives the mover
 */
int mover_start(struct host *host, uint64_t bytes_per_s, struct queue *done,
		struct mover **ret_mover);

/** mover_put() - takes @batch; it comes back through the done queue whatever happens to it */
int mover_put(struct mover *mover, struct batch *batch);

/** mover_stop() - drops what is left, waits for the call in flight, frees.  NULL is fine. */
struct mover *mover_stop(struct mover *mover);
