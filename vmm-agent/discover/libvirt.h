/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libvirt says of this host; the only contact with it.  A build without
 * libvirt has libvirt_none.c in its place.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/** enum libvirt_outcome - LIBVIRT_E_NOT_BUILT: this build leaves libvirt out */
enum libvirt_outcome { LIBVIRT_E_NOT_BUILT = 1 };

/**
 * struct libvirt_view - one look
 * @version: of the daemon, as libvirt writes it: major * 1000000 + minor * 1000 + release
 * @n: running domains; @names: owned, as are the strings
 */
struct libvirt_view {
	unsigned long version;
	size_t n;
	char **names;
};

/**
 * libvirt_look() - connect read-only, ask, disconnect
 * @uri: "qemu:///system"
 *
 * Context: may wait for as long as libvirt does not answer: not for the loop.
 * Return: 0, LIBVIRT_E_NOT_BUILT, -ENOTCONN with libvirt's sentence in @err,
 * -EIO, -ENOMEM.  The caller ends @ret_view with libvirt_view_deinit().
 */
int libvirt_look(const char *uri, struct libvirt_view *ret_view, struct error *err);

/** libvirt_view_deinit() - also of one that is all zero */
void libvirt_view_deinit(struct libvirt_view *view);
