/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A report as JSON: the answers of the control socket.
 */
#pragma once

#include <jansson.h>

#include "report/report.h"

/**
 * report_json_status() - host and all guests, everything that struct report has
 * @now_ns: CLOCK_MONOTONIC of the answer, from which ages are computed
 * Return: a new reference, NULL when out of memory.
 */
json_t *report_json_status(const struct report *report, uint64_t now_ns);

/** report_json_list() - names, pids, states and modes only */
json_t *report_json_list(const struct report *report, uint64_t now_ns);

/** report_json_show() - one guest of @report */
json_t *report_json_show(const struct report *report, const struct report_guest *guest,
			 uint64_t now_ns);
