// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Struct report in Prometheus' text format: base units (bytes, seconds), names
 * as in the struct otherwise.
 *
 * DOC: A family is written whole before the next one starts, as the format
 * wants it; so the loop over guests is inside of the loop over families.  The
 * text is made from nothing each time: what is not in the report has no
 * series, and a guest that is gone has none either.  The agent gives each guest a
 * name of its own, but two series with the same labels make a scraper drop
 * everything: were there two of one name, the later one would carry its pid too.
 */
#include "report/prom.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "base/utf8.h"
#include "build_config.h"

/* Every state of design; one that is not listed is written in addition where it occurs. */
static const char *const states[] = {"settling", "active",  "paused",	"frozen",
				     "pinned",	 "blocked", "degraded", "gone"};
static const char *const kvms[] = {"patched", "stock", "none"};

/** struct labels - `domain="db1"` of each guest, ready to print, "" for one that is gone */
struct labels {
	char text[2 * REPORT_NAME_MAX + 64];
};

/**
 * struct page - what one text is written from
 * @labels: by index into the report's guests
 */
struct page {
	FILE *out;
	const struct report *report;
	const struct labels *labels;
	uint64_t now_ns;
};

/**
 * enum unit - how a uint64_t of the report becomes a base unit
 * @UNIT_NONE: as it is; @UNIT_PAGES: to bytes; @UNIT_NS: to seconds
 */
enum unit { UNIT_NONE, UNIT_PAGES, UNIT_NS };

/** struct family - one metric of struct report_guest, or of struct report_direction */
struct family {
	const char *name;
	const char *type;
	const char *help;
	size_t offset;
	enum unit unit;
};

#define GUEST(field)	 offsetof(struct report_guest, field)
#define DIRECTION(field) offsetof(struct report_direction, field)

static const struct family guest_families[] = {
	{"ram_bytes", "gauge",
	 "RAM by the memslot table; without an access fd what is resident, estimated.",
	 GUEST(ram_pages), UNIT_PAGES},
	{"skipped_bytes", "gauge", "Memslots that are not RAM of the guest or not to be moved.",
	 GUEST(skipped_pages), UNIT_PAGES},
	{"present_bytes", "gauge", "RAM mapped for the guest at the last pass.",
	 GUEST(present_pages), UNIT_PAGES},
	{"large_bytes", "gauge", "Of the present RAM, mapped by entries of 2 MiB or more.",
	 GUEST(large_pages), UNIT_PAGES},
	{"accessed_bytes", "gauge", "RAM accessed between the last two passes.",
	 GUEST(accessed_pages), UNIT_PAGES},
	{"unknown_bytes", "gauge", "Of the present RAM, mapped without accessed bits.",
	 GUEST(unknown_pages), UNIT_PAGES},
	{"written_bytes", "gauge", "RAM seen in a dirty ring between the last two passes.",
	 GUEST(written_pages), UNIT_PAGES},
	{"hot_bytes", "gauge", "RAM that is hot.", GUEST(hot_pages), UNIT_PAGES},
	{"hot_dram_bytes", "gauge", "Hot RAM that lies in DRAM.", GUEST(hot_dram_pages),
	 UNIT_PAGES},
	{"unplaced_bytes", "gauge", "RAM that is on no known node.", GUEST(unplaced_pages),
	 UNIT_PAGES},
	{"would_promote_bytes", "gauge", "Promotions in the last plan, carried out or not.",
	 GUEST(would_promote_pages), UNIT_PAGES},
	{"would_demote_bytes", "gauge", "Demotions in the last plan, carried out or not.",
	 GUEST(would_demote_pages), UNIT_PAGES},
	{"passes_total", "counter", "Passes since the guest was met.", GUEST(passes), UNIT_NONE},
	{"stale_passes_total", "counter",
	 "Passes thrown away because the memslot table changed meanwhile.", GUEST(stale_passes),
	 UNIT_NONE},
	{"period_seconds", "gauge", "Time between two passes.", GUEST(period_ns), UNIT_NS},
	{"rate_limit_bytes_per_second", "gauge",
	 "Most that may move, both directions together; 0 is no limit.",
	 GUEST(rate_limit_bytes_per_s), UNIT_NONE},
	{"ring_vcpus", "gauge", "Virtual CPUs whose dirty ring is followed.", GUEST(ring_vcpus),
	 UNIT_NONE},
	{"ring_entries_total", "counter", "Entries read from dirty rings.", GUEST(ring_entries),
	 UNIT_NONE},
	{"ring_lost_total", "counter", "Looks at a dirty ring that found entries lost.",
	 GUEST(ring_lost), UNIT_NONE},
	{"ring_bad_total", "counter", "Dirty ring entries that point outside of the memslot table.",
	 GUEST(ring_bad), UNIT_NONE},
};

static const struct family direction_families[] = {
	{"queued_bytes", "gauge", "Planned and waiting to be moved.", DIRECTION(queued_pages),
	 UNIT_PAGES},
	{"inflight_bytes", "gauge", "Being moved now.", DIRECTION(inflight_pages), UNIT_PAGES},
	{"done_bytes_total", "counter", "Moved since the guest was met.", DIRECTION(done_pages),
	 UNIT_PAGES},
	{"there_bytes_total", "counter", "Due to be moved, but found in place already.",
	 DIRECTION(there_pages), UNIT_PAGES},
	{"calls_total", "counter", "Calls of move_pages(2) that moved.", DIRECTION(calls),
	 UNIT_NONE},
	{"queries_total", "counter", "Calls of move_pages(2) that only asked.", DIRECTION(queries),
	 UNIT_NONE},
	{"bytes_per_second", "gauge",
	 "Moved over the last full second in which anything was, 0 when idle.",
	 DIRECTION(bytes_per_s), UNIT_NONE},
};

/* Label values may hold anything but three characters, and nothing that ends a line. */
static void label_escape(char *dst, size_t size, const char *value)
{
	char clean[REPORT_NAME_MAX];
	size_t len = 0;

	utf8_clean(clean, sizeof(clean), value ? value : "");
	for (const char *c = clean; *c && len + 3 <= size; c++) {
		if (*c == '\\' || *c == '"')
			dst[len++] = '\\';
		dst[len++] = *c;
	}
	dst[len] = '\0';
}

static void head(const struct page *page, const char *name, const char *type, const char *help)
{
	fprintf(page->out, "# HELP vmtier_%s %s\n# TYPE vmtier_%s %s\n", name, help, name, type);
}

static uint64_t pages_to_bytes(uint64_t pages)
{
	return pages > UINT64_MAX >> PAGE_SHIFT_4K ? UINT64_MAX : pages << PAGE_SHIFT_4K;
}

/* No floating point: its decimal sign depends on the locale. */
static void value_print(FILE *out, uint64_t value, enum unit unit)
{
	switch (unit) {
	case UNIT_NONE:
		fprintf(out, " %" PRIu64 "\n", value);
		break;
	case UNIT_PAGES:
		fprintf(out, " %" PRIu64 "\n", pages_to_bytes(value));
		break;
	case UNIT_NS:
		fprintf(out, " %" PRIu64 ".%09" PRIu64 "\n", (uint64_t)(value / NSEC_PER_SEC),
			(uint64_t)(value % NSEC_PER_SEC));
		break;
	}
}

/* One that has no labels. */
static void single(const struct page *page, const char *name, const char *type, const char *help,
		   uint64_t value, enum unit unit)
{
	head(page, name, type, help);
	fprintf(page->out, "vmtier_%s", name);
	value_print(page->out, value, unit);
}

static const char *tier_label(const struct host_node *node)
{
	return node->tier == HOST_TIER_CXL ? "cxl" : "dram";
}

static uint64_t age(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static bool is_gone(const struct report_guest *guest)
{
	return guest->state && !strcmp(guest->state, "gone");
}

/* A guest that is gone has no series. */
static bool has_series(const struct page *page, size_t guest)
{
	return page->labels[guest].text[0];
}

/* These outlive guests, so their rates mean something over weeks. */
static void totals(const struct page *page)
{
	const struct report *report = page->report;

	for (int d = 0; d < DIRECTION_COUNT; d++) {
		const char *direction = direction_name((enum direction)d);
		char name[64];

		snprintf(name, sizeof(name), "%s_moved_bytes_total", direction);
		single(page, name, "counter", "RAM moved, of all guests.", report->moved_pages[d],
		       UNIT_PAGES);
		snprintf(name, sizeof(name), "%s_failed_bytes_total", direction);
		head(page, name, "counter", "RAM that did not move, of all guests.");
		for (int c = 0; c < CAUSE_COUNT; c++)
			fprintf(page->out, "vmtier_%s{cause=\"%s\"} %" PRIu64 "\n", name,
				cause_name((enum cause)c),
				(uint64_t)(report->failed_pages[d][c] * PAGE_BYTES));
	}
}

static void host_info(const struct page *page)
{
	const struct report *report = page->report;

	head(page, "build_info", "gauge", "Version of vmtierd.");
	fprintf(page->out, "vmtier_build_info{version=\"%s\"} 1\n", VMTIER_VERSION);
	single(page, "uptime_seconds", "gauge", "Time since vmtierd started.",
	       age(report->started_ns, page->now_ns), UNIT_NS);
	single(page, "report_age_seconds", "gauge", "Time since these figures were gathered.",
	       age(report->built_ns, page->now_ns), UNIT_NS);
	head(page, "kvm_state", "gauge", "What /dev/kvm offers: 1 for the state that holds.");
	for (size_t i = 0; i < ARRAY_SIZE(kvms); i++)
		fprintf(page->out, "vmtier_kvm_state{state=\"%s\"} %d\n", kvms[i],
			report->kvm && !strcmp(report->kvm, kvms[i]));
	single(page, "problems", "gauge", "Problems of the host that a person should look at.",
	       report->nproblems, UNIT_NONE);
	single(page, "passes_total", "counter", "Passes over guests.", report->passes, UNIT_NONE);
	totals(page);
	single(page, "policy_errors_total", "counter", "Policies refused.", report->policy_errors,
	       UNIT_NONE);
}

static uint64_t guests_in_state(const struct report *report, const char *state)
{
	uint64_t n = 0;

	for (size_t i = 0; i < report->nguests; i++)
		n += report->guests[i].state && !strcmp(report->guests[i].state, state);
	return n;
}

/* Sum of one uint64_t over the guests that are not gone. */
static uint64_t guests_sum(const struct page *page, size_t offset)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < page->report->nguests; i++)
		if (has_series(page, i))
			sum += *(const uint64_t *)((const char *)&page->report->guests[i] + offset);
	return sum;
}

static void host_totals(const struct page *page)
{
	static const struct {
		const char *name;
		const char *help;
		size_t offset;
	} totals[] = {
		{"guest_ram_bytes", "RAM of all guests.", GUEST(ram_pages)},
		{"guest_hot_bytes", "Hot RAM of all guests.", GUEST(hot_pages)},
		{"guest_hot_dram_bytes", "Hot RAM of all guests that lies in DRAM.",
		 GUEST(hot_dram_pages)},
		{"guest_promote_queued_bytes", "Waiting for promotion, all guests.",
		 GUEST(dir[DIRECTION_PROMOTE].queued_pages)},
		{"guest_demote_queued_bytes", "Waiting for demotion, all guests.",
		 GUEST(dir[DIRECTION_DEMOTE].queued_pages)},
	};

	head(page, "domains", "gauge", "Guests by state.");
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		fprintf(page->out, "vmtier_domains{state=\"%s\"} %" PRIu64 "\n", states[i],
			guests_in_state(page->report, states[i]));
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++)
		single(page, totals[i].name, "gauge", totals[i].help,
		       guests_sum(page, totals[i].offset), UNIT_PAGES);
}

static void node_sample(const struct page *page, const char *name, const struct host_node *node,
			uint64_t bytes)
{
	fprintf(page->out, "vmtier_%s{node=\"%d\",tier=\"%s\"} %" PRIu64 "\n", name, node->id,
		tier_label(node), bytes);
}

static void nodes(const struct page *page)
{
	const struct report *report = page->report;

	head(page, "node_memory_bytes", "gauge", "Memory of the node.");
	for (size_t n = 0; n < report->nnodes; n++)
		node_sample(page, "node_memory_bytes", &report->nodes[n],
			    report->nodes[n].total_bytes);
	head(page, "node_memory_free_bytes", "gauge", "Free memory of the node.");
	for (size_t n = 0; n < report->nnodes; n++)
		node_sample(page, "node_memory_free_bytes", &report->nodes[n],
			    report->nodes[n].free_bytes);
	head(page, "node_guest_bytes", "gauge", "RAM of all guests that lies on the node.");
	for (size_t n = 0; n < report->nnodes; n++)
		node_sample(page, "node_guest_bytes", &report->nodes[n],
			    pages_to_bytes(guests_sum(page, GUEST(node_pages[n]))));
}

/** sample_fn - write what one guest has of one family: any number of lines */
typedef void sample_fn(const struct page *page, const struct report_guest *guest,
		       const char *labels);

static void sample_info(const struct page *page, const struct report_guest *guest,
			const char *labels)
{
	char mode[64], policy[64], source[64];

	label_escape(mode, sizeof(mode), guest->mode);
	label_escape(policy, sizeof(policy), guest->policy);
	label_escape(source, sizeof(source), guest->source);
	fprintf(page->out, "vmtier_domain_info{%s,mode=\"%s\",policy=\"%s\",source=\"%s\"} 1\n",
		labels, mode, policy, source);
}

static void sample_state(const struct page *page, const struct report_guest *guest,
			 const char *labels)
{
	const char *state = guest->state ? guest->state : "";
	bool listed = !state[0];
	char escaped[64];

	for (size_t s = 0; s < ARRAY_SIZE(states); s++) {
		bool is = !strcmp(state, states[s]);

		listed |= is;
		fprintf(page->out, "vmtier_domain_state{%s,state=\"%s\"} %d\n", labels, states[s],
			is);
	}
	if (listed)
		return;
	label_escape(escaped, sizeof(escaped), state);
	fprintf(page->out, "vmtier_domain_state{%s,state=\"%s\"} 1\n", labels, escaped);
}

static void sample_residency(const struct page *page, const struct report_guest *guest,
			     const char *labels)
{
	for (size_t n = 0; n < page->report->nnodes; n++) {
		const struct host_node *node = &page->report->nodes[n];

		fprintf(page->out, "vmtier_domain_resident_bytes{%s,node=\"%d\",tier=\"%s\"}",
			labels, node->id, tier_label(node));
		value_print(page->out, guest->node_pages[n], UNIT_PAGES);
	}
}

/* @part of @whole as "0.123456", rounded down. */
static void ratio_print(FILE *out, uint64_t part, uint64_t whole)
{
	uint64_t millionths = whole ? (uint64_t)((__uint128_t)part * 1000000 / whole) : 0;

	fprintf(out, " %" PRIu64 ".%06" PRIu64 "\n", millionths / 1000000, millionths % 1000000);
}

static void sample_node_share(const struct page *page, const struct report_guest *guest,
			      const char *labels)
{
	for (size_t n = 0; n < page->report->nnodes; n++) {
		const struct host_node *node = &page->report->nodes[n];

		fprintf(page->out, "vmtier_domain_resident_ratio{%s,node=\"%d\",tier=\"%s\"}",
			labels, node->id, tier_label(node));
		ratio_print(page->out, guest->node_pages[n], guest->ram_pages);
	}
}

static void sample_share(const struct page *page, const struct report_guest *guest,
			 const char *labels)
{
	if (!guest->share_limited)
		return;
	fprintf(page->out, "vmtier_domain_share_bytes{%s}", labels);
	value_print(page->out, guest->share_pages, UNIT_PAGES);
}

static void sample_target(const struct page *page, const struct report_guest *guest,
			  const char *labels)
{
	for (int d = 0; d < DIRECTION_COUNT; d++)
		if (guest->dir[d].target_node >= 0)
			fprintf(page->out,
				"vmtier_domain_target{%s,direction=\"%s\",node=\"%d\"} 1\n", labels,
				direction_name((enum direction)d), guest->dir[d].target_node);
}

static void sample_pass_age(const struct page *page, const struct report_guest *guest,
			    const char *labels)
{
	if (!guest->last_pass_ns)
		return;
	fprintf(page->out, "vmtier_domain_last_pass_age_seconds{%s}", labels);
	value_print(page->out, age(guest->last_pass_ns, page->now_ns), UNIT_NS);
}

/* Families that are not one number of the struct; a series that is absent says "none". */
static const struct {
	const char *name;
	const char *help;
	sample_fn *sample;
} guest_specials[] = {
	{"info", "What is set for the guest; always 1.", sample_info},
	{"state", "1 for the state that the guest is in, 0 for the others.", sample_state},
	{"resident_bytes", "RAM that lies on the node.", sample_residency},
	{"resident_ratio", "Part of the RAM that lies on the node.", sample_node_share},
	{"share_bytes", "Most of the RAM that may lie in DRAM; absent without a limit.",
	 sample_share},
	{"target", "1 for the node that hot pages go to; absent if there is none.", sample_target},
	{"last_pass_age_seconds", "Time since the last pass; absent before the first.",
	 sample_pass_age},
};

/* Family @f, whose struct starts @base bytes into a guest and whose names start with @prefix. */
static void guest_family(const struct page *page, const struct family *f, const char *prefix,
			 size_t base)
{
	char name[96];

	snprintf(name, sizeof(name), "domain_%s%s", prefix, f->name);
	head(page, name, f->type, f->help);
	for (size_t i = 0; i < page->report->nguests; i++) {
		const char *guest = (const char *)&page->report->guests[i];

		if (!has_series(page, i))
			continue;
		fprintf(page->out, "vmtier_%s{%s}", name, page->labels[i].text);
		value_print(page->out, *(const uint64_t *)(guest + base + f->offset), f->unit);
	}
}

static void guest_failures(const struct page *page, const char *prefix, enum direction d)
{
	char name[96];

	snprintf(name, sizeof(name), "domain_%sfailed_bytes_total", prefix);
	head(page, name, "counter", "Not moved, by cause.");
	for (size_t i = 0; i < page->report->nguests; i++)
		for (int c = 0; c < CAUSE_COUNT && has_series(page, i); c++) {
			fprintf(page->out, "vmtier_%s{%s,cause=\"%s\"}", name, page->labels[i].text,
				cause_name((enum cause)c));
			value_print(page->out, page->report->guests[i].dir[d].failed_pages[c],
				    UNIT_PAGES);
		}
}

static void guest_special(const struct page *page, const char *name, const char *help,
			  sample_fn *sample)
{
	char full[96];

	snprintf(full, sizeof(full), "domain_%s", name);
	head(page, full, "gauge", help);
	for (size_t i = 0; i < page->report->nguests; i++)
		if (has_series(page, i))
			sample(page, &page->report->guests[i], page->labels[i].text);
}

static void guests(const struct page *page)
{
	char prefix[16];

	for (size_t f = 0; f < ARRAY_SIZE(guest_specials); f++)
		guest_special(page, guest_specials[f].name, guest_specials[f].help,
			      guest_specials[f].sample);
	for (size_t f = 0; f < ARRAY_SIZE(guest_families); f++)
		guest_family(page, &guest_families[f], "", 0);
	for (int d = 0; d < DIRECTION_COUNT; d++) {
		snprintf(prefix, sizeof(prefix), "%s_", direction_name((enum direction)d));
		for (size_t f = 0; f < ARRAY_SIZE(direction_families); f++)
			guest_family(page, &direction_families[f], prefix, GUEST(dir[d]));
		guest_failures(page, prefix, (enum direction)d);
	}
}

static bool label_taken(const struct labels *labels, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(labels[i].text, text))
			return true;
	return false;
}

static void labels_fill(const struct report *report, struct labels *labels)
{
	char name[2 * REPORT_NAME_MAX];

	for (size_t i = 0; i < report->nguests; i++) {
		const struct report_guest *guest = &report->guests[i];
		char *text = labels[i].text;

		if (is_gone(guest))
			continue;
		label_escape(name, sizeof(name), guest->name);
		snprintf(text, sizeof(labels[i].text), "domain=\"%s\"", name);
		if (label_taken(labels, i, text))
			snprintf(text, sizeof(labels[i].text), "domain=\"%s\",pid=\"%d\"", name,
				 guest->pid);
	}
}

char *report_prom(const struct report *report, uint64_t now_ns)
{
	_cleanup_(freep) struct labels *labels = calloc(report->nguests + 1, sizeof(*labels));
	_cleanup_(freep) char *text = NULL;
	_cleanup_(fclosep) FILE *out = NULL;
	struct page page = {.report = report, .labels = labels, .now_ns = now_ns};
	size_t len;

	if (!labels)
		return NULL;
	out = open_memstream(&text, &len);
	if (!out)
		return NULL;
	labels_fill(report, labels);
	page.out = out;
	host_info(&page);
	host_totals(&page);
	nodes(&page);
	guests(&page);
	/* The text is there for sure only after a flush; the stream's own end changes nothing. */
	if (fflush(out) || ferror(out))
		return NULL;
	fclose(take_ptr(out));
	return take_ptr(text);
}
