// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A nested guest.  Offsets and bits are those of AMD's manual, volume 2, appendix B.
 */
#include "tiny-nested.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/units.h"

/* Pages of L1's own. */
enum { CODE, VMCB, HSAVE, PML4, PDPT, PD, PT };

/* One PD is enough. */
#define MAP_PAGES_MAX ((size_t)LARGE_PAGES * 512)

#define L2_CODE_GFN 1 /* of the tiny guest, see tiny.h */
#define L2_PML4_GFN 2

#define EFER_SVME	(1ULL << 12)
#define MSR_VM_HSAVE_PA 0xc0010117
#define CPUID_EXTENDED	0x80000001
#define CPUID_ECX_SVM	(1U << 2)
#define RFLAGS_FIXED	2
#define PAT_DEFAULT	0x0007040600070406ULL
#define ENTRY_FLAGS	0x67 /* present, writable, user as NPT wants it, A and D */
#define INTERCEPT_HLT	(1U << 24)
#define INTERCEPT_VMRUN (1U << 0)
#define EXIT_HLT	0x78
#define SEGMENT_CODE64	0xa9b
#define SEGMENT_DATA	0xc93
#define SEGMENT_TSS	0x8b

/* Of the VMCB. */
enum vmcb_offset {
	CTL_MISC1 = 0x00c,
	CTL_MISC2 = 0x010,
	CTL_ASID = 0x058,
	CTL_EXIT_CODE = 0x070,
	CTL_NESTED = 0x090,
	CTL_NESTED_CR3 = 0x0b0,
	SAVE_ES = 0x400,
	SAVE_CS = 0x410,
	SAVE_SS = 0x420,
	SAVE_DS = 0x430,
	SAVE_TR = 0x490,
	SAVE_EFER = 0x4d0,
	SAVE_CR4 = 0x548,
	SAVE_CR3 = 0x550,
	SAVE_CR0 = 0x558,
	SAVE_DR7 = 0x560,
	SAVE_DR6 = 0x568,
	SAVE_RFLAGS = 0x570,
	SAVE_RIP = 0x578,
	SAVE_RSP = 0x5d8,
	SAVE_RAX = 0x5f8,
	SAVE_PAT = 0x668,
};

/* rax: the VMCB.  All registers but rax and rsp go through to L2 and back. */
static const uint8_t l1_code[] = {
	0x0f, 0x01, 0xd8, /* vmrun */
	0xf4,		  /* hlt */
};

static uint64_t frame_at(const struct tiny_nested *n, uint64_t page)
{
	return (n->first + page) << PAGE_SHIFT_4K;
}

static void *page_at(const struct tiny_nested *n, uint64_t page)
{
	return n->base + (page << PAGE_SHIFT_4K);
}

static void put64(const struct tiny_nested *n, enum vmcb_offset at, uint64_t value)
{
	memcpy((uint8_t *)page_at(n, VMCB) + at, &value, sizeof(value));
}

static void put32(const struct tiny_nested *n, enum vmcb_offset at, uint32_t value)
{
	memcpy((uint8_t *)page_at(n, VMCB) + at, &value, sizeof(value));
}

static uint64_t get64(const struct tiny_nested *n, enum vmcb_offset at)
{
	uint64_t value;

	memcpy(&value, (const uint8_t *)page_at(n, VMCB) + at, sizeof(value));
	return value;
}

static void put_segment(const struct tiny_nested *n, enum vmcb_offset at, uint64_t selector,
			uint64_t attributes)
{
	put64(n, at, selector | attributes << 16 | 0xffffffffULL << 32);
	put64(n, at + 8, 0);
}

/* The same machine as tiny.c makes, one level down. */
static void fill_vmcb(const struct tiny_nested *n)
{
	put32(n, CTL_MISC1, INTERCEPT_HLT);
	put32(n, CTL_MISC2, INTERCEPT_VMRUN);
	put32(n, CTL_ASID, 1);
	put64(n, CTL_NESTED, 1);
	put64(n, CTL_NESTED_CR3, frame_at(n, PML4));
	put_segment(n, SAVE_CS, 8, SEGMENT_CODE64);
	put_segment(n, SAVE_DS, 16, SEGMENT_DATA);
	put_segment(n, SAVE_ES, 16, SEGMENT_DATA);
	put_segment(n, SAVE_SS, 16, SEGMENT_DATA);
	put_segment(n, SAVE_TR, 24, SEGMENT_TSS);
	put64(n, SAVE_EFER, EFER_SVME | 0x500);
	put64(n, SAVE_CR0, 0x80000011);
	put64(n, SAVE_CR3, (uint64_t)L2_PML4_GFN << PAGE_SHIFT_4K);
	put64(n, SAVE_CR4, 0x20);
	put64(n, SAVE_DR6, 0xffff0ff0);
	put64(n, SAVE_DR7, 0x400);
	put64(n, SAVE_PAT, PAT_DEFAULT);
}

static uint64_t nr_pts(const struct tiny *t)
{
	return (t->map_pages + LARGE_PAGES - 1) / LARGE_PAGES;
}

static void fill_tables(const struct tiny_nested *n)
{
	uint64_t *entry = page_at(n, PML4);

	entry[0] = frame_at(n, PDPT) | ENTRY_FLAGS;
	entry = page_at(n, PDPT);
	entry[0] = frame_at(n, PD) | ENTRY_FLAGS;
	entry = page_at(n, PD);
	for (uint64_t i = 0; i < nr_pts(n->t); i++)
		entry[i] = frame_at(n, PT + i) | ENTRY_FLAGS;
	entry = page_at(n, PT);
	for (uint64_t gfn = 0; gfn < n->t->map_pages; gfn++)
		entry[gfn] = gfn << PAGE_SHIFT_4K | ENTRY_FLAGS;
}

static bool has_svm(const struct tiny *t)
{
	_cleanup_(freep) struct kvm_cpuid2 *cpuid = NULL;
	size_t room = 256;

	cpuid = calloc(1, sizeof(*cpuid) + room * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return false;
	cpuid->nent = (uint32_t)room;
	if (ioctl(t->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return false;
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == CPUID_EXTENDED)
			return cpuid->entries[i].ecx & CPUID_ECX_SVM;
	return false;
}

static int enable_svm(const struct tiny_nested *n)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head = {.nmsrs = 1},
		.entry = {.index = MSR_VM_HSAVE_PA, .data = frame_at(n, HSAVE)},
	};
	struct kvm_sregs sregs;
	int fd = n->t->vcpus[n->vcpu].fd;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.efer |= EFER_SVME;
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0)
		return -errno;
	return ioctl(fd, KVM_SET_MSRS, &msrs) == 1 ? 0 : -EINVAL;
}

size_t tiny_nested_pages(const struct tiny *t)
{
	return PT + nr_pts(t);
}

int tiny_nested_init(struct tiny_nested *n, struct tiny *t, size_t vcpu, uint64_t first, void *base)
{
	*n = (struct tiny_nested) {.t = t, .vcpu = vcpu, .first = first, .base = base};
	if (!has_svm(t))
		return -EOPNOTSUPP;
	if (t->map_pages > MAP_PAGES_MAX || first + tiny_nested_pages(t) > t->map_pages)
		return -EINVAL;
	memcpy(page_at(n, CODE), l1_code, sizeof(l1_code));
	fill_vmcb(n);
	fill_tables(n);
	return enable_svm(n);
}

int tiny_nested_run(struct tiny_nested *n, const struct tiny_touch *list, size_t count,
		    uint64_t stamp)
{
	const struct tiny_vcpu *v = &n->t->vcpus[n->vcpu];
	struct kvm_regs regs = {
		.rip = frame_at(n, CODE),
		.rax = frame_at(n, VMCB),
		.rflags = RFLAGS_FIXED,
		.rsi = v->list_gfn << PAGE_SHIFT_4K,
		.rcx = count,
		.r8 = stamp,
	};
	uint64_t *entry = tiny_memory_at(&n->t->ram, v->list_gfn);
	int r;

	if (count > TINY_LIST_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		entry[i] = list[i].gfn << PAGE_SHIFT_4K | list[i].op;
	put64(n, SAVE_RIP, (uint64_t)L2_CODE_GFN << PAGE_SHIFT_4K);
	put64(n, SAVE_RSP, (v->stack_gfn + 1) << PAGE_SHIFT_4K);
	put64(n, SAVE_RAX, 0);
	put64(n, SAVE_RFLAGS, RFLAGS_FIXED);
	put64(n, CTL_EXIT_CODE, 0);
	if (ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	do {
		r = tiny_resume(n->t, n->vcpu, NULL);
	} while (r == -EINTR);
	return !r && get64(n, CTL_EXIT_CODE) != EXIT_HLT ? -EPROTO : r;
}

uint64_t tiny_nested_exit_code(const struct tiny_nested *n)
{
	return get64(n, CTL_EXIT_CODE);
}

void tiny_nested_expect(const struct tiny_nested *n, uint64_t *map)
{
	const struct tiny_touch code = {.gfn = n->first + CODE, .op = TINY_READ};

	tiny_expect(n->t, n->vcpu, &code, 1, map);
}
