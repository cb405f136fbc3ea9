// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counts what a pass over the pages of a guest costs, done in several ways.  The
 * counting is done from outside, by the plugin count.c of the QEMU in which this
 * runs; this program says, one line of JSON for each interval on stdout, what the
 * interval was.  Without the plugin only the times are there.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "measure.h"

/* Holds the lines of the calibration, which is to run without interruption. */
#define OUTPUT_BYTES (256 << 10)

static const char usage[] =
	"Usage: bench-instructions [OPTION...] SERIES...\n"
	"\n"
	"  --pages N   of 4 KiB, a multiple of 512 (65536, which is 256 MiB)\n"
	"  --reps N    how often each thing is measured (9)\n"
	"  --seed N    of which pages are moved to another node (1)\n"
	"\n"
	"SERIES: calibration harvest notifier mglru damon residency nested, in any order; but\n"
	"residency leaves pages on two nodes, which mglru does not expect. On a stock KVM\n"
	"leave out harvest, residency and nested.\n";

static const struct {
	const char *name;
	int (*measure)(struct measure *m);
	bool harvests;
} series[] = {
	{"calibration", measure_calibration},
	{"harvest", measure_harvest, .harvests = true},
	{"notifier", measure_notifier},
	{"mglru", measure_mglru},
	{"damon", measure_damon},
	{"residency", measure_residency, .harvests = true},
	{"nested", measure_nested, .harvests = true},
};

static int find_series(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(series); i++)
		if (!strcmp(series[i].name, name))
			return (int)i;
	fprintf(stderr, "bench-instructions: there is no series '%s': see --help\n", name);
	return -1;
}

static int run(struct measure *m, size_t pages, char **names, int count)
{
	_cleanup_(bed_freep) struct bed *bed = NULL;
	bool harvests = false;
	int r = 0;

	for (int i = 0; !r && i < count; i++) {
		harvests |= series[find_series(names[i])].harvests;
		if (!strcmp(names[i], "mglru"))
			r = measure_mglru_enter();
	}
	if (!r)
		r = harvests ? bed_new(pages, 0, &bed) : bed_new_stock(pages, 0, &bed);
	m->bed = bed;
	for (int i = 0; !r && i < count; i++)
		r = series[find_series(names[i])].measure(m);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"pages", required_argument, NULL, 'p'},
		{"reps", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct measure m = {.meter = {.out = stdout}, .reps = 9, .seed = 1};
	uint64_t pages = 65536, reps = m.reps;
	int c, r = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			r |= units_parse_u64(optarg, &pages);
			break;
		case 'r':
			r |= units_parse_u64(optarg, &reps);
			break;
		case 's':
			r |= units_parse_u64(optarg, &m.seed);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	for (int i = optind; i < argc; i++)
		r |= find_series(argv[i]) < 0;
	if (r || optind == argc || !pages || pages % LARGE_PAGES || !reps || reps > 1000) {
		fputs(usage, stderr);
		return 2;
	}
	m.reps = (unsigned int)reps;
	setvbuf(stdout, NULL, _IOFBF, OUTPUT_BYTES);
	tiny_hold_kvm();
	r = run(&m, pages, argv + optind, argc - optind);
	if (r)
		fprintf(stderr, "bench-instructions: ended early (%s): the figures are not whole\n",
			strerror(-r));
	return r ? 1 : 0;
}
