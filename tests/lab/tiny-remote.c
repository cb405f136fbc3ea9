// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A tiny guest in a child process: one request, one reply, over a socket.
 */
#define _GNU_SOURCE
#include "tiny-remote.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

enum command {
	RUN,
	RESUME,
	SET_SLOT,
	RING_HARVEST,
	RING_RESET,
};

struct request {
	enum command command;
	size_t vcpu;
	size_t count; /* entries of a list that follows, or a limit */
	uint64_t stamp;
	struct kvm_userspace_memory_region slot; /* in pages, userspace_addr in pages of RAM */
};

struct reply {
	int result;
	uint64_t sum;
};

struct child {
	int sock;
	struct tiny *t;
	uint64_t *ring_next; /* per vCPU */
	struct tiny_touch list[TINY_LIST_MAX];
};

static int send_all(int sock, const void *data, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = send(sock, (const char *)data + done, bytes - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

static int receive_all(int sock, void *data, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = recv(sock, (char *)data + done, bytes - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

/* The child */

static int ring_harvest(struct child *c, const struct request *q)
{
	struct kvm_dirty_gfn *ring = c->t->vcpus[q->vcpu].ring;
	uint64_t *next = &c->ring_next[q->vcpu];
	int n = 0;

	if (!ring)
		return -EINVAL;
	while ((size_t)n < q->count) {
		struct kvm_dirty_gfn *e = &ring[*next % c->t->ring_entries];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		(*next)++;
		n++;
	}
	return n;
}

static int set_slot(struct child *c, const struct kvm_userspace_memory_region *s)
{
	return tiny_set_slot(c->t, s->slot, s->guest_phys_addr, s->memory_size,
			     tiny_memory_at(&c->t->ram, s->userspace_addr), s->flags);
}

static int run(struct child *c, const struct request *q, uint64_t *ret_sum)
{
	if (q->count > TINY_LIST_MAX)
		return -EINVAL;
	if (receive_all(c->sock, c->list, q->count * sizeof(c->list[0])))
		return -EPIPE;
	return tiny_run(c->t, q->vcpu, c->list, q->count, q->stamp, ret_sum);
}

static struct reply obey(struct child *c, const struct request *q)
{
	struct reply a = {.result = -EINVAL};

	switch (q->command) {
	case RUN:
		a.result = run(c, q, &a.sum);
		break;
	case RESUME:
		a.result = tiny_resume(c->t, q->vcpu, &a.sum);
		break;
	case SET_SLOT:
		a.result = set_slot(c, &q->slot);
		break;
	case RING_HARVEST:
		a.result = ring_harvest(c, q);
		break;
	case RING_RESET:
		a.result = ioctl(c->t->vm_fd, KVM_RESET_DIRTY_RINGS, 0);
		if (a.result < 0)
			a.result = -errno;
		break;
	}
	return a;
}

/* The first reply is followed by struct tiny and its vCPUs, if there is one. */
static int announce(struct child *c, const struct tiny_options *opts)
{
	struct reply hello = {.result = tiny_new(opts, &c->t)};

	if (!hello.result) {
		c->ring_next = calloc(c->t->nr_vcpus, sizeof(*c->ring_next));
		if (!c->ring_next)
			hello.result = -ENOMEM;
	}
	if (send_all(c->sock, &hello, sizeof(hello)) || hello.result)
		return -EPIPE;
	if (send_all(c->sock, c->t, sizeof(*c->t)))
		return -EPIPE;
	return send_all(c->sock, c->t->vcpus, c->t->nr_vcpus * sizeof(c->t->vcpus[0]));
}

static void child_main(int sock, const struct tiny_options *opts)
{
	static struct child c;
	struct request q;

	c.sock = sock;
	if (announce(&c, opts))
		return;
	while (!receive_all(sock, &q, sizeof(q))) {
		struct reply a = obey(&c, &q);

		if (send_all(sock, &a, sizeof(a)))
			return;
	}
}

/* The parent */

static int await_hello(struct tiny_remote *r)
{
	struct reply hello;

	if (receive_all(r->sock, &hello, sizeof(hello)))
		return -EPIPE;
	if (hello.result)
		return hello.result;
	if (receive_all(r->sock, &r->view, sizeof(r->view)))
		return -EPIPE;
	r->view.vcpus = calloc(r->view.nr_vcpus, sizeof(r->view.vcpus[0]));
	if (!r->view.vcpus)
		return -ENOMEM;
	return receive_all(r->sock, r->view.vcpus, r->view.nr_vcpus * sizeof(r->view.vcpus[0]));
}

int tiny_remote_new(const struct tiny_options *opts, struct tiny_remote **ret_remote)
{
	_cleanup_(tiny_remote_freep) struct tiny_remote *r = calloc(1, sizeof(*r));
	int pair[2];
	int err;

	if (!r)
		return -ENOMEM;
	r->pidfd = -1;
	r->sock = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r->sock = pair[0];
	r->pid = fork();
	if (!r->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		child_main(pair[1], opts);
		_exit(0);
	}
	err = -errno;
	close(pair[1]);
	if (r->pid < 0) {
		r->pid = 0;
		return err;
	}
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (r->pidfd < 0)
		return -errno;
	err = await_hello(r);
	if (err)
		return err;
	*ret_remote = take_ptr(r);
	return 0;
}

struct tiny_remote *tiny_remote_free(struct tiny_remote *r)
{
	if (!r)
		return NULL;
	tiny_remote_kill(r);
	closep(&r->pidfd);
	closep(&r->sock);
	free(r->view.vcpus);
	free(r);
	return NULL;
}

void tiny_remote_kill(struct tiny_remote *r)
{
	if (!r->pid)
		return;
	kill(r->pid, SIGKILL);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->pid = 0;
}

int tiny_remote_get_fd(const struct tiny_remote *r, int their_fd)
{
	int fd = (int)syscall(SYS_pidfd_getfd, r->pidfd, their_fd, 0);

	return fd < 0 ? -errno : fd;
}

static int call(struct tiny_remote *r, const struct request *q, const struct tiny_touch *list,
		uint64_t *ret_sum)
{
	struct reply a;

	if (send_all(r->sock, q, sizeof(*q)))
		return -EPIPE;
	if (list && send_all(r->sock, list, q->count * sizeof(list[0])))
		return -EPIPE;
	if (receive_all(r->sock, &a, sizeof(a)))
		return -EPIPE;
	if (ret_sum && !a.result)
		*ret_sum = a.sum;
	return a.result;
}

int tiny_remote_run(struct tiny_remote *r, size_t vcpu, const struct tiny_touch *list, size_t count,
		    uint64_t stamp, uint64_t *ret_sum)
{
	struct request q = {.command = RUN, .vcpu = vcpu, .count = count, .stamp = stamp};

	if (count > TINY_LIST_MAX)
		return -EINVAL;
	return call(r, &q, list, ret_sum);
}

int tiny_remote_resume(struct tiny_remote *r, size_t vcpu, uint64_t *ret_sum)
{
	struct request q = {.command = RESUME, .vcpu = vcpu};

	return call(r, &q, NULL, ret_sum);
}

int tiny_remote_set_slot(struct tiny_remote *r, uint32_t slot, uint64_t gfn, uint64_t npages,
			 uint64_t ram_page, uint32_t flags)
{
	struct request q = {
		.command = SET_SLOT,
		.slot = {.slot = slot,
			 .flags = flags,
			 .guest_phys_addr = gfn,
			 .memory_size = npages,
			 .userspace_addr = ram_page},
	};

	return call(r, &q, NULL, NULL);
}

int tiny_remote_ring_harvest(struct tiny_remote *r, size_t vcpu, size_t max)
{
	struct request q = {.command = RING_HARVEST, .vcpu = vcpu, .count = max};

	return call(r, &q, NULL, NULL);
}

int tiny_remote_ring_reset(struct tiny_remote *r)
{
	struct request q = {.command = RING_RESET};

	return call(r, &q, NULL, NULL);
}
