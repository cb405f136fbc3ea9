/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps of the workers that use the access fd, and what they expect of every answer,
 * whatever goes on meanwhile: no bit is set for a page that is not present, the counters
 * are what the bitmaps hold, nothing is written beyond the range, an error is one
 * that the request or the moment explains.
 */
#pragma once

#include "stress.h"

/** stress_harvest_step() - a harvest by the fd that may clear, of a random kind */
void stress_harvest_step(struct stress_worker *w);

/** stress_duel_harvest_step() - a harvest of the duelling ground when it is about to be zapped */
void stress_duel_harvest_step(struct stress_worker *w);

/** stress_peek_step() - a look by a peeking fd or, with PEEK, by the clearing one */
void stress_peek_step(struct stress_worker *w);

/** stress_second_owner_step() - another fd that may clear must be refused with -EBUSY */
void stress_second_owner_step(struct stress_worker *w);

/** stress_slot_table_step() - the table of slots makes sense, and generations only grow */
void stress_slot_table_step(struct stress_worker *w);
