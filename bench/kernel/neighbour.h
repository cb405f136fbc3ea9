/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that keeps another CPU busy, all of its time, in one of several ways.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "bed.h"

/**
 * enum neighbour_way - what it does, without pause
 * @NEIGHBOUR_SPINS: counts, in user space; the measure of the others
 * @NEIGHBOUR_HARVESTS: KVM_ACCESS_HARVEST of the whole range, all bitmaps
 * @NEIGHBOUR_AGES: the MMU notifier's clear_young for each page of the range, by the
 *	test module
 */
enum neighbour_way {
	NEIGHBOUR_SPINS,
	NEIGHBOUR_HARVESTS,
	NEIGHBOUR_AGES,
	_NEIGHBOUR_WAY_MAX,
};

/** struct neighbour_work - what it has done since it began, read with neighbour_look() */
struct neighbour_work {
	uint64_t passes;
	uint64_t pages;
	uint64_t young;
	uint64_t cpu_ns;
};

/**
 * struct neighbour - the thread
 * @bed: whose pages; borrowed
 * @module_fd: of the test module, or -1 if it is not loaded
 * @way: asked for
 * @doing: what it does now
 * @error: a negative errno that has ended it
 */
struct neighbour {
	struct bed *bed;
	int cpu;
	int module_fd;
	uint64_t *maps;
	pthread_t thread;
	_Atomic int way;
	_Atomic int doing;
	_Atomic int error;
	_Atomic uint64_t passes;
	_Atomic uint64_t pages;
	_Atomic uint64_t young;
};

/** neighbour_start() - begin to spin on CPU @cpu.  Return: 0 or a negative errno. */
int neighbour_start(struct neighbour *n, struct bed *bed, int cpu);

/** neighbour_stop() - end the thread */
void neighbour_stop(struct neighbour *n);

/**
 * neighbour_do() - change what it does, and wait until it does so
 * Return: 0, or the negative errno that has ended it.
 */
int neighbour_do(struct neighbour *n, enum neighbour_way way);

/** neighbour_look() - what it has done, of which two calls make a difference */
void neighbour_look(const struct neighbour *n, struct neighbour_work *ret_work);

/** neighbour_name() - of a way, for people and JSON */
const char *neighbour_name(enum neighbour_way way);

/** stay_on_cpu() - bind the calling thread.  Return: 0 or a negative errno. */
int stay_on_cpu(int cpu);
