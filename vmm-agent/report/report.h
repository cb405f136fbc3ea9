/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one vocabulary of daemon, JSON, Prometheus and command line: a snapshot
 * of everything that vmtierd has to say, built by the loop after each change
 * and never altered once published.  One field, one name, one unit everywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/host.h"
#include "migrate/outcome.h"

#define REPORT_NAME_MAX	  256
#define REPORT_REASON_MAX 256

/**
 * struct report_direction - promotion or demotion of one guest
 * @target_node: where pages go by the last plan, -1 if nowhere
 * @queued_pages: planned and waiting for the mover
 * @inflight_pages: in the mover's hands, not yet settled either way
 * @done_pages: moved since the guest was met
 * @failed_pages: not moved, by cause, since the guest was met
 * @there_pages: asked first and found in place already
 * @calls: move_pages(2) calls that moved
 * @queries: move_pages(2) calls that only asked
 * @bytes_per_s: moved over the last full second in which anything was moved, 0 when idle
 */
struct report_direction {
	int32_t target_node;
	uint64_t queued_pages;
	uint64_t inflight_pages;
	uint64_t done_pages;
	uint64_t failed_pages[CAUSE_COUNT];
	uint64_t there_pages;
	uint64_t calls;
	uint64_t queries;
	uint64_t bytes_per_s;
};

/**
 * struct report_guest - one guest
 * @name: as QEMU's -name says; any bytes but control characters, terminated
 * @pid: 0 once gone
 * @state: one of the words of design: "settling", "active", ...
 * @reason: why it is in this state, a sentence
 * @mode: "off", "observe", "promote", "tier"
 * @policy: where the policy came from: "default", "policy.d", "metadata"
 * @source: where accesses are seen, e.g. "kvm", "kvm+ring", "none"
 * @ram_pages: guest RAM by the memslot table, each host page once
 * @skipped_pages: memslot pages that are not this guest's RAM or not ours to move
 * @skipped_reason: the first reason, "" if none
 * @present_pages: mapped for the guest at the last pass
 * @large_pages: of these by entries of 2 MiB or more
 * @accessed_pages: accessed since the pass before
 * @unknown_pages: present, but by entries without accessed bits
 * @written_pages: seen in a dirty ring since the pass before
 * @hot_pages: hot by the plan's rule
 * @hot_dram_pages: of these in DRAM
 * @share_pages: the guest's DRAM share; @share_limited: false if it has no maximum
 * @node_pages: residency, by index into report.nodes; @unplaced_pages: resident nowhere known
 * @would_promote_pages, @would_demote_pages: what the last plan holds (mode observe moves nothing)
 * @passes: harvests folded since the guest was met
 * @stale_passes: passes thrown away because the memslot table changed meanwhile
 * @last_pass_ns: CLOCK_MONOTONIC of the last fold, 0 before the first
 * @period_ns: between two passes
 * @rate_limit_bytes_per_s: pace, both directions together; 0 is no limit
 * @ring_vcpus, @ring_entries, @ring_lost, @ring_bad: dirty rings followed, entries taken, looks
 *	at which entries were lost, entries that point outside of the memslot table
 * @dir: by enum direction
 */
struct report_guest {
	char name[REPORT_NAME_MAX];
	int32_t pid;
	const char *state;
	char reason[REPORT_REASON_MAX];
	const char *mode;
	const char *policy;
	const char *source;
	uint64_t ram_pages;
	uint64_t skipped_pages;
	char skipped_reason[REPORT_REASON_MAX];
	uint64_t present_pages;
	uint64_t large_pages;
	uint64_t accessed_pages;
	uint64_t unknown_pages;
	uint64_t written_pages;
	uint64_t hot_pages;
	uint64_t hot_dram_pages;
	uint64_t share_pages;
	bool share_limited;
	uint64_t node_pages[HOST_MAX_NODES];
	uint64_t unplaced_pages;
	uint64_t would_promote_pages;
	uint64_t would_demote_pages;
	uint64_t passes;
	uint64_t stale_passes;
	uint64_t last_pass_ns;
	uint64_t period_ns;
	uint64_t rate_limit_bytes_per_s;
	uint64_t ring_vcpus;
	uint64_t ring_entries;
	uint64_t ring_lost;
	uint64_t ring_bad;
	struct report_direction dir[DIRECTION_COUNT];
};

/**
 * struct report - everything at one moment
 * @built_ns: CLOCK_MONOTONIC
 * @started_ns: when vmtierd started, CLOCK_MONOTONIC
 * @pid: of vmtierd
 * @kvm: "patched", "stock", "none": what /dev/kvm offers
 * @problems: sentences about the host that a person should read; @nproblems of them
 * @nodes, @nnodes: NUMA nodes with memory
 * @guests, @nguests: in the order in which they were met
 * @passes: harvests of all guests
 * @moved_pages, @failed_pages: since the start, of all guests, those that are gone included
 * @policy_errors: policies refused since the start
 * @last_policy_error: the latest of them, "" if none
 *
 * Context: immutable after report_publish(); readers hold rcu_read_lock().
 */
struct report {
	uint64_t built_ns;
	uint64_t started_ns;
	int32_t pid;
	const char *kvm;
	char problems[8][REPORT_REASON_MAX];
	size_t nproblems;
	struct host_node nodes[HOST_MAX_NODES];
	size_t nnodes;
	uint64_t passes;
	uint64_t moved_pages[DIRECTION_COUNT];
	uint64_t failed_pages[DIRECTION_COUNT][CAUSE_COUNT];
	uint64_t policy_errors;
	char last_policy_error[REPORT_REASON_MAX];
	size_t nguests;
	struct report_guest guests[];
};

/** report_new() - zeroed, with room for @nguests; NULL when out of memory; free() ends it */
struct report *report_new(size_t nguests);

/** report_find() - the guest called @name, rather one that is not gone; NULL if there is none */
const struct report_guest *report_find(const struct report *report, const char *name);
