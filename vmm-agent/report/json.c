// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Struct report, member by member, under the same names and in the same units;
 * only what is an index there is a node id here, and moments become ages.
 */
#include "report/json.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "base/utf8.h"
#include "build_config.h"
#include "vmtier/control.h"

/* Longest text of a report, with its end; all of them are arrays of this size or smaller. */
#define TEXT_MAX 512
static_assert(REPORT_NAME_MAX <= TEXT_MAX && REPORT_REASON_MAX <= TEXT_MAX, "texts fit");

/* jansson takes a value that is NULL, for want of memory, as a failure: checks can wait. */

static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *text(const char *value)
{
	char clean[TEXT_MAX];

	return json_string(utf8_clean(clean, sizeof(clean), value ? value : ""));
}

static json_t *age(uint64_t then_ns, uint64_t now_ns)
{
	return number(now_ns > then_ns ? now_ns - then_ns : 0);
}

/** struct member - one name and the uint64_t it stands for */
struct member {
	const char *name;
	size_t offset;
};

#define MEMBER(type, field)                          \
	{                                            \
#field, offsetof(struct type, field) \
	}

static int set_members(json_t *object, const void *base, const struct member *members, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint64_t *value = (const uint64_t *)((const char *)base + members[i].offset);

		if (json_object_set_new(object, members[i].name, number(*value)) < 0)
			return -1;
	}
	return 0;
}

static json_t *failed_by_cause(const uint64_t failed_pages[CAUSE_COUNT])
{
	_cleanup_(json_decrefp) json_t *object = json_object();

	for (int c = 0; c < CAUSE_COUNT; c++)
		if (json_object_set_new(object, cause_name((enum cause)c),
					number(failed_pages[c])) < 0)
			return NULL;
	return take_ptr(object);
}

static json_t *direction(const struct report_direction *dir)
{
	static const struct member members[] = {
		MEMBER(report_direction, queued_pages), MEMBER(report_direction, inflight_pages),
		MEMBER(report_direction, done_pages),	MEMBER(report_direction, there_pages),
		MEMBER(report_direction, calls),	MEMBER(report_direction, queries),
		MEMBER(report_direction, bytes_per_s),
	};
	_cleanup_(json_decrefp) json_t *object = json_object();

	if (set_members(object, dir, members, ARRAY_SIZE(members)) < 0)
		return NULL;
	if (json_object_set_new(object, "target_node", json_integer(dir->target_node)) < 0 ||
	    json_object_set_new(object, "failed_pages", failed_by_cause(dir->failed_pages)) < 0)
		return NULL;
	return take_ptr(object);
}

static json_t *directions(const struct report_guest *guest)
{
	_cleanup_(json_decrefp) json_t *object = json_object();

	for (int d = 0; d < DIRECTION_COUNT; d++)
		if (json_object_set_new(object, direction_name((enum direction)d),
					direction(&guest->dir[d])) < 0)
			return NULL;
	return take_ptr(object);
}

static json_t *pages_by_node(const struct report *report, const struct report_guest *guest)
{
	_cleanup_(json_decrefp) json_t *object = json_object();
	char id[16];

	for (size_t n = 0; n < report->nnodes; n++) {
		snprintf(id, sizeof(id), "%d", report->nodes[n].id);
		if (json_object_set_new(object, id, number(guest->node_pages[n])) < 0)
			return NULL;
	}
	return take_ptr(object);
}

/* What list has of a guest, too. */
static json_t *guest_head(const struct report_guest *guest)
{
	return json_pack("{so, si, so, so}", "name", text(guest->name), "pid", guest->pid, "state",
			 text(guest->state), "mode", text(guest->mode));
}

static json_t *share_pages(const struct report_guest *guest)
{
	return guest->share_limited ? number(guest->share_pages) : json_null();
}

static json_t *last_pass_age(const struct report_guest *guest, uint64_t now_ns)
{
	return guest->last_pass_ns ? age(guest->last_pass_ns, now_ns) : json_null();
}

static json_t *guest_whole(const struct report *report, const struct report_guest *guest,
			   uint64_t now_ns)
{
	static const struct member members[] = {
		MEMBER(report_guest, ram_pages),
		MEMBER(report_guest, skipped_pages),
		MEMBER(report_guest, present_pages),
		MEMBER(report_guest, large_pages),
		MEMBER(report_guest, accessed_pages),
		MEMBER(report_guest, unknown_pages),
		MEMBER(report_guest, written_pages),
		MEMBER(report_guest, hot_pages),
		MEMBER(report_guest, hot_dram_pages),
		MEMBER(report_guest, unplaced_pages),
		MEMBER(report_guest, would_promote_pages),
		MEMBER(report_guest, would_demote_pages),
		MEMBER(report_guest, passes),
		MEMBER(report_guest, stale_passes),
		MEMBER(report_guest, period_ns),
		MEMBER(report_guest, rate_limit_bytes_per_s),
		MEMBER(report_guest, ring_vcpus),
		MEMBER(report_guest, ring_entries),
		MEMBER(report_guest, ring_lost),
		MEMBER(report_guest, ring_bad),
	};
	_cleanup_(json_decrefp) json_t *object = guest_head(guest);
	_cleanup_(json_decrefp) json_t *more = NULL;

	more = json_pack("{so, so, so, so, so, sb, so, so, so}", "reason", text(guest->reason),
			 "policy", text(guest->policy), "source", text(guest->source),
			 "skipped_reason", text(guest->skipped_reason), "share_pages",
			 share_pages(guest), "share_limited", (int)guest->share_limited,
			 "node_pages", pages_by_node(report, guest), "last_pass_age_ns",
			 last_pass_age(guest, now_ns), "directions", directions(guest));
	if (!object || !more || json_object_update(object, more) < 0)
		return NULL;
	if (set_members(object, guest, members, ARRAY_SIZE(members)) < 0)
		return NULL;
	return take_ptr(object);
}

static json_t *distances(const struct report *report, const struct host_node *node)
{
	_cleanup_(json_decrefp) json_t *object = json_object();
	char id[16];

	for (size_t n = 0; n < report->nnodes; n++) {
		snprintf(id, sizeof(id), "%d", report->nodes[n].id);
		if (json_object_set_new(object, id, number(node->distance[n])) < 0)
			return NULL;
	}
	return take_ptr(object);
}

static json_t *nodes(const struct report *report)
{
	_cleanup_(json_decrefp) json_t *array = json_array();

	for (size_t n = 0; n < report->nnodes; n++) {
		const struct host_node *node = &report->nodes[n];

		if (json_array_append_new(
			    array, json_pack("{si, ss, si, sb, so, so, so}", "id", node->id, "tier",
					     node->tier == HOST_TIER_CXL ? "cxl" : "dram", "rank",
					     node->rank, "has_cpu", (int)node->has_cpu,
					     "total_bytes", number(node->total_bytes), "free_bytes",
					     number(node->free_bytes), "distance",
					     distances(report, node))) < 0)
			return NULL;
	}
	return take_ptr(array);
}

static json_t *problems(const struct report *report)
{
	_cleanup_(json_decrefp) json_t *array = json_array();

	for (size_t i = 0; i < report->nproblems; i++)
		if (json_array_append_new(array, text(report->problems[i])) < 0)
			return NULL;
	return take_ptr(array);
}

static json_t *totals(const struct report *report)
{
	_cleanup_(json_decrefp) json_t *all = json_object();

	for (int d = 0; d < DIRECTION_COUNT; d++) {
		json_t *failed = json_object();

		for (int c = 0; c < CAUSE_COUNT; c++)
			json_object_set_new(failed, cause_name((enum cause)c),
					    number(report->failed_pages[d][c]));
		if (json_object_set_new(all, direction_name((enum direction)d),
					json_pack("{so, so}", "moved_pages",
						  number(report->moved_pages[d]), "failed_pages",
						  failed)) < 0)
			return NULL;
	}
	return take_ptr(all);
}

static json_t *host(const struct report *report, uint64_t now_ns)
{
	return json_pack(
		"{si, si, ss, si, so, so, so, so, so, so, so, so, so}", "schema_version",
		VMTIER_SCHEMA_VERSION, "page_bytes", (int)PAGE_BYTES, "version", VMTIER_VERSION,
		"pid", report->pid, "uptime_ns", age(report->started_ns, now_ns), "built_age_ns",
		age(report->built_ns, now_ns), "kvm", text(report->kvm), "problems",
		problems(report), "passes", number(report->passes), "totals", totals(report),
		"policy_errors", number(report->policy_errors), "last_policy_error",
		text(report->last_policy_error), "nodes", nodes(report));
}

json_t *report_json_status(const struct report *report, uint64_t now_ns)
{
	_cleanup_(json_decrefp) json_t *status = host(report, now_ns);
	_cleanup_(json_decrefp) json_t *guests = json_array();

	for (size_t i = 0; i < report->nguests; i++)
		if (json_array_append_new(guests, guest_whole(report, &report->guests[i], now_ns)) <
		    0)
			return NULL;
	if (json_object_set_new(status, "guests", take_ptr(guests)) < 0)
		return NULL;
	return take_ptr(status);
}

json_t *report_json_list(const struct report *report, uint64_t now_ns)
{
	_cleanup_(json_decrefp) json_t *guests = json_array();

	for (size_t i = 0; i < report->nguests; i++)
		if (json_array_append_new(guests, guest_head(&report->guests[i])) < 0)
			return NULL;
	return json_pack("{si, so, so}", "schema_version", VMTIER_SCHEMA_VERSION, "built_age_ns",
			 age(report->built_ns, now_ns), "guests", take_ptr(guests));
}

json_t *report_json_show(const struct report *report, const struct report_guest *guest,
			 uint64_t now_ns)
{
	return json_pack("{si, si, so, so}", "schema_version", VMTIER_SCHEMA_VERSION, "page_bytes",
			 (int)PAGE_BYTES, "nodes", nodes(report), "guest",
			 guest_whole(report, guest, now_ns));
}
