/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where samples come from: the access fd, and the dirty rings beside it.
 *
 * One pass is one call, made by a harvest worker; it touches nothing but the
 * job that it was given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/memslot.h"
#include "discover/residency.h"
#include "harvest/ring.h"
#include "harvest/sample.h"
#include "host/host.h"

/**
 * enum harvest_outcome - how a pass ended when nothing failed
 * @HARVEST_OK: the sample is good
 * @HARVEST_STALE: the memslot table changed: the sample is worthless, read the table again
 * @HARVEST_GONE: the guest's memory is gone
 */
enum harvest_outcome { HARVEST_OK, HARVEST_STALE, HARVEST_GONE };

/**
 * struct harvest_job - one pass over one guest: everything that a worker needs
 * @vm, @map, @rings: borrowed until the job is handed back; @rings may be NULL
 * @nodes, @nnodes: the host's nodes, a copy
 * @flush: one TLB flush at the end, so that the next pass is exact
 * @slice_from: where the pagemap slice starts; @slice: filled
 * @sample: filled, all zero before
 */
struct harvest_job {
	struct host_vm *vm;
	const struct memmap *map;
	struct ring_set *rings;
	struct host_node nodes[HOST_MAX_NODES];
	size_t nnodes;
	bool flush;
	uint64_t slice_from;
	struct residency_slice slice;
	struct sample *sample;
};

/**
 * source_pass() - carry out a job
 * Return: an enum harvest_outcome, or a negative errno: this guest's pass failed.
 */
int source_pass(struct harvest_job *job);

/**
 * source_kvm_pass() - accessed, present, large and node bitmaps from the access fd
 * Return: as source_pass().
 */
int source_kvm_pass(struct harvest_job *job);
