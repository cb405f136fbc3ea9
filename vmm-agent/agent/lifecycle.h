/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a guest: one function, evidence in, state and reason out.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/place.h"
#include "plan/policy.h"

/**
 * enum guest_state - what vmtier does with a guest, and what ends that
 * @STATE_SETTLING: just met: harvested, nothing moves; ends after the first passes
 * @STATE_ACTIVE: harvested, moved as its mode allows
 * @STATE_PAUSED: neither, by the operator's word or mode off; ends by theirs
 * @STATE_FROZEN: neither, because its process is stopped; ends when that goes on
 * @STATE_PINNED: its pages cannot move (VFIO, SEV); harvested only
 * @STATE_BLOCKED: no node that it may or can be moved to; harvested only
 * @STATE_DEGRADED: accesses cannot be seen, or not as they should be; nothing moves on guesses
 * @STATE_GONE: its process has ended or closed its VM; shown for a while, then dropped
 */
enum guest_state {
	STATE_SETTLING,
	STATE_ACTIVE,
	STATE_PAUSED,
	STATE_FROZEN,
	STATE_PINNED,
	STATE_BLOCKED,
	STATE_DEGRADED,
	STATE_GONE,
	STATE_COUNT,
};

/**
 * struct evidence - all that a state rests on
 * @gone: its VM is; @ended: so is its process, for sure
 * @source: why accesses cannot be seen, or "" if they can
 * @layout: why its memory layout cannot be used, or ""
 * @failing: why its passes fail again and again, or ""
 * @policy: why its policy was refused, or ""
 * @passes: folded so far; @settle_passes: needed before anything moves
 * @has_cxl, @has_dram: whether the host has nodes of that tier at all
 * @stuck: memory should go out of DRAM and no CXL node can take it
 * @dram_none, @cxl_none: what the last plan found, PLACE_OK before the first
 */
struct evidence {
	bool gone;
	bool ended;
	bool paused;
	bool stopped;
	bool vfio;
	bool sev;
	enum mode mode;
	const char *source;
	const char *layout;
	const char *failing;
	const char *policy;
	uint64_t passes;
	uint64_t settle_passes;
	bool stuck;
	bool has_dram;
	bool has_cxl;
	enum place_none dram_none;
	enum place_none cxl_none;
};

/**
 * lifecycle_judge() - the state that the evidence shows
 * @reason: a sentence, always set
 */
enum guest_state lifecycle_judge(const struct evidence *e, char *reason, size_t size);

/** state_name() - "settling", "active", ... */
const char *state_name(enum guest_state state);

/** state_harvests() - whether passes go on in this state */
bool state_harvests(enum guest_state state);
