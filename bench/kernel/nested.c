// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions of KVM_ACCESS_HARVEST where the guest runs a guest of its own (L2): KVM
 * maps for L2 by shadow pages, which the harvest finds by rmaps with mmu_lock held for write.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "harvest.h"
#include "tiny-nested.h"

static const struct harvest_variant variants[] = {
	{.name = "all", .large = true, .nodes = true, .dirty = true},
	{.name = "accessed and present"},
};

/*
 * Who maps the pages: the TDP MMU those that the guest itself touches, shadow pages those
 * that L2 does.  What a hypervisor has cleared before it gives it to L2, both map.  As long as
 * L2 is there, pages that it never touches are looked at for shadow pages as well.
 */
static const struct mapping {
	const char *name;
	bool guest;
	bool l2;
} mappings[] = {
	{"nested", .l2 = true},
	{"nested and own", .guest = true, .l2 = true},
	{"own beside nested", .guest = true},
};

struct nested {
	struct measure *m;
	struct tiny_nested l1;
	struct harvest_maps maps;
};

static void nested_deinit(struct nested *n)
{
	harvest_maps_deinit(&n->maps);
}

static int l2_run(struct nested *n, size_t count)
{
	int r = tiny_nested_run(&n->l1, n->m->bed->list, count, 0);

	if (r)
		fprintf(stderr, "nested: L2 does not come through its list: %s (exit %#llx)\n",
			strerror(-r), (unsigned long long)tiny_nested_exit_code(&n->l1));
	return r;
}

static int l2_touch(struct nested *n, enum tiny_op op)
{
	struct bed *bed = n->m->bed;

	for (size_t done = 0; done < bed->pages;) {
		size_t left = bed->pages - done;
		size_t count = left < TINY_LIST_MAX ? left : TINY_LIST_MAX;
		int r;

		tiny_list_every(op, bed->first + done, bed->list, count);
		r = l2_run(n, count);
		if (r)
			return r;
		done += count;
	}
	return 0;
}

static int touch(struct nested *n, const struct mapping *mapping, enum tiny_op op)
{
	return mapping->l2 ? l2_touch(n, op) : bed_touch(n->m->bed, op);
}

/*
 * Have nothing mapped but by @mapping.  The proof is in what is harvested before and
 * after L2 has touched the pages: the accessed bits that it sets are those of shadow pages.
 */
static int map(struct nested *n, const struct mapping *mapping)
{
	struct kvm_access_harvest before = {0}, after = {0};
	size_t pages = n->m->bed->pages;
	int r = bed_remap(n->m->bed);

	if (!r && mapping->guest)
		r = bed_touch(n->m->bed, TINY_WRITE);
	/* Whoever maps the range, there are shadow pages of what L2 needs to run. */
	if (!r)
		r = l2_run(n, 0);
	if (!r)
		r = harvest_clear(n->m, &n->maps, NULL);
	if (!r)
		r = harvest_clear(n->m, &n->maps, &before);
	if (!r && mapping->l2)
		r = l2_touch(n, TINY_WRITE);
	if (!r)
		r = harvest_clear(n->m, &n->maps, &after);
	if (r)
		return r;
	fprintf(n->m->meter.out,
		"{\"series\": \"nested mapping\", \"variant\": \"%s\", \"pages\": %zu, "
		"\"present_before_l2\": %llu, \"accessed_by_l2\": %llu}\n",
		mapping->name, pages, (unsigned long long)before.nr_present,
		(unsigned long long)after.nr_accessed);
	if (before.nr_present == (mapping->guest ? pages : 0) && !before.nr_accessed &&
	    after.nr_present == pages && after.nr_accessed == (mapping->l2 ? pages : 0))
		return 0;
	fprintf(stderr,
		"nested, %s: of %zu pages %llu are present and %llu accessed before L2 has touched "
		"them, %llu and %llu afterwards: no figures\n",
		mapping->name, pages, (unsigned long long)before.nr_present,
		(unsigned long long)before.nr_accessed, (unsigned long long)after.nr_present,
		(unsigned long long)after.nr_accessed);
	return -EPROTO;
}

static int measure(struct nested *n, const struct mapping *mapping)
{
	int r = map(n, mapping);

	for (unsigned int i = 0; !r && i < n->m->reps; i++) {
		for (size_t k = 0; !r && k < ARRAY_SIZE(variants); k++) {
			const struct harvest_variant *v = &variants[k];

			r = touch(n, mapping, v->dirty ? TINY_WRITE : TINY_READ);
			if (!r)
				r = harvest_once(n->m, mapping->name, v, &n->maps, "accessed",
						 n->m->bed->pages);
			if (!r)
				r = harvest_once(n->m, mapping->name, v, &n->maps, "idle", 0);
		}
	}
	return r;
}

int measure_nested(struct measure *m)
{
	_cleanup_(nested_deinit) struct nested n = {.m = m};
	struct tiny *t = m->bed->guest;
	/* In front of the range there is room: see bed_new(). */
	uint64_t first = t->first_free;
	int r = -ENOSPC;

	if (first + tiny_nested_pages(t) <= m->bed->first)
		r = tiny_nested_init(&n.l1, t, 0, first, tiny_memory_at(&t->ram, first));
	if (r) {
		fprintf(stderr, "nested: the guest cannot be made a hypervisor: %s\n",
			strerror(-r));
		return r;
	}
	r = harvest_maps_init(&n.maps, m->bed->pages);
	for (size_t i = 0; !r && i < ARRAY_SIZE(mappings); i++)
		r = measure(&n, &mappings[i]);
	return r;
}
