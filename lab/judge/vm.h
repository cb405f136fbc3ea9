/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VM seen from outside: its second-level page tables, only looked at, and
 * on which node its pages really lie.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct vm - a guest whose RAM is one block from guest address 0
 * @pid: of QEMU
 * @access_fd: can peek, cannot clear
 * @address_spaces: 1, or 2 with SMM
 * @generation: of the slot table that @ram was read from
 * @npages: RAM, in pages of 4 KiB
 * @hva0: where QEMU has mapped gfn 0
 * @ram: which gfns are RAM: not the VGA window, not ROM
 * @dram_nodes: mask of the nodes that have CPUs
 */
struct vm {
	pid_t pid;
	int access_fd;
	uint32_t address_spaces;
	uint64_t generation;
	size_t npages;
	uint64_t hva0;
	uint64_t *ram;
	uint64_t dram_nodes;
};

/**
 * struct peek - what the page tables say at one moment, RAM only
 * @accessed, @present, @large, @in_dram: as in KVM_ACCESS_HARVEST
 */
struct peek {
	uint64_t *accessed;
	uint64_t *present;
	uint64_t *large;
	uint64_t *in_dram;
};

/**
 * vm_open() - find the VM of process @pid and get an access fd that can only peek
 *
 * Return: 0, or -1 with a sentence on stderr.
 * Source: pidfd_getfd(2); include/uapi/kvm_access.h.
 */
int vm_open(struct vm *vm, pid_t pid, size_t npages);

/** vm_peek() - read all of RAM into @peek, whose bitmaps have vm->npages bits; 0 or -1, said */
int vm_peek(struct vm *vm, struct peek *peek);

/** vm_is_gone() - the process that owned the guest's memory has ended */
bool vm_is_gone(const struct vm *vm);

/**
 * vm_place() - ask the kernel on which node pages lie
 * @which: gfns to ask for
 * @nodes: of each gfn of @which the node, or a negative errno (-ENOENT: no page there);
 *	others are left alone
 *
 * Return: 0 or -1, said.
 * Source: move_pages(2) with nodes == NULL moves nothing.
 */
int vm_place(const struct vm *vm, const uint64_t *which, int *nodes);

/** vm_is_dram() - @node, as vm_place() gives it, has CPUs */
bool vm_is_dram(const struct vm *vm, int node);
