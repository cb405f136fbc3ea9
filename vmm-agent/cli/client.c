// SPDX-License-Identifier: GPL-2.0-or-later
/* A socket that never blocks, and poll(2) with what is left of the time. */
#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "base/utf8.h"
#include "vmtier/control.h"

/*
 * A listener with a full backlog refuses without waiting and cannot be polled
 * for; this is how often to try again.
 */
#define BACKLOG_RETRY_MS 10

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t client_deadline(unsigned int ms)
{
	return now_ns() + ms * NSEC_PER_MSEC;
}

int client_left_ms(uint64_t deadline_ns)
{
	uint64_t now = now_ns();

	return now < deadline_ns ? (int)((deadline_ns - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC)
				 : 0;
}

static enum cli_exit fail(struct error *err, enum cli_exit result, const char *socket, int code,
			  const char *what)
{
	error_set(err, code, "%s '%s': %s", what, socket, strerror(-code));
	return result;
}

static enum cli_exit no_answer(struct error *err, const char *socket)
{
	error_set(err, -ETIMEDOUT,
		  "vmtierd does not answer on '%s' in time; see: systemctl status vmtierd", socket);
	return CLI_UNREACHABLE;
}

static enum cli_exit connect_failed(struct error *err, const char *socket, int code)
{
	if (code == -EACCES || code == -EPERM) {
		error_set(err, code,
			  "not permitted to talk to vmtierd on '%s'; be root or in group vmtier",
			  socket);
		return CLI_NOT_PERMITTED;
	}
	error_set(err, code, "vmtierd is not reachable on '%s' (%s); see: vmtierctl doctor", socket,
		  strerror(-code));
	return CLI_UNREACHABLE;
}

static enum cli_exit dial(const char *socket_path, uint64_t deadline_ns, int *ret_fd,
			  struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = -1;

	if (strlen(socket_path) >= sizeof(address.sun_path)) {
		error_set(err, -ENAMETOOLONG, "'%s' is too long for the path of a socket",
			  socket_path);
		return CLI_USAGE;
	}
	strcpy(address.sun_path, socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(err, CLI_FAILED, socket_path, -errno, "making a socket for");
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return connect_failed(err, socket_path, -errno);
		if (!client_left_ms(deadline_ns))
			return no_answer(err, socket_path);
		poll(NULL, 0, BACKLOG_RETRY_MS);
	}
	*ret_fd = take_fd(&fd);
	return CLI_DONE;
}

/* Until @fd is ready or the time is up: > 0, 0, or a negative errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do
		n = poll(&p, 1, client_left_ms(deadline_ns));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static enum cli_exit send_line(int fd, const char *socket, const char *line, size_t len,
			       uint64_t deadline_ns, struct error *err)
{
	while (len) {
		ssize_t n = send(fd, line, len, MSG_NOSIGNAL);

		if (n >= 0) {
			line += n;
			len -= (size_t)n;
			continue;
		}
		/* Whoever hangs up on a request may have said why before: read on. */
		if (errno == EPIPE || errno == ECONNRESET)
			return CLI_DONE;
		if (errno != EAGAIN && errno != EINTR)
			return fail(err, CLI_FAILED, socket, -errno, "writing to");
		if (wait_for(fd, POLLOUT, deadline_ns) <= 0)
			return no_answer(err, socket);
	}
	return CLI_DONE;
}

/**
 * struct line - what has been received
 * @text: owned; @len: bytes of it; @room: bytes allocated
 */
struct line {
	char *text;
	size_t len;
	size_t room;
};

static void line_deinit(struct line *line)
{
	free(line->text);
}

static int line_grow(struct line *line)
{
	size_t room = line->room ? 2 * line->room : 64 << 10;
	char *text;

	if (line->len < line->room)
		return 0;
	text = realloc(line->text, room);
	if (!text)
		return -ENOMEM;
	line->text = text;
	line->room = room;
	return 0;
}

static enum cli_exit hung_up(struct error *err, const char *socket, size_t len)
{
	if (len) {
		error_set(err, -EPROTO, "the answer on '%s' was cut short", socket);
		return CLI_FAILED;
	}
	error_set(err, -ECONNRESET,
		  "vmtierd hung up on '%s' without an answer; see: systemctl status vmtierd",
		  socket);
	return CLI_UNREACHABLE;
}

/* Up to the first end of line, which is left out of @line->len. */
static enum cli_exit receive_line(int fd, const char *socket, uint64_t deadline_ns,
				  struct line *line, struct error *err)
{
	for (;;) {
		const char *end;
		ssize_t n;

		if (line_grow(line) < 0)
			return fail(err, CLI_FAILED, socket, -ENOMEM, "reading from");
		n = recv(fd, line->text + line->len, line->room - line->len, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return hung_up(err, socket, line->len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(err, CLI_FAILED, socket, -errno, "reading from");
		if (n < 0) {
			if (wait_for(fd, POLLIN, deadline_ns) <= 0)
				return no_answer(err, socket);
			continue;
		}
		end = memchr(line->text + line->len, '\n', (size_t)n);
		line->len += (size_t)n;
		if (end) {
			line->len = (size_t)(end - line->text);
			return CLI_DONE;
		}
		if (line->len > CLIENT_ANSWER_MAX) {
			error_set(err, -E2BIG, "the answer on '%s' is longer than %u MiB", socket,
				  CLIENT_ANSWER_MAX >> 20);
			return CLI_FAILED;
		}
		/* A peer that trickles bytes is not to be followed for ever. */
		if (!client_left_ms(deadline_ns))
			return no_answer(err, socket);
	}
}

static enum cli_exit exit_of_error(const char *code)
{
	if (!strcmp(code, VMTIER_ERROR_NO_DOMAIN))
		return CLI_NO_DOMAIN;
	if (!strcmp(code, VMTIER_ERROR_PERMISSION))
		return CLI_NOT_PERMITTED;
	return CLI_FAILED;
}

static enum cli_exit answer_read(const char *socket, const struct line *line, json_t **ret_answer,
				 struct error *err)
{
	json_auto_t *answer = json_loadb(line->text, line->len, JSON_REJECT_DUPLICATES, NULL);
	const char *code = json_string_value(json_object_get(answer, "error"));
	const char *message = json_string_value(json_object_get(answer, "message"));
	json_t *parameters = json_object_get(answer, "parameters");

	if (code) {
		error_set(err, -EREMOTEIO, "%s", message ? message : code);
		return exit_of_error(code);
	}
	if (!json_is_object(parameters)) {
		error_set(err, -EPROTO, "what answers on '%s' does not speak as vmtierd does",
			  socket);
		return CLI_FAILED;
	}
	*ret_answer = json_incref(parameters);
	return CLI_DONE;
}

/* The request with its end of line; NULL when out of memory or if a text is not UTF-8. */
static char *request_text(const char *method, json_t *parameters)
{
	json_auto_t *request = json_pack("{ss}", "method", method);
	_cleanup_(freep) char *text = NULL;
	char *line;
	size_t len;

	if (parameters && json_object_set(request, "parameters", parameters) < 0)
		return NULL;
	text = json_dumps(request, JSON_COMPACT);
	if (!text)
		return NULL;
	len = strlen(text);
	line = realloc(text, len + 2);
	if (!line)
		return NULL;
	text = NULL;
	memcpy(line + len, "\n", 2);
	return line;
}

enum cli_exit client_call(const char *socket, const char *method, json_t *parameters,
			  uint64_t deadline_ns, json_t **ret_answer, struct error *err)
{
	json_auto_t *taken = parameters;
	_cleanup_(freep) char *request = request_text(method, taken);
	_cleanup_(line_deinit) struct line line = {.text = NULL};
	_cleanup_(closep) int fd = -1;
	enum cli_exit r;

	if (!request)
		return fail(err, CLI_FAILED, socket, -ENOMEM, "writing to");
	r = dial(socket, deadline_ns, &fd, err);
	if (r)
		return r;
	r = send_line(fd, socket, request, strlen(request), deadline_ns, err);
	if (r)
		return r;
	r = receive_line(fd, socket, deadline_ns, &line, err);
	if (r)
		return r;
	return answer_read(socket, &line, ret_answer, err);
}

enum cli_exit client_ask(const struct options *options, const char *method, json_t *parameters,
			 json_t **ret_answer)
{
	struct error err = {.code = 0};
	enum cli_exit r;

	r = client_call(options->socket, method, parameters, client_deadline(CLIENT_TIMEOUT_MS),
			ret_answer, &err);
	if (r)
		cli_complain("%s", error_text(&err, err.code));
	return r;
}

json_t *client_domain(const char *name)
{
	size_t size = strlen(name) + 1;
	_cleanup_(freep) char *clean = malloc(size);

	return clean ? json_pack("{ss}", "domain", utf8_clean(clean, size, name)) : NULL;
}
