/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small machine with state that stands in for a kernel: nodes, processes
 * with guests, pages that lie somewhere and are touched, a clock that jumps.
 *
 * It implements struct host_ops, so that the very same rooms run on it in unit
 * tests and simulations.  All functions may be called while workers and mover
 * are inside; a lock makes each of them one step.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/host.h"

struct machine;
struct machine_guest;

/**
 * struct machine_counts - what was asked of the machine
 * @moves, @queries: vm_move() with and without a destination; @moved_pages: by it
 * @harvests: calls; @open_vms: opened and not closed; @held_vms: of these not detached
 * @longest_move_bytes: most that one moving call took
 * @split_blocks: 2 MiB pages that vm_move() broke, as their target had no free block
 * @looks: free_blocks() calls; @totals: vm_node_totals() calls
 */
struct machine_counts {
	uint64_t moves;
	uint64_t queries;
	uint64_t moved_pages;
	uint64_t harvests;
	uint64_t layouts;
	uint64_t finds;
	uint64_t open_vms;
	uint64_t held_vms;
	uint64_t longest_move_bytes;
	uint64_t split_blocks;
	uint64_t looks;
	uint64_t totals;
};

/** machine_new() - without nodes and guests, at time 1 s; NULL when out of memory */
struct machine *machine_new(void);

/** machine_free() - guests that an agent still holds must be closed before */
struct machine *machine_free(struct machine *machine);

/** machine_host() - borrowed; its free operation does nothing */
struct host *machine_host(struct machine *machine);

/** machine_set_kvm() - what host_ops.kvm answers; patched at first */
void machine_set_kvm(struct machine *machine, enum host_kvm kvm);

/** machine_add_node() - with room for @pages; @rank as in struct host_node */
void machine_add_node(struct machine *machine, int id, bool has_cpu, int rank, uint64_t pages);

/** machine_use_node() - @pages of a node are taken (or, negative, given back) by others */
void machine_use_node(struct machine *machine, int id, int64_t pages);

/**
 * machine_fragment() - of the free memory of a node no more than @blocks are whole blocks of 2 MiB
 *
 * Blocks that come to the node use these up, blocks that leave it add to them.
 */
void machine_fragment(struct machine *machine, int id, uint64_t blocks);

/** machine_hide_blocks() - nobody can tell how many whole blocks are free on any node */
void machine_hide_blocks(struct machine *machine, bool hidden);

/** machine_advance() - let time pass */
void machine_advance(struct machine *machine, uint64_t ns);

/** machine_slow_down() - a sleep takes @us of real time too, so that others can act meanwhile */
void machine_slow_down(struct machine *machine, unsigned int us);

/**
 * machine_add_guest() - a process with @npages of RAM on node @node, one slot from gfn 0 on
 * @large: mapped for the guest by 2 MiB entries
 * The pages are populated and mapped, not yet accessed.
 */
struct machine_guest *machine_add_guest(struct machine *machine, const char *name, size_t npages,
					int node, bool large);

/**
 * machine_use_hugetlb() - its RAM is hugetlbfs of @page_bytes, which moves in such pages
 *
 * As with dirty logging on it is mapped by 4 KiB entries, unless the guest was
 * added as large.
 */
void machine_use_hugetlb(struct machine_guest *guest, uint64_t page_bytes);

/** machine_kill() - the process ends; @guest is freed when the last opener has let go of it */
void machine_kill(struct machine_guest *guest);

/** machine_close_vm() - the process closes its VM, or has another one, and lives on */
void machine_close_vm(struct machine_guest *guest, bool closed);

/** machine_kill_in_harvest() - as machine_kill(), by the next harvest, which fails */
void machine_kill_in_harvest(struct machine_guest *guest);

/** machine_kill_in_move() - as machine_kill(), when the next moving call is half done */
void machine_kill_in_move(struct machine_guest *guest);

/** machine_touch() - the guest accesses page @page (of its RAM); a hole is populated */
void machine_touch(struct machine_guest *guest, size_t page, bool write);

/** machine_first_touch() - the node on which the guest's holes are populated */
void machine_first_touch(struct machine_guest *guest, int node);

/** machine_node_of() - where a page lies, -1 if it is a hole */
int machine_node_of(struct machine_guest *guest, size_t page);

/** machine_pages_on() - how many of its pages lie on @node */
size_t machine_pages_on(struct machine_guest *guest, int node);

/** machine_discard() - the page becomes a hole, as by a balloon */
void machine_discard(struct machine_guest *guest, size_t page);

/** machine_split() - the 2 MiB page that holds page @page becomes 512 small ones */
void machine_split(struct machine_guest *guest, size_t page);

/** machine_pin() - the page cannot be moved while pinned */
void machine_pin(struct machine_guest *guest, size_t page, bool pinned);

/** machine_busy() - the page is isolated by somebody else while busy */
void machine_busy(struct machine_guest *guest, size_t page, bool busy);

/** machine_share() - another process maps the page too, so it does not move with this one */
void machine_share(struct machine_guest *guest, size_t page, bool shared);

/** machine_unseen() - the page is mapped for the guest without an accessed bit */
void machine_unseen(struct machine_guest *guest, size_t page, bool unseen);

/** machine_set_allowed() - the process' cpuset, bit n is node n */
void machine_set_allowed(struct machine_guest *guest, uint64_t nodes);

/** machine_set_facts() - VFIO, SEV, stopped */
void machine_set_facts(struct machine_guest *guest, bool vfio, bool sev, bool stopped);

/** machine_set_vcpu_node() - all vCPUs run there */
void machine_set_vcpu_node(struct machine_guest *guest, int id);

/** machine_change_slots() - the memslot table changes to @n of these */
void machine_change_slots(struct machine_guest *guest, const struct kvm_access_slot *slots,
			  size_t n);

/** machine_set_maps() - what /proc/PID/maps shows, instead of one anonymous mapping of the RAM */
void machine_set_maps(struct machine_guest *guest, const struct host_mapping *maps, size_t n);

/** machine_hold_file() - process @pid other than the guest has file @ino mapped */
void machine_hold_file(struct machine *machine, uint64_t ino, int pid);

/** machine_add_ring() - a dirty ring of @entries, written by machine_push() */
void machine_add_ring(struct machine_guest *guest, size_t entries);

/** machine_push() - KVM pushes an entry; the VMM takes all and resets when @reset */
void machine_push(struct machine_guest *guest, uint32_t slot, uint64_t offset, bool reset);

/** machine_fill_ring() - the VMM writes what it likes into its ring, all of it */
void machine_fill_ring(struct machine_guest *guest, const struct host_ring_entry *entries);

/** machine_hva() - host address of page @page of the guest's RAM */
uint64_t machine_hva(const struct machine_guest *guest, size_t page);

/** machine_pid() - of the guest's process */
int machine_pid(const struct machine_guest *guest);

/** machine_fail_next_harvest() - the next harvest of the guest fails with this negative errno */
void machine_fail_next_harvest(struct machine_guest *guest, int code);

/** machine_stall() - while stalled, whoever asks what /proc shows of the guest waits */
void machine_stall(struct machine_guest *guest, bool stalled);

/** machine_stall_find() - while stalled, whoever looks for guests waits */
void machine_stall_find(struct machine *machine, bool stalled);

/** machine_slow_find() - looking for guests takes @ns of the machine's clock */
void machine_slow_find(struct machine *machine, uint64_t ns);

/** machine_change_for_ever() - the memslot table is being changed, until told otherwise */
void machine_change_for_ever(struct machine_guest *guest, bool changing);

/** machine_fail_facts() - the guest's facts cannot be read: this negative errno, or 0 */
void machine_fail_facts(struct machine_guest *guest, int code);

/** machine_fail_rescan() - the guest's fds cannot be looked at: this negative errno, or 0 */
void machine_fail_rescan(struct machine_guest *guest, int code);

/** machine_fail_nodes() - the nodes cannot be read while @fails */
void machine_fail_nodes(struct machine *machine, bool fails);

/** machine_slow_maps() - reading the guest's mappings takes @ns of the machine's clock */
void machine_slow_maps(struct machine_guest *guest, uint64_t ns);

/** machine_refuse_access() - no access fd for this guest, with this reason */
void machine_refuse_access(struct machine_guest *guest, const char *why);

/** machine_counts() - a snapshot */
struct machine_counts machine_counts(struct machine *machine);
