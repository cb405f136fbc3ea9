// SPDX-License-Identifier: GPL-2.0-or-later
/* A VMM chooses its name; vmtier's name for it is its own all the same. */
#include <string.h>

#include "base/utf8.h"
#include "sim.h"

static void assert_all_different(const struct agent *agent)
{
	for (const struct guest *a = agent->guests; a; a = a->next) {
		assert_true(utf8_is_valid(a->report.name, strlen(a->report.name)));
		for (const struct guest *b = a->next; b; b = b->next)
			assert_string_not_equal(a->report.name, b->report.name);
	}
}

static void who_takes_the_name_made_for_another_gets_one_more(void **state)
{
	struct machine_guest *first, *third;
	char name[64];
	struct sim sim;

	(void)state;
	sim_open(&sim, 65536, 65536);
	first = machine_add_guest(sim.machine, "db1", 64, CXL, false);
	snprintf(name, sizeof(name), "db1#%d", machine_pid(first) + 2);
	machine_add_guest(sim.machine, name, 64, CXL, false);
	sim_start(&sim);
	third = machine_add_guest(sim.machine, "db1", 64, CXL, false);
	assert_int_equal(machine_pid(third), machine_pid(first) + 2);
	sim_period(&sim);
	assert_int_equal(sim.agent->nguests, 3);
	assert_all_different(sim.agent);
	sim_close(&sim);
}

static void a_long_name_is_not_cut_within_a_character(void **state)
{
	char name[GUEST_NAME_MAX];
	struct sim sim;

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		memset(name, 'x', shift);
		for (size_t i = shift; i + 3 < sizeof(name); i += 3)
			strcpy(name + i, "\xe2\x82\xac");
		sim_open(&sim, 65536, 65536);
		for (int i = 0; i < 3; i++)
			machine_add_guest(sim.machine, name, 64, CXL, false);
		sim_start(&sim);
		assert_int_equal(sim.agent->nguests, 3);
		assert_all_different(sim.agent);
		sim_close(&sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_takes_the_name_made_for_another_gets_one_more),
		cmocka_unit_test(a_long_name_is_not_cut_within_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
