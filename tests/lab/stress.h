/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the stress have in common: one guest that everybody works
 * on, what was counted, and the first sentence about what went wrong.
 *
 * DOC: How it works
 *
 * Workers are threads that repeat a step until they are told to stop: vCPUs that
 * touch pages, harvesters, and all those that change what the harvest walks over.
 * They run all at once and know nothing of each other.  What always holds is
 * checked at once (stress-harvest.h, stress-guest.h); what holds only when nothing
 * else happens is checked at the end (stress-exact.h).
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stress;
struct stress_guest;

/**
 * enum stress_count - what is counted; stress_count_names[] has the names of the JSON
 *
 * The first three have goals of their own.  Of nearly all others a full run must have
 * counted one at least: see must_happen() in stress.c.
 */
enum stress_count {
	STRESS_FAULTS,
	STRESS_HARVESTS,
	STRESS_SLOT_CHANGES,
	STRESS_FAULTS_TAKEN,
	STRESS_SLOTS_CREATED,
	STRESS_SLOTS_DELETED,
	STRESS_SLOTS_MOVED,
	STRESS_PEEKS,
	STRESS_EARLY_RETURNS,
	STRESS_PAGES_ACCESSED,
	STRESS_PAGES_DIRTY,
	STRESS_LOST_RACES,
	STRESS_SECOND_OWNERS_REFUSED,
	STRESS_EBUSY,
	STRESS_ESTALE,
	STRESS_EINTR,
	STRESS_EFAULT,
	STRESS_EPERM,
	STRESS_ESRCH,
	STRESS_POLLHUP,
	STRESS_SLOT_TABLES_READ,
	STRESS_SLOT_TABLES_CHANGING,
	STRESS_DIRTY_LOG_SWITCHES,
	STRESS_DIRTY_LOG_READS,
	STRESS_DIRTY_LOG_CLEARS,
	STRESS_PAGES_ZAPPED,
	STRESS_PAGES_MIGRATED,
	STRESS_THP_COLLAPSED,
	STRESS_THP_SPLITS_ASKED,
	STRESS_THP_SPLIT,
	STRESS_AGEING_PASSES,
	STRESS_IDLE_PASSES,
	STRESS_EVICTIONS,
	STRESS_PAGEOUTS,
	STRESS_SWAPPED_OUT,
	STRESS_SWAPPED_IN,
	STRESS_MERGED,
	STRESS_UNMERGED,
	STRESS_VMS_MADE,
	STRESS_VMS_KILLED,
	STRESS_FDS_CLOSED_AFTER_VM,
	STRESS_GUEST_RUNS,
	STRESS_GUEST_MMIO_EXITS,
	STRESS_GUEST_INTERRUPTED,
	STRESS_PAGES_VERIFIED,
	STRESS_SIGNALS,
	STRESS_DUEL_HARVESTS,
	STRESS_DUEL_ZAPS,
	STRESS_NESTED_RUNS,
	_STRESS_COUNT_MAX,
};

extern const char *const stress_count_names[_STRESS_COUNT_MAX];

/**
 * struct stress_worker - a thread that repeats one step
 * @s: all
 * @name: of its row
 * @step: what it repeats
 * @pause_us: between two steps, at least
 * @rest: and at least this many times the CPU time that the step has taken
 * @index: among the workers of this row
 * @nudged: signals may interrupt it
 * @random: its own sequence
 * @thread: valid if @runs
 * @runs: it was started
 * @steps: done so far
 * @cpu_us: CPU time of its steps
 */
struct stress_worker {
	struct stress *s;
	const char *name;
	void (*step)(struct stress_worker *w);
	unsigned int pause_us;
	unsigned int rest;
	unsigned int index;
	bool nudged;
	uint64_t random;
	pthread_t thread;
	bool runs;
	atomic_uint_fast64_t steps;
	uint64_t cpu_us;
};

#define STRESS_WORKERS_MAX 32

/**
 * struct stress - everything
 * @guest: the guest that all work on
 * @clear_fd: access fd with the right to clear
 * @peek_fd: one without
 * @supported: KVM_ACCESS_SUP_* of @clear_fd
 * @workers: @nr_workers of them
 * @nr_workers: how many
 * @duel: posted when the duelling ground is about to be zapped
 * @stop: workers end after their step
 * @counts: of enum stress_count
 * @lock: of @failure
 * @failure: first sentence about what went wrong, or ""
 */
struct stress {
	struct stress_guest *guest;
	int clear_fd;
	int peek_fd;
	uint32_t supported;
	struct stress_worker workers[STRESS_WORKERS_MAX];
	size_t nr_workers;
	sem_t duel;
	atomic_bool stop;
	atomic_uint_fast64_t counts[_STRESS_COUNT_MAX];
	pthread_mutex_t lock;
	char failure[256];
};

/** stress_fail() - note the first failure, and have all workers stop */
void stress_fail(struct stress *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void stress_count_add(struct stress *s, enum stress_count what, uint64_t n)
{
	atomic_fetch_add_explicit(&s->counts[what], n, memory_order_relaxed);
}

static inline uint64_t stress_count_get(struct stress *s, enum stress_count what)
{
	return atomic_load_explicit(&s->counts[what], memory_order_relaxed);
}

/** stress_one_in() - true once in @n times */
bool stress_one_in(struct stress_worker *w, uint64_t n);

/** stress_pin() - keep the calling thread on one CPU */
void stress_pin(size_t cpu);

/** stress_spin() - use the CPU for up to @most_us microseconds */
void stress_spin(struct stress_worker *w, uint64_t most_us);
