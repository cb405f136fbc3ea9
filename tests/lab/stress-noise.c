// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What goes on below the guest of the stress.
 */
#include "stress-noise.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "stress-guest.h"
#include "tiny-access.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define SMM_SLOT    ((1U << 16) | 20)
#define NODES	    2
#define ZAP_MAX	    2048
#define DIRTY_WORDS (8192 / BITMAP_WORD)
#define IDLE_WORDS  512

/* With fewer accessed pages a duel is not worth while. */
#define DUEL_PAGES_MIN (STRESS_DUEL_PAGES / 2)

#define EVICT_AT_ONCE 64
#define PAGEOUT_MAX   256

static const struct stress_region *draw_region(struct stress_worker *w)
{
	return &w->s->guest->regions[tiny_random_below(&w->random, _STRESS_REGION_MAX)];
}

/* Zapping */

/* Pages of the quarry from a random one on, at most @max. */
static size_t draw_quarry(struct stress_worker *w, const struct stress_region *r, size_t max,
			  uint64_t *ret_page)
{
	const struct stress_guest *g = w->s->guest;
	size_t n = 1 + tiny_random_below(&w->random, max);
	uint64_t first, end;

	do {
		first = tiny_random_below(&w->random, r->mem.pages);
	} while (stress_guest_is_vault(g, r, first) || r->gfn + first < g->t->first_free);
	if (r->id == STRESS_LARGE && stress_one_in(w, 2)) { /* a whole large page */
		first -= first % LARGE_PAGES;
		n = LARGE_PAGES;
	}
	for (end = first; end < r->mem.pages && end < first + n; end++)
		if (stress_guest_is_vault(g, r, end))
			break;
	*ret_page = first;
	return end - first;
}

static int zap_shared(struct stress_worker *w, const struct stress_region *r)
{
	uint64_t page;
	size_t n;

	/* Unmapping alone leaves the content, of vaults too, in the memfd. */
	if (stress_one_in(w, 2)) {
		page = tiny_random_below(&w->random, r->mem.pages);
		n = 1 + tiny_random_below(&w->random, r->mem.pages - page);
		stress_count_add(w->s, STRESS_PAGES_ZAPPED, n);
		return madvise(tiny_memory_at(&r->mem, page), n << PAGE_SHIFT_4K, MADV_DONTNEED);
	}
	n = draw_quarry(w, r, ZAP_MAX, &page);
	stress_count_add(w->s, STRESS_PAGES_ZAPPED, n);
	return fallocate(r->mem.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(page << PAGE_SHIFT_4K), (off_t)(n << PAGE_SHIFT_4K));
}

void stress_zap_step(struct stress_worker *w)
{
	const struct stress_region *r = draw_region(w);
	struct stress_mover *m;
	uint64_t page;
	size_t n;
	int e;

	if (stress_one_in(w, 8)) {
		m = &w->s->guest->movers[tiny_random_below(&w->random, STRESS_MOVERS)];
		stress_count_add(w->s, STRESS_PAGES_ZAPPED, STRESS_WINDOW);
		e = madvise(m->mem.base, STRESS_WINDOW << PAGE_SHIFT_4K, MADV_DONTNEED);
	} else if (r->id == STRESS_SHARED) {
		e = zap_shared(w, r);
	} else {
		n = draw_quarry(w, r, ZAP_MAX, &page);
		stress_count_add(w->s, STRESS_PAGES_ZAPPED, n);
		e = madvise(tiny_memory_at(&r->mem, page), n << PAGE_SHIFT_4K, MADV_DONTNEED);
	}
	/* EAGAIN, EINTR: memory is short, or a signal came */
	if (e < 0 && errno != EAGAIN && errno != EINTR)
		stress_fail(w->s, "pages cannot be zapped: %s", strerror(errno));
}

void stress_duel_zap_step(struct stress_worker *w)
{
	const struct tiny_memory *mem = &w->s->guest->regions[STRESS_SMALL].mem;
	struct kvm_access_harvest h = {
		.gfn = STRESS_DUEL_GFN, .npages = STRESS_DUEL_PAGES, .flags = KVM_ACCESS_PEEK};

	/* Until the guest has been there, there is nothing to take away from each other. */
	if (ioctl(w->s->peek_fd, KVM_ACCESS_HARVEST, &h) < 0 || h.nr_accessed < DUEL_PAGES_MIN)
		return;
	stress_pin(0);
	sem_post(&w->s->duel);
	if (madvise(tiny_memory_at(mem, STRESS_DUEL_GFN), STRESS_DUEL_PAGES << PAGE_SHIFT_4K,
		    MADV_DONTNEED) == 0)
		stress_count_add(w->s, STRESS_DUEL_ZAPS, 1);
}

/* Slots */

static bool window_is_taken(const struct stress_guest *g, int window)
{
	for (size_t i = 0; i < STRESS_MOVERS; i++)
		if (g->movers[i].window == window)
			return true;
	return false;
}

static int set_mover(struct stress_worker *w, struct stress_mover *m, int window, bool logs)
{
	uint64_t gfn = STRESS_WINDOWS_GFN + (uint64_t)window * STRESS_WINDOW;

	return tiny_set_slot(w->s->guest->t, m->slot, gfn, STRESS_WINDOW, m->mem.base,
			     logs ? KVM_MEM_LOG_DIRTY_PAGES : 0);
}

static void change_smm_slot(struct stress_worker *w)
{
	static bool there; /* of the one worker */
	const struct stress_guest *g = w->s->guest;
	int r = tiny_set_slot(g->t, SMM_SLOT, STRESS_WINDOWS_GFN, there ? 0 : STRESS_WINDOW,
			      g->movers[0].mem.base, 0);

	if (r)
		stress_fail(w->s, "the slot of the SMM address space cannot be %s: %s",
			    there ? "deleted" : "created", strerror(-r));
	there = !there;
	stress_count_add(w->s, there ? STRESS_SLOTS_CREATED : STRESS_SLOTS_DELETED, 1);
	stress_count_add(w->s, STRESS_SLOT_CHANGES, 1);
}

void stress_slots_step(struct stress_worker *w)
{
	struct stress_guest *g = w->s->guest;
	struct stress_mover *m = &g->movers[tiny_random_below(&w->random, STRESS_MOVERS)];
	enum stress_count what;
	int window, r;

	if (stress_one_in(w, 10)) {
		change_smm_slot(w);
		return;
	}
	do {
		window = (int)tiny_random_below(&w->random, STRESS_WINDOWS);
	} while (window_is_taken(g, window));
	if (m->window < 0) {
		what = STRESS_SLOTS_CREATED;
		r = set_mover(w, m, window, stress_one_in(w, 3));
		if (!r)
			m->window = window;
	} else if (stress_one_in(w, 2)) {
		what = STRESS_SLOTS_DELETED;
		m->window = -1;
		r = tiny_set_slot(g->t, m->slot, 0, 0, NULL, 0);
	} else {
		what = STRESS_SLOTS_MOVED;
		r = set_mover(w, m, window, false);
		if (!r)
			m->window = window;
	}
	if (r) {
		stress_fail(w->s, "a slot cannot be changed (%s): %s", stress_count_names[what],
			    strerror(-r));
		return;
	}
	stress_count_add(w->s, what, 1);
	stress_count_add(w->s, STRESS_SLOT_CHANGES, 1);
}

/* Dirty logs */

static bool logs[_STRESS_REGION_MAX]; /* of the one worker */
static uint64_t dirty_log[_STRESS_REGION_MAX][DIRTY_WORDS];

static int switch_log(struct stress *s, const struct stress_region *r)
{
	int e = tiny_set_slot(s->guest->t, r->id, r->gfn, r->mem.pages, r->mem.base,
			      logs[r->id] ? 0 : KVM_MEM_LOG_DIRTY_PAGES);

	if (e) {
		stress_fail(s, "the dirty log of slot %d cannot be switched: %s", (int)r->id,
			    strerror(-e));
		return e;
	}
	logs[r->id] = !logs[r->id];
	memset(dirty_log[r->id], 0, sizeof(dirty_log[r->id]));
	stress_count_add(s, STRESS_DIRTY_LOG_SWITCHES, 1);
	return 0;
}

static void read_log(struct stress_worker *w, const struct stress_region *r)
{
	struct kvm_dirty_log arg = {.slot = r->id, .dirty_bitmap = dirty_log[r->id]};

	if (ioctl(w->s->guest->t->vm_fd, KVM_GET_DIRTY_LOG, &arg) < 0)
		stress_fail(w->s, "KVM_GET_DIRTY_LOG: %s", strerror(errno));
	stress_count_add(w->s, STRESS_DIRTY_LOG_READS, 1);
}

/* Whole words; the slots are multiples of that. */
static void clear_log(struct stress_worker *w, const struct stress_region *r)
{
	size_t words = bitmap_words(r->mem.pages);
	size_t first = tiny_random_below(&w->random, words);
	size_t n = 1 + tiny_random_below(&w->random, words - first);
	struct kvm_clear_dirty_log arg = {
		.slot = r->id,
		.first_page = first * BITMAP_WORD,
		.num_pages = (uint32_t)(n * BITMAP_WORD),
		.dirty_bitmap = dirty_log[r->id] + first,
	};

	if (ioctl(w->s->guest->t->vm_fd, KVM_CLEAR_DIRTY_LOG, &arg) < 0)
		stress_fail(w->s, "KVM_CLEAR_DIRTY_LOG: %s", strerror(errno));
	stress_count_add(w->s, STRESS_DIRTY_LOG_CLEARS, 1);
}

void stress_dirty_log_step(struct stress_worker *w)
{
	const struct stress_region *r = draw_region(w);

	if (!logs[r->id] || stress_one_in(w, 4)) {
		switch_log(w->s, r);
		return;
	}
	read_log(w, r);
	clear_log(w, r);
}

void stress_dirty_log_end(struct stress *s)
{
	for (size_t i = 0; i < _STRESS_REGION_MAX; i++)
		if (logs[i])
			switch_log(s, &s->guest->regions[i]);
}

/* Migration */

/* Those of @n pages that lie on another node than @node go to the front.  Return: how many. */
static size_t pages_elsewhere(void **at, int *status, size_t n, int node)
{
	size_t left = 0;

	if (syscall(SYS_move_pages, 0, n, at, NULL, status, 0) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (status[i] >= 0 && status[i] != node)
			at[left++] = at[i];
	return left;
}

void stress_move_step(struct stress_worker *w)
{
	static __thread void *at[LARGE_PAGES];
	static __thread int nodes[LARGE_PAGES], status[LARGE_PAGES];
	const struct stress_guest *g = w->s->guest;
	const struct tiny_memory *mem = &draw_region(w)->mem;
	int node = (int)tiny_random_below(&w->random, NODES);
	int flags = stress_one_in(w, 2) ? MPOL_MF_MOVE : MPOL_MF_MOVE_ALL;
	uint64_t first;
	size_t n, moved = 0;

	if (stress_one_in(w, 8))
		mem = &g->movers[tiny_random_below(&w->random, STRESS_MOVERS)].mem;
	first = tiny_random_below(&w->random, mem->pages);
	n = 1 + tiny_random_below(&w->random, min_u64(LARGE_PAGES, mem->pages - first));
	for (size_t i = 0; i < n; i++)
		at[i] = tiny_memory_at(mem, first + i);
	n = pages_elsewhere(at, status, n, node);
	if (!n)
		return;
	for (size_t i = 0; i < n; i++) {
		nodes[i] = node;
		status[i] = -EAGAIN;
	}
	/* Pages in use stay behind, which is no failure. */
	if (syscall(SYS_move_pages, 0, n, at, nodes, status, flags) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		moved += status[i] == node;
	stress_count_add(w->s, STRESS_PAGES_MIGRATED, moved);
}

/* Large pages */

static bool write_to(const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

void stress_thp_step(struct stress_worker *w)
{
	const struct tiny_memory *mem = &w->s->guest->regions[STRESS_LARGE].mem;
	uint64_t first = LARGE_PAGES * tiny_random_below(&w->random, mem->pages / LARGE_PAGES);
	uintptr_t start = (uintptr_t)tiny_memory_at(mem, first);
	char command[96];

	if (!stress_one_in(w, 3)) {
		/* It fails where pages are in use, or none of 2 MiB is free. */
		if (madvise((void *)start, MIB(2), MADV_COLLAPSE) == 0)
			stress_count_add(w->s, STRESS_THP_COLLAPSED, 1);
		return;
	}
	snprintf(command, sizeof(command), "%d,0x%" PRIxPTR ",0x%" PRIxPTR, getpid(), start,
		 start + MIB(2));
	if (write_to("/sys/kernel/debug/split_huge_pages", command))
		stress_count_add(w->s, STRESS_THP_SPLITS_ASKED, 1);
}

/* Merging */

void stress_twins_step(struct stress_worker *w)
{
	const struct tiny_memory *mem = &w->s->guest->regions[STRESS_SMALL].mem;
	static const uint8_t twin[1 << PAGE_SHIFT_4K] = "twin";

	for (uint64_t i = 0; i < STRESS_TWIN_PAGES; i++) {
		void *page = tiny_memory_at(mem, STRESS_TWIN_GFN + i);

		if (memcmp(page, twin, sizeof(twin)) != 0) /* a write takes merged ones apart */
			memcpy(page, twin, sizeof(twin));
	}
}

/* Ageing */

/* A stretch of frames is marked as idle, and looked at again. */
static void age_by_idle_bits(struct stress_worker *w)
{
	static __thread uint64_t words[IDLE_WORDS];
	_cleanup_(closep) int fd = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR | O_CLOEXEC);
	uint64_t frames =
		(uint64_t)sysconf(_SC_PHYS_PAGES) + (1 << 18); /* and the hole below 4 GiB */
	off_t at = (off_t)(sizeof(uint64_t) * tiny_random_below(&w->random, frames / BITMAP_WORD));

	if (fd < 0)
		return;
	memset(words, 0xff, sizeof(words));
	if (pwrite(fd, words, sizeof(words), at) <= 0)
		return;
	if (pread(fd, words, sizeof(words), at) > 0)
		stress_count_add(w->s, STRESS_IDLE_PASSES, 1);
}

/* Of some memcg and node in MGLRU's table.  Return: false if there is none. */
static bool draw_generation(struct stress_worker *w, unsigned int *memcg, unsigned int *node,
			    uint64_t *oldest, uint64_t *newest)
{
	_cleanup_(fclosep) FILE *f = fopen("/sys/kernel/debug/lru_gen", "re");
	unsigned int memcg_now = 0, node_now = 0, seen = 0;
	uint64_t seq, first = 0;
	bool fresh = false, chosen = false;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " memcg %u", &memcg_now) == 1)
			continue;
		if (sscanf(line, " node %u", &node_now) == 1) {
			fresh = true;
			chosen = stress_one_in(w, ++seen);
			continue;
		}
		if (sscanf(line, " %" SCNu64, &seq) != 1)
			continue;
		if (fresh)
			first = seq;
		fresh = false;
		if (!chosen)
			continue;
		*memcg = memcg_now;
		*node = node_now;
		*oldest = first;
		*newest = seq;
	}
	return seen > 0;
}

static void age_by_generations(struct stress_worker *w)
{
	unsigned int memcg, node;
	uint64_t oldest, newest;
	char command[96];
	bool evict = stress_one_in(w, 4);

	if (!draw_generation(w, &memcg, &node, &oldest, &newest))
		return;
	if (evict)
		snprintf(command, sizeof(command), "- %u %u %" PRIu64 " 100 %u", memcg, node,
			 oldest, EVICT_AT_ONCE);
	else
		snprintf(command, sizeof(command), "+ %u %u %" PRIu64 " 1 1", memcg, node, newest);
	/* It is refused when somebody else has aged in the meantime. */
	if (write_to("/sys/kernel/debug/lru_gen", command))
		stress_count_add(w->s, evict ? STRESS_EVICTIONS : STRESS_AGEING_PASSES, 1);
}

/* Of vaults too: content that comes back from swap is the same. */
static void page_out(struct stress_worker *w)
{
	const struct stress_region *r = draw_region(w);
	uint64_t page = tiny_random_below(&w->random, r->mem.pages);
	size_t n = 1 + tiny_random_below(&w->random, min_u64(PAGEOUT_MAX, r->mem.pages - page));

	/* Code and page tables stay where they are: lab/README.md, "Two ways to emulate". */
	if (r->gfn + page < w->s->guest->t->first_free)
		return;
	if (madvise(tiny_memory_at(&r->mem, page), n << PAGE_SHIFT_4K, MADV_PAGEOUT) == 0)
		stress_count_add(w->s, STRESS_PAGEOUTS, 1);
}

void stress_age_step(struct stress_worker *w)
{
	static void (*const ways[])(struct stress_worker * w) = {
		age_by_idle_bits,
		age_by_generations,
		page_out,
	};

	ways[tiny_random_below(&w->random, ARRAY_SIZE(ways))](w);
}

/* Signals */

void stress_nudge_step(struct stress_worker *w)
{
	struct stress_worker *other =
		&w->s->workers[tiny_random_below(&w->random, w->s->nr_workers)];

	if (!other->nudged || !other->runs)
		return;
	pthread_kill(other->thread, SIGUSR1);
	stress_count_add(w->s, STRESS_SIGNALS, 1);
}
