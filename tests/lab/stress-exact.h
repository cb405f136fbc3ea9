/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold exactly once nothing disturbs the guest any more: the same guest, with
 * all that the stress has left behind in its page tables.
 */
#pragma once

#include "stress.h"

/**
 * struct stress_rounds - what was found
 * @asked: rounds of each kind that were asked for
 * @accessed: rounds in which the harvest reported exactly the pages touched
 * @dirty: rounds in which it reported exactly the pages written
 * @nested: rounds in which it reported exactly the pages that a nested guest and its
 *	hypervisor touched, and as dirty no fewer than were written
 * @logged: rounds in which the dirty log, switched on while harvests ran, had every
 *	page that was written
 * @logged_beyond: pages that the dirty logs had beside these: KVM logs what it maps
 */
struct stress_rounds {
	unsigned int asked;
	unsigned int accessed;
	unsigned int dirty;
	unsigned int nested;
	unsigned int logged;
	uint64_t logged_beyond;
};

/**
 * stress_exact() - @rounds->asked rounds of each kind
 *
 * Context: no worker runs.  The first round that is not exact is noted as the failure.
 */
void stress_exact(struct stress *s, uint64_t *random, struct stress_rounds *rounds);
