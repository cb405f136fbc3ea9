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
	guest->report.target_node = -1;
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

static int file_is_foreign(void *ctx, uint64_t dev, uint64_t ino)
{
	struct host_vm *vm = ctx;
	int pid = 0;

	/* If nobody can tell, it is not plainly ours. */
	if (vm->host->ops->vm_file_holder(vm, dev, ino, &pid) < 0)
		return -1;
	return pid;
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

static int adopt_layout(struct guest *guest, struct memmap *map, size_t nnodes,
			uint64_t nodes_epoch)
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

static int layout_failed(struct guest *guest, int r, const struct error *err)
{
	snprintf(guest->layout, sizeof(guest->layout), "its memory layout cannot be read: %.180s",
		 error_text(err, r));
	return r;
}

int guest_read_layout(struct guest *guest, size_t nnodes, uint64_t nodes_epoch, uint64_t host_bytes)
{
	const struct host_ops *ops = guest->vm->host->ops;
	_cleanup_(freep) struct kvm_access_slot *slots = NULL;
	_cleanup_(freep) struct host_mapping *maps = NULL;
	struct memmap *map = NULL;
	size_t nslots = 0, nmaps = 0;
	uint64_t generation = 0;
	struct error err = {0};
	int r = ops->vm_slots(guest->vm, &slots, &nslots, &generation);

	if (r < 0)
		return r == -EAGAIN ? r : layout_failed(guest, r, &err);
	r = ops->vm_maps(guest->vm, &maps, &nmaps, &err);
	if (r >= 0)
		/* Twice the host's RAM: room for memory that a balloon has taken away. */
		r = memmap_build(slots, nslots, generation, maps, nmaps, file_is_foreign, guest->vm,
				 2 * (host_bytes / PAGE_BYTES) + 1024 * 1024, &map, &err);
	if (r >= 0)
		r = adopt_layout(guest, map, nnodes, nodes_epoch);
	if (r < 0)
		return layout_failed(guest, r, &err);
	guest->layout[0] = '\0';
	guest->wants_layout = false;
	return 0;
}
