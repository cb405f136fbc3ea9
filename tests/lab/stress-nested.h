/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A nested guest in the guest of the stress: a vCPU that is a hypervisor (L1) and runs
 * the tiny guest's code once more as L2, under nested page tables of its own.
 *
 * DOC: What is harvested then
 *
 * KVM makes shadow pages of L1's nested page tables, and what L2 touches sets the accessed
 * bits of these, which the harvest finds by the reverse maps under mmu_lock.  L1's tables
 * map what is there one to one by 4 KiB entries, so frames are frames at every level.
 * L2 executes a work list as any vCPU does and a HLT at the end, which L1 intercepts, to
 * execute one itself.
 */
#pragma once

#include "stress.h"
#include "tiny.h"

/** STRESS_NESTED_GFN - first frame of L1's own: its code, the VMCB, its tables */
#define STRESS_NESTED_GFN   20480
#define STRESS_NESTED_PAGES 128
#define STRESS_NESTED_SLOT  3

/**
 * struct stress_nested - what L1 has
 * @vcpu: index of its vCPU
 * @mem: its pages
 */
struct stress_nested {
	size_t vcpu;
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
