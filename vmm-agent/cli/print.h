/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Phrases about a guest that more than one command prints, made from the JSON
 * of an answer.  They are not escaped yet.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/command.h"

/** print_json() - an answer as it came, indented; ASCII only, so fit for any terminal */
enum cli_exit print_json(const json_t *answer);

/** print_no_memory() - complain; Return: CLI_FAILED */
enum cli_exit print_no_memory(void);

/** print_residency() - "node 0 37%, node 1 63%" of the guest's RAM; returns @buf */
char *print_residency(const json_t *guest, char *buf, size_t size);

/** print_last_pass() - "last pass 1.2 s ago", or "no pass yet"; returns @buf */
char *print_last_pass(const json_t *guest, char *buf, size_t size);

/** print_rate() - "121 MiB/s of 256 MiB/s", both directions; returns @buf */
char *print_rate(const json_t *guest, char *buf, size_t size);

/**
 * print_failures() - "busy 2, pinned 14 pages" of one direction
 * Return: whether there are any.
 */
bool print_failures(const json_t *direction, char *buf, size_t size);
