// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * One thread, one epoll.  A client is a buffer for the line it is sending, a
 * buffer for the answer it is taking, and a deadline that both renew.  While
 * its request is with the loop the client is not read.  Answers of the loop
 * come back by client number through a list and an eventfd, because the client
 * may have hung up meanwhile.
 */
#include "report/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/units.h"
#include "report/json.h"
#include "report/listen.h"
#include "report/prom.h"
#include "vmtier/control.h"

/*
 * More than operators have terminals; each costs up to VMTIER_REQUEST_MAX while it sends.
 * The first places are for the hook, so that operators cannot lock it out.
 */
#define CLIENTS_MAX 40
#define HOOK_PLACES 8

/*
 * Who cannot be accepted, for want of fds or memory, keeps the listener readable.
 * Shorter than a person notices, and so long that trying again costs nothing.
 */
#define DEAF_NS (100 * NSEC_PER_MSEC)

/* Requests of one client that are answered in a row. */
#define LINES_PER_TURN 16

struct client {
	struct control *control;
	uint64_t id;
	int fd;
	bool hook;
	bool privileged;
	bool waiting; /* for the loop */
	bool closing; /* once the answer is out */
	char *in;
	size_t in_len, in_room;
	char *out;
	size_t out_len, out_at;
	uint64_t deadline_ns;
};

/* An answer of the loop on its way to a client. */
struct answer {
	struct answer *next;
	uint64_t client;
	char *text;
};

struct control {
	struct host *host;
	struct publisher *publisher;
	struct loop *loop;
	pthread_t thread;
	atomic_bool stop;
	int listen_fd, hook_fd;
	char path[108], hook_path[108];
	uint64_t deaf_until_ns; /* while it is set nobody is accepted */
	uint64_t next_id;
	struct client *clients[CLIENTS_MAX];
	pthread_mutex_t lock; /* of the two lists */
	struct control_request *requests, **requests_end;
	struct answer *answers;
	int request_fd; /* wakes the agent's loop */
	int answer_fd;	/* wakes our thread */
};

static void client_flush(struct client *c);

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: the reader is awake anyway */
}

static void client_close(struct client *c)
{
	struct control *control = c->control;

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i] == c)
			control->clients[i] = NULL;
	loop_remove(control->loop, c->fd);
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void client_renew(struct client *c)
{
	struct host *host = c->control->host;

	c->deadline_ns = host->ops->now_ns(host) + VMTIER_IDLE_MS * NSEC_PER_MSEC;
}

/* Takes @text, which ends in a newline. */
static void client_send(struct client *c, char *text)
{
	if (!text) { /* out of memory: an answer cannot be made, so hang up */
		c->closing = true;
		return;
	}
	free(c->out);
	c->out = text;
	c->out_len = strlen(text);
	c->out_at = 0;
	client_renew(c);
}

static char *line_of(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	char *line = text ? realloc(text, len + 2) : NULL;

	json_decref(object);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + len, "\n", 2);
	return line;
}

static char *error_line(const char *error, const char *message)
{
	/* Messages may hold names that are not UTF-8: say so rather than nothing. */
	json_t *text = json_string(message);

	return line_of(json_pack("{s:s, s:o}", "error", error, "message",
				 text ? text : json_string("(message is not UTF-8)")));
}

static void client_refuse(struct client *c, const char *error, const char *message)
{
	client_send(c, error_line(error, message));
}

/* NULL if a member is missing, of the wrong type, or holds a NUL. */
static const char *string_of(json_t *parameters, const char *key)
{
	json_t *value = json_object_get(parameters, key);
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static bool only_members(json_t *object, const char *const *allowed)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		size_t i = 0;

		while (allowed[i] && strcmp(allowed[i], key))
			i++;
		if (!allowed[i])
			return false;
	}
	return true;
}

static void answer_report(struct client *c, const char *method, json_t *parameters)
{
	struct control *control = c->control;
	uint64_t now_ns = control->host->ops->now_ns(control->host);
	const struct report *report = publisher_read(control->publisher);
	json_t *body = NULL;

	if (!report) {
		client_refuse(c, VMTIER_ERROR_FAILED, "vmtierd is still starting: try again");
	} else if (!strcmp(method, "show")) {
		const char *name = string_of(parameters, "domain");
		const struct report_guest *guest = name ? report_find(report, name) : NULL;
		char message[REPORT_NAME_MAX + 64];

		snprintf(message, sizeof(message), "no guest is called '%.255s'", name ? name : "");
		if (!name)
			client_refuse(c, VMTIER_ERROR_PARAMETERS, "'show' needs a domain");
		else if (!guest)
			client_refuse(c, VMTIER_ERROR_NO_DOMAIN, message);
		else
			body = report_json_show(report, guest, now_ns);
		if (!guest)
			goto out;
	} else if (!strcmp(method, "metrics")) {
		_cleanup_(freep) char *text = report_prom(report, now_ns);

		body = text ? json_pack("{s:s}", "text", text) : NULL;
	} else {
		body = !strcmp(method, "list") ? report_json_list(report, now_ns)
					       : report_json_status(report, now_ns);
	}
	if (report)
		client_send(c, body ? line_of(json_pack("{s:o}", "parameters", body)) : NULL);
out:
	publisher_done();
}

static void ask_loop(struct client *c, enum control_verb verb, json_t *parameters)
{
	struct control *control = c->control;
	struct control_request *request = calloc(1, sizeof(*request));

	if (request)
		request->answer = calloc(1, sizeof(*request->answer));
	if (!request || !request->answer) {
		free(request);
		client_refuse(c, VMTIER_ERROR_FAILED, "out of memory");
		return;
	}
	request->client = c->id;
	request->verb = verb;
	request->parameters = json_incref(parameters);
	request->domain = string_of(parameters, "domain");
	request->xml = string_of(parameters, "xml");
	request->xml_len = request->xml ? strlen(request->xml) : 0;
	c->waiting = true;
	pthread_mutex_lock(&control->lock);
	*control->requests_end = request;
	control->requests_end = &request->next;
	pthread_mutex_unlock(&control->lock);
	wake(control->request_fd);
}

static void start_change(struct client *c, const char *method, json_t *parameters)
{
	static const char *const allowed[] = {"domain", "all", NULL};
	bool all = json_is_true(json_object_get(parameters, "all"));
	bool named = string_of(parameters, "domain") != NULL;

	if (!c->privileged)
		client_refuse(c, VMTIER_ERROR_PERMISSION, "only root may pause and resume guests");
	else if (!only_members(parameters, allowed) || all == named)
		client_refuse(c, VMTIER_ERROR_PARAMETERS, "give a domain, or all: true");
	else
		ask_loop(c, !strcmp(method, "pause") ? CONTROL_PAUSE : CONTROL_RESUME, parameters);
}

static void start_notify(struct client *c, json_t *parameters)
{
	static const char *const allowed[] = {"domain", "operation", "sub_operation",
					      "extra",	"xml",	     NULL};

	if (!only_members(parameters, allowed) || !string_of(parameters, "domain") ||
	    !string_of(parameters, "operation"))
		client_refuse(c, VMTIER_ERROR_PARAMETERS,
			      "'notify' needs a domain and an operation");
	else
		ask_loop(c, CONTROL_NOTIFY, parameters);
}

static void dispatch(struct client *c, const char *method, json_t *parameters)
{
	static const char *const reading[] = {"status", "list", "show", "metrics"};
	static const char *const of_show[] = {"domain", NULL};
	const char *const *allowed = strcmp(method, "show") ? of_show + 1 : of_show;

	if (c->hook) {
		if (!strcmp(method, "notify"))
			start_notify(c, parameters);
		else
			client_refuse(c, VMTIER_ERROR_METHOD,
				      "the hook socket takes 'notify' only");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(reading); i++) {
		if (strcmp(method, reading[i]))
			continue;
		if (only_members(parameters, allowed))
			answer_report(c, method, parameters);
		else
			client_refuse(c, VMTIER_ERROR_PARAMETERS,
				      "there is a parameter that this method does not have");
		return;
	}
	if (!strcmp(method, "pause") || !strcmp(method, "resume"))
		start_change(c, method, parameters);
	else
		client_refuse(c, VMTIER_ERROR_METHOD, "there is no such method");
}

static void handle_line(struct client *c, const char *line, size_t len)
{
	static const char *const allowed[] = {"method", "parameters", NULL};
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	json_t *parameters = json_object_get(request, "parameters");
	const char *method = string_of(request, "method");

	if (!json_is_object(request) || !method || !only_members(request, allowed) ||
	    (parameters && !json_is_object(parameters))) {
		client_refuse(c, VMTIER_ERROR_REQUEST,
			      "a request is one JSON object on a line: "
			      "{\"method\": ..., \"parameters\": {...}}");
	} else {
		json_t *empty = parameters ? json_incref(parameters) : json_object();

		dispatch(c, method, empty);
		json_decref(empty);
	}
	json_decref(request);
}

/* Handle the first whole line, if there is one and nothing else is under way. */
static void client_advance(struct client *c)
{
	char *end;

	if (c->waiting || c->out || c->closing)
		return;
	end = c->in_len ? memchr(c->in, '\n', c->in_len) : NULL;
	if (end) {
		size_t len = (size_t)(end - c->in);

		handle_line(c, c->in, len);
		c->in_len -= len + 1;
		memmove(c->in, end + 1, c->in_len);
	} else if (c->in_len >= VMTIER_REQUEST_MAX) {
		client_refuse(c, VMTIER_ERROR_REQUEST, "the request is too long");
		c->closing = true;
	}
}

static int client_read(struct client *c)
{
	ssize_t n;

	if (c->in_len == c->in_room) {
		size_t room = c->in_room ? c->in_room * 2 : 4096;
		char *more = realloc(c->in, room);

		if (!more)
			return -ENOMEM;
		c->in = more;
		c->in_room = room;
	}
	n = read(c->fd, c->in + c->in_len, c->in_room - c->in_len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -ECONNRESET;
	c->in_len += (size_t)n;
	client_renew(c);
	return 0;
}

static void client_flush(struct client *c)
{
	while (c->out) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			c->closing = true;
			free(c->out);
			c->out = NULL;
			return;
		}
		client_renew(c);
		c->out_at += (size_t)n;
		if (c->out_at == c->out_len) {
			free(c->out);
			c->out = NULL;
		}
	}
}

/* Whether there is a line that can be handled now. */
static bool client_has_line(const struct client *c)
{
	return !c->out && !c->waiting && !c->closing && c->in_len && memchr(c->in, '\n', c->in_len);
}

/* Answer some lines, so that others have their turn too; then wait for what is missing. */
static void client_work(struct client *c)
{
	int lines = LINES_PER_TURN;

	do {
		client_flush(c);
		client_advance(c);
		client_flush(c);
	} while (client_has_line(c) && --lines);
	if (c->closing && !c->out) {
		client_close(c);
		return;
	}
	/* For lines that are left the fd is ready at once. */
	loop_change(c->control->loop, c->fd,
		    c->out || client_has_line(c) ? EPOLLOUT
		    : c->waiting		 ? 0
						 : EPOLLIN);
}

static void client_ready(void *ctx, uint32_t events)
{
	struct client *c = ctx;

	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN)) {
		client_close(c);
		return;
	}
	if (events & EPOLLIN && client_read(c) < 0) {
		client_close(c);
		return;
	}
	client_work(c);
}

static void listen_for(struct control *control, uint32_t events)
{
	loop_change(control->loop, control->listen_fd, events);
	loop_change(control->loop, control->hook_fd, events);
}

static void accept_client(struct control *control, int listen_fd)
{
	_cleanup_(closep) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;
	size_t i = listen_fd == control->hook_fd ? 0 : HOOK_PLACES;

	while (i < CLIENTS_MAX && control->clients[i])
		i++;
	if (fd < 0) {
		control->deaf_until_ns = control->host->ops->now_ns(control->host) + DEAF_NS;
		listen_for(control, 0);
		return;
	}
	if (i == CLIENTS_MAX)
		return; /* one too many is hung up on at once */
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->control = control;
	c->id = ++control->next_id;
	c->hook = listen_fd == control->hook_fd;
	c->privileged = listen_peer_is_privileged(fd);
	c->fd = fd;
	if (loop_add(control->loop, fd, EPOLLIN, client_ready, c) < 0) {
		free(c);
		return;
	}
	take_fd(&fd);
	control->clients[i] = c;
	client_renew(c);
}

static void listen_ready(void *ctx, uint32_t events)
{
	struct control *control = ctx;

	(void)events;
	accept_client(control, control->listen_fd);
}

static void hook_ready(void *ctx, uint32_t events)
{
	struct control *control = ctx;

	(void)events;
	accept_client(control, control->hook_fd);
}

static void answers_ready(void *ctx, uint32_t events)
{
	struct control *control = ctx;
	struct answer *answer;
	uint64_t count;

	(void)events;
	if (read(control->answer_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&control->lock);
	answer = control->answers;
	control->answers = NULL;
	pthread_mutex_unlock(&control->lock);
	while (answer) {
		struct answer *next = answer->next;
		struct client *c = NULL;

		for (size_t i = 0; i < CLIENTS_MAX; i++)
			if (control->clients[i] && control->clients[i]->id == answer->client)
				c = control->clients[i];
		if (c) {
			c->waiting = false;
			client_send(c, answer->text);
			client_work(c);
		} else {
			free(answer->text);
		}
		free(answer);
		answer = next;
	}
}

/* Hang up on who is late, listen again; say how long until there is more of that. */
static int sweep(struct control *control)
{
	uint64_t now_ns = control->host->ops->now_ns(control->host), next_ns = UINT64_MAX;

	if (control->deaf_until_ns && now_ns >= control->deaf_until_ns) {
		control->deaf_until_ns = 0;
		listen_for(control, EPOLLIN);
	}
	if (control->deaf_until_ns)
		next_ns = control->deaf_until_ns;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = control->clients[i];

		if (c && !c->waiting && now_ns >= c->deadline_ns)
			client_close(c);
		else if (c && c->deadline_ns < next_ns && !c->waiting)
			next_ns = c->deadline_ns;
	}
	return next_ns == UINT64_MAX ? -1 : (int)((next_ns - now_ns) / NSEC_PER_MSEC + 1);
}

static void *control_main(void *arg)
{
	struct control *control = arg;

	publisher_join();
	while (!atomic_load(&control->stop))
		if (loop_turn(control->loop, sweep(control)) < 0)
			break;
	publisher_leave();
	return NULL;
}

static int control_open(struct control *control, struct error *err)
{
	int r;

	control->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	control->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->request_fd < 0 || control->answer_fd < 0)
		return error_set(err, -errno, "cannot make an eventfd: %s", strerror(errno));
	r = loop_new(&control->loop);
	if (r < 0)
		return error_set(err, r, "cannot make an epoll: %s", strerror(-r));
	control->listen_fd = listen_open(control->path, 0660, err);
	if (control->listen_fd < 0)
		return control->listen_fd;
	control->hook_fd = listen_open(control->hook_path, 0600, err);
	if (control->hook_fd < 0)
		return control->hook_fd;
	r = loop_add(control->loop, control->listen_fd, EPOLLIN, listen_ready, control);
	if (r >= 0)
		r = loop_add(control->loop, control->hook_fd, EPOLLIN, hook_ready, control);
	if (r >= 0)
		r = loop_add(control->loop, control->answer_fd, EPOLLIN, answers_ready, control);
	return r;
}

static void control_free(struct control *control)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i])
			client_close(control->clients[i]);
	for (struct control_request *r = control->requests, *next; r; r = next) {
		next = r->next;
		json_decref(r->parameters);
		free(r->answer);
		free(r);
	}
	for (struct answer *a = control->answers, *next; a; a = next) {
		next = a->next;
		free(a->text);
		free(a);
	}
	if (control->listen_fd >= 0) {
		unlink(control->path);
		close(control->listen_fd);
	}
	if (control->hook_fd >= 0) {
		unlink(control->hook_path);
		close(control->hook_fd);
	}
	if (control->request_fd >= 0)
		close(control->request_fd);
	if (control->answer_fd >= 0)
		close(control->answer_fd);
	loop_free(control->loop);
	pthread_mutex_destroy(&control->lock);
	free(control);
}

int control_start(struct host *host, const char *path, const char *hook_path,
		  struct publisher *publisher, struct control **ret_control, struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	control->host = host;
	control->publisher = publisher;
	control->listen_fd = control->hook_fd = control->request_fd = control->answer_fd = -1;
	control->requests_end = &control->requests;
	snprintf(control->path, sizeof(control->path), "%s", path);
	snprintf(control->hook_path, sizeof(control->hook_path), "%s", hook_path);
	pthread_mutex_init(&control->lock, NULL);
	r = control_open(control, err);
	if (r >= 0)
		r = -pthread_create(&control->thread, NULL, control_main, control);
	if (r < 0) {
		control_free(control);
		return r;
	}
	*ret_control = control;
	return 0;
}

struct control *control_stop(struct control *control)
{
	if (!control)
		return NULL;
	atomic_store(&control->stop, true);
	wake(control->answer_fd);
	pthread_join(control->thread, NULL);
	control_free(control);
	return NULL;
}

int control_fd(const struct control *control)
{
	return control->request_fd;
}

struct control_request *control_take(struct control *control)
{
	struct control_request *request;
	uint64_t count;

	pthread_mutex_lock(&control->lock);
	request = control->requests;
	if (request) {
		control->requests = request->next;
		if (!control->requests)
			control->requests_end = &control->requests;
	} else if (read(control->request_fd, &count, sizeof(count)) < 0) {
		/* was not set: nothing to clear */
	}
	pthread_mutex_unlock(&control->lock);
	return request;
}

void control_answer(struct control *control, struct control_request *request, const char *error,
		    const char *message)
{
	struct answer *answer = request->answer;

	answer->client = request->client;
	answer->text =
		error ? error_line(error, message) : line_of(json_pack("{s:{}}", "parameters"));
	pthread_mutex_lock(&control->lock);
	answer->next = control->answers;
	control->answers = answer;
	pthread_mutex_unlock(&control->lock);
	wake(control->answer_fd);
	json_decref(request->parameters);
	free(request);
}
