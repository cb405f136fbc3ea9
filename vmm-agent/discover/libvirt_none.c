// SPDX-License-Identifier: GPL-2.0-or-later
/* In place of libvirt.c in a build without libvirt. */
#include "discover/libvirt.h"

int libvirt_look(const char *uri, struct libvirt_view *ret_view, struct error *err)
{
	(void)uri, (void)ret_view, (void)err;
	return LIBVIRT_E_NOT_BUILT;
}

void libvirt_view_deinit(struct libvirt_view *view)
{
	*view = (struct libvirt_view) {.n = 0};
}
