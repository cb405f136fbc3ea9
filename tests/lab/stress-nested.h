/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A nested guest (tiny-nested.h) in the guest of the stress, with memory of its own.
 */
#pragma once

#include "stress.h"
#include "tiny-nested.h"
#include "tiny.h"

/** STRESS_NESTED_GFN - first frame of L1's own: its code, the VMCB, its tables */
#define STRESS_NESTED_GFN   20480
#define STRESS_NESTED_PAGES 128
#define STRESS_NESTED_SLOT  3

/**
 * struct stress_nested - what L1 has
 * @l1: its vCPU, and what it runs L2 with
 * @mem: its pages
 */
struct stress_nested {
	struct tiny_nested l1;
	struct tiny_memory mem;
};

/**
 * stress_nested_init() - make vCPU @vcpu of @t an L1
 * Return: 0, -EOPNOTSUPP if there is no nested SVM, or another negative errno.
 */
int stress_nested_init(struct stress_nested *n, struct tiny *t, size_t vcpu);

/** stress_nested_deinit() - harmless on what stress_nested_init() has not touched but zeroed */
void stress_nested_deinit(struct stress_nested *n);

/** stress_nested_run() - have L2 execute a list.  Return: as tiny_resume(), -EPROTO if L2 failed. */
int stress_nested_run(struct stress *s, const struct tiny_touch *list, size_t count,
		      uint64_t stamp);

/** stress_nested_expect() - what L1 touches besides, as tiny_expect() */
void stress_nested_expect(const struct stress *s, uint64_t *map);

/** stress_nested_step() - a worker's step: L2 touches pages of the regions */
void stress_nested_step(struct stress_worker *w);
