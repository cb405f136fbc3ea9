/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the Linux host share: nobody else includes this.
 */
#pragma once

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "host/host.h"

/* Physical memory in blocks as sysfs has them; which node index each belongs to. */
struct block_table {
	uint64_t block_bytes;
	size_t n;
	int8_t *node;
};

/* A process that was looked at and is no VMM; looked at again at @again_ns. */
struct seen_pid {
	int pid;
	uint64_t first_ns;
	uint64_t again_ns;
};

struct linux_host {
	struct host base;
	const char *root;
	int null_fd;
	uint64_t shmem_dev;   /* of memfds, to tell them without a look at the file */
	pthread_mutex_t lock; /* of nodes, nnodes, blocks: workers translate frames */
	struct host_node nodes[HOST_MAX_NODES];
	size_t nnodes;
	struct block_table blocks;
	uint64_t watermark_bytes[64]; /* by node id; read again at @watermarks_due_ns */
	uint64_t watermarks_due_ns;
	struct seen_pid *seen;
	size_t nseen;
};

struct linux_ring {
	int vcpu;
	void *map;
	size_t entries;
};

struct linux_vm {
	struct host_vm base;
	int pid;
	uint64_t start_time;
	int vm_fd_number;
	int proc_fd; /* /proc/PID: goes stale with the process, never becomes another one's */
	int pidfd;
	int access_fd; /* becomes /dev/null when detached, so that its number is not reused */
	bool has_access;
	atomic_bool detached;
	bool vfio;
	bool sev;
	bool no_rings;	      /* a VM has rings from its first vCPU on, or never */
	pthread_mutex_t lock; /* of rings: a worker finds them, the loop lets go of them */
	struct linux_ring *rings;
	size_t nrings;
};

static inline struct linux_host *to_linux(struct host *host)
{
	return (struct linux_host *)host;
}

static inline struct linux_vm *to_linux_vm(struct host_vm *vm)
{
	return (struct linux_vm *)vm;
}

/* linux_file.c: small files, whole */
int linux_open(struct linux_host *host, const char *path, int flags);
int linux_opendir(struct linux_host *host, const char *path, DIR **ret_dir);
int linux_opendir_at(int dirfd, const char *path, DIR **ret_dir);
int linux_read_at(int dirfd, const char *path, char **ret_text, size_t *ret_len, size_t max);
int linux_read(struct linux_host *host, const char *path, char **ret_text, size_t *ret_len);
int linux_read_u64(struct linux_host *host, const char *path, uint64_t *ret_value);
int linux_stat_fields(int proc_fd, char *ret_state, uint64_t *ret_start_time, int *ret_cpu);

/* linux_nodes.c */
int linux_nodes(struct host *host, struct host_node nodes[HOST_MAX_NODES], size_t *ret_n,
		size_t *ret_left_out, struct error *err);
size_t linux_known_nodes(struct linux_host *host, struct host_node nodes[HOST_MAX_NODES]);
int linux_free_blocks(struct host *host, int node, uint64_t *ret_blocks);
int linux_cpu_nodes(struct linux_host *host, int8_t *node_of_cpu, size_t ncpus);

/* linux_find.c */
int linux_find(struct host *host, struct host_found **ret_found, size_t *ret_n, struct error *err);

bool linux_process_runs(struct host *host, int pid, uint64_t start_time);

/* linux_kvm.c */
enum host_kvm linux_kvm(struct host *host, struct error *ret_why);
int linux_vm_open(struct host *host, const struct host_found *found, struct host_vm **ret_vm,
		  struct error *ret_source, struct error *err);
void linux_vm_close(struct host_vm *vm);
void linux_vm_detach(struct host_vm *vm);
bool linux_vm_alive(struct host_vm *vm);
bool linux_vm_owns_memory(const struct linux_vm *vm);
int linux_vm_watch_fd(struct host_vm *vm);
int linux_vm_slots(struct host_vm *vm, struct kvm_access_slot **ret_slots, size_t *ret_n,
		   uint64_t *ret_generation);
int linux_vm_harvest(struct host_vm *vm, struct kvm_access_harvest *harvest);
int linux_vm_rescan(struct host_vm *vm, size_t *ret_nrings);
int linux_vm_ring_copy(struct host_vm *vm, size_t vcpu, struct host_ring_entry *entries, size_t max,
		       size_t *ret_n);

/* linux_memory.c */
int linux_vm_maps(struct host_vm *vm, struct host_mapping **ret_maps, size_t *ret_n,
		  struct error *err);
int linux_vm_file_holder(struct host_vm *vm, uint64_t dev, uint64_t ino, int *ret_pid);
int linux_vm_residency(struct host_vm *vm, uint64_t hva, size_t npages, int8_t *nodes);
int linux_vm_node_totals(struct host_vm *vm, uint64_t pages[HOST_MAX_NODES]);
int linux_vm_facts(struct host_vm *vm, struct host_facts *ret_facts);
long linux_vm_move(struct host_vm *vm, size_t n, const uint64_t *hvas, int node, int *status);
