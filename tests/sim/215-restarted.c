// SPDX-License-Identifier: GPL-2.0-or-later
/* An agent ends, in whatever way, and the next one knows what it must know. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"

#define PAGES 8192

/* A guest on CXL with a hot set, and an agent that keeps its files among the policies. */
struct scene {
	struct sim sim;
	struct machine_guest *guest;
	struct hot_set hot;
	char file[128];
};

static void open_scene(struct scene *s, const char *policy)
{
	sim_open(&s->sim, 65536, 65536);
	s->sim.sockets = true;
	strcpy(s->sim.config.state_dir, s->sim.directory);
	s->hot = hot_set_scatter(&s->sim.dice, PAGES, 20);
	s->guest = machine_add_guest(s->sim.machine, "db1", PAGES, CXL, false);
	snprintf(s->file, sizeof(s->file), "%s/%d-%d", s->sim.directory, machine_pid(s->guest),
		 machine_pid(s->guest) * 7);
	if (policy)
		sim_policy(&s->sim, "db1", policy, 0);
	sim_start(&s->sim);
}

static void close_scene(struct scene *s)
{
	hot_set_free(&s->hot);
	sim_close(&s->sim);
}

static void restart(struct scene *s)
{
	sim_stop(&s->sim);
	sim_start(&s->sim);
}

static void periods(struct scene *s, int n)
{
	sim_run(&s->sim, s->guest, &s->hot, n);
}

static void say(struct scene *s, const char *verb)
{
	char request[128], answer[4096];

	snprintf(request, sizeof(request),
		 "{\"method\":\"%s\",\"parameters\":{\"domain\":\"db1\"}}\n", verb);
	sim_ask(&s->sim, s->sim.config.socket, request, answer, sizeof(answer));
	assert_string_equal(answer, "{\"parameters\":{}}\n");
}

/* What libvirt's hook brings: a domain with this in its metadata. */
static void tell(struct scene *s, const char *metadata)
{
	char request[1024], answer[4096];

	snprintf(request, sizeof(request),
		 "{\"method\":\"notify\",\"parameters\":{\"domain\":\"db1\",\"operation\":"
		 "\"started\",\"xml\":\"<domain><metadata>%s</metadata></domain>\"}}\n",
		 metadata);
	sim_ask(&s->sim, s->sim.config.hook_socket, request, answer, sizeof(answer));
	assert_string_equal(answer, "{\"parameters\":{}}\n");
}

static void notify(struct scene *s, const char *metadata)
{
	tell(s, metadata);
	sim_turns(&s->sim);
}

#define POLICY(content) "<policy xmlns='urn:vmtier:policy:1'>" content "</policy>"

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, 0600), 0);
}

/* As SIGHUP does. */
static void reload(struct scene *s)
{
	agent_read_policy(s->sim.agent, sim_guest(&s->sim, "db1"));
	agent_judge(s->sim.agent, sim_guest(&s->sim, "db1"));
}

static struct guest *db1(struct scene *s)
{
	return sim_guest(&s->sim, "db1");
}

/* It lies on CXL with its hot set, and whatever is done it stays there. */
static void nothing_moves(struct scene *s)
{
	periods(s, 8);
	assert_int_equal(machine_counts(s->sim.machine).moves, 0);
}

static void its_hot_set_moves(struct scene *s)
{
	periods(s, 8);
	assert_int_equal(hot_set_on(&s->hot, s->guest, DRAM), s->hot.n);
}

static void a_paused_guest_is_still_paused_and_not_even_looked_at(void **state)
{
	struct scene s;
	uint64_t harvests;

	(void)state;
	open_scene(&s, NULL);
	say(&s, "pause");
	harvests = machine_counts(s.sim.machine).harvests;
	restart(&s);
	assert_int_equal(db1(&s)->state, STATE_PAUSED);
	nothing_moves(&s);
	assert_int_equal(machine_counts(s.sim.machine).harvests, harvests);
	restart(&s);
	say(&s, "resume");
	assert_int_equal(access(s.file, F_OK), -1);
	restart(&s);
	its_hot_set_moves(&s);
	close_scene(&s);
}

static void the_policy_of_the_metadata_is_back_before_anything_moves(void **state)
{
	struct scene s;
	struct policy before;

	(void)state;
	open_scene(&s, "tier");
	notify(&s, POLICY("<mode>promote</mode><dram><max unit='KiB'>400</max></dram>"
			  "<target nodes='0,5'/>"));
	before = db1(&s)->policy;
	assert_int_equal(before.mode, MODE_PROMOTE);
	restart(&s);
	assert_int_equal(db1(&s)->policy.origin, POLICY_METADATA);
	assert_int_equal(db1(&s)->policy.mode, MODE_PROMOTE);
	assert_true(db1(&s)->policy.dram_limited);
	assert_true(db1(&s)->policy.dram_max_bytes == 400 << 10);
	assert_true(db1(&s)->policy.target_nodes == 0x21);
	periods(&s, 8);
	assert_int_equal(machine_pages_on(s.guest, DRAM), 100);

	notify(&s, POLICY("<mode>observe</mode>"));
	restart(&s);
	periods(&s, 8);
	assert_int_equal(machine_pages_on(s.guest, DRAM), 100);
	close_scene(&s);
}

static void a_domain_without_a_policy_any_more_has_none_after_the_restart(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, "tier");
	notify(&s, POLICY("<mode>off</mode>"));
	assert_int_equal(access(s.file, F_OK), 0);
	notify(&s, "");
	assert_int_equal(access(s.file, F_OK), -1);
	restart(&s);
	assert_int_equal(db1(&s)->policy.origin, POLICY_FILE);
	its_hot_set_moves(&s);
	close_scene(&s);
}

static void a_refused_policy_is_not_forgotten_into_the_default(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, NULL);
	notify(&s, POLICY("<mode>slow</mode>"));
	assert_int_equal(db1(&s)->policy.mode, MODE_OBSERVE);
	reload(&s);
	assert_int_equal(db1(&s)->policy.mode, MODE_OBSERVE);
	restart(&s);
	nothing_moves(&s);
	assert_non_null(strstr(db1(&s)->report.reason, "metadata"));
	notify(&s, POLICY("<mode>tier</mode>"));
	assert_string_equal(db1(&s)->policy_error, "");
	its_hot_set_moves(&s);
	close_scene(&s);
}

static void what_cannot_be_understood_is_only_observed_until_it_is_removed(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, "tier");
	say(&s, "pause");
	sim_stop(&s.sim);
	put(s.file, "{\"version\": 2, \"paused\": false}");
	sim_start(&s.sim);
	nothing_moves(&s);
	assert_int_equal(db1(&s)->state, STATE_ACTIVE);
	assert_int_equal(db1(&s)->policy.mode, MODE_OBSERVE);
	assert_non_null(strstr(db1(&s)->report.reason, s.file));
	assert_int_equal(s.sim.agent->policy_errors, 1);
	assert_non_null(strstr(s.sim.agent->last_policy_error, s.file));
	/* Neither SIGHUP nor the operator's word makes it better, or loses it. */
	reload(&s);
	say(&s, "pause");
	say(&s, "resume");
	restart(&s);
	nothing_moves(&s);

	assert_int_equal(unlink(s.file), 0);
	reload(&s);
	assert_string_equal(db1(&s)->policy_error, "");
	its_hot_set_moves(&s);
	close_scene(&s);
}

static void the_hook_replaces_what_cannot_be_understood(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, NULL);
	sim_stop(&s.sim);
	put(s.file, "garbage");
	sim_start(&s.sim);
	notify(&s, POLICY("<mode>slow</mode>"));
	nothing_moves(&s);
	notify(&s, POLICY("<mode>promote</mode>"));
	restart(&s);
	assert_int_equal(db1(&s)->policy.mode, MODE_PROMOTE);
	assert_string_equal(db1(&s)->policy_error, "");
	its_hot_set_moves(&s);
	close_scene(&s);
}

static void what_cannot_be_understood_does_not_turn_off_into_observe(void **state)
{
	struct scene s;
	uint64_t harvests;

	(void)state;
	open_scene(&s, "off");
	sim_stop(&s.sim);
	put(s.file, "");
	harvests = machine_counts(s.sim.machine).harvests;
	sim_start(&s.sim);
	nothing_moves(&s);
	assert_int_equal(db1(&s)->policy.mode, MODE_OFF);
	assert_int_equal(machine_counts(s.sim.machine).harvests, harvests);
	close_scene(&s);
}

/* Whoever was first of that name need not be libvirt's. */
static void metadata_is_for_all_processes_of_that_name(void **state)
{
	struct scene s;
	char second[64];

	(void)state;
	open_scene(&s, NULL);
	snprintf(second, sizeof(second), "db1#%d",
		 machine_pid(machine_add_guest(s.sim.machine, "db1", PAGES, CXL, false)));
	periods(&s, 1);
	notify(&s, POLICY("<mode>observe</mode>"));
	assert_int_equal(db1(&s)->policy.mode, MODE_OBSERVE);
	assert_int_equal(sim_guest(&s.sim, second)->policy.mode, MODE_OBSERVE);
	close_scene(&s);
}

/* A guest that comes between two words of libvirt's: the last one holds. */
static void the_newest_metadata_has_the_last_word(void **state)
{
	struct machine_guest *late;
	struct scene s;
	uint64_t finds;
	char name[64];

	(void)state;
	open_scene(&s, NULL);
	machine_stall_find(s.sim.machine, true);
	machine_advance(s.sim.machine, s.sim.config.scan_ms * NSEC_PER_MSEC);
	assert_int_equal(agent_turn(s.sim.agent, 0), 0);
	assert_non_null(s.sim.agent->scan);
	tell(&s, POLICY("<mode>tier</mode>")); /* waits: the scan under way began before it */
	late = machine_add_guest(s.sim.machine, "db1", PAGES, CXL, false);
	snprintf(name, sizeof(name), "db1#%d", machine_pid(late));
	finds = machine_counts(s.sim.machine).finds;
	machine_stall_find(s.sim.machine, false);
	while (machine_counts(s.sim.machine).finds == finds)
		usleep(100);
	machine_stall_find(s.sim.machine, true); /* the next one, which is for that word */
	while (!agent_find(s.sim.agent, name))
		assert_int_equal(agent_turn(s.sim.agent, 5), 0);
	assert_non_null(s.sim.agent->scan);
	tell(&s, POLICY("<mode>observe</mode>"));
	machine_stall_find(s.sim.machine, false);
	sim_turns(&s.sim);
	assert_int_equal(sim_guest(&s.sim, name)->policy.mode, MODE_OBSERVE);
	assert_int_equal(db1(&s)->policy.mode, MODE_OBSERVE);
	close_scene(&s);
}

static void what_is_kept_goes_with_the_guest(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, NULL);
	say(&s, "pause");
	assert_int_equal(access(s.file, F_OK), 0);
	machine_kill(s.guest);
	sim_period(&s.sim);
	assert_int_equal(access(s.file, F_OK), -1);
	close_scene(&s);
}

static void what_is_kept_of_a_guest_that_ended_meanwhile_is_removed(void **state)
{
	struct scene s;
	char other[128];

	(void)state;
	open_scene(&s, "tier");
	snprintf(other, sizeof(other), "%s/db1.xml", s.sim.directory);
	say(&s, "pause");
	sim_stop(&s.sim);
	machine_kill(s.guest);
	sim_start(&s.sim);
	assert_int_equal(access(s.file, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0);
	close_scene(&s);
}

static void without_a_directory_a_pause_holds_as_long_as_the_agent(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s, NULL);
	sim_stop(&s.sim);
	strcpy(s.sim.config.state_dir, "/proc/vmtier/guests");
	sim_start(&s.sim);
	assert_true(sim_has_problem(&s.sim, "/proc/vmtier/guests"));
	say(&s, "pause");
	nothing_moves(&s);
	assert_true(sim_has_problem(&s.sim, "/proc/vmtier/guests"));
	say(&s, "resume");
	its_hot_set_moves(&s);
	/* Once there is one, all is well. */
	strcpy(s.sim.agent->config.state_dir, s.sim.directory);
	say(&s, "pause");
	assert_false(sim_has_problem(&s.sim, "/proc/vmtier/guests"));
	close_scene(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_paused_guest_is_still_paused_and_not_even_looked_at),
		cmocka_unit_test(the_policy_of_the_metadata_is_back_before_anything_moves),
		cmocka_unit_test(a_domain_without_a_policy_any_more_has_none_after_the_restart),
		cmocka_unit_test(a_refused_policy_is_not_forgotten_into_the_default),
		cmocka_unit_test(what_cannot_be_understood_is_only_observed_until_it_is_removed),
		cmocka_unit_test(the_hook_replaces_what_cannot_be_understood),
		cmocka_unit_test(what_cannot_be_understood_does_not_turn_off_into_observe),
		cmocka_unit_test(metadata_is_for_all_processes_of_that_name),
		cmocka_unit_test(the_newest_metadata_has_the_last_word),
		cmocka_unit_test(what_is_kept_goes_with_the_guest),
		cmocka_unit_test(what_is_kept_of_a_guest_that_ended_meanwhile_is_removed),
		cmocka_unit_test(without_a_directory_a_pause_holds_as_long_as_the_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
