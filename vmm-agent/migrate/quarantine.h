/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that did not move, and when they may be tried again.  Pure.
 *
 * A page that fails waits a base time that depends on the cause, doubled with
 * each further failure.  The set is bounded: when it is full the page is not
 * remembered and may be tried once more a pass.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migrate/outcome.h"

/* 24 bytes each in a table twice as large: at most 3 MiB a guest.  A guest with more failures is not tierable anyway. */
#define QUARANTINE_MAX 65536

/* Longest delay: a pin that is dropped is noticed within five minutes. */
#define QUARANTINE_MAX_DELAY_S 300

struct quarantined;

/** struct quarantine - a hash table by page index, open addressing; @swept_ns: last rebuilt */
struct quarantine {
	struct quarantined *slots;
	size_t room;
	size_t n;
	uint64_t swept_ns;
};

/** quarantine_init() - empty, no memory; quarantine_deinit() frees and empties */
void quarantine_init(struct quarantine *q);
void quarantine_deinit(struct quarantine *q);

/**
 * quarantine_add() - the unit of @pages at @index failed with @cause
 * Causes that are not the page's own are ignored.
 */
void quarantine_add(struct quarantine *q, uint64_t index, uint32_t pages, enum cause cause,
		    uint64_t now_ns);

/** quarantine_remove() - it moved after all */
void quarantine_remove(struct quarantine *q, uint64_t index);

/** quarantine_count() - how many pages have to wait still.  Cost: the table, 3 MiB at most */
uint64_t quarantine_count(const struct quarantine *q, uint64_t now_ns);

/** quarantine_bars() - whether @index has to wait still */
bool quarantine_bars(const struct quarantine *q, uint64_t index, uint64_t now_ns);
