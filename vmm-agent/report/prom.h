/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A report in Prometheus' text format 0.0.4.
 */
#pragma once

#include "report/report.h"

/**
 * report_prom() - every family once, with HELP and TYPE
 * @now_ns: CLOCK_MONOTONIC of the answer
 * Return: text that the caller frees, NULL when out of memory.
 */
char *report_prom(const struct report *report, uint64_t now_ns);
