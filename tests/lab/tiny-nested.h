/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A nested guest in a tiny guest: a vCPU that is a hypervisor (L1) and runs the tiny
 * guest's code once more as L2, under nested page tables of its own.
 *
 * DOC: What KVM makes of it
 *
 * KVM makes shadow pages of L1's nested page tables, and what L2 touches sets the accessed
 * bits of these, and of no others.  L1's tables map all that the guest's own page tables
 * reach, one to one by 4 KiB entries, so frames are frames at every level.  L2 executes a
 * work list as any vCPU does and a HLT at the end, which L1 intercepts, to execute one
 * itself.
 */
#pragma once

#include "tiny.h"

/**
 * struct tiny_nested - what L1 has
 * @t: the guest that it is a vCPU of
 * @vcpu: index of the vCPU
 * @first: first frame of L1's own: its code, the VMCB, its tables
 * @base: host address of that
 */
struct tiny_nested {
	struct tiny *t;
	size_t vcpu;
	uint64_t first;
	uint8_t *base;
};

/** tiny_nested_pages() - how many frames tiny_nested_init() needs for @t */
size_t tiny_nested_pages(const struct tiny *t);

/**
 * tiny_nested_init() - make a vCPU an L1
 * @t: whose page tables reach at most 1 GiB
 * @first: of tiny_nested_pages() frames that nobody else uses, within the reach of @t's
 *	page tables
 * @base: host address of the memory of these, zeroes
 *
 * The vCPU is good for tiny_run() as before.
 *
 * Return: 0, -EOPNOTSUPP if there is no nested SVM, -EINVAL if L1's tables do not reach that
 * far, or what the ioctl said.
 */
int tiny_nested_init(struct tiny_nested *n, struct tiny *t, size_t vcpu, uint64_t first,
		     void *base);

/**
 * tiny_nested_run() - have L2 execute a list, as tiny_run()
 *
 * Neither are the frames looked at, nor stubs put in place.
 *
 * Return: as tiny_run(), or -EPROTO if L2 did not come to the list's end.
 */
int tiny_nested_run(struct tiny_nested *n, const struct tiny_touch *list, size_t count,
		    uint64_t stamp);

/** tiny_nested_exit_code() - why L2 stopped last, as AMD's manual has it */
uint64_t tiny_nested_exit_code(const struct tiny_nested *n);

/** tiny_nested_expect() - what L1 touches besides, as tiny_expect() */
void tiny_nested_expect(const struct tiny_nested *n, uint64_t *map);
