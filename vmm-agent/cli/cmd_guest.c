// SPDX-License-Identifier: GPL-2.0-or-later
/* list, show, pause and resume: the verbs about single guests. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/table.h"

enum cli_exit cmd_list(const struct options *options)
{
	static const struct column columns[] = {
		{.head = "NAME", .elastic = true},
		{.head = "PID", .right = true},
		{.head = "STATE"},
		{.head = "MODE"},
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, ARRAY_SIZE(columns));
	json_auto_t *answer = NULL;
	struct screen screen;
	const json_t *guests;
	char pid[32];
	enum cli_exit r;

	r = client_ask(options, "list", NULL, &answer);
	if (r)
		return r;
	if (options->json)
		return print_json(answer);
	guests = json_object_get(answer, "guests");
	for (size_t i = 0; i < json_array_size(guests); i++) {
		const json_t *guest = json_array_get(guests, i);
		const char *const cells[] = {answer_text(guest, "name"), pid,
					     answer_text(guest, "state"),
					     answer_text(guest, "mode")};

		snprintf(pid, sizeof(pid), "%" PRIu64, answer_u64(guest, "pid"));
		if (!table || table_add(table, cells) < 0)
			return print_no_memory();
	}
	screen_init(&screen, stdout);
	table_print(table, &screen);
	return CLI_DONE;
}

/* "Label   text", wrapped beside the label. */
__attribute__((format(printf, 3, 4))) static void line(const struct screen *screen,
						       const char *label, const char *fmt, ...)
{
	char text[1024], shown[SCREEN_ESCAPED(sizeof(text))], all[sizeof(shown) + 32];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "%-16s%s", label, screen_escape(shown, sizeof(shown), text));
	screen_paragraph(screen, 0, 16, 0, all);
}

static void bytes_line(const struct screen *screen, const char *label, uint64_t bytes,
		       const char *behind)
{
	char size[32];

	line(screen, label, "%s%s", units_format_bytes(bytes, size, sizeof(size)), behind);
}

static void show_memory(const struct screen *screen, const json_t *guest)
{
	uint64_t hot = answer_u64(guest, "hot_pages"), dram = answer_u64(guest, "hot_dram_pages");
	char text[256], size[32];

	bytes_line(screen, "RAM", answer_bytes(guest, "ram_pages"), "");
	line(screen, "Lies on", "%s", print_residency(guest, text, sizeof(text)));
	bytes_line(screen, "Mapped", answer_bytes(guest, "present_pages"), "");
	bytes_line(screen, "Mapped large", answer_bytes(guest, "large_pages"), "");
	bytes_line(screen, "Accessed", answer_bytes(guest, "accessed_pages"), " in the last pass");
	if (answer_u64(guest, "unknown_pages"))
		bytes_line(screen, "Unknown", answer_bytes(guest, "unknown_pages"),
			   " mapped without accessed bits");
	bytes_line(screen, "Written", answer_bytes(guest, "written_pages"),
		   " in the last pass, by dirty rings");
	line(screen, "Hot", "%s, %u%% in DRAM",
	     units_format_bytes(answer_bytes(guest, "hot_pages"), size, sizeof(size)),
	     answer_percent(dram, hot));
	if (json_is_integer(json_object_get(guest, "share_pages")))
		bytes_line(screen, "DRAM share", answer_bytes(guest, "share_pages"), " at most");
	else
		line(screen, "DRAM share", "not limited");
	if (answer_u64(guest, "skipped_pages"))
		line(screen, "Left alone", "%s: %s",
		     units_format_bytes(answer_bytes(guest, "skipped_pages"), size, sizeof(size)),
		     answer_text(guest, "skipped_reason"));
}

static void show_looking(const struct screen *screen, const json_t *guest)
{
	char text[256], period[64];

	line(screen, "Source", "%s", answer_text(guest, "source"));
	line(screen, "Passes", "%" PRIu64 ", %s", answer_u64(guest, "passes"),
	     print_last_pass(guest, text, sizeof(text)));
	line(screen, "Period", "%s",
	     screen_duration(answer_u64(guest, "period_ns"), period, sizeof(period)));
	line(screen, "Stale passes", "%" PRIu64, answer_u64(guest, "stale_passes"));
	line(screen, "Dirty rings",
	     "%" PRIu64 " followed; %" PRIu64 " entries, %" PRIu64 " looks with losses, %" PRIu64
	     " bad",
	     answer_u64(guest, "ring_vcpus"), answer_u64(guest, "ring_entries"),
	     answer_u64(guest, "ring_lost"), answer_u64(guest, "ring_bad"));
}

static void show_moving(const struct screen *screen, const json_t *guest, const char *name)
{
	const json_t *dir = json_object_get(json_object_get(guest, "directions"), name);
	char queued[32], moving[32], done[32], there[32], rate[32], text[256];
	json_int_t target = json_integer_value(json_object_get(dir, "target_node"));
	char label[32], to[32];

	snprintf(label, sizeof(label), "%c%s", name[0] - 'a' + 'A', name + 1);
	snprintf(to, sizeof(to), target < 0 ? "nowhere" : "to node %lld", (long long)target);
	line(screen, label,
	     "%s: %s queued, %s moving, %s done, %s there before; %s/s; %" PRIu64 " calls, %" PRIu64
	     " queries",
	     to, units_format_bytes(answer_bytes(dir, "queued_pages"), queued, sizeof(queued)),
	     units_format_bytes(answer_bytes(dir, "inflight_pages"), moving, sizeof(moving)),
	     units_format_bytes(answer_bytes(dir, "done_pages"), done, sizeof(done)),
	     units_format_bytes(answer_bytes(dir, "there_pages"), there, sizeof(there)),
	     units_format_bytes(answer_u64(dir, "bytes_per_s"), rate, sizeof(rate)),
	     answer_u64(dir, "calls"), answer_u64(dir, "queries"));
	if (print_failures(dir, text, sizeof(text)))
		line(screen, "  failed", "%s", text);
}

static void show_plan(const struct screen *screen, const json_t *guest)
{
	char in[32], out[32], rate[128];

	line(screen, "Last plan", "%s to promote, %s to demote",
	     units_format_bytes(answer_bytes(guest, "would_promote_pages"), in, sizeof(in)),
	     units_format_bytes(answer_bytes(guest, "would_demote_pages"), out, sizeof(out)));
	line(screen, "Rate", "%s", print_rate(guest, rate, sizeof(rate)));
}

enum cli_exit cmd_show(const struct options *options)
{
	json_auto_t *domain = client_domain(options->args[0]);
	json_auto_t *answer = NULL;
	const json_t *guest;
	struct screen screen;
	enum cli_exit r;

	if (!domain)
		return print_no_memory();
	r = client_ask(options, "show", json_incref(domain), &answer);
	if (r)
		return r;
	if (options->json)
		return print_json(answer);
	guest = json_object_get(answer, "guest");
	screen_init(&screen, stdout);
	line(&screen, "Name", "%s", answer_text(guest, "name"));
	line(&screen, "PID", "%" PRIu64, answer_u64(guest, "pid"));
	line(&screen, "State", "%s: %s", answer_text(guest, "state"), answer_text(guest, "reason"));
	line(&screen, "Mode", "%s, by %s", answer_text(guest, "mode"),
	     answer_text(guest, "policy"));
	show_memory(&screen, guest);
	show_looking(&screen, guest);
	show_plan(&screen, guest);
	show_moving(&screen, guest, "promote");
	show_moving(&screen, guest, "demote");
	return CLI_DONE;
}

static enum cli_exit switch_guest(const struct options *options, const char *method,
				  const char *done)
{
	json_auto_t *parameters =
		options->all ? json_pack("{sb}", "all", 1) : client_domain(options->args[0]);
	json_auto_t *answer = NULL;
	char shown[SCREEN_ESCAPED(256)];
	enum cli_exit r;

	if (!parameters)
		return print_no_memory();
	r = client_ask(options, method, json_incref(parameters), &answer);
	if (r)
		return r;
	if (options->json)
		return print_json(answer);
	if (options->all)
		printf("all guests %s\n", done);
	else
		printf("guest '%s' %s\n", screen_escape(shown, sizeof(shown), options->args[0]),
		       done);
	return CLI_DONE;
}

enum cli_exit cmd_pause(const struct options *options)
{
	return switch_guest(options, "pause", "paused");
}

enum cli_exit cmd_resume(const struct options *options)
{
	return switch_guest(options, "resume", "resumed");
}
