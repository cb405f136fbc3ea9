// SPDX-License-Identifier: GPL-2.0-or-later
/* Each state by its evidence, and what outweighs what. */
#include <string.h>

#include "test.h"

#include "agent/lifecycle.h"

static struct evidence healthy(void)
{
	return (struct evidence) {
		.mode = MODE_TIER,
		.source = "",
		.layout = "",
		.failing = "",
		.policy = "",
		.passes = 3,
		.settle_passes = 3,
		.has_dram = true,
		.has_cxl = true,
	};
}

static void expect(const struct evidence *e, enum guest_state state, const char *words)
{
	char reason[256] = "";

	assert_int_equal(lifecycle_judge(e, reason, sizeof(reason)), state);
	if (!strstr(reason, words))
		fail_msg("'%s' does not say '%s'", reason, words);
}

static void a_healthy_guest_is_active(void **state)
{
	struct evidence e = healthy();

	(void)state;
	expect(&e, STATE_ACTIVE, "coldest make room");
	e.mode = MODE_PROMOTE;
	expect(&e, STATE_ACTIVE, "none is demoted");
	e.mode = MODE_OBSERVE;
	expect(&e, STATE_ACTIVE, "not carried out");
}

static void a_guest_met_just_now_is_settling(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.passes = 2;
	expect(&e, STATE_SETTLING, "pass 2 of 3");
}

static void a_host_of_one_tier_blocks(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.has_cxl = false;
	expect(&e, STATE_BLOCKED, "one tier only");
	e = healthy();
	e.has_dram = false;
	expect(&e, STATE_BLOCKED, "one tier only");
}

static void a_cpuset_without_dram_blocks(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.dram_none = PLACE_FORBIDDEN;
	expect(&e, STATE_BLOCKED, "forbid every DRAM node");
}

static void full_nodes_block_only_if_there_is_no_way_out(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.dram_none = PLACE_FULL;
	expect(&e, STATE_ACTIVE, "");
	e.cxl_none = PLACE_FULL;
	expect(&e, STATE_BLOCKED, "full");
	e.dram_none = PLACE_OK;
	expect(&e, STATE_ACTIVE, "");
}

static void vfio_and_sev_pin(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.vfio = true;
	expect(&e, STATE_PINNED, "VFIO");
	e.vfio = false;
	e.sev = true;
	expect(&e, STATE_PINNED, "SEV");
}

static void a_stopped_process_is_frozen(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.stopped = true;
	expect(&e, STATE_FROZEN, "stopped");
}

static void without_source_or_layout_a_guest_is_degraded(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.source = "the loaded KVM has no access fds";
	expect(&e, STATE_DEGRADED, "no access fds");
	e = healthy();
	e.layout = "its memory layout cannot be read";
	expect(&e, STATE_DEGRADED, "layout");
}

static void passes_that_fail_again_and_again_degrade(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.failing = "its passes fail (Input/output error)";
	expect(&e, STATE_DEGRADED, "Input/output error");
}

static void a_refused_policy_shows_in_an_active_guest(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.policy = "unknown element 'fast'";
	expect(&e, STATE_ACTIVE, "unknown element 'fast'");
	expect(&e, STATE_ACTIVE, "mode tier, the last good one");
	e.mode = MODE_OBSERVE; /* it may never have had a good one */
	expect(&e, STATE_ACTIVE, "mode observe; its policy was refused: unknown element 'fast'");
}

static void the_operator_and_mode_off_pause(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.paused = true;
	expect(&e, STATE_PAUSED, "operator");
	e.paused = false;
	e.mode = MODE_OFF;
	expect(&e, STATE_PAUSED, "mode off");
}

static void what_forbids_most_outweighs_the_rest(void **state)
{
	struct evidence e = healthy();

	(void)state;
	e.gone = e.paused = e.stopped = e.vfio = true;
	e.source = "no access fds";
	e.has_cxl = false;
	e.passes = 0;
	expect(&e, STATE_GONE, "ended");
	e.gone = false;
	expect(&e, STATE_PAUSED, "operator");
	e.paused = false;
	expect(&e, STATE_DEGRADED, "no access fds");
	e.source = "";
	expect(&e, STATE_FROZEN, "stopped");
	e.stopped = false;
	expect(&e, STATE_PINNED, "VFIO");
	e.vfio = false;
	expect(&e, STATE_BLOCKED, "one tier");
	e.has_cxl = true;
	expect(&e, STATE_SETTLING, "pass 0 of 3");
	e.passes = 3;
	expect(&e, STATE_ACTIVE, "");
}

static void passes_go_on_in_the_states_that_say_so(void **state)
{
	static const bool harvests[STATE_COUNT] = {
		[STATE_SETTLING] = true,
		[STATE_ACTIVE] = true,
		[STATE_PINNED] = true,
		[STATE_BLOCKED] = true,
	};

	(void)state;
	for (int s = 0; s < STATE_COUNT; s++)
		assert_int_equal(state_harvests((enum guest_state)s), harvests[s]);
}

static void a_reason_fits_its_buffer(void **state)
{
	struct evidence e = healthy();
	char reason[8];

	(void)state;
	e.source = "a very long explanation of why accesses cannot be seen";
	assert_int_equal(lifecycle_judge(&e, reason, sizeof(reason)), STATE_DEGRADED);
	assert_string_equal(reason, "a very ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_healthy_guest_is_active),
		cmocka_unit_test(a_guest_met_just_now_is_settling),
		cmocka_unit_test(a_host_of_one_tier_blocks),
		cmocka_unit_test(a_cpuset_without_dram_blocks),
		cmocka_unit_test(full_nodes_block_only_if_there_is_no_way_out),
		cmocka_unit_test(vfio_and_sev_pin),
		cmocka_unit_test(a_stopped_process_is_frozen),
		cmocka_unit_test(without_source_or_layout_a_guest_is_degraded),
		cmocka_unit_test(passes_that_fail_again_and_again_degrade),
		cmocka_unit_test(a_refused_policy_shows_in_an_active_guest),
		cmocka_unit_test(the_operator_and_mode_off_pause),
		cmocka_unit_test(what_forbids_most_outweighs_the_rest),
		cmocka_unit_test(passes_go_on_in_the_states_that_say_so),
		cmocka_unit_test(a_reason_fits_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
