/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the operator wants of one guest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * enum mode - what vmtier may do to a guest
 * @MODE_OFF: nothing, not even look
 * @MODE_OBSERVE: harvest and plan, move nothing, report what would move
 * @MODE_PROMOTE: hot pages to DRAM, nothing back
 * @MODE_TIER: both ways
 */
enum mode { MODE_OFF, MODE_OBSERVE, MODE_PROMOTE, MODE_TIER, MODE_COUNT };

/** enum policy_origin - who said so, in rising precedence */
enum policy_origin { POLICY_DEFAULT, POLICY_FILE, POLICY_METADATA, POLICY_ORIGIN_COUNT };

/**
 * struct policy - of one guest
 * @dram_max_bytes: most of the guest's RAM that may lie in DRAM; valid if @dram_limited
 * @target_nodes: DRAM nodes that may be promoted to, bit n is node n; 0: any
 */
struct policy {
	enum mode mode;
	bool dram_limited;
	uint64_t dram_max_bytes;
	uint64_t target_nodes;
	enum policy_origin origin;
};

/** policy_default() - mode tier, no maximum, any node */
void policy_default(struct policy *ret_policy);

/** mode_name() - "off", "observe", "promote", "tier" */
const char *mode_name(enum mode mode);

/** mode_parse() - the mode called @name, MODE_COUNT if none is */
enum mode mode_parse(const char *name);

/** policy_origin_name() - "default", "policy.d", "metadata" */
const char *policy_origin_name(enum policy_origin origin);
