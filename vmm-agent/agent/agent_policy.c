// SPDX-License-Identifier: GPL-2.0-or-later
/* What operators and libvirt's hook want of the agent. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/policy_xml.h"
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
	       guest->policy.origin == POLICY_DEFAULT ? "it is only observed"
						      : "its last good policy stays in force");
}

/* Without a policy that can be read nobody knows what may be done: look only. */
static void look_only(struct guest *guest)
{
	if (guest->policy.origin == POLICY_DEFAULT)
		guest->policy.mode = MODE_OBSERVE;
}

/* Precedence: metadata, policy.d, default.  A bad policy leaves the one before in force. */
static void read_policy(struct agent *agent, struct guest *guest)
{
	struct policy policy;
	struct error err = {0};
	int r;

	if (guest->has_metadata) {
		guest->policy = guest->metadata;
		guest->policy.origin = POLICY_METADATA;
		return;
	}
	guest->policy_error[0] = '\0';
	policy_default(&policy);
	r = policy_file_read(agent->config.policy_dir, guest->found.name, &policy, &err);
	if (r < 0) {
		look_only(guest);
		policy_failed(agent, guest, &err, r);
		return;
	}
	policy.origin = r == POLICY_XML_NONE ? POLICY_DEFAULT : POLICY_FILE;
	guest->policy = policy;
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

static void take_metadata(struct agent *agent, struct guest *guest,
			  const struct control_request *request)
{
	struct policy policy;
	struct error err = {0};
	int r;

	policy_default(&policy);
	r = policy_xml_from_domain(request->xml, request->xml_len, &policy, &err);
	if (r < 0) {
		look_only(guest);
		guest_overtake(guest);
		policy_failed(agent, guest, &err, r);
		agent_judge(agent, guest);
		return;
	}
	guest->has_metadata = r != POLICY_XML_NONE;
	if (guest->has_metadata)
		guest->metadata = policy;
	guest->policy_error[0] = '\0';
	agent_read_policy(agent, guest);
	agent_judge(agent, guest);
}

/*
 * The hook waits, so this is quick: look for guests at once, and take the
 * policy that the XML carries.  A guest that is not there yet is met by a scan
 * later, with the policy of its file; the hook comes again when it has started.
 */
void agent_notify(struct agent *agent, struct control_request *request)
{
	struct guest *guest;

	agent_scan(agent);
	guest = agent_find(agent, request->domain);
	if (guest && !guest->gone && request->xml)
		take_metadata(agent, guest, request);
	agent_publish(agent);
	control_answer(agent->control, request, NULL, NULL);
}

void agent_take_requests(struct agent *agent)
{
	struct control_request *request;

	agent->now_ns = agent->host->ops->now_ns(agent->host);
	while ((request = control_take(agent->control))) {
		if (request->verb == CONTROL_NOTIFY)
			agent_notify(agent, request);
		else
			pause_or_resume(agent, request);
	}
}
