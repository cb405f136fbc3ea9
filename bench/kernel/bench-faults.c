// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How many nested page faults a guest gets done on one CPU while a neighbour keeps
 * the other one busy, by harvesting all of the guest without pause, by the MMU
 * notifier, or by spinning.  One line of JSON per sample on stdout.
 *
 * DOC: a round
 * The guest's memory slot is taken away and given back, so that nothing is mapped;
 * then the guest touches each page once, each of which is a fault that KVM answers
 * with a page that the host has mapped already.  Only the touching is timed.  KVM's
 * own count of faults is compared with the number of pages.
 *
 * DOC: a pair
 * Some rounds beside the spinner and as many beside another neighbour, in turns, as
 * what else goes on on the machine changes within seconds.
 *
 * DOC: contention
 * With --contention the samples run with a histogram trigger on the trace event
 * lock:contention_begin, which counts by kernel stack and flags; each histogram goes
 * to a file.  That event comes whenever somebody has to wait for a lock; the
 * reader-writer lock of KVM's MMU shows as SPIN|READ or SPIN|WRITE.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "meter.h"
#include "neighbour.h"
#include "text_file.h"

#define CONTENTION "/sys/kernel/tracing/events/lock/contention_begin/"
#define HISTOGRAM  "hist:keys=common_stacktrace,flags:size=4096"

/* All of a histogram, at some 1 KiB per stack. */
#define HISTOGRAM_BYTES (8U << 20)

/* The guest's CPU and the neighbour's. */
enum {
	CPU_GUEST,
	CPU_NEIGHBOUR,
};

static const char usage[] =
	"Usage: bench-faults [OPTION...]\n"
	"\n"
	"  --pages N           of the guest (8192, which is 32 MiB)\n"
	"  --pairs N           with each neighbour (20)\n"
	"  --rounds N          of each half of a pair (6)\n"
	"  --contention DIR    write histograms of lock contention there instead\n";

/**
 * struct args - of the command line
 */
struct args {
	uint64_t pages;
	uint64_t pairs;
	uint64_t rounds;
	const char *contention;
};

/**
 * struct sample - sum of some rounds
 * @ns: timed
 * @rounds: of bed->pages faults each
 * @faults: that KVM counted, in the timed parts
 * @work: of the neighbour in the timed parts
 */
struct sample {
	uint64_t ns;
	uint64_t rounds;
	uint64_t faults;
	struct neighbour_work work;
};

/* tiny_stat() asks whatever descriptor it is given: here that of the vCPU. */
static int count_faults(const struct bed *bed, uint64_t *ret_faults)
{
	const struct tiny vcpu = {.vm_fd = bed->guest->vcpus[0].fd};

	return tiny_stat(&vcpu, "pf_fixed", ret_faults);
}

static int sample_round(struct bed *bed, const struct neighbour *n, struct sample *s)
{
	struct neighbour_work before, after;
	uint64_t faults_before, faults_after, start;
	int r = bed_remap(bed);

	if (!r)
		r = count_faults(bed, &faults_before);
	neighbour_look(n, &before);
	start = clock_ns(CLOCK_MONOTONIC);
	if (!r)
		r = bed_touch(bed, TINY_READ);
	s->ns += clock_ns(CLOCK_MONOTONIC) - start;
	neighbour_look(n, &after);
	if (!r)
		r = count_faults(bed, &faults_after);
	if (r) {
		fprintf(stderr, "the guest that faults: %s: no figures\n", strerror(-r));
		return r;
	}
	s->rounds++;
	s->faults += faults_after - faults_before;
	s->work.passes += after.passes - before.passes;
	s->work.pages += after.pages - before.pages;
	s->work.young += after.young - before.young;
	s->work.cpu_ns += after.cpu_ns - before.cpu_ns;
	return 0;
}

/* Each page is one fault; its page tables and lists are some more. */
static int sample_check(const struct bed *bed, const struct sample *s, enum neighbour_way way)
{
	uint64_t pages = s->rounds * bed->pages;

	if (s->faults >= pages && s->faults < pages + pages / 50 + 64 * s->rounds &&
	    (way == NEIGHBOUR_SPINS || (s->work.passes && s->work.young)))
		return 0;
	fprintf(stderr,
		"%s: KVM counted %" PRIu64 " faults for %" PRIu64 " pages, and the neighbour made "
		"%" PRIu64 " passes that found %" PRIu64 " young: no figures\n",
		neighbour_name(way), s->faults, pages, s->work.passes, s->work.young);
	return -EPROTO;
}

static void sample_print(const struct bed *bed, const struct sample *s, enum neighbour_way way,
			 unsigned int pair)
{
	printf("{\"neighbour\": \"%s\", \"pair\": %u, \"pages\": %" PRIu64 ", \"ns\": %" PRIu64
	       ", \"faults\": %" PRIu64 ", \"passes\": %" PRIu64 ", \"pages_looked_at\": %" PRIu64
	       ", \"young\": %" PRIu64 ", \"neighbour_cpu_ns\": %" PRIu64 "}\n",
	       neighbour_name(way), pair, s->rounds * bed->pages, s->ns, s->faults, s->work.passes,
	       s->work.pages, s->work.young, s->work.cpu_ns);
	fflush(stdout);
}

static int sample_end(const struct bed *bed, const struct sample *s, enum neighbour_way way,
		      unsigned int pair)
{
	sample_print(bed, s, way, pair);
	return sample_check(bed, s, way);
}

static int run_pair(struct bed *bed, struct neighbour *n, enum neighbour_way way, uint64_t rounds,
		    unsigned int pair)
{
	const enum neighbour_way ways[2] = {NEIGHBOUR_SPINS, way};
	struct sample samples[2] = {0};
	int r = 0;

	/* Who is first changes with each turn. */
	for (uint64_t i = 0; !r && i < 2 * rounds; i++) {
		uint64_t which = (i ^ (i >> 1) ^ pair) & 1;

		r = neighbour_do(n, ways[which]);
		if (!r)
			r = sample_round(bed, n, &samples[which]);
	}
	for (int i = 0; !r && i < 2; i++)
		r = sample_end(bed, &samples[i], ways[i], pair);
	return r;
}

static int run_pairs(struct bed *bed, struct neighbour *n, const struct args *args)
{
	struct sample warm_up = {0};
	int r = sample_round(bed, n, &warm_up);

	for (unsigned int pair = 1; !r && pair <= args->pairs; pair++) {
		r = run_pair(bed, n, NEIGHBOUR_HARVESTS, args->rounds, pair);
		if (!r && n->module_fd >= 0)
			r = run_pair(bed, n, NEIGHBOUR_AGES, args->rounds, pair);
	}
	return r;
}

static int save_histogram(const char *dir, const char *name)
{
	_cleanup_(freep) char *text = malloc(HISTOGRAM_BYTES);
	_cleanup_(freep) char *path = NULL;
	_cleanup_(fclosep) FILE *f = NULL;

	if (!text || asprintf(&path, "%s/contention-%s.txt", dir, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (text_read(CONTENTION "hist", text, HISTOGRAM_BYTES) < 0)
		return -EIO;
	f = fopen(path, "we");
	if (!f || fputs(text, f) == EOF || fflush(f)) {
		fprintf(stderr, "cannot write '%s': %s\n", path, strerror(errno));
		return -EIO;
	}
	return 0;
}

/* The trigger comes and goes while nobody is in KVM: the kernel patches itself then. */
static int run_contention_way(struct bed *bed, struct neighbour *n, enum neighbour_way way,
			      const struct args *args)
{
	struct sample s = {0};
	int r = neighbour_do(n, NEIGHBOUR_SPINS);

	if (!r)
		r = text_write(CONTENTION "trigger", HISTOGRAM);
	if (!r)
		r = neighbour_do(n, way);
	for (uint64_t i = 0; !r && i < args->pairs * args->rounds; i++)
		r = sample_round(bed, n, &s);
	if (!r)
		r = sample_end(bed, &s, way, 0);
	if (!r)
		r = neighbour_do(n, NEIGHBOUR_SPINS);
	if (!r)
		r = save_histogram(args->contention, neighbour_name(way));
	return r ? r : text_write(CONTENTION "trigger", "!" HISTOGRAM);
}

static int run_contention(struct bed *bed, struct neighbour *n, const struct args *args)
{
	int r = 0;

	for (int way = 0; !r && way < _NEIGHBOUR_WAY_MAX; way++)
		if (way != NEIGHBOUR_AGES || n->module_fd >= 0)
			r = run_contention_way(bed, n, (enum neighbour_way)way, args);
	return r;
}

static int run(const struct args *args)
{
	_cleanup_(bed_freep) struct bed *bed = NULL;
	struct neighbour n;
	int r = stay_on_cpu(CPU_GUEST);

	if (!r)
		r = bed_new(args->pages, 0, &bed);
	if (!r)
		r = neighbour_start(&n, bed, CPU_NEIGHBOUR);
	if (r)
		return r;
	r = args->contention ? run_contention(bed, &n, args) : run_pairs(bed, &n, args);
	neighbour_stop(&n);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"pages", required_argument, NULL, 'p'},
		{"pairs", required_argument, NULL, 'n'},
		{"rounds", required_argument, NULL, 'r'},
		{"contention", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct args args = {.pages = 8192, .pairs = 20, .rounds = 6};
	int c, r = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			r |= units_parse_u64(optarg, &args.pages);
			break;
		case 'n':
			r |= units_parse_u64(optarg, &args.pairs);
			break;
		case 'r':
			r |= units_parse_u64(optarg, &args.rounds);
			break;
		case 'c':
			args.contention = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (r || optind != argc || !args.pages || args.pages % LARGE_PAGES || !args.pairs ||
	    args.pairs > 1000 || !args.rounds || args.rounds > 1000) {
		fputs(usage, stderr);
		return 2;
	}
	tiny_hold_kvm();
	r = run(&args);
	if (r)
		fprintf(stderr, "bench-faults: ended early (%s): the figures are not whole\n",
			strerror(-r));
	return r ? 1 : 0;
}
