// SPDX-License-Identifier: GPL-2.0-or-later
/* A process' memory: what backs it, where it lies, and moving it. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <numaif.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "host/linux.h"

/* Source: Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT	 (1ULL << 63)
#define PAGEMAP_PFN_MASK ((1ULL << 55) - 1)

/* Pages that are asked about at most, of a guest without access fd: some 10 ms a minute. */
#define TOTALS_PAGES 65536

/* Threads that are asked where they run: twice as many as there can be vCPUs. */
#define TASKS_MAX (2 * HOST_MAX_VCPUS)

/*
 * The file system decides whether pages are RAM of their own or a cache of a
 * disk.  Block size of hugetlbfs is the page size of that mount.  Source:
 * hugetlbfs_statfs(), fs/hugetlbfs/inode.c, Linux 6.12.
 */
static enum host_backing file_backing(const struct linux_vm *vm, struct host_mapping *m)
{
	_cleanup_(closep) int fd = -1;
	struct statfs fs;
	struct stat st;
	char path[80];

	snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)m->start,
		 (unsigned long long)m->end);
	fd = openat(vm->proc_fd, path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return HOST_BACKING_FILE;
	if (!S_ISREG(st.st_mode))
		return HOST_BACKING_SPECIAL;
	if (fs.f_type == HUGETLBFS_MAGIC) {
		m->page_bytes = (uint64_t)fs.f_bsize;
		return HOST_BACKING_HUGETLB;
	}
	return fs.f_type == TMPFS_MAGIC ? HOST_BACKING_SHMEM : HOST_BACKING_FILE;
}

static enum host_backing classify(const struct linux_vm *vm, struct host_mapping *m,
				  const char *name)
{
	const struct linux_host *host = to_linux(vm->base.host);

	if (!m->ino)
		return !name[0] || !strncmp(name, "[anon", 5) || !strcmp(name, "[heap]") ||
				       !strcmp(name, "[stack]")
			       ? HOST_BACKING_ANON
			       : HOST_BACKING_SPECIAL;
	if (host->shmem_dev && m->dev == host->shmem_dev)
		return HOST_BACKING_SHMEM;
	/* What cannot be written is never guest RAM: no need to look at every library. */
	return m->writable ? file_backing(vm, m) : HOST_BACKING_FILE;
}

/* "start-end perms offset major:minor inode   name". Source: proc(5). */
static int parse_mapping(const struct linux_vm *vm, char *line, struct host_mapping *m)
{
	unsigned long long start, end, offset, ino;
	unsigned int major_no, minor_no;
	char perms[5];
	int name_at = 0;

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, perms, &offset,
		   &major_no, &minor_no, &ino, &name_at) < 7)
		return -EINVAL;
	*m = (struct host_mapping) {
		.start = start,
		.end = end,
		.shared = perms[3] == 's',
		.writable = perms[1] == 'w',
		.dev = ino ? makedev(major_no, minor_no) : 0,
		.ino = ino,
		.offset = offset,
	};
	m->backing = classify(vm, m, name_at ? line + name_at : "");
	return 0;
}

int linux_vm_maps(struct host_vm *base, struct host_mapping **ret_maps, size_t *ret_n,
		  struct error *err)
{
	struct linux_vm *vm = to_linux_vm(base);
	_cleanup_(freep) struct host_mapping *maps = NULL;
	_cleanup_(freep) char *text = NULL;
	char *save = NULL;
	size_t n = 0, room = 0;
	int r = linux_read_at(vm->proc_fd, "maps", &text, NULL, 0);

	if (r < 0)
		return error_set(err, r, "cannot read the mappings of process %d: %s", vm->pid,
				 strerror(-r));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (n == room) {
			struct host_mapping *more;

			room = room ? room * 2 : 512;
			more = reallocarray(maps, room, sizeof(*more));
			if (!more)
				return -ENOMEM;
			maps = more;
		}
		if (parse_mapping(vm, line, &maps[n]) == 0)
			n++;
	}
	*ret_maps = take_ptr(maps);
	*ret_n = n;
	return 0;
}

/*
 * A line at a time, however long the file is: whoever makes his own very long
 * must not be taken for a holder of everybody's.  By columns: the name at the end
 * of a line may hold anything.  Return: as fds_show().
 */
static int maps_show(int proc_fd, uint64_t dev, uint64_t ino)
{
	_cleanup_(freep) char *line = NULL;
	_cleanup_(closep) int fd = openat(proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	_cleanup_(fclosep) FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	size_t room = 0;

	if (!file)
		return -errno;
	take_fd(&fd);
	errno = 0;
	while (getline(&line, &room, file) > 0) {
		unsigned int major_no, minor_no;
		unsigned long long number;

		if (sscanf(line, "%*s %*s %*s %x:%x %llu", &major_no, &minor_no, &number) == 3 &&
		    number == ino && makedev(major_no, minor_no) == dev)
			return 1;
	}
	return -errno;
}

/*
 * An open memfd is as good as a mapped one: it can be mapped at any time.
 * Return: 1 if it is there, 0 if not, negative if nobody can tell.
 */
static int fds_show(int proc_fd, uint64_t dev, uint64_t ino)
{
	struct dirent *entry;
	DIR *dir;
	int found = linux_opendir_at(proc_fd, "fd", &dir);

	while (dir && !found && (entry = readdir(dir))) {
		struct stat st;
		char link[16];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link));

		if (n < 7 || memcmp(link, "/memfd:", 7))
			continue;
		found = fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && st.st_dev == dev &&
			st.st_ino == ino;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Whoever cannot be looked at may hold it; only a process that has ended does not. */
static bool process_may_hold(int proc_root, const char *pid, uint64_t dev, uint64_t ino)
{
	_cleanup_(closep) int fd = openat(proc_root, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno != ENOENT && errno != ESRCH;
	r = maps_show(fd, dev, ino);
	if (!r)
		r = fds_show(fd, dev, ino);
	return r > 0 || (r < 0 && r != -ENOENT && r != -ESRCH);
}

int linux_vm_file_holder(struct host_vm *base, uint64_t dev, uint64_t ino, int *ret_pid)
{
	struct linux_vm *vm = to_linux_vm(base);
	struct dirent *entry;
	DIR *dir;
	int r = linux_opendir(to_linux(base->host), "/proc", &dir);

	if (r < 0)
		return r;
	*ret_pid = 0;
	while (!*ret_pid && (entry = readdir(dir))) {
		int pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

		if (pid && pid != vm->pid && process_may_hold(dirfd(dir), entry->d_name, dev, ino))
			*ret_pid = pid;
	}
	closedir(dir);
	return 0;
}

static int8_t frame_node(const struct linux_host *host, uint64_t pfn)
{
	uint64_t block = pfn * PAGE_BYTES / host->blocks.block_bytes;

	return block < host->blocks.n ? host->blocks.node[block] : -1;
}

int linux_vm_residency(struct host_vm *base, uint64_t hva, size_t npages, int8_t *nodes)
{
	struct linux_vm *vm = to_linux_vm(base);
	struct linux_host *host = to_linux(base->host);
	_cleanup_(closep) int fd = openat(vm->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entries[512];

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < npages;) {
		size_t n = npages - done < 512 ? npages - done : 512;
		ssize_t got = pread(fd, entries, n * sizeof(*entries),
				    (off_t)((hva / PAGE_BYTES + done) * sizeof(*entries)));

		if (got < (ssize_t)sizeof(*entries))
			return got < 0 ? -errno : -ESRCH;
		n = (size_t)got / sizeof(*entries);
		pthread_mutex_lock(&host->lock);
		for (size_t i = 0; i < n; i++) {
			uint64_t pfn = entries[i] & PAGEMAP_PFN_MASK;

			nodes[done + i] =
				!(entries[i] & PAGEMAP_PRESENT) || !pfn || !host->blocks.block_bytes
					? -1
					: frame_node(host, pfn);
		}
		pthread_mutex_unlock(&host->lock);
		done += n;
	}
	return 0;
}

/* What may be guest RAM; without an access fd nobody knows better. */
static bool may_be_ram(const struct host_mapping *m)
{
	return m->writable &&
	       (m->backing == HOST_BACKING_ANON || m->backing == HOST_BACKING_SHMEM ||
		m->backing == HOST_BACKING_HUGETLB);
}

/* One call's worth of pages that are looked up, each of which stands for @stride. */
struct question {
	size_t n;
	uint64_t hvas[1024];
	int status[1024];
	uint64_t stride;
	size_t nnodes;
	struct host_node nodes[HOST_MAX_NODES];
};

static int ask(struct host_vm *vm, struct question *q, uint64_t pages[HOST_MAX_NODES])
{
	long r = q->n ? linux_vm_move(vm, q->n, q->hvas, -1, q->status) : 0;

	for (size_t i = 0; r >= 0 && i < q->n; i++)
		for (size_t n = 0; n < q->nnodes; n++)
			if (q->nodes[n].id == q->status[i])
				pages[n] += q->stride;
	q->n = 0;
	return r < 0 ? (int)r : 0;
}

/*
 * numa_maps would have it exactly, and hold the process' mmap_lock for as long as
 * a walk over all of its memory takes; move_pages(2) holds it for 16 pages at a
 * time.  Source: do_pages_stat_array(), mm/migrate.c, Linux 6.12.
 */
int linux_vm_node_totals(struct host_vm *base, uint64_t pages[HOST_MAX_NODES])
{
	_cleanup_(freep) struct host_mapping *maps = NULL;
	struct question q = {.stride = 1};
	uint64_t total = 0, skip = 0;
	size_t nmaps = 0;
	int r = linux_vm_maps(base, &maps, &nmaps, NULL);

	for (size_t i = 0; r >= 0 && i < nmaps; i++)
		if (may_be_ram(&maps[i]))
			total += (maps[i].end - maps[i].start) / PAGE_BYTES;
	q.stride = total / TOTALS_PAGES + 1;
	q.nnodes = linux_known_nodes(to_linux(base->host), q.nodes);
	memset(pages, 0, HOST_MAX_NODES * sizeof(*pages));
	for (size_t i = 0; r >= 0 && i < nmaps; i++) {
		uint64_t n = may_be_ram(&maps[i]) ? (maps[i].end - maps[i].start) / PAGE_BYTES : 0;

		for (; r >= 0 && skip < n; skip += q.stride) {
			q.hvas[q.n++] = maps[i].start + skip * PAGE_BYTES;
			if (q.n == ARRAY_SIZE(q.hvas))
				r = ask(base, &q, pages);
		}
		skip -= n;
	}
	return r < 0 ? r : ask(base, &q, pages);
}

/* The low 64 bits of "Mems_allowed:", groups of 32 bits with the highest first. */
static uint64_t parse_allowed(const char *status)
{
	const char *at = strstr(status, "\nMems_allowed:");
	uint64_t mask = 0;

	if (!at)
		return ~0ULL;
	for (at += 14; *at && *at != '\n'; at++) {
		if (isxdigit((unsigned char)*at)) {
			int digit = isdigit((unsigned char)*at)
					    ? *at - '0'
					    : tolower((unsigned char)*at) - 'a' + 10;

			mask = mask << 4 | (uint64_t)digit;
		}
	}
	return mask;
}

/* QEMU calls its vCPU threads "CPU n/KVM" where debug-threads is on, which libvirt sets. */
static bool is_vcpu_thread(int task_fd)
{
	_cleanup_(freep) char *comm = NULL;

	return linux_read_at(task_fd, "comm", &comm, NULL, 0) == 0 && !strncmp(comm, "CPU ", 4);
}

static void count_vcpu_nodes(struct linux_vm *vm, struct host_facts *facts)
{
	int8_t node_of_cpu[8192];
	uint32_t all[HOST_MAX_NODES] = {0};
	bool named = false;
	struct dirent *entry;
	DIR *dir;

	if (linux_opendir_at(vm->proc_fd, "task", &dir) < 0)
		return;
	linux_cpu_nodes(to_linux(vm->base.host), node_of_cpu, ARRAY_SIZE(node_of_cpu));
	for (int tasks = 0; tasks < TASKS_MAX && (entry = readdir(dir)); tasks++) {
		_cleanup_(closep) int task_fd = -1;
		int cpu = -1;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		task_fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (task_fd < 0 || linux_stat_fields(task_fd, NULL, NULL, &cpu) < 0 || cpu < 0 ||
		    cpu >= (int)ARRAY_SIZE(node_of_cpu) || node_of_cpu[cpu] < 0)
			continue;
		all[node_of_cpu[cpu]]++;
		if (is_vcpu_thread(task_fd)) {
			facts->vcpu_nodes[node_of_cpu[cpu]]++;
			named = true;
		}
	}
	closedir(dir);
	if (!named)
		memcpy(facts->vcpu_nodes, all, sizeof(all));
}

int linux_vm_facts(struct host_vm *base, struct host_facts *ret_facts)
{
	struct linux_vm *vm = to_linux_vm(base);
	_cleanup_(freep) char *status = NULL;
	char state = 0;
	int r = linux_read_at(vm->proc_fd, "status", &status, NULL, 0);

	if (r < 0)
		return r;
	r = linux_stat_fields(vm->proc_fd, &state, NULL, NULL);
	if (r < 0)
		return r;
	memset(ret_facts, 0, sizeof(*ret_facts));
	ret_facts->allowed_nodes = parse_allowed(status);
	ret_facts->vfio = vm->vfio;
	ret_facts->sev = vm->sev;
	ret_facts->stopped = state == 'T' || state == 't';
	count_vcpu_nodes(vm, ret_facts);
	return 0;
}

long linux_vm_move(struct host_vm *base, size_t n, const uint64_t *hvas, int node, int *status)
{
	struct linux_vm *vm = to_linux_vm(base);
	struct pollfd p = {.fd = vm->pidfd, .events = POLLIN};
	_cleanup_(freep) int *nodes = NULL;
	long r;

	_Static_assert(sizeof(void *) == sizeof(uint64_t), "addresses are passed as they are");
	if (atomic_load(&vm->detached) || poll(&p, 1, 0) != 0)
		return -ESRCH;
	if (node >= 0 && !linux_vm_owns_memory(vm)) /* e.g. after execve(2) */
		return -ESRCH;
	if (node >= 0) {
		nodes = malloc(n * sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		for (size_t i = 0; i < n; i++)
			nodes[i] = node;
	}
	for (size_t i = 0; i < n; i++)
		status[i] = -EINPROGRESS;
	r = move_pages(vm->pid, n, (void **)(uintptr_t)hvas, nodes, status, MPOL_MF_MOVE);
	return r < 0 ? -errno : r;
}
