// SPDX-License-Identifier: GPL-2.0-or-later
/* What the fake machine answers to a host's operations, all but moving. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/units.h"
#include "sim/machine_state.h"

static struct machine *to_machine(struct host *host)
{
	return (struct machine *)host;
}

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
	struct machine *m = to_machine(host);
	unsigned int us;

	machine_advance(m, ns);
	LOCK(m);
	us = m->sleep_us;
	UNLOCK(m);
	if (us)
		usleep(us);
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

	LOCK(m);
	if (m->nodes_fail) {
		UNLOCK(m);
		return error_set(err, -EMFILE, "nodes cannot be read");
	}
	*ret_n = *ret_left_out = 0;
	for (size_t n = 0; n < m->nnodes; n++) {
		if (m->nodes[n].id < 64)
			nodes[(*ret_n)++] = m->nodes[n];
		else
			++*ret_left_out;
	}
	UNLOCK(m);
	return 0;
}

static int op_free_blocks(struct host *host, int node, uint64_t *ret_blocks)
{
	struct machine *m = to_machine(host);
	int index, r = -ENOENT;

	LOCK(m);
	m->counts.looks++;
	index = machine_node_index(m, node);
	if (index >= 0 && !m->hide_blocks) {
		*ret_blocks = machine_free_blocks(m, index);
		r = 0;
	}
	UNLOCK(m);
	return r;
}

static int op_find(struct host *host, struct host_found **ret_found, size_t *ret_n,
		   struct error *err)
{
	struct machine *m = to_machine(host);
	struct host_found *found;
	size_t n = 0, room = 1;

	(void)err;
	LOCK(m);
	while (m->find_stalled)
		pthread_cond_wait(&m->awake, &m->lock);
	m->now_ns += m->find_ns;
	m->counts.finds++;
	for (struct machine_guest *g = m->guests; g; g = g->next)
		room++;
	found = calloc(room, sizeof(*found));
	for (struct machine_guest *g = m->guests; g; g = g->next) {
		if (g->dead || g->vm_closed)
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
		m->counts.held_vms++;
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
	m->counts.held_vms -= !vm->detached;
	vm->guest->open_vms--;
	machine_guest_put(vm->guest);
	UNLOCK(m);
	close(vm->watch_fd);
	free(vm);
}

static void op_vm_detach(struct host_vm *base)
{
	struct machine_vm *vm = to_vm(base);

	LOCK(vm->guest->machine);
	vm->guest->machine->counts.held_vms -= !vm->detached;
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

static void lock_proc(struct machine_guest *g)
{
	LOCK(g->machine);
	while (g->stalled)
		pthread_cond_wait(&g->machine->awake, &g->machine->lock);
}

static int op_vm_slots(struct host_vm *base, struct kvm_access_slot **ret_slots, size_t *ret_n,
		       uint64_t *ret_generation)
{
	struct machine_guest *g = to_vm(base)->guest;

	LOCK(g->machine);
	g->machine->counts.layouts++;
	if (g->changing) {
		UNLOCK(g->machine);
		return -EAGAIN;
	}
	*ret_slots = calloc(g->nslots + 1, sizeof(**ret_slots));
	memcpy(*ret_slots, g->slots, g->nslots * sizeof(**ret_slots));
	*ret_n = g->nslots;
	*ret_generation = g->generation;
	UNLOCK(g->machine);
	return 0;
}

static struct page *page_of_gfn(struct machine_guest *g, uint32_t as_id, uint64_t gfn)
{
	for (size_t i = 0; i < g->nslots; i++) {
		const struct kvm_access_slot *s = &g->slots[i];

		if (s->as_id == as_id && gfn >= s->base_gfn && gfn - s->base_gfn < s->npages)
			return machine_page_at(g, s->userspace_addr +
							  (gfn - s->base_gfn) * PAGE_BYTES);
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
	if (g->large && !p->small)
		put_bit(h->large, h, gfn);
	if (mask && (uint32_t)p->node < h->nodemask_bits && bitmap_test(mask, (size_t)p->node))
		put_bit(h->on_nodes, h, gfn);
	h->nr_unknown += p->unseen;
	if (p->accessed || p->unseen) {
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
		machine_guest_dies(g);
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

static int op_vm_rescan(struct host_vm *base, size_t *ret_nrings)
{
	struct machine_guest *g = to_vm(base)->guest;
	int r;

	lock_proc(g);
	r = g->vm_closed ? -ESRCH : g->fail_rescan;
	*ret_nrings = g->ring ? 1 : 0;
	UNLOCK(g->machine);
	return r;
}

static bool op_process_runs(struct host *host, int pid, uint64_t start_time)
{
	struct machine *m = to_machine(host);
	bool found = false;

	LOCK(m);
	for (struct machine_guest *g = m->guests; g; g = g->next)
		found |= !g->dead && g->pid == pid && (uint64_t)pid * 7 == start_time;
	UNLOCK(m);
	return found;
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
	lock_proc(g);
	g->machine->now_ns += g->slow_ns;
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
		const struct page *p = machine_page_at(g, hva + i * PAGE_BYTES);

		nodes[i] = p && p->node >= 0 ? (int8_t)machine_node_index(g->machine, p->node) : -1;
	}
	UNLOCK(g->machine);
	return 0;
}

static int op_vm_node_totals(struct host_vm *base, uint64_t pages[HOST_MAX_NODES])
{
	struct machine_guest *g = to_vm(base)->guest;

	memset(pages, 0, HOST_MAX_NODES * sizeof(*pages));
	lock_proc(g);
	g->machine->counts.totals++;
	for (size_t i = 0; i < g->npages; i++)
		if (g->pages[i].node >= 0 && g->pages[i].node < 64)
			pages[machine_node_index(g->machine, g->pages[i].node)]++;
	UNLOCK(g->machine);
	return 0;
}

static int op_vm_facts(struct host_vm *base, struct host_facts *ret_facts)
{
	struct machine_vm *vm = to_vm(base);
	struct machine_guest *g = vm->guest;
	int r = 0;

	lock_proc(g);
	if (g->dead || vm->detached) {
		r = -ESRCH;
	} else if (g->fail_facts) {
		r = g->fail_facts;
	} else {
		*ret_facts = g->facts;
		memset(ret_facts->vcpu_nodes, 0, sizeof(ret_facts->vcpu_nodes));
		if (machine_node_index(g->machine, g->vcpu_node) >= 0)
			ret_facts->vcpu_nodes[machine_node_index(g->machine, g->vcpu_node)] = 1;
	}
	UNLOCK(g->machine);
	return r;
}

static void op_free(struct host *host)
{
	(void)host; /* machine_free() ends it */
}

const struct host_ops machine_ops = {
	.now_ns = op_now_ns,
	.sleep_ns = op_sleep_ns,
	.kvm = op_kvm,
	.nodes = op_nodes,
	.free_blocks = op_free_blocks,
	.find = op_find,
	.vm_open = op_vm_open,
	.vm_close = op_vm_close,
	.vm_detach = op_vm_detach,
	.vm_alive = op_vm_alive,
	.vm_watch_fd = op_vm_watch_fd,
	.vm_slots = op_vm_slots,
	.vm_harvest = op_vm_harvest,
	.process_runs = op_process_runs,
	.vm_rescan = op_vm_rescan,
	.vm_ring_copy = op_vm_ring_copy,
	.vm_maps = op_vm_maps,
	.vm_file_holder = op_vm_file_holder,
	.vm_residency = op_vm_residency,
	.vm_node_totals = op_vm_node_totals,
	.vm_facts = op_vm_facts,
	.vm_move = machine_vm_move,
	.free = op_free,
};
