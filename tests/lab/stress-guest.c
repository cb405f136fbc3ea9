// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest of the stress.
 */
#include "stress-guest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"

#define SMALL_PAGES  8192
#define LARGE_GFN    SMALL_PAGES
#define LARGE_LENGTH 8192
#define SHARED_GFN   (LARGE_GFN + LARGE_LENGTH)
#define SHARED_PAGES 4096
#define MOVER_SLOT   8

/* Longest list of the vault: each of its pages is compared, by the host and by the guest. */
#define VAULT_MAX 256

/* vCPUs that do not touch everything: the last two. */
#define VCPUS_MORE 2

_Static_assert(SHARED_GFN + SHARED_PAGES <= STRESS_NESTED_GFN &&
		       STRESS_NESTED_GFN + STRESS_NESTED_PAGES <= STRESS_WINDOWS_GFN,
	       "what stays and the windows overlap");
_Static_assert(STRESS_DUEL_GFN >= SMALL_PAGES / 2 &&
		       STRESS_DUEL_GFN + STRESS_DUEL_PAGES <= SMALL_PAGES &&
		       STRESS_DUEL_GFN % BITMAP_WORD == 0,
	       "the duelling ground is not within the quarry");
_Static_assert(STRESS_TWIN_GFN >= SMALL_PAGES / 2 &&
		       STRESS_TWIN_GFN + STRESS_TWIN_PAGES <= STRESS_DUEL_GFN,
	       "the twins are not within the quarry");
_Static_assert(STRESS_WINDOWS_GFN + STRESS_WINDOWS * STRESS_WINDOW <= STRESS_MAP_PAGES,
	       "the guest's page tables do not reach the windows");

static int add_region(struct stress_guest *g, enum stress_region_id id, uint64_t gfn,
		      enum tiny_backing backing, size_t pages)
{
	struct stress_region *r = &g->regions[id];
	int e;

	*r = (struct stress_region) {.id = id, .gfn = gfn, .mem = TINY_MEMORY_NULL};
	e = tiny_memory_init(&r->mem, backing, pages, TINY_ANY_NODE);
	if (e)
		return e;
	return tiny_set_slot(g->t, id, gfn, pages, r->mem.base, 0);
}

static int make_regions(struct stress_guest *g)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET},
	};
	int r;

	if (ioctl(g->t->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return -errno;
	g->regions[STRESS_SMALL] = (struct stress_region) {.id = STRESS_SMALL, .mem = g->t->ram};
	r = add_region(g, STRESS_LARGE, LARGE_GFN, TINY_ANON_THP, LARGE_LENGTH);
	if (!r)
		r = add_region(g, STRESS_SHARED, SHARED_GFN, TINY_MEMFD, SHARED_PAGES);
	for (size_t i = 0; !r && i < STRESS_MOVERS; i++) {
		g->movers[i].slot = MOVER_SLOT + (uint32_t)i;
		g->movers[i].window = -1;
		r = tiny_memory_init(&g->movers[i].mem, TINY_ANON_4K, STRESS_WINDOW, TINY_ANY_NODE);
	}
	if (!r)
		madvise(tiny_memory_at(&g->t->ram, STRESS_TWIN_GFN),
			(size_t)STRESS_TWIN_PAGES << PAGE_SHIFT_4K, MADV_MERGEABLE);
	return r;
}

int stress_guest_new(size_t vcpus, struct stress_guest **ret_guest)
{
	struct tiny_options opts = {
		.pages = SMALL_PAGES, .map_pages = STRESS_MAP_PAGES, .vcpus = vcpus + VCPUS_MORE};
	struct stress_guest *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	r = tiny_new(&opts, &g->t);
	if (!r)
		r = make_regions(g);
	if (!r)
		r = stress_nested_init(&g->nested, g->t, vcpus + 1);
	if (r) {
		fprintf(stderr, "# the guest of the stress cannot be made: %s\n", strerror(-r));
		stress_guest_free(g);
		return r;
	}
	*ret_guest = g;
	return 0;
}

struct stress_guest *stress_guest_free(struct stress_guest *g)
{
	if (!g)
		return NULL;
	g->t = tiny_free(g->t);
	for (size_t i = STRESS_LARGE; i < _STRESS_REGION_MAX; i++)
		if (g->regions[i].mem.base)
			tiny_memory_deinit(&g->regions[i].mem);
	for (size_t i = 0; i < STRESS_MOVERS; i++)
		if (g->movers[i].mem.base)
			tiny_memory_deinit(&g->movers[i].mem);
	stress_nested_deinit(&g->nested);
	free(g);
	return NULL;
}

size_t stress_guest_vcpus(const struct stress_guest *g)
{
	return g->t->nr_vcpus - VCPUS_MORE;
}

bool stress_guest_is_vault(const struct stress_guest *g, const struct stress_region *r,
			   uint64_t page)
{
	/* Of large pages every other one, so that each is split and collapsed as a whole. */
	if (r->id == STRESS_LARGE)
		return page / LARGE_PAGES % 2 == 0;
	return (r->id != STRESS_SMALL || page >= g->t->first_free) && page < r->mem.pages / 2;
}

static const struct stress_region *region_at(const struct stress_guest *g, uint64_t gfn)
{
	if (gfn < LARGE_GFN)
		return &g->regions[STRESS_SMALL];
	return &g->regions[gfn < SHARED_GFN ? STRESS_LARGE : STRESS_SHARED];
}

/* The word that the guest reads and writes, where the host sees it. */
static uint64_t word_at(const struct stress_guest *g, uint64_t gfn)
{
	const struct stress_region *r = region_at(g, gfn);
	const uint8_t *page = tiny_memory_at(&r->mem, gfn - r->gfn);

	return *(const volatile uint64_t *)(page + TINY_WORD_OFFSET);
}

static uint64_t stamp_of(uint64_t stamp, uint64_t gfn)
{
	return stamp + (gfn << PAGE_SHIFT_4K);
}

void stress_guest_read_faults(struct stress *s)
{
	const struct tiny *t = s->guest->t;
	uint64_t fixed = 0, taken = 0, value;

	for (size_t i = 0; i < t->nr_vcpus; i++) {
		/* tiny_stat() wants something that has statistics: a vCPU does. */
		struct tiny vcpu = {.vm_fd = t->vcpus[i].fd};

		if (tiny_stat(&vcpu, "pf_fixed", &value) == 0)
			fixed += value;
		if (tiny_stat(&vcpu, "pf_taken", &value) == 0)
			taken += value;
	}
	s->counts[STRESS_FAULTS] = fixed;
	s->counts[STRESS_FAULTS_TAKEN] = taken;
}

static int run_to_end(struct stress_worker *w, size_t vcpu, const struct tiny_touch *list,
		      size_t count, uint64_t stamp, uint64_t *ret_sum)
{
	struct tiny *t = w->s->guest->t;
	int r = tiny_run(t, vcpu, list, count, stamp, ret_sum);

	while (r == -EINTR) {
		stress_count_add(w->s, STRESS_GUEST_INTERRUPTED, 1);
		r = tiny_resume(t, vcpu, ret_sum);
	}
	stress_count_add(w->s, STRESS_GUEST_RUNS, 1);
	return r;
}

/* A page of the vault that belongs to the vCPU. */
static uint64_t draw_vault(struct stress_worker *w)
{
	const struct stress_guest *g = w->s->guest;

	for (;;) {
		const struct stress_region *r =
			&g->regions[tiny_random_below(&w->random, _STRESS_REGION_MAX)];
		uint64_t page = tiny_random_below(&w->random, r->mem.pages);

		if (stress_guest_is_vault(g, r, page) &&
		    (r->gfn + page) % stress_guest_vcpus(g) == w->index)
			return r->gfn + page;
	}
}

static void touch_vault(struct stress_worker *w)
{
	static __thread struct tiny_touch list[VAULT_MAX];
	static __thread uint64_t listed[STRESS_MAP_PAGES / BITMAP_WORD];
	size_t count = 1 + tiny_random_below(&w->random, VAULT_MAX);
	uint64_t stamp = tiny_random(&w->random), sum = 0, want = 0;
	int r;

	memset(listed, 0, sizeof(listed));
	for (size_t i = 0; i < count;) {
		uint64_t gfn = draw_vault(w);

		if (bitmap_test(listed, gfn))
			continue;
		bitmap_set(listed, gfn);
		list[i++] = (struct tiny_touch) {.gfn = gfn, .op = TINY_WRITE};
	}
	r = run_to_end(w, w->index, list, count, stamp, NULL);
	if (r) {
		stress_fail(w->s, "vCPU %u could not write its vault: %s", w->index, strerror(-r));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t gfn = list[i].gfn, got = word_at(w->s->guest, gfn);

		if (got != stamp_of(stamp, gfn)) {
			stress_fail(w->s,
				    "the guest wrote %" PRIx64 " to frame %" PRIu64
				    " and the host reads %" PRIx64
				    " there: an entry has outlived its page",
				    stamp_of(stamp, gfn), gfn, got);
			return;
		}
		want += got;
		list[i].op = TINY_READ;
	}
	r = run_to_end(w, w->index, list, count, 0, &sum);
	if (r || sum != want)
		stress_fail(w->s, "vCPU %u reads something else than it wrote (%s)", w->index,
			    strerror(-r));
	stress_count_add(w->s, STRESS_PAGES_VERIFIED, count);
}

static bool is_twin(uint64_t gfn)
{
	return gfn >= STRESS_TWIN_GFN && gfn < STRESS_TWIN_GFN + STRESS_TWIN_PAGES;
}

struct tiny_touch stress_guest_draw(struct stress_worker *w, bool windows)
{
	struct stress_guest *g = w->s->guest;
	/* A page that is read first costs four faults: KVM tries again when the zero page goes. */
	struct tiny_touch touch = {.op = stress_one_in(w, 8) ? TINY_READ : TINY_WRITE};
	uint64_t kind = tiny_random_below(&w->random, _STRESS_REGION_MAX + windows);
	const struct stress_region *r;
	uint64_t page;
	int window;

	if (kind == _STRESS_REGION_MAX) {
		window = g->movers[tiny_random_below(&w->random, STRESS_MOVERS)].window;
		if (window >= 0) {
			touch.gfn = STRESS_WINDOWS_GFN + (uint64_t)window * STRESS_WINDOW +
				    tiny_random_below(&w->random, STRESS_WINDOW);
			return touch;
		}
		kind = STRESS_SMALL;
	}
	r = &g->regions[kind];
	do {
		page = tiny_random_below(&w->random, r->mem.pages);
	} while (r->gfn + page < g->t->first_free);
	touch.gfn = r->gfn + page;
	if (stress_guest_is_vault(g, r, page) || (is_twin(touch.gfn) && !stress_one_in(w, 16)))
		touch.op = TINY_READ;
	return touch;
}

/* Did the vCPU end at a page of its list whose slot may have gone away in the meantime? */
static bool is_window_exit(const struct stress_worker *w, const struct tiny_touch *list,
			   size_t count)
{
	const struct kvm_run *run = w->s->guest->t->vcpus[w->index].run;
	uint64_t gfn = run->mmio.phys_addr >> PAGE_SHIFT_4K;

	if (run->exit_reason != KVM_EXIT_MMIO || gfn < STRESS_WINDOWS_GFN)
		return false;
	for (size_t i = 0; i < count; i++)
		if (list[i].gfn == gfn)
			return true;
	return false;
}

static void touch_anything(struct stress_worker *w)
{
	static __thread struct tiny_touch list[TINY_LIST_MAX];
	size_t count = 1 + tiny_random_below(&w->random, TINY_LIST_MAX);
	int r;

	for (size_t i = 0; i < count; i++)
		list[i] = stress_guest_draw(w, true);
	r = run_to_end(w, w->index, list, count, tiny_random(&w->random), NULL);
	if (r == -EFAULT && is_window_exit(w, list, count))
		stress_count_add(w->s, STRESS_GUEST_MMIO_EXITS, 1);
	else if (r)
		stress_fail(w->s, "vCPU %u did not come through its list: %s", w->index,
			    strerror(-r));
}

void stress_guest_step(struct stress_worker *w)
{
	if (stress_one_in(w, 4))
		touch_vault(w);
	else
		touch_anything(w);
}

void stress_duel_touch_step(struct stress_worker *w)
{
	static struct tiny_touch list[STRESS_DUEL_PAGES]; /* of the one worker */
	int r;

	tiny_list_every(TINY_WRITE, STRESS_DUEL_GFN, list, STRESS_DUEL_PAGES);
	r = run_to_end(w, stress_guest_vcpus(w->s->guest), list, STRESS_DUEL_PAGES,
		       tiny_random(&w->random), NULL);
	if (r)
		stress_fail(w->s, "the vCPU of the duels did not come through its list: %s",
			    strerror(-r));
}

uint64_t stress_guest_verify_all(struct stress *s, uint64_t *random)
{
	struct stress_worker w = {.s = s};
	static struct tiny_touch list[TINY_LIST_MAX];
	uint64_t gfn = s->guest->t->first_free, end = SHARED_GFN + SHARED_PAGES, verified = 0;
	size_t vcpu = 0;

	while (gfn < end && !s->failure[0]) {
		uint64_t stamp = tiny_random(random);
		size_t count = min_u64(end - gfn, TINY_LIST_MAX);
		int r;

		/* By all vCPUs, so that what each of them needs for itself is mapped too. */
		vcpu = (vcpu + 1) % stress_guest_vcpus(s->guest);
		tiny_list_every(TINY_WRITE, gfn, list, count);
		r = run_to_end(&w, vcpu, list, count, stamp, NULL);
		if (r)
			stress_fail(s, "the guest cannot write all of its RAM: %s", strerror(-r));
		for (size_t i = 0; !r && i < count; i++, verified++)
			if (word_at(s->guest, gfn + i) != stamp_of(stamp, gfn + i)) {
				stress_fail(s,
					    "at rest the host does not see what the guest wrote to "
					    "frame %" PRIu64 ": an entry has outlived its page",
					    gfn + i);
				break;
			}
		gfn += count;
	}
	return verified;
}
