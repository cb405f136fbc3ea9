/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for fds: epoll, and one callback per fd.  Timers are the caller's:
 * it knows when it is due and says how long a turn may wait.
 */
#pragma once

#include <stdint.h>

struct loop;

/** loop_ready - @events are EPOLL* bits */
typedef void (*loop_ready)(void *ctx, uint32_t events);

/** loop_new() - -ENOMEM or the errno of epoll_create1(2); loop_free() leaves the fds open */
int loop_new(struct loop **ret_loop);
struct loop *loop_free(struct loop *loop);

/**
 * loop_add() - watch @fd, borrowed until loop_remove()
 * Return: 0, -ENOMEM or the errno of epoll_ctl(2): -EEXIST if it is watched, which stays so.
 */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_ready ready, void *ctx);

/** loop_change() - other events for an fd that is watched */
int loop_change(struct loop *loop, int fd, uint32_t events);

/** loop_remove() - before the fd is closed; safe within a callback, also its own */
void loop_remove(struct loop *loop, int fd);

/** loop_turn() - wait at most @timeout_ms (-1: for ever), then call what is ready, once each */
int loop_turn(struct loop *loop, int timeout_ms);
