// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does a guest survive that its pages are migrated, and its accessed bits cleared, while
 * it runs?  On real hardware it does; under the emulator of the lab now and then it does
 * not, with a stock KVM, too (lab/README.md, "Two ways to emulate").  No test: what it
 * finds is about QEMU.
 *
 * The vCPUs touch pages at random, one thread moves pages to and fro between the
 * nodes, the guest's page tables among them, and the main thread clears bits: not at
 * all, by the MMU notifier's clear_young (clear_young.c), or by harvests.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <uapi/kvm_access.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "clear_young.h"
#include "tiny-access.h"
#include "tiny.h"

#define PAGES	    4096
#define VCPUS	    2
#define TOUCHES_MAX 1024
#define MOVES	    256
#define PAUSE_US    1000

static const char usage[] =
	"Usage: lost-guest nothing|clear_young|peek|harvest|harvest-dirty SECONDS\n";

static struct tiny *guest;
static atomic_bool stop, lost;
static atomic_ulong runs, moved;

static void *run_vcpu(void *arg)
{
	struct tiny_touch list[TOUCHES_MAX];
	size_t vcpu = (size_t)arg;
	uint64_t random = vcpu;

	while (!stop) {
		size_t count = 1 + tiny_random_below(&random, TOUCHES_MAX);
		int r;

		tiny_list_random(&random, guest->first_free, PAGES, list, count);
		r = tiny_run(guest, vcpu, list, count, tiny_random(&random), NULL);
		while (r == -EINTR)
			r = tiny_resume(guest, vcpu, NULL);
		if (r) {
			fprintf(stderr, "vCPU %zu is lost: %s\n", vcpu, strerror(-r));
			lost = true;
			stop = true;
			break;
		}
		runs++;
	}
	return NULL;
}

/* One in four of the pages is the guest's own: its code, page tables, lists. */
static void *move(void *arg)
{
	uint64_t random = VCPUS;
	void *pages[MOVES];
	int nodes[MOVES], status[MOVES];

	(void)arg;
	while (!stop) {
		int node = (int)tiny_random_below(&random, 2);

		for (int i = 0; i < MOVES; i++) {
			uint64_t gfn =
				tiny_random_below(&random, i % 4 ? PAGES : guest->first_free);

			pages[i] = tiny_memory_at(&guest->ram, gfn);
			nodes[i] = node;
			status[i] = -1;
		}
		if (syscall(SYS_move_pages, 0, (unsigned long)MOVES, pages, nodes, status,
			    MPOL_MF_MOVE) < 0) {
			perror("move_pages");
			exit(1);
		}
		for (int i = 0; i < MOVES; i++)
			moved += status[i] == node;
	}
	return NULL;
}

static int clear_young(int fd, uint64_t *cleared)
{
	uintptr_t start = (uintptr_t)tiny_memory_at(&guest->ram, 0);
	struct clear_young_run run = {
		.start = start, .end = start + PAGES * PAGE_BYTES, .step = PAGE_BYTES};

	if (ioctl(fd, CLEAR_YOUNG_RUN, &run) < 0)
		return -errno;
	*cleared += run.nr_young;
	return 0;
}

static int harvest(int fd, uint32_t flags, uint64_t *dirty, uint64_t *cleared)
{
	struct kvm_access_harvest h = {.npages = PAGES, .flags = flags, .dirty = (uintptr_t)dirty};

	if (ioctl(fd, KVM_ACCESS_HARVEST, &h) < 0 && errno != EINTR)
		return -errno;
	*cleared += h.nr_accessed;
	return 0;
}

static int clear(const char *how, time_t end, uint64_t *cleared)
{
	static uint64_t dirty[PAGES / 64];
	_cleanup_(closep) int fd = -1;
	const bool by_notifier = !strcmp(how, "clear_young"), by_nobody = !strcmp(how, "nothing");
	const uint32_t flags = strcmp(how, "peek") ? 0 : KVM_ACCESS_PEEK;
	uint64_t *map = strcmp(how, "harvest-dirty") ? NULL : dirty;
	int r = 0;

	if (!by_nobody) {
		fd = by_notifier ? open(CLEAR_YOUNG_DEVICE, O_RDWR | O_CLOEXEC)
				 : tiny_access_open_own(guest->vm_fd, KVM_ACCESS_FD_CLEAR);
		if (fd < 0)
			return -ENODEV;
	}
	while (!r && !stop && time(NULL) < end) {
		if (by_notifier)
			r = clear_young(fd, cleared);
		else if (!by_nobody)
			r = harvest(fd, flags, map, cleared);
		usleep(PAUSE_US);
	}
	return r;
}

int main(int argc, char **argv)
{
	static const char ways[] = "|nothing|clear_young|peek|harvest|harvest-dirty|";
	const struct tiny_options options = {.pages = PAGES, .vcpus = VCPUS};
	pthread_t threads[VCPUS + 1];
	uint64_t seconds, cleared = 0;
	char way[32];
	int r;

	if (argc != 3 || snprintf(way, sizeof(way), "|%s|", argv[1]) >= (int)sizeof(way) ||
	    !strstr(ways, way) || units_parse_u64(argv[2], &seconds)) {
		fputs(usage, stderr);
		return 2;
	}
	r = tiny_new(&options, &guest);
	if (r)
		return 1;
	for (size_t i = 0; i < VCPUS; i++)
		pthread_create(&threads[i], NULL, run_vcpu, (void *)i);
	pthread_create(&threads[VCPUS], NULL, move, NULL);
	r = clear(argv[1], time(NULL) + (time_t)seconds, &cleared);
	stop = true;
	for (size_t i = 0; i <= VCPUS; i++)
		pthread_join(threads[i], NULL);
	printf("%s: %s, %lu runs, %lu pages moved, %" PRIu64 " accessed bits seen\n", argv[1],
	       r      ? strerror(-r)
	       : lost ? "the guest is LOST"
		      : "the guest lives",
	       (unsigned long)runs, (unsigned long)moved, cleared);
	guest = tiny_free(guest);
	return r || lost ? 1 : 0;
}
