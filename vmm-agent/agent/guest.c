// SPDX-License-Identifier: GPL-2.0-or-later
/* Making and ending a guest, and reading its memory layout. */
#include "agent/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"

struct guest *guest_new(uint64_t id, const struct host_found *found, struct host_vm *vm)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	guest->id = id;
	guest->found = *found;
	guest->vm = vm;
	guest->lane.vm = vm;
	guest->wants_layout = true;
	quarantine_init(&guest->quarantine);
	policy_default(&guest->policy);
	snprintf(guest->report.name, sizeof(guest->report.name), "%s", found->name);
	guest->report.pid = found->pid;
	for (int d = 0; d < DIRECTION_COUNT; d++)
		guest->report.dir[d].target_node = -1;
	return guest;
}

struct guest *guest_free(struct guest *guest)
{
	if (!guest)
		return NULL;
	memmap_free(guest->map);
	heatmap_free(guest->heat);
	ring_set_free(guest->rings);
	quarantine_deinit(&guest->quarantine);
	guest->vm->host->ops->vm_close(guest->vm);
	free(guest);
	return NULL;
}

void guest_overtake(struct guest *guest)
{
	atomic_fetch_add(&guest->lane.epoch, 1);
}

bool guest_is_idle(const struct guest *guest)
{
	return !guest->pass && !guest->batches;
}

/* What is known of pages that stay follows them to their new indices. */
static void carry_heat(const struct memmap *old_map, const struct heatmap *old_heat,
		       const struct memmap *map, struct heatmap *heat)
{
	size_t i = 0, k = 0;

	while (i < old_map->nareas && k < map->nareas) {
		const struct area *a = &old_map->areas[i], *b = &map->areas[k];
		uint64_t a_end = a->hva + a->npages * PAGE_BYTES;
		uint64_t b_end = b->hva + b->npages * PAGE_BYTES;
		uint64_t from = a->hva > b->hva ? a->hva : b->hva;
		uint64_t to = a_end < b_end ? a_end : b_end;

		if (from < to)
			heatmap_copy(heat, b->index + (from - b->hva) / PAGE_BYTES, old_heat,
				     a->index + (from - a->hva) / PAGE_BYTES,
				     (to - from) / PAGE_BYTES);
		if (a_end < b_end)
			i++;
		else
			k++;
	}
}

int guest_adopt_layout(struct guest *guest, struct memmap *map, size_t nnodes, uint64_t nodes_epoch)
{
	bool same_nodes = guest->nodes_epoch == nodes_epoch;
	struct heatmap *heat;

	if (guest->map && guest->heat && same_nodes && memmap_same_layout(guest->map, map)) {
		memmap_free(guest->map);
		guest->map = map;
		return 0;
	}
	heat = heatmap_new(map->npages, nnodes);
	if (!heat) {
		memmap_free(map);
		return -ENOMEM;
	}
	for (size_t a = 0; a < map->nareas; a++)
		if (map->areas[a].page_bytes)
			heatmap_set_whole(heat, map->areas[a].index, map->areas[a].npages);
	if (guest->map && guest->heat && same_nodes)
		carry_heat(guest->map, guest->heat, map, heat);
	memmap_free(guest->map);
	heatmap_free(guest->heat);
	guest->map = map;
	guest->heat = heat;
	guest->layout_id++;
	guest_overtake(guest);
	guest->swept = false;
	guest->nodes_epoch = nodes_epoch;
	guest->slice_from = 0;
	/* Pages that failed are other pages now. */
	quarantine_deinit(&guest->quarantine);
	return 0;
}
