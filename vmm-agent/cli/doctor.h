/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What doctor finds, and the checks that find it.  Each check adds one finding
 * for each thing that it looks at, good or bad: a doctor who is silent about
 * the heart has not listened to it.
 */
#pragma once

#include <stddef.h>

#include "cli/command.h"
#include "host/host.h"

/**
 * enum verdict - of one finding
 * @VERDICT_OK: as it should be, or of no concern here
 * @VERDICT_WARN: vmtier works, but not as well as it could
 * @VERDICT_FAIL: vmtier cannot do its work
 */
enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL, VERDICT_COUNT };

/** verdict_name() - "ok", "warn", "fail" */
const char *verdict_name(enum verdict verdict);

/**
 * struct finding - one line of the result
 * @topic: a word or two; @text: one sentence; @next: what to do, "" if nothing
 */
struct finding {
	enum verdict verdict;
	char topic[32];
	char text[512];
	char next[256];
};

/* About 25 checks, each with a few findings at most; the last place is for the rest. */
#define FINDINGS_MAX 96

/**
 * struct doctor - one examination
 * @root: "" or the root of a captured tree; for /proc, /sys, /etc, /dev, /run
 * @options: sockets
 * @host: the kernel under @root
 */
struct doctor {
	const char *root;
	const struct options *options;
	struct host *host;
	size_t nfindings;
	struct finding findings[FINDINGS_MAX];
};

/** doctor_add() - one finding; @next may be NULL */
void doctor_add(struct doctor *doctor, enum verdict verdict, const char *topic, const char *next,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/**
 * doctor_read() - the first line of a small file under the root
 * @buf, @size: terminated, without the end of line
 * Return: 0 or a negative errno.
 */
int doctor_read(const struct doctor *doctor, const char *path, char *buf, size_t size);

/** doctor_check_host() - rights, KVM and its MMU, NUMA nodes (doctor_host.c) */
void doctor_check_host(struct doctor *doctor);

/** doctor_check_kernel() - settings that get in the way, other movers (doctor_kernel.c) */
void doctor_check_kernel(struct doctor *doctor);

/** doctor_check_service() - vmtierd, hook, policies, libvirt (doctor_service.c) */
void doctor_check_service(struct doctor *doctor);
