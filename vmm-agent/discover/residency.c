// SPDX-License-Identifier: GPL-2.0-or-later
/* Slices of pagemap, wrapped around the guest. */
#include "discover/residency.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/units.h"

int residency_slice_init(struct residency_slice *slice, size_t room)
{
	slice->n = 0;
	slice->room = room;
	slice->nodes = malloc(room);
	return slice->nodes ? 0 : -ENOMEM;
}

void residency_slice_deinit(struct residency_slice *slice)
{
	free(slice->nodes);
	slice->nodes = NULL;
}

void residency_read(struct host_vm *vm, const struct memmap *map, uint64_t from,
		    struct residency_slice *slice)
{
	uint64_t end;

	slice->n = 0;
	if (from >= map->npages)
		from = 0;
	end = map->npages - from > slice->room ? from + slice->room : map->npages;
	memset(slice->nodes, RESIDENCY_UNKNOWN, end - from);
	for (size_t a = 0; a < map->nareas; a++) {
		const struct area *area = &map->areas[a];
		uint64_t first = area->index > from ? area->index : from;
		uint64_t last = area->index + area->npages < end ? area->index + area->npages : end;

		if (first >= last)
			continue;
		if (vm->host->ops->vm_residency(vm, area->hva + (first - area->index) * PAGE_BYTES,
						last - first, slice->nodes + (first - from)) < 0)
			return;
	}
	slice->index = from;
	slice->n = end - from;
}

uint64_t residency_apply(struct heatmap *heat, const struct sample *sample,
			 const struct residency_slice *slice)
{
	for (size_t i = 0; i < slice->n; i++) {
		uint64_t index = slice->index + i;

		if (slice->nodes[i] == RESIDENCY_UNKNOWN || index >= heat->npages)
			continue;
		if (sample && bitmap_test(sample->present, index))
			continue;
		heatmap_place(heat, index, slice->nodes[i]);
	}
	return slice->index + slice->n;
}
