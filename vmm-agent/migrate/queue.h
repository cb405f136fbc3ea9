/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Batches from the loop to the mover and back: two wait-free queues (liburcu's
 * wfcqueue), and an eventfd for each reader to sleep on.
 */
#pragma once

#include "migrate/batch.h"

struct queue;

/** queue_new() - empty; -ENOMEM or the errno of eventfd(2); queue_free() frees what is left in it */
int queue_new(struct queue **ret_queue);
struct queue *queue_free(struct queue *queue);

/** queue_put() - takes @batch.  Context: any thread; never waits.  -ENOMEM leaves it the caller's */
int queue_put(struct queue *queue, struct batch *batch);

/** queue_take() - the oldest batch, NULL if there is none.  Context: the one reader */
struct batch *queue_take(struct queue *queue);

/** queue_fd() - readable while there may be a batch; queue_rest() clears that before looking */
int queue_fd(const struct queue *queue);
void queue_rest(struct queue *queue);

/** queue_wake() - wake the reader without a batch */
void queue_wake(struct queue *queue);
