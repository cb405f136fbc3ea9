// SPDX-License-Identifier: GPL-2.0-or-later
#include "vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bits.h"
#include "uapi/kvm_access.h"

/* More slots than a guest of the demo has by far. */
#define SLOTS_MAX 512

/* Pages per move_pages(2) call that only asks; bounds the arrays, no more. */
#define PLACE_CHUNK 4096

static int complain(const char *what)
{
	fprintf(stderr, "judge: %s: %s\n", what, strerror(errno));
	return -1;
}

/* The number of the KVM VM fd in the table of process @pid, -1 if it holds none. */
static int find_vm_fd(pid_t pid)
{
	char path[300], target[64];
	struct dirent *entry;
	int found = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && found < 0 && (entry = readdir(dir))) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		if (strcmp(target, "anon_inode:kvm-vm") == 0)
			found = atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int open_access_fd(pid_t pid)
{
	struct kvm_access_fd request = {.vm_fd = -1};
	int number = find_vm_fd(pid), pidfd, kvm, access_fd;

	if (number < 0) {
		fprintf(stderr, "judge: process %d holds no KVM VM\n", pid);
		return -1;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return complain("pidfd_open");
	request.vm_fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	if (request.vm_fd < 0)
		return complain("pidfd_getfd");
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	access_fd = kvm < 0 ? -1 : ioctl(kvm, KVM_GET_ACCESS_FD, &request);
	if (access_fd < 0)
		complain("/dev/kvm gives no access fd");
	if (kvm >= 0)
		close(kvm);
	close(request.vm_fd);
	return access_fd;
}

static bool slot_is_ram(const struct vm *vm, const struct kvm_access_slot *slot)
{
	return slot->as_id == 0 && !(slot->flags & KVM_MEM_READONLY) &&
	       slot->base_gfn < vm->npages &&
	       slot->userspace_addr == vm->hva0 + (slot->base_gfn << 12);
}

/* RAM is what lies in one piece with gfn 0, in both address spaces. */
static int read_slots(struct vm *vm)
{
	static struct kvm_access_slot slots[SLOTS_MAX];
	struct kvm_access_slots table;
	bool found = false;

	do {
		table = (struct kvm_access_slots) {.nr_slots = SLOTS_MAX,
						   .slots = (uintptr_t)slots};
		if (ioctl(vm->access_fd, KVM_ACCESS_GET_SLOTS, &table) < 0)
			return complain("KVM_ACCESS_GET_SLOTS");
	} while (table.generation & KVM_ACCESS_GENERATION_CHANGING);
	vm->generation = table.generation;

	for (uint32_t i = 0; i < table.nr_slots; i++) {
		if (slots[i].as_id == 0 && slots[i].base_gfn == 0) {
			vm->hva0 = slots[i].userspace_addr;
			found = true;
		}
	}
	if (!found) {
		fprintf(stderr, "judge: the guest has no memory at guest address 0\n");
		return -1;
	}
	memset(vm->ram, 0, bits_words(vm->npages) * sizeof(uint64_t));
	for (uint32_t i = 0; i < table.nr_slots; i++) {
		if (!slot_is_ram(vm, &slots[i]))
			continue;
		for (uint64_t k = 0; k < slots[i].npages; k++)
			if (slots[i].base_gfn + k < vm->npages)
				bits_set(vm->ram, slots[i].base_gfn + k);
	}
	return 0;
}

/* Bit n for each node n of a list like "0-1,4". */
static uint64_t read_node_list(const char *path)
{
	unsigned int first, last;
	uint64_t mask = 0;
	FILE *file = fopen(path, "re");

	while (file && fscanf(file, "%u", &first) == 1) {
		last = first;
		if (fscanf(file, "-%u", &last) < 0)
			last = first;
		for (unsigned int node = first; node <= last && node < 64; node++)
			mask |= 1ull << node;
		if (fgetc(file) != ',')
			break;
	}
	if (file)
		fclose(file);
	return mask;
}

int vm_open(struct vm *vm, pid_t pid, size_t npages)
{
	struct kvm_access_info info;

	*vm = (struct vm) {.pid = pid, .npages = npages, .ram = bits_new(npages)};
	vm->dram_nodes = read_node_list("/sys/devices/system/node/has_cpu");
	if (!vm->ram || !vm->dram_nodes)
		return complain("/sys/devices/system/node/has_cpu");
	vm->access_fd = open_access_fd(pid);
	if (vm->access_fd < 0)
		return -1;
	if (ioctl(vm->access_fd, KVM_ACCESS_GET_INFO, &info) < 0)
		return complain("KVM_ACCESS_GET_INFO");
	vm->address_spaces = info.nr_address_spaces;
	return read_slots(vm);
}

/* One address space: its bits are or'ed into @peek. 1: the slots changed meanwhile. */
static int peek_address_space(struct vm *vm, uint32_t as_id, struct peek *peek)
{
	size_t words = bits_words(vm->npages);
	uint64_t *one = calloc(words * 4, sizeof(uint64_t));
	struct kvm_access_harvest harvest = {
		.npages = vm->npages,
		.as_id = as_id,
		.flags = KVM_ACCESS_PEEK,
		.generation = vm->generation,
		.accessed = (uintptr_t)one,
		.present = (uintptr_t)(one + words),
		.large = (uintptr_t)(one + words * 2),
		.on_nodes = (uintptr_t)(one + words * 3),
		.nodemask = (uintptr_t)&vm->dram_nodes,
		.nodemask_bits = 64,
	};
	int status = 0;

	if (!one)
		return complain("peek");
	while (harvest.npages && status == 0)
		if (ioctl(vm->access_fd, KVM_ACCESS_HARVEST, &harvest) < 0 && errno != EINTR)
			status = errno == ESTALE ? 1 : complain("KVM_ACCESS_HARVEST");
	for (size_t i = 0; i < words && status == 0; i++) {
		peek->accessed[i] |= one[i] & vm->ram[i];
		peek->present[i] |= one[words + i] & vm->ram[i];
		peek->large[i] |= one[words * 2 + i] & vm->ram[i];
		peek->in_dram[i] |= one[words * 3 + i] & vm->ram[i];
	}
	free(one);
	return status;
}

int vm_peek(struct vm *vm, struct peek *peek)
{
	size_t bytes = bits_words(vm->npages) * sizeof(uint64_t);
	int status;

	do {
		memset(peek->accessed, 0, bytes);
		memset(peek->present, 0, bytes);
		memset(peek->large, 0, bytes);
		memset(peek->in_dram, 0, bytes);
		status = 0;
		for (uint32_t as_id = 0; as_id < vm->address_spaces && status == 0; as_id++)
			status = peek_address_space(vm, as_id, peek);
		if (status == 1 && read_slots(vm) < 0)
			return -1;
	} while (status == 1);
	return status;
}

bool vm_is_gone(const struct vm *vm)
{
	struct pollfd poll_fd = {.fd = vm->access_fd};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLHUP);
}

int vm_place(const struct vm *vm, const uint64_t *which, int *nodes)
{
	static void *pages[PLACE_CHUNK];
	static size_t gfns[PLACE_CHUNK];
	static int status[PLACE_CHUNK];
	size_t n = 0;

	for (size_t gfn = 0; gfn < vm->npages; gfn++) {
		if (bits_test(which, gfn)) {
			gfns[n] = gfn;
			pages[n++] = (void *)(uintptr_t)(vm->hva0 + (gfn << 12));
		}
		if (n < PLACE_CHUNK && (gfn + 1 < vm->npages || n == 0))
			continue;
		if (syscall(SYS_move_pages, vm->pid, n, pages, NULL, status, 0) < 0)
			return complain("move_pages");
		for (size_t i = 0; i < n; i++)
			nodes[gfns[i]] = status[i];
		n = 0;
	}
	return 0;
}

bool vm_is_dram(const struct vm *vm, int node)
{
	return node >= 0 && node < 64 && (vm->dram_nodes >> node & 1);
}
