// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmtierctl [OPTION...] VERB [DOMAIN]: finds the verb, checks what comes with
 * it, runs it, and turns its result into the exit code.
 */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "build_config.h"
#include "vmtier/control.h"

/** enum takes - options that only some verbs know */
enum takes { TAKES_ALL = 1 << 0, TAKES_OUTPUT = 1 << 1 };

/**
 * struct command - one verb
 * @args: what follows it, for the help
 * @min, @max: number of arguments; --all stands for one
 */
static const struct command {
	const char *name;
	const char *args;
	const char *summary;
	int min, max;
	unsigned int takes;
	command_fn *run;
} commands[] = {
	{"status", "", "what is being moved, for each guest", 0, 0, 0, cmd_status},
	{"list", "", "the guests", 0, 0, 0, cmd_list},
	{"show", "DOMAIN", "everything about one guest", 1, 1, 0, cmd_show},
	{"pause", "DOMAIN|--all", "move nothing until resumed", 1, 1, TAKES_ALL, cmd_pause},
	{"resume", "DOMAIN|--all", "go on", 1, 1, TAKES_ALL, cmd_resume},
	{"doctor", "", "check this host; works without vmtierd", 0, 0, 0, cmd_doctor},
	{"metrics", "[--output FILE]", "print or write metrics for Prometheus", 0, 0, TAKES_OUTPUT,
	 cmd_metrics},
	{"notify", "NAME OP SUBOP EXTRA", "tell vmtierd of a libvirt event (for the hook)", 4, 4, 0,
	 cmd_notify},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static enum cli_exit usage_error(void)
{
	fputs("Try 'vmtierctl --help'.\n", stderr);
	return CLI_USAGE;
}

static void help(void)
{
	puts("Usage: vmtierctl [OPTION...] VERB [DOMAIN]\n"
	     "Watch and steer vmtierd, which keeps the hot pages of guests in DRAM.\n\n"
	     "Verbs:");
	for (size_t i = 0; i < COMMANDS; i++) {
		char synopsis[64];

		snprintf(synopsis, sizeof(synopsis), "%s %s", commands[i].name, commands[i].args);
		printf("  %-28s%s\n", synopsis, commands[i].summary);
	}
	puts("\nOptions:\n"
	     "  --json               print JSON, sizes in bytes or pages, times in ns\n"
	     "  --all                pause, resume: every guest\n"
	     "  --output FILE        metrics: replace FILE at once\n"
	     "  --socket PATH        control socket (" VMTIER_SOCKET ")\n"
	     "  --hook-socket PATH   where notify goes (" VMTIER_HOOK_SOCKET ")\n"
	     "  --help, --version\n\n"
	     "Exit codes: 0 done, 1 failed, 2 bad usage, 3 vmtierd not reachable,\n"
	     "4 no such guest, 5 not permitted.");
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Whether the words after the verb are those that it takes. */
static enum cli_exit usage_check(const struct command *command, const struct options *options)
{
	int min = options->all ? 0 : command->min, max = options->all ? 0 : command->max;

	if (options->all && !(command->takes & TAKES_ALL)) {
		cli_complain("'%s' does not take --all", command->name);
		return usage_error();
	}
	if (options->output && !(command->takes & TAKES_OUTPUT)) {
		cli_complain("'%s' does not take --output", command->name);
		return usage_error();
	}
	if (options->nargs < min || options->nargs > max) {
		cli_complain("usage: vmtierctl %s %s", command->name, command->args);
		return usage_error();
	}
	return CLI_DONE;
}

static enum cli_exit run(const struct options *given)
{
	struct options options = *given;
	const struct command *command;
	enum cli_exit r;

	if (!options.nargs) {
		cli_complain("what is to be done? A verb is missing");
		return usage_error();
	}
	command = command_find(options.args[0]);
	if (!command) {
		cli_complain("unknown verb '%s'", options.args[0]);
		return usage_error();
	}
	options.args++;
	options.nargs--;
	r = usage_check(command, &options);
	if (r)
		return r;
	r = command->run(&options);
	/* A full disk or a closed pipe is found out only when the buffer is emptied. */
	if (fflush(stdout) || ferror(stdout)) {
		cli_complain("writing the output failed");
		return r ? r : CLI_FAILED;
	}
	return r;
}

/** enum long_option - codes of those without a letter */
enum long_option { OPT_JSON = 256, OPT_ALL, OPT_OUTPUT, OPT_SOCKET, OPT_HOOK_SOCKET };

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, OPT_JSON},
		{"all", no_argument, NULL, OPT_ALL},
		{"output", required_argument, NULL, OPT_OUTPUT},
		{"socket", required_argument, NULL, OPT_SOCKET},
		{"hook-socket", required_argument, NULL, OPT_HOOK_SOCKET},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	struct options options = {.socket = VMTIER_SOCKET, .hook_socket = VMTIER_HOOK_SOCKET};
	int c;

	/* Only what characters are: numbers keep their '.'. */
	setlocale(LC_CTYPE, "");
	while ((c = getopt_long(argc, argv, "hV", longs, NULL)) != -1) {
		switch (c) {
		case OPT_JSON:
			options.json = true;
			break;
		case OPT_ALL:
			options.all = true;
			break;
		case OPT_OUTPUT:
			options.output = optarg;
			break;
		case OPT_SOCKET:
			options.socket = optarg;
			break;
		case OPT_HOOK_SOCKET:
			options.hook_socket = optarg;
			break;
		case 'h':
			help();
			return CLI_DONE;
		case 'V':
			puts("vmtierctl " VMTIER_VERSION);
			return CLI_DONE;
		default:
			return usage_error();
		}
	}
	options.args = argv + optind;
	options.nargs = argc - optind;
	return run(&options);
}
