// SPDX-License-Identifier: GPL-2.0-or-later
/* The default policy, and the words that people use for its parts. */
#include "plan/policy.h"

#include <assert.h>
#include <string.h>

static const char *const mode_names[] = {
	[MODE_OFF] = "off",
	[MODE_OBSERVE] = "observe",
	[MODE_PROMOTE] = "promote",
	[MODE_TIER] = "tier",
};
static_assert(sizeof(mode_names) / sizeof(mode_names[0]) == MODE_COUNT, "a name per mode");

static const char *const origin_names[] = {
	[POLICY_DEFAULT] = "default",
	[POLICY_FILE] = "policy.d",
	[POLICY_METADATA] = "metadata",
};
static_assert(sizeof(origin_names) / sizeof(origin_names[0]) == POLICY_ORIGIN_COUNT,
	      "a name per origin");

void policy_default(struct policy *ret_policy)
{
	*ret_policy = (struct policy) {.mode = MODE_TIER, .origin = POLICY_DEFAULT};
}

const char *mode_name(enum mode mode)
{
	return mode_names[mode];
}

enum mode mode_parse(const char *name)
{
	for (int m = 0; m < MODE_COUNT; m++)
		if (!strcmp(mode_names[m], name))
			return (enum mode)m;
	return MODE_COUNT;
}

const char *policy_origin_name(enum policy_origin origin)
{
	return origin_names[origin];
}
