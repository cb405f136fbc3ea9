// SPDX-License-Identifier: GPL-2.0-or-later
/* epoll with a table of callbacks indexed by fd. */
#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64

struct watch {
	loop_ready ready;
	void *ctx;
	uint32_t serial; /* tells an event of a closed fd from one of its successor */
};

struct loop {
	int epoll_fd;
	uint32_t serial;
	struct watch *watches;
	size_t n;
};

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		free(loop);
		return -errno;
	}
	*ret_loop = loop;
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (loop) {
		close(loop->epoll_fd);
		free(loop->watches);
		free(loop);
	}
	return NULL;
}

static struct epoll_event event_of(const struct loop *loop, int fd, uint32_t events)
{
	return (struct epoll_event) {
		.events = events,
		.data.u64 = (uint64_t)loop->watches[fd].serial << 32 | (uint32_t)fd,
	};
}

int loop_add(struct loop *loop, int fd, uint32_t events, loop_ready ready, void *ctx)
{
	struct epoll_event event;
	struct watch before;

	if (fd < 0)
		return -EBADF;
	if ((size_t)fd >= loop->n) {
		size_t n = (size_t)fd + 64;
		struct watch *watches = reallocarray(loop->watches, n, sizeof(*watches));

		if (!watches)
			return -ENOMEM;
		memset(watches + loop->n, 0, (n - loop->n) * sizeof(*watches));
		loop->watches = watches;
		loop->n = n;
	}
	before = loop->watches[fd];
	loop->watches[fd] = (struct watch) {.ready = ready, .ctx = ctx, .serial = ++loop->serial};
	event = event_of(loop, fd, events);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		loop->watches[fd] = before;
		return -errno;
	}
	return 0;
}

int loop_change(struct loop *loop, int fd, uint32_t events)
{
	struct epoll_event event = event_of(loop, fd, events);

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, int fd)
{
	if (fd < 0 || (size_t)fd >= loop->n || !loop->watches[fd].ready)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[fd].ready = NULL;
}

int loop_turn(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		uint32_t fd = (uint32_t)events[i].data.u64, serial = events[i].data.u64 >> 32;

		if (fd < loop->n && loop->watches[fd].ready && loop->watches[fd].serial == serial)
			loop->watches[fd].ready(loop->watches[fd].ctx, events[i].events);
	}
	return 0;
}
