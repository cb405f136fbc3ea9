// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the agent relies on when it follows the dirty rings of a VMM that knows
 * nothing of it, and that its follower sees the very pages that were written:
 * facts of a stock KVM, shown with a tiny guest in a child process.  Needs
 * /dev/kvm and the right to ptrace the child, nothing else.
 *
 * DOC: A dirty ring seen from outside
 *
 * Entry i of a ring of n is at index i % n.  KVM fills it and sets flags to 1
 * (dirty); the owner sets 2 (harvested) when it has read it;
 * KVM_RESET_DIRTY_RINGS write-protects the page again and clears flags.  Slot
 * and offset stay there afterwards, so who compares with a copy sees entries
 * that were reset, too.
 *
 * Follower and memory layout are the agent's own, fed with the mapped rings and
 * with the slots that the test has made; only host/ is left out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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
#include "discover/memslot.h"
#include "harvest/ring.h"
#include "harvest/sample.h"
#include "host/host.h"
#include "tiny-remote.h"

#define PAGES	   4096
#define RING_BYTES 65536
#define LIST	   600

/* A guest elsewhere, what an outsider has of the ring of each vCPU, and its follower. */
struct outsider {
	struct host_vm vm;
	struct tiny_remote *r;
	int vcpu_fd[2];
	const struct kvm_dirty_gfn *ring[2];
	struct memmap *map;
	struct ring_set *set;
	struct sample *sample;
	int harvested; /* by the owner, since its last reset */
	uint64_t random;
	struct tiny_touch list[TINY_LIST_MAX];
	uint64_t seen[PAGES / 64]; /* frames, as @expected */
	uint64_t expected[PAGES / 64];
};

static const struct kvm_dirty_gfn *map_ring(int vcpu_fd, int prot, int flags)
{
	void *p = mmap(NULL, RING_BYTES, prot, flags, vcpu_fd,
		       KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)PAGE_BYTES);

	return p == MAP_FAILED ? NULL : p;
}

static int copy_ring(struct host_vm *vm, size_t vcpu, struct host_ring_entry *entries, size_t max,
		     size_t *ret_n)
{
	const struct outsider *o = (const struct outsider *)vm;

	assert_true(max * sizeof(*entries) >= RING_BYTES);
	memcpy(entries, o->ring[vcpu], RING_BYTES);
	*ret_n = RING_BYTES / sizeof(*entries);
	return 0;
}

/* Of a host the follower asks nothing else. */
static struct host *rings_alone(void)
{
	static const struct host_ops ops = {.vm_ring_copy = copy_ring};
	static struct host host = {.ops = &ops};

	return &host;
}

/* The layout that the agent makes of these slots, all of them shown from the guest's RAM. */
static int lay_out(struct outsider *o, const struct kvm_access_slot *slots, size_t nslots)
{
	uint64_t base = (uintptr_t)o->r->view.ram.base;
	struct host_mapping ram = {.start = base,
				   .end = base + PAGES * PAGE_BYTES,
				   .backing = HOST_BACKING_ANON,
				   .writable = true};

	memmap_free(o->map);
	o->map = NULL;
	return memmap_build(slots, nslots, 0, &ram, 1, NULL, NULL, PAGES, &o->map, NULL);
}

/* What is new in the rings goes to @sample and @seen.  Return: entries. */
static size_t pass(struct outsider *o)
{
	o->sample->ring_entries = 0;
	o->sample->ring_lost = 0;
	ring_set_pass(o->set, &o->vm, o->map, o->sample);
	assert_int_equal(o->sample->ring_bad, 0);
	for (uint64_t index = 0; index < o->map->npages; index++) {
		uint64_t hva = memmap_hva(o->map, index);

		if (bitmap_test(o->sample->written, index))
			bitmap_set(o->seen, (hva - (uintptr_t)o->r->view.ram.base) / PAGE_BYTES);
	}
	return o->sample->ring_entries;
}

/* A pass that lost nothing. */
static size_t follow(struct outsider *o)
{
	size_t n = pass(o);

	assert_int_equal(o->sample->ring_lost, 0);
	return n;
}

/* Every test has a new guest, two vCPUs, both rings mapped, and a first look at them behind it. */
static int setup(void **state)
{
	struct tiny_options opts = {.pages = PAGES, .vcpus = 2, .ring_bytes = RING_BYTES};
	struct outsider *o = calloc(1, sizeof(*o));
	struct kvm_access_slot slot = {.npages = PAGES};

	if (!o || tiny_remote_new(&opts, &o->r))
		return -1;
	o->vm.host = rings_alone();
	o->random = tiny_seed();
	for (size_t i = 0; i < 2; i++) {
		o->vcpu_fd[i] = tiny_remote_get_fd(o->r, o->r->view.vcpus[i].fd);
		if (o->vcpu_fd[i] < 0)
			return -1;
		o->ring[i] = map_ring(o->vcpu_fd[i], PROT_READ, MAP_SHARED);
		if (!o->ring[i])
			return -1;
	}
	slot.userspace_addr = (uintptr_t)o->r->view.ram.base;
	o->set = ring_set_new(2);
	if (!o->set || lay_out(o, &slot, 1))
		return -1;
	o->sample = sample_new(o->map->npages, 1, false);
	if (!o->sample)
		return -1;
	assert_int_equal(follow(o), 0);
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	struct outsider *o = *state;

	for (size_t i = 0; i < 2; i++) {
		munmap((void *)o->ring[i], RING_BYTES);
		close(o->vcpu_fd[i]);
	}
	ring_set_free(o->set);
	sample_free(o->sample);
	memmap_free(o->map);
	tiny_remote_free(o->r);
	free(o);
	return 0;
}

static uint32_t entry_flags(const struct kvm_dirty_gfn *e)
{
	return __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);
}

static void run(struct outsider *o, size_t vcpu, size_t count)
{
	assert_int_equal(tiny_remote_run(o->r, vcpu, o->list, count, 0, NULL), 0);
}

static void owner_harvests(struct outsider *o, size_t vcpu, size_t max)
{
	int n = tiny_remote_ring_harvest(o->r, vcpu, max);

	assert_true(n >= 0);
	o->harvested += n;
}

/* The owner harvests and resets all it has.  Return: entries reset. */
static int owner_resets(struct outsider *o)
{
	int n;

	for (size_t i = 0; i < 2; i++)
		owner_harvests(o, i, SIZE_MAX);
	n = o->harvested;
	assert_int_equal(tiny_remote_ring_reset(o->r), n);
	o->harvested = 0;
	return n;
}

static void forget(struct outsider *o)
{
	memset(o->sample->written, 0, o->sample->nwords * sizeof(*o->sample->written));
	memset(o->seen, 0, sizeof(o->seen));
	memset(o->expected, 0, sizeof(o->expected));
}

/*
 * Map all that a vCPU may ever touch, and reset: from here on only writes are
 * logged.  In pieces, for a ring is smaller than RAM.  By fetching, for the
 * host writes the stubs: a page that it has never written is mapped to the zero
 * page first, and later anew.
 */
static void warm_up(struct outsider *o, size_t vcpu)
{
	uint64_t gfn = o->r->view.first_free;

	while (gfn < PAGES) {
		size_t n = PAGES - gfn < 1024 ? PAGES - gfn : 1024;

		tiny_list_every(TINY_FETCH, gfn, o->list, n);
		run(o, vcpu, n);
		follow(o);
		owner_resets(o);
		gfn += n;
	}
	forget(o);
}

/* Where guests run by shadow paging or emulation, more is logged than the facts say. */
static void need_nested_paging(void)
{
	if (tiny_has_tdp())
		return;
	print_message("skipped: this machine's KVM has no nested paging\n");
	skip();
}

static void assert_seen_is_expected(const struct outsider *o)
{
	size_t bit = tiny_map_diff(o->seen, o->expected, PAGES);

	if (bit != PAGES)
		fail_msg("frame %zu: in the ring %d, written %d", bit, bitmap_test(o->seen, bit),
			 bitmap_test(o->expected, bit));
}

static void an_outsider_may_map_a_ring_shared_and_readable(void **state)
{
	struct outsider *o = *state;
	int fd = o->vcpu_fd[0];

	assert_int_equal(sizeof(struct kvm_dirty_gfn), 16);
	assert_int_equal(offsetof(struct kvm_dirty_gfn, flags), 0);
	assert_int_equal(offsetof(struct kvm_dirty_gfn, slot), 4);
	assert_int_equal(offsetof(struct kvm_dirty_gfn, offset), 8);
	assert_int_equal(entry_flags(&o->ring[0][0]), 0);

	assert_null(map_ring(fd, PROT_READ, MAP_PRIVATE));
	assert_null(map_ring(fd, PROT_READ | PROT_EXEC, MAP_SHARED));
}

static void an_outsider_may_neither_run_the_vcpu_nor_reset_its_ring(void **state)
{
	struct outsider *o = *state;
	_cleanup_(closep) int vm_fd = tiny_remote_get_fd(o->r, o->r->view.vm_fd);

	assert_true(vm_fd >= 0);
	assert_int_equal(ioctl(o->vcpu_fd[0], KVM_RUN, 0), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(ioctl(vm_fd, KVM_RESET_DIRTY_RINGS, 0), -1);
	assert_int_equal(errno, EIO);
}

static void an_entry_goes_from_dirty_to_harvested_to_reset(void **state)
{
	struct outsider *o = *state;
	const struct kvm_dirty_gfn *e = NULL;
	uint64_t gfn = 3000;
	size_t i;

	warm_up(o, 0);
	o->list[0] = (struct tiny_touch) {.gfn = gfn, .op = TINY_WRITE};
	run(o, 0, 1);

	/* With nested paging the page tables on the way come first. */
	for (i = 0; i < RING_BYTES / sizeof(*e); i++) {
		e = &o->ring[0][(o->set->rings[0].next + i) % (RING_BYTES / sizeof(*e))];
		if (e->offset == gfn)
			break;
	}
	assert_int_equal(e->offset, gfn);
	assert_int_equal(e->slot, 0);
	assert_int_equal(entry_flags(e), KVM_DIRTY_GFN_F_DIRTY);

	owner_harvests(o, 0, SIZE_MAX);
	assert_int_equal(entry_flags(e), KVM_DIRTY_GFN_F_RESET);
	assert_int_equal(follow(o), i + 1);

	assert_int_equal(owner_resets(o), i + 1);
	assert_int_equal(entry_flags(e), 0);
	assert_int_equal(e->offset, gfn);
}

static void an_entry_names_address_space_slot_and_offset_in_the_slot(void **state)
{
	struct outsider *o = *state;
	uint32_t id = 7;
	uint64_t base = 3072, ram_page = 3072;
	const struct kvm_dirty_gfn *e = NULL;
	uint64_t at = (uintptr_t)o->r->view.ram.base;
	struct kvm_access_slot slots[] = {
		{.slot = 0, .npages = base, .userspace_addr = at},
		{.slot = id,
		 .base_gfn = base,
		 .npages = PAGES - base,
		 .userspace_addr = at + ram_page * PAGE_BYTES},
	};

	/* Cut the last pages off slot 0 and let another slot begin there. */
	assert_int_equal(tiny_remote_set_slot(o->r, 0, 0, 0, 0, 0), 0);
	assert_int_equal(tiny_remote_set_slot(o->r, 0, 0, base, 0, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_int_equal(tiny_remote_set_slot(o->r, id, base, PAGES - base, ram_page,
					      KVM_MEM_LOG_DIRTY_PAGES),
			 0);
	o->list[0] = (struct tiny_touch) {.gfn = base + 5, .op = TINY_WRITE};
	run(o, 0, 1);
	for (size_t i = 0; i < RING_BYTES / sizeof(*e); i++)
		if (entry_flags(&o->ring[0][i]) && o->ring[0][i].slot == id)
			e = &o->ring[0][i];
	assert_non_null(e);
	assert_int_equal(e->offset, 5);

	assert_int_equal(lay_out(o, slots, ARRAY_SIZE(slots)), 0);
	follow(o);
	assert_true(bitmap_test(o->seen, base + 5));
	assert_int_equal(bitmap_count(o->seen + base / 64, PAGES - base), 1);
}

/* What holds everywhere, shadow paging and emulation included. */
static void no_page_written_is_missing_from_the_set_followed_from_outside(void **state)
{
	struct outsider *o = *state;

	for (int pass = 0; pass < 20; pass++) {
		tiny_list_random(&o->random, o->r->view.first_free, PAGES, o->list, LIST);
		run(o, 0, LIST);
		follow(o);
		for (size_t i = 0; i < LIST; i++)
			if (o->list[i].op == TINY_WRITE)
				assert_true(bitmap_test(o->seen, o->list[i].gfn));
		owner_resets(o);
		forget(o);
	}
}

static void the_set_followed_from_outside_equals_the_pages_written(void **state)
{
	struct outsider *o = *state;

	need_nested_paging();
	warm_up(o, 0);
	for (int pass = 0; pass < 50; pass++) {
		tiny_list_random(&o->random, o->r->view.first_free, PAGES, o->list, LIST);
		tiny_expect_written(&o->r->view, 0, o->list, LIST, o->expected);
		run(o, 0, LIST);
		/* Sometimes the owner is first: it makes no difference. */
		if (pass % 2)
			owner_harvests(o, 0, tiny_random_below(&o->random, 300));
		follow(o);
		assert_seen_is_expected(o);
		owner_resets(o);
		forget(o);
	}
}

static void what_the_owner_has_reset_before_the_look_is_in_the_set_all_the_same(void **state)
{
	struct outsider *o = *state;

	need_nested_paging();
	warm_up(o, 0);
	for (uint64_t gfn = 1000; gfn < 3000; gfn += 200) {
		tiny_list_every(TINY_WRITE, gfn, o->list, 200);
		tiny_expect_written(&o->r->view, 0, o->list, 200, o->expected);
		run(o, 0, 200);
		owner_resets(o);
		follow(o);
		assert_seen_is_expected(o);
		forget(o);
	}
}

static void each_vcpu_logs_in_its_own_ring_what_it_wrote_first(void **state)
{
	struct outsider *o = *state;
	size_t next;

	need_nested_paging();
	warm_up(o, 0);
	warm_up(o, 1);
	tiny_list_every(TINY_WRITE, 2000, o->list, 100);
	tiny_expect_written(&o->r->view, 0, o->list, 100, o->expected);
	run(o, 0, 100);
	follow(o);
	assert_seen_is_expected(o);

	/* The second finds 50 of its pages writable already: nobody logs them twice. */
	forget(o);
	next = o->set->rings[0].next;
	tiny_list_every(TINY_WRITE, 2050, o->list, 100);
	run(o, 1, 100);
	follow(o);
	bitmap_set_range(o->expected, 2100, 2150);
	assert_seen_is_expected(o);
	assert_int_equal(o->set->rings[0].next, next);
}

static void a_page_is_logged_once_until_it_is_reset(void **state)
{
	struct outsider *o = *state;

	need_nested_paging();
	warm_up(o, 0);
	tiny_list_every(TINY_WRITE, 1000, o->list, 10);
	run(o, 0, 10);
	assert_true(follow(o) >= 10);
	run(o, 0, 10);
	assert_int_equal(follow(o), 0);
	owner_resets(o);
	run(o, 0, 10);
	assert_true(follow(o) >= 10);
}

/*
 * KVM maps a page writable at the first touch if the host has it writable, and
 * logs it then, read or not.  So the first pass after start-up, and the first
 * touch of a page that was zapped (migrated, reclaimed), tell nothing of writes.
 */
static void a_page_mapped_anew_is_logged_even_if_it_was_only_read(void **state)
{
	struct outsider *o = *state;
	uint64_t gfn = 2222, never_written = 2223;

	need_nested_paging();
	/* The host writes the stub of the first, the zero page backs the second. */
	o->list[0] = (struct tiny_touch) {.gfn = gfn, .op = TINY_FETCH};
	o->list[1] = (struct tiny_touch) {.gfn = never_written, .op = TINY_READ};
	run(o, 0, 2);
	follow(o);
	assert_true(bitmap_test(o->seen, gfn));
	assert_false(bitmap_test(o->seen, never_written));

	owner_resets(o);
	forget(o);
	o->list[0].op = TINY_READ;
	run(o, 0, 2);
	follow(o);
	assert_false(bitmap_test(o->seen, gfn));
}

static void with_nested_paging_reading_dirties_the_guests_page_tables(void **state)
{
	struct outsider *o = *state;

	need_nested_paging();
	warm_up(o, 0);
	tiny_list_every(TINY_READ, 3000, o->list, 10);
	tiny_expect_written(&o->r->view, 0, o->list, 10, o->expected);
	run(o, 0, 10);
	follow(o);
	assert_seen_is_expected(o);
	assert_true(bitmap_count(o->seen, PAGES) >= 4);
	assert_false(bitmap_test(o->seen, 3000));
}

/*
 * 64 entries are kept in reserve (KVM_DIRTY_RING_RSVD_ENTRIES), more on Intel
 * for the CPU's own page modification log.
 */
static void a_full_ring_stops_the_vcpu_until_the_owner_resets_it(void **state)
{
	struct outsider *o = *state;
	size_t entries = RING_BYTES / sizeof(struct kvm_dirty_gfn);
	size_t n, count = PAGES - o->r->view.first_free;

	need_nested_paging();
	tiny_list_every(TINY_WRITE, o->r->view.first_free, o->list, count);
	assert_int_equal(tiny_remote_run(o->r, 0, o->list, count, 0, NULL), TINY_E_RING_FULL);
	/* More than half of the ring at once could as well be more than all of it. */
	n = pass(o);
	assert_int_equal(o->sample->ring_lost, 1);
	print_message("stopped with %zu of %zu entries in use\n", n, entries);
	assert_true(n < entries && n + 64 + 512 >= entries);

	/* Without a reset the vCPU does not get any further, harvested or not. */
	assert_int_equal(tiny_remote_resume(o->r, 0, NULL), TINY_E_RING_FULL);
	owner_harvests(o, 0, SIZE_MAX);
	assert_int_equal(tiny_remote_resume(o->r, 0, NULL), TINY_E_RING_FULL);
	assert_int_equal(follow(o), 0);

	/* With it, nothing was lost.  The code and list pages were mapped first: logged too. */
	assert_int_equal(owner_resets(o), n);
	assert_int_equal(tiny_remote_resume(o->r, 0, NULL), 0);
	follow(o);
	tiny_expect(&o->r->view, 0, o->list, count, o->expected);
	assert_seen_is_expected(o);
}

/* All that the list says, however often the ring is full on the way. */
static void run_and_reset(struct outsider *o, size_t vcpu, size_t count)
{
	int r = tiny_remote_run(o->r, vcpu, o->list, count, 0, NULL);

	while (r == TINY_E_RING_FULL) {
		owner_resets(o);
		r = tiny_remote_resume(o->r, vcpu, NULL);
	}
	assert_int_equal(r, 0);
	owner_resets(o);
}

static void a_ring_that_went_round_between_two_looks_is_a_loss_and_then_followed_again(void **state)
{
	struct outsider *o = *state;
	size_t entries = RING_BYTES / sizeof(struct kvm_dirty_gfn);
	size_t count = PAGES - o->r->view.first_free;

	need_nested_paging();
	warm_up(o, 0);
	tiny_list_every(TINY_WRITE, o->r->view.first_free, o->list, count);
	assert_true(2 * count > entries);
	run_and_reset(o, 0, count);
	run_and_reset(o, 0, count);
	pass(o);
	assert_int_equal(o->sample->ring_lost, 1); /* of one vCPU, the other is idle */
	assert_int_equal(follow(o), 0);

	forget(o);
	tiny_list_random(&o->random, o->r->view.first_free, PAGES, o->list, LIST);
	tiny_expect_written(&o->r->view, 0, o->list, LIST, o->expected);
	run(o, 0, LIST);
	follow(o);
	assert_seen_is_expected(o);
}

static void a_mapped_ring_stays_readable_when_its_owner_is_dead(void **state)
{
	struct outsider *o = *state;
	size_t n;

	tiny_list_every(TINY_WRITE, 1000, o->list, 10);
	run(o, 0, 10);
	tiny_remote_kill(o->r);
	n = follow(o);
	assert_true(n >= 10);
	assert_int_equal(follow(o), 0);
}

#define fact(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fact(an_outsider_may_map_a_ring_shared_and_readable),
		fact(an_outsider_may_neither_run_the_vcpu_nor_reset_its_ring),
		fact(an_entry_goes_from_dirty_to_harvested_to_reset),
		fact(an_entry_names_address_space_slot_and_offset_in_the_slot),
		fact(no_page_written_is_missing_from_the_set_followed_from_outside),
		fact(the_set_followed_from_outside_equals_the_pages_written),
		fact(what_the_owner_has_reset_before_the_look_is_in_the_set_all_the_same),
		fact(each_vcpu_logs_in_its_own_ring_what_it_wrote_first),
		fact(a_page_is_logged_once_until_it_is_reset),
		fact(a_page_mapped_anew_is_logged_even_if_it_was_only_read),
		fact(with_nested_paging_reading_dirties_the_guests_page_tables),
		fact(a_full_ring_stops_the_vcpu_until_the_owner_resets_it),
		fact(a_ring_that_went_round_between_two_looks_is_a_loss_and_then_followed_again),
		fact(a_mapped_ring_stays_readable_when_its_owner_is_dead),
	};
	_cleanup_(closep) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "skipped: /dev/kvm: %s\n", strerror(errno));
		return 77;
	}
	tiny_seed();
	tiny_hold_kvm();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
