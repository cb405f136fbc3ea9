// SPDX-License-Identifier: GPL-2.0-or-later
/* One errand after the other, each a few lines. */
#include "harvest/pass.h"

#include <stdlib.h>

#include "discover/layout.h"

static void harvest(struct pass *pass)
{
	const struct host_ops *ops = pass->host->ops;

	pass->result = source_pass(&pass->job);
	if (pass->result != HARVEST_OK)
		return;
	pass->facts_result = ops->vm_facts(pass->vm, &pass->facts);
	/* Last, as close as can be to the moves that are planned on it. */
	pass->still_ours = layout_still_ours(pass->vm, pass->job.map);
}

void pass_run(struct pass *pass)
{
	struct host_vm *vm = pass->vm;
	const struct host_ops *ops = pass->host->ops;
	uint64_t began_ns = ops->now_ns(pass->host);

	if (pass->rescan)
		pass->rescan_result = ops->vm_rescan(vm, &pass->nrings);
	switch (pass->errand) {
	case ERRAND_LAYOUT:
		pass->result = layout_read(vm, pass->host_bytes, &pass->layout, &pass->err);
		break;
	case ERRAND_HARVEST:
		harvest(pass);
		break;
	case ERRAND_LOOK:
		pass->facts_result = ops->vm_facts(vm, &pass->facts);
		break;
	case ERRAND_TOTALS:
		pass->result = ops->vm_node_totals(vm, pass->node_pages);
		break;
	case ERRAND_FIND:
		pass->result = ops->find(pass->host, &pass->found, &pass->nfound, &pass->err);
		break;
	}
	pass->took_ns = ops->now_ns(pass->host) - began_ns;
}

struct pass *pass_free(struct pass *pass)
{
	if (pass) {
		memmap_free(pass->layout);
		sample_free(pass->job.sample);
		residency_slice_deinit(&pass->job.slice);
		free(pass->found);
		free(pass);
	}
	return NULL;
}
