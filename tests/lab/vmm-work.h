/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VMM's guest does: touches sets of pages, once or all the time in a
 * thread per vCPU, and knows every byte that its RAM must hold.
 *
 * The content: vmm_work_fill() writes seeded words everywhere.  After that only
 * the guest writes, one word per page, and what it wrote last is noted when a
 * round is over.  A reading round compares the sum of what it read.  So sets
 * that are written and read at the same time must not share pages.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-memory.h"

struct vmm_work;

/**
 * struct worker - a vCPU and its thread
 * @ring_next: entry of its dirty ring that is collected next
 * @rounds: through the set, since the thread was started
 * @error: of the thread: 0, a negative errno, or WORK_E_SUM
 */
struct worker {
	struct vmm_work *work;
	size_t vcpu;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	const struct pageset *set;
	enum tiny_op op;
	unsigned int pause_ms;
	uint64_t stamp;
	uint64_t ring_next;
	atomic_uint_fast64_t rounds;
	atomic_int error;
};

/** enum work_outcome - @WORK_E_SUM: the guest read something else than it should have */
enum work_outcome { _WORK_E_SUCCESS, WORK_E_SUM };

/**
 * struct vmm_work - all vCPUs
 * @words: what the guest's word in each page of RAM is, once @filled
 * @seed: of the rest of the page
 * @tables_sum: of the frames that hold code and page tables
 */
struct vmm_work {
	struct vmm_memory *memory;
	struct worker *workers;
	bool filled;
	uint64_t seed;
	uint64_t *words;
	uint64_t tables_sum;
};

/** vmm_work_init() - all vCPUs idle.  Return: 0 or -ENOMEM. */
int vmm_work_init(struct vmm_work *work, struct vmm_memory *memory);

/** vmm_work_fill() - write all of RAM that lists may touch */
void vmm_work_fill(struct vmm_work *work, uint64_t seed);

/** vmm_work_verify() - compare all of RAM.  Return: how many pages differ, or -EINVAL if not filled. */
int vmm_work_verify(const struct vmm_work *work);

/**
 * vmm_work_touch() - one round over @set on vCPU @vcpu, which must be idle
 *
 * A full dirty ring is collected and reset, as by a VMM that migrates.
 *
 * Return: 0, WORK_E_SUM, -EBUSY, or what tiny_run() says.
 */
int vmm_work_touch(struct vmm_work *work, size_t vcpu, const struct pageset *set, enum tiny_op op);

/** vmm_work_start() - rounds over @set in a thread, @pause_ms apart.  Return: 0 or an errno. */
int vmm_work_start(struct vmm_work *work, size_t vcpu, const struct pageset *set, enum tiny_op op,
		   unsigned int pause_ms);

/** vmm_work_stop() - after the round.  Return: @error of the thread. */
int vmm_work_stop(struct vmm_work *work, size_t vcpu);

/** vmm_work_collect() - mark all of a vCPU's ring as harvested.  Return: how many entries. */
int vmm_work_collect(struct vmm_work *work, size_t vcpu);

/** vmm_work_reset() - KVM_RESET_DIRTY_RINGS.  Return: entries, or an errno. */
int vmm_work_reset(struct vmm_work *work);
