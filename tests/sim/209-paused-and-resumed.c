// SPDX-License-Identifier: GPL-2.0-or-later
/* The operator's word, through the real socket, and a process that stands still. */
#include <string.h>

#include "sim.h"

#define PAGES 8192

static void a_paused_guest_is_neither_looked_at_nor_moved(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	char answer[4096];
	uint64_t harvests;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim.sockets = true;
	sim_start(&sim);
	sim_turns(&sim);
	sim_ask(&sim, sim.config.socket,
		"{\"method\":\"pause\",\"parameters\":{\"domain\":\"db1\"}}\n", answer,
		sizeof(answer));
	assert_string_equal(answer, "{\"parameters\":{}}\n");
	harvests = machine_counts(sim.machine).harvests;
	sim_run(&sim, g, &hot, 8);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_PAUSED);
	assert_int_equal(machine_counts(sim.machine).harvests, harvests);
	assert_int_equal(machine_counts(sim.machine).moves, 0);

	sim_ask(&sim, sim.config.socket, "{\"method\":\"resume\",\"parameters\":{\"all\":true}}\n",
		answer, sizeof(answer));
	assert_string_equal(answer, "{\"parameters\":{}}\n");
	sim_run(&sim, g, &hot, 4);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	sim_ask(&sim, sim.config.socket,
		"{\"method\":\"pause\",\"parameters\":{\"domain\":\"db9\"}}\n", answer,
		sizeof(answer));
	assert_non_null(strstr(answer, "no-such-domain"));
	assert_non_null(strstr(answer, "db9"));
	hot_set_free(&hot);
	sim_close(&sim);
}

static void say(struct sim *sim, const char *verb)
{
	char request[128], answer[4096];

	snprintf(request, sizeof(request),
		 "{\"method\":\"%s\",\"parameters\":{\"domain\":\"db1\"}}\n", verb);
	sim_ask(sim, sim->config.socket, request, answer, sizeof(answer));
	assert_string_equal(answer, "{\"parameters\":{}}\n");
}

static void what_was_hot_before_a_long_pause_is_not_hot_for_that(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set before, after;

	(void)state;
	sim_open(&sim, 65536, 65536);
	before = hot_set_scatter(&sim.dice, PAGES, 20);
	after = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim.sockets = true;
	sim.config.settle_passes = 5;
	sim_start(&sim);
	sim_turns(&sim);
	sim_run(&sim, g, &before, 3);
	say(&sim, "pause");
	machine_advance(sim.machine, 3600 * NSEC_PER_SEC);
	say(&sim, "resume");
	sim_run(&sim, g, &after, 6);
	assert_int_equal(hot_set_on(&after, g, DRAM), after.n);
	assert_int_equal(machine_pages_on(g, DRAM), after.n);
	hot_set_free(&before);
	hot_set_free(&after);
	sim_close(&sim);
}

static void pausing_drops_what_is_on_its_way(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	char answer[4096];
	uint64_t moved;

	(void)state;
	sim_open(&sim, 65536, 65536);
	sim.config.rate_mib_per_s = 1;
	sim.config.period_ms = 10000; /* a plan is 2560 pages then */
	hot = hot_set_scatter(&sim.dice, PAGES, 80);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim.sockets = true;
	sim_start(&sim);
	sim_run(&sim, g, &hot, 1);
	hot_set_touch(&hot, g, &sim.dice, 0);
	/* 512 pages go at once, the others one by one: ten seconds of real time, if nobody ended it. */
	machine_slow_down(sim.machine, 5000);
	machine_advance(sim.machine, 10 * NSEC_PER_SEC);
	for (int turn = 0; turn < 1000 && !sim_guest(&sim, "db1")->batches; turn++)
		agent_turn(sim.agent, 1);
	sim_ask(&sim, sim.config.socket,
		"{\"method\":\"pause\",\"parameters\":{\"domain\":\"db1\"}}\n", answer,
		sizeof(answer));
	sim_turns(&sim);
	machine_slow_down(sim.machine, 0);
	moved = machine_counts(sim.machine).moved_pages;
	assert_true(sim_failed(&sim, "db1", CAUSE_STALE) > 0);
	sim_run(&sim, g, &hot, 3);
	assert_int_equal(machine_counts(sim.machine).moved_pages, moved);
	assert_int_equal(moved + sim_failed(&sim, "db1", CAUSE_STALE), 2560);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_stopped_process_is_frozen_until_it_runs_again(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	uint64_t harvests;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	machine_set_facts(g, false, false, true);
	sim_run(&sim, g, &hot, 2);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_FROZEN);
	harvests = machine_counts(sim.machine).harvests;
	sim_run(&sim, g, &hot, 5);
	assert_int_equal(machine_counts(sim.machine).harvests, harvests);
	assert_int_equal(machine_counts(sim.machine).moves, 0);
	machine_set_facts(g, false, false, false);
	sim_run(&sim, g, &hot, 6);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_ACTIVE);
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	hot_set_free(&hot);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_hot_before_a_long_pause_is_not_hot_for_that),
		cmocka_unit_test(a_paused_guest_is_neither_looked_at_nor_moved),
		cmocka_unit_test(pausing_drops_what_is_on_its_way),
		cmocka_unit_test(a_stopped_process_is_frozen_until_it_runs_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
