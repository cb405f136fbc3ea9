// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The access fd as tests want it.
 */
#define _GNU_SOURCE
#include "tiny-access.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bitmap.h"
#include "base/cleanup.h"

#define GARBAGE 0xa5

int tiny_access_maps_init(struct tiny_access_maps *m, uint64_t first, size_t pages)
{
	size_t words = bitmap_words(pages);

	if (first % BITMAP_WORD || !pages)
		return -EINVAL;
	*m = (struct tiny_access_maps) {.first = first, .pages = pages};
	m->accessed = calloc(words, sizeof(uint64_t));
	m->present = calloc(words, sizeof(uint64_t));
	m->dirty = calloc(words, sizeof(uint64_t));
	m->large = calloc(words, sizeof(uint64_t));
	m->on_nodes = calloc(words, sizeof(uint64_t));
	if (m->accessed && m->present && m->dirty && m->large && m->on_nodes)
		return 0;
	tiny_access_maps_deinit(m);
	return -ENOMEM;
}

void tiny_access_maps_deinit(struct tiny_access_maps *m)
{
	free(m->accessed);
	free(m->present);
	free(m->dirty);
	free(m->large);
	free(m->on_nodes);
	*m = (struct tiny_access_maps) {0};
}

uint32_t tiny_access_supported(void)
{
	_cleanup_(closep) int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int r = -1;

	if (kvm_fd >= 0)
		r = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ACCESS_FD);
	return r < 0 ? 0 : (uint32_t)r;
}

int tiny_access_open(int vm_fd, uint32_t flags)
{
	struct kvm_access_fd arg = {.vm_fd = vm_fd, .flags = flags};
	_cleanup_(closep) int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int fd;

	if (kvm_fd < 0)
		return -errno;
	fd = ioctl(kvm_fd, KVM_GET_ACCESS_FD, &arg);
	return fd < 0 ? -errno : fd;
}

int tiny_access_open_own(int vm_fd, uint32_t flags)
{
	struct kvm_access_fd arg = {.vm_fd = -1, .flags = flags};
	int fd = ioctl(vm_fd, KVM_GET_ACCESS_FD, &arg);

	return fd < 0 ? -errno : fd;
}

int tiny_access_harvest(int fd, struct tiny_access_maps *m, uint32_t flags)
{
	size_t bytes = bitmap_words(m->pages) * sizeof(uint64_t);
	struct kvm_access_harvest *h = &m->sum;

	memset(m->accessed, GARBAGE, bytes);
	memset(m->present, GARBAGE, bytes);
	memset(m->dirty, GARBAGE, bytes);
	memset(m->large, GARBAGE, bytes);
	memset(m->on_nodes, GARBAGE, bytes);
	*h = (struct kvm_access_harvest) {
		.gfn = m->first,
		.npages = m->pages,
		.bitmap_gfn = m->first,
		.flags = flags,
		.accessed = (uintptr_t)m->accessed,
		.present = (uintptr_t)m->present,
		.dirty = (uintptr_t)m->dirty,
		.large = (uintptr_t)m->large,
		.on_nodes = (uintptr_t)m->on_nodes,
		.nodemask = (uintptr_t)&m->nodes,
		.nodemask_bits = 64,
	};
	for (m->calls = 1;; m->calls++) {
		uint64_t left = h->npages;

		if (ioctl(fd, KVM_ACCESS_HARVEST, h) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!h->npages)
			return 0;
		if (h->npages >= left)
			return -ELOOP;
	}
}

int tiny_access_info(int fd, struct kvm_access_info *ret_info)
{
	memset(ret_info, GARBAGE, sizeof(*ret_info));
	return ioctl(fd, KVM_ACCESS_GET_INFO, ret_info) < 0 ? -errno : 0;
}

int tiny_access_slots(int fd, struct kvm_access_slot *slots, uint32_t room, uint32_t *ret_count,
		      uint64_t *ret_generation)
{
	struct kvm_access_slots arg = {.nr_slots = room, .slots = (uintptr_t)slots};
	int r = ioctl(fd, KVM_ACCESS_GET_SLOTS, &arg) < 0 ? -errno : 0;

	if (ret_count)
		*ret_count = arg.nr_slots;
	if (ret_generation)
		*ret_generation = arg.generation;
	return r;
}
