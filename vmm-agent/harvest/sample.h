/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one pass saw of one guest: the value between harvest and heat.
 *
 * Every bitmap has one bit per page index of the guest's memmap.  A page that
 * is not present says nothing about being idle.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bit planes for the ordinal of the node that a page lies on: HOST_MAX_NODES = 2^4. */
#define SAMPLE_NODE_PLANES 4

/**
 * struct sample - bitmaps of @nwords words and counters
 * @npages: page indices covered, a multiple of 64
 * @accessed: A bit set since the pass before, or mapped without one
 * @written: seen in a dirty ring since the pass before
 * @present: mapped for the guest; @large: by an entry of 2 MiB or more
 * @node: for present pages bit k of the node's index in the node array; @node_planes of them.
 *	With no planes the pass did not see residency.
 * @placed: present on one of the nodes of the array; NULL if there are no other nodes
 * @taken_ns: when the walk ended
 * @unknown_pages: in @accessed only because they are mapped without A/D bits
 * @ring_entries, @ring_lost, @ring_bad: see struct report_guest
 */
struct sample {
	size_t npages;
	size_t nwords;
	uint64_t *accessed;
	uint64_t *written;
	uint64_t *present;
	uint64_t *large;
	uint64_t *node[SAMPLE_NODE_PLANES];
	unsigned int node_planes;
	uint64_t *placed;
	uint64_t taken_ns;
	uint64_t unknown_pages;
	uint64_t ring_entries;
	uint64_t ring_lost;
	uint64_t ring_bad;
};

/**
 * sample_new() - all zero, for @npages indices and @nnodes nodes; NULL when out of memory
 * @other_nodes: the host has nodes with memory beside these
 */
struct sample *sample_new(size_t npages, size_t nnodes, bool other_nodes);

/** sample_free() - also of NULL; returns NULL */
struct sample *sample_free(struct sample *sample);

/** sample_node_planes() - planes that tell @nnodes nodes apart, at least one */
unsigned int sample_node_planes(size_t nnodes);
