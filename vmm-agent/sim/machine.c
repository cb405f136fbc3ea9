// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * A page is one struct: where it lies, whether the guest's second-level table
 * maps it, its accessed bit, whether it is pinned.  This file is what tests do
 * to the machine; what it offers as a host is in machine_ops.c, and
 * move_pages(2) in machine_move.c.
 */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/units.h"
#include "sim/machine_state.h"

#define MACHINE_PID_BASE 1000
#define MACHINE_HVA_BASE 0x7f0000000000ULL

struct host_node *machine_node_by_id(struct machine *m, int id)
{
	for (size_t n = 0; n < m->nnodes; n++)
		if (m->nodes[n].id == id)
			return &m->nodes[n];
	return NULL;
}

int machine_node_index(const struct machine *m, int id)
{
	for (size_t n = 0; n < m->nnodes; n++)
		if (m->nodes[n].id == id)
			return id < 64 ? (int)n : -1;
	return -1;
}

uint64_t machine_free_blocks(const struct machine *m, int index)
{
	uint64_t blocks = m->nodes[index].free_bytes / (LARGE_PAGES * PAGE_BYTES);

	return blocks < m->blocks[index] ? blocks : m->blocks[index];
}

struct page *machine_page_at(struct machine_guest *g, uint64_t hva)
{
	uint64_t start = machine_hva(g, 0);

	return hva >= start && hva < start + g->npages * PAGE_BYTES
		       ? &g->pages[(hva - start) / PAGE_BYTES]
		       : NULL;
}

void machine_set_kvm(struct machine *m, enum host_kvm kvm)
{
	LOCK(m);
	m->kvm = kvm;
	UNLOCK(m);
}

void machine_add_node(struct machine *m, int id, bool has_cpu, int rank, uint64_t pages)
{
	struct host_node *node;

	LOCK(m);
	m->blocks[m->nnodes] = UINT64_MAX / 2;
	node = &m->nodes[m->nnodes++];
	*node = (struct host_node) {
		.id = id,
		.has_cpu = has_cpu,
		.rank = rank,
		.tier = has_cpu ? HOST_TIER_DRAM : HOST_TIER_CXL,
		.total_bytes = pages * PAGE_BYTES,
		.free_bytes = pages * PAGE_BYTES,
	};
	for (size_t a = 0; a < m->nnodes; a++)
		for (size_t b = 0; b < m->nnodes; b++)
			m->nodes[a].distance[b] = a == b				       ? 10
						  : m->nodes[a].has_cpu && m->nodes[b].has_cpu ? 21
											       : 24;
	UNLOCK(m);
}

void machine_use_node(struct machine *m, int id, int64_t pages)
{
	LOCK(m);
	machine_node_by_id(m, id)->free_bytes -= (uint64_t)pages * PAGE_BYTES;
	UNLOCK(m);
}

void machine_fragment(struct machine *m, int id, uint64_t blocks)
{
	LOCK(m);
	m->blocks[machine_node_index(m, id)] = blocks;
	UNLOCK(m);
}

void machine_hide_blocks(struct machine *m, bool hidden)
{
	LOCK(m);
	m->hide_blocks = hidden;
	UNLOCK(m);
}

void machine_advance(struct machine *m, uint64_t ns)
{
	LOCK(m);
	m->now_ns += ns;
	UNLOCK(m);
}

void machine_slow_down(struct machine *m, unsigned int us)
{
	LOCK(m);
	m->sleep_us = us;
	UNLOCK(m);
}

uint64_t machine_hva(const struct machine_guest *g, size_t page)
{
	return MACHINE_HVA_BASE + ((uint64_t)g->pid << 36) % (1ULL << 46) + page * PAGE_BYTES;
}

int machine_pid(const struct machine_guest *g)
{
	return g->pid;
}

struct machine_guest *machine_add_guest(struct machine *m, const char *name, size_t npages,
					int node, bool large)
{
	struct machine_guest *g = calloc(1, sizeof(*g));

	LOCK(m);
	g->machine = m;
	g->pid = ++m->next_pid;
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->death_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	g->large = large;
	g->npages = npages;
	g->pages = calloc(npages, sizeof(*g->pages));
	g->first_touch = node;
	g->generation = 2;
	g->vcpu_node = m->nodes[0].id;
	g->facts.allowed_nodes = ~0ULL;
	for (size_t i = 0; i < npages; i++)
		g->pages[i] = (struct page) {.node = (int8_t)node, .mapped = true};
	machine_node_by_id(m, node)->free_bytes -= npages * PAGE_BYTES;
	g->slots = calloc(1, sizeof(*g->slots));
	g->slots[0] = (struct kvm_access_slot) {
		.npages = npages,
		.userspace_addr = machine_hva(g, 0),
	};
	g->nslots = 1;
	g->maps = calloc(1, sizeof(*g->maps));
	g->maps[0] = (struct host_mapping) {
		.start = machine_hva(g, 0),
		.end = machine_hva(g, npages),
		.backing = HOST_BACKING_ANON,
		.writable = true,
	};
	g->nmaps = 1;
	g->next = m->guests;
	m->guests = g;
	UNLOCK(m);
	return g;
}

void machine_use_hugetlb(struct machine_guest *g, uint64_t page_bytes)
{
	LOCK(g->machine);
	g->hugetlb_pages = page_bytes / PAGE_BYTES;
	g->maps[0].backing = HOST_BACKING_HUGETLB;
	g->maps[0].page_bytes = page_bytes;
	g->maps[0].shared = true;
	g->maps[0].dev = 1;
	g->maps[0].ino = (uint64_t)g->pid;
	UNLOCK(g->machine);
}

static void guest_free(struct machine_guest *g)
{
	close(g->death_fd);
	free(g->pages);
	free(g->slots);
	free(g->maps);
	free(g->ring);
	free(g);
}

void machine_guest_put(struct machine_guest *g)
{
	struct machine_guest **at = &g->machine->guests;

	if (!g->dead || g->open_vms)
		return;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	guest_free(g);
}

void machine_guest_dies(struct machine_guest *g)
{
	uint64_t one = 1;

	g->dead = true;
	for (size_t i = 0; i < g->npages; i++)
		if (g->pages[i].node >= 0)
			machine_node_by_id(g->machine, g->pages[i].node)->free_bytes += PAGE_BYTES;
	if (write(g->death_fd, &one, sizeof(one)) < 0)
		perror("eventfd");
}

void machine_kill(struct machine_guest *g)
{
	struct machine *m = g->machine;

	LOCK(m);
	machine_guest_dies(g);
	machine_guest_put(g);
	UNLOCK(m);
}

void machine_close_vm(struct machine_guest *g, bool closed)
{
	LOCK(g->machine);
	g->vm_closed = closed;
	UNLOCK(g->machine);
}

void machine_kill_in_harvest(struct machine_guest *g)
{
	LOCK(g->machine);
	g->die_in_harvest = true;
	UNLOCK(g->machine);
}

void machine_kill_in_move(struct machine_guest *g)
{
	LOCK(g->machine);
	g->die_in_move = true;
	UNLOCK(g->machine);
}

void machine_touch(struct machine_guest *g, size_t page, bool write)
{
	struct page *p = &g->pages[page];

	(void)write;
	LOCK(g->machine);
	if (p->node < 0) {
		p->node = (int8_t)g->first_touch;
		machine_node_by_id(g->machine, p->node)->free_bytes -= PAGE_BYTES;
	}
	p->mapped = true;
	p->accessed = true;
	if (g->large && !p->small)
		for (size_t i = page & ~511UL; i < (page | 511) + 1 && i < g->npages; i++) {
			g->pages[i].mapped |= g->pages[i].node >= 0;
			g->pages[i].accessed = true;
		}
	UNLOCK(g->machine);
}

void machine_first_touch(struct machine_guest *g, int node)
{
	LOCK(g->machine);
	g->first_touch = node;
	UNLOCK(g->machine);
}

int machine_node_of(struct machine_guest *g, size_t page)
{
	int node;

	LOCK(g->machine);
	node = g->pages[page].node;
	UNLOCK(g->machine);
	return node;
}

size_t machine_pages_on(struct machine_guest *g, int node)
{
	size_t n = 0;

	LOCK(g->machine);
	for (size_t i = 0; i < g->npages; i++)
		n += g->pages[i].node == node;
	UNLOCK(g->machine);
	return n;
}

void machine_discard(struct machine_guest *g, size_t page)
{
	struct page *p = &g->pages[page];

	LOCK(g->machine);
	if (p->node >= 0)
		machine_node_by_id(g->machine, p->node)->free_bytes += PAGE_BYTES;
	*p = (struct page) {.node = -1};
	UNLOCK(g->machine);
}

void machine_break(struct machine_guest *g, size_t page)
{
	for (size_t i = page & ~511UL; i < (page | 511) + 1 && i < g->npages; i++)
		g->pages[i].small = true;
}

void machine_split(struct machine_guest *g, size_t page)
{
	LOCK(g->machine);
	machine_break(g, page);
	UNLOCK(g->machine);
}

void machine_pin(struct machine_guest *g, size_t page, bool pinned)
{
	LOCK(g->machine);
	g->pages[page].pinned = pinned;
	UNLOCK(g->machine);
}

void machine_busy(struct machine_guest *g, size_t page, bool busy)
{
	LOCK(g->machine);
	g->pages[page].busy = busy;
	UNLOCK(g->machine);
}

void machine_share(struct machine_guest *g, size_t page, bool shared)
{
	LOCK(g->machine);
	g->pages[page].shared = shared;
	UNLOCK(g->machine);
}

void machine_unseen(struct machine_guest *g, size_t page, bool unseen)
{
	LOCK(g->machine);
	g->pages[page].unseen = unseen;
	UNLOCK(g->machine);
}

void machine_set_allowed(struct machine_guest *g, uint64_t nodes)
{
	LOCK(g->machine);
	g->facts.allowed_nodes = nodes;
	UNLOCK(g->machine);
}

void machine_set_facts(struct machine_guest *g, bool vfio, bool sev, bool stopped)
{
	LOCK(g->machine);
	g->facts.vfio = vfio;
	g->facts.sev = sev;
	g->facts.stopped = stopped;
	UNLOCK(g->machine);
}

void machine_set_vcpu_node(struct machine_guest *g, int id)
{
	LOCK(g->machine);
	g->vcpu_node = id;
	UNLOCK(g->machine);
}

void machine_change_slots(struct machine_guest *g, const struct kvm_access_slot *slots, size_t n)
{
	LOCK(g->machine);
	free(g->slots);
	g->slots = calloc(n + 1, sizeof(*slots));
	memcpy(g->slots, slots, n * sizeof(*slots));
	g->nslots = n;
	g->generation += 2;
	UNLOCK(g->machine);
}

void machine_set_maps(struct machine_guest *g, const struct host_mapping *maps, size_t n)
{
	LOCK(g->machine);
	free(g->maps);
	g->maps = calloc(n + 1, sizeof(*maps));
	memcpy(g->maps, maps, n * sizeof(*maps));
	g->nmaps = n;
	UNLOCK(g->machine);
}

void machine_hold_file(struct machine *m, uint64_t ino, int pid)
{
	LOCK(m);
	m->files[m->nfiles].ino = ino;
	m->files[m->nfiles++].pid = pid;
	UNLOCK(m);
}

void machine_add_ring(struct machine_guest *g, size_t entries)
{
	LOCK(g->machine);
	g->ring = calloc(entries, sizeof(*g->ring));
	g->ring_entries = entries;
	UNLOCK(g->machine);
}

void machine_fill_ring(struct machine_guest *g, const struct host_ring_entry *entries)
{
	LOCK(g->machine);
	memcpy(g->ring, entries, g->ring_entries * sizeof(*entries));
	UNLOCK(g->machine);
}

void machine_push(struct machine_guest *g, uint32_t slot, uint64_t offset, bool reset)
{
	LOCK(g->machine);
	g->ring[g->ring_head++ % g->ring_entries] = (struct host_ring_entry) {
		.flags = KVM_DIRTY_GFN_F_DIRTY,
		.slot = slot,
		.offset = offset,
	};
	if (reset)
		for (size_t i = 0; i < g->ring_entries; i++)
			g->ring[i].flags = 0;
	UNLOCK(g->machine);
}

void machine_fail_next_harvest(struct machine_guest *g, int code)
{
	LOCK(g->machine);
	g->fail_harvest = code;
	UNLOCK(g->machine);
}

void machine_stall(struct machine_guest *guest, bool stalled)
{
	LOCK(guest->machine);
	guest->stalled = stalled;
	pthread_cond_broadcast(&guest->machine->awake);
	UNLOCK(guest->machine);
}

void machine_stall_find(struct machine *m, bool stalled)
{
	LOCK(m);
	m->find_stalled = stalled;
	pthread_cond_broadcast(&m->awake);
	UNLOCK(m);
}

void machine_slow_find(struct machine *m, uint64_t ns)
{
	LOCK(m);
	m->find_ns = ns;
	UNLOCK(m);
}

void machine_change_for_ever(struct machine_guest *guest, bool changing)
{
	LOCK(guest->machine);
	guest->changing = changing;
	guest->generation++;
	UNLOCK(guest->machine);
}

void machine_fail_facts(struct machine_guest *guest, int code)
{
	LOCK(guest->machine);
	guest->fail_facts = code;
	UNLOCK(guest->machine);
}

void machine_fail_rescan(struct machine_guest *guest, int code)
{
	LOCK(guest->machine);
	guest->fail_rescan = code;
	UNLOCK(guest->machine);
}

void machine_fail_nodes(struct machine *m, bool fails)
{
	LOCK(m);
	m->nodes_fail = fails;
	UNLOCK(m);
}

void machine_slow_maps(struct machine_guest *guest, uint64_t ns)
{
	LOCK(guest->machine);
	guest->slow_ns = ns;
	UNLOCK(guest->machine);
}

void machine_refuse_access(struct machine_guest *g, const char *why)
{
	LOCK(g->machine);
	snprintf(g->refuse, sizeof(g->refuse), "%s", why);
	UNLOCK(g->machine);
}

struct machine_counts machine_counts(struct machine *m)
{
	struct machine_counts counts;

	LOCK(m);
	counts = m->counts;
	UNLOCK(m);
	return counts;
}

struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->host.ops = &machine_ops;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->awake, NULL);
	m->now_ns = NSEC_PER_SEC;
	m->kvm = HOST_KVM_PATCHED;
	m->next_pid = MACHINE_PID_BASE;
	return m;
}

struct machine *machine_free(struct machine *m)
{
	if (!m)
		return NULL;
	for (struct machine_guest *g = m->guests, *next; g; g = next) {
		next = g->next;
		guest_free(g);
	}
	pthread_cond_destroy(&m->awake);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return NULL;
}

struct host *machine_host(struct machine *m)
{
	return &m->host;
}
