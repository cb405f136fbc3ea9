// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the access fd refuses, with which errno, and that a refused harvest
 * clears nothing.  Needs a KVM with the access fd, i.e. lab/run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "tiny-bench.h"

#define PAGES BENCH_PAGES
#define WORDS BENCH_WORDS
#define ROOM  16

/* Some pages with the A bit set, which must stay so if a call is refused. */
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

static void refuses_harvest(struct bench *b, const struct kvm_access_harvest *h, int err)
{
	struct kvm_access_harvest copy = *h;

	assert_int_equal(try_harvest(b->fd, &copy), err);
	assert_int_equal(copy.gfn, h->gfn);
	assert_int_equal(copy.npages, h->npages);
}

static int try_get(int fd, struct kvm_access_fd arg)
{
	int r = ioctl(fd, KVM_GET_ACCESS_FD, &arg);

	if (r >= 0)
		close(r);
	return r < 0 ? -errno : 0;
}

static void asking_for_an_fd_wrongly_is_refused(void **state)
{
	struct bench *b = *state;
	_cleanup_(closep) int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	_cleanup_(closep) int vcpu_fd = tiny_remote_get_fd(b->r, b->r->view.vcpus[0].fd);
	_cleanup_(tiny_freep) struct tiny *t = NULL;
	struct kvm_access_fd arg;

	assert_int_equal(try_get(kvm_fd, (struct kvm_access_fd) {.vm_fd = b->vm_fd}), 0);
	for (int bit = 1; bit < 32; bit++)
		assert_int_equal(try_get(kvm_fd, (struct kvm_access_fd) {.vm_fd = b->vm_fd,
									 .flags = 1U << bit}),
				 -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(arg.reserved); i++) {
		arg = (struct kvm_access_fd) {.vm_fd = b->vm_fd};
		arg.reserved[i] = 1;
		assert_int_equal(try_get(kvm_fd, arg), -EINVAL);
	}
	assert_int_equal(try_get(kvm_fd, (struct kvm_access_fd) {.vm_fd = 9999}), -EBADF);
	assert_int_equal(try_get(kvm_fd, (struct kvm_access_fd) {.vm_fd = -1}), -EBADF);
	assert_int_equal(try_get(kvm_fd, (struct kvm_access_fd) {.vm_fd = kvm_fd}), -EINVAL);
	assert_int_equal(try_get(kvm_fd, (struct kvm_access_fd) {.vm_fd = vcpu_fd}), -EINVAL);
	assert_int_equal(try_get(kvm_fd, (struct kvm_access_fd) {.vm_fd = b->fd}), -EINVAL);
	assert_int_equal(ioctl(kvm_fd, KVM_GET_ACCESS_FD, NULL), -1);
	assert_int_equal(errno, EFAULT);

	assert_int_equal(tiny_new(NULL, &t), 0);
	assert_int_equal(try_get(t->vm_fd, (struct kvm_access_fd) {.vm_fd = -1}), 0);
	assert_int_equal(try_get(t->vm_fd, (struct kvm_access_fd) {.vm_fd = t->vm_fd}), -EINVAL);
	assert_int_equal(try_get(t->vm_fd, (struct kvm_access_fd) {.vm_fd = 0}), -EINVAL);
}

/* Refused harvests */

static void a_harvest_with_an_unknown_flag_or_a_reserved_field_is_invalid(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h;

	touch_some(b);
	for (int bit = 2; bit < 32; bit++) {
		h = whole(b);
		h.flags = 1U << bit;
		refuses_harvest(b, &h, -EINVAL);
	}
	h = whole(b);
	h.reserved0 = 1;
	refuses_harvest(b, &h, -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(h.reserved); i++) {
		h = whole(b);
		h.reserved[i] = 1ULL << 63;
		refuses_harvest(b, &h, -EINVAL);
	}
	bench_assert_nothing_cleared(b);
}

static void a_harvest_of_an_impossible_range_is_invalid(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h;
	const struct {
		uint64_t gfn, npages, bitmap_gfn;
	} bad[] = {
		{1, 64, 0},
		{63, 64, 0},
		{64, 64, 1},
		{64, 64, 63},
		{64, 64, 128},	     /* the bitmap begins behind the range */
		{64, UINT64_MAX, 0}, /* wraps */
		{64, UINT64_MAX - 63, 0},
		{UINT64_MAX - 63, 128, UINT64_MAX - 63},
	};

	touch_some(b);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		h = whole(b);
		h.gfn = bad[i].gfn;
		h.npages = bad[i].npages;
		h.bitmap_gfn = bad[i].bitmap_gfn;
		refuses_harvest(b, &h, -EINVAL);
	}
	bench_assert_nothing_cleared(b);
}

static void a_harvest_of_an_unknown_address_space_is_invalid(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h = whole(b);
	struct kvm_access_info info;

	touch_some(b);
	assert_int_equal(tiny_access_info(b->fd, &info), 0);
	h.as_id = info.nr_address_spaces;
	refuses_harvest(b, &h, -EINVAL);
	h.as_id = UINT32_MAX;
	refuses_harvest(b, &h, -EINVAL);
	bench_assert_nothing_cleared(b);
}

static void a_harvest_with_a_wrong_nodemask_is_invalid(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h;
	const uint32_t bad[] = {1, 63, 65, KVM_ACCESS_MAX_NODES + 64, UINT32_MAX};

	touch_some(b);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		h = whole(b);
		h.nodemask_bits = bad[i];
		refuses_harvest(b, &h, -EINVAL);
	}
	bench_assert_nothing_cleared(b);
}

static void a_bad_pointer_clears_nothing(void **state)
{
	struct bench *b = *state;
	struct kvm_access_harvest h;
	void *bad = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t fields[] = {
		offsetof(struct kvm_access_harvest, accessed),
		offsetof(struct kvm_access_harvest, present),
		offsetof(struct kvm_access_harvest, dirty),
		offsetof(struct kvm_access_harvest, large),
		offsetof(struct kvm_access_harvest, on_nodes),
		offsetof(struct kvm_access_harvest, nodemask),
	};
	/* No page there; in the kernel's half; just above user space. */
	uint64_t pointers[] = {(uintptr_t)bad, 0xffff888000000000, 0x00007ffffffff000};

	assert_ptr_not_equal(bad, MAP_FAILED);
	touch_some(b);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(pointers); j++) {
			h = whole(b);
			memcpy((char *)&h + fields[i], &pointers[j], sizeof(pointers[j]));
			refuses_harvest(b, &h, -EFAULT);
		}
	}
	assert_int_equal(ioctl(b->fd, KVM_ACCESS_HARVEST, bad), -1);
	assert_int_equal(errno, EFAULT);
	bench_assert_nothing_cleared(b);
	munmap(bad, PAGE_BYTES);
}

/* Touch 100 pages in each of two places far apart; what that is, is added to @map. */
static void touch_two_places(struct bench *b, uint64_t far, uint64_t *map)
{
	tiny_list_every(TINY_READ, 1000, b->list, 100);
	tiny_list_every(TINY_READ, far, b->list + 100, 100);
	assert_int_equal(tiny_remote_run(b->r, 0, b->list, 200, 0, NULL), 0);
	tiny_expect(b->view, 0, b->list, 200, map);
}

/*
 * A bitmap that reaches into a page that cannot be written: what the call says
 * is done is cleared and reported, and the rest is still there.
 */
static void a_pointer_that_turns_bad_midway_loses_nothing(void **state)
{
	enum { REACH = 1 << 17, MIDDLE = REACH / 2 };
	struct bench *b = *state;
	size_t bytes = REACH / 8;
	uint8_t *map =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_access_harvest h = {.npages = REACH, .accessed = (uintptr_t)map};
	uint64_t want[REACH / 64] = {0}, got[REACH / 64] = {0};
	struct tiny_access_maps left;

	bench_start_remote(b, &(struct tiny_options) {.map_pages = REACH});
	assert_int_equal(tiny_remote_set_slot(b->r, 1, MIDDLE, 512, 2048, 0), 0);
	assert_int_equal(tiny_access_maps_init(&left, 0, REACH), 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + bytes / 2, bytes / 2, PROT_READ), 0);
	touch_two_places(b, MIDDLE + 100, want);

	assert_int_equal(try_harvest(b->fd, &h), -EFAULT);
	assert_int_equal(h.gfn + h.npages, REACH);
	assert_true(h.gfn <= MIDDLE);
	assert_int_equal(h.gfn % 64, 0);
	print_message("%" PRIu64 " of %d pages were done\n", (uint64_t)h.gfn, REACH);
	/* The header promises no more; but to have done nothing would prove nothing. */
	assert_true(h.gfn > 1000);
	memcpy(got, map, h.gfn / 8);
	assert_int_equal(h.nr_accessed, bitmap_count(got, REACH));

	assert_int_equal(tiny_access_harvest(b->fd, &left, KVM_ACCESS_PEEK), 0);
	assert_int_equal(bitmap_count(left.accessed, h.gfn), 0);
	for (size_t w = h.gfn / 64; w < ARRAY_SIZE(got); w++)
		got[w] |= left.accessed[w];
	assert_int_equal(tiny_map_diff(got, want, REACH), REACH);
	tiny_access_maps_deinit(&left);
	munmap(map, bytes);
}

static void an_unknown_ioctl_is_refused(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ioctl(b->fd, KVM_CREATE_VCPU, 1), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(ioctl(b->fd, KVM_GET_ACCESS_FD, NULL), -1);
	assert_int_equal(errno, ENOTTY);
}

static int try_slots(int fd, struct kvm_access_slots arg)
{
	return ioctl(fd, KVM_ACCESS_GET_SLOTS, &arg) < 0 ? -errno : 0;
}

static void asking_for_slots_wrongly_is_refused(void **state)
{
	struct bench *b = *state;
	struct kvm_access_slot s[ROOM];
	struct kvm_access_slots good = {.nr_slots = ROOM, .slots = (uintptr_t)s};
	struct kvm_access_slots arg = good;

	assert_int_equal(try_slots(b->fd, good), 0);
	arg.flags = 1;
	assert_int_equal(try_slots(b->fd, arg), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(arg.reserved); i++) {
		arg = good;
		arg.reserved[i] = 1;
		assert_int_equal(try_slots(b->fd, arg), -EINVAL);
	}
	arg = good;
	arg.slots = 0xffff888000000000;
	assert_int_equal(try_slots(b->fd, arg), -EFAULT);
	assert_int_equal(ioctl(b->fd, KVM_ACCESS_GET_SLOTS, NULL), -1);
	assert_int_equal(errno, EFAULT);
}

#define test(f) cmocka_unit_test_setup_teardown(f, bench_setup_remote, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(asking_for_an_fd_wrongly_is_refused),
		test(a_harvest_with_an_unknown_flag_or_a_reserved_field_is_invalid),
		test(a_harvest_of_an_impossible_range_is_invalid),
		test(a_harvest_of_an_unknown_address_space_is_invalid),
		test(a_harvest_with_a_wrong_nodemask_is_invalid),
		test(a_bad_pointer_clears_nothing),
		cmocka_unit_test_setup_teardown(a_pointer_that_turns_bad_midway_loses_nothing,
						bench_setup, bench_teardown),
		test(an_unknown_ioctl_is_refused),
		test(asking_for_slots_wrongly_is_refused),
	};

	if (bench_skip_without_access_fd())
		return 77;
	tiny_hold_kvm();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
