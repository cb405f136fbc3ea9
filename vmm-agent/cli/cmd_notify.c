// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * notify: hands an event of libvirt's hook to vmtierd.
 *
 * DOC: libvirt waits for its hooks without a limit, and a guest is waiting for
 * libvirt; so all of this is over after 300 ms, whatever libvirt, vmtierd or
 * the file system do.  Reading the domain's XML, which libvirt writes before
 * anything else, has a part of this time; should it not end by then, the event
 * is sent without XML, which leaves the guest's policy as it is.  Every wait
 * ends at a deadline by itself; the timer is for calls that block where none
 * should.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/policy_xml.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "cli/client.h"
#include "cli/command.h"
#include "vmtier/control.h"

/*
 * From main() on.  Of the 300 ms the dynamic linker has had 20 to 30 by then,
 * for libvirt's many libraries, and the last 20 are for saying so and the exit.
 */
#define NOTIFY_MS      270
#define NOTIFY_SEND_MS 250
/* libvirt writes within a few ms; the rest is left for vmtierd's answer. */
#define NOTIFY_READ_MS 130

static void on_alarm(int signal)
{
	(void)signal;
	_exit(CLI_UNREACHABLE);
}

static void guard(void)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerval timer = {.it_value = {.tv_usec = NOTIFY_MS * 1000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* More of @fd, as long as it does not have to be waited for beyond the deadline. */
static ssize_t read_until(int fd, char *buf, size_t size, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int left = client_left_ms(deadline_ns);

	/* Without O_NONBLOCK: the pipe's other users share that flag. */
	if (!left || poll(&p, 1, left) <= 0)
		return -1;
	return read(fd, buf, size);
}

/* Standard input to its end; NULL if that is not near, or too far. */
static char *stdin_read(uint64_t deadline_ns, size_t *ret_len)
{
	_cleanup_(freep) char *xml = malloc(DOMAIN_XML_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (!xml)
		return NULL;
	do {
		n = read_until(STDIN_FILENO, xml + len, DOMAIN_XML_MAX + 1 - len, deadline_ns);
		if (n < 0)
			return NULL;
		len += (size_t)n;
		if (len > DOMAIN_XML_MAX)
			return NULL;
	} while (n);
	*ret_len = len;
	return take_ptr(xml);
}

/*
 * NULL, which leaves it out, if there is none.  JSON's quoting must fit as
 * well, and what is not text is not XML either.
 */
static json_t *xml_value(uint64_t deadline_ns)
{
	_cleanup_(freep) char *xml = NULL;
	_cleanup_(freep) char *quoted = NULL;
	json_auto_t *value = NULL;
	size_t len;

	xml = stdin_read(deadline_ns, &len);
	if (!xml || !len || memchr(xml, '\0', len) || !utf8_is_valid(xml, len))
		return NULL;
	value = json_stringn(xml, len);
	quoted = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	/* The rest of the request is five short words. */
	if (!quoted || strlen(quoted) > VMTIER_REQUEST_MAX - (64 << 10))
		return NULL;
	return json_incref(value);
}

static json_t *word(const char *text)
{
	size_t size = strlen(text) + 1;
	_cleanup_(freep) char *clean = malloc(size);

	return clean ? json_string(utf8_clean(clean, size, text)) : NULL;
}

enum cli_exit cmd_notify(const struct options *options)
{
	uint64_t read_by = client_deadline(NOTIFY_READ_MS);
	uint64_t sent_by = client_deadline(NOTIFY_SEND_MS);
	json_auto_t *answer = NULL;
	struct error err = {.code = 0};
	json_t *parameters;
	enum cli_exit r;

	guard();
	parameters =
		json_pack("{so, so, so, so, so*}", "domain", word(options->args[0]), "operation",
			  word(options->args[1]), "sub_operation", word(options->args[2]), "extra",
			  word(options->args[3]), "xml", xml_value(read_by));
	if (!parameters) {
		cli_complain("out of memory");
		return CLI_FAILED;
	}
	r = client_call(options->hook_socket, "notify", parameters, sent_by, &answer, &err);
	if (r)
		cli_complain("%s", error_text(&err, err.code));
	return r;
}
