// SPDX-License-Identifier: GPL-2.0-or-later
/* What operators and libvirt's hook want of the agent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/policy_xml.h"
#include "agent/store.h"
#include "base/log.h"
#include "vmtier/control.h"

static void policy_failed(struct agent *agent, struct guest *guest, const struct error *err, int r)
{
	const char *text = error_text(err, r);

	agent->policy_errors++;
	snprintf(guest->policy_error, sizeof(guest->policy_error), "%.250s", text);
	snprintf(agent->last_policy_error, sizeof(agent->last_policy_error),
		 "guest '%.60s': %.170s", guest->report.name, text);
	log_at(LOG_ERROR, "guest '%s': %s; %s", guest->report.name, text,
	       guest->wants_kept || guest->policy.origin == POLICY_DEFAULT
		       ? "it is only observed"
		       : "its last good policy stays in force");
}

/* Without a policy that can be read nobody knows what may be done: look only. */
static void look_only(struct guest *guest)
{
	if (guest->policy.origin == POLICY_DEFAULT)
		guest->policy.mode = MODE_OBSERVE;
}

/* Said once, until it works again. */
static void store_said(struct agent *agent, int r, const struct error *err)
{
	char why[sizeof(agent->store_why)];

	snprintf(why, sizeof(why), "%.250s", r < 0 ? err->text : "");
	if (why[0] && strcmp(agent->store_why, why))
		log_at(LOG_WARN, "%s", err->text);
	memcpy(agent->store_why, why, sizeof(why));
}

static bool runs(void *ctx, int pid, uint64_t start_time)
{
	struct host *host = ctx;

	return host->ops->process_runs(host, pid, start_time);
}

void agent_sweep_store(struct agent *agent)
{
	struct error err = {0};

	if (agent->store_swept)
		return;
	agent->store_swept = true;
	store_said(agent, store_sweep(agent->config.state_dir, runs, agent->host, &err), &err);
}

/* For the next vmtierd.  A file that could not be read is left for a person to look at. */
static void keep(struct agent *agent, const struct guest *guest)
{
	struct kept kept = {
		.paused = guest->paused,
		.has_policy = guest->has_metadata,
		.refused = guest->metadata_refused,
		.policy = guest->metadata,
	};
	struct error err = {0};

	if (!guest->wants_kept)
		store_said(agent,
			   store_write(agent->config.state_dir, guest->found.pid,
				       guest->found.start_time, &kept, &err),
			   &err);
}

/* The sentence with the line was said when the hook brought it. */
static void say_refused(struct guest *guest)
{
	snprintf(guest->policy_error, sizeof(guest->policy_error),
		 "the one in its domain's metadata; vmtier-policy(5) has every element");
}

/* What the last vmtierd kept.  On failure the guest still wants it. */
static int restore(const struct agent *agent, struct guest *guest, struct error *err)
{
	struct kept kept;
	int r = store_read(agent->config.state_dir, guest->found.pid, guest->found.start_time,
			   &kept, err);

	if (r < 0)
		return r;
	guest->wants_kept = false;
	if (r == STORE_NONE)
		return 0;
	guest->has_metadata = kept.has_policy;
	guest->metadata = kept.policy;
	guest->metadata_refused = kept.refused;
	guest->paused |= kept.paused;
	log_at(LOG_NOTE, "guest '%s': kept over the restart of vmtierd:%s%s%s", guest->report.name,
	       kept.paused ? " paused" : "", kept.has_policy ? " policy of its metadata" : "",
	       kept.refused ? " refusal of its metadata" : "");
	if (kept.refused)
		say_refused(guest);
	return 0;
}

/* Nobody knows what the guest's policy was, only that there was something. */
static void policy_lost(struct agent *agent, struct guest *guest, const struct error *err)
{
	if (guest->policy.mode > MODE_OBSERVE)
		guest->policy.mode = MODE_OBSERVE;
	policy_failed(agent, guest, err, err->code);
}

/* Precedence: metadata, policy.d, default.  A bad policy leaves the one before in force. */
static void read_policy(struct agent *agent, struct guest *guest)
{
	struct policy policy;
	struct error err = {0}, lost = {0};
	int r;

	if (guest->wants_kept)
		restore(agent, guest, &lost);
	if (guest->has_metadata) {
		guest->policy = guest->metadata;
		guest->policy.origin = POLICY_METADATA;
		return;
	}
	guest->policy_error[0] = '\0';
	if (guest->metadata_refused)
		say_refused(guest);
	policy_default(&policy);
	r = policy_file_read(agent->config.policy_dir, guest->found.name, &policy, &err);
	if (r < 0) {
		look_only(guest);
		policy_failed(agent, guest, &err, r);
		return;
	}
	policy.origin = r == POLICY_XML_NONE ? POLICY_DEFAULT : POLICY_FILE;
	guest->policy = policy;
	if (guest->metadata_refused)
		look_only(guest);
	if (lost.code)
		policy_lost(agent, guest, &lost);
}

void agent_read_policy(struct agent *agent, struct guest *guest)
{
	struct policy before = guest->policy;

	read_policy(agent, guest);
	if (memcmp(&before, &guest->policy, sizeof(before)))
		guest_overtake(guest);
}

static void set_paused(struct agent *agent, struct guest *guest, bool paused)
{
	if (guest->paused != paused)
		log_at(LOG_NOTE, "guest '%s' %s by the operator", guest->report.name,
		       paused ? "paused" : "resumed");
	guest->paused = paused;
	if (!paused)
		guest->due_ns = agent->now_ns;
	agent_judge(agent, guest);
	keep(agent, guest);
}

static void pause_or_resume(struct agent *agent, struct control_request *request)
{
	bool pause = request->verb == CONTROL_PAUSE;
	struct guest *guest = request->domain ? agent_find(agent, request->domain) : NULL;
	char message[REPORT_NAME_MAX + 64];

	if (request->domain && (!guest || guest->gone)) {
		snprintf(message, sizeof(message), "no guest is called '%.255s'", request->domain);
		control_answer(agent->control, request, VMTIER_ERROR_NO_DOMAIN, message);
		return;
	}
	for (struct guest *g = agent->guests; g; g = g->next)
		if (!g->gone && (!guest || g == guest))
			set_paused(agent, g, pause);
	agent_publish(agent);
	control_answer(agent->control, request, NULL, NULL);
}

/**
 * struct notice - what libvirt's hook said of a domain
 * @guest: guests up to this number have heard
 * @brings_xml: false says only that a guest has come or gone
 * @result, @policy, @err: see policy_xml_from_domain()
 */
struct notice {
	struct notice *next;
	uint64_t guest;
	bool brings_xml;
	int result;
	struct policy policy;
	struct error err;
	char domain[];
};

static void take_metadata(struct agent *agent, struct guest *guest, const struct notice *notice)
{
	guest->metadata_refused = notice->result < 0;
	if (guest->metadata_refused) {
		keep(agent, guest);
		look_only(guest);
		guest_overtake(guest);
		policy_failed(agent, guest, &notice->err, notice->result);
		agent_judge(agent, guest);
		return;
	}
	guest->has_metadata = notice->result != POLICY_XML_NONE;
	if (guest->has_metadata)
		guest->metadata = notice->policy;
	guest->policy_error[0] = '\0';
	guest->wants_kept = false;
	keep(agent, guest);
	agent_read_policy(agent, guest);
	agent_judge(agent, guest);
}

/* The hook of a host that starts its guests: more at once are not libvirt's. */
#define NOTICES_MAX 1024

/* Of several processes that call themselves so one is libvirt's: all of them get its policy. */
static void serve(struct agent *agent, struct notice *notice)
{
	for (struct guest *g = agent->guests; g; g = g->next)
		if (g->id > notice->guest && !g->gone && notice->brings_xml &&
		    !strcmp(g->found.name, notice->domain))
			take_metadata(agent, g, notice);
	notice->guest = agent->next_guest_id;
}

/* The XML is read here, once: what is kept of it is small, whatever it was. */
static struct notice *notice_new(const struct control_request *request)
{
	size_t len = strlen(request->domain) + 1;
	struct notice *notice = calloc(1, sizeof(*notice) + len);

	if (!notice)
		return NULL;
	memcpy(notice->domain, request->domain, len);
	notice->brings_xml = request->xml;
	policy_default(&notice->policy);
	if (request->xml)
		notice->result = policy_xml_from_domain(request->xml, request->xml_len,
							&notice->policy, &notice->err);
	return notice;
}

/*
 * libvirt waits for its hook, so that is answered at once: guests that are known
 * have their policy then, and one that is new gets it by a scan that begins now.
 */
static void take_notice(struct agent *agent, struct control_request *request)
{
	struct notice **end = &agent->notices, *notice = notice_new(request);
	size_t n = 0;

	if (!notice) {
		control_answer(agent->control, request, VMTIER_ERROR_FAILED, "out of memory");
		return;
	}
	serve(agent, notice);
	agent_publish(agent);
	for (; *end; end = &(*end)->next)
		n++;
	if (n < NOTICES_MAX) {
		*end = notice;
		control_answer(agent->control, request, NULL, NULL);
	} else {
		agent_free_notices(notice);
		control_answer(agent->control, request, VMTIER_ERROR_FAILED,
			       "vmtierd has not looked for new guests since it was told of many: "
			       "those that it knows have heard");
	}
}

/*
 * A guest that is not there yet is met by a scan later, with the policy of its
 * file; the hook comes again when it has started.
 */
void agent_serve_notices(struct agent *agent, struct notice *notices)
{
	for (struct notice *notice = notices; notice; notice = notice->next)
		serve(agent, notice);
	/* Those of the next scan came later: now, or an older one would have the last word. */
	for (struct notice *notice = agent->notices; notice; notice = notice->next)
		serve(agent, notice);
	if (notices || agent->notices)
		agent_publish(agent);
	agent_free_notices(notices);
}

void agent_free_notices(struct notice *notices)
{
	for (struct notice *notice = notices, *next; notice; notice = next) {
		next = notice->next;
		free(notice);
	}
}

void agent_take_requests(struct agent *agent)
{
	struct control_request *request;

	agent->now_ns = agent->host->ops->now_ns(agent->host);
	while ((request = control_take(agent->control))) {
		if (request->verb == CONTROL_NOTIFY)
			take_notice(agent, request);
		else
			pause_or_resume(agent, request);
	}
}
