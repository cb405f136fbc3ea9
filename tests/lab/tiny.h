/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tiny guest made with plain KVM ioctls, in the calling process, that touches
 * exactly the pages that it is told to: the ground truth for everything that
 * claims to know what a guest accessed.
 *
 * DOC: What the guest looks like
 *
 * One slot (id 0) of @pages from guest frame 0.  The guest runs in 64-bit mode
 * under page tables of its own, 4 KiB entries, virtual == physical for
 * @map_pages.  Its infrastructure lies at the start of RAM:
 *
 *	frame 0		not used by anybody
 *	frame 1		code
 *	frame 2		PML4
 *	frame 3		PDPT
 *	frame 4...	one PD per GiB
 *	then		one page table per 2 MiB
 *	then		per vCPU: a stack page, and TINY_LIST_PAGES of work list
 *	@first_free	what work lists may touch, up to @map_pages
 *
 * A work list (tiny-touch.h) is written by the host into the vCPU's list pages;
 * where it is and how long goes in registers, so that the guest touches only
 * those list pages that hold entries.  It executes a HLT when it is through.
 * No interrupt, no exception and no segment load ever happens: neither GDT nor
 * IDT is there, and the first unforeseen event is a triple fault, which
 * tiny_run() reports as -EIO.
 *
 * In a page the guest uses the word at TINY_WORD_OFFSET for reading and writing
 * and the byte at 0 for fetching; the rest is the test's.
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiny-memory.h"
#include "tiny-touch.h"

#define TINY_LIST_PAGES	 8
#define TINY_LIST_MAX	 (TINY_LIST_PAGES * 512)
#define TINY_WORD_OFFSET 8

/**
 * struct tiny_options - what guest to make; zero means the default
 * @pages: RAM in pages of 4 KiB, default 4096; whole pages of the backing
 * @map_pages: reach of the guest's own page tables, at least and by default
 *	@pages; more makes room for slots added by tiny_add_slot()
 * @vcpus: default 1
 * @backing: of slot 0
 * @bind: place RAM on @node
 * @node: the node
 * @ring_bytes: size of each vCPU's dirty ring, a power of two; 0: no ring
 * @log_dirty: KVM_MEM_LOG_DIRTY_PAGES on slot 0; implied by @ring_bytes
 */
struct tiny_options {
	size_t pages;
	size_t map_pages;
	size_t vcpus;
	enum tiny_backing backing;
	bool bind;
	int node;
	size_t ring_bytes;
	bool log_dirty;
};

/**
 * struct tiny_vcpu - one virtual CPU; only one thread may run it at a time
 * @fd: the vCPU
 * @run: its shared page
 * @run_bytes: size of that mapping
 * @ring: its dirty ring, mapped by the owner for writing, or NULL
 * @stack_gfn: page used while a stub is called
 * @list_gfn: first of TINY_LIST_PAGES
 */
struct tiny_vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	struct kvm_dirty_gfn *ring;
	uint64_t stack_gfn;
	uint64_t list_gfn;
};

/**
 * struct tiny - the guest
 * @kvm_fd: /dev/kvm
 * @vm_fd: the VM
 * @ram: slot 0
 * @map_pages: reach of the guest's page tables
 * @first_free: first frame that work lists may touch
 * @vcpus: @nr_vcpus of them
 * @nr_vcpus: how many
 * @ring_entries: entries in each dirty ring, or 0
 */
struct tiny {
	int kvm_fd;
	int vm_fd;
	struct tiny_memory ram;
	size_t map_pages;
	uint64_t first_free;
	struct tiny_vcpu *vcpus;
	size_t nr_vcpus;
	size_t ring_entries;
};

/**
 * enum - documented outcomes of tiny_run() and tiny_resume()
 * @TINY_E_RING_FULL: KVM_EXIT_DIRTY_RING_FULL; reset the ring, then tiny_resume()
 */
enum {
	_TINY_E_SUCCESS,
	TINY_E_RING_FULL,
};

/**
 * tiny_new() - make a guest that is ready to run
 * @opts: NULL for all defaults
 * @ret_tiny: returned, caller frees
 *
 * The step that failed is written to stderr.
 *
 * Return: 0, -ENOENT or -EACCES if /dev/kvm cannot be had, -EOPNOTSUPP for a
 * dirty ring that this KVM lacks, what tiny_memory_init() returns, or what the
 * ioctl said.
 */
int tiny_new(const struct tiny_options *opts, struct tiny **ret_tiny);

/** tiny_free() - end the guest; NULL is fine.  Return: NULL. */
struct tiny *tiny_free(struct tiny *t);

static inline void tiny_freep(struct tiny **t)
{
	tiny_free(*t);
}

/**
 * tiny_set_slot() - KVM_SET_USER_MEMORY_REGION
 * @slot: id, and address space in the upper 16 bits as in KVM's ABI
 * @npages: 0 deletes the slot
 * @hva: of this process
 * @flags: KVM_MEM_*
 * Return: 0 or a negative errno.
 */
int tiny_set_slot(struct tiny *t, uint32_t slot, uint64_t gfn, uint64_t npages, const void *hva,
		  uint32_t flags);

/**
 * tiny_run() - let a vCPU execute a work list to its end
 * @vcpu: index
 * @list: @count entries, executed in order
 * @stamp: the guest stores @stamp + 4096 * gfn into each page that it writes
 * @ret_sum: sum, modulo 2^64, of the words that it read; may be NULL
 *
 * Puts the stub of each page to be fetched in its place, if it is not there
 * yet: the only write by the host outside of the list pages.
 *
 * Context: the thread that owns the vCPU.
 * Return: 0, TINY_E_RING_FULL, -EINVAL for a list too long or out of
 * [@first_free, @map_pages), -EFAULT if the guest touched a frame without slot,
 * -EINTR after a signal (tiny_resume() goes on), -EIO for any other exit.
 */
int tiny_run(struct tiny *t, size_t vcpu, const struct tiny_touch *list, size_t count,
	     uint64_t stamp, uint64_t *ret_sum);

/**
 * tiny_resume() - go on with what tiny_run() began
 * Return: as tiny_run().
 */
int tiny_resume(struct tiny *t, size_t vcpu, uint64_t *ret_sum);

/**
 * tiny_expect() - exactly the pages that one tiny_run() accesses
 * @map: of @map_pages bits, added to, so that several runs sum up
 *
 * The listed pages, the code page, the list pages that hold entries, the stack
 * page if something is fetched, and for all of these the guest's page tables,
 * which the hardware walks through the second-level tables.  It is a bound from
 * above and below where the TLB is empty at the start, as after a flush; with
 * translations left over from before, pages may be missing.  (A real CPU may
 * also walk for speculative accesses, and then sets A bits for more.)
 *
 * In multiples of the host's own mapping: with TINY_ANON_THP widen the map with
 * tiny_map_widen().
 */
void tiny_expect(const struct tiny *t, size_t vcpu, const struct tiny_touch *list, size_t count,
		 uint64_t *map);

/**
 * tiny_expect_written() - exactly the pages that one tiny_run() writes
 * @map: as in tiny_expect()
 *
 * The pages that the list writes, and the stack page if something is fetched.
 *
 * With nested paging also every page table of the guest that is walked,
 * although A and D are set in all of its entries from the beginning, so that no
 * walk has anything to store.  To the second-level tables a walk of the guest's
 * tables is a *write* all the same.  AMD's manual (volume 2, "Nested versus Guest
 * Page Faults") has it as a user write, Intel's (volume 3, "Accessed and Dirty
 * Flags for EPT") as a write whenever the EPT's A/D bits are on.  So a
 * write-protected table page faults, and it appears in dirty logs whenever it is
 * walked; test-dirty-ring-facts.c found it so under QEMU's emulation of NPT, and
 * nobody has looked on other hardware yet.  With shadow paging nobody walks the
 * guest's tables but KVM, in software, and they do not appear.
 *
 * KVM logs more than was written when a page is mapped for the first time: see
 * test-dirty-ring-facts.c.
 */
void tiny_expect_written(const struct tiny *t, size_t vcpu, const struct tiny_touch *list,
			 size_t count, uint64_t *map);

/**
 * tiny_stat() - one number of KVM's statistics of the VM
 * @name: as in KVM's documentation, e.g. "remote_tlb_flush_requests"
 * @ret_value: the first value
 * Return: 0, -ENOENT if there is no such statistic, or a negative errno.
 */
int tiny_stat(const struct tiny *t, const char *name, uint64_t *ret_value);

/**
 * tiny_hold_kvm() - keep KVM switched on until this process ends
 *
 * With the first VM, and the first vCPU without interrupt controller, the kernel
 * patches its own code (static keys in the scheduler and in KVM), and back with
 * the last.  QEMU's TCG before 8.1 can run a stale translation of code being
 * patched, which ends in an oops with 'int3' once in some hundred guests.  So a
 * program that makes many of them one after the other calls this first.
 *
 * Return: 0, or a negative errno, which does no harm.
 */
int tiny_hold_kvm(void);

/**
 * tiny_has_tdp() - does this host's KVM use nested paging?
 * Return: what the parameters of the loaded KVM module say; false if they are silent.
 */
bool tiny_has_tdp(void);
