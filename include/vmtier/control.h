/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmtierd's control socket: one JSON object per line each way, the connection
 * may carry any number of requests, one at a time.
 *
 *	{"method": "show", "parameters": {"domain": "db1"}}
 *	{"parameters": {...}}
 *	{"error": "no-such-domain", "message": "no guest is called 'db1'"}
 *
 * A line longer than VMTIER_REQUEST_MAX bytes, a client that is silent in the
 * middle of a line for VMTIER_IDLE_MS, and one that does not take its answer
 * within that time are hung up on.  Unknown members are refused.
 */
#ifndef VMTIER_CONTROL_H
#define VMTIER_CONTROL_H

#define VMTIER_SOCKET	   "/run/vmtier/vmtier.sock"
#define VMTIER_GROUP	   "vmtier"
#define VMTIER_HOOK_SOCKET "/run/vmtier/hook.sock"

/* schema_version in every answer to status, list and show; grows when a member changes meaning */
#define VMTIER_SCHEMA_VERSION 1

/* A domain XML is at most some hundred KiB; libvirt itself caps it at 16 MiB. */
#define VMTIER_REQUEST_MAX (4U << 20)
#define VMTIER_IDLE_MS	   5000

/*
 * Methods, with their parameters:
 *   status, list, metrics   none
 *   show                    domain
 *   pause, resume           domain, or all: true
 *   notify                  domain, operation, sub_operation, extra, xml
 * "notify" is taken on the hook socket only, everything else on the other one.
 * "metrics" answers {"text": ...}.
 */

/* Values of "error"; what a program may match on. */
#define VMTIER_ERROR_NO_DOMAIN	"no-such-domain"
#define VMTIER_ERROR_METHOD	"no-such-method"
#define VMTIER_ERROR_PARAMETERS "bad-parameters"
#define VMTIER_ERROR_REQUEST	"bad-request"
#define VMTIER_ERROR_PERMISSION "not-permitted"
#define VMTIER_ERROR_FAILED	"failed"

#endif
