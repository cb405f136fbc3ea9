/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A report of a two-tier host, for tests of what is written from one.
 */
#pragma once

#include "report/report.h"

/* The moment at which the sample is written: 100 s, of which vmtierd has run 90. */
#define SAMPLE_NOW_NS (100 * 1000000000ULL)

/**
 * sample_report_new() - nodes 0 (DRAM) and 2 (CXL), and @nguests guests
 *
 * Guests are called "db0", "db1", ...; each has 1024 pages, 256 of them on node
 * 0 and the rest on node 2, 64 hot ones, no share, its last pass 2.5 s ago, and
 * promotes with 7 pages failed for CAUSE_BUSY.
 * Return: freed by free().
 */
struct report *sample_report_new(size_t nguests);
