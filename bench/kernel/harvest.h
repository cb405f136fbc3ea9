/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Passes of KVM_ACCESS_HARVEST over the whole bed, counted and checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uapi/kvm_access.h>

#include "measure.h"

/**
 * struct harvest_variant - which bitmaps are asked for besides accessed and present, and how
 * @name: in the output
 * @flags: KVM_ACCESS_*
 */
struct harvest_variant {
	const char *name;
	uint32_t flags;
	bool large;
	bool nodes;
	bool dirty;
};

/** struct harvest_maps - a bitmap of each kind, of the whole bed */
struct harvest_maps {
	uint64_t *accessed;
	uint64_t *present;
	uint64_t *large;
	uint64_t *on_nodes;
	uint64_t *dirty;
};

/** harvest_maps_init() - make room for @pages.  Return: 0 or -ENOMEM; deinit in any case. */
int harvest_maps_init(struct harvest_maps *maps, size_t pages);

/** harvest_maps_deinit() - harmless on zeroes */
void harvest_maps_deinit(struct harvest_maps *maps);

/**
 * harvest_once() - measure one pass, and check what it says
 * @series: in the output
 * @state: of the pages, likewise
 * @accessed: how many are accessed, and dirty if that is asked for; all are to be present
 * Return: 0, -EPROTO if it was otherwise, or what the ioctl said.
 */
int harvest_once(struct measure *m, const char *series, const struct harvest_variant *v,
		 const struct harvest_maps *maps, const char *state, uint64_t accessed);

/**
 * harvest_clear() - a pass that is not measured, dirty bits too
 * @ret_harvest: its counters; may be NULL
 * Return: 0 or a negative errno.
 */
int harvest_clear(const struct measure *m, const struct harvest_maps *maps,
		  struct kvm_access_harvest *ret_harvest);
