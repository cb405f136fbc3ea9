// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking the host, and handing the answers to memmap_build(). */
#include "discover/layout.h"

#include "base/cleanup.h"
#include "base/units.h"

/* Claims of a guest beyond twice the host's RAM: its video memory, ROMs and the like. */
#define SPARE_PAGES (1024 * 1024)

static int file_is_foreign(void *ctx, uint64_t dev, uint64_t ino)
{
	struct host_vm *vm = ctx;
	int pid = 0;

	/* If nobody can tell, it is not plainly ours. */
	if (vm->host->ops->vm_file_holder(vm, dev, ino, &pid) < 0)
		return -1;
	return pid;
}

int layout_read(struct host_vm *vm, uint64_t host_bytes, struct memmap **ret_map, struct error *err)
{
	const struct host_ops *ops = vm->host->ops;
	_cleanup_(freep) struct kvm_access_slot *slots = NULL;
	_cleanup_(freep) struct host_mapping *maps = NULL;
	size_t nslots = 0, nmaps = 0;
	uint64_t generation = 0;
	int r = ops->vm_slots(vm, &slots, &nslots, &generation);

	if (r < 0)
		return r;
	r = ops->vm_maps(vm, &maps, &nmaps, err);
	if (r < 0)
		return r;
	/* Twice the host's RAM: room for memory that a balloon has taken away. */
	return memmap_build(slots, nslots, generation, maps, nmaps, file_is_foreign, vm,
			    2 * (host_bytes / PAGE_BYTES) + SPARE_PAGES, ret_map, err);
}

bool layout_still_ours(struct host_vm *vm, const struct memmap *map)
{
	_cleanup_(freep) struct host_mapping *maps = NULL;
	size_t nmaps = 0;

	return vm->host->ops->vm_maps(vm, &maps, &nmaps, NULL) >= 0 &&
	       memmap_still_ours(map, maps, nmaps);
}
