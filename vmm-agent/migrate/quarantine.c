// SPDX-License-Identifier: GPL-2.0-or-later
/* Linear probing with tombstones, rebuilt when it grows or is full. */
#include "migrate/quarantine.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"

struct quarantined {
	uint64_t key; /* index + 1; 0 is free */
	uint64_t until_ns;
	uint32_t failures; /* 0: moved meanwhile, the place is kept for probing */
	uint32_t pages;
};

/* Half full at most, so that probing stays short. */
#define ROOM_MAX (2 * QUARANTINE_MAX)

/* A full table is searched for what may go this often: 3 MiB are read each time. */
#define SWEEP_NS (10 * NSEC_PER_SEC)

/* Seconds before the first retry; 0: not a matter of the page. */
static const uint32_t first_delay_s[CAUSE_COUNT] = {
	[CAUSE_BUSY] = 1,	   /* isolated for reclaim or compaction: soon over */
	[CAUSE_PINNED] = 4,	   /* O_DIRECT pins last milliseconds, VFIO's for ever */
	[CAUSE_NO_HUGE_PAGE] = 10, /* compaction and others' exits make blocks, but not by the second */
	[CAUSE_SHARED] = 30,	   [CAUSE_NOT_MAPPED] = 4, [CAUSE_OTHER] = 10,
};

void quarantine_init(struct quarantine *q)
{
	memset(q, 0, sizeof(*q));
}

void quarantine_deinit(struct quarantine *q)
{
	free(q->slots);
	quarantine_init(q);
}

static struct quarantined *slot_of(struct quarantined *slots, size_t room, uint64_t index)
{
	size_t at = (size_t)((index + 1) * 0x9e3779b97f4a7c15ULL >> 32) & (room - 1);

	while (slots[at].key && slots[at].key != index + 1)
		at = (at + 1) & (room - 1);
	return &slots[at];
}

/* Worth keeping: it failed, has not moved since, and somebody may still want to try it. */
static bool is_current(const struct quarantined *s, uint64_t now_ns)
{
	return s->failures && now_ns < s->until_ns + QUARANTINE_MAX_DELAY_S * NSEC_PER_SEC;
}

/* Another table, twice as large up to the limit, with what is still current. */
static bool rebuild(struct quarantine *q, uint64_t now_ns)
{
	size_t room = q->room ? q->room * 2 : 256, n = 0;
	struct quarantined *slots;

	if (room > ROOM_MAX)
		room = ROOM_MAX;
	slots = calloc(room, sizeof(*slots));
	if (!slots)
		return false;
	for (size_t i = 0; i < q->room; i++) {
		if (!q->slots[i].key || !is_current(&q->slots[i], now_ns))
			continue;
		*slot_of(slots, room, q->slots[i].key - 1) = q->slots[i];
		n++;
	}
	free(q->slots);
	*q = (struct quarantine) {.slots = slots, .room = room, .n = n, .swept_ns = now_ns};
	return true;
}

static bool make_room(struct quarantine *q, uint64_t now_ns)
{
	if (2 * (q->n + 1) <= q->room)
		return true;
	if (q->room == ROOM_MAX && now_ns < q->swept_ns + SWEEP_NS)
		return false;
	return rebuild(q, now_ns) && 2 * (q->n + 1) <= q->room;
}

void quarantine_add(struct quarantine *q, uint64_t index, uint32_t pages, enum cause cause,
		    uint64_t now_ns)
{
	struct quarantined *s = q->room ? slot_of(q->slots, q->room, index) : NULL;
	uint64_t delay_s = first_delay_s[cause];

	if (!delay_s)
		return;
	if (!s || !s->key) {
		if (!make_room(q, now_ns))
			return;
		s = slot_of(q->slots, q->room, index);
		s->key = index + 1;
		q->n++;
	}
	for (uint32_t f = 0; f < s->failures && delay_s < QUARANTINE_MAX_DELAY_S; f++)
		delay_s *= 2;
	if (delay_s > QUARANTINE_MAX_DELAY_S)
		delay_s = QUARANTINE_MAX_DELAY_S;
	s->failures++;
	s->pages = pages;
	s->until_ns = now_ns + delay_s * NSEC_PER_SEC;
}

void quarantine_remove(struct quarantine *q, uint64_t index)
{
	if (q->room) {
		struct quarantined *s = slot_of(q->slots, q->room, index);

		s->failures = 0;
		s->until_ns = 0;
	}
}

bool quarantine_bars(const struct quarantine *q, uint64_t index, uint64_t now_ns)
{
	return q->room && slot_of(q->slots, q->room, index)->until_ns > now_ns;
}

uint64_t quarantine_count(const struct quarantine *q, uint64_t now_ns)
{
	uint64_t pages = 0;

	for (size_t i = 0; q->n && i < q->room; i++)
		if (q->slots[i].until_ns > now_ns)
			pages += q->slots[i].pages;
	return pages;
}
