/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmtierd.conf: one table of options, read by libinih.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define CONFIG_FILE	  "/etc/vmtier/vmtierd.conf"
#define CONFIG_DROP_INS	  "/etc/vmtier/vmtierd.conf.d"
#define CONFIG_POLICY_DIR "/etc/vmtier/policy.d"
#define CONFIG_STATE_DIR  "/run/vmtier/guests"

/**
 * struct config - what the operator set
 * @policy_dir, @socket, @hook_socket: paths
 * @state_dir: of store.h; "", which no file can say, keeps nothing
 * @log_level: "error", "warning", "notice", "info", "debug" as a number
 * @scan_ms: between two looks for new guests
 * @period_ms: between two passes over a guest
 * @flush: one TLB flush per pass
 * @workers: harvest threads
 * @settle_passes: before anything of a new guest moves
 * @rate_mib_per_s: most that moves of one guest; @host_rate_mib_per_s: of all; 0 is no limit
 * @headroom_mib: free memory that promotion and demotion leave on a node, at the least
 */
struct config {
	char policy_dir[256];
	char state_dir[256];
	char socket[108]; /* sun_path */
	char hook_socket[108];
	uint64_t log_level;
	uint64_t scan_ms;
	uint64_t period_ms;
	uint64_t flush;
	uint64_t workers;
	uint64_t settle_passes;
	uint64_t rate_mib_per_s;
	uint64_t host_rate_mib_per_s;
	uint64_t headroom_mib;
};

/** config_default() - what holds where nothing is set */
void config_default(struct config *config);

/**
 * config_read() - one file over what @config holds
 * @must_exist: a file that is not there is an error
 * Return: 0, or a negative errno with file, line and what is wrong; @config is then untouched.
 */
int config_read(struct config *config, const char *path, bool must_exist, struct error *err);

/** config_read_all() - CONFIG_FILE and then the drop-ins by name; neither has to exist */
int config_read_all(struct config *config, struct error *err);

/** config_log_level() - the level called @name, 0 if none is */
uint64_t config_log_level(const char *name);
