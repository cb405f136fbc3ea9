/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that takes a node's memory to pieces: plenty is free, and none of it
 * in blocks of 2 MiB.
 */
#pragma once

#include <sys/types.h>

/**
 * fragment_start() - until fragment_stop(), no block of 2 MiB of @node can be had
 * @ret_pid: the process that holds the pieces
 *
 * It takes all of the node's memory in pages of 4 KiB, locks them and gives every
 * other one back; then it takes what whole blocks the watermarks had kept.
 * Compaction would undo that within the very allocation that needs a block, so
 * vm.compact_unevictable_allowed is 0 meanwhile.
 *
 * Return: 0 or a negative errno.
 */
int fragment_start(int node, pid_t *ret_pid);

/** fragment_stop() - give it all back; nothing for a @pid of 0 */
void fragment_stop(pid_t pid);
