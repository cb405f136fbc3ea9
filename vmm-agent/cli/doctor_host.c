// SPDX-License-Identifier: GPL-2.0-or-later
/* What vmtier cannot do without: rights, a KVM that tells, two tiers of memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "cli/doctor.h"

/* Capabilities that vmtierd needs, and what for. */
static const struct {
	unsigned int bit;
	const char *name;
} capabilities[] = {
	{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
	{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	{CAP_PERFMON, "CAP_PERFMON"},
	{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
};

/* The mask of CapEff in /proc/self/status. */
static int effective(const struct doctor *doctor, uint64_t *ret_mask)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[PATH_MAX], line[256];

	snprintf(path, sizeof(path), "%s/proc/self/status", doctor->root);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %" SCNx64, ret_mask) == 1)
			return 0;
	return -ENODATA;
}

static void check_rights(struct doctor *doctor)
{
	char missing[128] = "";
	uint64_t mask = 0;

	if (effective(doctor, &mask) < 0) {
		doctor_add(doctor, VERDICT_WARN, "rights", "mount /proc",
			   "/proc/self/status cannot be read, so capabilities are not known.");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (!(mask >> capabilities[i].bit & 1)) {
			size_t len = strlen(missing);

			snprintf(missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "",
				 capabilities[i].name);
		}
	if (missing[0])
		doctor_add(doctor, VERDICT_FAIL, "rights",
			   "run doctor as root; start vmtierd by its unit",
			   "This user lacks %s: it can neither look into guests nor move their "
			   "pages.",
			   missing);
	else
		doctor_add(doctor, VERDICT_OK, "rights", NULL,
			   "All capabilities that vmtierd needs are there.");
}

/* Whether a module parameter is there and off. */
static bool parameter_is_off(const struct doctor *doctor, const char *path)
{
	char value[16];

	return doctor_read(doctor, path, value, sizeof(value)) == 0 &&
	       (value[0] == 'N' || value[0] == '0');
}

static void check_mmu(struct doctor *doctor)
{
	static const struct {
		const char *path;
		const char *text;
		const char *next;
	} needed[] = {
		{"/sys/module/kvm/parameters/tdp_mmu",
		 "KVM's TDP MMU is off: accesses can be read from it alone.",
		 "reload kvm with tdp_mmu=Y"},
		{"/sys/module/kvm_intel/parameters/ept", "EPT is off: guests run on shadow pages.",
		 "reload kvm_intel with ept=1"},
		{"/sys/module/kvm_intel/parameters/eptad",
		 "EPT has no accessed bits here (eptad is N): accesses cannot be seen.",
		 "reload kvm_intel with eptad=1; CPUs before Haswell have none"},
		{"/sys/module/kvm_amd/parameters/npt", "NPT is off: guests run on shadow pages.",
		 "reload kvm_amd with npt=1"},
	};
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (parameter_is_off(doctor, needed[i].path)) {
			doctor_add(doctor, VERDICT_FAIL, "KVM's MMU", needed[i].next, "%s",
				   needed[i].text);
			good = false;
		}
	if (good)
		doctor_add(doctor, VERDICT_OK, "KVM's MMU", NULL,
			   "Second-level paging with accessed bits is not turned off.");
}

static void check_kvm(struct doctor *doctor)
{
	struct error why = {.code = 0};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/dev/kvm", doctor->root);
	if (access(path, F_OK) < 0) {
		doctor_add(doctor, VERDICT_FAIL, "/dev/kvm",
			   "turn on virtualisation in the firmware; modprobe kvm_intel or kvm_amd",
			   "There is no /dev/kvm: no guest can run under KVM.");
		return;
	}
	switch (doctor->host->ops->kvm(doctor->host, &why)) {
	case HOST_KVM_NONE:
		doctor_add(doctor, VERDICT_FAIL, "/dev/kvm", "run doctor as root",
			   "KVM is of no use here: %s.", error_text(&why, -EIO));
		return;
	case HOST_KVM_STOCK:
		doctor_add(doctor, VERDICT_FAIL, "KVM modules",
			   "stop all guests, load the modules of kvm-patches, start them again",
			   "Accesses of guests cannot be seen: %s.", error_text(&why, -EOPNOTSUPP));
		break;
	case HOST_KVM_PATCHED:
		doctor_add(doctor, VERDICT_OK, "KVM modules", NULL,
			   "KVM gives access fds (KVM_CAP_ACCESS_FD).");
		break;
	}
	check_mmu(doctor);
}

static void add_node(struct doctor *doctor, const struct host_node *node)
{
	char topic[32], size[32], free_now[32];

	snprintf(topic, sizeof(topic), "node %d", node->id);
	doctor_add(doctor, VERDICT_OK, topic, NULL, "%s, %s, %s free, %s CPUs.",
		   node->tier == HOST_TIER_CXL ? "CXL (slow tier)" : "DRAM",
		   units_format_bytes(node->total_bytes, size, sizeof(size)),
		   units_format_bytes(node->free_bytes, free_now, sizeof(free_now)),
		   node->has_cpu ? "with" : "without");
}

static void judge_tiers(struct doctor *doctor, const struct host_node *nodes, size_t n)
{
	size_t cxl = 0;

	for (size_t i = 0; i < n; i++)
		cxl += nodes[i].tier == HOST_TIER_CXL;
	if (n < 2)
		doctor_add(doctor, VERDICT_FAIL, "memory tiers",
			   "bring CXL memory online as a node: cxl list -M, daxctl online-memory",
			   "Only one NUMA node has memory: there is no second tier to move pages "
			   "from or to.");
	else if (!cxl)
		doctor_add(doctor, VERDICT_FAIL, "memory tiers",
			   "bring CXL memory online as a node: cxl list -M, daxctl online-memory",
			   "All %zu nodes are DRAM: none is without CPUs or in a slower memory "
			   "tier.",
			   n);
	else if (cxl == n)
		doctor_add(doctor, VERDICT_FAIL, "memory tiers", "look at numactl --hardware",
			   "No node counts as DRAM: hot pages have nowhere to go.");
	else
		doctor_add(doctor, VERDICT_OK, "memory tiers", NULL, "%zu DRAM and %zu CXL node%s.",
			   n - cxl, cxl, cxl == 1 ? "" : "s");
}

static void check_nodes(struct doctor *doctor)
{
	struct host_node nodes[HOST_MAX_NODES];
	struct error err = {.code = 0};
	size_t n = 0, left_out = 0;
	int r;

	r = doctor->host->ops->nodes(doctor->host, nodes, &n, &left_out, &err);
	if (r < 0) {
		doctor_add(doctor, VERDICT_FAIL, "memory tiers", "mount /sys",
			   "NUMA nodes cannot be read: %s.", error_text(&err, r));
		return;
	}
	for (size_t i = 0; i < n; i++)
		add_node(doctor, &nodes[i]);
	if (left_out)
		doctor_add(doctor, VERDICT_WARN, "memory tiers", NULL,
			   "%zu nodes beyond the first %d are left alone.", left_out,
			   HOST_MAX_NODES);
	judge_tiers(doctor, nodes, n);
}

void doctor_check_host(struct doctor *doctor)
{
	check_rights(doctor);
	check_kvm(doctor);
	check_nodes(doctor);
}
