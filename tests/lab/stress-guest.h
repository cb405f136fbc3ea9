/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of the stress: a tiny guest with RAM of several kinds, slots that come
 * and go, and vCPUs that touch all of it at random.
 *
 * DOC: What it looks like
 *
 * Three regions stay where they are: 4 KiB pages (slot 0), pages of 2 MiB that are
 * split and collapsed (slot 1), and a memfd (slot 2).  A part of each is the *vault*:
 * its content is never thrown away, only moved about, and each page of it is written by
 * one vCPU alone.  So a vCPU can say at any time what is in its pages, and a page that
 * the guest does not write where the host reads it, because a second-level entry has
 * outlived its page, is found.  The rest is the *quarry*, from which pages are zapped.
 *
 * The duelling ground is a few pages of the quarry which a vCPU of its own touches all
 * the time, and which one worker zaps when another one harvests: only where two are at the
 * same entry within some ten instructions can the one change what the other has just read.
 *
 * The twins are pages of the quarry too, which the host fills with the same content and the
 * guest seldom writes to, so that KSM merges them and a write takes one out again.
 *
 * Behind the regions are windows, in which small slots appear, move and vanish.
 */
#pragma once

#include "stress-nested.h"
#include "stress.h"
#include "tiny.h"

#define STRESS_VCPUS_MAX   4
#define STRESS_MAP_PAGES   32768
#define STRESS_WINDOWS_GFN 24576
#define STRESS_WINDOW	   512
#define STRESS_WINDOWS	   16
#define STRESS_MOVERS	   6
#define STRESS_TWIN_GFN	   7168
#define STRESS_TWIN_PAGES  512
#define STRESS_DUEL_GFN	   8128
#define STRESS_DUEL_PAGES  64

/** enum stress_region_id - index of a region, and the id of its slot */
enum stress_region_id {
	STRESS_SMALL,
	STRESS_LARGE,
	STRESS_SHARED,
	_STRESS_REGION_MAX,
};

/**
 * struct stress_region - RAM that stays
 * @id: of the slot
 * @gfn: first frame
 * @mem: what lies behind it, all of it; borrowed from the tiny guest for STRESS_SMALL
 */
struct stress_region {
	enum stress_region_id id;
	uint64_t gfn;
	struct tiny_memory mem;
};

/**
 * struct stress_mover - a slot that comes and goes
 * @slot: id
 * @window: index of the window it is in, -1: there is no such slot now
 * @mem: STRESS_WINDOW pages
 */
struct stress_mover {
	uint32_t slot;
	atomic_int window;
	struct tiny_memory mem;
};

/**
 * struct stress_guest - the guest
 * @t: the tiny guest
 * @regions: RAM that stays
 * @movers: slots that do not; changed by one worker only
 * @nested: an L1, and what it runs L2 with
 */
struct stress_guest {
	struct tiny *t;
	struct stress_region regions[_STRESS_REGION_MAX];
	struct stress_mover movers[STRESS_MOVERS];
	struct stress_nested nested;
};

/**
 * stress_guest_new() - make the guest, without slots in the windows
 * @vcpus: that touch everything; there are two more, for the duelling ground and as L1
 * @ret_guest: returned, caller frees
 * Return: 0 or a negative errno; what failed is on stderr.
 */
int stress_guest_new(size_t vcpus, struct stress_guest **ret_guest);

/** stress_guest_free() - end the guest; NULL is fine.  Return: NULL. */
struct stress_guest *stress_guest_free(struct stress_guest *g);

/** stress_guest_vcpus() - how many vCPUs touch everything */
size_t stress_guest_vcpus(const struct stress_guest *g);

/** stress_guest_is_vault() - is page @page of the region one whose content stays? */
bool stress_guest_is_vault(const struct stress_guest *g, const struct stress_region *r,
			   uint64_t page);

/**
 * stress_guest_draw() - a touch of some page; vaults are only read: their writer knows what
 * is in them
 * @windows: of the windows too
 */
struct tiny_touch stress_guest_draw(struct stress_worker *w, bool windows);

/** stress_guest_read_faults() - STRESS_FAULTS and STRESS_FAULTS_TAKEN from KVM's statistics */
void stress_guest_read_faults(struct stress *s);

/**
 * stress_guest_step() - a worker's step: vCPU @w->index touches pages
 *
 * Either pages of its vault, which are then checked, or a mixture of everything.
 */
void stress_guest_step(struct stress_worker *w);

/** stress_duel_touch_step() - a vCPU of its own writes to the pages of the duelling ground */
void stress_duel_touch_step(struct stress_worker *w);

/**
 * stress_guest_verify_all() - have the guest write every page of the regions, and compare
 *
 * Context: no worker runs.
 * Return: how many pages were compared; a failure is noted.
 */
uint64_t stress_guest_verify_all(struct stress *s, uint64_t *random);
