// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * status: the operator's view of migration.
 *
 * First the host, then its nodes, then four lines per guest: its state and
 * why; how it is looked at and where its RAM lies; and one row each for
 * promotion and demotion, aligned over all guests so that columns can be
 * compared.  A fifth line says why pages could not move, if any.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/table.h"

/* Longest sentence put together here; names and reasons are below 256 bytes each. */
#define SENTENCE_MAX 1024

/* So much of a name is shown; show DOMAIN has all of it. */
#define NAME_COLUMNS 48

static const char *const directions[] = {"promote", "demote"};

static void paragraph(const struct screen *screen, unsigned int indent, unsigned int hang,
		      const char *text)
{
	char shown[SCREEN_ESCAPED(SENTENCE_MAX)];

	screen_paragraph(screen, indent, hang, 0, screen_escape(shown, sizeof(shown), text));
}

static void print_problems(const struct screen *screen, const json_t *problems)
{
	char text[SENTENCE_MAX];

	for (size_t i = 0; i < json_array_size(problems); i++) {
		const char *sentence = json_string_value(json_array_get(problems, i));

		snprintf(text, sizeof(text), "Problem: %s", sentence ? sentence : "-");
		paragraph(screen, 0, 2, text);
	}
}

static void print_host(const struct screen *screen, const json_t *status)
{
	size_t guests = json_array_size(json_object_get(status, "guests"));
	char text[SENTENCE_MAX], up[64];

	snprintf(text, sizeof(text),
		 "vmtierd %s (pid %" PRIu64 "), up %s, KVM %s; %zu guest%s, %" PRIu64 " passes",
		 answer_text(status, "version"), answer_u64(status, "pid"),
		 screen_duration(answer_u64(status, "uptime_ns"), up, sizeof(up)),
		 answer_text(status, "kvm"), guests, guests == 1 ? "" : "s",
		 answer_u64(status, "passes"));
	paragraph(screen, 0, 2, text);
	print_problems(screen, json_object_get(status, "problems"));
	if (answer_u64(status, "policy_errors")) {
		snprintf(text, sizeof(text), "Policies refused: %" PRIu64 ", the last one: %s",
			 answer_u64(status, "policy_errors"),
			 answer_text(status, "last_policy_error"));
		paragraph(screen, 0, 2, text);
	}
}

/* Guest memory on one node, over all guests. */
static uint64_t node_guest_bytes(const json_t *guests, const char *id)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < json_array_size(guests); i++)
		sum += answer_bytes(json_object_get(json_array_get(guests, i), "node_pages"), id);
	return sum;
}

static int add_node(struct table *table, const json_t *guests, const json_t *node)
{
	char id[32], total[32], free_now[32], used[32];
	const char *const cells[] = {
		id,
		answer_text(node, "tier"),
		json_is_true(json_object_get(node, "has_cpu")) ? "yes" : "no",
		total,
		free_now,
		used,
	};

	snprintf(id, sizeof(id), "%" PRIu64, answer_u64(node, "id"));
	units_format_bytes(answer_u64(node, "total_bytes"), total, sizeof(total));
	units_format_bytes(answer_u64(node, "free_bytes"), free_now, sizeof(free_now));
	units_format_bytes(node_guest_bytes(guests, id), used, sizeof(used));
	return table_add(table, cells);
}

static enum cli_exit print_nodes(const struct screen *screen, const json_t *status)
{
	static const struct column columns[] = {
		{.head = "NODE", .right = true},
		{.head = "TIER"},
		{.head = "CPUS"},
		{.head = "    SIZE", .right = true},
		{.head = "    FREE", .right = true},
		{.head = "GUEST RAM", .right = true},
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, ARRAY_SIZE(columns));
	const json_t *nodes = json_object_get(status, "nodes");
	const json_t *guests = json_object_get(status, "guests");

	if (!table)
		return print_no_memory();
	for (size_t i = 0; i < json_array_size(nodes); i++)
		if (add_node(table, guests, json_array_get(nodes, i)) < 0)
			return print_no_memory();
	fputc('\n', screen->out);
	table_print(table, screen);
	return CLI_DONE;
}

static uint64_t failed_bytes(const json_t *direction)
{
	json_t *failed = json_object_get(direction, "failed_pages");
	uint64_t sum = 0;

	for (void *i = json_object_iter(failed); i; i = json_object_iter_next(failed, i))
		sum += answer_bytes(failed, json_object_iter_key(i));
	return sum;
}

static int add_direction(struct table *table, const json_t *guest, const char *name)
{
	const json_t *dir = json_object_get(json_object_get(guest, "directions"), name);
	json_int_t target = json_integer_value(json_object_get(dir, "target_node"));
	char queued[32], moving[32], done[32], failed[32], rate[32], rate_s[40], to[32];
	char indented[32];
	const char *const cells[] = {indented, to, queued, moving, done, failed, rate_s};

	snprintf(indented, sizeof(indented), "  %s", name);
	snprintf(to, sizeof(to), target < 0 ? "none" : "node %lld", (long long)target);
	units_format_bytes(answer_bytes(dir, "queued_pages"), queued, sizeof(queued));
	units_format_bytes(answer_bytes(dir, "inflight_pages"), moving, sizeof(moving));
	units_format_bytes(answer_bytes(dir, "done_pages"), done, sizeof(done));
	units_format_bytes(failed_bytes(dir), failed, sizeof(failed));
	units_format_bytes(answer_u64(dir, "bytes_per_s"), rate, sizeof(rate));
	snprintf(rate_s, sizeof(rate_s), "%s/s", rate);
	return table_add(table, cells);
}

/* "db1: active, why", the name in bold. */
static void print_state(const struct screen *screen, const json_t *guest)
{
	char name[SCREEN_ESCAPED(256)], rest[SCREEN_ESCAPED(SENTENCE_MAX)];
	char text[SENTENCE_MAX], all[sizeof(name) + sizeof(rest)];
	const char *reason = answer_text(guest, "reason");

	screen_escape(name, sizeof(name), answer_text(guest, "name"));
	screen_cut(name, NAME_COLUMNS);
	snprintf(text, sizeof(text), ": %s%s%s", answer_text(guest, "state"), reason[0] ? ", " : "",
		 reason);
	snprintf(all, sizeof(all), "%s%s", name, screen_escape(rest, sizeof(rest), text));
	screen_paragraph(screen, 0, 2, strlen(name), all);
}

/* How it is looked at, what it holds and where. */
static void print_facts(const struct screen *screen, const json_t *guest)
{
	char text[SENTENCE_MAX], pass[128], rate[128], ram[32], hot[32], where[256];

	snprintf(text, sizeof(text), "%s (%s), source %s, %s; %s", answer_text(guest, "mode"),
		 answer_text(guest, "policy"), answer_text(guest, "source"),
		 print_last_pass(guest, pass, sizeof(pass)), print_rate(guest, rate, sizeof(rate)));
	paragraph(screen, 2, 2, text);
	snprintf(text, sizeof(text), "RAM %s: %s; hot %s, %u%% in DRAM",
		 units_format_bytes(answer_bytes(guest, "ram_pages"), ram, sizeof(ram)),
		 print_residency(guest, where, sizeof(where)),
		 units_format_bytes(answer_bytes(guest, "hot_pages"), hot, sizeof(hot)),
		 answer_percent(answer_u64(guest, "hot_dram_pages"),
				answer_u64(guest, "hot_pages")));
	paragraph(screen, 2, 2, text);
}

static void print_causes(const struct screen *screen, const json_t *guest)
{
	char text[SENTENCE_MAX], causes[512];

	for (size_t d = 0; d < ARRAY_SIZE(directions); d++) {
		const json_t *dir =
			json_object_get(json_object_get(guest, "directions"), directions[d]);

		if (!print_failures(dir, causes, sizeof(causes)))
			continue;
		snprintf(text, sizeof(text), "%s failed: %s", directions[d], causes);
		paragraph(screen, 4, 6, text);
	}
}

static enum cli_exit print_guests(const struct screen *screen, const json_t *guests)
{
	/* Headings as wide as the widest size: rows do not jump when status runs again. */
	static const struct column columns[] = {
		{.head = "GUEST    "},
		{.head = "TO     "},
		{.head = "   QUEUED", .right = true},
		{.head = "   MOVING", .right = true},
		{.head = "     DONE", .right = true},
		{.head = "   FAILED", .right = true},
		{.head = "       RATE", .right = true},
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, ARRAY_SIZE(columns));
	unsigned int widths[TABLE_COLUMNS_MAX];
	size_t n = json_array_size(guests);

	if (!table)
		return print_no_memory();
	for (size_t i = 0; i < n; i++)
		for (size_t d = 0; d < ARRAY_SIZE(directions); d++)
			if (add_direction(table, json_array_get(guests, i), directions[d]) < 0)
				return print_no_memory();
	table_columns(table, screen, widths);
	fputc('\n', screen->out);
	table_print_head(table, screen, widths);
	for (size_t i = 0; i < n; i++) {
		const json_t *guest = json_array_get(guests, i);

		print_state(screen, guest);
		print_facts(screen, guest);
		for (size_t d = 0; d < ARRAY_SIZE(directions); d++)
			table_print_row(table, screen, widths, ARRAY_SIZE(directions) * i + d);
		print_causes(screen, guest);
	}
	return CLI_DONE;
}

enum cli_exit cmd_status(const struct options *options)
{
	json_auto_t *status = NULL;
	struct screen screen;
	const json_t *guests;
	enum cli_exit r;

	r = client_ask(options, "status", NULL, &status);
	if (r)
		return r;
	if (options->json)
		return print_json(status);
	screen_init(&screen, stdout);
	print_host(&screen, status);
	r = print_nodes(&screen, status);
	if (r)
		return r;
	guests = json_object_get(status, "guests");
	return json_array_size(guests) ? print_guests(&screen, guests) : CLI_DONE;
}
