// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding out what was pushed by comparing two copies of a ring. */
#include "harvest/ring.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"

struct ring_set *ring_set_new(size_t nrings)
{
	struct ring_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->nrings = nrings;
	set->rings = calloc(nrings ? nrings : 1, sizeof(*set->rings));
	set->scratch = calloc(RING_MAX_ENTRIES, sizeof(*set->scratch));
	if (!set->rings || !set->scratch)
		return ring_set_free(set);
	for (size_t i = 0; i < nrings; i++)
		set->rings[i].next = RING_NEXT_UNKNOWN;
	return set;
}

int ring_set_grow(struct ring_set *set, size_t nrings)
{
	struct ring *rings = reallocarray(set->rings, nrings, sizeof(*rings));

	if (!rings)
		return -ENOMEM;
	set->rings = rings;
	for (; set->nrings < nrings; set->nrings++)
		rings[set->nrings] = (struct ring) {.next = RING_NEXT_UNKNOWN};
	return 0;
}

struct ring_set *ring_set_free(struct ring_set *set)
{
	if (!set)
		return NULL;
	for (size_t i = 0; set->rings && i < set->nrings; i++)
		free(set->rings[i].entries);
	free(set->rings);
	free(set->scratch);
	free(set);
	return NULL;
}

/*
 * KVM writes slot and offset, then sets DIRTY; the VMM sets RESET; KVM clears
 * both and leaves slot and offset.  So other content, DIRTY where there was no
 * flag, or DIRTY alone where RESET was, is a new push.
 * Source: virt/kvm/dirty_ring.c, Linux 6.12.
 */
static bool entry_was_pushed(const struct host_ring_entry *was, const struct host_ring_entry *now)
{
	if (was->slot != now->slot || was->offset != now->offset)
		return true;
	if (!(now->flags & (KVM_DIRTY_GFN_F_DIRTY | KVM_DIRTY_GFN_F_RESET)))
		return false;
	return !(was->flags & (KVM_DIRTY_GFN_F_DIRTY | KVM_DIRTY_GFN_F_RESET)) ||
	       ((was->flags & KVM_DIRTY_GFN_F_RESET) && !(now->flags & KVM_DIRTY_GFN_F_RESET));
}

/* Where the next push goes: behind the entries that are flagged, if there are any. */
static size_t next_by_flags(const struct host_ring_entry *now, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (now[i].flags && !now[(i + 1) % n].flags)
			return (i + 1) % n;
	return RING_NEXT_UNKNOWN;
}

/* The first look has nothing to compare with: what is flagged has been pushed. */
static int first_look(struct ring *ring, const struct host_ring_entry *now, size_t n,
		      void (*pushed)(void *ctx, const struct host_ring_entry *entry), void *ctx)
{
	ring->entries = malloc(n * sizeof(*ring->entries));
	if (!ring->entries)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (now[i].flags)
			pushed(ctx, &now[i]);
	memcpy(ring->entries, now, n * sizeof(*now));
	ring->n = n;
	ring->next = next_by_flags(now, n);
	return 0;
}

/* Where the pushes started, when nothing is known yet: behind the longest run without any. */
static size_t guess_start(const struct ring *ring, const struct host_ring_entry *now)
{
	size_t best = 0, best_run = 0, run = 0;

	for (size_t i = 0; i < 2 * ring->n; i++) {
		if (entry_was_pushed(&ring->entries[i % ring->n], &now[i % ring->n])) {
			if (run > best_run) {
				best_run = run;
				best = i % ring->n;
			}
			run = 0;
		} else {
			run++;
		}
	}
	return best;
}

int ring_look(struct ring *ring, const struct host_ring_entry *now, size_t n,
	      void (*pushed)(void *ctx, const struct host_ring_entry *entry), void *ctx)
{
	size_t start, length = 0;

	if (!n || (n & (n - 1)) || n > RING_MAX_ENTRIES)
		return -EINVAL;
	if (ring->n != n) { /* a VM's rings never change their size */
		free(ring->entries);
		ring->entries = NULL;
		ring->n = 0;
		return first_look(ring, now, n, pushed, ctx);
	}
	start = ring->next == RING_NEXT_UNKNOWN ? guess_start(ring, now) : ring->next;
	for (size_t k = 0; k < n; k++)
		if (entry_was_pushed(&ring->entries[(start + k) % n], &now[(start + k) % n]))
			length = k + 1;
	/*
	 * All of [start, start + length) was pushed: an entry in between that
	 * looks the same was pushed with the same content.
	 */
	for (size_t k = 0; k < length; k++)
		pushed(ctx, &now[(start + k) % n]);
	memcpy(ring->entries, now, n * sizeof(*now));
	if (length && length >= n / 2) {
		/* Perhaps they went round: nobody knows how far. */
		ring->next = next_by_flags(now, n);
		return RING_LOSSY;
	}
	if (length)
		ring->next = (start + length) % n;
	return 0;
}

struct marking {
	const struct memmap *map;
	struct sample *sample;
};

static void mark_written(void *ctx, const struct host_ring_entry *entry)
{
	struct marking *m = ctx;
	uint64_t index = memmap_ring_index(m->map, entry->slot, entry->offset);

	m->sample->ring_entries++;
	if (index >= m->sample->npages)
		m->sample->ring_bad++;
	else
		bitmap_set(m->sample->written, index);
}

void ring_set_pass(struct ring_set *set, struct host_vm *vm, const struct memmap *map,
		   struct sample *sample)
{
	struct marking m = {.map = map, .sample = sample};

	for (size_t i = 0; i < set->nrings; i++) {
		struct ring *ring = &set->rings[i];
		size_t n = 0, others = set->entries - ring->n;

		/* A look that failed may have missed anything: that is a loss too. */
		if (vm->host->ops->vm_ring_copy(vm, i, set->scratch, RING_MAX_ENTRIES, &n) < 0 ||
		    others + n > RING_SET_ENTRIES_MAX ||
		    ring_look(ring, set->scratch, n, mark_written, &m) != 0)
			sample->ring_lost++;
		set->entries = others + ring->n;
	}
}
