// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's judgement of made-up machines: small trees of /proc, /sys and /etc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/doctor.h"

/**
 * struct patient - a machine under a directory of its own
 * @kvm, @nodes, @nnodes: what its kernel says
 */
struct patient {
	struct host host;
	struct doctor doctor;
	struct options options;
	char root[64];
	enum host_kvm kvm;
	struct host_node nodes[HOST_MAX_NODES];
	size_t nnodes;
};

static enum host_kvm patient_kvm(struct host *host, struct error *ret_why)
{
	enum host_kvm kvm = ((struct patient *)host)->kvm;

	if (kvm != HOST_KVM_PATCHED)
		error_set(ret_why, -95, "no access fds");
	return kvm;
}

static int patient_nodes(struct host *host, struct host_node nodes[HOST_MAX_NODES], size_t *ret_n,
			 size_t *ret_left_out, struct error *err)
{
	struct patient *patient = (struct patient *)host;

	(void)err;
	memcpy(nodes, patient->nodes, sizeof(patient->nodes));
	*ret_n = patient->nnodes;
	*ret_left_out = 0;
	return 0;
}

static const struct host_ops patient_ops = {.kvm = patient_kvm, .nodes = patient_nodes};

static void put(struct patient *patient, const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", patient->root, path);
	for (char *c = full + strlen(patient->root) + 1; *c; c++)
		if (*c == '/') {
			*c = '\0';
			mkdir(full, 0755);
			*c = '/';
		}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Two tiers, patched KVM, nothing in the way. */
static int healthy(void **state)
{
	struct patient *p = calloc(1, sizeof(*p));

	strcpy(p->root, "/tmp/vmtier-test-XXXXXX");
	if (!mkdtemp(p->root))
		return -1;
	p->host.ops = &patient_ops;
	p->kvm = HOST_KVM_PATCHED;
	p->nnodes = 2;
	p->nodes[0] = (struct host_node) {.id = 0, .tier = HOST_TIER_DRAM, .has_cpu = true};
	p->nodes[1] = (struct host_node) {.id = 1, .tier = HOST_TIER_CXL};
	p->options.socket = "/no/such/socket";
	p->doctor.root = p->root;
	p->doctor.options = &p->options;
	p->doctor.host = &p->host;
	put(p, "/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
	put(p, "/dev/kvm", "");
	put(p, "/proc/sys/kernel/numa_balancing", "0\n");
	*state = p;
	return 0;
}

static int removed(void **state)
{
	struct patient *p = *state;
	char command[128];
	int r;

	snprintf(command, sizeof(command), "rm -rf -- '%s'", p->root);
	r = system(command);
	free(p);
	return r;
}

static const struct finding *finding(const struct patient *p, const char *topic)
{
	const struct finding *found = NULL;

	for (size_t i = 0; i < p->doctor.nfindings; i++)
		if (!strcmp(p->doctor.findings[i].topic, topic))
			found = &p->doctor.findings[i];
	if (!found)
		fail_msg("no finding about %s", topic);
	return found;
}

static size_t count(const struct patient *p, enum verdict verdict)
{
	size_t n = 0;

	for (size_t i = 0; i < p->doctor.nfindings; i++)
		n += p->doctor.findings[i].verdict == verdict;
	return n;
}

static void examine(struct patient *p)
{
	p->doctor.nfindings = 0;
	doctor_check_host(&p->doctor);
	doctor_check_kernel(&p->doctor);
}

static void assert_verdict(struct patient *p, const char *topic, enum verdict verdict,
			   const char *part)
{
	const struct finding *f;

	examine(p);
	f = finding(p, topic);
	assert_string_equal(verdict_name(f->verdict), verdict_name(verdict));
	if (!strstr(f->text, part))
		fail_msg("'%s' says nothing of '%s'", f->text, part);
	/* Whoever is told of a trouble is told what to do. */
	assert_true(verdict == VERDICT_OK || f->next[0]);
}

static void a_healthy_host_has_nothing_to_look_at(void **state)
{
	struct patient *p = *state;

	examine(p);
	assert_int_equal(count(p, VERDICT_FAIL), 0);
	assert_int_equal(count(p, VERDICT_WARN), 0);
	assert_true(count(p, VERDICT_OK) >= 10);
}

static void missing_capabilities_fail_by_name(void **state)
{
	put(*state, "/proc/self/status", "CapEff:\t0000000000000000\n");
	assert_verdict(*state, "rights", VERDICT_FAIL, "CAP_SYS_PTRACE, CAP_SYS_ADMIN");
	put(*state, "/proc/self/status", "CapEff:\t000001ffffdfffff\n");
	assert_verdict(*state, "rights", VERDICT_FAIL, "lacks CAP_SYS_ADMIN:");
}

static void a_host_without_kvm_fails(void **state)
{
	struct patient *p = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/dev/kvm", p->root);
	remove(path);
	assert_verdict(p, "/dev/kvm", VERDICT_FAIL, "no /dev/kvm");
}

static void a_kvm_that_cannot_be_opened_fails(void **state)
{
	((struct patient *)*state)->kvm = HOST_KVM_NONE;
	assert_verdict(*state, "/dev/kvm", VERDICT_FAIL, "no access fds");
}

static void a_stock_kvm_fails(void **state)
{
	((struct patient *)*state)->kvm = HOST_KVM_STOCK;
	assert_verdict(*state, "KVM modules", VERDICT_FAIL, "cannot be seen");
}

static void an_mmu_without_accessed_bits_fails(void **state)
{
	put(*state, "/sys/module/kvm/parameters/tdp_mmu", "N\n");
	assert_verdict(*state, "KVM's MMU", VERDICT_FAIL, "TDP MMU is off");
	put(*state, "/sys/module/kvm/parameters/tdp_mmu", "Y\n");
	put(*state, "/sys/module/kvm_intel/parameters/eptad", "N\n");
	assert_verdict(*state, "KVM's MMU", VERDICT_FAIL, "eptad");
	put(*state, "/sys/module/kvm_intel/parameters/eptad", "Y\n");
	put(*state, "/sys/module/kvm_amd/parameters/npt", "0\n");
	assert_verdict(*state, "KVM's MMU", VERDICT_FAIL, "NPT is off");
}

static void one_node_alone_has_no_tiers(void **state)
{
	((struct patient *)*state)->nnodes = 1;
	assert_verdict(*state, "memory tiers", VERDICT_FAIL, "Only one NUMA node");
}

static void nodes_of_one_tier_are_not_enough(void **state)
{
	((struct patient *)*state)->nodes[1].tier = HOST_TIER_DRAM;
	assert_verdict(*state, "memory tiers", VERDICT_FAIL, "All 2 nodes are DRAM");
}

static void other_movers_are_warned_of(void **state)
{
	put(*state, "/proc/sys/kernel/numa_balancing", "1\n");
	assert_verdict(*state, "NUMA balancing", VERDICT_WARN, "kernel.numa_balancing is 1");
	put(*state, "/sys/kernel/mm/numa/demotion_enabled", "true\n");
	assert_verdict(*state, "demotion", VERDICT_WARN, "demotes");
	put(*state, "/proc/123/comm", "numad\n");
	assert_verdict(*state, "numad", VERDICT_WARN, "pid 123");
	put(*state, "/sys/kernel/mm/ksm/run", "1\n");
	assert_verdict(*state, "KSM", VERDICT_WARN, "across nodes");
	put(*state, "/sys/kernel/mm/ksm/merge_across_nodes", "0\n");
	assert_verdict(*state, "KSM", VERDICT_OK, "within nodes");
}

static void yama_may_forbid_everything(void **state)
{
	put(*state, "/proc/sys/kernel/yama/ptrace_scope", "2\n");
	assert_verdict(*state, "ptrace", VERDICT_OK, "(2)");
	put(*state, "/proc/sys/kernel/yama/ptrace_scope", "3\n");
	assert_verdict(*state, "ptrace", VERDICT_FAIL, "not even root");
}

static void lockdown_is_warned_of(void **state)
{
	put(*state, "/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	assert_verdict(*state, "lockdown", VERDICT_WARN, "(integrity)");
	put(*state, "/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	assert_verdict(*state, "lockdown", VERDICT_OK, "not locked");
}

static void files_that_make_no_sense_do_no_harm(void **state)
{
	put(*state, "/proc/sys/kernel/yama/ptrace_scope", "");
	put(*state, "/proc/sys/kernel/numa_balancing", "\xff\xfe");
	put(*state, "/sys/kernel/security/lockdown", "[");
	put(*state, "/sys/kernel/mm/transparent_hugepage/enabled", "always ][ never");
	put(*state, "/sys/module/kvm/parameters/tdp_mmu", "");
	examine(*state);
	assert_int_equal(count(*state, VERDICT_FAIL), 0);
}

static void service_checked(struct patient *p)
{
	p->doctor.nfindings = 0;
	doctor_check_service(&p->doctor);
}

static void a_daemon_that_does_not_run_is_no_failure_of_the_host(void **state)
{
	service_checked(*state);
	assert_int_equal(finding(*state, "vmtierd")->verdict, VERDICT_WARN);
	assert_int_equal(count(*state, VERDICT_FAIL), 0);
}

static void a_hook_has_to_be_there_and_executable(void **state)
{
	struct patient *p = *state;
	char path[256];

	service_checked(p);
	assert_int_equal(finding(p, "libvirt's hook")->verdict, VERDICT_OK);
	put(p, "/etc/libvirt/libvirtd.conf", "");
	service_checked(p);
	assert_int_equal(finding(p, "libvirt's hook")->verdict, VERDICT_WARN);
	put(p, "/etc/libvirt/hooks/qemu.d/50-vmtier", "#!/bin/sh\n");
	service_checked(p);
	assert_non_null(strstr(finding(p, "libvirt's hook")->text, "not an executable file"));
	snprintf(path, sizeof(path), "%s/etc/libvirt/hooks/qemu.d/50-vmtier", p->root);
	chmod(path, 0755);
	service_checked(p);
	assert_int_equal(finding(p, "libvirt's hook")->verdict, VERDICT_OK);
}

static void each_policy_is_read(void **state)
{
	struct patient *p = *state;
	char name[64];

	put(p, "/etc/vmtier/policy.d/db1.xml", "<policy xmlns='urn:vmtier:policy:1'/>");
	service_checked(p);
	assert_int_equal(finding(p, "policies")->verdict, VERDICT_OK);
	put(p, "/etc/vmtier/policy.d/db2.xml", "<policy>\n");
	service_checked(p);
	assert_int_equal(finding(p, "policies")->verdict, VERDICT_FAIL);
	assert_non_null(strstr(finding(p, "policies")->text, "db2.xml"));
	put(p, "/etc/vmtier/policy.d/db2.xml", "<policy xmlns='urn:vmtier:policy:1'/>");
	put(p, "/etc/vmtier/policy.d/README", "");
	service_checked(p);
	assert_int_equal(count(p, VERDICT_FAIL), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/etc/vmtier/policy.d/bad%d.xml", i);
		put(p, name, "");
	}
	service_checked(p);
	assert_non_null(strstr(finding(p, "policies")->text, "92 more policies are broken"));
}

#define PATIENT_TEST(test) cmocka_unit_test_setup_teardown(test, healthy, removed)

static void no_number_of_findings_hides_a_failure(void **state)
{
	static struct doctor doctor;
	const struct finding *last = &doctor.findings[FINDINGS_MAX - 1];

	(void)state;
	for (int i = 0; i < 2 * FINDINGS_MAX; i++)
		doctor_add(&doctor, VERDICT_OK, "policy", NULL, "file %d is fine", i);
	assert_int_equal(doctor.nfindings, FINDINGS_MAX);
	assert_int_equal(last->verdict, VERDICT_OK);
	doctor_add(&doctor, VERDICT_FAIL, "policy", NULL, "this one is not");
	doctor_add(&doctor, VERDICT_WARN, "policy", NULL, "nor is this");
	assert_int_equal(doctor.nfindings, FINDINGS_MAX);
	assert_int_equal(last->verdict, VERDICT_FAIL);
	assert_true(last->text[0] && last->next[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_number_of_findings_hides_a_failure),
		PATIENT_TEST(a_healthy_host_has_nothing_to_look_at),
		PATIENT_TEST(missing_capabilities_fail_by_name),
		PATIENT_TEST(a_host_without_kvm_fails),
		PATIENT_TEST(a_kvm_that_cannot_be_opened_fails),
		PATIENT_TEST(a_stock_kvm_fails),
		PATIENT_TEST(an_mmu_without_accessed_bits_fails),
		PATIENT_TEST(one_node_alone_has_no_tiers),
		PATIENT_TEST(nodes_of_one_tier_are_not_enough),
		PATIENT_TEST(other_movers_are_warned_of),
		PATIENT_TEST(yama_may_forbid_everything),
		PATIENT_TEST(lockdown_is_warned_of),
		PATIENT_TEST(files_that_make_no_sense_do_no_harm),
		PATIENT_TEST(a_daemon_that_does_not_run_is_no_failure_of_the_host),
		PATIENT_TEST(a_hook_has_to_be_there_and_executable),
		PATIENT_TEST(each_policy_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
