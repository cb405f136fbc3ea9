// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A tiny guest made with plain KVM ioctls.
 */
#define _GNU_SOURCE
#include "tiny.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"

#define CODE_GFN 1
#define PML4_GFN 2
#define PDPT_GFN 3
#define PD_GFN	 4

#define PAGES_PER_PT LARGE_PAGES
#define PAGES_PER_PD ((uint64_t)LARGE_PAGES * 512)

/* One PDPT is enough. */
#define MAP_PAGES_MAX (PAGES_PER_PD * 512)

/* Present, writable, and A and D set for good: see tiny_expect_written(). */
#define ENTRY_FLAGS 0x63ULL

#define CR0_PE	     (1ULL << 0)
#define CR0_ET	     (1ULL << 4)
#define CR0_PG	     (1ULL << 31)
#define CR4_PAE	     (1ULL << 5)
#define EFER_LME     (1ULL << 8)
#define EFER_LMA     (1ULL << 10)
#define RFLAGS_FIXED (1ULL << 1)

#define RET_OPCODE 0xc3

/* How an entry of the list looks to the guest: the op in the bits below the address. */
#define OP_MASK 3

/*
 * rsi list, rcx entries, rdi sum of what was read, r8 stamp.  It is position
 * independent and fits one page.
 */
__asm__(".pushsection .rodata\n"
	"tiny_guest_start:\n"
	"1:	testq	%rcx, %rcx\n"
	"	jz	4f\n"
	"	movq	(%rsi), %rax\n"
	"	addq	$8, %rsi\n"
	"	decq	%rcx\n"
	"	movl	%eax, %edx\n"
	"	andl	$3, %edx\n"
	"	andq	$-4096, %rax\n"
	"	cmpl	$1, %edx\n"
	"	je	2f\n"
	"	ja	3f\n"
	"	addq	8(%rax), %rdi\n"
	"	jmp	1b\n"
	"2:	leaq	(%rax, %r8), %rbx\n"
	"	movq	%rbx, 8(%rax)\n"
	"	jmp	1b\n"
	"3:	call	*%rax\n"
	"	jmp	1b\n"
	"4:	hlt\n"
	"	jmp	4b\n"
	"tiny_guest_end:\n"
	".popsection\n");

extern const uint8_t tiny_guest_start[], tiny_guest_end[];

static int failed(const char *step)
{
	int r = -errno;

	fprintf(stderr, "# tiny guest: %s: %s\n", step, strerror(-r));
	return r;
}

static uint64_t *words_at(const struct tiny *t, uint64_t gfn)
{
	return tiny_memory_at(&t->ram, gfn);
}

static uint64_t nr_pds(const struct tiny *t)
{
	return (t->map_pages + PAGES_PER_PD - 1) / PAGES_PER_PD;
}

static uint64_t nr_pts(const struct tiny *t)
{
	return (t->map_pages + PAGES_PER_PT - 1) / PAGES_PER_PT;
}

static uint64_t pt_gfn(const struct tiny *t, uint64_t gfn)
{
	return PD_GFN + nr_pds(t) + gfn / PAGES_PER_PT;
}

static int create_vm(struct tiny *t, size_t ring_bytes)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL};

	t->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (t->kvm_fd < 0)
		return failed("/dev/kvm");
	t->vm_fd = ioctl(t->kvm_fd, KVM_CREATE_VM, 0);
	if (t->vm_fd < 0)
		return failed("KVM_CREATE_VM");
	if (!ring_bytes)
		return 0;
	if (ioctl(t->vm_fd, KVM_CHECK_EXTENSION, cap.cap) <= 0)
		cap.cap = KVM_CAP_DIRTY_LOG_RING;
	if (ioctl(t->vm_fd, KVM_CHECK_EXTENSION, cap.cap) <= 0) {
		errno = EOPNOTSUPP;
		return failed("no dirty ring");
	}
	cap.args[0] = ring_bytes;
	if (ioctl(t->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return failed("dirty ring");
	t->ring_entries = ring_bytes / sizeof(struct kvm_dirty_gfn);
	return 0;
}

int tiny_set_slot(struct tiny *t, uint32_t slot, uint64_t gfn, uint64_t npages, const void *hva,
		  uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gfn << PAGE_SHIFT_4K,
		.memory_size = npages << PAGE_SHIFT_4K,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(t->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* Code and page tables; the stacks and lists need no contents yet. */
static int fill_ram(struct tiny *t)
{
	uint64_t vcpu_gfn = PD_GFN + nr_pds(t) + nr_pts(t);
	uint64_t entry;

	t->first_free = vcpu_gfn + t->nr_vcpus * (1 + TINY_LIST_PAGES);
	if (t->first_free >= t->ram.pages)
		return -EINVAL;
	memcpy(words_at(t, CODE_GFN), tiny_guest_start,
	       (size_t)(tiny_guest_end - tiny_guest_start));
	words_at(t, PML4_GFN)[0] = ((uint64_t)PDPT_GFN << PAGE_SHIFT_4K) | ENTRY_FLAGS;
	for (uint64_t i = 0; i < nr_pds(t); i++)
		words_at(t, PDPT_GFN)[i] = ((PD_GFN + i) << PAGE_SHIFT_4K) | ENTRY_FLAGS;
	for (uint64_t i = 0; i < nr_pts(t); i++) {
		entry = (pt_gfn(t, i * PAGES_PER_PT) << PAGE_SHIFT_4K) | ENTRY_FLAGS;
		words_at(t, PD_GFN + i / 512)[i % 512] = entry;
	}
	for (uint64_t gfn = 0; gfn < t->map_pages; gfn++)
		words_at(t, pt_gfn(t, gfn))[gfn % 512] = (gfn << PAGE_SHIFT_4K) | ENTRY_FLAGS;
	for (size_t i = 0; i < t->nr_vcpus; i++) {
		t->vcpus[i].stack_gfn = vcpu_gfn + i * (1 + TINY_LIST_PAGES);
		t->vcpus[i].list_gfn = t->vcpus[i].stack_gfn + 1;
	}
	return 0;
}

static int set_cpuid(struct tiny *t, int vcpu_fd)
{
	_cleanup_(freep) struct kvm_cpuid2 *cpuid = NULL;
	size_t room = 256;

	cpuid = calloc(1, sizeof(*cpuid) + room * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = (uint32_t)room;
	if (ioctl(t->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return failed("KVM_GET_SUPPORTED_CPUID");
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		return failed("KVM_SET_CPUID2");
	return 0;
}

/* The hidden parts of the segments are all that 64-bit mode looks at. */
static int enter_long_mode(int vcpu_fd)
{
	struct kvm_segment code = {.limit = 0xffffffff,
				   .selector = 8,
				   .type = 11,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.limit = 0xffffffff,
				   .selector = 16,
				   .type = 3,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1};
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return failed("KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt.limit = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs.cr3 = PML4_GFN << PAGE_SHIFT_4K;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return failed("KVM_SET_SREGS");
	return 0;
}

static int map_vcpu(struct tiny *t, struct tiny_vcpu *v)
{
	int bytes = ioctl(t->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	size_t ring_bytes = t->ring_entries * sizeof(struct kvm_dirty_gfn);
	void *p;

	if (bytes < 0)
		return failed("KVM_GET_VCPU_MMAP_SIZE");
	p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (p == MAP_FAILED)
		return failed("mmap of a vCPU");
	v->run = p;
	v->run_bytes = (size_t)bytes;
	if (!ring_bytes)
		return 0;
	p = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
		 KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)PAGE_BYTES);
	if (p == MAP_FAILED)
		return failed("mmap of a dirty ring");
	v->ring = p;
	return 0;
}

static int create_vcpu(struct tiny *t, size_t index)
{
	struct tiny_vcpu *v = &t->vcpus[index];
	int r;

	v->fd = ioctl(t->vm_fd, KVM_CREATE_VCPU, index);
	if (v->fd < 0)
		return failed("KVM_CREATE_VCPU");
	r = map_vcpu(t, v);
	if (!r)
		r = set_cpuid(t, v->fd);
	if (!r)
		r = enter_long_mode(v->fd);
	return r;
}

static int build(struct tiny *t, const struct tiny_options *o)
{
	uint32_t flags = o->log_dirty || o->ring_bytes ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	size_t pages = o->pages ? o->pages : 4096;
	int r;

	t->map_pages = o->map_pages > pages ? o->map_pages : pages;
	t->nr_vcpus = o->vcpus ? o->vcpus : 1;
	if (t->map_pages > MAP_PAGES_MAX)
		return -EINVAL;
	t->vcpus = calloc(t->nr_vcpus, sizeof(*t->vcpus));
	if (!t->vcpus)
		return -ENOMEM;
	for (size_t i = 0; i < t->nr_vcpus; i++)
		t->vcpus[i].fd = -1;
	r = tiny_memory_init(&t->ram, o->backing, pages, o->bind ? o->node : TINY_ANY_NODE);
	if (!r)
		r = fill_ram(t);
	if (!r)
		r = create_vm(t, o->ring_bytes);
	if (!r)
		r = tiny_set_slot(t, 0, 0, pages, t->ram.base, flags);
	for (size_t i = 0; !r && i < t->nr_vcpus; i++)
		r = create_vcpu(t, i);
	return r;
}

int tiny_new(const struct tiny_options *opts, struct tiny **ret_tiny)
{
	static const struct tiny_options defaults;
	_cleanup_(tiny_freep) struct tiny *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->kvm_fd = -1;
	t->vm_fd = -1;
	t->ram = (struct tiny_memory)TINY_MEMORY_NULL;
	r = build(t, opts ? opts : &defaults);
	if (r)
		return r;
	*ret_tiny = take_ptr(t);
	return 0;
}

struct tiny *tiny_free(struct tiny *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; t->vcpus && i < t->nr_vcpus; i++) {
		if (t->vcpus[i].run)
			munmap(t->vcpus[i].run, t->vcpus[i].run_bytes);
		if (t->vcpus[i].ring)
			munmap(t->vcpus[i].ring, t->ring_entries * sizeof(struct kvm_dirty_gfn));
		closep(&t->vcpus[i].fd);
	}
	closep(&t->vm_fd);
	closep(&t->kvm_fd);
	tiny_memory_deinit(&t->ram);
	free(t->vcpus);
	free(t);
	return NULL;
}

static void place_stub(struct tiny *t, uint64_t gfn)
{
	uint8_t *p;

	/* Frames of other slots are their owner's business. */
	if (gfn >= t->ram.pages)
		return;
	p = tiny_memory_at(&t->ram, gfn);
	if (*p != RET_OPCODE)
		*p = RET_OPCODE;
}

static int write_list(struct tiny *t, size_t vcpu, const struct tiny_touch *list, size_t count)
{
	uint64_t *entry = words_at(t, t->vcpus[vcpu].list_gfn);

	if (count > TINY_LIST_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (list[i].gfn < t->first_free || list[i].gfn >= t->map_pages ||
		    list[i].op >= _TINY_OP_MAX)
			return -EINVAL;
		if (list[i].op == TINY_FETCH)
			place_stub(t, list[i].gfn);
		entry[i] = (list[i].gfn << PAGE_SHIFT_4K) | (list[i].op & OP_MASK);
	}
	return 0;
}

int tiny_run(struct tiny *t, size_t vcpu, const struct tiny_touch *list, size_t count,
	     uint64_t stamp, uint64_t *ret_sum)
{
	struct tiny_vcpu *v = &t->vcpus[vcpu];
	struct kvm_regs regs = {
		.rip = CODE_GFN << PAGE_SHIFT_4K,
		.rflags = RFLAGS_FIXED,
		.rsp = (v->stack_gfn + 1) << PAGE_SHIFT_4K,
		.rsi = v->list_gfn << PAGE_SHIFT_4K,
		.rcx = count,
		.r8 = stamp,
	};
	int r = write_list(t, vcpu, list, count);

	if (r)
		return r;
	if (ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return failed("KVM_SET_REGS");
	return tiny_resume(t, vcpu, ret_sum);
}

/* KVM ends an instruction that it emulates on the next entry: have it over with. */
static void finish_emulation(struct tiny_vcpu *v)
{
	v->run->immediate_exit = 1;
	ioctl(v->fd, KVM_RUN, 0);
	v->run->immediate_exit = 0;
}

int tiny_resume(struct tiny *t, size_t vcpu, uint64_t *ret_sum)
{
	struct tiny_vcpu *v = &t->vcpus[vcpu];
	struct kvm_regs regs;

	if (ioctl(v->fd, KVM_RUN, 0) < 0)
		return -errno;
	switch (v->run->exit_reason) {
	case KVM_EXIT_HLT:
		break;
	case KVM_EXIT_DIRTY_RING_FULL:
		return TINY_E_RING_FULL;
	case KVM_EXIT_MMIO:
		finish_emulation(v);
		return -EFAULT;
	default:
		fprintf(stderr, "# tiny guest: exit reason %u, suberror %u\n", v->run->exit_reason,
			v->run->internal.suberror);
		return -EIO;
	}
	if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0)
		return failed("KVM_GET_REGS");
	if (ret_sum)
		*ret_sum = regs.rdi;
	return 0;
}

/* A page, without and with the guest's page tables that lead to it. */
struct expectation {
	const struct tiny *t;
	uint64_t *pages;
	uint64_t *tables;
};

static void expect_page(const struct expectation *e, uint64_t gfn, bool in_pages)
{
	if (in_pages)
		bitmap_set(e->pages, gfn);
	if (!e->tables)
		return;
	bitmap_set(e->tables, PML4_GFN);
	bitmap_set(e->tables, PDPT_GFN);
	bitmap_set(e->tables, PD_GFN + gfn / PAGES_PER_PD);
	bitmap_set(e->tables, pt_gfn(e->t, gfn));
}

static void expect(const struct expectation *e, size_t vcpu, const struct tiny_touch *list,
		   size_t count, bool only_written)
{
	const struct tiny_vcpu *v = &e->t->vcpus[vcpu];
	bool fetches = false;

	expect_page(e, CODE_GFN, !only_written);
	for (size_t i = 0; i < count; i++) {
		expect_page(e, list[i].gfn, !only_written || list[i].op == TINY_WRITE);
		fetches |= list[i].op == TINY_FETCH;
	}
	for (size_t i = 0; i < count; i += 512)
		expect_page(e, v->list_gfn + i / 512, !only_written);
	if (fetches)
		expect_page(e, v->stack_gfn, true);
}

void tiny_expect(const struct tiny *t, size_t vcpu, const struct tiny_touch *list, size_t count,
		 uint64_t *map)
{
	struct expectation e = {.t = t, .pages = map, .tables = map};

	expect(&e, vcpu, list, count, false);
}

void tiny_expect_written(const struct tiny *t, size_t vcpu, const struct tiny_touch *list,
			 size_t count, uint64_t *map)
{
	struct expectation e = {.t = t, .pages = map, .tables = tiny_has_tdp() ? map : NULL};

	expect(&e, vcpu, list, count, true);
}

int tiny_stat(const struct tiny *t, const char *name, uint64_t *ret_value)
{
	_cleanup_(closep) int fd = ioctl(t->vm_fd, KVM_GET_STATS_FD, NULL);
	_cleanup_(freep) struct kvm_stats_desc *desc = NULL;
	struct kvm_stats_header head;
	size_t size;

	if (fd < 0)
		return -errno;
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head))
		return -EIO;
	size = sizeof(*desc) + head.name_size;
	desc = calloc(1, size + 1);
	if (!desc)
		return -ENOMEM;
	for (uint32_t i = 0; i < head.num_desc; i++) {
		if (pread(fd, desc, size, head.desc_offset + (off_t)(i * size)) != (ssize_t)size)
			return -EIO;
		if (strcmp(desc->name, name))
			continue;
		if (pread(fd, ret_value, sizeof(*ret_value),
			  (off_t)head.data_offset + desc->offset) != sizeof(*ret_value))
			return -EIO;
		return 0;
	}
	return -ENOENT;
}

int tiny_hold_kvm(void)
{
	_cleanup_(closep) int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm_fd;

	if (kvm_fd < 0)
		return -errno;
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0)
		return -errno;
	/* Both descriptors are left open on purpose. */
	return ioctl(vm_fd, KVM_CREATE_VCPU, 0) < 0 ? -errno : 0;
}

bool tiny_has_tdp(void)
{
	static const char *const files[] = {
		"/sys/module/kvm_amd/parameters/npt",
		"/sys/module/kvm_intel/parameters/ept",
	};
	char answer;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(closep) int fd = open(files[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && read(fd, &answer, 1) == 1)
			return answer == 'Y' || answer == '1';
	}
	return false;
}
