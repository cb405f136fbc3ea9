// SPDX-License-Identifier: GPL-2.0-or-later
/* Windows, sets, and memory that a guest should never be shown. */
#define _GNU_SOURCE
#include "vmm-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"

/* Windows start at multiples of this, so that each can be mapped by large entries. */
#define WINDOW_ALIGN LARGE_PAGES

static int add_window(struct vmm_memory *m, const char *name, uint8_t *base, size_t pages,
		      uint64_t first)
{
	struct window *w = &m->windows[m->nwindows];
	struct pageset *set = vmm_set_new(m, name, pages - first);

	if (!set)
		return -ENOSPC;
	*w = (struct window) {.gfn = m->next_gfn, .base = base, .pages = pages};
	m->nwindows++;
	for (uint64_t i = first; i < pages; i++)
		set->gfns[set->n++] = w->gfn + i;
	m->next_gfn += (pages + WINDOW_ALIGN - 1) / WINDOW_ALIGN * WINDOW_ALIGN;
	return 0;
}

int vmm_memory_init(struct vmm_memory *m, struct tiny *t)
{
	*m = (struct vmm_memory) {.t = t};
	return add_window(m, "ram", t->ram.base, t->ram.pages, t->first_free);
}

int vmm_show(struct vmm_memory *m, const char *name, void *base, size_t pages)
{
	int r;

	if (m->nwindows == VMM_MAX_WINDOWS)
		return -ENOSPC;
	r = tiny_set_slot(m->t, (uint32_t)m->nwindows, m->next_gfn, pages, base, 0);
	return r ? r : add_window(m, name, base, pages, 0);
}

void *vmm_at(const struct vmm_memory *m, uint64_t gfn)
{
	for (size_t i = 0; i < m->nwindows; i++) {
		const struct window *w = &m->windows[i];

		if (gfn >= w->gfn && gfn - w->gfn < w->pages)
			return w->base + ((gfn - w->gfn) << PAGE_SHIFT_4K);
	}
	return NULL;
}

struct pageset *vmm_set(struct vmm_memory *m, const char *name)
{
	for (size_t i = 0; i < m->nsets; i++)
		if (!strcmp(m->sets[i].name, name))
			return &m->sets[i];
	return NULL;
}

struct pageset *vmm_set_new(struct vmm_memory *m, const char *name, size_t n)
{
	struct pageset *set = vmm_set(m, name);
	uint64_t *gfns = calloc(n ? n : 1, sizeof(*gfns));

	if (!gfns || (!set && m->nsets == VMM_MAX_SETS)) {
		free(gfns);
		return NULL;
	}
	if (!set)
		set = &m->sets[m->nsets++];
	free(set->gfns);
	free(set->marks);
	*set = (struct pageset) {.gfns = gfns};
	snprintf(set->name, sizeof(set->name), "%s", name);
	return set;
}

static int copy_frames(struct vmm_memory *m, const char *name, const uint64_t *gfns, size_t n)
{
	struct pageset *set = vmm_set_new(m, name, n);

	if (!set)
		return -ENOSPC;
	memcpy(set->gfns, gfns, n * sizeof(*gfns));
	set->n = n;
	return 0;
}

int vmm_set_pick(struct vmm_memory *m, const char *name, uint64_t seed, const char *from, size_t n)
{
	const struct pageset *all = vmm_set(m, from);
	_cleanup_(freep) uint64_t *deck = NULL;

	if (!all || !n || n > all->n || !strcmp(name, from))
		return -EINVAL;
	deck = malloc(all->n * sizeof(*deck));
	if (!deck)
		return -ENOMEM;
	memcpy(deck, all->gfns, all->n * sizeof(*deck));
	for (size_t i = 0; i < n; i++) {
		size_t k = i + tiny_random_below(&seed, vmm_set(m, from)->n - i);
		uint64_t gfn = deck[k];

		deck[k] = deck[i];
		deck[i] = gfn;
	}
	return copy_frames(m, name, deck, n);
}

int vmm_set_split(struct vmm_memory *m, const char *first, const char *rest, size_t n,
		  const char *from)
{
	const struct pageset *all = vmm_set(m, from);
	int r;

	if (!all || n > all->n || !strcmp(first, from) || !strcmp(rest, from))
		return -EINVAL;
	r = copy_frames(m, first, all->gfns, n);
	return r ? r : copy_frames(m, rest, all->gfns + n, all->n - n);
}

int vmm_set_join(struct vmm_memory *m, const char *name, const char *from)
{
	struct pageset *to = vmm_set(m, name);
	const struct pageset *more;
	uint64_t *gfns;

	if (!to)
		to = vmm_set_new(m, name, 0);
	more = vmm_set(m, from);
	if (!to || !more || to == more)
		return -EINVAL;
	gfns = reallocarray(to->gfns, to->n + more->n, sizeof(*gfns));
	if (!gfns)
		return -ENOMEM;
	memcpy(gfns + to->n, more->gfns, more->n * sizeof(*gfns));
	to->gfns = gfns;
	to->n += more->n;
	return 0;
}

int vmm_set_nodes(const struct vmm_memory *m, const struct pageset *set, int *ret_nodes)
{
	_cleanup_(freep) void **at = calloc(set->n, sizeof(*at));

	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		at[i] = vmm_at(m, set->gfns[i]);
	if (syscall(SYS_move_pages, 0, set->n, at, NULL, ret_nodes, 0) < 0)
		return -errno;
	return 0;
}

int vmm_set_place(const struct vmm_memory *m, const struct pageset *set, int node)
{
	_cleanup_(freep) void **at = calloc(set->n, sizeof(*at));
	_cleanup_(freep) int *nodes = calloc(set->n, sizeof(*nodes));
	_cleanup_(freep) int *status = calloc(set->n, sizeof(*status));
	long r;

	if (!at || !nodes || !status)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++) {
		at[i] = vmm_at(m, set->gfns[i]);
		nodes[i] = node;
	}
	r = syscall(SYS_move_pages, 0, set->n, at, nodes, status, MPOL_MF_MOVE);
	return r < 0 ? -errno : r ? -EBUSY : 0;
}

int vmm_set_mark(const struct vmm_memory *m, struct pageset *set)
{
	int there = 0, r;

	free(set->marks);
	set->marks = calloc(set->n, sizeof(*set->marks));
	if (!set->marks)
		return -ENOMEM;
	r = vmm_set_nodes(m, set, set->marks);
	for (size_t i = 0; !r && i < set->n; i++)
		there += set->marks[i] >= 0;
	return r ? r : there;
}

int vmm_set_moved(const struct vmm_memory *m, const struct pageset *set)
{
	_cleanup_(freep) int *now = calloc(set->n, sizeof(*now));
	int moved = 0, r = now ? vmm_set_nodes(m, set, now) : -ENOMEM;

	if (!set->marks)
		return -EINVAL;
	for (size_t i = 0; !r && i < set->n; i++)
		moved += set->marks[i] >= 0 && now[i] >= 0 && now[i] != set->marks[i];
	return r ? r : moved;
}

int vmm_read_through(const void *base, size_t pages)
{
	int there = 0;

	for (size_t i = 0; i < pages; i++) {
		char byte;
		struct iovec to = {.iov_base = &byte, .iov_len = 1};
		struct iovec from = {.iov_base = (char *)base + (i << PAGE_SHIFT_4K), .iov_len = 1};

		/* Some of this memory faults, by intention. */
		there += process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1;
	}
	return there;
}

/* New page cache of this thread goes to @node; -1 ends that. */
static int allocate_on(int node)
{
	unsigned long mask = node < 0 ? 0 : 1UL << node;

	return (int)syscall(SYS_set_mempolicy, node < 0 ? MPOL_DEFAULT : MPOL_BIND,
			    node < 0 ? NULL : &mask, node < 0 ? 0UL : 64UL);
}

void *vmm_own_mapping(const char *path, const char *perms, size_t *ret_pages)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/maps", "re");
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned long start, end;
		char found[8];

		if (sscanf(line, "%lx-%lx %7s", &start, &end, found) != 3)
			continue;
		if (strncmp(found, perms, strlen(perms)) || !strstr(line, path))
			continue;
		*ret_pages = (end - start) >> PAGE_SHIFT_4K;
		return (void *)start;
	}
	errno = ENOENT;
	return NULL;
}

static int cache_on(int fd, size_t bytes, int node)
{
	char buf[65536];
	int r = 0;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	/* Readahead may run in another thread's name: have none. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (allocate_on(node) < 0)
		return -1;
	for (size_t at = 0; at < bytes && !r; at += sizeof(buf))
		if (pread(fd, buf, sizeof(buf), (off_t)at) < 0)
			r = -1;
	allocate_on(-1);
	return r;
}

void *vmm_map_file(const char *path, const char *how, int node, size_t *ret_pages)
{
	bool readonly = !strcmp(how, "readonly"), private = !strcmp(how, "private");
	_cleanup_(closep) int fd =
		open(path, (readonly || private ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	int flags = private ? MAP_PRIVATE : MAP_SHARED;
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0 || cache_on(fd, (size_t)st.st_size, node) < 0)
		return NULL;
	p = mmap(NULL, (size_t)st.st_size, readonly ? PROT_READ : PROT_READ | PROT_WRITE, flags, fd,
		 0);
	if (p == MAP_FAILED)
		return NULL;
	*ret_pages = (size_t)st.st_size >> PAGE_SHIFT_4K;
	vmm_read_through(p, *ret_pages);
	return p;
}

void *vmm_map_theirs(pid_t pid, int fd, void *fixed, size_t *ret_pages)
{
	_cleanup_(closep) int theirs = -1;
	char path[64];
	struct stat st;
	void *p;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	theirs = open(path, O_RDWR | O_CLOEXEC);
	if (theirs < 0 || fstat(theirs, &st) < 0)
		return NULL;
	p = mmap(fixed, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | (fixed ? MAP_FIXED : 0), theirs, 0);
	if (p == MAP_FAILED)
		return NULL;
	*ret_pages = (size_t)st.st_size >> PAGE_SHIFT_4K;
	vmm_read_through(p, *ret_pages);
	return p;
}

int vmm_write_pages(int fd, size_t pages, int node)
{
	char page[PAGE_BYTES];
	int r = 0;

	if (allocate_on(node) < 0)
		return -errno;
	for (size_t i = 0; i < pages && !r; i++) {
		memset(page, (int)(i & 0xff), sizeof(page));
		if (write(fd, page, sizeof(page)) != sizeof(page))
			r = -EIO;
	}
	allocate_on(-1);
	return r ? r : (int)pages;
}
