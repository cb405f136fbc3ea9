// SPDX-License-Identifier: GPL-2.0-or-later
/* liburcu around one pointer. */
#define _LGPL_SOURCE
#include "report/publish.h"

#include <stdlib.h>
#include <urcu.h>

struct published {
	struct rcu_head rcu;
	struct report *report;
};

struct publisher {
	struct published *current; /* RCU */
};

struct publisher *publisher_new(void)
{
	return calloc(1, sizeof(struct publisher));
}

static void free_published(struct rcu_head *rcu)
{
	struct published *published = caa_container_of(rcu, struct published, rcu);

	free(published->report);
	free(published);
}

struct publisher *publisher_free(struct publisher *publisher)
{
	if (publisher) {
		rcu_barrier(); /* nothing that call_rcu() was given may be lost */
		if (publisher->current)
			free_published(&publisher->current->rcu);
		free(publisher);
	}
	return NULL;
}

void publisher_put(struct publisher *publisher, struct report *report)
{
	struct published *next = calloc(1, sizeof(*next)), *last;

	if (!next) { /* an old report is better than none */
		free(report);
		return;
	}
	next->report = report;
	last = rcu_xchg_pointer(&publisher->current, next);
	if (last)
		call_rcu(&last->rcu, free_published);
}

void publisher_join(void)
{
	rcu_register_thread();
}

void publisher_leave(void)
{
	rcu_unregister_thread();
}

const struct report *publisher_read(struct publisher *publisher)
{
	struct published *published;

	rcu_read_lock();
	published = rcu_dereference(publisher->current);
	return published ? published->report : NULL;
}

void publisher_done(void)
{
	rcu_read_unlock();
}
