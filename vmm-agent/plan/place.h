/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On which node a guest's pages should lie.  Pure.
 */
#pragma once

#include <stdint.h>

#include "host/host.h"

/**
 * struct place_input - what the choice rests on
 * @nodes, @nnodes: the host's nodes
 * @accessed: pages that the guest accessed in the last pass, by node index
 * @vcpu_nodes: vCPU threads by node index
 * @allowed: nodes that the cpuset and the policy leave, bit n is node id n
 * @headroom_bytes: left free on every node; one that has no more is full
 */
struct place_input {
	const struct host_node *nodes;
	size_t nnodes;
	const uint64_t *accessed;
	const uint32_t *vcpu_nodes;
	uint64_t allowed;
	uint64_t headroom_bytes;
};

/** place_spare_bytes() - free memory of a node that moves may take, the kernel's reserve left alone */
static inline uint64_t place_spare_bytes(const struct host_node *node, uint64_t headroom_bytes)
{
	uint64_t kept =
		node->watermark_bytes > headroom_bytes ? node->watermark_bytes : headroom_bytes;

	return node->free_bytes > kept ? node->free_bytes - kept : 0;
}

/**
 * enum place_none - why no node was chosen
 * @PLACE_OK: one was; @PLACE_NO_TIER: the host has no node of that tier
 * @PLACE_FORBIDDEN: cpuset or policy forbid all of them; @PLACE_FULL: all are full
 */
enum place_none { PLACE_OK, PLACE_NO_TIER, PLACE_FORBIDDEN, PLACE_FULL };

/**
 * place_dram() - the DRAM node for hot pages
 *
 * The one with most of the guest's accesses; while none of them has any, the
 * one where most of its vCPUs run, then the one nearest to the pages it uses.
 * @ret_node: index in the node array; with PLACE_FULL the best of the full ones.
 * Return: PLACE_OK or why not.
 */
enum place_none place_dram(const struct place_input *in, unsigned int *ret_node);

/**
 * place_cxl() - the CXL node for cold pages: the nearest to @from (an index) with room
 */
enum place_none place_cxl(const struct place_input *in, unsigned int from, unsigned int *ret_node);
