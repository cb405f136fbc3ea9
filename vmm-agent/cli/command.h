/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands of vmtierctl share: options, exit codes, one function each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * enum cli_exit - exit codes, the same for all commands; scripts rely on them
 * @CLI_DONE: done
 * @CLI_FAILED: the operation failed, or the answer made no sense
 * @CLI_USAGE: bad arguments; nothing was tried
 * @CLI_UNREACHABLE: vmtierd is not there, or does not answer
 * @CLI_NO_DOMAIN: no guest of that name
 * @CLI_NOT_PERMITTED: the caller may not do this
 */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3,
	CLI_NO_DOMAIN = 4,
	CLI_NOT_PERMITTED = 5,
};

/**
 * struct options - the command line, without the verb
 * @json: print JSON instead of tables
 * @all: --all, every guest
 * @output: --output, NULL for standard output
 * @socket, @hook_socket: paths
 * @args, @nargs: what follows the verb
 */
struct options {
	bool json;
	bool all;
	const char *output;
	const char *socket;
	const char *hook_socket;
	char **args;
	int nargs;
};

/** command_fn - carry out one verb; errors are said on stderr already when it returns */
typedef enum cli_exit command_fn(const struct options *options);

command_fn cmd_status;
command_fn cmd_list;
command_fn cmd_show;
command_fn cmd_pause;
command_fn cmd_resume;
command_fn cmd_doctor;
command_fn cmd_metrics;
command_fn cmd_notify;

/** cli_complain() - one line on stderr, "vmtierctl: " before it, fit for a terminal */
void cli_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
