// SPDX-License-Identifier: GPL-2.0-or-later
/* Read-only, and as little of libvirt's API as answers the question. */
#include "discover/libvirt.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static void connect_freep(virConnectPtr *conn)
{
	if (*conn)
		virConnectClose(*conn);
}

/* libvirt prints errors by itself unless told otherwise. */
static void keep_silent(void *ctx, virErrorPtr error)
{
	(void)ctx, (void)error;
}

static int complain(int code, const char *what, struct error *err)
{
	const char *why = virGetLastErrorMessage();

	return error_set(err, code, "%s: %s", what, why ? why : "unknown reason");
}

/* Takes what virConnectListAllDomains() gave. */
static int names_take(virDomainPtr *domains, int n, struct libvirt_view *view)
{
	int r = 0;

	view->names = calloc((size_t)n + 1, sizeof(*view->names));
	for (int i = 0; i < n; i++) {
		const char *name = virDomainGetName(domains[i]);

		if (view->names && name)
			view->names[view->n] = strdup(name);
		if (view->names && view->names[view->n])
			view->n++;
		else
			r = -ENOMEM;
		virDomainFree(domains[i]);
	}
	free(domains);
	return view->names ? r : -ENOMEM;
}

int libvirt_look(const char *uri, struct libvirt_view *ret_view, struct error *err)
{
	_cleanup_(libvirt_view_deinit) struct libvirt_view view = {.n = 0};
	_cleanup_(connect_freep) virConnectPtr conn = NULL;
	virDomainPtr *domains = NULL;
	int n;

	virSetErrorFunc(NULL, keep_silent);
	conn = virConnectOpenReadOnly(uri);
	if (!conn)
		return complain(-ENOTCONN, uri, err);
	if (virConnectGetLibVersion(conn, &view.version) < 0)
		return complain(-EIO, "asking for the version", err);
	n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	if (n < 0)
		return complain(-EIO, "listing the running domains", err);
	if (names_take(domains, n, &view) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	*ret_view = view;
	view = (struct libvirt_view) {.n = 0};
	return 0;
}

void libvirt_view_deinit(struct libvirt_view *view)
{
	for (size_t i = 0; i < view->n; i++)
		free(view->names[i]);
	free(view->names);
	*view = (struct libvirt_view) {.n = 0};
}
