// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A thread that keeps another CPU busy.
 */
#include "neighbour.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <uapi/kvm_access.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "clear_young.h"
#include "meter.h"

/* Only to end it; to change its way takes no signal. */
#define WAY_END (-1)

/* Turns of the spinner between looks at what it is asked for: far less than a pass. */
#define SPIN_TURNS 100000

/* accessed, present, large, on_nodes, dirty */
#define NR_MAPS 5

int stay_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

const char *neighbour_name(enum neighbour_way way)
{
	static const char *const names[] = {
		[NEIGHBOUR_SPINS] = "spinner",
		[NEIGHBOUR_HARVESTS] = "harvest",
		[NEIGHBOUR_AGES] = "notifier",
	};

	_Static_assert(ARRAY_SIZE(names) == _NEIGHBOUR_WAY_MAX, "a name for each way");
	return names[way];
}

static void spin(void)
{
	for (int i = 0; i < SPIN_TURNS; i++)
		__asm__ volatile("");
}

static int harvest(struct neighbour *n)
{
	static const uint64_t nodes = ~0ULL;
	size_t words = bitmap_words(n->bed->pages);
	struct kvm_access_harvest h = {
		.gfn = n->bed->first,
		.npages = n->bed->pages,
		.bitmap_gfn = n->bed->first,
		.accessed = (uintptr_t)n->maps,
		.present = (uintptr_t)(n->maps + words),
		.large = (uintptr_t)(n->maps + 2 * words),
		.on_nodes = (uintptr_t)(n->maps + 3 * words),
		.dirty = (uintptr_t)(n->maps + 4 * words),
		.nodemask = (uintptr_t)&nodes,
		.nodemask_bits = 64,
	};

	do {
		if (ioctl(n->bed->access_fd, KVM_ACCESS_HARVEST, &h) < 0 && errno != EINTR)
			return -errno;
	} while (h.npages);
	n->passes++;
	n->pages += h.nr_present;
	n->young += h.nr_accessed;
	return 0;
}

static int age(struct neighbour *n)
{
	struct clear_young_run run = {
		.start = (uintptr_t)bed_at(n->bed, 0),
		.end = (uintptr_t)bed_at(n->bed, n->bed->pages),
		.step = PAGE_BYTES,
	};

	if (ioctl(n->module_fd, CLEAR_YOUNG_RUN, &run) < 0)
		return -errno;
	n->passes++;
	n->pages += run.nr_calls;
	n->young += run.nr_young;
	return 0;
}

static void *neighbour_run(void *arg)
{
	struct neighbour *n = arg;
	int r = stay_on_cpu(n->cpu);

	while (!r && n->way != WAY_END) {
		n->doing = n->way;
		if (n->doing == NEIGHBOUR_HARVESTS)
			r = harvest(n);
		else if (n->doing == NEIGHBOUR_AGES)
			r = age(n);
		else
			spin();
	}
	n->error = r;
	return NULL;
}

static void neighbour_free(struct neighbour *n)
{
	closep(&n->module_fd);
	free(n->maps);
}

int neighbour_start(struct neighbour *n, struct bed *bed, int cpu)
{
	int r;

	*n = (struct neighbour) {.bed = bed, .cpu = cpu, .doing = WAY_END};
	n->module_fd = open(CLEAR_YOUNG_DEVICE, O_RDWR | O_CLOEXEC);
	n->maps = calloc(NR_MAPS * bitmap_words(bed->pages), sizeof(uint64_t));
	r = n->maps ? -pthread_create(&n->thread, NULL, neighbour_run, n) : -ENOMEM;
	if (r) {
		neighbour_free(n);
		return r;
	}
	r = neighbour_do(n, NEIGHBOUR_SPINS);
	if (r)
		neighbour_stop(n);
	return r;
}

void neighbour_stop(struct neighbour *n)
{
	n->way = WAY_END;
	pthread_join(n->thread, NULL);
	neighbour_free(n);
}

int neighbour_do(struct neighbour *n, enum neighbour_way way)
{
	n->way = (int)way;
	while (n->doing != (int)way && !n->error)
		sched_yield();
	if (n->error)
		fprintf(stderr, "the neighbour '%s' has ended: %s: no figures\n",
			neighbour_name(way), strerror(-n->error));
	return n->error;
}

void neighbour_look(const struct neighbour *n, struct neighbour_work *ret_work)
{
	clockid_t clock;

	*ret_work = (struct neighbour_work) {
		.passes = n->passes,
		.pages = n->pages,
		.young = n->young,
		.cpu_ns = pthread_getcpuclockid(n->thread, &clock) ? 0 : clock_ns(clock),
	};
}
