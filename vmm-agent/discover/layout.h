/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's memory layout, read from the kernel: memslot table and mappings.
 *
 * How long that takes is up to the guest's process (its slots, its mappings,
 * files that all of /proc has to be searched for), so it is done by a worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "discover/memslot.h"
#include "host/host.h"

/**
 * layout_read() - what the guest's memory is now
 * @host_bytes: RAM of the host, which bounds what a guest may claim
 * @ret_map: ended by memmap_free()
 * Return: 0; -EAGAIN while the table changes; another negative errno, with a sentence if there
 *	is more to say than strerror(3) does.
 */
int layout_read(struct host_vm *vm, uint64_t host_bytes, struct memmap **ret_map,
		struct error *err);

/**
 * layout_still_ours() - whether every area of @map still consists of the very same memory
 *
 * Since @map was read the process may have mapped something else over its RAM.
 * If the mappings cannot be read the answer is no.
 */
bool layout_still_ours(struct host_vm *vm, const struct memmap *map);
