// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Users of the access fd in the stress.
 */
#include "stress-harvest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "stress-guest.h"
#include "tiny-access.h"

#define WORDS	   (STRESS_MAP_PAGES / BITMAP_WORD)
#define CANARY	   0x5a5a5a5a5a5a5a5aULL
#define SLOTS_ROOM 32

/* After which a duellist without opponent looks whether all is over. */
#define DUEL_WAIT_S 1

/* About as long as it takes the other one to get to the entries and through with them. */
#define DUEL_US 800

/* The bitmaps of a harvest, and a word behind each that must stay what it is. */
enum map { ACCESSED, PRESENT, DIRTY, LARGE, ON_NODES, _MAP_MAX };

static __thread uint64_t maps[_MAP_MAX][WORDS + 1];

/* What is asked for, and which odd answers that explains. */
struct request {
	struct kvm_access_harvest h;
	uint64_t first, pages;
	bool bad;	/* a pointer is */
	bool forbidden; /* to clear by a peeking fd */
	uint64_t nodes;
};

static uint64_t *map_field(struct kvm_access_harvest *h, enum map map)
{
	switch (map) {
	case ACCESSED:
		return (uint64_t *)&h->accessed;
	case PRESENT:
		return (uint64_t *)&h->present;
	case DIRTY:
		return (uint64_t *)&h->dirty;
	case LARGE:
		return (uint64_t *)&h->large;
	default:
		return (uint64_t *)&h->on_nodes;
	}
}

static uint64_t map_counter(const struct kvm_access_harvest *h, enum map map)
{
	const uint64_t counters[] = {
		[ACCESSED] = h->nr_accessed, [PRESENT] = h->nr_present,	  [DIRTY] = h->nr_dirty,
		[LARGE] = h->nr_large,	     [ON_NODES] = h->nr_on_nodes,
	};

	return counters[map];
}

static void draw_request(struct stress_worker *w, bool clears, struct request *q)
{
	static const uint64_t bad_pointers[] = {8, 0xffff888000000000};
	bool whole = stress_one_in(w, 4);

	memset(q, 0, sizeof(*q));
	q->first = whole ? 0 : BITMAP_WORD * tiny_random_below(&w->random, WORDS);
	q->pages = STRESS_MAP_PAGES - q->first;
	if (!whole)
		q->pages = 1 + tiny_random_below(&w->random, q->pages);
	q->h.gfn = q->first;
	q->h.npages = q->pages;
	q->h.as_id = stress_one_in(w, 16) ? 1 : 0;
	if (!clears)
		q->h.flags |= KVM_ACCESS_PEEK;
	if (stress_one_in(w, 2))
		q->h.flags |= KVM_ACCESS_FLUSH_END;
	q->nodes = tiny_random_below(&w->random, 4);
	q->h.nodemask = (uintptr_t)&q->nodes;
	q->h.nodemask_bits = BITMAP_WORD;
	memset(maps, 0x5a, sizeof(maps));
	for (int map = 0; map < _MAP_MAX; map++)
		if (!stress_one_in(w, 4))
			*map_field(&q->h, (enum map)map) = (uintptr_t)maps[map];
	if (stress_one_in(w, 64)) {
		q->bad = true;
		q->h.present =
			bad_pointers[tiny_random_below(&w->random, ARRAY_SIZE(bad_pointers))];
	}
}

/* The generation that the table has now, which the next change makes a stale one. */
static uint64_t draw_generation(struct stress_worker *w, int fd)
{
	struct kvm_access_info info;

	if (stress_one_in(w, 2) || tiny_access_info(fd, &info) ||
	    (info.generation & KVM_ACCESS_GENERATION_CHANGING))
		return 0;
	return info.generation;
}

static bool error_is_explained(struct stress_worker *w, const struct request *q, int error)
{
	switch (error) {
	case EINTR:
		stress_count_add(w->s, STRESS_EINTR, 1);
		return true;
	case ESTALE:
		stress_count_add(w->s, STRESS_ESTALE, 1);
		return q->h.generation != 0;
	case EFAULT:
		stress_count_add(w->s, STRESS_EFAULT, 1);
		return q->bad;
	case EPERM:
		stress_count_add(w->s, STRESS_EPERM, 1);
		return q->forbidden;
	default:
		return false;
	}
}

/* Return: true if the range was done to its end. */
static bool harvest(struct stress_worker *w, int fd, struct request *q)
{
	enum stress_count what = q->h.flags & KVM_ACCESS_PEEK ? STRESS_PEEKS : STRESS_HARVESTS;

	for (;;) {
		uint64_t left = q->h.npages;

		if (ioctl(fd, KVM_ACCESS_HARVEST, &q->h) < 0) {
			if (!error_is_explained(w, q, errno))
				stress_fail(w->s, "a harvest fails without a reason: %s",
					    strerror(errno));
			if (errno == EINTR)
				continue;
			return false;
		}
		if (q->bad || q->forbidden) {
			stress_fail(w->s, "a harvest that must be refused is not");
			return false;
		}
		stress_count_add(w->s, what, 1);
		if (!q->h.npages)
			return true;
		if (q->h.npages >= left) {
			stress_fail(w->s, "a harvest returns without having done anything");
			return false;
		}
		stress_count_add(w->s, STRESS_EARLY_RETURNS, 1);
	}
}

static void check_map(struct stress_worker *w, struct request *q, enum map map)
{
	size_t first = 0, end = bitmap_words(q->first + q->pages);
	uint64_t odd = 0;

	first = q->first / BITMAP_WORD;
	if (q->h.present && map != PRESENT)
		for (size_t i = first; i < end; i++)
			odd |= maps[map][i] & ~maps[PRESENT][i];
	if (odd)
		stress_fail(w->s, "bitmap %d has pages that are not present", (int)map);
	if (maps[map][end] != CANARY || (first && maps[map][first - 1] != CANARY))
		stress_fail(w->s, "a harvest writes beyond its range to bitmap %d", (int)map);
	if (bitmap_count(maps[map] + first, (end - first) * BITMAP_WORD) != map_counter(&q->h, map))
		stress_fail(w->s,
			    "bitmap %d does not hold as many pages as its counter says: %" PRIu64,
			    (int)map, map_counter(&q->h, map));
}

static void harvest_and_check(struct stress_worker *w, int fd, bool clears, bool forbidden)
{
	struct request q;

	draw_request(w, clears, &q);
	q.forbidden = forbidden;
	q.h.generation = draw_generation(w, fd);
	if (!harvest(w, fd, &q))
		return;
	for (int map = 0; map < _MAP_MAX; map++)
		if (*map_field(&q.h, (enum map)map))
			check_map(w, &q, (enum map)map);
	stress_count_add(w->s, STRESS_PAGES_ACCESSED, q.h.nr_accessed);
	stress_count_add(w->s, STRESS_PAGES_DIRTY, q.h.nr_dirty);
	stress_count_add(w->s, STRESS_LOST_RACES, q.h.nr_retries);
}

void stress_harvest_step(struct stress_worker *w)
{
	harvest_and_check(w, w->s->clear_fd, !stress_one_in(w, 8), false);
}

void stress_duel_harvest_step(struct stress_worker *w)
{
	struct kvm_access_harvest h = {.gfn = STRESS_DUEL_GFN, .npages = STRESS_DUEL_PAGES};
	struct timespec end;

	stress_pin(1);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += DUEL_WAIT_S;
	if (sem_timedwait(&w->s->duel, &end) < 0)
		return;
	stress_spin(w, DUEL_US);
	if (ioctl(w->s->clear_fd, KVM_ACCESS_HARVEST, &h) < 0 && errno != EINTR) {
		stress_fail(w->s, "a harvest of a few pages fails: %s", strerror(errno));
		return;
	}
	stress_count_add(w->s, STRESS_DUEL_HARVESTS, 1);
	stress_count_add(w->s, STRESS_LOST_RACES, h.nr_retries);
}

void stress_peek_step(struct stress_worker *w)
{
	_cleanup_(closep) int fresh = -1;
	bool clears;

	/* By the clearing fd, only one at a time can harvest, and the other one waits. */
	if (stress_one_in(w, 3)) {
		struct request q;

		draw_request(w, false, &q);
		harvest(w, w->s->clear_fd, &q);
		return;
	}
	if (stress_one_in(w, 8)) {
		fresh = tiny_access_open(w->s->guest->t->vm_fd, 0);
		if (fresh < 0)
			stress_fail(w->s, "another peeking fd is refused: %s", strerror(-fresh));
	}
	clears = stress_one_in(w, 32);
	harvest_and_check(w, fresh >= 0 ? fresh : w->s->peek_fd, clears, clears);
}

void stress_second_owner_step(struct stress_worker *w)
{
	int vm_fd = w->s->guest->t->vm_fd;
	_cleanup_(closep) int fd = -1;

	fd = stress_one_in(w, 2) ? tiny_access_open(vm_fd, KVM_ACCESS_FD_CLEAR)
				 : tiny_access_open_own(vm_fd, KVM_ACCESS_FD_CLEAR);
	if (fd != -EBUSY) {
		stress_fail(w->s, "a second owner is not refused with EBUSY: %s",
			    fd < 0 ? strerror(-fd) : "it got an fd");
		return;
	}
	stress_count_add(w->s, STRESS_EBUSY, 1);
	stress_count_add(w->s, STRESS_SECOND_OWNERS_REFUSED, 1);
}

void stress_slot_table_step(struct stress_worker *w)
{
	static __thread uint64_t newest;
	struct kvm_access_slot slots[SLOTS_ROOM];
	uint64_t generation, plain;
	uint32_t count;
	int r = tiny_access_slots(w->s->peek_fd, slots, stress_one_in(w, 8) ? 1 : SLOTS_ROOM,
				  &count, &generation);

	if (r == -E2BIG && count > 1)
		return;
	if (r || count < _STRESS_REGION_MAX || count > SLOTS_ROOM) {
		stress_fail(w->s, "the table of slots cannot be read: %s, %u slots", strerror(-r),
			    count);
		return;
	}
	stress_count_add(w->s, STRESS_SLOT_TABLES_READ, 1);
	if (generation & KVM_ACCESS_GENERATION_CHANGING)
		stress_count_add(w->s, STRESS_SLOT_TABLES_CHANGING, 1);
	plain = generation & ~KVM_ACCESS_GENERATION_CHANGING;
	if (plain < newest)
		stress_fail(w->s,
			    "the generation of the slots goes back from %" PRIu64 " to %" PRIu64,
			    newest, plain);
	newest = plain;
	for (uint32_t i = 0; i < count; i++)
		if (slots[i].base_gfn + slots[i].npages > STRESS_MAP_PAGES || slots[i].as_id > 1)
			stress_fail(w->s, "the table has a slot that nobody made: %u at %" PRIu64,
				    slots[i].slot, (uint64_t)slots[i].base_gfn);
}
