/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the fake machine, shared by the files that it is made of.
 * All functions here are called with the lock held.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/machine.h"

#define MACHINE_FILES 16

/** struct page - of a guest; @node is an id, -1 for a hole */
struct page {
	int8_t node; /* id, -1: a hole */
	bool mapped;
	bool accessed;
	bool pinned;
	bool busy;
	bool shared; /* mapped by another process too */
	bool unseen; /* mapped for the guest without an accessed bit */
	bool small;  /* of a block that was broken: it moves alone */
};

/** struct machine_guest - a process with a guest */
struct machine_guest {
	struct machine_guest *next;
	struct machine *machine;
	int pid;
	char name[GUEST_NAME_MAX];
	bool dead;
	int death_fd;
	size_t open_vms;
	bool large;
	uint64_t hugetlb_pages; /* of 4 KiB in one of its pages; 0: no hugetlbfs */
	size_t npages;
	struct page *pages;
	int first_touch;
	uint64_t generation;
	struct kvm_access_slot *slots;
	size_t nslots;
	struct host_mapping *maps;
	size_t nmaps;
	struct host_facts facts;
	int vcpu_node;
	struct host_ring_entry *ring;
	size_t ring_entries, ring_head;
	int fail_harvest;
	bool die_in_harvest, die_in_move;
	bool stalled;
	uint64_t slow_ns;
	bool changing;
	int fail_facts, fail_rescan;
	bool vm_closed;
	char refuse[128];
};

/** struct machine_vm - what an opener of a guest has */
struct machine_vm {
	struct host_vm base;
	struct machine_guest *guest;
	int watch_fd; /* a duplicate, as every pidfd_open(2) gives an fd of its own */
	bool detached;
};

/** struct machine - see machine.h */
struct machine {
	struct host host;
	pthread_mutex_t lock;
	pthread_cond_t awake; /* when a stalled guest is let go on */
	bool nodes_fail;
	bool find_stalled;
	uint64_t find_ns;
	uint64_t now_ns;
	unsigned int sleep_us;
	enum host_kvm kvm;
	struct host_node nodes[HOST_MAX_NODES];
	uint64_t blocks[HOST_MAX_NODES]; /* whole ones that are free, at most */
	bool hide_blocks;
	size_t nnodes;
	struct machine_guest *guests;
	int next_pid;
	struct {
		uint64_t ino;
		int pid;
	} files[MACHINE_FILES];
	size_t nfiles;
	struct machine_counts counts;
};

#define LOCK(m)	  pthread_mutex_lock(&(m)->lock)
#define UNLOCK(m) pthread_mutex_unlock(&(m)->lock)

/** machine_ops - what the machine offers as a host */
extern const struct host_ops machine_ops;

static inline struct machine_vm *to_vm(struct host_vm *vm)
{
	return (struct machine_vm *)vm;
}

/** machine_node_by_id() - NULL if there is none; machine_node_index() - -1 if there is none */
struct host_node *machine_node_by_id(struct machine *m, int id);
int machine_node_index(const struct machine *m, int id);

/** machine_free_blocks() - whole blocks of 2 MiB that are free on the node with this index */
uint64_t machine_free_blocks(const struct machine *m, int index);

/** machine_page_at() - the page of guest RAM at @hva, NULL if it is none */
struct page *machine_page_at(struct machine_guest *g, uint64_t hva);

/** machine_break() - the 2 MiB page that holds page @page becomes 512 small ones */
void machine_break(struct machine_guest *g, size_t page);

/** machine_guest_dies() - the process ends */
void machine_guest_dies(struct machine_guest *g);

/** machine_guest_put() - a process that has ended is forgotten when nobody holds it */
void machine_guest_put(struct machine_guest *g);

/** machine_vm_move() - host_ops.vm_move; takes the lock by itself */
long machine_vm_move(struct host_vm *base, size_t n, const uint64_t *hvas, int node, int *status);
