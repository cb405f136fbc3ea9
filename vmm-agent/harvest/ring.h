/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty rings, followed from outside.
 *
 * The rings belong to the VMM, which takes entries out and has KVM reset them;
 * a follower may only look.  Each look copies a ring and compares it with the
 * copy before: an entry that changed was pushed in between, even if it has
 * been reset since.  What was overwritten between two looks cannot be seen; a
 * look that finds half of the ring or more changed is counted as lossy,
 * because pushes may have gone round.  One case leaves no trace: pushes that
 * went round and left each entry as it was, which takes a guest that writes
 * the same pages in the same order, as many as divide the ring.  Its pages
 * have then been seen before, and only their number is too small.
 *
 * KVM also pushes a page that it maps anew, e.g. after a move, when the host
 * has it writable, even if the guest only reads it (measured on 6.12).
 *
 * The content is shared with the VMM and not trusted: entries are checked
 * against the memslot table.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "discover/memslot.h"
#include "harvest/sample.h"
#include "host/host.h"

/* Largest ring KVM makes. Source: KVM_DIRTY_RING_MAX_ENTRIES, Linux 6.12. */
#define RING_MAX_ENTRIES 65536

/* Copies that are kept of all rings of a guest: 64 MiB, 1024 vCPUs with rings of 4096 entries. */
#define RING_SET_ENTRIES_MAX (4U << 20)

/**
 * struct ring - one vCPU's ring
 * @entries: the copy of the last look, @n of them; n is 0 before the first
 * @next: where the next push is expected, or RING_NEXT_UNKNOWN
 */
struct ring {
	struct host_ring_entry *entries;
	size_t n;
	size_t next;
};

#define RING_NEXT_UNKNOWN SIZE_MAX

/**
 * struct ring_set - all rings of a guest
 * @entries: that are kept of them; what is beyond RING_SET_ENTRIES_MAX counts as lost
 * @scratch: RING_MAX_ENTRIES entries for copies
 */
struct ring_set {
	size_t nrings;
	size_t entries;
	struct ring *rings;
	struct host_ring_entry *scratch;
};

/** ring_set_new() - nothing seen yet; NULL when out of memory; ring_set_free() ends it */
struct ring_set *ring_set_new(size_t nrings);
struct ring_set *ring_set_free(struct ring_set *set);

/** ring_set_grow() - room for more rings behind those that are followed; 0 or -ENOMEM */
int ring_set_grow(struct ring_set *set, size_t nrings);

/**
 * ring_look() - compare a fresh copy with the last one
 * @now, @n: the ring as it is; n a power of two and the same at each look
 * @pushed: called for each entry pushed since the last look
 * Return: 0, or RING_LOSSY if pushes may have been missed; -ENOMEM.
 */
enum ring_outcome { RING_LOSSY = 1 };
int ring_look(struct ring *ring, const struct host_ring_entry *now, size_t n,
	      void (*pushed)(void *ctx, const struct host_ring_entry *entry), void *ctx);

/** ring_set_pass() - look at every ring of @vm, mark written pages in @sample */
void ring_set_pass(struct ring_set *set, struct host_vm *vm, const struct memmap *map,
		   struct sample *sample);
