/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket and the hook socket, served by a thread of their own, so
 * that no client can hold up a pass.
 *
 * Reading methods are answered from the published report.  What changes
 * something is put before the loop as a struct control_request and answered
 * when the loop has decided.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "host/host.h"
#include "report/publish.h"

struct control;

/** enum control_verb - what the loop is asked to do */
enum control_verb { CONTROL_PAUSE, CONTROL_RESUME, CONTROL_NOTIFY };

/**
 * struct control_request - one request to the loop
 * @domain: guest, or NULL for all; @xml: of a hook, or NULL
 * @answer: room for it, so that none is missing when it is due
 *
 * The strings belong to @parameters.
 */
struct control_request {
	struct control_request *next;
	struct answer *answer;
	uint64_t client;
	enum control_verb verb;
	json_t *parameters;
	const char *domain;
	const char *xml;
	size_t xml_len;
};

/**
 * control_start() - bind both sockets and serve
 *
 * A socket file that nobody listens on is replaced; one with a listener is
 * -EADDRINUSE.  The control socket is 0660, the hook socket 0600.
 */
int control_start(struct host *host, const char *path, const char *hook_path,
		  struct publisher *publisher, struct control **ret_control, struct error *err);

/** control_stop() - hang up on all, remove the socket files.  NULL is fine. */
struct control *control_stop(struct control *control);

/** control_fd() - readable while requests wait; control_take() gives the oldest or NULL */
int control_fd(const struct control *control);
struct control_request *control_take(struct control *control);

/**
 * control_answer() - end a request, which is freed
 * @error: NULL, or a VMTIER_ERROR_ word with @message
 */
void control_answer(struct control *control, struct control_request *request, const char *error,
		    const char *message);
