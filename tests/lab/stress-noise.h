/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps of the workers that change what a harvest walks over, each in one way: pages
 * are zapped, moved, split, collapsed, aged and swapped out, memslots change, writes are
 * logged.  A step that the kernel refuses for a good reason (no free page, page in
 * use) is not counted; one that must not fail notes a failure.
 *
 * The dirty log and the slots that come and go must have one worker each.
 */
#pragma once

#include "stress.h"

/** stress_zap_step() - throw away pages of the quarry, or only their mapping */
void stress_zap_step(struct stress_worker *w);

/** stress_duel_zap_step() - call the other duellist, and zap the pages of the duelling ground */
void stress_duel_zap_step(struct stress_worker *w);

/** stress_slots_step() - create, delete or move a slot, of the SMM address space too */
void stress_slots_step(struct stress_worker *w);

/** stress_dirty_log_step() - switch a region's dirty log, read it, clear it */
void stress_dirty_log_step(struct stress_worker *w);

/** stress_dirty_log_end() - switch off all dirty logs; when no worker runs */
void stress_dirty_log_end(struct stress *s);

/** stress_move_step() - move_pages(2) up to 2 MiB to node 0 or 1 */
void stress_move_step(struct stress_worker *w);

/** stress_thp_step() - collapse 2 MiB, or split a page of 2 MiB */
void stress_thp_step(struct stress_worker *w);

/** stress_twins_step() - have pages of equal content, for KSM to merge */
void stress_twins_step(struct stress_worker *w);

/** stress_age_step() - the host's own ageing: idle page tracking, MGLRU, eviction, swap */
void stress_age_step(struct stress_worker *w);

/** stress_nudge_step() - a signal to some worker that may be interrupted */
void stress_nudge_step(struct stress_worker *w);
