// SPDX-License-Identifier: GPL-2.0-or-later
/* Batches between two threads: all of them, in order, and nobody sleeps too long. */
#include <poll.h>
#include <pthread.h>

#include "test.h"

#include "migrate/queue.h"

#define BATCHES 50000

static struct batch *batch_number(uint64_t number)
{
	struct batch *batch = batch_new(0);

	assert_non_null(batch);
	batch->guest = number;
	return batch;
}

static bool is_readable(const struct queue *queue)
{
	struct pollfd p = {.fd = queue_fd(queue), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void batches_come_out_in_the_order_in_which_they_went_in(void **state)
{
	struct queue *queue = NULL;

	(void)state;
	assert_int_equal(queue_new(&queue), 0);
	assert_null(queue_take(queue));
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(queue_put(queue, batch_number(i)), 0);
	for (uint64_t i = 0; i < 10; i++) {
		struct batch *batch = queue_take(queue);

		assert_int_equal(batch->guest, i);
		free(batch);
	}
	assert_null(queue_take(queue));
	queue_free(queue);
}

static void the_fd_is_readable_while_there_may_be_a_batch(void **state)
{
	struct queue *queue = NULL;

	(void)state;
	assert_int_equal(queue_new(&queue), 0);
	assert_false(is_readable(queue));
	queue_rest(queue); /* does not wait though there is nothing */
	queue_put(queue, batch_number(1));
	assert_true(is_readable(queue));
	queue_rest(queue);
	assert_false(is_readable(queue));
	free(queue_take(queue));
	queue_wake(queue);
	assert_true(is_readable(queue));
	assert_null(queue_take(queue));
	queue_free(queue);
}

static void what_is_left_in_a_queue_is_freed_with_it(void **state)
{
	struct queue *queue = NULL;

	(void)state;
	assert_int_equal(queue_new(&queue), 0);
	for (uint64_t i = 0; i < 10; i++)
		queue_put(queue, batch_number(i));
	assert_null(queue_free(queue)); /* the leak checker looks on */
	assert_null(queue_free(NULL));
}

static void *put_many(void *arg)
{
	struct queue *queue = arg;

	for (uint64_t i = 0; i < BATCHES; i++)
		if (queue_put(queue, batch_number(i)) < 0)
			return queue;
	return NULL;
}

/* As the mover does: sleep on the fd, clear it, then take all there is. */
static void two_threads_exchange_every_batch_in_order_and_miss_no_wake_up(void **state)
{
	struct queue *queue = NULL;
	pthread_t thread;
	uint64_t next = 0;
	void *failed;

	(void)state;
	assert_int_equal(queue_new(&queue), 0);
	assert_int_equal(pthread_create(&thread, NULL, put_many, queue), 0);
	while (next < BATCHES) {
		struct pollfd p = {.fd = queue_fd(queue), .events = POLLIN};
		struct batch *batch;

		assert_int_equal(poll(&p, 1, 5000), 1);
		queue_rest(queue);
		while ((batch = queue_take(queue))) {
			assert_int_equal(batch->guest, next++);
			free(batch);
		}
	}
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_null(queue_take(queue));
	queue_free(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_come_out_in_the_order_in_which_they_went_in),
		cmocka_unit_test(the_fd_is_readable_while_there_may_be_a_batch),
		cmocka_unit_test(what_is_left_in_a_queue_is_freed_with_it),
		cmocka_unit_test(two_threads_exchange_every_batch_in_order_and_miss_no_wake_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
