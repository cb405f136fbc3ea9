/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tiny guest in a child process, so that the test is what the agent is: a
 * process that owns neither the VM nor its memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tiny.h"

/**
 * struct tiny_remote - the child and its guest
 * @pid: the child, or 0 once it was reaped
 * @pidfd: of the child
 * @sock: commands and replies
 * @view: the child's struct tiny: good for its sizes, frame numbers and
 *	tiny_expect(); its descriptors and addresses are the child's
 */
struct tiny_remote {
	pid_t pid;
	int pidfd;
	int sock;
	struct tiny view;
};

/**
 * tiny_remote_new() - fork a child and have it make a guest
 * @opts: as for tiny_new()
 * @ret_remote: returned, caller frees
 *
 * The child is killed when the calling thread ends.
 *
 * Return: as tiny_new(), or what fork(2) or pidfd_open(2) say.
 */
int tiny_remote_new(const struct tiny_options *opts, struct tiny_remote **ret_remote);

/** tiny_remote_free() - kill the child if it lives, and reap it.  Return: NULL. */
struct tiny_remote *tiny_remote_free(struct tiny_remote *r);

static inline void tiny_remote_freep(struct tiny_remote **r)
{
	tiny_remote_free(*r);
}

/** tiny_remote_kill() - SIGKILL the child and wait until it is gone */
void tiny_remote_kill(struct tiny_remote *r);

/**
 * tiny_remote_get_fd() - pidfd_getfd(2)
 * @their_fd: a number in the child's table, e.g. @view.vm_fd
 * Return: an own descriptor, or a negative errno.
 */
int tiny_remote_get_fd(const struct tiny_remote *r, int their_fd);

/*
 * The child does what the function of the same name in tiny.h does.
 * Return: as there, or -EPIPE if the child is gone.
 */
int tiny_remote_run(struct tiny_remote *r, size_t vcpu, const struct tiny_touch *list, size_t count,
		    uint64_t stamp, uint64_t *ret_sum);
int tiny_remote_resume(struct tiny_remote *r, size_t vcpu, uint64_t *ret_sum);

/**
 * tiny_remote_set_slot() - tiny_set_slot() with memory of the guest's own RAM
 * @ram_page: the slot's memory starts at this page of slot 0's mapping
 */
int tiny_remote_set_slot(struct tiny_remote *r, uint32_t slot, uint64_t gfn, uint64_t npages,
			 uint64_t ram_page, uint32_t flags);

/**
 * tiny_remote_ring_harvest() - the owner's half of the dirty ring's protocol
 *
 * Marks up to @max entries of the vCPU's ring as harvested, in order.
 *
 * Return: how many, or -EPIPE.
 */
int tiny_remote_ring_harvest(struct tiny_remote *r, size_t vcpu, size_t max);

/** tiny_remote_ring_reset() - KVM_RESET_DIRTY_RINGS.  Return: entries reset, or errno. */
int tiny_remote_ring_reset(struct tiny_remote *r);
