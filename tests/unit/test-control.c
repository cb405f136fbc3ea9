// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real sockets in a directory of their own.  Time is the fake machine's: a
 * client is late when the test says so.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "test.h"

#include <jansson.h>

#include "base/units.h"
#include "report/control.h"
#include "sample-report.h"
#include "sim/machine.h"
#include "vmtier/control.h"

/* Longer than any answer takes on a busy machine; only a failing test waits for it. */
#define PATIENCE_MS 5000

struct server {
	char directory[32];
	char path[64];
	char hook_path[64];
	struct machine *machine;
	struct publisher *publisher;
	struct control *control;
};

static void server_start(struct server *s)
{
	struct error err = {0};

	snprintf(s->directory, sizeof(s->directory), "/tmp/vmtier-unit-XXXXXX");
	assert_non_null(mkdtemp(s->directory));
	snprintf(s->path, sizeof(s->path), "%s/s", s->directory);
	snprintf(s->hook_path, sizeof(s->hook_path), "%s/h", s->directory);
	s->machine = machine_new();
	s->publisher = publisher_new();
	publisher_put(s->publisher, sample_report_new(2));
	assert_int_equal(control_start(machine_host(s->machine), s->path, s->hook_path,
				       s->publisher, &s->control, &err),
			 0);
}

static void server_stop(struct server *s)
{
	control_stop(s->control);
	assert_int_equal(access(s->path, F_OK), -1);
	assert_int_equal(access(s->hook_path, F_OK), -1);
	assert_int_equal(rmdir(s->directory), 0);
	publisher_free(s->publisher);
	machine_free(s->machine);
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void connect_to(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static int dial(const char *path)
{
	int fd = new_socket();

	connect_to(fd, path);
	return fd;
}

/* All of @len, in pieces as they go; false if the other side has hung up. */
static bool say_bytes(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool say(int fd, const char *text)
{
	return say_bytes(fd, text, strlen(text));
}

static bool is_ready(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) > 0;
}

/* One line as JSON; NULL if the other side hung up instead. */
static json_t *hear(int fd)
{
	static char line[1 << 20];
	size_t len = 0;

	while (!len || line[len - 1] != '\n') {
		ssize_t n;

		if (!is_ready(fd, PATIENCE_MS))
			fail_msg("no answer within %d ms", PATIENCE_MS);
		n = recv(fd, line + len, 1, 0);
		if (n <= 0)
			return NULL;
		len++;
		assert_true(len < sizeof(line));
	}
	return json_loadb(line, len, 0, NULL);
}

static void expect_error(int fd, const char *error)
{
	json_t *answer = hear(fd);

	assert_non_null(answer);
	assert_string_equal(json_string_value(json_object_get(answer, "error")), error);
	assert_true(json_string_length(json_object_get(answer, "message")) > 10);
	json_decref(answer);
}

static void expect_parameters(int fd)
{
	json_t *answer = hear(fd);

	assert_true(json_is_object(json_object_get(answer, "parameters")));
	json_decref(answer);
}

static void expect_hang_up(int fd)
{
	assert_null(hear(fd));
}

/* The server is well if somebody new is answered. */
static void expect_service(struct server *s)
{
	_cleanup_(closep) int fd = dial(s->path);

	assert_true(say(fd, "{\"method\":\"list\"}\n"));
	expect_parameters(fd);
}

static struct control_request *next_request(struct server *s)
{
	struct control_request *request;

	assert_true(is_ready(control_fd(s->control), PATIENCE_MS));
	request = control_take(s->control);
	assert_non_null(request);
	return request;
}

static void reading_methods_are_answered_from_the_report(void **state)
{
	static const char *const methods[] = {"status", "list", "metrics"};
	struct server s;

	(void)state;
	server_start(&s);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		_cleanup_(closep) int fd = dial(s.path);
		char line[64];

		snprintf(line, sizeof(line), "{\"method\": \"%s\", \"parameters\": {}}\n",
			 methods[i]);
		assert_true(say(fd, line));
		expect_parameters(fd);
	}
	server_stop(&s);
}

static void one_connection_carries_many_requests(void **state)
{
	struct server s;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	for (int i = 0; i < 100; i++) {
		assert_true(say(fd, "{\"method\":\"list\"}\n"));
		expect_parameters(fd);
	}
	/* Also if they come at once, or byte by byte. */
	assert_true(say(fd, "{\"method\":\"list\"}\n{\"method\":\"no\"}\n{\"method\":\"list\"}\n"));
	expect_parameters(fd);
	expect_error(fd, VMTIER_ERROR_METHOD);
	expect_parameters(fd);
	for (const char *c = "{\"method\":\"list\"}\n"; *c; c++)
		assert_true(say_bytes(fd, c, 1));
	expect_parameters(fd);
	close(fd);
	server_stop(&s);
}

/* More answers than a socket holds, to a client that has said all and reads later. */
static void answers_that_had_to_wait_are_followed_by_the_rest(void **state)
{
	static const char status[] = "{\"method\":\"status\"}\n";
	char lines[170 * (sizeof(status) - 1)];
	struct server s;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	for (size_t i = 0; i < 170; i++)
		memcpy(lines + i * (sizeof(status) - 1), status, sizeof(status) - 1);
	assert_true(say_bytes(fd, lines, sizeof(lines))); /* less than one read takes */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	usleep(200000);
	for (int i = 0; i < 170; i++)
		expect_parameters(fd);
	expect_hang_up(fd);
	close(fd);
	server_stop(&s);
}

static void lines_that_are_no_request_are_refused_and_the_next_one_is_taken(void **state)
{
	static const char *const lines[] = {
		"\n",
		"garbage\n",
		"{}\n",
		"[]\n",
		"null\n",
		"{\"method\": 7}\n",
		"{\"method\": null}\n",
		"{\"method\": \"list\"\n",
		"{\"method\": \"list\"} x\n",
		"{\"method\": \"list\", \"method\": \"list\"}\n",
		"{\"method\": \"list\", \"parameters\": []}\n",
		"{\"method\": \"list\", \"surprise\": 1}\n",
		"{\"method\": \"li\\u0000st\"}\n",
		"{\"method\": \"show\", \"parameters\": {\"domain\": \"a\\u0000b\"}}\n",
		"\xff\xfe\xfd\n",
		"{\"method\": \"\xc3\x28\"}\n",
	};
	struct server s;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_true(say(fd, lines[i]));
		expect_error(fd, VMTIER_ERROR_REQUEST);
	}
	assert_true(say(fd, "{\"method\":\"list\"}\n"));
	expect_parameters(fd);
	close(fd);
	server_stop(&s);
}

static void nuls_in_a_line_are_refused(void **state)
{
	static const char line[] = "{\"method\":\0\"list\"}\n";
	struct server s;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	assert_true(say_bytes(fd, line, sizeof(line) - 1));
	expect_error(fd, VMTIER_ERROR_REQUEST);
	assert_true(say_bytes(fd, "\0\0\0\n", 4));
	expect_error(fd, VMTIER_ERROR_REQUEST);
	close(fd);
	server_stop(&s);
}

static void deep_nesting_is_refused(void **state)
{
	struct server s;
	char *line = malloc(1 << 20);
	int fd;

	(void)state;
	server_start(&s);
	memset(line, '[', (1 << 20) - 1);
	line[(1 << 20) - 1] = '\n';
	fd = dial(s.path);
	assert_true(say_bytes(fd, line, 1 << 20));
	expect_error(fd, VMTIER_ERROR_REQUEST);
	close(fd);
	free(line);
	server_stop(&s);
}

static void methods_and_members_that_nobody_knows_are_named_as_such(void **state)
{
	static const struct {
		const char *line;
		const char *error;
	} cases[] = {
		{"{\"method\":\"reboot\"}\n", VMTIER_ERROR_METHOD},
		{"{\"method\":\"\"}\n", VMTIER_ERROR_METHOD},
		{"{\"method\":\"notify\",\"parameters\":{\"domain\":\"a\",\"operation\":\"start\"}}"
		 "\n",
		 VMTIER_ERROR_METHOD},
		{"{\"method\":\"show\"}\n", VMTIER_ERROR_PARAMETERS},
		{"{\"method\":\"show\",\"parameters\":{\"domain\":7}}\n", VMTIER_ERROR_PARAMETERS},
		{"{\"method\":\"show\",\"parameters\":{\"domain\":\"nobody\"}}\n",
		 VMTIER_ERROR_NO_DOMAIN},
		{"{\"method\":\"pause\"}\n", VMTIER_ERROR_PARAMETERS},
		{"{\"method\":\"pause\",\"parameters\":{\"domain\":\"a\",\"all\":true}}\n",
		 VMTIER_ERROR_PARAMETERS},
		{"{\"method\":\"pause\",\"parameters\":{\"all\":\"yes\"}}\n",
		 VMTIER_ERROR_PARAMETERS},
		{"{\"method\":\"resume\",\"parameters\":{\"domain\":\"a\",\"force\":true}}\n",
		 VMTIER_ERROR_PARAMETERS},
	};
	struct server s;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(say(fd, cases[i].line));
		expect_error(fd, cases[i].error);
	}
	close(fd);
	server_stop(&s);
}

static void unknown_members_are_refused_by_reading_methods_too(void **state)
{
	static const char *const lines[] = {
		"{\"method\":\"status\",\"parameters\":{\"verbose\":true}}\n",
		"{\"method\":\"list\",\"parameters\":{\"domain\":\"db1\"}}\n",
		"{\"method\":\"metrics\",\"parameters\":{\"x\":1}}\n",
		"{\"method\":\"show\",\"parameters\":{\"domain\":\"db0\",\"x\":1}}\n",
	};
	struct server s;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_true(say(fd, lines[i]));
		expect_error(fd, VMTIER_ERROR_PARAMETERS);
	}
	close(fd);
	server_stop(&s);
}

static void a_line_that_is_too_long_is_refused_and_hung_up_on(void **state)
{
	struct server s;
	char *flood = malloc(1 << 20);
	int fd, room = 256 << 10;
	size_t sent = 0;

	(void)state;
	server_start(&s);
	memset(flood, 'x', 1 << 20);
	fd = dial(s.path);
	/* Else it is the host's net.core.wmem_default, whatever that is. */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	while (sent < 64 && say_bytes(fd, flood, 1 << 20))
		sent++;
	assert_in_range(sent, 3, 6); /* 4 MiB, and what the socket holds */
	expect_error(fd, VMTIER_ERROR_REQUEST);
	expect_hang_up(fd);
	expect_service(&s);
	close(fd);
	free(flood);
	server_stop(&s);
}

static void a_big_request_within_the_limit_is_taken(void **state)
{
	struct server s;
	static const char head[] = "{\"method\":\"notify\",\"parameters\":{\"domain\":\"db1\","
				   "\"operation\":\"start\",\"xml\":\"";
	static char xml[3 << 20];
	struct control_request *request;
	int fd;

	(void)state;
	server_start(&s);
	memset(xml, 'x', sizeof(xml));
	fd = dial(s.hook_path);
	assert_true(say(fd, head));
	assert_true(say_bytes(fd, xml, sizeof(xml)));
	assert_true(say(fd, "\"}}\n"));
	request = next_request(&s);
	assert_int_equal(request->verb, CONTROL_NOTIFY);
	assert_int_equal(request->xml_len, sizeof(xml));
	control_answer(s.control, request, NULL, NULL);
	expect_parameters(fd);
	close(fd);
	server_stop(&s);
}

static void the_hook_socket_takes_notify_and_nothing_else(void **state)
{
	static const char *const others[] = {"status", "list", "show", "metrics", "pause", "x"};
	struct server s;
	struct control_request *request;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.hook_path);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		char line[64];

		snprintf(line, sizeof(line), "{\"method\":\"%s\"}\n", others[i]);
		assert_true(say(fd, line));
		expect_error(fd, VMTIER_ERROR_METHOD);
	}
	assert_true(say(fd, "{\"method\":\"notify\",\"parameters\":{\"operation\":\"start\"}}\n"));
	expect_error(fd, VMTIER_ERROR_PARAMETERS);
	assert_true(say(fd, "{\"method\":\"notify\",\"parameters\":{\"domain\":\"db1\","
			    "\"operation\":\"started\",\"sub_operation\":\"begin\","
			    "\"extra\":\"-\"}}\n"));
	request = next_request(&s);
	assert_string_equal(request->domain, "db1");
	assert_null(request->xml);
	control_answer(s.control, request, VMTIER_ERROR_FAILED, "not in the mood today");
	expect_error(fd, VMTIER_ERROR_FAILED);
	close(fd);
	server_stop(&s);
}

static void changes_are_put_before_the_loop_in_order(void **state)
{
	struct server s;
	struct control_request *request;
	int a, b;

	(void)state;
	server_start(&s);
	a = dial(s.path);
	b = dial(s.path);
	assert_true(say(a, "{\"method\":\"pause\",\"parameters\":{\"domain\":\"db1\"}}\n"));
	request = next_request(&s);
	assert_true(say(b, "{\"method\":\"resume\",\"parameters\":{\"all\":true}}\n"));
	assert_int_equal(request->verb, CONTROL_PAUSE);
	assert_string_equal(request->domain, "db1");
	control_answer(s.control, request, NULL, NULL);
	expect_parameters(a);
	while (!(request = control_take(s.control)))
		assert_true(is_ready(control_fd(s.control), PATIENCE_MS));
	assert_int_equal(request->verb, CONTROL_RESUME);
	assert_null(request->domain);
	control_answer(s.control, request, NULL, NULL);
	expect_parameters(b);
	assert_null(control_take(s.control));
	close(a);
	close(b);
	server_stop(&s);
}

static void an_answer_to_a_client_that_has_left_is_dropped(void **state)
{
	struct server s;
	struct control_request *request;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	assert_true(say(fd, "{\"method\":\"pause\",\"parameters\":{\"domain\":\"db1\"}}\n"));
	request = next_request(&s);
	close(fd);
	expect_service(&s);
	control_answer(s.control, request, NULL, NULL);
	expect_service(&s);
	server_stop(&s);
}

static void requests_left_unanswered_are_freed_with_the_server(void **state)
{
	struct server s;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	assert_true(say(fd, "{\"method\":\"pause\",\"parameters\":{\"domain\":\"db1\"}}\n"));
	assert_true(is_ready(control_fd(s.control), PATIENCE_MS));
	server_stop(&s);
	close(fd);
}

static void half_a_request_and_then_silence_holds_up_nobody(void **state)
{
	struct server s;
	int silent[10];

	(void)state;
	server_start(&s);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = dial(s.path);
		assert_true(say(silent[i], "{\"method\":\"li"));
	}
	for (int i = 0; i < 20; i++)
		expect_service(&s);
	machine_advance(s.machine, VMTIER_IDLE_MS * NSEC_PER_MSEC + 1);
	expect_service(&s); /* wakes the server, whose clock is ours */
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		expect_hang_up(silent[i]);
		close(silent[i]);
	}
	server_stop(&s);
}

static void a_client_that_takes_no_answer_is_hung_up_on(void **state)
{
	static char lines[64 * 1024];
	struct server s;
	int fd;
	size_t n = 0;

	(void)state;
	server_start(&s);
	while (n + 20 < sizeof(lines))
		n += (size_t)sprintf(lines + n, "{\"method\":\"metrics\"}\n");
	fd = dial(s.path);
	assert_true(say_bytes(fd, lines, n)); /* some 10 MB of answers that nobody reads */
	for (int i = 0; i < 20; i++)
		expect_service(&s);
	machine_advance(s.machine, VMTIER_IDLE_MS * NSEC_PER_MSEC + 1);
	expect_service(&s);
	for (json_t *answer = hear(fd); answer; answer = hear(fd))
		json_decref(answer); /* what was on its way, then the end */
	close(fd);
	server_stop(&s);
}

static void a_client_that_the_loop_keeps_waiting_is_not_late(void **state)
{
	struct server s;
	struct control_request *request;
	int fd;

	(void)state;
	server_start(&s);
	fd = dial(s.path);
	assert_true(say(fd, "{\"method\":\"pause\",\"parameters\":{\"all\":true}}\n"));
	request = next_request(&s);
	machine_advance(s.machine, 10 * VMTIER_IDLE_MS * NSEC_PER_MSEC);
	expect_service(&s);
	control_answer(s.control, request, NULL, NULL);
	expect_parameters(fd);
	close(fd);
	server_stop(&s);
}

static void forty_clients_at_once_do_no_harm(void **state)
{
	struct server s;
	int fd[40];
	size_t answered = 0;

	(void)state;
	server_start(&s);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = dial(s.path);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		json_t *answer = say(fd[i], "{\"method\":\"list\"}\n") ? hear(fd[i]) : NULL;

		answered += answer != NULL;
		json_decref(answer);
	}
	assert_in_range(answered, 32, 40); /* those too many are hung up on at once */
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	for (int i = 0; i < 40; i++)
		expect_service(&s);
	server_stop(&s);
}

static void operators_who_sit_on_all_places_do_not_lock_out_the_hook(void **state)
{
	struct server s;
	struct control_request *request;
	int fd[40], hook;

	(void)state;
	server_start(&s);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = dial(s.path);
		if (say(fd[i], "{\"method\":\"list\"}\n"))
			json_decref(hear(fd[i])); /* so it has its place, or is told off */
	}
	hook = dial(s.hook_path);
	assert_true(say(hook, "{\"method\":\"notify\",\"parameters\":{\"domain\":\"db1\","
			      "\"operation\":\"started\"}}\n"));
	request = next_request(&s);
	control_answer(s.control, request, NULL, NULL);
	expect_parameters(hook);
	close(hook);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	server_stop(&s);
}

/** struct watched_host - the clock of a machine, which is looked at once per turn of a server */
struct watched_host {
	struct host base;
	struct host_ops ops;
	struct host *inner;
	atomic_size_t turns;
};

static uint64_t watched_now_ns(struct host *host)
{
	struct watched_host *watched = (struct watched_host *)host;

	atomic_fetch_add(&watched->turns, 1);
	return watched->inner->ops->now_ns(watched->inner);
}

/* How often the server turns while nothing happens. */
static size_t turns_of(struct watched_host *watched, unsigned int ms)
{
	size_t before = atomic_load(&watched->turns);

	usleep(ms * 1000);
	return atomic_load(&watched->turns) - before;
}

/* Return: the limit before.  What is open stays so; poll(2) takes no more fds than the limit. */
static struct rlimit forbid_new_fds(void)
{
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(dup(0), -1);
	return before;
}

static void out_of_fds_it_waits_and_serves_those_it_has(void **state)
{
	struct watched_host watched = {.ops.now_ns = watched_now_ns};
	struct server s;
	struct rlimit limit;
	int old, new, hook;
	size_t turns;

	(void)state;
	server_start(&s);
	control_stop(s.control);
	watched.base.ops = &watched.ops;
	watched.inner = machine_host(s.machine);
	assert_int_equal(
		control_start(&watched.base, s.path, s.hook_path, s.publisher, &s.control, NULL),
		0);
	old = dial(s.path);
	assert_true(say(old, "{\"method\":\"list\"}\n"));
	expect_parameters(old);
	new = new_socket();
	hook = new_socket();
	limit = forbid_new_fds();
	connect_to(new, s.path);
	connect_to(hook, s.hook_path);
	turns = turns_of(&watched, 500);
	assert_true(say(old, "{\"method\":\"list\"}\n"));
	expect_parameters(old);
	close(old);
	/* Time for another attempt, which fails again. */
	machine_advance(s.machine, NSEC_PER_SEC);
	turns += turns_of(&watched, 500);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_in_range(turns, 1, 100); /* a server that does not wait turns 100000 times */
	machine_advance(s.machine, NSEC_PER_SEC);
	assert_true(say(new, "{\"method\":\"list\"}\n"));
	expect_parameters(new);
	assert_true(say(hook, "{\"method\":\"list\"}\n"));
	expect_error(hook, VMTIER_ERROR_METHOD);
	close(new);
	close(hook);
	server_stop(&s);
}

static void random_bytes_do_no_harm(void **state)
{
	struct dice dice = dice_new();
	struct server s;

	(void)state;
	server_start(&s);
	for (int round = 0; round < 200; round++) {
		_cleanup_(closep) int fd = dial(dice_chance(&dice, 50) ? s.path : s.hook_path);
		char bytes[2000];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = dice_chance(&dice, 20) ? '\n' : (char)dice_roll(&dice);
		say_bytes(fd, bytes, dice_below(&dice, sizeof(bytes)));
	}
	expect_service(&s);
	server_stop(&s);
}

static void sockets_have_the_rights_that_are_promised(void **state)
{
	struct server s;
	struct stat st;

	(void)state;
	server_start(&s);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(stat(s.hook_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	server_stop(&s);
}

static void a_second_server_on_the_same_path_is_refused(void **state)
{
	struct server s;
	struct control *second = NULL;
	struct error err = {0};

	(void)state;
	server_start(&s);
	assert_int_equal(control_start(machine_host(s.machine), s.path, s.hook_path, s.publisher,
				       &second, &err),
			 -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(err.text, "another vmtierd"));
	expect_service(&s); /* and the first one goes on */
	server_stop(&s);
}

static void a_socket_file_left_by_a_crash_is_replaced(void **state)
{
	struct server s, after;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	(void)state;
	server_start(&s);
	control_stop(s.control);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", s.path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd); /* the file stays */
	after = s;
	assert_int_equal(control_start(machine_host(s.machine), s.path, s.hook_path, s.publisher,
				       &after.control, NULL),
			 0);
	expect_service(&after);
	server_stop(&after);
}

static void a_file_that_is_no_socket_is_not_replaced(void **state)
{
	struct server s;
	struct control *control = NULL;
	struct error err = {0};
	char path[64];
	FILE *file;

	(void)state;
	server_start(&s);
	snprintf(path, sizeof(path), "%s/precious", s.directory);
	file = fopen(path, "we");
	assert_non_null(file);
	fclose(file);
	assert_true(control_start(machine_host(s.machine), path, s.hook_path, s.publisher, &control,
				  &err) < 0);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(unlink(path), 0);
	server_stop(&s);
}

static void a_path_that_cannot_be_bound_is_told(void **state)
{
	struct server s;
	struct control *control = NULL;
	struct error err = {0};

	(void)state;
	server_start(&s);
	assert_true(control_start(machine_host(s.machine), "/nonexistent/vmtier/s", s.hook_path,
				  s.publisher, &control, &err) < 0);
	assert_non_null(strstr(err.text, "/nonexistent/vmtier/s"));
	assert_null(control);
	server_stop(&s);
}

static void before_the_first_report_clients_are_asked_to_come_back(void **state)
{
	struct server s;
	struct publisher *empty = publisher_new();
	struct control *control = NULL;
	int fd;

	(void)state;
	server_start(&s);
	control_stop(s.control);
	assert_int_equal(
		control_start(machine_host(s.machine), s.path, s.hook_path, empty, &control, NULL),
		0);
	s.control = control;
	fd = dial(s.path);
	assert_true(say(fd, "{\"method\":\"status\"}\n"));
	expect_error(fd, VMTIER_ERROR_FAILED);
	close(fd);
	server_stop(&s);
	publisher_free(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_methods_are_answered_from_the_report),
		cmocka_unit_test(one_connection_carries_many_requests),
		cmocka_unit_test(answers_that_had_to_wait_are_followed_by_the_rest),
		cmocka_unit_test(lines_that_are_no_request_are_refused_and_the_next_one_is_taken),
		cmocka_unit_test(nuls_in_a_line_are_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(methods_and_members_that_nobody_knows_are_named_as_such),
		cmocka_unit_test(unknown_members_are_refused_by_reading_methods_too),
		cmocka_unit_test(a_line_that_is_too_long_is_refused_and_hung_up_on),
		cmocka_unit_test(a_big_request_within_the_limit_is_taken),
		cmocka_unit_test(the_hook_socket_takes_notify_and_nothing_else),
		cmocka_unit_test(changes_are_put_before_the_loop_in_order),
		cmocka_unit_test(an_answer_to_a_client_that_has_left_is_dropped),
		cmocka_unit_test(requests_left_unanswered_are_freed_with_the_server),
		cmocka_unit_test(half_a_request_and_then_silence_holds_up_nobody),
		cmocka_unit_test(a_client_that_takes_no_answer_is_hung_up_on),
		cmocka_unit_test(a_client_that_the_loop_keeps_waiting_is_not_late),
		cmocka_unit_test(forty_clients_at_once_do_no_harm),
		cmocka_unit_test(operators_who_sit_on_all_places_do_not_lock_out_the_hook),
		cmocka_unit_test(out_of_fds_it_waits_and_serves_those_it_has),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(sockets_have_the_rights_that_are_promised),
		cmocka_unit_test(a_second_server_on_the_same_path_is_refused),
		cmocka_unit_test(a_socket_file_left_by_a_crash_is_replaced),
		cmocka_unit_test(a_file_that_is_no_socket_is_not_replaced),
		cmocka_unit_test(a_path_that_cannot_be_bound_is_told),
		cmocka_unit_test(before_the_first_report_clients_are_asked_to_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
