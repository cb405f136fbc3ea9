// SPDX-License-Identifier: GPL-2.0-or-later
/* Without our KVM modules guests are shown and not moved; loading them is enough. */
#include <string.h>

#include "sim.h"

#define PAGES 8192

static void guests_are_shown_and_not_moved_until_the_modules_are_loaded(void **state)
{
	struct sim sim;
	struct machine_guest *g;
	struct hot_set hot;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	hot = hot_set_scatter(&sim.dice, PAGES, 20);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	machine_set_kvm(sim.machine, HOST_KVM_STOCK);
	sim_start(&sim);
	sim_run(&sim, g, &hot, 6);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_string_equal(report.source, "none");
	assert_non_null(strstr(report.reason, "access fd"));
	assert_int_equal(report.node_pages[CXL], PAGES);
	assert_true(sim_has_problem(&sim, "not patched"));
	assert_int_equal(machine_counts(sim.machine).moves, 0);

	machine_set_kvm(sim.machine, HOST_KVM_PATCHED);
	sim_run(&sim, g, &hot, 14);
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "active");
	assert_string_equal(report.source, "kvm");
	assert_false(sim_has_problem(&sim, "not patched"));
	assert_int_equal(hot_set_on(&hot, g, DRAM), hot.n);
	assert_int_equal(machine_counts(sim.machine).open_vms, 1);
	hot_set_free(&hot);
	sim_close(&sim);
}

static void a_guest_of_mode_off_is_not_looked_at_without_an_access_fd_either(void **state)
{
	struct sim sim;

	(void)state;
	sim_open(&sim, 65536, 65536);
	sim_policy(&sim, "db1", "off", 0);
	machine_set_kvm(sim.machine, HOST_KVM_STOCK);
	machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	sim_start(&sim);
	for (int pass = 0; pass < 5; pass++)
		sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_PAUSED);
	assert_int_equal(machine_counts(sim.machine).totals, 0);
	sim_policy(&sim, "db1", "observe", 0);
	agent_read_policy(sim.agent, sim_guest(&sim, "db1"));
	agent_judge(sim.agent, sim_guest(&sim, "db1"));
	for (int pass = 0; pass < 5; pass++)
		sim_period(&sim);
	assert_int_equal(sim_guest(&sim, "db1")->state, STATE_DEGRADED);
	assert_int_equal(machine_counts(sim.machine).totals, 1);
	sim_close(&sim);
}

static void one_guest_without_an_access_fd_is_no_matter_for_the_others(void **state)
{
	struct sim sim;
	struct machine_guest *g, *other;
	struct report_guest report;

	(void)state;
	sim_open(&sim, 65536, 65536);
	g = machine_add_guest(sim.machine, "db1", PAGES, CXL, false);
	other = machine_add_guest(sim.machine, "db2", PAGES, CXL, false);
	machine_refuse_access(g, "another program reads its accesses (EBUSY)");
	sim_start(&sim);
	for (int pass = 0; pass < 5; pass++) {
		machine_touch(other, 7, false);
		sim_period(&sim);
	}
	assert_true(sim_report(&sim, "db1", &report));
	assert_string_equal(report.state, "degraded");
	assert_string_equal(report.reason, "another program reads its accesses (EBUSY)");
	assert_int_equal(machine_node_of(other, 7), DRAM);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_of_mode_off_is_not_looked_at_without_an_access_fd_either),
		cmocka_unit_test(guests_are_shown_and_not_moved_until_the_modules_are_loaded),
		cmocka_unit_test(one_guest_without_an_access_fd_is_no_matter_for_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
