/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report that readers see, exchanged by RCU: neither the loop nor a reader
 * ever waits for the other.
 */
#pragma once

#include "report/report.h"

struct publisher;

/** publisher_new() - with nothing published; NULL when out of memory */
struct publisher *publisher_new(void);

/** publisher_free() - no reader may be left */
struct publisher *publisher_free(struct publisher *publisher);

/** publisher_put() - @report, taken, replaces the last one.  Context: loop thread */
void publisher_put(struct publisher *publisher, struct report *report);

/** publisher_join(), publisher_leave() - around the life of a thread that reads */
void publisher_join(void);
void publisher_leave(void);

/**
 * publisher_read() - the newest report, NULL before the first
 *
 * Valid until publisher_done(), which must follow in any case.
 * Context: a thread that has joined; RCU read-side, so be short.
 */
const struct report *publisher_read(struct publisher *publisher);
void publisher_done(void);
