// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * A page is one struct: where it lies, whether the guest's second-level table
 * maps it, its accessed bit, whether it is pinned.  move_pages(2) is modelled
 * as Linux 6.12 does it: a page that cannot be found ends the collected list,
 * a list with a page that cannot move ends the call with a positive count,
 * what follows is left alone with its status unwritten, and what moved is
 * unmapped from the guest.
 */
#include "sim/machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/units.h"

#define MACHINE_PID_BASE 1000
#define MACHINE_HVA_BASE 0x7f0000000000ULL
#define MACHINE_FILES	 16

struct page {
	int8_t node; /* id, -1: a hole */
	bool mapped;
	bool accessed;
	bool pinned;
	bool busy;
	bool shared; /* mapped by another process too */
};

struct machine_guest {
	struct machine_guest *next;
	struct machine *machine;
	int pid;
	char name[GUEST_NAME_MAX];
	bool dead;
	int death_fd;
	size_t open_vms;
	bool large;
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
	char refuse[128];
};

struct machine_vm {
	struct host_vm base;
	struct machine_guest *guest;
	int watch_fd; /* a duplicate, as every pidfd_open(2) gives an fd of its own */
	bool detached;
};

struct machine {
	struct host host;
	pthread_mutex_t lock;
	uint64_t now_ns;
	enum host_kvm kvm;
	struct host_node nodes[HOST_MAX_NODES];
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

static struct machine *to_machine(struct host *host)
{
	return (struct machine *)host;
}

static struct machine_vm *to_vm(struct host_vm *vm)
{
	return (struct machine_vm *)vm;
}

static struct host_node *node_by_id(struct machine *m, int id)
{
	for (size_t n = 0; n < m->nnodes; n++)
		if (m->nodes[n].id == id)
			return &m->nodes[n];
	return NULL;
}

static int index_by_id(const struct machine *m, int id)
{
	for (size_t n = 0; n < m->nnodes; n++)
		if (m->nodes[n].id == id)
			return (int)n;
	return -1;
}

/* ---- what tests do to the machine ---- */

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
	node_by_id(m, id)->free_bytes -= (uint64_t)pages * PAGE_BYTES;
	UNLOCK(m);
}

void machine_advance(struct machine *m, uint64_t ns)
{
	LOCK(m);
	m->now_ns += ns;
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
	node_by_id(m, node)->free_bytes -= npages * PAGE_BYTES;
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

static void guest_free(struct machine_guest *g)
{
	close(g->death_fd);
	free(g->pages);
	free(g->slots);
	free(g->maps);
	free(g->ring);
	free(g);
}

/* With the lock held: a process that has ended is forgotten when nobody holds it. */
static void guest_put(struct machine_guest *g)
{
	struct machine_guest **at = &g->machine->guests;

	if (!g->dead || g->open_vms)
		return;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	guest_free(g);
}

static void guest_dies(struct machine_guest *g)
{
	uint64_t one = 1;

	g->dead = true;
	for (size_t i = 0; i < g->npages; i++)
		if (g->pages[i].node >= 0)
			node_by_id(g->machine, g->pages[i].node)->free_bytes += PAGE_BYTES;
	if (write(g->death_fd, &one, sizeof(one)) < 0)
		perror("eventfd");
}

void machine_kill(struct machine_guest *g)
{
	struct machine *m = g->machine;

	LOCK(m);
	guest_dies(g);
	guest_put(g);
	UNLOCK(m);
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
		node_by_id(g->machine, p->node)->free_bytes -= PAGE_BYTES;
	}
	p->mapped = true;
	p->accessed = true;
	if (g->large)
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
		node_by_id(g->machine, p->node)->free_bytes += PAGE_BYTES;
	*p = (struct page) {.node = -1};
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

/* ---- host operations ---- */

static uint64_t op_now_ns(struct host *host)
{
	struct machine *m = to_machine(host);
	uint64_t now_ns;

	LOCK(m);
	now_ns = m->now_ns;
	UNLOCK(m);
	return now_ns;
}

static void op_sleep_ns(struct host *host, uint64_t ns)
{
	machine_advance(to_machine(host), ns);
}

static enum host_kvm op_kvm(struct host *host, struct error *ret_why)
{
	struct machine *m = to_machine(host);
	enum host_kvm kvm;

	LOCK(m);
	kvm = m->kvm;
	UNLOCK(m);
	if (kvm != HOST_KVM_PATCHED)
		error_set(ret_why, -EOPNOTSUPP, "this machine's KVM is not patched");
	return kvm;
}

static int op_nodes(struct host *host, struct host_node nodes[HOST_MAX_NODES], size_t *ret_n,
		    size_t *ret_left_out, struct error *err)
{
	struct machine *m = to_machine(host);

	(void)err;
	LOCK(m);
	memcpy(nodes, m->nodes, sizeof(m->nodes));
	*ret_n = m->nnodes;
	UNLOCK(m);
	*ret_left_out = 0;
	return 0;
}

static int op_find(struct host *host, struct host_found **ret_found, size_t *ret_n,
		   struct error *err)
{
	struct machine *m = to_machine(host);
	struct host_found *found;
	size_t n = 0, room = 1;

	(void)err;
	LOCK(m);
	for (struct machine_guest *g = m->guests; g; g = g->next)
		room++;
	found = calloc(room, sizeof(*found));
	for (struct machine_guest *g = m->guests; g; g = g->next) {
		if (g->dead)
			continue;
		found[n].pid = g->pid;
		found[n].start_time = (uint64_t)g->pid * 7;
		memcpy(found[n++].name, g->name, sizeof(g->name));
	}
	UNLOCK(m);
	*ret_found = found;
	*ret_n = n;
	return 0;
}

static int op_vm_open(struct host *host, const struct host_found *found, struct host_vm **ret_vm,
		      struct error *ret_source, struct error *err)
{
	struct machine *m = to_machine(host);
	struct machine_vm *vm = calloc(1, sizeof(*vm));
	int r = -ESRCH;

	LOCK(m);
	for (struct machine_guest *g = m->guests; g; g = g->next) {
		if (g->pid != found->pid || g->dead)
			continue;
		vm->base.host = host;
		vm->guest = g;
		vm->watch_fd = dup(g->death_fd);
		if (g->refuse[0])
			error_set(ret_source, -EOPNOTSUPP, "%s", g->refuse);
		else if (m->kvm != HOST_KVM_PATCHED)
			error_set(ret_source, -ENOTTY, "the loaded KVM has no access fds");
		m->counts.open_vms++;
		g->open_vms++;
		r = 0;
	}
	UNLOCK(m);
	if (r < 0) {
		free(vm);
		return error_set(err, r, "guest '%s' is gone", found->name);
	}
	*ret_vm = &vm->base;
	return 0;
}

static void op_vm_close(struct host_vm *base)
{
	struct machine_vm *vm = to_vm(base);
	struct machine *m = vm->guest->machine;

	LOCK(m);
	m->counts.open_vms--;
	vm->guest->open_vms--;
	guest_put(vm->guest);
	UNLOCK(m);
	close(vm->watch_fd);
	free(vm);
}

static void op_vm_detach(struct host_vm *base)
{
	struct machine_vm *vm = to_vm(base);

	LOCK(vm->guest->machine);
	vm->detached = true;
	UNLOCK(vm->guest->machine);
}

static bool op_vm_alive(struct host_vm *base)
{
	struct machine_vm *vm = to_vm(base);
	bool alive;

	LOCK(vm->guest->machine);
	alive = !vm->detached && !vm->guest->dead;
	UNLOCK(vm->guest->machine);
	return alive;
}

static int op_vm_watch_fd(struct host_vm *base)
{
	return to_vm(base)->watch_fd;
}

static bool op_vm_has_access(struct host_vm *base)
{
	struct machine_guest *g = to_vm(base)->guest;

	return !g->refuse[0] && g->machine->kvm == HOST_KVM_PATCHED;
}

static int op_vm_slots(struct host_vm *base, struct kvm_access_slot **ret_slots, size_t *ret_n,
		       uint64_t *ret_generation)
{
	struct machine_guest *g = to_vm(base)->guest;

	LOCK(g->machine);
	*ret_slots = calloc(g->nslots + 1, sizeof(**ret_slots));
	memcpy(*ret_slots, g->slots, g->nslots * sizeof(**ret_slots));
	*ret_n = g->nslots;
	*ret_generation = g->generation;
	UNLOCK(g->machine);
	return 0;
}

static struct page *page_at(struct machine_guest *g, uint64_t hva)
{
	uint64_t start = machine_hva(g, 0);

	return hva >= start && hva < start + g->npages * PAGE_BYTES
		       ? &g->pages[(hva - start) / PAGE_BYTES]
		       : NULL;
}

static struct page *page_of_gfn(struct machine_guest *g, uint32_t as_id, uint64_t gfn)
{
	for (size_t i = 0; i < g->nslots; i++) {
		const struct kvm_access_slot *s = &g->slots[i];

		if (s->as_id == as_id && gfn >= s->base_gfn && gfn - s->base_gfn < s->npages)
			return page_at(g, s->userspace_addr + (gfn - s->base_gfn) * PAGE_BYTES);
	}
	return NULL;
}

static void put_bit(uint64_t user, const struct kvm_access_harvest *h, uint64_t gfn)
{
	if (user)
		bitmap_set((uint64_t *)(uintptr_t)user, gfn - h->bitmap_gfn);
}

static void harvest_page(struct machine_guest *g, struct kvm_access_harvest *h, uint64_t gfn)
{
	struct page *p = page_of_gfn(g, h->as_id, gfn);
	const uint64_t *mask = (const uint64_t *)(uintptr_t)h->nodemask;

	if (!p || !p->mapped || p->node < 0)
		return;
	put_bit(h->present, h, gfn);
	h->nr_present++;
	if (g->large)
		put_bit(h->large, h, gfn);
	if (mask && bitmap_test(mask, (size_t)p->node))
		put_bit(h->on_nodes, h, gfn);
	if (p->accessed) {
		put_bit(h->accessed, h, gfn);
		h->nr_accessed++;
		if (!(h->flags & KVM_ACCESS_PEEK))
			p->accessed = false;
	}
}

static void clear_words(uint64_t user, const struct kvm_access_harvest *h)
{
	if (user)
		memset((uint64_t *)(uintptr_t)user + (h->gfn - h->bitmap_gfn) / 64, 0,
		       bitmap_words(h->npages) * 8);
}

static int op_vm_harvest(struct host_vm *base, struct kvm_access_harvest *h)
{
	struct machine_vm *vm = to_vm(base);
	struct machine_guest *g = vm->guest;
	int r = 0;

	LOCK(g->machine);
	g->machine->counts.harvests++;
	if (g->die_in_harvest && !g->dead)
		guest_dies(g);
	if (vm->detached || g->dead) {
		r = -ESRCH;
	} else if (g->fail_harvest) {
		r = g->fail_harvest;
		g->fail_harvest = 0;
	} else if (h->gfn % 64 || h->bitmap_gfn % 64 || !h->npages) {
		r = -EINVAL;
	} else if (h->generation && h->generation != g->generation) {
		h->generation_now = g->generation;
		r = -ESTALE;
	} else {
		clear_words(h->accessed, h);
		clear_words(h->present, h);
		clear_words(h->large, h);
		clear_words(h->on_nodes, h);
		for (uint64_t gfn = h->gfn; gfn < h->gfn + h->npages; gfn++)
			harvest_page(g, h, gfn);
		h->gfn += h->npages;
		h->npages = 0;
		h->generation_now = g->generation;
	}
	UNLOCK(g->machine);
	return r;
}

static size_t op_vm_rescan(struct host_vm *base)
{
	return to_vm(base)->guest->ring ? 1 : 0;
}

static int op_vm_ring_copy(struct host_vm *base, size_t vcpu, struct host_ring_entry *entries,
			   size_t max, size_t *ret_n)
{
	struct machine_guest *g = to_vm(base)->guest;

	if (vcpu || !g->ring || g->ring_entries > max)
		return -ENOENT;
	LOCK(g->machine);
	memcpy(entries, g->ring, g->ring_entries * sizeof(*entries));
	*ret_n = g->ring_entries;
	UNLOCK(g->machine);
	return 0;
}

static int op_vm_maps(struct host_vm *base, struct host_mapping **ret_maps, size_t *ret_n,
		      struct error *err)
{
	struct machine_guest *g = to_vm(base)->guest;

	(void)err;
	LOCK(g->machine);
	*ret_maps = calloc(g->nmaps + 1, sizeof(**ret_maps));
	memcpy(*ret_maps, g->maps, g->nmaps * sizeof(**ret_maps));
	*ret_n = g->nmaps;
	UNLOCK(g->machine);
	return 0;
}

static int op_vm_file_holder(struct host_vm *base, uint64_t dev, uint64_t ino, int *ret_pid)
{
	struct machine *m = to_vm(base)->guest->machine;

	(void)dev;
	*ret_pid = 0;
	LOCK(m);
	for (size_t i = 0; i < m->nfiles; i++)
		if (m->files[i].ino == ino)
			*ret_pid = m->files[i].pid;
	UNLOCK(m);
	return 0;
}

static int op_vm_residency(struct host_vm *base, uint64_t hva, size_t npages, int8_t *nodes)
{
	struct machine_guest *g = to_vm(base)->guest;

	LOCK(g->machine);
	for (size_t i = 0; i < npages; i++) {
		const struct page *p = page_at(g, hva + i * PAGE_BYTES);

		nodes[i] = p && p->node >= 0 ? (int8_t)index_by_id(g->machine, p->node) : -1;
	}
	UNLOCK(g->machine);
	return 0;
}

static int op_vm_node_totals(struct host_vm *base, uint64_t pages[HOST_MAX_NODES])
{
	struct machine_guest *g = to_vm(base)->guest;

	memset(pages, 0, HOST_MAX_NODES * sizeof(*pages));
	LOCK(g->machine);
	for (size_t i = 0; i < g->npages; i++)
		if (g->pages[i].node >= 0)
			pages[index_by_id(g->machine, g->pages[i].node)]++;
	UNLOCK(g->machine);
	return 0;
}

static int op_vm_facts(struct host_vm *base, struct host_facts *ret_facts)
{
	struct machine_vm *vm = to_vm(base);
	struct machine_guest *g = vm->guest;
	int r = 0;

	LOCK(g->machine);
	if (g->dead || vm->detached) {
		r = -ESRCH;
	} else {
		*ret_facts = g->facts;
		memset(ret_facts->vcpu_nodes, 0, sizeof(ret_facts->vcpu_nodes));
		if (index_by_id(g->machine, g->vcpu_node) >= 0)
			ret_facts->vcpu_nodes[index_by_id(g->machine, g->vcpu_node)] = 1;
	}
	UNLOCK(g->machine);
	return r;
}

/* One call to move_pages(2) under way. */
struct moving {
	struct machine_guest *g;
	struct host_node *to;
	const uint64_t *hvas;
	int *status;
	size_t start; /* of the list that is being collected */
};

static void page_moves(struct moving *mv, struct page *p)
{
	node_by_id(mv->g->machine, p->node)->free_bytes += PAGE_BYTES;
	mv->to->free_bytes -= PAGE_BYTES;
	p->node = (int8_t)mv->to->id;
	p->mapped = false;
	p->accessed = false;
	mv->g->machine->counts.moved_pages++;
}

/* The pages that move with the one at @hva: itself, or its 2 MiB block. */
static void unit_of(struct machine_guest *g, uint64_t hva, size_t *ret_first, size_t *ret_end)
{
	size_t page = (hva - machine_hva(g, 0)) / PAGE_BYTES;

	*ret_first = g->large ? page & ~511UL : page;
	*ret_end = g->large ? *ret_first + 512 : page + 1;
	if (*ret_end > g->npages)
		*ret_end = g->npages;
}

/*
 * Try the list [start, end): all that can move moves.  Return: the number of
 * pages left behind, or -ENOMEM, which ends the call on the spot.
 */
static long try_list(struct moving *mv, size_t end)
{
	long failed = 0;

	for (size_t i = mv->start; i < end; i++) {
		size_t first, last;
		bool stuck = false;

		unit_of(mv->g, mv->hvas[i], &first, &last);
		for (size_t k = first; k < last; k++)
			stuck |= mv->g->pages[k].pinned;
		if (stuck) {
			failed++;
			continue;
		}
		if (mv->to->free_bytes < (last - first) * PAGE_BYTES)
			return -ENOMEM;
		for (size_t k = first; k < last; k++)
			if (mv->g->pages[k].node >= 0 && mv->g->pages[k].node != mv->to->id)
				page_moves(mv, &mv->g->pages[k]);
	}
	if (!failed)
		for (size_t i = mv->start; i < end; i++)
			mv->status[i] = mv->to->id;
	mv->start = end + 1;
	return failed;
}

static long move_all(struct moving *mv, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct page *p = page_at(mv->g, mv->hvas[i]);
		int status = !p			     ? -EFAULT
			     : p->node < 0	     ? -ENOENT
			     : p->busy		     ? -EBUSY
			     : p->shared	     ? -EACCES
			     : p->node == mv->to->id ? p->node
						     : -EINPROGRESS;
		long failed;

		if (!(mv->g->facts.allowed_nodes >> mv->to->id & 1)) {
			try_list(mv, i);
			return -EACCES;
		}
		if (status == -EINPROGRESS)
			continue; /* collected */
		mv->status[i] = status;
		failed = try_list(mv, i);
		if (failed)
			return failed < 0 ? failed : failed + (long)(n - i - 1);
	}
	return try_list(mv, n);
}

static long op_vm_move(struct host_vm *base, size_t n, const uint64_t *hvas, int node, int *status)
{
	struct machine_vm *vm = to_vm(base);
	struct machine_guest *g = vm->guest;
	struct moving mv = {.g = g, .hvas = hvas, .status = status};
	long r = 0;

	LOCK(g->machine);
	for (size_t i = 0; i < n; i++)
		status[i] = -EINPROGRESS;
	mv.to = node < 0 ? NULL : node_by_id(g->machine, node);
	if (g->die_in_move && mv.to && !g->dead) {
		move_all(&mv, n / 2);
		guest_dies(g);
	}
	if (vm->detached || g->dead) {
		r = -ESRCH;
	} else if (node < 0) {
		g->machine->counts.queries++;
		for (size_t i = 0; i < n; i++) {
			const struct page *p = page_at(g, hvas[i]);

			status[i] = !p ? -EFAULT : p->node < 0 ? -ENOENT : p->node;
		}
	} else if (!mv.to) {
		r = -ENODEV;
	} else {
		uint64_t before = g->machine->counts.moved_pages, bytes;

		g->machine->counts.moves++;
		r = move_all(&mv, n);
		bytes = (g->machine->counts.moved_pages - before) * PAGE_BYTES;
		if (bytes > g->machine->counts.longest_move_bytes)
			g->machine->counts.longest_move_bytes = bytes;
	}
	UNLOCK(g->machine);
	return r;
}

static void op_free(struct host *host)
{
	(void)host; /* machine_free() ends it */
}

static const struct host_ops machine_ops = {
	.now_ns = op_now_ns,
	.sleep_ns = op_sleep_ns,
	.kvm = op_kvm,
	.nodes = op_nodes,
	.find = op_find,
	.vm_open = op_vm_open,
	.vm_close = op_vm_close,
	.vm_detach = op_vm_detach,
	.vm_alive = op_vm_alive,
	.vm_watch_fd = op_vm_watch_fd,
	.vm_has_access = op_vm_has_access,
	.vm_slots = op_vm_slots,
	.vm_harvest = op_vm_harvest,
	.vm_rescan = op_vm_rescan,
	.vm_ring_copy = op_vm_ring_copy,
	.vm_maps = op_vm_maps,
	.vm_file_holder = op_vm_file_holder,
	.vm_residency = op_vm_residency,
	.vm_node_totals = op_vm_node_totals,
	.vm_facts = op_vm_facts,
	.vm_move = op_vm_move,
	.free = op_free,
};

struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->host.ops = &machine_ops;
	pthread_mutex_init(&m->lock, NULL);
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
	pthread_mutex_destroy(&m->lock);
	free(m);
	return NULL;
}

struct host *machine_host(struct machine *m)
{
	return &m->host;
}
