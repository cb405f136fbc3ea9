// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DOC: Theory of operation
 *
 * A guest is held by a pidfd, an fd on /proc/PID, and the access fd that KVM
 * gives for a VM fd borrowed with pidfd_getfd(2).  The VM fd is closed at once:
 * it would keep the guest's VM alive after its process.  Dirty rings are
 * mapped read-only through vCPU fds, which are closed too; the mappings hold
 * the VM until they are unmapped.
 *
 * The ring's memory is read with process_vm_readv(2) on ourselves, because a
 * load behind the end of the ring is a SIGBUS, and its length is not told to
 * anybody but the VMM.
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "host/linux.h"

#define RING_MAX_ENTRIES 65536 /* KVM_DIRTY_RING_MAX_ENTRIES, include/linux/kvm_dirty_ring.h */
#define RING_MAX_BYTES	 (RING_MAX_ENTRIES * sizeof(struct host_ring_entry))

_Static_assert(sizeof(struct host_ring_entry) == sizeof(struct kvm_dirty_gfn), "same layout");

static int open_kvm(struct linux_host *host)
{
	return linux_open(host, "/dev/kvm", O_RDWR);
}

enum host_kvm linux_kvm(struct host *host, struct error *ret_why)
{
	_cleanup_(closep) int fd = open_kvm(to_linux(host));

	if (fd < 0) {
		error_set(ret_why, fd, "/dev/kvm cannot be opened (%s): %s", strerror(-fd),
			  fd == -ENOENT ? "load kvm_amd or kvm_intel" : "run as root");
		return HOST_KVM_NONE;
	}
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		error_set(ret_why, -ENODEV, "/dev/kvm does not speak KVM's API version %d",
			  KVM_API_VERSION);
		return HOST_KVM_NONE;
	}
	if (ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_ACCESS_FD) <= 0) {
		error_set(ret_why, -EOPNOTSUPP,
			  "the loaded KVM has no access fds (a stock module, or no TDP MMU or A/D "
			  "bits): install the modules of kvm-patches and reload KVM");
		return HOST_KVM_STOCK;
	}
	return HOST_KVM_PATCHED;
}

static int get_access_fd(struct linux_host *host, int vm_fd, uint32_t flags)
{
	struct kvm_access_fd arg = {.vm_fd = vm_fd, .flags = flags};
	_cleanup_(closep) int kvm_fd = open_kvm(host);
	int fd;

	if (kvm_fd < 0)
		return kvm_fd;
	fd = ioctl(kvm_fd, KVM_GET_ACCESS_FD, &arg);
	return fd < 0 ? -errno : fd;
}

static void explain_access(int r, const char *name, struct error *err)
{
	static const struct {
		int code;
		const char *text;
	} known[] = {
		{-ENOTTY, "the loaded KVM is a stock one without access fds"},
		{-EINVAL, "the loaded KVM is a stock one without access fds, or its fd is no VM "
			  "any more"},
		{-EBUSY, "another process already clears its accessed bits"},
		{-EPERM, "CAP_SYS_ADMIN is needed to clear accessed bits"},
		{-EOPNOTSUPP, "KVM runs without TDP MMU or without A/D bits"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].code == r) {
			error_set(err, r, "%s", known[i].text);
			return;
		}
	error_set(err, r, "no access fd for guest '%s': %s", name, strerror(-r));
}

static int get_info(int access_fd, struct kvm_access_info *info)
{
	memset(info, 0, sizeof(*info));
	return ioctl(access_fd, KVM_ACCESS_GET_INFO, info) < 0 ? -errno : 0;
}

static int check_owner(int access_fd, const struct host_found *found, struct error *err)
{
	struct kvm_access_info info;
	int r = get_info(access_fd, &info);

	if (r < 0)
		return error_set(err, r, "guest '%s' is gone", found->name);
	if ((int)info.tgid != found->pid)
		return error_set(err, -ENXIO,
				 "process %d holds a VM whose memory belongs to process %u",
				 found->pid, info.tgid);
	return 0;
}

/*
 * Borrow the VM fd for as long as it takes to get an access fd for it.  One that
 * may only look comes first and says whose the VM is, which one that may clear
 * cannot if somebody has that already: a VMM and its fork both hold the VM fd.
 */
static int open_access(struct linux_vm *vm, const struct host_found *found, struct error *source,
		       struct error *err)
{
	struct linux_host *host = to_linux(vm->base.host);
	_cleanup_(closep) int vm_fd = (int)syscall(SYS_pidfd_getfd, vm->pidfd, found->vm_fd, 0);
	_cleanup_(closep) int peek_fd = -1;
	int r;

	if (vm_fd < 0)
		return error_set(err, -errno, "guest '%s': its VM fd cannot be borrowed (%s)%s",
				 found->name, strerror(errno),
				 errno == EPERM ? ": vmtierd needs CAP_SYS_PTRACE, and Yama or an "
						  "LSM may forbid it"
						: "");
	r = peek_fd = get_access_fd(host, vm_fd, 0);
	if (r >= 0) {
		r = check_owner(peek_fd, found, err);
		if (r < 0)
			return r;
		r = get_access_fd(host, vm_fd, KVM_ACCESS_FD_CLEAR);
	}
	if (r == -ESRCH) /* its memory is, and so will be the process */
		return error_set(err, r, "guest '%s' is gone", found->name);
	if (r < 0) {
		explain_access(r, found->name, source);
		return 0;
	}
	vm->access_fd = r;
	vm->has_access = true;
	return 0;
}

static int open_process(struct linux_vm *vm, const struct host_found *found, struct error *err)
{
	uint64_t start_time = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", found->pid);
	vm->proc_fd = linux_open(to_linux(vm->base.host), path, O_RDONLY | O_DIRECTORY);
	if (vm->proc_fd < 0)
		return error_set(err, -ESRCH, "guest '%s' is gone", found->name);
	vm->pidfd = (int)syscall(SYS_pidfd_open, found->pid, 0);
	if (vm->pidfd < 0)
		return error_set(err, -errno, "guest '%s' is gone", found->name);
	/* Both fds stand: if the start time fits now, they are of the process that was found. */
	if (linux_stat_fields(vm->proc_fd, NULL, &start_time, NULL) < 0 ||
	    start_time != found->start_time)
		return error_set(err, -ESRCH, "guest '%s' is gone", found->name);
	return 0;
}

int linux_vm_open(struct host *host, const struct host_found *found, struct host_vm **ret_vm,
		  struct error *ret_source, struct error *err)
{
	struct linux_vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return -ENOMEM;
	vm->base.host = host;
	vm->pid = found->pid;
	vm->start_time = found->start_time;
	vm->vm_fd_number = found->vm_fd;
	vm->proc_fd = vm->pidfd = vm->access_fd = -1;
	pthread_mutex_init(&vm->lock, NULL);
	r = open_process(vm, found, err);
	if (r >= 0)
		r = open_access(vm, found, ret_source, err);
	if (r < 0) {
		linux_vm_close(&vm->base);
		return r;
	}
	*ret_vm = &vm->base;
	return 0;
}

static void unmap_rings(struct linux_vm *vm)
{
	for (size_t i = 0; i < vm->nrings; i++) {
		if (vm->rings[i].map)
			munmap(vm->rings[i].map, RING_MAX_BYTES);
		vm->rings[i].map = NULL;
	}
}

void linux_vm_close(struct host_vm *base)
{
	struct linux_vm *vm = to_linux_vm(base);

	unmap_rings(vm);
	free(vm->rings);
	if (vm->access_fd >= 0)
		close(vm->access_fd);
	if (vm->pidfd >= 0)
		close(vm->pidfd);
	if (vm->proc_fd >= 0)
		close(vm->proc_fd);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

void linux_vm_detach(struct host_vm *base)
{
	struct linux_vm *vm = to_linux_vm(base);

	if (atomic_exchange(&vm->detached, true))
		return;
	if (vm->access_fd >= 0)
		dup3(to_linux(base->host)->null_fd, vm->access_fd, O_CLOEXEC);
	/* A worker that copies a ring meanwhile is waited for: a MiB at most. */
	pthread_mutex_lock(&vm->lock);
	unmap_rings(vm);
	pthread_mutex_unlock(&vm->lock);
}

static bool process_alive(const struct linux_vm *vm)
{
	struct pollfd p = {.fd = vm->pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* Whether the VM's memory is that of the process; [any]: also while it is detached. */
bool linux_vm_owns_memory(const struct linux_vm *vm)
{
	struct kvm_access_info info;

	return !vm->has_access ||
	       (get_info(vm->access_fd, &info) == 0 && (int)info.tgid == vm->pid);
}

bool linux_vm_alive(struct host_vm *base)
{
	struct linux_vm *vm = to_linux_vm(base);

	return !atomic_load(&vm->detached) && process_alive(vm) && linux_vm_owns_memory(vm);
}

int linux_vm_watch_fd(struct host_vm *base)
{
	return to_linux_vm(base)->pidfd;
}

int linux_vm_slots(struct host_vm *base, struct kvm_access_slot **ret_slots, size_t *ret_n,
		   uint64_t *ret_generation)
{
	struct linux_vm *vm = to_linux_vm(base);
	struct kvm_access_slots arg;
	uint32_t room = 64;

	if (!vm->has_access)
		return -EOPNOTSUPP;
	/* The table may grow between two calls; three doublings cover any honest change. */
	for (int tries = 0; tries < 8; tries++) {
		_cleanup_(freep) struct kvm_access_slot *slots = calloc(room, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		arg = (struct kvm_access_slots) {.nr_slots = room, .slots = (uintptr_t)slots};
		if (ioctl(vm->access_fd, KVM_ACCESS_GET_SLOTS, &arg) == 0) {
			if (arg.generation & KVM_ACCESS_GENERATION_CHANGING)
				return -EAGAIN;
			*ret_slots = take_ptr(slots);
			*ret_n = arg.nr_slots;
			*ret_generation = arg.generation;
			return 0;
		}
		if (errno != E2BIG)
			return errno == ENOTTY ? -ESRCH : -errno;
		room = arg.nr_slots + 64;
	}
	return -EAGAIN;
}

int linux_vm_harvest(struct host_vm *base, struct kvm_access_harvest *harvest)
{
	struct linux_vm *vm = to_linux_vm(base);

	if (atomic_load(&vm->detached))
		return -ESRCH;
	if (ioctl(vm->access_fd, KVM_ACCESS_HARVEST, harvest) == 0)
		return 0;
	return errno == ENOTTY ? -ESRCH : -errno; /* ENOTTY: detached, it is /dev/null now */
}

/* Read without touching: -EFAULT where there is nothing. */
static int read_own_memory(void *to, const void *from, size_t bytes)
{
	struct iovec local = {.iov_base = to, .iov_len = bytes};
	struct iovec remote = {.iov_base = (void *)from, .iov_len = bytes};
	ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	return n == (ssize_t)bytes ? 0 : -EFAULT;
}

/* The largest power of two whose last entry is there; 0 if the VM has no rings. */
static size_t ring_entries(const char *map)
{
	struct host_ring_entry probe;

	for (size_t n = RING_MAX_ENTRIES; n * sizeof(probe) >= PAGE_BYTES; n /= 2)
		if (read_own_memory(&probe, map + (n - 1) * sizeof(probe), sizeof(probe)) == 0)
			return n;
	return 0;
}

/* The process may have put another file under that number: never map what is not a vCPU. */
static bool is_vcpu_fd(int fd, int vcpu)
{
	char path[64], link[64], wanted[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(wanted, sizeof(wanted), "anon_inode:kvm-vcpu:%d", vcpu);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	return !strcmp(link, wanted);
}

/* Return: whether the VM, which may have been let go of meanwhile, has it now. */
static bool keep_ring(struct linux_vm *vm, const struct linux_ring *ring)
{
	struct linux_ring *rings = NULL;

	pthread_mutex_lock(&vm->lock);
	if (!atomic_load(&vm->detached))
		rings = reallocarray(vm->rings, vm->nrings + 1, sizeof(*rings));
	if (rings) {
		rings[vm->nrings++] = *ring;
		vm->rings = rings;
	}
	pthread_mutex_unlock(&vm->lock);
	return rings;
}

static void add_ring(struct linux_vm *vm, int vcpu, int fd_number)
{
	_cleanup_(closep) int fd = -1;
	struct linux_ring ring = {.vcpu = vcpu};

	for (size_t i = 0; i < vm->nrings; i++)
		if (vm->rings[i].vcpu == vcpu)
			return;
	if (vm->no_rings || vm->nrings == HOST_MAX_VCPUS)
		return;
	fd = (int)syscall(SYS_pidfd_getfd, vm->pidfd, fd_number, 0);
	if (fd < 0 || !is_vcpu_fd(fd, vcpu))
		return;
	ring.map = mmap(NULL, RING_MAX_BYTES, PROT_READ, MAP_SHARED, fd,
			KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)PAGE_BYTES);
	if (ring.map == MAP_FAILED)
		return;
	ring.entries = ring_entries(ring.map);
	vm->no_rings = !ring.entries;
	if (!ring.entries || !keep_ring(vm, &ring))
		munmap(ring.map, RING_MAX_BYTES);
}

int linux_vm_rescan(struct host_vm *base, size_t *ret_nrings)
{
	struct linux_vm *vm = to_linux_vm(base);
	bool vfio = false, sev = false, has_vm = false;
	struct dirent *entry;
	DIR *dir;
	int r = linux_opendir_at(vm->proc_fd, "fd", &dir);

	if (r < 0)
		return r;
	while ((entry = readdir(dir))) {
		char link[64];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		int vcpu;

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (vm->has_access && sscanf(link, "anon_inode:kvm-vcpu:%d", &vcpu) == 1)
			add_ring(vm, vcpu, atoi(entry->d_name));
		vfio |= !strncmp(link, "/dev/vfio/", 10) ||
			!strcmp(link, "anon_inode:[vfio-device]");
		sev |= !strcmp(link, "/dev/sev");
		has_vm |= !strcmp(link, "anon_inode:kvm-vm") &&
			  atoi(entry->d_name) == vm->vm_fd_number;
	}
	closedir(dir);
	if (!has_vm) /* what we hold keeps a VM that its process has done with */
		return -ESRCH;
	vm->vfio = vfio;
	vm->sev = sev;
	*ret_nrings = vm->nrings;
	return 0;
}

int linux_vm_ring_copy(struct host_vm *base, size_t vcpu, struct host_ring_entry *entries,
		       size_t max, size_t *ret_n)
{
	struct linux_vm *vm = to_linux_vm(base);
	const struct linux_ring *ring;
	int r = -ENOENT;

	pthread_mutex_lock(&vm->lock);
	ring = vcpu < vm->nrings ? &vm->rings[vcpu] : NULL;
	if (ring && ring->map && ring->entries <= max) {
		*ret_n = ring->entries;
		r = read_own_memory(entries, ring->map, ring->entries * sizeof(*entries));
	}
	pthread_mutex_unlock(&vm->lock);
	return r;
}
