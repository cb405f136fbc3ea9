/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One question to vmtierd and its answer, over the sockets of vmtier/control.h.
 * Nothing here waits beyond a deadline, whatever the other side does.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/command.h"

/*
 * How long a command waits for everything together.  A daemon that is alive
 * answers from a report that is ready, within milliseconds; beyond some seconds
 * a person believes that the command hangs.
 */
#define CLIENT_TIMEOUT_MS 5000

/* A guest takes about 2 KiB of an answer: room for many thousands of them. */
#define CLIENT_ANSWER_MAX (64U << 20)

/** client_deadline() - CLOCK_MONOTONIC, @ms from now */
uint64_t client_deadline(unsigned int ms);

/** client_left_ms() - until @deadline_ns, rounded up; 0 when it has passed */
int client_left_ms(uint64_t deadline_ns);

/**
 * client_call() - ask
 * @socket: path; @deadline_ns: see client_deadline()
 * @parameters: taken, also on failure; NULL where a method has none
 * @ret_answer: "parameters" of the answer, an object; the caller drops it
 * @err: the sentence for every result but CLI_DONE, with what to do next
 * Return: CLI_DONE; CLI_UNREACHABLE if nobody answers in time; CLI_FAILED if the
 * answer is none of vmtierd's or says so; CLI_USAGE if @socket is too long for a
 * path; CLI_NO_DOMAIN, CLI_NOT_PERMITTED.
 */
enum cli_exit client_call(const char *socket, const char *method, json_t *parameters,
			  uint64_t deadline_ns, json_t **ret_answer, struct error *err);

/**
 * client_ask() - client_call() on the control socket for a command that a person typed
 *
 * Waits CLIENT_TIMEOUT_MS and complains on stderr by itself.
 */
enum cli_exit client_ask(const struct options *options, const char *method, json_t *parameters,
			 json_t **ret_answer);

/** client_domain() - {"domain": NAME}, cleaned as vmtierd cleans names; NULL: no memory */
json_t *client_domain(const char *name);
