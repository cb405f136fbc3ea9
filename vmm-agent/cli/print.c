// SPDX-License-Identifier: GPL-2.0-or-later
/* Phrases about a guest, each from a few members of an answer. */
#include "cli/print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/screen.h"

void cli_complain(const char *fmt, ...)
{
	char text[1024], shown[SCREEN_ESCAPED(sizeof(text))];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "vmtierctl: %s\n", screen_escape(shown, sizeof(shown), text));
}

enum cli_exit print_json(const json_t *answer)
{
	if (json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) < 0)
		return CLI_FAILED;
	putchar('\n');
	return CLI_DONE;
}

enum cli_exit print_no_memory(void)
{
	cli_complain("out of memory");
	return CLI_FAILED;
}

/* Add to what @buf holds; what does not fit is left out. */
__attribute__((format(printf, 3, 4))) static void append(char *buf, size_t size, const char *fmt,
							 ...)
{
	size_t len = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + len, size - len, fmt, ap);
	va_end(ap);
}

char *print_residency(const json_t *guest, char *buf, size_t size)
{
	uint64_t ram = answer_u64(guest, "ram_pages"), unplaced;
	json_t *by_node = json_object_get(guest, "node_pages");

	buf[0] = '\0';
	for (void *i = json_object_iter(by_node); i; i = json_object_iter_next(by_node, i)) {
		const char *id = json_object_iter_key(i);

		append(buf, size, "%snode %s %u%%", buf[0] ? ", " : "", id,
		       answer_percent(answer_u64(by_node, id), ram));
	}
	unplaced = answer_u64(guest, "unplaced_pages");
	if (unplaced)
		append(buf, size, "%sunplaced %u%%", buf[0] ? ", " : "",
		       answer_percent(unplaced, ram));
	return buf;
}

char *print_last_pass(const json_t *guest, char *buf, size_t size)
{
	char age[64];

	if (!json_is_integer(json_object_get(guest, "last_pass_age_ns")))
		snprintf(buf, size, "no pass yet");
	else
		snprintf(buf, size, "last pass %s ago",
			 screen_duration(answer_u64(guest, "last_pass_age_ns"), age, sizeof(age)));
	return buf;
}

char *print_rate(const json_t *guest, char *buf, size_t size)
{
	const json_t *dirs = json_object_get(guest, "directions");
	uint64_t limit = answer_u64(guest, "rate_limit_bytes_per_s");
	uint64_t now = answer_u64(json_object_get(dirs, "promote"), "bytes_per_s") +
		       answer_u64(json_object_get(dirs, "demote"), "bytes_per_s");
	char rate[32], most[32];

	units_format_bytes(now, rate, sizeof(rate));
	if (limit)
		snprintf(buf, size, "%s/s of %s/s", rate,
			 units_format_bytes(limit, most, sizeof(most)));
	else
		snprintf(buf, size, "%s/s, no limit", rate);
	return buf;
}

bool print_failures(const json_t *direction, char *buf, size_t size)
{
	json_t *failed = json_object_get(direction, "failed_pages");

	buf[0] = '\0';
	for (void *i = json_object_iter(failed); i; i = json_object_iter_next(failed, i)) {
		const char *cause = json_object_iter_key(i);
		uint64_t pages = answer_u64(failed, cause);

		if (pages)
			append(buf, size, "%s%s %" PRIu64, buf[0] ? ", " : "", cause, pages);
	}
	if (buf[0])
		append(buf, size, " pages");
	return buf[0];
}
