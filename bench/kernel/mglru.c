// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions of one ageing by the multi-gen LRU, asked for through its debugfs
 * file.  Source: Documentation/admin-guide/mm/multigen_lru.rst.
 *
 * DOC: what the kernel does here
 * "+ memcg node max_gen swappiness force" walks the page tables of each process of
 * the memory cgroup, here of this one only, and adds a generation.  For each page
 * of the node it tests and clears the accessed bit of the process's own entry, and
 * calls the MMU notifier's clear_young, as that page may be mapped for a guest
 * (walk_pte_range(), mm/vmscan.c, Linux 6.12 stable).  A page found young goes to
 * the youngest generation of before, which is how one sees that the walk has met
 * all pages.  All of the call is counted, with the pages of this program itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "measure.h"
#include "text_file.h"

#define CGROUP	"/sys/fs/cgroup/vmtier-bench"
#define LRU_GEN "/sys/kernel/debug/lru_gen"

/* Of the lab: node 0 has DRAM, and the bed is bound to it. */
#define NODE 0

/* Pages of this program that happen to be young, too: code, stack, heap. */
#define OTHER_PAGES_MAX 4096

int measure_mglru_enter(void)
{
	int r = text_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");

	if (!r && mkdir(CGROUP, 0755) < 0 && errno != EEXIST) {
		r = -errno;
		fprintf(stderr, "cannot make the cgroup " CGROUP ": %s\n", strerror(errno));
	}
	if (!r)
		r = text_write_u64(CGROUP "/cgroup.procs", (uint64_t)getpid());
	/* All of its parts: lists of processes, page tables, and their middle levels. */
	return r ? r : text_write("/sys/kernel/mm/lru_gen/enabled", "7");
}

/**
 * struct generations - of this cgroup on NODE
 * @memcg: its id
 * @max: the youngest
 * @anon: private pages in each, by number modulo ARRAY_SIZE
 */
struct generations {
	unsigned int memcg;
	unsigned long max;
	unsigned long anon[16];
};

static int generations_read(struct generations *g)
{
	static char text[1 << 16];
	unsigned long seq, ms, anon, file;
	char *at, *line, *save = NULL;
	unsigned int node;
	bool here = false;
	long r = text_read(LRU_GEN, text, sizeof(text));

	if (r < 0)
		return (int)r;
	*g = (struct generations) {0};
	at = strstr(text, "/vmtier-bench\n");
	while (at && at > text && at[-1] != '\n')
		at--;
	if (!at || sscanf(at, "memcg %u", &g->memcg) != 1) {
		fprintf(stderr, LRU_GEN " does not list this process's cgroup: no figures\n");
		return -ENOENT;
	}
	strtok_r(at, "\n", &save);
	while ((line = strtok_r(NULL, "\n", &save)) && strncmp(line, "memcg", 5)) {
		if (sscanf(line, " node %u", &node) == 1) {
			here = node == NODE;
		} else if (here && sscanf(line, "%lu %lu %lu %lu", &seq, &ms, &anon, &file) == 4) {
			g->max = seq;
			g->anon[seq % ARRAY_SIZE(g->anon)] = anon;
		}
	}
	return 0;
}

static int age(struct measure *m, const char *state, bool accessed)
{
	_cleanup_(closep) int fd = open(LRU_GEN, O_WRONLY | O_CLOEXEC);
	struct generations before, after;
	unsigned long found;
	char command[80], more[80];
	ssize_t n;
	int length, r;

	if (fd < 0)
		return -errno;
	r = generations_read(&before);
	if (r)
		return r;
	length = snprintf(command, sizeof(command), "+ %u %d %lu 200 1", before.memcg, NODE,
			  before.max);
	meter_begin(&m->meter);
	n = write(fd, command, (size_t)length);
	meter_end(&m->meter);
	if (n != length) {
		r = n < 0 ? -errno : -EIO;
		fprintf(stderr, "mglru: '%s' was refused: %s: no figures\n", command, strerror(-r));
		return r;
	}
	r = generations_read(&after);
	if (r)
		return r;
	found = after.anon[before.max % ARRAY_SIZE(after.anon)];
	snprintf(more, sizeof(more), ", \"generation\": %lu", after.max);
	meter_write(&m->meter, &(struct reading) {.series = "mglru",
						  .variant = "one ageing",
						  .state = state,
						  .pages = m->bed->pages,
						  .seen = found,
						  .more = more});
	if (after.max == before.max + 1 &&
	    (accessed ? found >= m->bed->pages : found < OTHER_PAGES_MAX))
		return 0;
	fprintf(stderr,
		"mglru: from generation %lu to %lu, %lu pages found young, with all %zu %s: "
		"no figures\n",
		before.max, after.max, found, m->bed->pages, state);
	return -EPROTO;
}

int measure_mglru(struct measure *m)
{
	struct generations g;
	int r = generations_read(&g);

	/* Bits from before, also those of the process's own entries, do not count. */
	for (int i = 0; !r && i < 2; i++) {
		r = bed_touch(m->bed, TINY_READ);
		if (!r)
			r = age(m, "warming up", true);
	}
	for (unsigned int i = 0; !r && i < m->reps; i++) {
		r = bed_touch(m->bed, TINY_READ);
		if (!r)
			r = age(m, "accessed", true);
		if (!r)
			r = age(m, "idle", false);
	}
	return r;
}
