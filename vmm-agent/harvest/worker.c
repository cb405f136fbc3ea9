// SPDX-License-Identifier: GPL-2.0-or-later
/* Two lists under one lock: passes to do, passes done. */
#include "harvest/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct list {
	struct pass *first;
	struct pass **end;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list todo;
	struct list done;
	bool stop;
	int fd;
	unsigned int n;
	pthread_t threads[];
};

static void list_put(struct list *list, struct pass *pass)
{
	pass->next = NULL;
	*list->end = pass;
	list->end = &pass->next;
}

static struct pass *list_take(struct list *list)
{
	struct pass *pass = list->first;

	if (pass) {
		list->first = pass->next;
		if (!list->first)
			list->end = &list->first;
	}
	return pass;
}

static void *worker_main(void *arg)
{
	struct workers *w = arg;
	struct pass *pass;
	uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		pass = list_take(&w->todo);
		if (!pass) {
			pthread_cond_wait(&w->work, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		pass_run(pass);
		pthread_mutex_lock(&w->lock);
		list_put(&w->done, pass);
		if (write(w->fd, &one, sizeof(one)) < 0)
			continue; /* the counter is full: the loop is awake anyway */
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int workers_start(unsigned int n, struct workers **ret_workers)
{
	struct workers *w = calloc(1, sizeof(*w) + n * sizeof(w->threads[0]));
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0) {
		free(w);
		return -errno;
	}
	w->todo.end = &w->todo.first;
	w->done.end = &w->done.first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	for (; w->n < n && !r; w->n += !r)
		r = pthread_create(&w->threads[w->n], NULL, worker_main, w);
	if (r) {
		workers_stop(w);
		return -r;
	}
	*ret_workers = w;
	return 0;
}

struct workers *workers_stop(struct workers *w)
{
	if (!w)
		return NULL;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->work);
	pthread_mutex_unlock(&w->lock);
	for (unsigned int i = 0; i < w->n; i++)
		pthread_join(w->threads[i], NULL);
	/* Passes that nobody took are the caller's: its guests still point to them. */
	close(w->fd);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

void workers_put(struct workers *w, struct pass *pass)
{
	pthread_mutex_lock(&w->lock);
	list_put(&w->todo, pass);
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}

struct pass *workers_take(struct workers *w)
{
	struct pass *pass;

	pthread_mutex_lock(&w->lock);
	pass = list_take(&w->done);
	pthread_mutex_unlock(&w->lock);
	return pass;
}

int workers_fd(const struct workers *w)
{
	return w->fd;
}

void workers_rest(struct workers *w)
{
	uint64_t count;

	if (read(w->fd, &count, sizeof(count)) < 0)
		return; /* nothing to clear */
}
