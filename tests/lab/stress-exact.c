// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exact rounds at the end of the stress.
 */
#include "stress-exact.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bitmap.h"
#include "base/units.h"
#include "stress-guest.h"
#include "tiny-access.h"

#define WORDS	    (STRESS_MAP_PAGES / BITMAP_WORD)
#define TOUCHES_MAX 2000
#define NESTED_MAX  500

struct maps {
	uint64_t accessed[WORDS];
	uint64_t dirty[WORDS];
	uint64_t large[WORDS];
};

static int harvest(struct stress *s, uint32_t flags, struct maps *m)
{
	struct kvm_access_harvest h = {
		.npages = STRESS_MAP_PAGES,
		.flags = flags,
		.accessed = (uintptr_t)m->accessed,
		.dirty = (uintptr_t)m->dirty,
		.large = (uintptr_t)m->large,
	};

	do {
		if (ioctl(s->clear_fd, KVM_ACCESS_HARVEST, &h) < 0 && errno != EINTR) {
			stress_fail(s, "a harvest at rest fails: %s", strerror(errno));
			return -errno;
		}
	} while (h.npages);
	return 0;
}

/* A large entry has one bit for all of its pages. */
static void widen(uint64_t *map, const uint64_t *large)
{
	for (size_t gfn = 0; gfn < STRESS_MAP_PAGES; gfn += LARGE_PAGES)
		if (bitmap_test(large, gfn))
			tiny_map_widen(map + gfn / BITMAP_WORD, LARGE_PAGES);
}

/* Touches of pages that are there. */
static size_t draw_list(const struct stress *s, uint64_t *random, struct tiny_touch *list,
			size_t most)
{
	const struct stress_region *last = &s->guest->regions[STRESS_SHARED];
	size_t count = 1 + tiny_random_below(random, most);

	for (size_t i = 0; i < count; i++) {
		list[i].gfn = s->guest->t->first_free +
			      tiny_random_below(random, last->gfn + last->mem.pages -
								s->guest->t->first_free);
		list[i].op = tiny_random_below(random, 2) ? TINY_WRITE : TINY_READ;
	}
	return count;
}

static bool is_equal(struct stress *s, const uint64_t *got, const uint64_t *want, const char *what)
{
	size_t gfn = tiny_map_diff(got, want, STRESS_MAP_PAGES);

	if (gfn == STRESS_MAP_PAGES)
		return true;
	stress_fail(s, "at rest frame %zu is%s %s, and the guest did%s touch it so", gfn,
		    bitmap_test(got, gfn) ? "" : " not", what,
		    bitmap_test(want, gfn) ? "" : " not");
	return false;
}

/* Is each bit of @some also one of @all? */
static bool is_within(struct stress *s, const uint64_t *some, const uint64_t *all, const char *what)
{
	for (size_t gfn = 0; gfn < STRESS_MAP_PAGES; gfn++) {
		if (!bitmap_test(some, gfn) || bitmap_test(all, gfn))
			continue;
		stress_fail(s, "at rest, with a nested guest, frame %zu %s", gfn, what);
		return false;
	}
	return true;
}

/*
 * KVM's shadow pages map by 4 KiB what the other page tables map by 2 MiB, so where there is
 * a large entry, all of its pages may be accessed, or those alone that the nested guest
 * has touched.
 */
static void nested_round(struct stress *s, uint64_t *random, struct stress_rounds *rounds)
{
	static struct tiny_touch list[NESTED_MAX];
	static struct maps m, want;
	size_t vcpu = s->guest->nested.l1.vcpu;
	size_t count = draw_list(s, random, list, NESTED_MAX);
	bool good;
	int r;

	memset(&want, 0, sizeof(want));
	if (harvest(s, KVM_ACCESS_FLUSH_END, &m))
		return;
	r = stress_nested_run(s, list, count, 0);
	if (r) {
		stress_fail(s, "at rest the nested guest does not run: %s", strerror(-r));
		return;
	}
	if (harvest(s, KVM_ACCESS_FLUSH_END, &m))
		return;
	tiny_expect(s->guest->t, vcpu, list, count, want.accessed);
	stress_nested_expect(s, want.accessed);
	tiny_expect_written(s->guest->t, vcpu, list, count, want.dirty);
	good = is_within(s, want.accessed, m.accessed, "was touched and is not accessed");
	good &= is_within(s, want.dirty, m.dirty, "was written and is not dirty");
	widen(want.accessed, m.large);
	good &= is_within(s, m.accessed, want.accessed, "is accessed and was not touched");
	rounds->nested += good;
}

static void exact_round(struct stress *s, uint64_t *random, struct stress_rounds *rounds)
{
	static struct tiny_touch list[TOUCHES_MAX];
	static struct maps m, want;
	/* Of those that verified all: what each of them needs for itself is mapped. */
	size_t vcpu = tiny_random_below(random, stress_guest_vcpus(s->guest));
	size_t count = draw_list(s, random, list, TOUCHES_MAX);
	int r;

	memset(&want, 0, sizeof(want));
	if (harvest(s, KVM_ACCESS_FLUSH_END, &m))
		return;
	r = tiny_run(s->guest->t, vcpu, list, count, 0, NULL);
	if (r) {
		stress_fail(s, "at rest the guest does not run: %s", strerror(-r));
		return;
	}
	if (harvest(s, KVM_ACCESS_FLUSH_END, &m))
		return;
	tiny_expect(s->guest->t, vcpu, list, count, want.accessed);
	tiny_expect_written(s->guest->t, vcpu, list, count, want.dirty);
	widen(want.accessed, m.large);
	widen(want.dirty, m.large);
	rounds->accessed += is_equal(s, m.accessed, want.accessed, "accessed");
	rounds->dirty += is_equal(s, m.dirty, want.dirty, "dirty");
}

/* A harvester that goes on while dirty logs are switched on. */
static void *harvest_all_the_time(void *arg)
{
	struct stress_worker *w = arg;
	static struct maps m;

	while (!w->s->stop && !harvest(w->s, KVM_ACCESS_FLUSH_END, &m))
		w->steps++;
	return NULL;
}

/* Writes to one region are in its log, however its D bits were harvested. */
static void logged_round(struct stress *s, uint64_t *random, struct stress_rounds *rounds)
{
	static struct tiny_touch list[TOUCHES_MAX];
	static uint64_t log[WORDS], want[WORDS];
	const struct stress_region *r = &s->guest->regions[rounds->logged % _STRESS_REGION_MAX];
	struct kvm_clear_dirty_log clear = {
		.slot = r->id, .num_pages = (uint32_t)r->mem.pages, .dirty_bitmap = log};
	struct kvm_dirty_log get = {.slot = r->id, .dirty_bitmap = log};
	size_t count = draw_list(s, random, list, TOUCHES_MAX), lost = 0;
	struct tiny *t = s->guest->t;
	int e;

	memset(want, 0, sizeof(want));
	e = tiny_set_slot(t, r->id, r->gfn, r->mem.pages, r->mem.base, KVM_MEM_LOG_DIRTY_PAGES);
	/* What is in the log from the beginning is cleared, which protects the pages. */
	if (!e && (ioctl(t->vm_fd, KVM_GET_DIRTY_LOG, &get) < 0 ||
		   ioctl(t->vm_fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0))
		e = -errno;
	if (!e)
		e = tiny_run(t, 0, list, count, 0, NULL);
	memset(log, 0, sizeof(log));
	if (!e && ioctl(t->vm_fd, KVM_GET_DIRTY_LOG, &get) < 0)
		e = -errno;
	if (!e)
		e = tiny_set_slot(t, r->id, r->gfn, r->mem.pages, r->mem.base, 0);
	if (e) {
		stress_fail(s, "a round with a dirty log does not work: %s", strerror(-e));
		return;
	}
	tiny_expect_written(t, 0, list, count, want);
	for (size_t page = 0; page < r->mem.pages; page++) {
		bool logged = bitmap_test(log, page), written = bitmap_test(want, r->gfn + page);

		lost += written && !logged;
		rounds->logged_beyond += logged && !written;
	}
	if (lost)
		stress_fail(s, "%zu pages of slot %d were written and are not in its dirty log",
			    lost, (int)r->id);
	else
		rounds->logged++;
}

void stress_exact(struct stress *s, uint64_t *random, struct stress_rounds *rounds)
{
	struct stress_worker w = {.s = s};
	pthread_t harvester;

	for (unsigned int i = 0; i < rounds->asked && !s->failure[0]; i++)
		exact_round(s, random, rounds);
	for (unsigned int i = 0; i < rounds->asked && !s->failure[0]; i++)
		nested_round(s, random, rounds);
	if (s->failure[0])
		return;
	s->stop = false;
	if (pthread_create(&harvester, NULL, harvest_all_the_time, &w)) {
		stress_fail(s, "no thread can be made");
		return;
	}
	for (unsigned int i = 0; i < rounds->asked && !s->failure[0]; i++)
		logged_round(s, random, rounds);
	s->stop = true;
	pthread_join(harvester, NULL);
}
