// SPDX-License-Identifier: GPL-2.0-or-later
/* Take batches, let them take turns, give them back. */
#include "migrate/mover.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/units.h"

/* How long a mover that waits for tokens may not notice a new batch or a hold. */
#define STEP_NS (20 * NSEC_PER_MSEC)

#define RETRY_NS (10 * NSEC_PER_MSEC)

/**
 * struct mover - see mover.h
 * @active: batches under way, in the order in which they came
 * @call: scratch for one call
 */
struct mover {
	pthread_t thread;
	atomic_bool keep_going;
	struct host *host;
	struct queue *todo;
	struct queue *done;
	struct pace pace;
	struct batch *active;
	struct call *call;
};

/* New batches go behind those that are under way. */
static void take_new(struct mover *mover)
{
	struct batch *batch, **end = &mover->active;

	queue_rest(mover->todo);
	while ((batch = queue_take(mover->todo))) {
		while (*end)
			end = &(*end)->next;
		batch->next = NULL;
		batch->host_pace = &mover->pace;
		*end = batch;
	}
}

static void give_back(struct mover *mover, struct batch *batch)
{
	/* Without memory for a queue entry there is nothing but to try again. */
	while (queue_put(mover->done, batch) < 0)
		mover->host->ops->sleep_ns(mover->host, RETRY_NS);
}

/* One step for each batch; how long to wait before the next round. */
static uint64_t turn(struct mover *mover)
{
	uint64_t shortest_ns = UINT64_MAX;
	struct batch **at = &mover->active;

	while (*at) {
		struct batch *batch = *at;
		uint64_t wait_ns = 0;

		switch (batch_step(batch, mover->call, &mover->keep_going, &wait_ns)) {
		case BATCH_DONE:
			*at = batch->next;
			give_back(mover, batch);
			shortest_ns = 0;
			continue;
		case BATCH_MOVED:
			shortest_ns = 0;
			break;
		case BATCH_WAITS:
			if (wait_ns < shortest_ns)
				shortest_ns = wait_ns;
			break;
		}
		at = &batch->next;
	}
	return shortest_ns;
}

static void *mover_main(void *arg)
{
	struct mover *mover = arg;
	struct pollfd p = {.fd = queue_fd(mover->todo), .events = POLLIN};
	uint64_t wait_ns;

	/* Once told to stop, go on until every batch has been given back. */
	while (atomic_load(&mover->keep_going) || mover->active) {
		take_new(mover);
		wait_ns = turn(mover);
		if (wait_ns == UINT64_MAX) {
			/* take_new() may have cleared the wake of mover_stop(): look again. */
			if (!atomic_load(&mover->keep_going))
				continue;
			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				break;
		} else if (wait_ns) {
			mover->host->ops->sleep_ns(mover->host,
						   wait_ns < STEP_NS ? wait_ns : STEP_NS);
		}
	}
	return NULL;
}

int mover_start(struct host *host, uint64_t bytes_per_s, struct queue *done,
		struct mover **ret_mover)
{
	struct mover *mover = calloc(1, sizeof(*mover));
	int r;

	if (!mover)
		return -ENOMEM;
	mover->host = host;
	mover->done = done;
	atomic_init(&mover->keep_going, true);
	pace_init(&mover->pace, bytes_per_s, host->ops->now_ns(host));
	mover->call = call_new();
	r = mover->call ? queue_new(&mover->todo) : -ENOMEM;
	if (r < 0) {
		free(mover->call);
		free(mover);
		return r;
	}
	r = pthread_create(&mover->thread, NULL, mover_main, mover);
	if (r) {
		queue_free(mover->todo);
		free(mover->call);
		free(mover);
		return -r;
	}
	*ret_mover = mover;
	return 0;
}

int mover_put(struct mover *mover, struct batch *batch)
{
	return queue_put(mover->todo, batch);
}

struct mover *mover_stop(struct mover *mover)
{
	if (!mover)
		return NULL;
	atomic_store(&mover->keep_going, false);
	queue_wake(mover->todo);
	pthread_join(mover->thread, NULL);
	queue_free(mover->todo);
	free(mover->call);
	free(mover);
	return NULL;
}
