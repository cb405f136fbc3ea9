/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The access fd of kvm_access.h as tests want it: opened in one line, a range
 * harvested to its end, errors as negative errnos.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uapi/kvm_access.h>

/**
 * struct tiny_access_maps - the bitmaps of a range
 * @first: first frame, a multiple of 64, and bit 0 of each bitmap
 * @pages: length
 * @accessed: of bitmap_words(@pages) words, as all of them
 * @present: mapped
 * @dirty: written to since it was harvested, or mapped since
 * @large: by an entry of 2 MiB or more
 * @on_nodes: and lying on one of @nodes
 * @nodes: in: the nodes asked for, bit n is node n
 * @sum: out: the counters, over all calls that it took
 * @calls: out: how many calls that was
 */
struct tiny_access_maps {
	uint64_t first;
	size_t pages;
	uint64_t *accessed;
	uint64_t *present;
	uint64_t *dirty;
	uint64_t *large;
	uint64_t *on_nodes;
	uint64_t nodes;
	struct kvm_access_harvest sum;
	unsigned int calls;
};

/** tiny_access_maps_init() - make room for a range.  Return: 0, -EINVAL or -ENOMEM. */
int tiny_access_maps_init(struct tiny_access_maps *m, uint64_t first, size_t pages);

/** tiny_access_maps_deinit() - idempotent, and harmless on zeroes */
void tiny_access_maps_deinit(struct tiny_access_maps *m);

/** tiny_access_supported() - KVM_CAP_ACCESS_FD of /dev/kvm.  Return: the mask, 0 if none. */
uint32_t tiny_access_supported(void);

/**
 * tiny_access_open() - KVM_GET_ACCESS_FD on /dev/kvm
 * @vm_fd: in this process's table
 * @flags: KVM_ACCESS_FD_*
 * Return: the descriptor or a negative errno.
 */
int tiny_access_open(int vm_fd, uint32_t flags);

/** tiny_access_open_own() - the same on the VM fd itself, as a VMM does on its own VM */
int tiny_access_open_own(int vm_fd, uint32_t flags);

/**
 * tiny_access_harvest() - harvest all of the range of @m
 * @flags: KVM_ACCESS_PEEK, KVM_ACCESS_FLUSH_END
 *
 * The bitmaps are full of garbage before, so that what KVM does not write
 * shows.
 *
 * Return: 0, -ELOOP if a call returned without any progress, or what the ioctl
 * said; @m->sum is as the last call left it.
 */
int tiny_access_harvest(int fd, struct tiny_access_maps *m, uint32_t flags);

/** tiny_access_info() - KVM_ACCESS_GET_INFO.  Return: 0 or a negative errno. */
int tiny_access_info(int fd, struct kvm_access_info *ret_info);

/**
 * tiny_access_slots() - KVM_ACCESS_GET_SLOTS
 * @slots: room for @room entries
 * @ret_count: entries that there are, also for -E2BIG; may be NULL
 * @ret_generation: may be NULL
 * Return: 0 or a negative errno.
 */
int tiny_access_slots(int fd, struct kvm_access_slot *slots, uint32_t room, uint32_t *ret_count,
		      uint64_t *ret_generation);
