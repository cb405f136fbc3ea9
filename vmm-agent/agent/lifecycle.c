// SPDX-License-Identifier: GPL-2.0-or-later
/* The order of the rules is their precedence: what forbids most comes first. */
#include "agent/lifecycle.h"

#include <assert.h>
#include <stdio.h>

static const char *const state_names[] = {
	[STATE_SETTLING] = "settling", [STATE_ACTIVE] = "active", [STATE_PAUSED] = "paused",
	[STATE_FROZEN] = "frozen",     [STATE_PINNED] = "pinned", [STATE_BLOCKED] = "blocked",
	[STATE_DEGRADED] = "degraded", [STATE_GONE] = "gone",
};
static_assert(sizeof(state_names) / sizeof(state_names[0]) == STATE_COUNT, "a name per state");

static enum guest_state say(char *reason, size_t size, enum guest_state state, const char *text)
{
	snprintf(reason, size, "%s", text);
	return state;
}

static const char *active_text(const struct evidence *e)
{
	switch (e->mode) {
	case MODE_OBSERVE:
		return "mode observe: moves are planned and not carried out";
	case MODE_PROMOTE:
		return "hot pages are promoted, none is demoted";
	default:
		return "hot pages are promoted, the coldest make room";
	}
}

enum guest_state lifecycle_judge(const struct evidence *e, char *reason, size_t size)
{
	if (e->gone)
		return say(reason, size, STATE_GONE,
			   e->ended ? "its process has ended"
				    : "its process has ended or closed its VM");
	if (e->paused)
		return say(reason, size, STATE_PAUSED, "paused by the operator");
	if (e->mode == MODE_OFF)
		return say(reason, size, STATE_PAUSED, "its policy says mode off");
	if (e->source[0])
		return say(reason, size, STATE_DEGRADED, e->source);
	if (e->layout[0])
		return say(reason, size, STATE_DEGRADED, e->layout);
	if (e->failing[0])
		return say(reason, size, STATE_DEGRADED, e->failing);
	if (e->stopped)
		return say(reason, size, STATE_FROZEN, "its process is stopped");
	if (e->vfio)
		return say(reason, size, STATE_PINNED,
			   "it has VFIO devices, which pin all of its RAM");
	if (e->sev)
		return say(reason, size, STATE_PINNED,
			   "it is encrypted by SEV, which pins its RAM");
	if (!e->has_cxl || !e->has_dram)
		return say(reason, size, STATE_BLOCKED,
			   "the host has memory of one tier only, there is nowhere to move to");
	if (e->dram_none == PLACE_FORBIDDEN)
		return say(reason, size, STATE_BLOCKED,
			   "its cpuset and policy forbid every DRAM node");
	if (e->dram_none == PLACE_FULL && e->cxl_none != PLACE_OK)
		return say(reason, size, STATE_BLOCKED, "every node that it may use is full");
	if (e->passes < e->settle_passes) {
		snprintf(reason, size, "met just now: pass %llu of %llu before anything moves",
			 (unsigned long long)e->passes, (unsigned long long)e->settle_passes);
		return STATE_SETTLING;
	}
	if (e->stuck && e->mode == MODE_TIER)
		return say(reason, size, STATE_ACTIVE,
			   e->cxl_none == PLACE_FORBIDDEN
				   ? "its cpuset forbids every CXL node: nothing can make room"
				   : "every CXL node is full: nothing can make room");
	if (e->policy[0]) {
		snprintf(reason, size, "mode %s%s; its policy was refused: %.180s",
			 mode_name(e->mode), e->mode == MODE_OBSERVE ? "" : ", the last good one",
			 e->policy);
		return STATE_ACTIVE;
	}
	return say(reason, size, STATE_ACTIVE, active_text(e));
}

const char *state_name(enum guest_state state)
{
	return state_names[state];
}

bool state_harvests(enum guest_state state)
{
	return state == STATE_SETTLING || state == STATE_ACTIVE || state == STATE_PINNED ||
	       state == STATE_BLOCKED;
}
