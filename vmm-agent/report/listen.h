/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix sockets: who may connect, and who did.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

/**
 * listen_open() - a listening stream socket at @path with this mode
 *
 * A socket file that nobody listens on is replaced.  With a mode that lets a
 * group in, the file is given to the group vmtier if there is one.
 * Return: the fd, -EADDRINUSE if somebody listens there, another negative errno.
 */
int listen_open(const char *path, mode_t mode, struct error *err);

/** listen_peer_is_privileged() - whether the peer is root or the user that we run as */
bool listen_peer_is_privileged(int fd);
