// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * On which node does each page lie: asked of the harvest (bitmap on_nodes), of
 * /proc/PID/pagemap with a table from frame to node, and of move_pages(2).
 * Instructions of each, user space included, up to the same answer: a byte per page.
 * And whether they agree.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <uapi/kvm_access.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "measure.h"
#include "text_file.h"

#define MEMORY "/sys/devices/system/memory"
#define NODES  "/sys/devices/system/node"

/* Nodes that are told apart, as the lab has them; and what is none of them. */
#define NR_NODES 2
#define NOWHERE	 0xff

/* Source: Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT	 (1ULL << 63)
#define PAGEMAP_PFN_MASK ((1ULL << 55) - 1)
#define PAGEMAP_ENTRIES	 4096

/**
 * struct answers - one node or NOWHERE per page, of each method
 */
struct answers {
	uint8_t *harvest;
	uint8_t *pagemap;
	uint8_t *move_pages;
};

static void answers_free(struct answers *a)
{
	free(a->harvest);
	free(a->pagemap);
	free(a->move_pages);
}

/**
 * struct blocks - from frame to node: memory is handed out in blocks
 * @shift: frames of a block, as a power of two
 * @nr: blocks in @node
 * @node: of each block
 */
struct blocks {
	unsigned int shift;
	size_t nr;
	uint8_t node[4096];
};

static int blocks_read(struct blocks *b)
{
	char text[32];
	uint64_t bytes;

	if (text_read(MEMORY "/block_size_bytes", text, sizeof(text)) < 0)
		return -EIO;
	bytes = strtoull(text, NULL, 16);
	if (bytes < PAGE_BYTES || bytes & (bytes - 1))
		return -EPROTO;
	b->shift = (unsigned int)__builtin_ctzll(bytes) - PAGE_SHIFT_4K;
	b->nr = ARRAY_SIZE(b->node);
	memset(b->node, NOWHERE, sizeof(b->node));
	for (int node = 0; node < NR_NODES; node++) {
		const struct dirent *entry;
		unsigned int block;
		char path[64];
		DIR *dir;

		snprintf(path, sizeof(path), NODES "/node%d", node);
		dir = opendir(path);
		if (!dir) {
			fprintf(stderr, "residency: there is no node %d: give the lab two\n", node);
			return -ENOENT;
		}
		while ((entry = readdir(dir)))
			if (sscanf(entry->d_name, "memory%u", &block) == 1 && block < b->nr)
				b->node[block] = (uint8_t)node;
		closedir(dir);
	}
	return 0;
}

/* Half of the pages, each by the throw of a coin, go to node 1. */
static int scatter(struct measure *m, size_t *ret_moved)
{
	size_t pages = m->bed->pages, n = 0;
	_cleanup_(freep) void **at = calloc(pages, sizeof(*at));
	_cleanup_(freep) int *nodes = calloc(pages, sizeof(*nodes));
	_cleanup_(freep) int *status = calloc(pages, sizeof(*status));
	uint64_t random = m->seed;

	if (!at || !nodes || !status)
		return -ENOMEM;
	for (size_t i = 0; i < pages; i++) {
		if (tiny_random(&random) & 1)
			continue;
		nodes[n] = 1;
		at[n++] = bed_at(m->bed, i);
	}
	if (syscall(SYS_move_pages, 0, n, at, nodes, status, MPOL_MF_MOVE)) {
		fprintf(stderr, "residency: move_pages moved not all of %zu pages: no figures\n",
			n);
		return -EBUSY;
	}
	*ret_moved = n;
	return 0;
}

static int ask_harvest(struct measure *m, uint64_t *present, uint64_t *on_node, uint8_t *answer)
{
	const uint64_t node_1 = 2;
	struct kvm_access_harvest h = {
		.gfn = m->bed->first,
		.npages = m->bed->pages,
		.bitmap_gfn = m->bed->first,
		.flags = KVM_ACCESS_PEEK,
		.present = (uintptr_t)present,
		.on_nodes = (uintptr_t)on_node,
		.nodemask = (uintptr_t)&node_1,
		.nodemask_bits = 64,
	};
	int r;

	meter_begin(&m->meter);
	do {
		r = ioctl(m->bed->access_fd, KVM_ACCESS_HARVEST, &h);
	} while (h.npages && (!r || errno == EINTR));
	for (size_t i = 0; i < m->bed->pages; i++)
		answer[i] = !bitmap_test(present, i) ? NOWHERE : bitmap_test(on_node, i);
	meter_end(&m->meter);
	return r < 0 ? -errno : 0;
}

static int read_pagemap(const struct bed *bed, const struct blocks *b, uint64_t *entries,
			uint8_t *answer)
{
	_cleanup_(closep) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t first = (uintptr_t)bed_at(bed, 0) / PAGE_BYTES;

	for (size_t done = 0; done < bed->pages;) {
		size_t left = bed->pages - done;
		size_t n = left < PAGEMAP_ENTRIES ? left : PAGEMAP_ENTRIES;
		ssize_t got = pread(fd, entries, n * sizeof(*entries),
				    (off_t)((first + done) * sizeof(*entries)));

		if (got < (ssize_t)sizeof(*entries))
			return got < 0 ? -errno : -EIO;
		n = (size_t)got / sizeof(*entries);
		for (size_t i = 0; i < n; i++) {
			uint64_t block = (entries[i] & PAGEMAP_PFN_MASK) >> b->shift;

			answer[done + i] = entries[i] & PAGEMAP_PRESENT && block < b->nr
						   ? b->node[block]
						   : NOWHERE;
		}
		done += n;
	}
	return 0;
}

static int ask_pagemap(struct measure *m, const struct blocks *b, uint64_t *entries,
		       uint8_t *answer)
{
	int r;

	meter_begin(&m->meter);
	r = read_pagemap(m->bed, b, entries, answer);
	meter_end(&m->meter);
	return r;
}

static int ask_move_pages(struct measure *m, void **at, int *status, uint8_t *answer)
{
	long r;

	meter_begin(&m->meter);
	r = syscall(SYS_move_pages, 0, m->bed->pages, at, NULL, status, 0);
	for (size_t i = 0; i < m->bed->pages; i++)
		answer[i] = status[i] >= 0 && status[i] < NR_NODES ? (uint8_t)status[i] : NOWHERE;
	meter_end(&m->meter);
	return r < 0 ? -errno : 0;
}

static void write_line(struct measure *m, const char *variant)
{
	meter_write(&m->meter, &(struct reading) {.series = "residency",
						  .variant = variant,
						  .state = "",
						  .pages = m->bed->pages});
}

/* Page by page.  Return: -EPROTO if they differ. */
static int compare(const struct measure *m, const struct answers *a, size_t moved)
{
	size_t pages = m->bed->pages, pagemap = 0, move_pages = 0, node_1 = 0;

	for (size_t i = 0; i < pages; i++) {
		pagemap += a->harvest[i] == a->pagemap[i];
		move_pages += a->harvest[i] == a->move_pages[i];
		node_1 += a->harvest[i] == 1;
	}
	fprintf(m->meter.out,
		"{\"series\": \"residency agreement\", \"pages\": %zu, \"moved\": %zu, "
		"\"on_node_1\": %zu, \"as_pagemap\": %zu, \"as_move_pages\": %zu}\n",
		pages, moved, node_1, pagemap, move_pages);
	if (pagemap == pages && move_pages == pages && node_1 == moved)
		return 0;
	fprintf(stderr,
		"residency: of %zu pages, %zu on node 1, the harvest says the same as pagemap for "
		"%zu and as move_pages for %zu\n",
		pages, moved, pagemap, move_pages);
	return -EPROTO;
}

static int ask_all(struct measure *m, size_t moved)
{
	size_t pages = m->bed->pages;
	_cleanup_(answers_free) struct answers a = {malloc(pages), malloc(pages), malloc(pages)};
	_cleanup_(freep) uint64_t *present = calloc(bitmap_words(pages), sizeof(*present));
	_cleanup_(freep) uint64_t *on_node = calloc(bitmap_words(pages), sizeof(*on_node));
	_cleanup_(freep) uint64_t *entries = calloc(PAGEMAP_ENTRIES, sizeof(*entries));
	_cleanup_(freep) int *status = calloc(pages, sizeof(*status));
	_cleanup_(freep) void **at = calloc(pages, sizeof(*at));
	static struct blocks blocks;
	int r = blocks_read(&blocks);

	if (!a.harvest || !a.pagemap || !a.move_pages || !present || !on_node || !entries ||
	    !status || !at)
		return -ENOMEM;
	for (size_t i = 0; i < pages; i++) {
		at[i] = bed_at(m->bed, i);
		status[i] = -1;
	}
	/* Written to now, so that no page of it is met for the first time later. */
	memset(a.harvest, NOWHERE, pages);
	memset(a.pagemap, NOWHERE, pages);
	memset(a.move_pages, NOWHERE, pages);
	memset(present, 0xff, bitmap_words(pages) * sizeof(*present));
	memset(on_node, 0xff, bitmap_words(pages) * sizeof(*on_node));
	for (unsigned int i = 0; !r && i < m->reps; i++) {
		r = ask_harvest(m, present, on_node, a.harvest);
		write_line(m, "harvest");
		r = r ? r : ask_pagemap(m, &blocks, entries, a.pagemap);
		write_line(m, "pagemap");
		r = r ? r : ask_move_pages(m, at, status, a.move_pages);
		write_line(m, "move_pages");
		r = r ? r : compare(m, &a, moved);
	}
	if (r)
		fprintf(stderr, "residency: %s: no figures\n", strerror(-r));
	return r;
}

int measure_residency(struct measure *m)
{
	size_t moved = 0;
	int r = scatter(m, &moved);

	/* Moving unmaps: all of it is to be mapped again. */
	if (!r)
		r = bed_touch(m->bed, TINY_READ);
	return r ? r : ask_all(m, moved);
}
