// SPDX-License-Identifier: GPL-2.0-or-later
/* The words for causes and directions. */
#include "migrate/outcome.h"

#include <assert.h>

static const char *const cause_names[] = {
	[CAUSE_BUSY] = "busy",		 [CAUSE_PINNED] = "pinned",
	[CAUSE_NO_MEMORY] = "no_memory", [CAUSE_NO_HUGE_PAGE] = "no_huge_page",
	[CAUSE_SHARED] = "shared",	 [CAUSE_NOT_MAPPED] = "not_mapped",
	[CAUSE_CPUSET] = "cpuset",	 [CAUSE_GONE] = "gone",
	[CAUSE_STALE] = "stale",	 [CAUSE_OTHER] = "other",
};
static_assert(sizeof(cause_names) / sizeof(cause_names[0]) == CAUSE_COUNT, "a name per cause");

static const char *const direction_names[] = {
	[DIRECTION_PROMOTE] = "promote",
	[DIRECTION_DEMOTE] = "demote",
};
static_assert(sizeof(direction_names) / sizeof(direction_names[0]) == DIRECTION_COUNT,
	      "a name per direction");

const char *cause_name(enum cause cause)
{
	return cause_names[cause];
}

const char *direction_name(enum direction direction)
{
	return direction_names[direction];
}
