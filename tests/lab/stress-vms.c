// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMs that come and go.
 */
#include "stress-vms.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "tiny-access.h"
#include "tiny-remote.h"

#define PAGES	  1024
#define TOUCHES	  200
#define GRAVES	  16
#define HANGUP_MS 10000
#define ALL_NODES 3

static int graves[GRAVES]; /* fd + 1; of the one worker */

static void bury(struct stress_worker *w, int fd)
{
	int *grave = &graves[tiny_random_below(&w->random, GRAVES)];

	if (fd < 0)
		return;
	if (*grave) {
		close(*grave - 1);
		stress_count_add(w->s, STRESS_FDS_CLOSED_AFTER_VM, 1);
	}
	*grave = fd + 1;
}

/* The guest has run one list: no other page can have been accessed. */
static void check_harvest(struct stress_worker *w, int fd, const struct tiny *view,
			  const struct tiny_touch *list)
{
	uint64_t expected[PAGES / BITMAP_WORD] = {0};
	struct tiny_access_maps m = {0};
	int r = tiny_access_maps_init(&m, 0, PAGES);

	m.nodes = ALL_NODES;
	if (!r)
		r = tiny_access_harvest(fd, &m, KVM_ACCESS_FLUSH_END);
	if (r)
		stress_fail(w->s, "a new VM cannot be harvested: %s", strerror(-r));
	tiny_expect(view, 0, list, TOUCHES, expected);
	for (size_t i = 0; !r && i < PAGES / BITMAP_WORD; i++)
		if (m.accessed[i] & ~expected[i])
			stress_fail(w->s,
				    "a new VM has accessed pages that its guest never touched");
	tiny_access_maps_deinit(&m);
}

/*
 * Reads and writes only: code that appears in pages which were something else a moment
 * ago is what QEMU's emulation is not always up to (lab/README.md).
 */
static void draw_list(struct stress_worker *w, const struct tiny *view, struct tiny_touch *list)
{
	for (size_t i = 0; i < TOUCHES; i++)
		list[i] = (struct tiny_touch) {
			.gfn = view->first_free +
			       tiny_random_below(&w->random, PAGES - view->first_free),
			.op = stress_one_in(w, 2) ? TINY_READ : TINY_WRITE,
		};
}

static int open_fds(struct stress_worker *w, int vm_fd, int *ret_peek)
{
	int clear = tiny_access_open(vm_fd, KVM_ACCESS_FD_CLEAR);
	int again = tiny_access_open(vm_fd, KVM_ACCESS_FD_CLEAR);

	*ret_peek = tiny_access_open(vm_fd, 0);
	if (clear < 0 || *ret_peek < 0)
		stress_fail(w->s, "a new VM gives no access fd: %s",
			    strerror(clear < 0 ? -clear : -*ret_peek));
	if (clear >= 0 && again != -EBUSY)
		stress_fail(w->s, "a new VM has two owners");
	else
		stress_count_add(w->s, STRESS_EBUSY, 1);
	closep(&again);
	return clear;
}

static void check_gone(struct stress_worker *w, int fd)
{
	struct pollfd p = {.fd = fd};
	struct kvm_access_harvest h = {.npages = PAGES, .flags = KVM_ACCESS_PEEK};
	struct kvm_access_info info;
	int r;

	do {
		r = poll(&p, 1, HANGUP_MS);
	} while (r < 0 && errno == EINTR);
	if (r != 1 || !(p.revents & POLLHUP)) {
		stress_fail(w->s, "an access fd does not hang up when the VM's owner is gone");
		return;
	}
	stress_count_add(w->s, STRESS_POLLHUP, 1);
	if (tiny_access_info(fd, &info) != -ESRCH || ioctl(fd, KVM_ACCESS_HARVEST, &h) != -1 ||
	    errno != ESRCH) {
		stress_fail(w->s, "an access fd does not answer ESRCH when the VM's owner is gone");
		return;
	}
	stress_count_add(w->s, STRESS_ESRCH, 1);
}

static void visit_remote(struct stress_worker *w, const struct tiny_options *opts)
{
	_cleanup_(tiny_remote_freep) struct tiny_remote *r = NULL;
	_cleanup_(closep) int vm_fd = -1;
	struct tiny_touch list[TOUCHES];
	int clear, peek, e = tiny_remote_new(opts, &r);

	if (e) {
		stress_fail(w->s, "another process cannot make a VM: %s", strerror(-e));
		return;
	}
	stress_count_add(w->s, STRESS_VMS_MADE, 1);
	vm_fd = tiny_remote_get_fd(r, r->view.vm_fd);
	clear = open_fds(w, vm_fd, &peek);
	if (stress_one_in(w, 2))
		close(take_fd(&vm_fd));
	draw_list(w, &r->view, list);
	e = tiny_remote_run(r, 0, list, TOUCHES, 0, NULL);
	if (e)
		stress_fail(w->s, "the guest of another process does not run: %s", strerror(-e));
	else if (clear >= 0)
		check_harvest(w, clear, &r->view, list);
	tiny_remote_kill(r);
	stress_count_add(w->s, STRESS_VMS_KILLED, 1);
	if (clear >= 0)
		check_gone(w, clear);
	if (peek >= 0)
		check_gone(w, peek);
	bury(w, clear);
	bury(w, peek);
}

/* Its memory's owner lives on, so its fds still answer, but there is nothing to be seen. */
static void visit_own(struct stress_worker *w, const struct tiny_options *opts)
{
	_cleanup_(tiny_freep) struct tiny *t = NULL;
	struct kvm_access_harvest h = {.npages = PAGES};
	struct tiny_touch list[TOUCHES];
	int clear, peek, r = tiny_new(opts, &t);

	if (r == -EAGAIN) /* no free pages of 2 MiB */
		return;
	if (r) {
		stress_fail(w->s, "a VM cannot be made: %s", strerror(-r));
		return;
	}
	stress_count_add(w->s, STRESS_VMS_MADE, 1);
	clear = open_fds(w, t->vm_fd, &peek);
	draw_list(w, t, list);
	r = tiny_run(t, 0, list, TOUCHES, 0, NULL);
	if (r && r != -EINTR)
		stress_fail(w->s, "the guest of a new VM does not run: %s", strerror(-r));
	else if (!r && clear >= 0 && opts->backing != TINY_ANON_THP)
		check_harvest(w, clear, t, list);
	t = tiny_free(t);
	if (clear >= 0 && (ioctl(clear, KVM_ACCESS_HARVEST, &h) || h.nr_present))
		stress_fail(w->s, "a VM without memory has %llu pages present",
			    (unsigned long long)h.nr_present);
	bury(w, clear);
	bury(w, peek);
}

void stress_vms_step(struct stress_worker *w)
{
	static const enum tiny_backing backings[] = {TINY_ANON_4K, TINY_MEMFD, TINY_ANON_THP};
	struct tiny_options opts = {.pages = PAGES};

	if (stress_one_in(w, 2)) {
		opts.backing = backings[tiny_random_below(&w->random, ARRAY_SIZE(backings) - 1)];
		visit_remote(w, &opts);
	} else {
		opts.backing = backings[tiny_random_below(&w->random, ARRAY_SIZE(backings))];
		visit_own(w, &opts);
	}
}

void stress_vms_end(struct stress *s)
{
	for (size_t i = 0; i < GRAVES; i++) {
		if (!graves[i])
			continue;
		close(graves[i] - 1);
		graves[i] = 0;
		stress_count_add(s, STRESS_FDS_CLOSED_AFTER_VM, 1);
	}
}
