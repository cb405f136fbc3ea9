// SPDX-License-Identifier: GPL-2.0-or-later
/* A report as metrics: what the format demands, units, labels of hostile guests. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "report/prom.h"
#include "sample-report.h"

static bool has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = strstr(text, line); at; at = strstr(at + 1, line))
		if ((at == text || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

static void assert_line(const char *text, const char *line)
{
	if (!has_line(text, line))
		fail_msg("no line: %s", line);
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
		n++;
	return n;
}

/* The family that a sample line belongs to is all up to '{' or ' '. */
static size_t name_length(const char *line)
{
	return strcspn(line, "{ ");
}

static void every_family_is_announced_once_and_is_in_one_piece(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(3);
	_cleanup_(freep) char *text = report_prom(report, SAMPLE_NOW_NS);
	char family[128] = "", type[160];
	size_t families = 0;

	(void)state;
	assert_non_null(text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		if (!strncmp(line, "# HELP ", 7)) {
			snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "),
				 line + 7);
			snprintf(type, sizeof(type), "# TYPE %s ", family);
			assert_int_equal(count(text, type), 1);
			assert_ptr_equal(strstr(text, type), strchr(line, '\n') + 1);
			families++;
		} else if (line[0] != '#') {
			assert_int_equal(name_length(line), strlen(family));
			assert_memory_equal(line, family, strlen(family));
		}
	}
	assert_true(families > 50);
	assert_int_equal(count(text, "# HELP "), families);
}

static void every_family_stands_in_the_documentation(void **state)
{
	static char docs[1 << 16];
	_cleanup_(freep) struct report *report = sample_report_new(1);
	_cleanup_(freep) char *text = report_prom(report, SAMPLE_NOW_NS);
	_cleanup_(fclosep) FILE *file = fopen(METRICS_MD, "re");
	char name[160];

	(void)state;
	assert_non_null(file);
	assert_in_range(fread(docs, 1, sizeof(docs), file), 1, sizeof(docs) - 1);
	for (const char *line = text; (line = strstr(line, "# HELP ")); line++) {
		/* It says once that there is a twin for the other direction. */
		if (!strncmp(line + 7, "vmtier_domain_demote_", 21))
			continue;
		snprintf(name, sizeof(name), "`%.*s`", (int)strcspn(line + 7, " "), line + 7);
		if (!strstr(docs, name))
			fail_msg("docs/metrics.md does not have %s", name);
	}
}

static void values_are_in_base_units(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	_cleanup_(freep) char *text = report_prom(report, SAMPLE_NOW_NS);

	(void)state;
	assert_line(text, "vmtier_domain_ram_bytes{domain=\"db0\"} 4194304");
	assert_line(text,
		    "vmtier_domain_target{domain=\"db0\",direction=\"promote\",node=\"0\"} 1");
	assert_line(text, "vmtier_domain_target{domain=\"db0\",direction=\"demote\",node=\"2\"} 1");
	assert_line(text, "vmtier_domain_unknown_bytes{domain=\"db0\"} 98304");
	assert_line(text, "vmtier_domain_last_pass_age_seconds{domain=\"db0\"} 2.500000000");
	assert_line(text, "vmtier_domain_period_seconds{domain=\"db0\"} 1.000000000");
	assert_line(text, "vmtier_domain_promote_queued_bytes{domain=\"db0\"} 45056");
	assert_line(text, "vmtier_domain_promote_done_bytes_total{domain=\"db0\"} 53248");
	assert_line(text, "vmtier_domain_demote_done_bytes_total{domain=\"db0\"} 0");
	assert_line(
		text,
		"vmtier_domain_promote_failed_bytes_total{domain=\"db0\",cause=\"busy\"} 28672");
	assert_line(text, "vmtier_uptime_seconds 90.000000000");
	assert_line(text, "vmtier_report_age_seconds 0.500000000");
}

static void residency_has_node_ids_tiers_and_parts(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	_cleanup_(freep) char *text = report_prom(report, SAMPLE_NOW_NS);

	(void)state;
	assert_line(text, "vmtier_domain_resident_bytes{domain=\"db0\",node=\"0\",tier=\"dram\"} "
			  "1048576");
	assert_line(text,
		    "vmtier_domain_resident_bytes{domain=\"db0\",node=\"2\",tier=\"cxl\"} 3145728");
	assert_line(
		text,
		"vmtier_domain_resident_ratio{domain=\"db0\",node=\"2\",tier=\"cxl\"} 0.750000");
}

static void totals_of_the_host_sum_up_guests(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(3);
	_cleanup_(freep) char *text = NULL;

	(void)state;
	report->guests[1].state = "paused";
	text = report_prom(report, SAMPLE_NOW_NS);
	assert_line(text, "vmtier_guest_ram_bytes 12582912");
	assert_line(text, "vmtier_node_guest_bytes{node=\"2\",tier=\"cxl\"} 9437184");
	assert_line(text, "vmtier_node_memory_bytes{node=\"2\",tier=\"cxl\"} 17179869184");
	assert_line(text, "vmtier_domains{state=\"active\"} 2");
	assert_line(text, "vmtier_domains{state=\"paused\"} 1");
}

static void a_state_is_one_among_all_of_them(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	_cleanup_(freep) char *text = report_prom(report, SAMPLE_NOW_NS);

	(void)state;
	assert_int_equal(count(text, "vmtier_domain_state{"), 8);
	assert_line(text, "vmtier_domain_state{domain=\"db0\",state=\"active\"} 1");
	assert_line(text, "vmtier_domain_state{domain=\"db0\",state=\"blocked\"} 0");
	assert_line(text, "vmtier_kvm_state{state=\"patched\"} 1");
	assert_line(text, "vmtier_kvm_state{state=\"stock\"} 0");
}

static void a_state_that_is_not_listed_shows_all_the_same(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	_cleanup_(freep) char *text = NULL;

	(void)state;
	report->guests[0].state = "new one";
	text = report_prom(report, SAMPLE_NOW_NS);
	assert_line(text, "vmtier_domain_state{domain=\"db0\",state=\"new one\"} 1");
}

static void a_guest_that_is_gone_has_no_series(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(2);
	_cleanup_(freep) char *text = NULL;

	(void)state;
	report->guests[0].state = "gone";
	report->guests[0].pid = 0;
	text = report_prom(report, SAMPLE_NOW_NS);
	assert_int_equal(count(text, "db0"), 0);
	assert_true(count(text, "db1") > 40);
	assert_line(text, "vmtier_domains{state=\"gone\"} 1");
	assert_line(text, "vmtier_guest_ram_bytes 4194304");
}

static void what_a_guest_does_not_have_has_no_series(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	_cleanup_(freep) char *text = NULL;

	(void)state;
	report->guests[0].dir[DIRECTION_PROMOTE].target_node = -1;
	report->guests[0].dir[DIRECTION_DEMOTE].target_node = -1;
	report->guests[0].last_pass_ns = 0;
	text = report_prom(report, SAMPLE_NOW_NS);
	assert_int_equal(count(text, "\nvmtier_domain_target{"), 0);
	assert_int_equal(count(text, "\nvmtier_domain_last_pass_age_seconds{"), 0);
	assert_int_equal(count(text, "\nvmtier_domain_share_bytes{"), 0);
}

static void hostile_names_stay_inside_of_their_label(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(3);
	_cleanup_(freep) char *text = NULL;

	(void)state;
	strcpy(report->guests[0].name, "a\"} 1\nvmtier_uptime_seconds 7");
	strcpy(report->guests[1].name, "back\\slash\\");
	strcpy(report->guests[2].name, "\xff\xc3\xa9");
	text = report_prom(report, SAMPLE_NOW_NS);
	assert_line(text, "vmtier_domain_ram_bytes{domain=\"a\\\"} 1?vmtier_uptime_seconds 7\"} "
			  "4194304");
	assert_line(text, "vmtier_domain_ram_bytes{domain=\"back\\\\slash\\\\\"} 4194304");
	assert_line(text, "vmtier_domain_ram_bytes{domain=\"?\xc3\xa9\"} 4194304");
	assert_false(has_line(text, "vmtier_uptime_seconds 7"));
}

static void the_longest_name_of_quotes_fits(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	_cleanup_(freep) char *text = NULL;

	(void)state;
	memset(report->guests[0].name, '"', REPORT_NAME_MAX - 1);
	text = report_prom(report, SAMPLE_NOW_NS);
	assert_non_null(strstr(text, "\\\"\"} 4194304\n"));
	assert_true(count(text, "\\\"") % (REPORT_NAME_MAX - 1) == 0);
}

static void guests_of_one_name_are_told_apart(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(3);
	_cleanup_(freep) char *text = NULL;

	(void)state;
	strcpy(report->guests[1].name, "db0");
	strcpy(report->guests[2].name, "db0");
	text = report_prom(report, SAMPLE_NOW_NS);
	assert_line(text, "vmtier_domain_ram_bytes{domain=\"db0\"} 4194304");
	assert_line(text, "vmtier_domain_ram_bytes{domain=\"db0\",pid=\"4001\"} 4194304");
	assert_line(text, "vmtier_domain_ram_bytes{domain=\"db0\",pid=\"4002\"} 4194304");
}

static void promtool_finds_nothing(void **state)
{
	_cleanup_(freep) struct report *report = NULL;
	_cleanup_(freep) char *text = NULL;
	FILE *promtool;

	(void)state;
	if (system("command -v promtool >/dev/null 2>&1")) {
		print_message("skipped: promtool is not installed (Debian: prometheus)\n");
		skip();
	}
	report = sample_report_new(3);
	strcpy(report->guests[0].name, "a\"\\\n\xff\xc3\xa9");
	strcpy(report->guests[1].name, "db2");
	report->guests[2].share_limited = true;
	text = report_prom(report, SAMPLE_NOW_NS);
	promtool = popen("promtool check metrics >&2", "w");
	assert_non_null(promtool);
	fputs(text, promtool);
	assert_int_equal(pclose(promtool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_family_is_announced_once_and_is_in_one_piece),
		cmocka_unit_test(every_family_stands_in_the_documentation),
		cmocka_unit_test(values_are_in_base_units),
		cmocka_unit_test(residency_has_node_ids_tiers_and_parts),
		cmocka_unit_test(totals_of_the_host_sum_up_guests),
		cmocka_unit_test(a_state_is_one_among_all_of_them),
		cmocka_unit_test(a_state_that_is_not_listed_shows_all_the_same),
		cmocka_unit_test(a_guest_that_is_gone_has_no_series),
		cmocka_unit_test(what_a_guest_does_not_have_has_no_series),
		cmocka_unit_test(hostile_names_stay_inside_of_their_label),
		cmocka_unit_test(the_longest_name_of_quotes_fits),
		cmocka_unit_test(guests_of_one_name_are_told_apart),
		cmocka_unit_test(promtool_finds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
