// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Do harvests and the host's own ageing blind each other?  One line of JSON per
 * measurement on stdout.  The series is to be compared with itself before the patch
 * that lets each leave a note for the other.
 *
 * DOC: notes
 * The guest touches all pages.  Then one side clears the accessed bits, and the other
 * one looks: a harvest, and the notifier's clear_young by the test module.
 *
 * DOC: reclaim
 * On a host with demotion_enabled, a guest sweeps over its memory, each page once in
 * --sweep-ms.  Beside it a process that may use no node but the guest's takes
 * more memory than that node has free, writes to each page once, and never again.
 * So the kernel has to demote, and everything but the guest's pages is cold.  How many
 * of the guest's pages end on another node, with harvests and without?
 *
 * Without any harvest MGLRU may demote some, too.  When kswapd first wakes, all pages are
 * in the youngest generation, so it ages twice in a row, and what the guest has not
 * touched between the two walks is evictable at once: a sweep must be short against
 * the time that kswapd takes (try_to_inc_max_seq(), mm/vmscan.c, Linux 6.12, and what
 * /sys/kernel/debug/lru_gen showed).  The second walk leaves out page tables in which
 * the last one of the cgroup found little, and is quicker then, so ageing-inside makes
 * a new cgroup for each measurement.
 *
 * DOC: damon
 * DAMON checks one page per region and sampling interval while the guest sweeps.
 * How many of its checks find the page accessed, with harvests and without?
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <uapi/kvm_access.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "bed.h"
#include "clear_young.h"
#include "damon-control.h"
#include "meter.h"
#include "text_file.h"

#define DEMOTION "/sys/kernel/mm/numa/demotion_enabled"

/* Where the guest's memory is to be, and where it must not go. */
enum {
	NODE_DRAM,
	NODE_CXL,
};

static const char usage[] =
	"Usage: bench-ageing notes|reclaim|damon [OPTION...]\n"
	"\n"
	"  --name TEXT     of the series under test, for the output (series)\n"
	"  --pages N       of the guest (32768, which is 128 MiB)\n"
	"  --sweep-ms N    in which the guest touches each page once (4000)\n"
	"  --period-ms N   between harvests; 0: none (500)\n"
	"  --beyond N      MiB that the others take beyond what the node has free (384)\n"
	"  --rate N        MiB per second in which they take it (32)\n";

/** struct args - of the command line */
struct args {
	const char *name;
	uint64_t pages;
	uint64_t sweep_ms;
	uint64_t period_ms;
	uint64_t beyond;
	uint64_t rate;
};

/**
 * struct harvester - a thread that harvests all of the range from time to time
 * @bed: borrowed
 * @period_ms: between the beginnings of two harvests
 * @stop: asked for
 * @error: a negative errno that has ended it
 * @passes: harvests
 * @accessed: pages, over all harvests
 */
struct harvester {
	const struct bed *bed;
	uint64_t period_ms;
	pthread_t thread;
	atomic_bool stop;
	int error;
	uint64_t passes;
	uint64_t accessed;
};

static void sleep_ms(uint64_t ms)
{
	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static int harvest(const struct bed *bed, uint64_t *ret_accessed)
{
	struct kvm_access_harvest h = {.gfn = bed->first, .npages = bed->pages};

	while (h.npages)
		if (ioctl(bed->access_fd, KVM_ACCESS_HARVEST, &h) < 0 && errno != EINTR)
			return -errno;
	*ret_accessed = h.nr_accessed;
	return 0;
}

static void *harvest_now_and_then(void *arg)
{
	struct harvester *h = arg;

	while (!atomic_load(&h->stop) && !h->error) {
		uint64_t accessed = 0;

		h->error = harvest(h->bed, &accessed);
		h->passes++;
		h->accessed += accessed;
		sleep_ms(h->period_ms);
	}
	return NULL;
}

static int harvester_start(struct harvester *h, const struct bed *bed, uint64_t period_ms)
{
	int r;

	*h = (struct harvester) {.bed = bed, .period_ms = period_ms};
	if (!period_ms)
		return 0;
	r = -pthread_create(&h->thread, NULL, harvest_now_and_then, h);
	if (r)
		h->period_ms = 0; /* for harvester_stop() */
	return r;
}

static int harvester_stop(struct harvester *h)
{
	if (!h->period_ms)
		return 0;
	atomic_store(&h->stop, true);
	pthread_join(h->thread, NULL);
	if (h->error)
		fprintf(stderr, "a harvest failed: %s: no figures\n", strerror(-h->error));
	return h->error;
}

/* The next part of a sweep, some milliseconds of it.  Return: 0 or a negative errno. */
static int sweep_on(struct bed *bed, const struct args *args, size_t *at)
{
	const size_t slice = 512;
	uint64_t start = clock_ns(CLOCK_MONOTONIC), took_ms;
	uint64_t ms = args->sweep_ms * slice / bed->pages;
	int r;

	tiny_list_every(TINY_READ, bed->first + *at, bed->list, slice);
	r = tiny_run(bed->guest, 0, bed->list, slice, 0, NULL);
	while (r == -EINTR)
		r = tiny_resume(bed->guest, 0, NULL);
	*at = (*at + slice) % bed->pages;
	took_ms = (clock_ns(CLOCK_MONOTONIC) - start) / 1000000;
	if (took_ms < ms)
		sleep_ms(ms - took_ms);
	return r;
}

/* notes */

static int age(const struct bed *bed, uint64_t *ret_young)
{
	_cleanup_(closep) int fd = open(CLEAR_YOUNG_DEVICE, O_RDWR | O_CLOEXEC);
	struct clear_young_run run = {
		.start = (uintptr_t)bed_at(bed, 0),
		.end = (uintptr_t)bed_at(bed, 0) + bed->pages * PAGE_BYTES,
		.step = PAGE_BYTES,
	};

	if (fd < 0 || ioctl(fd, CLEAR_YOUNG_RUN, &run) < 0)
		return -errno;
	*ret_young = run.nr_young;
	return 0;
}

static int measure_notes(struct bed *bed, const struct args *args)
{
	uint64_t young, accessed, young_again, accessed_again;
	int r = harvest(bed, &accessed);

	/* Both begin with a clean slate. */
	r = r ? r : age(bed, &young);
	r = r ? r : harvest(bed, &accessed);

	r = r ? r : bed_touch(bed, TINY_READ);
	r = r ? r : age(bed, &young);
	r = r ? r : harvest(bed, &accessed);
	r = r ? r : harvest(bed, &accessed_again);
	if (!r)
		printf("{\"measured\": \"notes\", \"series\": \"%s\", \"first\": \"ageing\", "
		       "\"pages\": %zu, "
		       "\"young\": %" PRIu64 ", \"accessed\": %" PRIu64
		       ", \"accessed_again\": %" PRIu64 "}\n",
		       args->name, bed->pages, young, accessed, accessed_again);

	r = r ? r : bed_touch(bed, TINY_READ);
	r = r ? r : harvest(bed, &accessed);
	r = r ? r : age(bed, &young);
	r = r ? r : age(bed, &young_again);
	if (!r)
		printf("{\"measured\": \"notes\", \"series\": \"%s\", \"first\": \"harvest\", "
		       "\"pages\": %zu, "
		       "\"accessed\": %" PRIu64 ", \"young\": %" PRIu64
		       ", \"young_again\": %" PRIu64 "}\n",
		       args->name, bed->pages, accessed, young, young_again);
	return r;
}

/* reclaim */

static int node_free_mib(int node, uint64_t *ret_mib)
{
	char path[64], text[4096];
	const char *at;
	long r;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	r = text_read(path, text, sizeof(text));
	if (r < 0)
		return (int)r;
	at = strstr(text, "MemFree:");
	if (!at)
		return -ENOENT;
	*ret_mib = strtoull(at + strlen("MemFree:"), NULL, 10) / 1024;
	return 0;
}

/* In the child: take @mib of the guest's node alone, and keep them until killed. */
static void __attribute__((noreturn)) take_memory(uint64_t mib, uint64_t rate)
{
	unsigned long nodes = 1UL << NODE_DRAM;
	uint8_t *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (memory == MAP_FAILED ||
	    syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)) < 0) {
		perror("the process that takes memory");
		_exit(1);
	}
	madvise(memory, mib << 20, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < mib; i++) {
		memset(memory + (i << 20), 1, 1 << 20);
		sleep_ms(1000 / rate);
	}
	_exit(0);
}

/* Pages of the range on each node, by move_pages(2), which moves nothing without nodes. */
static int count_on_nodes(const struct bed *bed, uint64_t ret_on[2])
{
	static void *pages[4096];
	static int status[4096];

	ret_on[NODE_DRAM] = ret_on[NODE_CXL] = 0;
	for (size_t done = 0; done < bed->pages; done += ARRAY_SIZE(pages)) {
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
			pages[i] = bed_at(bed, done + i);
		if (syscall(SYS_move_pages, 0, ARRAY_SIZE(pages), pages, NULL, status, 0) < 0)
			return -errno;
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
			if (status[i] == NODE_DRAM || status[i] == NODE_CXL)
				ret_on[status[i]]++;
	}
	return 0;
}

static int vmstat(const char *name, uint64_t *value)
{
	static char text[65536];
	const char *at;
	long r = text_read("/proc/vmstat", text, sizeof(text));

	if (r < 0)
		return (int)r;
	at = strstr(text, name);
	if (!at)
		return -ENOENT;
	*value += strtoull(at + strlen(name), NULL, 10);
	return 0;
}

static int demoted_pages(uint64_t *ret_pages)
{
	int r;

	*ret_pages = 0;
	r = vmstat("\npgdemote_kswapd ", ret_pages);
	return r ? r : vmstat("\npgdemote_direct ", ret_pages);
}

static int sweep_until_taken(struct bed *bed, const struct args *args, pid_t pid,
			     uint64_t *ret_sweeps)
{
	size_t at = 0;
	int status, r = 0;

	for (*ret_sweeps = 0; !r; *ret_sweeps += at == 0) {
		pid_t ended = waitpid(pid, &status, WNOHANG);

		if (ended < 0)
			return -errno;
		if (ended)
			return status ? -ENOMEM : 0;
		r = sweep_on(bed, args, &at);
	}
	return r;
}

static int measure_reclaim(struct bed *bed, const struct args *args)
{
	uint64_t before[2], after[2], demoted_before, demoted, free_mib, sweeps = 0;
	struct harvester h = {0};
	size_t at = 0;
	pid_t pid;
	int stopped, r;

	r = text_write(DEMOTION, "1");
	/* What the guest has touched for a while is old enough to be found. */
	for (size_t i = 0; !r && i < 2 * bed->pages / 512; i++)
		r = sweep_on(bed, args, &at);
	r = r ? r : count_on_nodes(bed, before);
	if (!r && before[NODE_DRAM] != bed->pages) {
		fprintf(stderr, "not all of the guest's pages lie on node %d: no figures\n",
			NODE_DRAM);
		r = -EINVAL;
	}
	r = r ? r : demoted_pages(&demoted_before);
	r = r ? r : node_free_mib(NODE_DRAM, &free_mib);
	r = r ? r : harvester_start(&h, bed, args->period_ms);
	if (r)
		return r;
	fflush(stdout);
	pid = fork();
	if (!pid)
		take_memory(free_mib + args->beyond, args->rate);
	r = pid < 0 ? -errno : sweep_until_taken(bed, args, pid, &sweeps);
	if (r && pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	stopped = harvester_stop(&h);
	r = r ? r : stopped;
	r = r ? r : count_on_nodes(bed, after);
	r = r ? r : demoted_pages(&demoted);
	if (!r)
		printf("{\"measured\": \"reclaim\", \"series\": \"%s\", \"period_ms\": %" PRIu64
		       ", \"sweep_ms\": %" PRIu64 ", \"pages\": %zu"
		       ", \"demoted_guest\": %" PRIu64 ", \"demoted_all\": %" PRIu64
		       ", \"taken_mib\": %" PRIu64 ", \"sweeps\": %" PRIu64
		       ", \"harvests\": %" PRIu64 ", \"harvested\": %" PRIu64 "}\n",
		       args->name, args->period_ms, args->sweep_ms, bed->pages, after[NODE_CXL],
		       demoted - demoted_before, free_mib + args->beyond, sweeps, h.passes,
		       h.accessed);
	return r;
}

/* damon */

static int measure_damon_checks(struct bed *bed, const struct args *args)
{
	const struct damon_plan plan = {
		.pid = getpid(),
		.start = (uintptr_t)bed_at(bed, 0),
		.bytes = bed->pages * PAGE_BYTES,
		.nr_regions = 128,
		.sample_us = 100000,
		.samples = 10,
	};
	struct damon_findings found = {0};
	struct harvester h = {0};
	uint64_t end;
	long tid;
	size_t at = 0;
	int stopped, r = damon_set_up(&plan);

	r = r ? r : damon_start(&tid);
	r = r ? r : harvester_start(&h, bed, args->period_ms);
	r = r ? r : damon_watch();
	/* Long enough for some aggregations. */
	end = clock_ns(CLOCK_MONOTONIC) + 10 * NSEC_PER_SEC;
	while (!r && clock_ns(CLOCK_MONOTONIC) < end)
		r = sweep_on(bed, args, &at);
	r = r ? r : damon_read(&plan, &found);
	stopped = damon_stop();
	r = r ? r : stopped;
	stopped = harvester_stop(&h);
	r = r ? r : stopped;
	if (!r)
		printf("{\"measured\": \"damon\", \"series\": \"%s\", \"period_ms\": %" PRIu64
		       ", \"sweep_ms\": %" PRIu64 ", \"checks\": %" PRIu64
		       ", \"found_accessed\": %" PRIu64 ", \"harvests\": %" PRIu64
		       ", \"harvested\": %" PRIu64 "}\n",
		       args->name, args->period_ms, args->sweep_ms, found.checks, found.accessed,
		       h.passes, h.accessed);
	return r;
}

/* The command line */

static int parse(int argc, char **argv, struct args *args)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"pages", required_argument, NULL, 'p'},
		{"sweep-ms", required_argument, NULL, 's'},
		{"period-ms", required_argument, NULL, 'h'},
		{"beyond", required_argument, NULL, 'b'},
		{"rate", required_argument, NULL, 'r'},
		{0},
	};
	int option, r = 0;

	while (!r && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			args->name = optarg;
			break;
		case 'p':
			r = units_parse_u64(optarg, &args->pages);
			break;
		case 's':
			r = units_parse_u64(optarg, &args->sweep_ms);
			break;
		case 'h':
			r = units_parse_u64(optarg, &args->period_ms);
			break;
		case 'b':
			r = units_parse_u64(optarg, &args->beyond);
			break;
		case 'r':
			r = units_parse_u64(optarg, &args->rate);
			break;
		default:
			r = -EINVAL;
		}
	}
	if (optind != argc - 1 || !args->pages || args->pages % 4096 || !args->rate ||
	    args->rate > 1000)
		r = -EINVAL;
	return r;
}

int main(int argc, char **argv)
{
	struct args args = {
		.name = "series",
		.pages = 32768,
		.sweep_ms = 4000,
		.period_ms = 500,
		.beyond = 384,
		.rate = 32,
	};
	_cleanup_(bed_freep) struct bed *bed = NULL;
	int r;

	if (parse(argc, argv, &args) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	r = bed_new(args.pages, TINY_ANY_NODE, &bed);
	if (r)
		return 1;
	if (!strcmp(argv[optind], "notes"))
		r = measure_notes(bed, &args);
	else if (!strcmp(argv[optind], "reclaim"))
		r = measure_reclaim(bed, &args);
	else if (!strcmp(argv[optind], "damon"))
		r = measure_damon_checks(bed, &args);
	else
		r = -EINVAL;
	if (r)
		fprintf(stderr, "bench-ageing: '%s' could not be measured: %s\n", argv[optind],
			strerror(-r));
	return r ? 1 : 0;
}
