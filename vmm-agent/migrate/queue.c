// SPDX-License-Identifier: GPL-2.0-or-later
/* liburcu's wait-free concurrent queue with an eventfd beside it. */
#define _LGPL_SOURCE
#include "migrate/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu/wfcqueue.h>

struct node {
	struct cds_wfcq_node link;
	struct batch *batch;
};

struct queue {
	struct cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	int fd;
};

int queue_new(struct queue **ret_queue)
{
	struct queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->fd < 0) {
		free(queue);
		return -errno;
	}
	cds_wfcq_init(&queue->head, &queue->tail);
	*ret_queue = queue;
	return 0;
}

struct queue *queue_free(struct queue *queue)
{
	struct batch *batch;

	if (!queue)
		return NULL;
	while ((batch = queue_take(queue)))
		free(batch);
	close(queue->fd);
	cds_wfcq_destroy(&queue->head, &queue->tail);
	free(queue);
	return NULL;
}

int queue_put(struct queue *queue, struct batch *batch)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return -ENOMEM;
	cds_wfcq_node_init(&node->link);
	node->batch = batch;
	cds_wfcq_enqueue(&queue->head, &queue->tail, &node->link);
	queue_wake(queue);
	return 0;
}

struct batch *queue_take(struct queue *queue)
{
	/* One reader only, so no lock is needed around the dequeue. */
	struct cds_wfcq_node *link = __cds_wfcq_dequeue_blocking(&queue->head, &queue->tail);
	struct batch *batch;
	struct node *node;

	if (!link)
		return NULL;
	node = caa_container_of(link, struct node, link);
	batch = node->batch;
	free(node);
	return batch;
}

int queue_fd(const struct queue *queue)
{
	return queue->fd;
}

void queue_rest(struct queue *queue)
{
	uint64_t count;

	if (read(queue->fd, &count, sizeof(count)) < 0)
		return; /* nothing to clear */
}

void queue_wake(struct queue *queue)
{
	uint64_t one = 1;

	if (write(queue->fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: the reader is awake anyway */
}
