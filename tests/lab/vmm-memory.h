/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VMM shows to its guest: its RAM, and whatever a hostile one points
 * further slots at.  Named sets of guest frames say which pages are meant, and
 * where they lie.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tiny.h"

#define VMM_MAX_WINDOWS 32
#define VMM_MAX_SETS	48
#define VMM_NAME_MAX	24

/** struct window - a slot: @pages of guest frames from @gfn on, at @base */
struct window {
	uint64_t gfn;
	uint8_t *base;
	size_t pages;
};

/**
 * struct pageset - frames that are spoken of together
 * @gfns: @n different ones
 * @marks: the node of each at vmm_set_mark(), or NULL before
 */
struct pageset {
	char name[VMM_NAME_MAX];
	uint64_t *gfns;
	size_t n;
	int *marks;
};

/**
 * struct vmm_memory - all of it; the first window is the guest's RAM
 * @next_gfn: where the next window goes
 */
struct vmm_memory {
	struct tiny *t;
	struct window windows[VMM_MAX_WINDOWS];
	size_t nwindows;
	struct pageset sets[VMM_MAX_SETS];
	size_t nsets;
	uint64_t next_gfn;
};

/** vmm_memory_init() - one window, and the set "ram" of its frames that lists may touch */
int vmm_memory_init(struct vmm_memory *m, struct tiny *t);

/**
 * vmm_show() - a new slot behind all others, and a set called @name of its frames
 * @base: any address, mapped or not; it stays as it is
 * Return: 0, -ENOSPC, or what KVM says.
 */
int vmm_show(struct vmm_memory *m, const char *name, void *base, size_t pages);

/** vmm_at() - host address of a frame, NULL if no window shows it */
void *vmm_at(const struct vmm_memory *m, uint64_t gfn);

/** vmm_set() - the set called @name, or NULL */
struct pageset *vmm_set(struct vmm_memory *m, const char *name);

/** vmm_set_new() - a set called @name with room for @n frames, instead of an older one */
struct pageset *vmm_set_new(struct vmm_memory *m, const char *name, size_t n);

/** vmm_set_pick() - @n different frames of @from, drawn by @seed.  Return: 0, -EINVAL, -ENOMEM. */
int vmm_set_pick(struct vmm_memory *m, const char *name, uint64_t seed, const char *from, size_t n);

/** vmm_set_split() - the first @n frames of @from become the set @first, the others @rest */
int vmm_set_split(struct vmm_memory *m, const char *first, const char *rest, size_t n,
		  const char *from);

/** vmm_set_join() - add the frames of @from to the set @name, which is made if need be */
int vmm_set_join(struct vmm_memory *m, const char *name, const char *from);

/** vmm_set_nodes() - the node of each page, negative where none is; move_pages(2) on ourselves */
int vmm_set_nodes(const struct vmm_memory *m, const struct pageset *set, int *ret_nodes);

/** vmm_set_place() - move the pages to @node.  Return: 0, -EBUSY if some stayed, or an errno. */
int vmm_set_place(const struct vmm_memory *m, const struct pageset *set, int node);

/** vmm_set_mark() - remember where the pages lie.  Return: how many are there, or an errno. */
int vmm_set_mark(const struct vmm_memory *m, struct pageset *set);

/** vmm_set_moved() - pages that lie on another node than they did at the mark, or an errno */
int vmm_set_moved(const struct vmm_memory *m, const struct pageset *set);

/** vmm_read_through() - read a byte of each page that is there, so that it is mapped */
int vmm_read_through(const void *base, size_t pages);

/* Memory that is not the guest's own.  All return a base or NULL with errno set. */

/** vmm_own_mapping() - the first mapping whose line in /proc/self/maps has @perms and @path in it */
void *vmm_own_mapping(const char *path, const char *perms, size_t *ret_pages);

/**
 * vmm_map_file() - all of a file, its page cache placed on @node first if it can be dropped
 * @how: "private", "shared" or "readonly"
 */
void *vmm_map_file(const char *path, const char *how, int node, size_t *ret_pages);

/** vmm_map_theirs() - fd @fd of process @pid, shared and writable, at @fixed or anywhere */
void *vmm_map_theirs(pid_t pid, int fd, void *fixed, size_t *ret_pages);

/** vmm_write_pages() - @pages at the end of a file, placed on @node.  Return: @pages or an errno. */
int vmm_write_pages(int fd, size_t pages, int node);
