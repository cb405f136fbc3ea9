/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that vmtier asks of a kernel, as one table of operations.
 *
 * host_linux_new() is the real one; sim/machine.h has one that is a small
 * machine of its own.  Rooms never call the kernel by themselves: the list of
 * what is done to a production host is this file.
 *
 * Failure radius: an operation that takes a struct host_vm concerns that guest
 * only.  All integers from the kernel are checked here; all that come from the
 * guest's process (names, mappings, rings, slots) are passed on as they are
 * and must be distrusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "uapi/kvm_access.h"

/*
 * Nodes with memory that vmtier tells apart: residency has four bits per page
 * at most.  Later ones (by id) are left alone and doctor says so.
 */
#define HOST_MAX_NODES 16

/* Longest guest name kept, with its end.  libvirt has no limit; file names end at 255. */
#define GUEST_NAME_MAX 256

/* vCPUs whose dirty rings are followed; KVM's own limit is 4096. */
#define HOST_MAX_VCPUS 4096

/**
 * enum host_tier - what a node's memory is
 * @HOST_TIER_DRAM: has CPUs, or is in a memory tier faster than that of such a node
 * @HOST_TIER_CXL: no CPUs, and not known to be faster than a node that has some
 * Source: /sys/devices/virtual/memory_tiering (Linux 6.1), where a larger number is slower.
 */
enum host_tier { HOST_TIER_DRAM, HOST_TIER_CXL };

/**
 * struct host_node - a NUMA node with memory
 * @id: Linux' node number, below 64
 * @tier: see there
 * @rank: number of its memory tier, 0 if the kernel has none
 * @has_cpu: whether CPUs belong to it
 * @total_bytes, @free_bytes: MemTotal and MemFree of the node
 * @watermark_bytes: below so much free memory the kernel reclaims: its zones' high watermarks
 * @distance: to the other nodes of the same array, SLIT units (10 is local)
 */
struct host_node {
	int id;
	enum host_tier tier;
	int rank;
	bool has_cpu;
	uint64_t total_bytes;
	uint64_t free_bytes;
	uint64_t watermark_bytes;
	uint16_t distance[HOST_MAX_NODES];
};

/**
 * struct host_found - a process that holds a KVM VM fd
 * @pid: of the thread group; @start_time: field 22 of /proc/PID/stat, tells reused pids apart
 * @name: QEMU's -name, or "pid-N"; UTF-8, what harms replaced by '?'
 * @vm_fd: number of the VM fd in that process
 */
struct host_found {
	int pid;
	uint64_t start_time;
	char name[GUEST_NAME_MAX];
	int vm_fd;
};

/**
 * enum host_kvm - what KVM on this host can do for us
 * @HOST_KVM_NONE: no usable /dev/kvm; @HOST_KVM_STOCK: without our series
 * @HOST_KVM_PATCHED: access fds can be had
 */
enum host_kvm { HOST_KVM_NONE, HOST_KVM_STOCK, HOST_KVM_PATCHED };

/**
 * enum host_backing - what lies behind a range of a process
 * @HOST_BACKING_ANON: private anonymous memory
 * @HOST_BACKING_SHMEM: memfd or tmpfs file; @HOST_BACKING_HUGETLB: hugetlbfs
 * @HOST_BACKING_FILE: page cache of a real file system: never ours to move
 * @HOST_BACKING_SPECIAL: devices, DAX, [vdso] and the like
 */
enum host_backing {
	HOST_BACKING_ANON,
	HOST_BACKING_SHMEM,
	HOST_BACKING_HUGETLB,
	HOST_BACKING_FILE,
	HOST_BACKING_SPECIAL,
};

/**
 * struct host_mapping - one line of /proc/PID/maps, [start, end) in bytes
 * @shared: MAP_SHARED; @writable: PROT_WRITE
 * @dev, @ino: of the file, 0 for anonymous memory; @offset: of @start in the file
 * @page_bytes: of hugetlbfs: what its pages come in and move in, however they are mapped; else 0
 */
struct host_mapping {
	uint64_t start;
	uint64_t end;
	enum host_backing backing;
	bool shared;
	bool writable;
	uint64_t dev;
	uint64_t ino;
	uint64_t offset;
	uint64_t page_bytes;
};

/**
 * struct host_facts - what may forbid to move a guest, gathered once per pass
 * @allowed_nodes: Mems_allowed of the process, bit n is node n below 64
 * @vcpu_nodes: vCPU threads that last ran on a CPU of this node, by index in the node array
 * @vfio: it holds VFIO devices, which pin all of its RAM; @sev: encrypted, hence pinned
 * @stopped: the process is stopped by a signal or a tracer, judged by its leader, the thread
 *	that bears its pid.  A guest that its VMM does not run (suspended, migrating), or whose
 *	threads the cgroup freezer holds, is not told from an idle one.
 */
struct host_facts {
	uint64_t allowed_nodes;
	uint32_t vcpu_nodes[HOST_MAX_NODES];
	bool vfio;
	bool sev;
	bool stopped;
};

/** struct host_ring_entry - of a dirty ring: struct kvm_dirty_gfn of <linux/kvm.h> */
struct host_ring_entry {
	uint32_t flags;
	uint32_t slot; /* address space in the upper 16 bits */
	uint64_t offset;
};

struct host;
struct host_vm;

/**
 * struct host_ops - the operations; all return 0 or a negative errno
 *
 * Those marked [any] may be called by any thread, also while another one is in
 * an operation on the same guest; the rest by the loop thread.
 */
struct host_ops {
	/* [any] CLOCK_MONOTONIC, in ns. */
	uint64_t (*now_ns)(struct host *host);

	/* [any] Sleep until @ns or a little later; tests let their clock jump instead. */
	void (*sleep_ns)(struct host *host, uint64_t ns);

	/* What KVM offers; @ret_why says why not, in a sentence. */
	enum host_kvm (*kvm)(struct host *host, struct error *ret_why);

	/*
	 * Nodes with memory, ordered by id, at most HOST_MAX_NODES; the rest is
	 * counted in @ret_left_out.  Reads sysfs, needs no right.
	 */
	int (*nodes)(struct host *host, struct host_node nodes[HOST_MAX_NODES], size_t *ret_n,
		     size_t *ret_left_out, struct error *err);

	/*
	 * [any] How many 2 MiB pages the node with this id could give to a process
	 * without breaking or making any: free blocks of at least that size, without
	 * the zones DMA and DMA32, which the kernel holds back from processes, but
	 * with DMA32 where the node has no higher zone.  It is a look: the next moment
	 * others may have taken them, and near the node's watermarks the last ones are
	 * not given out.  -ENOENT if the kernel shows nothing of the node.
	 * /proc/buddyinfo, needs no right.  Source: frag_show_print(), mm/vmstat.c;
	 * lowmem_reserve_ratio in Documentation/admin-guide/sysctl/vm.rst, Linux 6.12.
	 */
	int (*free_blocks)(struct host *host, int node, uint64_t *ret_blocks);

	/*
	 * [any] Every process that holds a KVM VM fd, among the lowest 4096 of its
	 * fds.  The caller frees @ret_found; one caller at a time.  Reads /proc;
	 * needs CAP_SYS_PTRACE for processes of others.
	 */
	int (*find)(struct host *host, struct host_found **ret_found, size_t *ret_n,
		    struct error *err);

	/*
	 * Whether the process @pid that began at @start_time has not ended; true
	 * where that cannot be read.  /proc/PID/stat.
	 */
	bool (*process_runs)(struct host *host, int pid, uint64_t start_time);

	/*
	 * Take hold of a guest: pidfd, access fd, dirty rings.  The VM fd that
	 * pidfd_getfd(2) lent is closed before this returns.  Without an access
	 * fd the guest opens all the same: @ret_source then says why there is none.
	 * -ENXIO if the process only holds the VM of another one, which a KVM without
	 * access fds does not tell.  -ESRCH if the process or its memory is gone.
	 * Needs CAP_SYS_PTRACE and, to clear accessed bits, CAP_SYS_ADMIN.
	 */
	int (*vm_open)(struct host *host, const struct host_found *found, struct host_vm **ret_vm,
		       struct error *ret_source, struct error *err);

	/* [any] Let go of everything; no other thread may be inside. */
	void (*vm_close)(struct host_vm *vm);

	/*
	 * [any] Drop every kernel object that keeps the VM alive, at once, even
	 * while a worker is inside; its next operation then fails with -ESRCH.
	 */
	void (*vm_detach)(struct host_vm *vm);

	/* Whether the process is there and, if known, still owns the VM's memory. */
	bool (*vm_alive)(struct host_vm *vm);

	/* An fd that becomes readable when the process ends, for the event loop; borrowed. */
	int (*vm_watch_fd)(struct host_vm *vm);

	/*
	 * [any] The memslot table.  The caller frees @ret_slots.  -EAGAIN while it
	 * changes, -EOPNOTSUPP without an access fd.  ioctl(2).
	 */
	int (*vm_slots)(struct host_vm *vm, struct kvm_access_slot **ret_slots, size_t *ret_n,
			uint64_t *ret_generation);

	/* [any] One KVM_ACCESS_HARVEST.  ioctl(2) as in kvm_access.h. */
	int (*vm_harvest)(struct host_vm *vm, struct kvm_access_harvest *harvest);

	/*
	 * [any] Look at the fds of the process: vCPUs that have come, VFIO, SEV;
	 * vm_open() does not.  Not beside vm_ring_copy().  @ret_nrings: of its dirty rings.
	 * -ESRCH: it has closed the VM, which lives on through what we hold.
	 * Reads /proc/PID/fd; pidfd_getfd(2) and mmap(2) PROT_READ for each vCPU.
	 */
	int (*vm_rescan)(struct host_vm *vm, size_t *ret_nrings);

	/*
	 * [any] Copy ring @vcpu as it is now, without taking anything from it.
	 * @max: room in @entries; @ret_n: entries of the ring, a power of two.
	 */
	int (*vm_ring_copy)(struct host_vm *vm, size_t vcpu, struct host_ring_entry *entries,
			    size_t max, size_t *ret_n);

	/* [any] The mappings, sorted by address.  The caller frees @ret_maps.  /proc/PID/maps. */
	int (*vm_maps)(struct host_vm *vm, struct host_mapping **ret_maps, size_t *ret_n,
		       struct error *err);

	/*
	 * [any] A process other than the guest's that has the file mapped or open:
	 * @ret_pid, or 0.  Reads all of /proc: only when a layout is new.
	 */
	int (*vm_file_holder)(struct host_vm *vm, uint64_t dev, uint64_t ino, int *ret_pid);

	/*
	 * [any] On which node each page of [hva, hva + npages * 4 KiB) lies, by index in the
	 * node array, or -1: not resident or on a node left out.
	 * /proc/PID/pagemap; needs CAP_SYS_ADMIN for frame numbers.
	 */
	int (*vm_residency)(struct host_vm *vm, uint64_t hva, size_t npages, int8_t *nodes);

	/*
	 * [any] Resident pages by node of what may be RAM in the process, for guests
	 * without access fd.  Where that is much it is an estimate from a part of the
	 * pages.  /proc/PID/maps; move_pages(2), which only asks.
	 */
	int (*vm_node_totals)(struct host_vm *vm, uint64_t pages[HOST_MAX_NODES]);

	/* [any] Some files of /proc/PID, and two for each thread. */
	int (*vm_facts)(struct host_vm *vm, struct host_facts *ret_facts);

	/*
	 * [any] move_pages(2): with @node < 0 only ask where pages lie, else move them to
	 * the node with this id.  @status is preset by the callee to -EINPROGRESS.
	 * Return: 0, the number of pages not moved, or a negative errno.
	 * Needs CAP_SYS_PTRACE; never MPOL_MF_MOVE_ALL.
	 */
	long (*vm_move)(struct host_vm *vm, size_t n, const uint64_t *hvas, int node, int *status);

	void (*free)(struct host *host);
};

/** struct host - base of every implementation, which embeds it first */
struct host {
	const struct host_ops *ops;
};

/** struct host_vm - base of a guest of a host */
struct host_vm {
	struct host *host;
};

/**
 * host_linux_new() - the running kernel
 * @root: "" or the root of a captured tree for /proc and /sys; borrowed for ever
 * Return: 0 or -ENOMEM.  @ret_host is freed by its ops->free.
 */
int host_linux_new(const char *root, struct host **ret_host);
