// SPDX-License-Identifier: GPL-2.0-or-later
/* Take a batch, carry it out, give it back. */
#include "migrate/mover.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

struct mover {
	pthread_t thread;
	atomic_bool keep_going;
	struct host *host;
	struct queue *todo;
	struct queue *done;
	struct pace pace;
};

static void *mover_main(void *arg)
{
	struct mover *mover = arg;
	struct pollfd p = {.fd = queue_fd(mover->todo), .events = POLLIN};

	while (atomic_load(&mover->keep_going)) {
		struct batch *batch;

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			break;
		queue_rest(mover->todo);
		while ((batch = queue_take(mover->todo))) {
			batch->host_pace = &mover->pace;
			batch_carry_out(batch, &mover->keep_going);
			/* Without memory for a queue entry the loop's timeout must notice; retry. */
			while (queue_put(mover->done, batch) < 0)
				mover->host->ops->sleep_ns(mover->host, 10000000);
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
	r = queue_new(&mover->todo);
	if (r < 0) {
		free(mover);
		return r;
	}
	r = pthread_create(&mover->thread, NULL, mover_main, mover);
	if (r) {
		queue_free(mover->todo);
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
	free(mover);
	return NULL;
}
