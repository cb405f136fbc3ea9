// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor: run all checks, print what they found, say whether anything failed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "cli/doctor.h"
#include "cli/print.h"
#include "cli/screen.h"
#include "vmtier/control.h"

static const char *const verdict_names[] = {
	[VERDICT_OK] = "ok",
	[VERDICT_WARN] = "warn",
	[VERDICT_FAIL] = "fail",
};
_Static_assert(ARRAY_SIZE(verdict_names) == VERDICT_COUNT, "a name per verdict");

const char *verdict_name(enum verdict verdict)
{
	return verdict_names[verdict];
}

/* What does not fit any more counts by its verdict, in the last place. */
static void add_rest(struct doctor *doctor, enum verdict verdict)
{
	struct finding *rest = &doctor->findings[FINDINGS_MAX - 1];

	if (doctor->nfindings < FINDINGS_MAX || verdict > rest->verdict)
		rest->verdict = verdict;
	doctor->nfindings = FINDINGS_MAX;
	strcpy(rest->topic, "doctor");
	strcpy(rest->text,
	       "there are more findings than can be shown, the worst of them like this");
	strcpy(rest->next, "mend what is listed, then run it again");
}

void doctor_add(struct doctor *doctor, enum verdict verdict, const char *topic, const char *next,
		const char *fmt, ...)
{
	struct finding *finding;
	va_list ap;

	if (doctor->nfindings >= FINDINGS_MAX - 1) {
		add_rest(doctor, verdict);
		return;
	}
	finding = &doctor->findings[doctor->nfindings++];
	finding->verdict = verdict;
	snprintf(finding->topic, sizeof(finding->topic), "%s", topic);
	snprintf(finding->next, sizeof(finding->next), "%s", next ? next : "");
	va_start(ap, fmt);
	vsnprintf(finding->text, sizeof(finding->text), fmt, ap);
	va_end(ap);
}

int doctor_read(const struct doctor *doctor, const char *path, char *buf, size_t size)
{
	_cleanup_(closep) int fd = -1;
	char full[PATH_MAX];
	ssize_t n;

	if (snprintf(full, sizeof(full), "%s%s", doctor->root, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static size_t count(const struct doctor *doctor, enum verdict verdict)
{
	size_t n = 0;

	for (size_t i = 0; i < doctor->nfindings; i++)
		n += doctor->findings[i].verdict == verdict;
	return n;
}

static json_t *finding_json(const struct finding *finding)
{
	char text[sizeof(finding->text)], next[sizeof(finding->next)];

	return json_pack("{ss, ss, ss, ss}", "verdict", verdict_name(finding->verdict), "topic",
			 finding->topic, "text", utf8_clean(text, sizeof(text), finding->text),
			 "next", utf8_clean(next, sizeof(next), finding->next));
}

static enum cli_exit print_as_json(const struct doctor *doctor)
{
	json_auto_t *findings = json_array();
	json_auto_t *result = NULL;

	for (size_t i = 0; i < doctor->nfindings; i++)
		if (json_array_append_new(findings, finding_json(&doctor->findings[i])) < 0)
			return print_no_memory();
	result = json_pack("{si, si, si, sO}", "schema_version", VMTIER_SCHEMA_VERSION, "failed",
			   (int)count(doctor, VERDICT_FAIL), "warned",
			   (int)count(doctor, VERDICT_WARN), "findings", findings);
	return result ? print_json(result) : print_no_memory();
}

static void print_finding(const struct screen *screen, const struct finding *finding)
{
	char text[SCREEN_ESCAPED(sizeof(finding->text))];
	char line[sizeof(text) + 64];

	screen_escape(text, sizeof(text), finding->text);
	snprintf(line, sizeof(line), "%-6s%-18s%s", verdict_name(finding->verdict), finding->topic,
		 text);
	screen_paragraph(screen, 0, 24, finding->verdict == VERDICT_OK ? 0 : 4, line);
	if (!finding->next[0])
		return;
	screen_escape(text, sizeof(text), finding->next);
	snprintf(line, sizeof(line), "-> %s", text);
	screen_paragraph(screen, 24, 27, 0, line);
}

static void print_as_text(const struct doctor *doctor)
{
	struct screen screen;

	screen_init(&screen, stdout);
	for (size_t i = 0; i < doctor->nfindings; i++)
		print_finding(&screen, &doctor->findings[i]);
	printf("\n%zu ok, %zu to look at, %zu failed\n", count(doctor, VERDICT_OK),
	       count(doctor, VERDICT_WARN), count(doctor, VERDICT_FAIL));
}

static void host_freep(struct host **host)
{
	if (*host)
		(*host)->ops->free(*host);
}

enum cli_exit cmd_doctor(const struct options *options)
{
	_cleanup_(host_freep) struct host *host = NULL;
	_cleanup_(freep) struct doctor *doctor = calloc(1, sizeof(*doctor));
	enum cli_exit r = CLI_DONE;

	if (!doctor || host_linux_new("", &host) < 0)
		return print_no_memory();
	doctor->root = "";
	doctor->options = options;
	doctor->host = host;
	doctor_check_host(doctor);
	doctor_check_kernel(doctor);
	doctor_check_service(doctor);
	if (options->json)
		r = print_as_json(doctor);
	else
		print_as_text(doctor);
	if (r)
		return r;
	return count(doctor, VERDICT_FAIL) ? CLI_FAILED : CLI_DONE;
}
