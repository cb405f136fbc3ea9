// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions of KVM_ACCESS_HARVEST, user space included: it is one ioctl.
 */
#include "harvest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <uapi/kvm_access.h>

#include "base/bitmap.h"
#include "base/cleanup.h"

#define ALL_NODES (~0ULL)

static const struct harvest_variant variants[] = {
	{.name = "all", .large = true, .nodes = true, .dirty = true},
	{.name = "all but dirty", .large = true, .nodes = true},
	{.name = "accessed and present"},
	{.name = "accessed, present and dirty", .dirty = true},
	{.name = "all, peek",
	 .flags = KVM_ACCESS_PEEK,
	 .large = true,
	 .nodes = true,
	 .dirty = true},
	{.name = "all but dirty, peek", .flags = KVM_ACCESS_PEEK, .large = true, .nodes = true},
	{.name = "accessed and present, peek", .flags = KVM_ACCESS_PEEK},
};

void harvest_maps_deinit(struct harvest_maps *maps)
{
	free(maps->accessed);
	free(maps->present);
	free(maps->large);
	free(maps->on_nodes);
	free(maps->dirty);
}

static uint64_t *map_new(size_t pages)
{
	size_t bytes = bitmap_words(pages) * sizeof(uint64_t);
	uint64_t *map = malloc(bytes);

	/* Written to now, so that no page of it is met for the first time later. */
	return map ? memset(map, 0xff, bytes) : NULL;
}

int harvest_maps_init(struct harvest_maps *maps, size_t pages)
{
	maps->accessed = map_new(pages);
	maps->present = map_new(pages);
	maps->large = map_new(pages);
	maps->on_nodes = map_new(pages);
	maps->dirty = map_new(pages);
	return maps->accessed && maps->present && maps->large && maps->on_nodes && maps->dirty
		       ? 0
		       : -ENOMEM;
}

/* Pages are written to where dirty bits are asked for, so that as many are dirty as accessed. */
static int check(const struct measure *m, const struct harvest_variant *v,
		 const struct harvest_maps *maps, const struct kvm_access_harvest *h,
		 uint64_t accessed)
{
	uint64_t dirty = v->dirty ? accessed : 0;
	size_t pages = m->bed->pages;

	if (!h->npages && h->nr_present == pages && h->nr_accessed == accessed && !h->nr_large &&
	    h->nr_dirty == dirty && h->nr_on_nodes == (v->nodes ? pages : 0) &&
	    bitmap_count(maps->accessed, pages) == accessed &&
	    bitmap_count(maps->present, pages) == pages &&
	    (!v->dirty || bitmap_count(maps->dirty, pages) == dirty))
		return 0;
	fprintf(stderr,
		"harvest, %s: of %zu pages %llu are present, %llu accessed (should be %llu), "
		"%llu dirty (should be %llu), %llu large, %llu to be done: it was not the guest "
		"that is meant, no figures\n",
		v->name, pages, (unsigned long long)h->nr_present,
		(unsigned long long)h->nr_accessed, (unsigned long long)accessed,
		(unsigned long long)h->nr_dirty, (unsigned long long)dirty,
		(unsigned long long)h->nr_large, (unsigned long long)h->npages);
	return -EPROTO;
}

int harvest_once(struct measure *m, const char *series, const struct harvest_variant *v,
		 const struct harvest_maps *maps, const char *state, uint64_t accessed)
{
	const uint64_t nodes = ALL_NODES;
	struct kvm_access_harvest h = {
		.gfn = m->bed->first,
		.npages = m->bed->pages,
		.bitmap_gfn = m->bed->first,
		.flags = v->flags,
		.accessed = (uintptr_t)maps->accessed,
		.present = (uintptr_t)maps->present,
		.large = v->large ? (uintptr_t)maps->large : 0,
		.on_nodes = v->nodes ? (uintptr_t)maps->on_nodes : 0,
		.dirty = v->dirty ? (uintptr_t)maps->dirty : 0,
		.nodemask = v->nodes ? (uintptr_t)&nodes : 0,
		.nodemask_bits = v->nodes ? 64 : 0,
	};
	unsigned int calls = 0;
	char more[120];
	int r;

	meter_begin(&m->meter);
	do {
		r = ioctl(m->bed->access_fd, KVM_ACCESS_HARVEST, &h);
		calls++;
	} while (h.npages && (!r || errno == EINTR));
	meter_end(&m->meter);
	if (r < 0) {
		r = -errno;
		fprintf(stderr, "harvest, %s: %s: no figures\n", v->name, strerror(errno));
		return r;
	}
	snprintf(more, sizeof(more), ", \"calls\": %u, \"dirty\": %llu, \"retries\": %llu", calls,
		 (unsigned long long)h.nr_dirty, (unsigned long long)h.nr_retries);
	meter_write(&m->meter, &(struct reading) {.series = series,
						  .variant = v->name,
						  .state = state,
						  .pages = m->bed->pages,
						  .seen = h.nr_accessed,
						  .more = more});
	return check(m, v, maps, &h, accessed);
}

int harvest_clear(const struct measure *m, const struct harvest_maps *maps,
		  struct kvm_access_harvest *ret_harvest)
{
	struct kvm_access_harvest h = {
		.gfn = m->bed->first,
		.npages = m->bed->pages,
		.bitmap_gfn = m->bed->first,
		.accessed = (uintptr_t)maps->accessed,
		.present = (uintptr_t)maps->present,
		.dirty = (uintptr_t)maps->dirty,
	};
	int r;

	do {
		r = ioctl(m->bed->access_fd, KVM_ACCESS_HARVEST, &h);
	} while (h.npages && (!r || errno == EINTR));
	if (r < 0)
		return -errno;
	if (ret_harvest)
		*ret_harvest = h;
	return 0;
}

static int harvest_both(struct measure *m, const struct harvest_variant *v,
			const struct harvest_maps *maps)
{
	int r = bed_touch(m->bed, v->dirty ? TINY_WRITE : TINY_READ);

	if (!r)
		r = harvest_once(m, "harvest", v, maps, "accessed", m->bed->pages);
	if (!r && v->flags & KVM_ACCESS_PEEK)
		r = harvest_clear(m, maps, NULL);
	if (!r)
		r = harvest_once(m, "harvest", v, maps, "idle", 0);
	return r;
}

int measure_harvest(struct measure *m)
{
	_cleanup_(harvest_maps_deinit) struct harvest_maps maps = {0};
	int r = harvest_maps_init(&maps, m->bed->pages);

	for (unsigned int i = 0; !r && i < m->reps; i++)
		for (size_t n = 0; !r && n < ARRAY_SIZE(variants); n++)
			r = harvest_both(m, &variants[n], &maps);
	return r;
}
