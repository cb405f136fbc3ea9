/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What bench-instructions can measure.  Each function takes a bed whose pages are
 * in any state and leaves them in any; none runs a vCPU within an interval.  Each
 * checks that what it measured did what it claims, and says on stderr what is
 * wrong.
 *
 * Return, all: 0, or a negative errno.
 */
#pragma once

#include <stdint.h>

#include "bed.h"
#include "meter.h"

/**
 * struct measure - what all of them are told
 * @bed: the guest; NULL for measure_calibration()
 * @meter: where results go
 * @reps: how often each thing is measured
 * @seed: of what is drawn
 */
struct measure {
	struct bed *bed;
	struct meter meter;
	unsigned int reps;
	uint64_t seed;
};

/** measure_calibration() - code of which the number of instructions is known */
int measure_calibration(struct measure *m);

/** measure_harvest() - KVM_ACCESS_HARVEST with various bitmaps */
int measure_harvest(struct measure *m);

/** measure_notifier() - the notifier's clear_young from the test module's loop */
int measure_notifier(struct measure *m);

/** notifier_clear() - all pages are idle to the host's ageing; nothing is measured */
int notifier_clear(struct measure *m);

/**
 * measure_mglru() - ageing of the process's memory by the multi-gen LRU
 *
 * Needs to be the only process of its memory cgroup: see measure_mglru_enter().
 */
int measure_mglru(struct measure *m);

/** measure_mglru_enter() - go to a cgroup of one's own, before the bed is made */
int measure_mglru_enter(void);

/** measure_damon() - DAMON's checks, by instructions of windows with it and without */
int measure_damon(struct measure *m);

/**
 * measure_residency() - on which node is each page: harvest, pagemap, move_pages(2)
 *
 * Moves half of the pages to node 1 first, and compares the answers.
 */
int measure_residency(struct measure *m);

/**
 * measure_nested() - KVM_ACCESS_HARVEST of what a nested guest touches
 *
 * Makes the guest's vCPU a hypervisor.
 */
int measure_nested(struct measure *m);
