// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * move_pages(2) as Linux 6.12 does it: a page that cannot be found ends the
 * collected list, a list with a page that cannot move ends the call with a
 * positive count, what follows is left alone with its status unwritten, a
 * target without memory ends it with -ENOMEM, a 2 MiB page for which the target
 * has no whole block is broken without a word, and what moved is unmapped from
 * the guest.
 */
#include <errno.h>

#include "base/units.h"
#include "sim/machine_state.h"

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
	machine_node_by_id(mv->g->machine, p->node)->free_bytes += PAGE_BYTES;
	mv->to->free_bytes -= PAGE_BYTES;
	p->node = (int8_t)mv->to->id;
	p->mapped = false;
	p->accessed = false;
	mv->g->machine->counts.moved_pages++;
}

/* The pages that move with the one at @hva: itself, or its 2 MiB block, or hugetlbfs page. */
static void unit_of(struct machine_guest *g, uint64_t hva, size_t *ret_first, size_t *ret_end)
{
	size_t page = (hva - machine_hva(g, 0)) / PAGE_BYTES;
	size_t pages = g->hugetlb_pages			   ? g->hugetlb_pages
		       : g->large && !g->pages[page].small ? LARGE_PAGES
							   : 1;

	*ret_first = page / pages * pages;
	*ret_end = *ret_first + pages;
	if (*ret_end > g->npages)
		*ret_end = g->npages;
}

/* A 2 MiB page takes a whole block of the target and leaves one behind, or is broken. */
static void block_moves(struct moving *mv, size_t first)
{
	struct machine *m = mv->g->machine;
	int to = machine_node_index(m, mv->to->id);

	m->blocks[machine_node_index(m, mv->g->pages[first].node)]++;
	if (machine_free_blocks(m, to)) {
		m->blocks[to]--;
	} else {
		machine_break(mv->g, first);
		m->counts.split_blocks++;
	}
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
		if (last - first == LARGE_PAGES && !mv->g->hugetlb_pages &&
		    mv->g->pages[first].node >= 0)
			block_moves(mv, first);
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
		struct page *p = machine_page_at(mv->g, mv->hvas[i]);
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

long machine_vm_move(struct host_vm *base, size_t n, const uint64_t *hvas, int node, int *status)
{
	struct machine_vm *vm = to_vm(base);
	struct machine_guest *g = vm->guest;
	struct moving mv = {.g = g, .hvas = hvas, .status = status};
	long r = 0;

	LOCK(g->machine);
	for (size_t i = 0; i < n; i++)
		status[i] = -EINPROGRESS;
	mv.to = node < 0 ? NULL : machine_node_by_id(g->machine, node);
	if (g->die_in_move && mv.to && !g->dead) {
		move_all(&mv, n / 2);
		machine_guest_dies(g);
	}
	if (vm->detached || g->dead) {
		r = -ESRCH;
	} else if (node < 0) {
		g->machine->counts.queries++;
		for (size_t i = 0; i < n; i++) {
			const struct page *p = machine_page_at(g, hvas[i]);

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
