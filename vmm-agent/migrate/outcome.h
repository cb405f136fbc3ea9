/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What became of the pages of one batch: the value that the mover hands back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** enum direction - which way a page goes: to DRAM, or to CXL */
enum direction { DIRECTION_PROMOTE, DIRECTION_DEMOTE, DIRECTION_COUNT };

/**
 * enum cause - why a page did not move
 * @CAUSE_BUSY: isolated by somebody else (-EBUSY)
 * @CAUSE_PINNED: tried, and still where it was: extra references, usually a pin
 * @CAUSE_NO_MEMORY: the target node had none (-ENOMEM)
 * @CAUSE_NO_HUGE_PAGE: not tried: a page of 2 MiB, and the target node has no free block of
 *	that size to spare, or nobody can tell
 * @CAUSE_SHARED: mapped by another process too (-EACCES for the page)
 * @CAUSE_NOT_MAPPED: a hole, swapped or ballooned (-ENOENT, -EFAULT)
 * @CAUSE_CPUSET: the guest's cpuset forbids the target (-EACCES for the call)
 * @CAUSE_GONE: the process is gone (-ESRCH)
 * @CAUSE_STALE: dropped unmoved: the plan was overtaken or the guest paused
 * @CAUSE_OTHER: anything else
 * Source: move_pages(2); mm/migrate.c of Linux 6.12.
 */
enum cause {
	CAUSE_BUSY,
	CAUSE_PINNED,
	CAUSE_NO_MEMORY,
	CAUSE_NO_HUGE_PAGE,
	CAUSE_SHARED,
	CAUSE_NOT_MAPPED,
	CAUSE_CPUSET,
	CAUSE_GONE,
	CAUSE_STALE,
	CAUSE_OTHER,
	CAUSE_COUNT,
};

/** cause_name() - lower-case word for tables, JSON and labels: "no_memory" */
const char *cause_name(enum cause cause);

/** direction_name() - "promote" or "demote" */
const char *direction_name(enum direction direction);

/**
 * struct moved - one unit of a batch and what became of it
 * @hva: first byte; @index: page index in the guest's heat map; @pages: 1 or 512
 * @from_pool: of hugetlbfs, so that its new page is one of the target's pool and no free block
 * @was_there: it lay on the target before
 * @node: node id where it lies now, or -1 - cause if it did not arrive
 */
struct moved {
	uint64_t hva;
	uint64_t index;
	uint16_t pages;
	bool from_pool;
	bool was_there;
	int32_t node;
};

/**
 * struct outcome - one batch, done
 * @moved_pages: arrived at the target; @there_pages: were there before
 * @failed_pages: by cause
 * @calls, @queries: move_pages(2) calls that moved, and that only asked
 */
struct outcome {
	uint64_t moved_pages;
	uint64_t there_pages;
	uint64_t failed_pages[CAUSE_COUNT];
	uint64_t calls;
	uint64_t queries;
};
