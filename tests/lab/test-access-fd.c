// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The access fd itself: who gets one, what it refuses, how long it lives, and
 * its table of slots.  What it harvests is test-harvest.c.  Needs a KVM with
 * the access fd, i.e. lab/run; root, to have capabilities to drop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "tiny-bench.h"

#define PAGES	   BENCH_PAGES
#define ROOM	   16
#define FAR_GFN	   (1ULL << 20)
#define KVM_SMM_AS 1

static void touch_some(struct bench *b)
{
	bench_run_every(b, TINY_READ, 1000, 100);
}

/* A harvest of everything that would clear, were it not refused. */
static struct kvm_access_harvest whole(struct bench *b)
{
	return (struct kvm_access_harvest) {
		.npages = PAGES,
		.accessed = (uintptr_t)b->maps.accessed,
		.present = (uintptr_t)b->maps.present,
		.large = (uintptr_t)b->maps.large,
		.on_nodes = (uintptr_t)b->maps.on_nodes,
		.nodemask = (uintptr_t)&b->maps.nodes,
		.nodemask_bits = 64,
	};
}

static int try_harvest(int fd, struct kvm_access_harvest *h)
{
	return ioctl(fd, KVM_ACCESS_HARVEST, h) < 0 ? -errno : 0;
}

/* Getting one */

static void the_fd_tells_whose_vm_it_is(void **state)
{
	struct bench *b = *state;
	struct kvm_access_info info;

	assert_int_equal(tiny_access_info(b->fd, &info), 0);
	assert_int_equal(info.tgid, b->r->pid);
	assert_true(info.nr_address_spaces == 1 || info.nr_address_spaces == 2);
	assert_int_equal(info.flags, KVM_ACCESS_FD_CLEAR);
	assert_int_equal(info.supported, tiny_access_supported());
	for (size_t i = 0; i < ARRAY_SIZE(info.reserved); i++)
		assert_int_equal(info.reserved[i], 0);
	assert_int_equal(fcntl(b->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void the_capability_is_the_same_on_dev_kvm_and_on_a_vm(void **state)
{
	_cleanup_(tiny_freep) struct tiny *t = NULL;
	uint32_t sup = tiny_access_supported();

	(void)state;
	assert_int_equal(tiny_new(NULL, &t), 0);
	assert_int_equal(ioctl(t->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ACCESS_FD), sup);
	assert_true(sup & KVM_ACCESS_SUP_ACCESSED);
	assert_true(sup & KVM_ACCESS_SUP_PRESENT);
	assert_true(sup & KVM_ACCESS_SUP_LARGE);
	assert_true(sup & KVM_ACCESS_SUP_ON_NODES);
	assert_true(sup & KVM_ACCESS_SUP_PEEK);
	assert_true(sup & KVM_ACCESS_SUP_FLUSH_END);
}

static void a_second_clearing_owner_is_told_that_the_vm_is_busy(void **state)
{
	struct bench *b = *state;
	_cleanup_(closep) int peeker = -1;
	int again;

	assert_int_equal(tiny_access_open(b->vm_fd, KVM_ACCESS_FD_CLEAR), -EBUSY);
	peeker = tiny_access_open(b->vm_fd, 0);
	assert_true(peeker >= 0);

	/* A duplicate is the same owner, and keeps the right until it is closed too. */
	again = dup(b->fd);
	close(take_fd(&b->fd));
	assert_int_equal(tiny_access_open(b->vm_fd, KVM_ACCESS_FD_CLEAR), -EBUSY);
	close(again);
	b->fd = tiny_access_open(b->vm_fd, KVM_ACCESS_FD_CLEAR);
	assert_true(b->fd >= 0);
}

static void a_vmm_gets_the_fd_of_its_own_vm_and_competes_for_clearing(void **state)
{
	_cleanup_(tiny_freep) struct tiny *t = NULL;
	_cleanup_(closep) int own = -1;
	struct kvm_access_info info;

	(void)state;
	assert_int_equal(tiny_new(NULL, &t), 0);
	own = tiny_access_open_own(t->vm_fd, KVM_ACCESS_FD_CLEAR);
	assert_true(own >= 0);
	assert_int_equal(tiny_access_info(own, &info), 0);
	assert_int_equal(info.tgid, getpid());
	assert_int_equal(tiny_access_open(t->vm_fd, KVM_ACCESS_FD_CLEAR), -EBUSY);
	assert_int_equal(tiny_access_open_own(t->vm_fd, KVM_ACCESS_FD_CLEAR), -EBUSY);
}

static void a_vm_ioctl_from_outside_gets_no_fd(void **state)
{
	struct bench *b = *state;

	assert_int_equal(tiny_access_open_own(b->vm_fd, 0), -EIO);
}

static void a_peeking_fd_may_not_clear(void **state)
{
	struct bench *b = *state;
	_cleanup_(closep) int peeker = tiny_access_open(b->vm_fd, 0);
	struct kvm_access_harvest h = whole(b);
	struct kvm_access_info info;

	assert_true(peeker >= 0);
	assert_int_equal(tiny_access_info(peeker, &info), 0);
	assert_int_equal(info.flags, 0);
	touch_some(b);
	assert_int_equal(try_harvest(peeker, &h), -EPERM);
	bench_assert_nothing_cleared(b);
	assert_int_equal(tiny_access_harvest(peeker, &b->maps, KVM_ACCESS_PEEK), 0);
	assert_int_equal(tiny_map_diff(b->maps.accessed, b->expected, PAGES), PAGES);
}

/* Keep only @caps of the effective and permitted capabilities. */
static int keep_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)},
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* What a child with only @caps is answered.  An fd that it gets dies with it. */
static int open_with_caps(const struct bench *b, uint64_t caps, uint32_t flags)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		int r = keep_caps(caps);

		if (!r)
			r = tiny_access_open(b->vm_fd, flags);
		_exit(r < 0 ? -r : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void without_the_capability_there_is_no_fd(void **state)
{
	struct bench *b = *state;
	uint64_t perfmon = 1ULL << CAP_PERFMON;
	uint64_t admin = 1ULL << CAP_SYS_ADMIN;

	/* Nobody else may hold the right to clear, or the answer could be EBUSY. */
	close(take_fd(&b->fd));
	assert_int_equal(open_with_caps(b, 0, 0), -EPERM);
	assert_int_equal(open_with_caps(b, 0, KVM_ACCESS_FD_CLEAR), -EPERM);
	assert_int_equal(open_with_caps(b, perfmon, KVM_ACCESS_FD_CLEAR), -EPERM);
	assert_int_equal(open_with_caps(b, perfmon, 0), 0);
	assert_int_equal(open_with_caps(b, perfmon | admin, KVM_ACCESS_FD_CLEAR), 0);
}

static void an_owner_needs_no_capability_for_its_own_vm(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		struct tiny *t = NULL;
		int r = tiny_new(NULL, &t);

		if (!r)
			r = keep_caps(0);
		if (!r)
			r = tiny_access_open_own(t->vm_fd, KVM_ACCESS_FD_CLEAR);
		_exit(r < 0 ? -r : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Slots and generations */

static int by_place(const void *a, const void *b)
{
	const struct kvm_access_slot *x = a, *y = b;

	if (x->as_id != y->as_id)
		return x->as_id < y->as_id ? -1 : 1;
	return x->base_gfn < y->base_gfn ? -1 : x->base_gfn > y->base_gfn;
}

static uint32_t read_slots(struct bench *b, struct kvm_access_slot *slots, uint64_t *ret_gen)
{
	uint32_t n = 0;

	memset(slots, 0xa5, ROOM * sizeof(*slots));
	assert_int_equal(tiny_access_slots(b->fd, slots, ROOM, &n, ret_gen), 0);
	assert_true(n <= ROOM);
	qsort(slots, n, sizeof(*slots), by_place);
	return n;
}

static void assert_slot(const struct bench *b, const struct kvm_access_slot *s,
			struct kvm_access_slot want, uint64_t ram_page)
{
	want.userspace_addr = (uintptr_t)tiny_memory_at(&b->r->view.ram, ram_page);
	assert_memory_equal(s, &want, sizeof(want));
}

static void the_table_of_slots_is_what_the_vmm_made_it(void **state)
{
	struct bench *b = *state;
	struct kvm_access_slot s[ROOM];
	struct kvm_access_info info;
	uint32_t n = 0;
	uint64_t gen;

	assert_int_equal(tiny_remote_set_slot(b->r, 3, FAR_GFN, 128, 2048, KVM_MEM_READONLY), 0);
	assert_int_equal(tiny_remote_set_slot(b->r, 9, 2 * FAR_GFN, 1, 7, KVM_MEM_LOG_DIRTY_PAGES),
			 0);
	assert_int_equal(tiny_access_info(b->fd, &info), 0);
	if (info.nr_address_spaces > 1)
		assert_int_equal(tiny_remote_set_slot(b->r, KVM_SMM_AS << 16 | 3, 64, 64, 512, 0),
				 0);

	assert_int_equal(read_slots(b, s, &gen), info.nr_address_spaces > 1 ? 4 : 3);
	assert_false(gen & KVM_ACCESS_GENERATION_CHANGING);
	assert_slot(b, &s[n++], (struct kvm_access_slot) {.slot = 0, .npages = PAGES}, 0);
	assert_slot(
		b, &s[n++],
		(struct kvm_access_slot) {
			.slot = 3, .base_gfn = FAR_GFN, .npages = 128, .flags = KVM_MEM_READONLY},
		2048);
	assert_slot(b, &s[n++],
		    (struct kvm_access_slot) {.slot = 9,
					      .base_gfn = 2 * FAR_GFN,
					      .npages = 1,
					      .flags = KVM_MEM_LOG_DIRTY_PAGES},
		    7);
	if (info.nr_address_spaces > 1)
		assert_slot(b, &s[n++],
			    (struct kvm_access_slot) {
				    .slot = 3, .as_id = KVM_SMM_AS, .base_gfn = 64, .npages = 64},
			    512);
}

static void the_generation_grows_with_every_change_of_the_table(void **state)
{
	struct bench *b = *state;
	struct kvm_access_slot s[ROOM];
	struct kvm_access_info info;
	uint64_t gen[6];

	read_slots(b, s, &gen[0]);
	read_slots(b, s, &gen[1]);
	assert_int_equal(gen[0], gen[1]);

	assert_int_equal(tiny_remote_set_slot(b->r, 3, FAR_GFN, 128, 2048, 0), 0);
	read_slots(b, s, &gen[1]);
	/* Another place, other flags, gone. */
	assert_int_equal(tiny_remote_set_slot(b->r, 3, FAR_GFN + 512, 128, 2048, 0), 0);
	read_slots(b, s, &gen[2]);
	assert_int_equal(
		tiny_remote_set_slot(b->r, 3, FAR_GFN + 512, 128, 2048, KVM_MEM_LOG_DIRTY_PAGES),
		0);
	read_slots(b, s, &gen[3]);
	assert_int_equal(tiny_remote_set_slot(b->r, 3, 0, 0, 0, 0), 0);
	assert_int_equal(read_slots(b, s, &gen[4]), 1);
	for (int i = 1; i <= 4; i++)
		assert_true(gen[i] > gen[i - 1]);

	/* All three ways to ask agree. */
	assert_int_equal(tiny_access_info(b->fd, &info), 0);
	assert_int_equal(info.generation, gen[4]);
	assert_int_equal(tiny_access_harvest(b->fd, &b->maps, KVM_ACCESS_PEEK), 0);
	assert_int_equal(b->maps.sum.generation_now, gen[4]);
}

static void too_little_room_for_slots_says_how_many_there_are(void **state)
{
	struct bench *b = *state;
	struct kvm_access_slot s[ROOM];
	uint32_t n = 0;

	for (uint32_t i = 1; i < 5; i++)
		assert_int_equal(tiny_remote_set_slot(b->r, i, i * FAR_GFN, 64, 64 * i, 0), 0);
	memset(s, 0xa5, sizeof(s));
	assert_int_equal(tiny_access_slots(b->fd, s, 4, &n, NULL), -E2BIG);
	assert_int_equal(n, 5);
	assert_int_equal(tiny_access_slots(b->fd, NULL, 0, &n, NULL), -E2BIG);
	assert_int_equal(n, 5);
	assert_int_equal(tiny_access_slots(b->fd, s, 5, &n, NULL), 0);
	assert_int_equal(n, 5);
}

static void a_harvest_by_an_old_table_is_stale_and_clears_nothing(void **state)
{
	struct bench *b = *state;
	struct kvm_access_slot s[ROOM];
	struct kvm_access_harvest h = whole(b);
	uint64_t old, new;

	read_slots(b, s, &old);
	assert_int_equal(tiny_remote_set_slot(b->r, 3, FAR_GFN, 128, 2048, 0), 0);
	read_slots(b, s, &new);
	touch_some(b);
	h.generation = old;
	assert_int_equal(try_harvest(b->fd, &h), -ESTALE);
	assert_int_equal(h.generation, old);
	assert_int_equal(h.generation_now, new);
	bench_assert_nothing_cleared(b);

	h.generation = new;
	h.generation_now = old;
	assert_int_equal(try_harvest(b->fd, &h), 0);
	assert_int_equal(h.npages, 0);
	assert_int_equal(h.generation, new);
	assert_int_equal(h.generation_now, new);
}

static void the_smm_address_space_is_harvested_apart(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h = whole(b);
	struct kvm_access_info info;

	assert_int_equal(tiny_access_info(b->fd, &info), 0);
	if (info.nr_address_spaces < 2) {
		print_message("skipped: KVM without SMM\n");
		skip();
	}
	/* Nobody has been there; and looking there clears nothing here. */
	touch_some(b);
	h.as_id = KVM_SMM_AS;
	assert_int_equal(try_harvest(b->fd, &h), 0);
	assert_int_equal(h.npages, 0);
	assert_int_equal(h.nr_present, 0);
	assert_int_equal(bitmap_count(b->maps.present, PAGES), 0);
	bench_assert_nothing_cleared(b);
}

/* The end */

static bool hangs_up(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_true(poll(&p, 1, timeout_ms) >= 0);
	return p.revents & POLLHUP;
}

static void assert_gone(struct bench *b)
{
	struct kvm_access_slot s[ROOM];
	struct kvm_access_harvest h = whole(b);
	struct kvm_access_info info;

	assert_true(hangs_up(b->fd, 0));
	assert_int_equal(tiny_access_info(b->fd, &info), -ESRCH);
	assert_int_equal(tiny_access_slots(b->fd, s, ROOM, NULL, NULL), -ESRCH);
	assert_int_equal(try_harvest(b->fd, &h), -ESRCH);
	h.flags = KVM_ACCESS_PEEK;
	assert_int_equal(try_harvest(b->fd, &h), -ESRCH);
}

static void the_fd_hangs_up_when_the_vmm_dies(void **state)
{
	struct bench *b = *state;

	close(take_fd(&b->vm_fd));
	touch_some(b);
	assert_false(hangs_up(b->fd, 0));
	tiny_remote_kill(b->r);
	/* The address space goes with the last thread, which waitpid has seen. */
	assert_true(hangs_up(b->fd, 1000));
	assert_gone(b);
}

static void the_fd_hangs_up_even_if_another_holds_the_vm(void **state)
{
	struct bench *b = *state;

	touch_some(b);
	tiny_remote_kill(b->r);
	assert_true(hangs_up(b->fd, 1000));
	assert_gone(b);
	assert_int_equal(tiny_access_open(b->vm_fd, 0), -ESRCH);
	assert_int_equal(tiny_access_open(b->vm_fd, KVM_ACCESS_FD_CLEAR), -ESRCH);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void a_poll_that_waits_is_woken_when_the_vmm_dies(void **state)
{
	struct bench *b = *state;
	uint64_t start_ns = now_ns();
	pid_t killer = fork();

	if (!killer) {
		usleep(200000);
		kill(b->r->pid, SIGKILL);
		_exit(0);
	}
	assert_true(hangs_up(b->fd, 20000));
	/* A poll that times out looks once more, and would find it then. */
	assert_true(now_ns() - start_ns < 10 * NSEC_PER_SEC);
	assert_int_equal(waitpid(killer, NULL, 0), killer);
	tiny_remote_kill(b->r);
	assert_gone(b);
}

#define test(f) cmocka_unit_test_setup_teardown(f, bench_setup_remote, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_fd_tells_whose_vm_it_is),
		test(the_capability_is_the_same_on_dev_kvm_and_on_a_vm),
		test(a_second_clearing_owner_is_told_that_the_vm_is_busy),
		test(a_vmm_gets_the_fd_of_its_own_vm_and_competes_for_clearing),
		test(a_vm_ioctl_from_outside_gets_no_fd),
		test(a_peeking_fd_may_not_clear),
		test(without_the_capability_there_is_no_fd),
		test(an_owner_needs_no_capability_for_its_own_vm),
		test(the_table_of_slots_is_what_the_vmm_made_it),
		test(the_generation_grows_with_every_change_of_the_table),
		test(too_little_room_for_slots_says_how_many_there_are),
		test(a_harvest_by_an_old_table_is_stale_and_clears_nothing),
		test(the_smm_address_space_is_harvested_apart),
		test(the_fd_hangs_up_when_the_vmm_dies),
		test(the_fd_hangs_up_even_if_another_holds_the_vm),
		test(a_poll_that_waits_is_woken_when_the_vmm_dies),
	};

	if (bench_skip_without_access_fd())
		return 77;
	tiny_hold_kvm();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
