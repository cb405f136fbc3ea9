// SPDX-License-Identifier: GPL-2.0-or-later
/* A report as JSON: names, units, and names of guests that are no text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "report/json.h"
#include "sample-report.h"
#include "vmtier/control.h"

static json_int_t member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static const char *word(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	assert_non_null(value);
	return value;
}

static json_t *only_guest(json_t *status)
{
	return json_array_get(json_object_get(status, "guests"), 0);
}

static void status_says_what_the_host_is(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(0);
	json_auto_t *status = NULL;
	const json_t *cxl;

	(void)state;
	snprintf(report->problems[report->nproblems++], REPORT_REASON_MAX, "numad runs");
	status = report_json_status(report, SAMPLE_NOW_NS);
	assert_int_equal(member(status, "schema_version"), VMTIER_SCHEMA_VERSION);
	assert_int_equal(member(status, "page_bytes"), 4096);
	assert_int_equal(member(status, "pid"), 812);
	assert_int_equal(member(status, "uptime_ns"), 90000000000);
	assert_int_equal(member(status, "built_age_ns"), 500000000);
	assert_string_equal(word(status, "kvm"), "patched");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(status, "problems"), 0)),
		"numad runs");
	cxl = json_array_get(json_object_get(status, "nodes"), 1);
	assert_int_equal(member(cxl, "id"), 2);
	assert_string_equal(word(cxl, "tier"), "cxl");
	assert_int_equal(member(json_object_get(cxl, "distance"), "0"), 20);
}

static void status_has_all_of_a_guest(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	json_auto_t *status = report_json_status(report, SAMPLE_NOW_NS);
	const json_t *guest = only_guest(status);

	(void)state;
	assert_string_equal(word(guest, "name"), "db0");
	assert_string_equal(word(guest, "state"), "active");
	assert_string_equal(word(guest, "reason"), "harvested every second");
	assert_string_equal(word(guest, "source"), "kvm+ring");
	assert_int_equal(member(guest, "pid"), 4000);
	assert_int_equal(member(guest, "ram_pages"), 1024);
	assert_int_equal(member(guest, "unknown_pages"), 24);
	assert_int_equal(member(guest, "hot_dram_pages"), 48);
	assert_int_equal(member(guest, "last_pass_age_ns"), 2500000000);
	assert_int_equal(member(guest, "rate_limit_bytes_per_s"), 64 << 20);
}

static void residency_is_told_by_node_id_and_not_by_index(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	json_auto_t *status = report_json_status(report, SAMPLE_NOW_NS);
	const json_t *pages = json_object_get(only_guest(status), "node_pages");

	(void)state;
	assert_int_equal(json_object_size(pages), 2);
	assert_int_equal(member(pages, "0"), 256);
	assert_int_equal(member(pages, "2"), 768);
}

static void each_direction_has_its_failures_by_cause(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	json_auto_t *status = report_json_status(report, SAMPLE_NOW_NS);
	const json_t *dirs = json_object_get(only_guest(status), "directions");
	const json_t *promote = json_object_get(dirs, "promote");

	(void)state;
	assert_int_equal(member(promote, "target_node"), 0);
	assert_int_equal(member(json_object_get(dirs, "demote"), "target_node"), 2);
	assert_int_equal(member(promote, "queued_pages"), 11);
	assert_int_equal(member(promote, "inflight_pages"), 12);
	assert_int_equal(member(promote, "done_pages"), 13);
	assert_int_equal(member(promote, "there_pages"), 14);
	assert_int_equal(member(promote, "calls"), 15);
	assert_int_equal(member(promote, "queries"), 16);
	assert_int_equal(json_object_size(json_object_get(promote, "failed_pages")), CAUSE_COUNT);
	assert_int_equal(member(json_object_get(promote, "failed_pages"), "busy"), 7);
	assert_int_equal(member(json_object_get(dirs, "demote"), "done_pages"), 0);
}

static void what_a_guest_does_not_have_is_null(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	json_auto_t *status = NULL;

	(void)state;
	report->guests[0].last_pass_ns = 0;
	status = report_json_status(report, SAMPLE_NOW_NS);
	assert_true(json_is_null(json_object_get(only_guest(status), "last_pass_age_ns")));
	assert_true(json_is_null(json_object_get(only_guest(status), "share_pages")));
	json_decref(status);
	report->guests[0].share_limited = true;
	report->guests[0].share_pages = 99;
	status = report_json_status(report, SAMPLE_NOW_NS);
	assert_int_equal(member(only_guest(status), "share_pages"), 99);
}

static void a_clock_that_is_behind_gives_age_zero(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	json_auto_t *status = report_json_status(report, 1);

	(void)state;
	assert_int_equal(member(status, "uptime_ns"), 0);
	assert_int_equal(member(only_guest(status), "last_pass_age_ns"), 0);
}

static void numbers_that_json_cannot_hold_stay_positive(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(1);
	json_auto_t *status = NULL;

	(void)state;
	report->guests[0].ram_pages = UINT64_MAX;
	status = report_json_status(report, SAMPLE_NOW_NS);
	assert_true(member(only_guest(status), "ram_pages") == INT64_MAX);
}

static void hostile_names_become_text(void **state)
{
	static const struct {
		const char *name, *shown;
	} cases[] = {
		{"a\"b\\c", "a\"b\\c"},
		{"a\xff\xfe", "a??"},
		{"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
		{"\xc0\xaf", "??"},	      /* overlong */
		{"\xed\xa0\x80", "???"},      /* a surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* beyond U+10FFFF */
		{"cut\xe2\x82", "cut??"},
		{"esc\x1b[2J\n", "esc?[2J?"},
		{"\xc2\x9b"
		 "31m",
		 "?31m"}, /* a C1 control */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) struct report *report = sample_report_new(1);
		json_auto_t *status = NULL;
		_cleanup_(freep) char *text = NULL;

		snprintf(report->guests[0].name, REPORT_NAME_MAX, "%s", cases[i].name);
		snprintf(report->guests[0].reason, REPORT_REASON_MAX, "%s", cases[i].name);
		status = report_json_status(report, SAMPLE_NOW_NS);
		assert_string_equal(word(only_guest(status), "name"), cases[i].shown);
		assert_string_equal(word(only_guest(status), "reason"), cases[i].shown);
		text = json_dumps(status, 0);
		assert_non_null(text);
	}
}

static void list_is_short(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(3);
	json_auto_t *list = report_json_list(report, SAMPLE_NOW_NS);
	const json_t *guests = json_object_get(list, "guests");

	(void)state;
	assert_int_equal(json_array_size(guests), 3);
	assert_int_equal(json_object_size(json_array_get(guests, 2)), 4);
	assert_string_equal(word(json_array_get(guests, 2), "name"), "db2");
	assert_string_equal(word(json_array_get(guests, 2), "mode"), "tier");
	assert_int_equal(member(list, "schema_version"), VMTIER_SCHEMA_VERSION);
}

static void show_is_one_guest_as_in_status(void **state)
{
	_cleanup_(freep) struct report *report = sample_report_new(2);
	json_auto_t *show = report_json_show(report, &report->guests[1], SAMPLE_NOW_NS);
	json_auto_t *status = report_json_status(report, SAMPLE_NOW_NS);

	(void)state;
	assert_true(json_equal(json_object_get(show, "guest"),
			       json_array_get(json_object_get(status, "guests"), 1)));
	assert_int_equal(json_array_size(json_object_get(show, "nodes")), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_says_what_the_host_is),
		cmocka_unit_test(status_has_all_of_a_guest),
		cmocka_unit_test(residency_is_told_by_node_id_and_not_by_index),
		cmocka_unit_test(each_direction_has_its_failures_by_cause),
		cmocka_unit_test(what_a_guest_does_not_have_is_null),
		cmocka_unit_test(a_clock_that_is_behind_gives_age_zero),
		cmocka_unit_test(numbers_that_json_cannot_hold_stay_positive),
		cmocka_unit_test(hostile_names_become_text),
		cmocka_unit_test(list_is_short),
		cmocka_unit_test(show_is_one_guest_as_in_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
