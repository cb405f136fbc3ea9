/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * KVM access fd: which guest pages were accessed, as seen by the second-level
 * page tables (EPT/NPT), for a process that need not be the VMM.
 *
 * All addresses are guest frame numbers of 4 KiB.  All structures have the
 * same layout for 32-bit and 64-bit callers.  Unknown flags and reserved
 * fields that are not zero are refused with -EINVAL.
 */
#ifndef _UAPI_LINUX_KVM_ACCESS_H
#define _UAPI_LINUX_KVM_ACCESS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * KVM_CHECK_EXTENSION(KVM_CAP_ACCESS_FD), on /dev/kvm or a VM, returns 0 or the
 * mask of KVM_ACCESS_SUP_* that this kernel and CPU implement.  On a VM fd it
 * works only for the process that owns the VM: probe on /dev/kvm.  The number is
 * a private one: probe, do not assume.
 */
#define KVM_CAP_ACCESS_FD		0x766d74

#define KVM_ACCESS_SUP_ACCESSED		(1U << 0)
#define KVM_ACCESS_SUP_PRESENT		(1U << 1)
#define KVM_ACCESS_SUP_DIRTY		(1U << 2)
#define KVM_ACCESS_SUP_LARGE		(1U << 3)
#define KVM_ACCESS_SUP_ON_NODES		(1U << 4)
/* Accesses by nested guests are seen. */
#define KVM_ACCESS_SUP_SHADOW		(1U << 5)
#define KVM_ACCESS_SUP_PEEK		(1U << 8)
#define KVM_ACCESS_SUP_FLUSH_END	(1U << 9)
/* What is cleared here is still seen by the host's page ageing, and vice versa. */
#define KVM_ACCESS_SUP_AGING		(1U << 10)

/*
 * KVM_GET_ACCESS_FD
 *
 * On /dev/kvm: @vm_fd is a VM fd of the caller's own table, e.g. from
 * pidfd_getfd(2); needs CAP_PERFMON to peek and CAP_SYS_ADMIN to clear.
 * On a VM fd, by the process that owns the VM: @vm_fd must be -1; needs no
 * capability.
 *
 * Returns an O_CLOEXEC fd.  It holds a reference to the VM, not to its memory.
 * poll(2) reports POLLHUP when the owner's address space is gone; every ioctl
 * then fails with -ESRCH.
 *
 * Errors: -EINVAL flags, reserved or vm_fd; -EFAULT; -EBADF vm_fd is not open;
 * -EPERM capability; -EBUSY another fd of this VM already has
 * KVM_ACCESS_FD_CLEAR; -EIO on a VM fd: the caller does not own the VM, or the
 * VM is dead; -EOPNOTSUPP no TDP MMU or no A/D bits; -ESRCH the owner is gone;
 * -EMFILE, -ENFILE, -ENOMEM.
 */
struct kvm_access_fd {
	__s32 vm_fd;
	__u32 flags;
	__u64 reserved[3];
};

/* The fd may clear accessed bits.  At most one such fd per VM. */
#define KVM_ACCESS_FD_CLEAR		(1U << 0)

/* KVM_ACCESS_GET_INFO */
struct kvm_access_info {
	/*
	 * owner of the VM's memory, in the caller's pid namespace; 0: not visible
	 * there, or this kernel does not know (CONFIG_MEMCG)
	 */
	__u32 tgid;
	/* number of address spaces: 1, or 2 with SMM */
	__u32 nr_address_spaces;
	/* KVM_ACCESS_FD_* of this fd */
	__u32 flags;
	/* KVM_ACCESS_SUP_* */
	__u32 supported;
	/* generation of the memslot table, see struct kvm_access_slots */
	__u64 generation;
	__u64 reserved[5];
};

struct kvm_access_slot {
	__u32 slot;		/* id within the address space */
	__u32 as_id;		/* 0: normal, 1: SMM */
	__u32 flags;		/* KVM_MEM_* */
	__u32 reserved0;
	__u64 base_gfn;
	__u64 npages;
	__u64 userspace_addr;	/* in the owner's address space */
	__u64 reserved1;
};

/*
 * KVM_ACCESS_GET_SLOTS
 *
 * @nr_slots: in: room in @slots; out: entries written, in no particular order,
 * KVM's internal slots left out.
 * @generation grows with every change of the table.  Bit 63 says that a change
 * was under way; such a table must be read again.
 *
 * Errors: -E2BIG too little room, @nr_slots says what is needed; -EINVAL;
 * -EFAULT; -ESRCH; -ENOMEM.
 */
struct kvm_access_slots {
	__u64 generation;
	__u32 nr_slots;
	__u32 flags;		/* must be 0 */
	__u64 slots;		/* struct kvm_access_slot * */
	__u64 reserved[4];
};

#define KVM_ACCESS_GENERATION_CHANGING	(1ULL << 63)

/*
 * KVM_ACCESS_HARVEST
 *
 * Reads, and unless KVM_ACCESS_PEEK is given clears, the accessed bits, and if
 * asked for the dirty bits, of [@gfn, @gfn + @npages) in address space @as_id.
 *
 * @gfn and @npages are updated to the range not yet done.  A call may return 0
 * early, with @npages > 0, after a signal or in a long range: call again with
 * the struct as it is.  @npages is 0 once all is done.  The words of the bitmaps
 * that belong to the range not yet done are undefined.
 *
 * Bitmaps are arrays of __u64; bit 0 is @bitmap_gfn, which with @gfn must be a
 * multiple of 64.  A bitmap that is 0 is not wanted.  The words of the range
 * are written whole: what lies behind its end in the last word is zero.
 *   accessed  present, and accessed since a harvest last cleared its A bit, or since
 *             it was mapped
 *   present   mapped.  A page that is not present is not idle: it is unknown.
 *   dirty     must be 0 unless KVM_ACCESS_SUP_DIRTY.  Mapped with the D bit set:
 *             written to since it was cleared, or since it was mapped, for KVM sets
 *             the bit of what it maps as writable.  Always 0 in memslots with
 *             KVM_MEM_LOG_DIRTY_PAGES: ask the log.  For statistics only: what was
 *             written to before a page was unmapped and mapped again as read-only
 *             does not show, so 0 is no proof that a page has not changed.
 *   large     mapped by an entry of 2 MiB or more
 *   on_nodes  mapped, and the frame lies on a node of @nodemask
 * A page that is mapped without A/D bits, and of which it is not known otherwise
 * that it was accessed, may have been: it is accessed, and counted in @nr_unknown;
 * and it is dirty, if it is mapped as writable.
 *
 * An accessed or dirty bit of a large entry shows in every page of the range that
 * it maps, and clearing a part of the range clears all of it.  A harvest that begins
 * where the last one of this fd has ended still tells the rest, unless the memslots
 * have changed.
 * Of what is mapped for a nested guest, pages that may have been written to, i.e.
 * accessed ones that are mapped as writable, are dirty: since the last harvest of
 * any kind, whether that asked for dirty ones or not.  What a nested guest did before
 * its hypervisor changed the entry of a page, or another of the same table, may be lost.
 *
 * Bits of frames outside of the memslots mean nothing: they may be of a memslot that is
 * about to come or to go.
 *
 * @generation: in: 0, or the generation of the slot table that the caller
 * knows: a different one stops the walk (-ESTALE if nothing was done yet, else
 * an early return).  Left as it is.  A generation of 0 can only be that of a VM
 * without slots.
 * @generation_now: out, if the call returns 0 or -ESTALE: the current one, with
 * bit 63 as in struct kvm_access_slots.  In: ignored.
 *
 * Counters are added to, in pages of 4 KiB, so that they sum up over the calls
 * of one range; @nr_walks counts walks from the root, @nr_retries compare-and-
 * exchange attempts that lost a race.
 *
 * Errors: -EINVAL; -EFAULT and -ESRCH (what @gfn tells is done, is done); -EPERM clearing
 * by an fd without KVM_ACCESS_FD_CLEAR; -ESTALE; -EINTR, only from waiting for
 * another harvest on the same fd.  What cannot be written to is found out
 * before anything is cleared; a chunk whose copying out fails all the same, with
 * -EFAULT, has had its bits cleared.
 */
struct kvm_access_harvest {
	__u64 gfn;
	__u64 npages;
	__u64 bitmap_gfn;
	__u32 as_id;
	__u32 flags;
	__u64 generation;
	__u64 accessed;
	__u64 present;
	__u64 dirty;
	__u64 large;
	__u64 on_nodes;
	__u64 nodemask;		/* __u64 *, bit n is node n */
	__u32 nodemask_bits;	/* multiple of 64, at most KVM_ACCESS_MAX_NODES */
	__u32 reserved0;
	__u64 nr_present;
	__u64 nr_accessed;
	__u64 nr_dirty;
	__u64 nr_large;
	__u64 nr_on_nodes;
	__u64 nr_unknown;
	__u64 nr_walks;
	__u64 nr_retries;
	__u64 generation_now;
	__u64 reserved[3];
};

/* Only look: no bit is cleared, so what was accessed once stays accessed. */
#define KVM_ACCESS_PEEK			(1U << 0)
/* One remote TLB flush when the range is done, so that the next harvest is exact. */
#define KVM_ACCESS_FLUSH_END		(1U << 1)

#define KVM_ACCESS_MAX_NODES		4096

#define KVM_ACCESS_IOC			0xAE	/* KVMIO */
#define KVM_GET_ACCESS_FD	_IOW(KVM_ACCESS_IOC, 0xf4, struct kvm_access_fd)
#define KVM_ACCESS_GET_INFO	_IOR(KVM_ACCESS_IOC, 0xf5, struct kvm_access_info)
#define KVM_ACCESS_GET_SLOTS	_IOWR(KVM_ACCESS_IOC, 0xf6, struct kvm_access_slots)
#define KVM_ACCESS_HARVEST	_IOWR(KVM_ACCESS_IOC, 0xf7, struct kvm_access_harvest)

#endif /* _UAPI_LINUX_KVM_ACCESS_H */
