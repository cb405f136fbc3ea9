// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * The guest's slots are walked in gfn order, address space by address space,
 * in chunks whose bitmaps fit the CPU's cache.  Neighbouring segments share a
 * walk, because a harvest starts at a multiple of 64 gfns and clearing what
 * belongs to the segment before would lose its bits.  The bits are then ORed
 * into the sample by page index.
 *
 * Which node a page lies on takes as many bits as the node's index has: the
 * walk that clears brings the lowest, PEEKs bring the others.  Where the host
 * has nodes that are left alone one more PEEK tells which pages lie on none of
 * these: without it their bits would spell the index of the first node.
 */
#include <errno.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "harvest/source.h"

/* 512 MiB of guest: bitmaps of 16 KiB each. */
#define CHUNK_PAGES 131072
#define CHUNK_WORDS (CHUNK_PAGES / 64)

/* Segments closer than this are walked together; empty gfns cost next to nothing. */
#define GAP_PAGES 4096

struct chunk {
	uint64_t accessed[CHUNK_WORDS];
	uint64_t present[CHUNK_WORDS];
	uint64_t large[CHUNK_WORDS];
	uint64_t on[CHUNK_WORDS];
};

/* Segments [first, last) of one address space that are walked as one range of gfns. */
struct span {
	size_t first;
	size_t last;
	uint64_t start;
	uint64_t end;
};

static void span_at(const struct memmap *map, size_t first, struct span *span)
{
	const struct segment *s = &map->segments[first];

	span->first = first;
	span->start = s->gfn & ~63ULL;
	span->end = s->gfn + s->npages;
	for (span->last = first + 1; span->last < map->nsegments; span->last++) {
		const struct segment *next = &map->segments[span->last];

		if (next->as_id != s->as_id || next->gfn > span->end + GAP_PAGES)
			break;
		if (next->gfn + next->npages > span->end)
			span->end = next->gfn + next->npages;
	}
}

/* One range to its end, however many calls that takes. */
static int harvest_range(struct host_vm *vm, struct kvm_access_harvest *h)
{
	while (h->npages) {
		int r = vm->host->ops->vm_harvest(vm, h);

		if (r == -ESTALE)
			return HARVEST_STALE;
		if (r == -ESRCH)
			return HARVEST_GONE;
		if (r < 0 && r != -EINTR)
			return r;
	}
	return HARVEST_OK;
}

static void merge(const struct memmap *map, const struct span *span, uint64_t *dst,
		  const uint64_t *src, uint64_t gfn, uint64_t npages)
{
	for (size_t i = span->first; i < span->last; i++) {
		const struct segment *s = &map->segments[i];
		uint64_t from = s->gfn > gfn ? s->gfn : gfn;
		uint64_t to = s->gfn + s->npages;

		if (to > gfn + npages)
			to = gfn + npages;
		if (from < to)
			bitmap_or_at(dst, s->index + (from - s->gfn), src, from - gfn, to - from);
	}
}

/* The nodes whose index has bit @k, or all of them for the walk after the last plane. */
static uint64_t nodemask(const struct harvest_job *job, unsigned int k)
{
	uint64_t mask = 0;

	for (size_t n = 0; n < job->nnodes; n++)
		if (k == job->sample->node_planes || n >> k & 1)
			mask |= 1ULL << job->nodes[n].id;
	return mask;
}

static int harvest_chunk(struct harvest_job *job, const struct span *span, struct chunk *chunk,
			 uint64_t gfn, uint64_t npages, bool last)
{
	struct sample *sample = job->sample;
	uint32_t as_id = job->map->segments[span->first].as_id;

	for (unsigned int k = 0; k < sample->node_planes + !!sample->placed; k++) {
		bool is_plane = k < sample->node_planes;
		uint64_t mask = nodemask(job, k);
		struct kvm_access_harvest h = {
			.gfn = gfn,
			.npages = npages,
			.bitmap_gfn = gfn,
			.as_id = as_id,
			.flags = k		      ? KVM_ACCESS_PEEK
				 : last && job->flush ? KVM_ACCESS_FLUSH_END
						      : 0,
			.generation = job->map->generation,
			.on_nodes = (uintptr_t)chunk->on,
			.nodemask = (uintptr_t)&mask,
			.nodemask_bits = 64,
		};
		int r;

		if (!k) {
			h.accessed = (uintptr_t)chunk->accessed;
			h.present = (uintptr_t)chunk->present;
			h.large = (uintptr_t)chunk->large;
		}
		r = harvest_range(job->vm, &h);
		if (r != HARVEST_OK)
			return r;
		if (!k) {
			sample->unknown_pages += h.nr_unknown;
			if (!h.nr_present)
				return HARVEST_OK;
			merge(job->map, span, sample->accessed, chunk->accessed, gfn, npages);
			merge(job->map, span, sample->present, chunk->present, gfn, npages);
			merge(job->map, span, sample->large, chunk->large, gfn, npages);
		}
		merge(job->map, span, is_plane ? sample->node[k] : sample->placed, chunk->on, gfn,
		      npages);
	}
	return HARVEST_OK;
}

/* Nothing to walk, and so nothing that would tell that there is something now. */
static int look_for_slots(struct host_vm *vm, const struct memmap *map)
{
	_cleanup_(freep) struct kvm_access_slot *slots = NULL;
	size_t nslots = 0;
	uint64_t generation = 0;
	int r = vm->host->ops->vm_slots(vm, &slots, &nslots, &generation);

	if (r == -EAGAIN)
		return HARVEST_STALE;
	if (r == -ESRCH)
		return HARVEST_GONE;
	if (r < 0)
		return r;
	return generation == map->generation ? HARVEST_OK : HARVEST_STALE;
}

int source_kvm_pass(struct harvest_job *job)
{
	const struct memmap *map = job->map;
	struct chunk chunk;
	struct span span;

	if (!map->nsegments)
		return look_for_slots(job->vm, map);
	for (size_t i = 0; i < map->nsegments; i = span.last) {
		span_at(map, i, &span);
		for (uint64_t gfn = span.start; gfn < span.end; gfn += CHUNK_PAGES) {
			uint64_t left = span.end - gfn;
			uint64_t npages = left < CHUNK_PAGES ? left : CHUNK_PAGES;
			bool last = span.last == map->nsegments && left <= CHUNK_PAGES;
			int r = harvest_chunk(job, &span, &chunk, gfn, npages, last);

			if (r != HARVEST_OK)
				return r;
		}
	}
	return HARVEST_OK;
}
