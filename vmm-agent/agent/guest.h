/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One guest as the agent knows it: what each room said of it last.
 *
 * Owned by the loop thread.  While @pass is set a worker uses vm, map and rings;
 * while @batches is not zero the mover uses lane, pace and vm.  A guest is freed
 * only when neither is the case.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/lifecycle.h"
#include "base/error.h"
#include "discover/memslot.h"
#include "harvest/ring.h"
#include "harvest/pass.h"
#include "heat/heatmap.h"
#include "heat/histogram.h"
#include "host/host.h"
#include "migrate/batch.h"
#include "migrate/quarantine.h"
#include "plan/plan.h"
#include "plan/policy.h"
#include "report/report.h"

/**
 * struct guest - see the file
 * @id: never reused; @found: process and name
 * @source: why accesses cannot be seen, "" if they can; @layout: why the layout is unusable, ""
 * @failing: why passes fail again and again or see too little; @policy_error: why its policy was refused; or ""
 * @layout_id: grows with every layout, so that batches of an older one can be told
 * @nodes_epoch: node set that @heat was made for; node indices of another one mean nothing
 * @unseen: the last look at the fds of its process failed
 * @swept: pagemap has been asked for all of the guest once; until then some memory is hidden
 * @wants_layout: read the memslot table before the next pass; not before @layout_due_ns
 * @reread_ns: when to read the layout again because others held some of it, or 0
 * @layout_changing_ns: since when it has been caught changing each time, or 0
 * @metadata: policy from the domain's XML, if @has_metadata
 * @metadata_refused: the last one was refused; without an earlier one it is only observed
 * @wants_kept: what was kept of it (store.h) has not been read yet, or could not be: then it
 *	is only observed
 * @gone: its process or its memory, since @gone_ns; @ended: the process for sure
 * @due_ns: of the next pass; @failures: passes failed in a row
 * @source_due_ns: when to try again for a source, while there is none
 * @totals_due_ns: when to read node totals again, while there is no source
 * @was_stale: the last pass was; a second one in a row waits
 * @moved_ns: when the last batch came back: older samples saw pages where they are no more
 * @stuck: memory should go out and no CXL node can take it
 * @backoff_ns, @again_ns: by direction, after the target had no memory
 * @report: its numbers, kept up by the loop and copied into each report
 * @rate_pages, @rate_ns: moved since when, for bytes per second
 */
struct guest {
	struct guest *next;
	uint64_t id;
	struct host_found found;
	struct host_vm *vm;
	char source[REPORT_REASON_MAX];
	char layout[REPORT_REASON_MAX];
	char failing[REPORT_REASON_MAX];
	char policy_error[REPORT_REASON_MAX];
	struct memmap *map;
	uint64_t layout_id;
	bool wants_layout;
	uint64_t layout_due_ns;
	uint64_t layout_changing_ns;
	uint64_t reread_ns;
	struct heatmap *heat;
	struct ring_set *rings;
	uint64_t nodes_epoch;
	unsigned int passes_until_rescan;
	bool unseen;
	uint64_t slice_from;
	bool swept;
	struct histogram histogram;
	struct host_facts facts;
	struct policy policy;
	struct policy metadata;
	bool has_metadata;
	bool metadata_refused;
	bool wants_kept;
	struct quarantine quarantine;
	struct lane lane;
	struct pace pace;
	struct pass *pass;
	unsigned int batches;
	bool paused;
	bool gone;
	bool ended;
	uint64_t gone_ns;
	uint64_t due_ns;
	uint64_t totals_due_ns;
	bool was_stale;
	uint64_t moved_ns;
	bool stuck;
	uint64_t backoff_ns[DIRECTION_COUNT];
	uint64_t again_ns[DIRECTION_COUNT];
	unsigned int failures;
	uint64_t source_due_ns;
	enum place_none dram_none;
	enum place_none cxl_none;
	enum guest_state state;
	struct report_guest report;
	uint64_t rate_pages[DIRECTION_COUNT];
	uint64_t rate_ns[DIRECTION_COUNT];
};

/** guest_new() - take @vm; NULL when out of memory, @vm is then the caller's still */
struct guest *guest_new(uint64_t id, const struct host_found *found, struct host_vm *vm);

/** guest_free() - no worker and no mover may have it; closes its vm */
struct guest *guest_free(struct guest *guest);

/**
 * guest_adopt_layout() - take @map, keeping the heat of what stays
 * @nnodes, @nodes_epoch: the host's nodes; heat of another epoch is forgotten
 * Return: 0 or -ENOMEM; @map is then freed, and the layout before stays.
 */
int guest_adopt_layout(struct guest *guest, struct memmap *map, size_t nnodes,
		       uint64_t nodes_epoch);

/** guest_overtake() - batches under way were planned on what is no longer so: drop their rest */
void guest_overtake(struct guest *guest);

/** guest_is_idle() - whether no other thread has anything of it */
bool guest_is_idle(const struct guest *guest);
