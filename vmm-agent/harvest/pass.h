/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An errand, mostly for a guest, from the loop to a worker and back.
 *
 * Whatever takes as long as a process likes, or as long as its memory is big,
 * is an errand: the loop only takes in what it brings back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "discover/memslot.h"
#include "harvest/source.h"
#include "host/host.h"

/**
 * enum errand - what a worker is sent for
 * @ERRAND_LAYOUT: read the memslot table and the mappings
 * @ERRAND_HARVEST: one pass
 * @ERRAND_LOOK: facts alone, of a guest that is not harvested for now
 * @ERRAND_TOTALS: resident pages by node, of a guest whose accesses cannot be seen
 * @ERRAND_FIND: for no guest: look for processes that hold a VM
 */
enum errand { ERRAND_LAYOUT, ERRAND_HARVEST, ERRAND_LOOK, ERRAND_TOTALS, ERRAND_FIND };

/**
 * struct pass - one errand; the worker owns it while it is on its way
 * @errand: what for; @guest: the loop's number for the guest
 * @host, @vm: borrowed until the pass is handed back; no @vm for ERRAND_FIND
 * @rescan: look at the fds of the process first; @nrings: then how many dirty rings there are,
 *	if @rescan_result is not negative
 * @nodes_epoch: of the node set that it was made for
 * @started_ns: when the loop handed it over; @took_ns: how long the worker needed
 * @result: 0, a negative errno, or for ERRAND_HARVEST what source_pass() says
 * @err: with a negative result, if there is more to say than strerror(3) does
 * @host_bytes: for ERRAND_LAYOUT, see layout_read(); @layout: what it read
 * @job: for ERRAND_HARVEST
 * @still_ours: after ERRAND_HARVEST: the mappings are those of the layout
 * @facts: after ERRAND_HARVEST and ERRAND_LOOK; @facts_result: negative if there are none
 * @node_pages: after ERRAND_TOTALS, by index in the host's node array
 * @found: after ERRAND_FIND, @nfound of them
 */
struct pass {
	struct pass *next;
	enum errand errand;
	uint64_t guest;
	struct host *host;
	struct host_vm *vm;
	bool rescan;
	int rescan_result;
	size_t nrings;
	uint64_t nodes_epoch;
	uint64_t started_ns;
	uint64_t took_ns;
	int result;
	struct error err;
	uint64_t host_bytes;
	struct memmap *layout;
	struct harvest_job job;
	bool still_ours;
	struct host_facts facts;
	int facts_result;
	uint64_t node_pages[HOST_MAX_NODES];
	struct host_found *found;
	size_t nfound;
};

/** pass_run() - carry it out.  Context: worker; touches nothing but @pass and what it borrows */
void pass_run(struct pass *pass);

/** pass_free() - also of NULL; returns NULL */
struct pass *pass_free(struct pass *pass);
