// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * Slots are cut along the process' mappings into pieces, each of one backing.
 * Pieces that are not plainly this guest's own memory are counted and dropped;
 * those of hugetlbfs are clipped to whole pages.
 * What remains is sorted by host address and merged into areas; a slot then
 * becomes one or more segments that point into them.
 */
#include "discover/memslot.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"

/* User addresses end here with five-level paging. Source: Documentation/arch/x86/x86_64/mm.rst */
#define HVA_END (1ULL << 56)

/* No x86 CPU has physical addresses of more than 52 bits. */
#define GFN_END (1ULL << 40)

/*
 * Files behind the RAM of one guest.  QEMU has one per memory backend; finding
 * out who else holds one means looking through all of /proc, so a VMM must not
 * be able to ask for thousands of such looks.
 */
#define FILES_MAX 16

/*
 * Looks at a mapping for a slot.  QEMU needs some hundreds; KVM's 32764 slots on
 * one range of 65530 mappings, which is no memory at all, would be 2 * 10^9.
 */
#define CUTS_MAX (1U << 18)

#define LARGE_BYTES (LARGE_PAGES * PAGE_BYTES)

/* A part of a slot on one mapping. */
struct piece {
	struct segment segment;
	uint64_t hva;
	uint64_t dev;
	uint64_t ino;
	uint64_t offset;
	uint64_t page_bytes;
};

struct builder {
	const struct host_mapping *maps;
	size_t nmaps;
	int (*is_foreign)(void *ctx, uint64_t dev, uint64_t ino);
	void *ctx;
	struct {
		uint64_t dev, ino;
		int foreign;
	} files[FILES_MAX];
	size_t nfiles;
	struct piece *pieces;
	size_t npieces, room;
	unsigned int ncuts;
	struct memmap *map;
};

static void skip(struct builder *b, uint64_t npages, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void skip(struct builder *b, uint64_t npages, const char *fmt, ...)
{
	va_list ap;

	if (!b->map->skipped_pages) {
		va_start(ap, fmt);
		vsnprintf(b->map->skipped_reason, sizeof(b->map->skipped_reason), fmt, ap);
		va_end(ap);
	}
	b->map->skipped_pages += npages;
}

static int add_piece(struct builder *b, const struct piece *piece)
{
	if (b->npieces == b->room) {
		size_t room = b->room ? b->room * 2 : 64;
		struct piece *pieces = reallocarray(b->pieces, room, sizeof(*pieces));

		if (!pieces)
			return -ENOMEM;
		b->pieces = pieces;
		b->room = room;
	}
	b->pieces[b->npieces++] = *piece;
	return 0;
}

static int foreign_holder(struct builder *b, const struct host_mapping *m)
{
	if (!b->is_foreign || !m->ino)
		return 0;
	for (size_t i = 0; i < b->nfiles; i++)
		if (b->files[i].dev == m->dev && b->files[i].ino == m->ino)
			return b->files[i].foreign;
	if (b->nfiles == FILES_MAX)
		return -1;
	b->files[b->nfiles].dev = m->dev;
	b->files[b->nfiles].ino = m->ino;
	b->files[b->nfiles].foreign = b->is_foreign(b->ctx, m->dev, m->ino);
	return b->files[b->nfiles++].foreign;
}

/* Whether memory behind @m may be this guest's RAM at all. */
static bool mapping_is_ram(const struct host_mapping *m)
{
	if (!m->writable)
		return false;
	return m->backing == HOST_BACKING_ANON
		       ? !m->shared
		       : m->backing == HOST_BACKING_SHMEM || m->backing == HOST_BACKING_HUGETLB;
}

static int take_piece(struct builder *b, const struct host_mapping *m, const struct piece *piece)
{
	uint64_t npages = piece->segment.npages;
	int pid;

	if (!mapping_is_ram(m)) {
		skip(b, npages, "slot %u shows %s, which is not guest RAM", piece->segment.slot,
		     !m->writable			  ? "read-only memory"
		     : m->backing == HOST_BACKING_FILE	  ? "a file's page cache"
		     : m->backing == HOST_BACKING_SPECIAL ? "a device or special mapping"
							  : "shared anonymous memory");
		return 0;
	}
	if (m->backing == HOST_BACKING_HUGETLB && m->page_bytes != LARGE_BYTES) {
		char size[32];

		skip(b, npages, "slot %u lies in hugetlbfs pages of %s, which are not moved yet",
		     piece->segment.slot, units_format_bytes(m->page_bytes, size, sizeof(size)));
		return 0;
	}
	pid = foreign_holder(b, m);
	b->map->held_pages += pid ? npages : 0;
	if (pid < 0) {
		skip(b, npages, "nobody can tell who else holds the file behind slot %u",
		     piece->segment.slot);
		return 0;
	}
	if (pid) {
		skip(b, npages, "the file behind slot %u is also held by process %d",
		     piece->segment.slot, pid);
		return 0;
	}
	return add_piece(b, piece);
}

static size_t first_mapping(const struct host_mapping *maps, size_t nmaps, uint64_t hva)
{
	size_t low = 0, high = nmaps;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (maps[mid].end <= hva)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int cut_slot(struct builder *b, const struct kvm_access_slot *slot)
{
	uint64_t at = slot->userspace_addr, end, mapped = 0;

	if (slot->npages > GFN_END || slot->base_gfn > GFN_END - slot->npages || at >= HVA_END ||
	    at % PAGE_BYTES) {
		skip(b, slot->npages, "slot %u has an impossible address", slot->slot);
		return 0;
	}
	end = at + slot->npages * PAGE_BYTES;
	if (slot->flags & KVM_MEM_READONLY) {
		skip(b, slot->npages, "slot %u is read-only (ROM or flash)", slot->slot);
		return 0;
	}
	for (size_t i = first_mapping(b->maps, b->nmaps, at); i < b->nmaps; i++) {
		const struct host_mapping *m = &b->maps[i];
		uint64_t from = m->start > at ? m->start : at, to = m->end < end ? m->end : end;
		struct piece piece = {
			.segment = {.as_id = slot->as_id,
				    .slot = slot->slot,
				    .slot_gfn = slot->base_gfn},
		};
		int r;

		if (m->start >= end)
			break;
		if (++b->ncuts > CUTS_MAX)
			return -E2BIG;
		piece.hva = from;
		piece.segment.npages = (to - from) / PAGE_BYTES;
		piece.segment.gfn = slot->base_gfn + (from - at) / PAGE_BYTES;
		piece.dev = m->ino ? m->dev : 0;
		piece.ino = m->ino;
		piece.offset = m->offset + (from - m->start);
		piece.page_bytes = m->page_bytes;
		mapped += piece.segment.npages;
		r = take_piece(b, m, &piece);
		if (r < 0)
			return r;
	}
	if (mapped < slot->npages)
		skip(b, slot->npages - mapped, "slot %u reaches beyond what its process maps",
		     slot->slot);
	return 0;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_file(const void *va, const void *vb)
{
	const struct piece *a = va, *b = vb;
	int c = compare_u64(a->dev, b->dev);

	if (!c)
		c = compare_u64(a->ino, b->ino);
	if (!c)
		c = compare_u64(a->offset, b->offset);
	return c ? c : compare_u64(a->hva, b->hva);
}

static int by_hva(const void *va, const void *vb)
{
	const struct piece *a = va, *b = vb;

	return compare_u64(a->hva, b->hva);
}

static int by_gfn(const void *va, const void *vb)
{
	const struct segment *a = va, *b = vb;
	int c = compare_u64(a->as_id, b->as_id);

	return c ? c : compare_u64(a->gfn, b->gfn);
}

static int by_slot(const void *va, const void *vb)
{
	const struct segment *a = va, *b = vb;
	int c = compare_u64(a->as_id, b->as_id);

	if (!c)
		c = compare_u64(a->slot, b->slot);
	return c ? c : compare_u64(a->gfn, b->gfn);
}

/* A file mapped twice is the same memory twice: only the first mapping of it counts. */
static void drop_aliases(struct builder *b)
{
	const struct piece *owner = NULL;
	size_t kept = 0;
	uint64_t end = 0;

	qsort(b->pieces, b->npieces, sizeof(*b->pieces), by_file);
	for (size_t i = 0; i < b->npieces; i++) {
		struct piece *p = &b->pieces[i];
		bool same_file = owner && p->ino && p->ino == owner->ino && p->dev == owner->dev;

		if (same_file && p->offset < end &&
		    p->hva - p->offset != owner->hva - owner->offset) {
			skip(b, p->segment.npages, "slot %u shows memory that another slot shows",
			     p->segment.slot);
			continue;
		}
		b->pieces[kept] = *p;
		if (!same_file || p->offset + p->segment.npages * PAGE_BYTES > end) {
			end = p->offset + p->segment.npages * PAGE_BYTES;
			owner = &b->pieces[kept];
		}
		kept++;
	}
	b->npieces = kept;
}

static uint64_t piece_end(const struct piece *p)
{
	return p->hva + p->segment.npages * PAGE_BYTES;
}

/* Only what lies in [start, end) of @p.  Return: whether anything is left. */
static bool clip(struct builder *b, struct piece *p, uint64_t start, uint64_t end)
{
	uint64_t from = p->hva > start ? p->hva : start;
	uint64_t to = piece_end(p) < end ? piece_end(p) : end;
	uint64_t npages = from < to ? (to - from) / PAGE_BYTES : 0;

	if (npages < p->segment.npages)
		skip(b, p->segment.npages - npages, "slot %u shows a part of a hugetlbfs page only",
		     p->segment.slot);
	p->segment.gfn += (from - p->hva) / PAGE_BYTES;
	p->segment.npages = npages;
	p->hva = from;
	return npages;
}

/*
 * A page of hugetlbfs moves whole.  Where the slots show a part of it only, as
 * QEMU's do around the VGA hole of the first MiB, its index would not be that of
 * a block: it stays where it is.
 */
static void drop_partial_pages(struct builder *b)
{
	size_t kept = 0, run_end;

	qsort(b->pieces, b->npieces, sizeof(*b->pieces), by_hva);
	for (size_t i = 0; i < b->npieces; i = run_end) {
		const struct piece *first = &b->pieces[i];
		uint64_t bytes = first->page_bytes ? first->page_bytes : PAGE_BYTES;
		uint64_t start = (first->hva + bytes - 1) / bytes * bytes, end = first->hva;

		for (run_end = i; run_end < b->npieces; run_end++) {
			const struct piece *p = &b->pieces[run_end];

			if (p->hva > end || p->page_bytes != first->page_bytes)
				break;
			end = piece_end(p) > end ? piece_end(p) : end;
		}
		end = end / bytes * bytes;
		for (size_t k = i; k < run_end; k++)
			if (clip(b, &b->pieces[k], start, end))
				b->pieces[kept++] = b->pieces[k];
	}
	b->npieces = kept;
}

/*
 * The memory at @at as one mapping that ends at @end or before: lines of
 * /proc/PID/maps that go on with the same memory are one, however the kernel
 * has split them.  Return: whether it is RAM.
 */
static bool origin_at(const struct host_mapping *maps, size_t nmaps, uint64_t at, uint64_t end,
		      struct host_mapping *ret_origin)
{
	size_t i = first_mapping(maps, nmaps, at);
	struct host_mapping o;

	if (i == nmaps || maps[i].start > at || !mapping_is_ram(&maps[i]))
		return false;
	o = maps[i];
	o.offset = o.ino ? o.offset + (at - o.start) : 0;
	o.start = at;
	while (++i < nmaps && o.end < end) {
		const struct host_mapping *m = &maps[i];

		if (m->start != o.end || m->backing != o.backing || m->shared != o.shared ||
		    !m->writable || m->dev != o.dev || m->ino != o.ino ||
		    (o.ino && m->offset != o.offset + (m->start - o.start)))
			break;
		o.end = m->end;
	}
	o.end = o.end < end ? o.end : end;
	*ret_origin = o;
	return true;
}

/* What each area consists of, for memmap_still_ours(). */
static int note_origins(struct builder *b)
{
	struct memmap *map = b->map;
	struct host_mapping origin;

	/* A piece lies on one line, and each line of an origin has a piece on it. */
	map->origins = calloc(b->npieces + 1, sizeof(*map->origins));
	if (!map->origins)
		return -ENOMEM;
	for (size_t a = 0; a < map->nareas; a++) {
		uint64_t at = map->areas[a].hva, end = at + map->areas[a].npages * PAGE_BYTES;

		for (; at < end && origin_at(b->maps, b->nmaps, at, end, &origin); at = origin.end)
			map->origins[map->norigins++] = origin;
	}
	return 0;
}

/* Whether @p goes on where @area ends, or lies in it, in pages of the same kind. */
static bool goes_on(const struct area *area, const struct piece *p)
{
	return area && p->hva <= area->hva + area->npages * PAGE_BYTES &&
	       p->page_bytes == area->page_bytes;
}

/* Pieces sorted by hva become areas, and segments that point into them. */
static int lay_out(struct builder *b, uint64_t limit_pages, struct error *err)
{
	struct memmap *map = b->map;

	map->areas = calloc(b->npieces + 1, sizeof(*map->areas));
	map->segments = calloc(b->npieces + 1, sizeof(*map->segments));
	map->by_slot = calloc(b->npieces + 1, sizeof(*map->by_slot));
	if (!map->areas || !map->segments || !map->by_slot)
		return -ENOMEM;
	for (size_t i = 0; i < b->npieces; i++) {
		struct piece *p = &b->pieces[i];
		struct area *area = map->nareas ? &map->areas[map->nareas - 1] : NULL;
		uint64_t end = piece_end(p);

		if (!goes_on(area, p)) {
			uint64_t next = area ? area->index + area->npages : 0;

			area = &map->areas[map->nareas++];
			area->hva = p->hva;
			area->npages = 0;
			area->page_bytes = p->page_bytes;
			area->index = (next + 511) / 512 * 512 + p->hva / PAGE_BYTES % 512;
		}
		if (end > area->hva + area->npages * PAGE_BYTES)
			area->npages = (end - area->hva) / PAGE_BYTES;
		p->segment.index = area->index + (p->hva - area->hva) / PAGE_BYTES;
		map->segments[map->nsegments++] = p->segment;
		if (area->index + area->npages > limit_pages)
			return error_set(err, -E2BIG,
					 "its memory slots claim more than %llu MiB of RAM",
					 (unsigned long long)(limit_pages * PAGE_BYTES >> 20));
	}
	for (size_t a = 0; a < map->nareas; a++)
		map->ram_pages += map->areas[a].npages;
	if (map->nareas)
		map->npages = (map->areas[map->nareas - 1].index +
			       map->areas[map->nareas - 1].npages + 511) /
			      512 * 512;
	memcpy(map->by_slot, map->segments, map->nsegments * sizeof(*map->segments));
	qsort(map->segments, map->nsegments, sizeof(*map->segments), by_gfn);
	qsort(map->by_slot, map->nsegments, sizeof(*map->by_slot), by_slot);
	return 0;
}

int memmap_build(const struct kvm_access_slot *slots, size_t nslots, uint64_t generation,
		 const struct host_mapping *maps, size_t nmaps,
		 int (*is_foreign)(void *ctx, uint64_t dev, uint64_t ino), void *ctx,
		 uint64_t limit_pages, struct memmap **ret_map, struct error *err)
{
	struct builder b = {.maps = maps, .nmaps = nmaps, .is_foreign = is_foreign, .ctx = ctx};
	int r = 0;

	b.map = calloc(1, sizeof(*b.map));
	if (!b.map)
		return -ENOMEM;
	b.map->generation = generation;
	for (size_t i = 0; i < nslots && r >= 0; i++)
		r = cut_slot(&b, &slots[i]);
	if (r == -E2BIG)
		error_set(err, r, "its memory slots lie on too many mappings (more than %u times)",
			  CUTS_MAX);
	if (r >= 0 && b.npieces) {
		drop_aliases(&b);
		drop_partial_pages(&b);
		r = lay_out(&b, limit_pages, err);
		if (r >= 0)
			r = note_origins(&b);
	}
	free(b.pieces);
	if (r < 0) {
		memmap_free(b.map);
		return r;
	}
	*ret_map = b.map;
	return 0;
}

void memmap_free(struct memmap *map)
{
	if (!map)
		return;
	free(map->areas);
	free(map->origins);
	free(map->segments);
	free(map->by_slot);
	free(map);
}

int memmap_same_layout(const struct memmap *a, const struct memmap *b)
{
	return a->nareas == b->nareas &&
	       (!a->nareas || !memcmp(a->areas, b->areas, a->nareas * sizeof(*a->areas)));
}

const struct area *memmap_area_at(const struct memmap *map, uint64_t index)
{
	size_t low = 0, high = map->nareas;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct area *area = &map->areas[mid];

		if (index < area->index)
			high = mid;
		else if (index >= area->index + area->npages)
			low = mid + 1;
		else
			return area;
	}
	return NULL;
}

uint64_t memmap_hva(const struct memmap *map, uint64_t index)
{
	const struct area *area = memmap_area_at(map, index);

	return area ? area->hva + (index - area->index) * PAGE_BYTES : 0;
}

uint64_t memmap_index(const struct memmap *map, uint64_t hva)
{
	size_t low = 0, high = map->nareas;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct area *area = &map->areas[mid];

		if (hva < area->hva)
			high = mid;
		else if (hva >= area->hva + area->npages * PAGE_BYTES)
			low = mid + 1;
		else
			return area->index + (hva - area->hva) / PAGE_BYTES;
	}
	return UINT64_MAX;
}

uint64_t memmap_ring_index(const struct memmap *map, uint32_t slot, uint64_t offset)
{
	uint32_t as_id = slot >> 16, id = slot & 0xffff;
	size_t low = 0, high = map->nsegments;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct segment *s = &map->by_slot[mid];
		uint64_t first = s->gfn - s->slot_gfn;

		if (as_id < s->as_id || (as_id == s->as_id && id < s->slot) ||
		    (as_id == s->as_id && id == s->slot && offset < first))
			high = mid;
		else if (as_id == s->as_id && id == s->slot && offset - first < s->npages)
			return s->index + (offset - first);
		else
			low = mid + 1;
	}
	return UINT64_MAX;
}

int memmap_still_ours(const struct memmap *map, const struct host_mapping *maps, size_t nmaps)
{
	for (size_t i = 0; i < map->norigins; i++) {
		const struct host_mapping *was = &map->origins[i];
		struct host_mapping now;

		if (!origin_at(maps, nmaps, was->start, was->end, &now) || now.end != was->end ||
		    now.backing != was->backing || now.shared != was->shared ||
		    now.dev != was->dev || now.ino != was->ino || now.offset != was->offset)
			return 0;
	}
	return 1;
}
