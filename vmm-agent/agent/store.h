/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vmtierd keeps of guests over its own restart, one small file for each:
 * PID-STARTTIME in a directory that nobody else can write to.  Never by name,
 * which a guest's process chooses.
 *
 *	{"version": 1, "paused": true, "refused": true,
 *	 "policy": {"mode": "tier", "dram_max_bytes": 17179869184, "target_nodes": [0, 2]}}
 *
 * Each member but the version may be left out, not all of them.  Without
 * "dram_max_bytes" there is no maximum; one above 2^63-1, which JSON cannot
 * hold and no host has, is kept as that.  "target_nodes" rises, and is left out
 * where any node will do.  Anything else is refused as a whole: what cannot be
 * understood may have forbidden something.
 *
 * Files come by rename(2), so they are whole, and go with their guest.  There
 * is no fsync(2): they shall survive vmtierd, and guests do not survive a host.
 * An empty directory name turns all of this off.  One process writes.
 *
 * Failure radius: one guest, which then may only be observed; a directory that
 * cannot be used is a problem of the host, and the daemon runs on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "host/host.h"
#include "plan/policy.h"

/* Ours are under 512 bytes, with all 64 nodes; what is longer is none of ours. */
#define STORE_FILE_MAX (64U << 10)

/**
 * struct kept - of one guest
 * @paused: by the operator
 * @has_policy: libvirt's hook has brought @policy, whose origin does not count
 * @refused: what the hook has brought last was refused
 */
struct kept {
	bool paused;
	bool has_policy;
	bool refused;
	struct policy policy;
};

/** enum store_outcome - STORE_NONE: nothing is kept of this guest */
enum store_outcome { STORE_NONE = 1 };

/**
 * store_read() - what was kept of the process @pid that began at @start_time
 * @ret_kept: untouched unless 0 is returned
 * Return: 0, STORE_NONE, or a negative errno with a sentence that says which file and what
 *	to do; nobody knows then what the guest's policy was.
 */
int store_read(const char *dir, int pid, uint64_t start_time, struct kept *ret_kept,
	       struct error *err);

/**
 * store_write() - keep this instead of what is kept; nothing at all removes the file
 *
 * Makes @dir where it is missing.  If this fails, an empty file is left if at
 * all possible: store_read() refuses it, so what is out of date is not believed.
 * Return: 0, or a negative errno with a sentence about @dir.
 */
int store_write(const char *dir, int pid, uint64_t start_time, const struct kept *kept,
		struct error *err);

/** store_forget() - the guest is gone; what cannot be removed now is swept at the next start */
void store_forget(const char *dir, int pid, uint64_t start_time);

/**
 * store_sweep() - make @dir, and remove files of processes that have ended
 * @runs: whether one runs; true where nobody can tell
 *
 * Files that are not called like ours are left alone, whatever they are.
 * Return: 0, or a negative errno with a sentence if @dir cannot be used.
 */
int store_sweep(const char *dir, bool (*runs)(void *ctx, int pid, uint64_t start_time), void *ctx,
		struct error *err);
