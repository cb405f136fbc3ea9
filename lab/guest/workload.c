// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * First and only process of the demo's guest: takes most of the guest's RAM,
 * touches each page once, keeps a scattered hot set busy and sweeps the rest
 * slowly.  Which pages are hot follows from the seed; it is told only on the
 * virtio-serial port that the judge reads.
 *
 * DOC: what the pages see
 * A unit is one 4 KiB page, or 512 pages that fill one 2 MiB block of guest
 * physical memory, so that one second-level entry can map it.  Every cycle
 * visits each hot unit once, in an order that the seed picks; a visit reads a
 * word and in half of the cases writes it.  The sweep visits every other unit
 * once per sweep_s, all of its pages at once, so that passes of a second or
 * two see it in one pass and then not for many.
 *
 * DOC: what is reported, in lines
 *   guest seed=S ram_pages=N unit_pages=U cycle_ms=C sweep_s=W
 *   hot GFN COUNT     runs of hot pages, then
 *   sweep GFN COUNT   runs of swept pages
 *   ready
 *   count MS HOT SWEEP CYCLES SWEEPS SLOWEST_MS   once a second: time since
 *                     ready, page visits since ready, slowest cycle since the
 *                     line before
 *   moved N           N pages changed their guest frame: the lists are wrong
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <glob.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#define PAGE_BYTES 4096ul
#define LINE_BYTES 64ul

/*
 * Left to the guest's kernel: its caches, page tables of what we take (2 MiB
 * per GiB) and its own watermarks.  Too small and the kernel starts to reclaim,
 * which is noise; too large and less of the RAM takes part.
 */
#define RESERVE_BYTES (16ul << 20)

/* Visits of one hot 2 MiB block per cycle, each to a random page of it. */
#define VISITS_PER_BLOCK 256

/* Seconds between two looks whether the guest's kernel moved our pages. */
#define RECHECK_S 10

/** struct unit - pages that are hot or swept together; @first indexes workload.by_gfn */
struct unit {
	uint32_t first;
	uint32_t npages;
};

/**
 * struct workload - everything
 * @seed, @ram_mib, @unit_pages, @hot_min, @hot_max, @cycle_ms, @sweep_s: from the command line;
 *	the hot set is a share of RAM between the two, in permille
 * @base, @npages: the memory taken
 * @gfn: of each page of it
 * @by_gfn: page numbers in the order of their gfns
 * @hot, @nhot: in the order of visits
 * @sweep, @nsweep: in the order of gfns
 * @report: the judge's port
 */
struct workload {
	uint64_t seed;
	uint64_t ram_mib;
	uint64_t unit_pages;
	uint64_t hot_min;
	uint64_t hot_max;
	uint64_t cycle_ms;
	uint64_t sweep_s;
	uint8_t *base;
	size_t npages;
	uint64_t *gfn;
	uint32_t *by_gfn;
	struct unit *hot;
	size_t nhot;
	struct unit *sweep;
	size_t nsweep;
	FILE *report;
	uint64_t random;
};

/* Process 1 that ends makes the kernel panic, and panic=-1 ends QEMU. */
static void die(const char *what)
{
	printf("workload: %s: %s\n", what, strerror(errno));
	fflush(NULL);
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* splitmix64: small, seedable, good enough to scatter. */
static uint64_t random_next(struct workload *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/*
 * Pages that we lock stay where they are only if compaction may not touch
 * locked pages either.  The statistics workers would wake up each second.
 */
static void set_up_kernel(void)
{
	mount("proc", "/proc", "proc", 0, NULL);
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) < 0 && errno != EBUSY)
		die("mount /dev");
	write_file("/proc/sys/vm/compact_unevictable_allowed", "0");
	write_file("/proc/sys/vm/compaction_proactiveness", "0");
	write_file("/proc/sys/vm/stat_interval", "3600");
}

static void parse_arguments(struct workload *w, int argc, char **argv)
{
	const struct {
		const char *name;
		uint64_t *value;
	} known[] = {
		{"seed", &w->seed},	  {"ram_mib", &w->ram_mib}, {"unit_pages", &w->unit_pages},
		{"hot_min", &w->hot_min}, {"hot_max", &w->hot_max}, {"cycle_ms", &w->cycle_ms},
		{"sweep_s", &w->sweep_s},
	};

	for (int i = 1; i < argc; i++) {
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
			size_t len = strlen(known[k].name);

			if (strncmp(argv[i], known[k].name, len) == 0 && argv[i][len] == '=')
				*known[k].value = strtoull(argv[i] + len + 1, NULL, 0);
		}
	}
	errno = EINVAL;
	if (!w->ram_mib || !w->cycle_ms || !w->sweep_s || !w->hot_min || w->hot_max < w->hot_min ||
	    (w->unit_pages != 1 && w->unit_pages != 512))
		die("arguments");
	w->random = w->seed;
}

static FILE *open_report(void)
{
	glob_t found = {};
	FILE *report;

	/* The port shows up a moment after the driver has met its device. */
	for (int tries = 0; glob("/dev/vport*", 0, NULL, &found) != 0; tries++) {
		if (tries == 100)
			die("no virtio-serial port");
		usleep(50000);
	}
	report = fopen(found.gl_pathv[0], "we");
	if (!report)
		die(found.gl_pathv[0]);
	setvbuf(report, NULL, _IOFBF, 32768);
	return report;
}

static uint64_t available_bytes(void)
{
	char line[128];
	uint64_t kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (!kib)
		die("/proc/meminfo");
	fclose(file);
	return kib << 10;
}

/* Lists that describe the pages; not part of what is hot or swept. */
static void *take_list(size_t n, size_t size)
{
	void *list = calloc(n, size);

	if (!list)
		die("lists");
	return list;
}

static void take_memory(struct workload *w)
{
	const size_t block = 512 * PAGE_BYTES;
	uint64_t per_page =
		PAGE_BYTES + sizeof(*w->gfn) + sizeof(*w->by_gfn) + 2 * sizeof(struct unit);

	w->npages = (available_bytes() - RESERVE_BYTES) / per_page / 512 * 512;
	w->base = mmap(NULL, w->npages * PAGE_BYTES + block, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->base == MAP_FAILED)
		die("mmap");
	w->base = (uint8_t *)(((uintptr_t)w->base + block - 1) & ~(block - 1));
	for (size_t i = 0; i < w->npages; i++) {
		*(volatile uint64_t *)(w->base + i * PAGE_BYTES) = i;
		if (i % 16384 == 0)
			printf("workload: %zu of %zu MiB touched\n", i >> 8, w->npages >> 8);
	}
	if (mlock(w->base, w->npages * PAGE_BYTES) < 0)
		die("mlock");
}

/* Reads the guest frames of all pages; returns how many differ from before. */
static size_t read_gfns(struct workload *w)
{
	static uint64_t entries[512];
	size_t changed = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < w->npages; i += 512) {
		off_t at = (off_t)(((uintptr_t)w->base / PAGE_BYTES + i) * sizeof(uint64_t));

		if (pread(fd, entries, sizeof(entries), at) != (ssize_t)sizeof(entries))
			die("/proc/self/pagemap");
		for (size_t k = 0; k < 512; k++) {
			uint64_t gfn = entries[k] & ((1ull << 55) - 1);

			if (!(entries[k] >> 63) || gfn == 0) {
				errno = ENOENT;
				die("a page without a frame");
			}
			changed += w->gfn[i + k] != gfn;
			w->gfn[i + k] = gfn;
		}
	}
	close(fd);
	return changed;
}

static int compare_gfn(const void *left, const void *right, void *gfns)
{
	const uint64_t *gfn = gfns;
	uint64_t l = gfn[*(const uint32_t *)left], r = gfn[*(const uint32_t *)right];

	return (l > r) - (l < r);
}

/*
 * Cuts the pages into units.  Whole ones come first in @ret_units; pages of a
 * 2 MiB block that is not all ours can only be swept and come last.
 */
static size_t cut_units(struct workload *w, struct unit *ret_units, size_t *ret_nwhole)
{
	size_t whole = 0, rest = w->npages;

	for (size_t i = 0, next; i < w->npages; i = next) {
		uint64_t block = w->gfn[w->by_gfn[i]] / w->unit_pages;
		struct unit unit = {.first = (uint32_t)i};

		for (next = i; next < w->npages; next++)
			if (w->gfn[w->by_gfn[next]] / w->unit_pages != block)
				break;
		unit.npages = (uint32_t)(next - i);
		if (unit.npages == w->unit_pages)
			ret_units[whole++] = unit;
		else
			ret_units[--rest] = unit;
	}
	/* Close the gap between those from the front and those from the end. */
	memmove(ret_units + whole, ret_units + rest, (w->npages - rest) * sizeof(*ret_units));
	*ret_nwhole = whole;
	return whole + w->npages - rest;
}

static int compare_unit(const void *left, const void *right)
{
	const struct unit *l = left, *r = right;

	return (l->first > r->first) - (l->first < r->first);
}

/* The seed picks how much is hot, and what: the first units of a shuffle. */
static void pick_hot(struct workload *w)
{
	size_t nunits, nwhole, hot_pages;
	struct unit *units = take_list(w->npages, sizeof(*units));

	w->by_gfn = take_list(w->npages, sizeof(*w->by_gfn));
	for (size_t i = 0; i < w->npages; i++)
		w->by_gfn[i] = (uint32_t)i;
	qsort_r(w->by_gfn, w->npages, sizeof(*w->by_gfn), compare_gfn, w->gfn);
	nunits = cut_units(w, units, &nwhole);

	hot_pages = (w->ram_mib << 8) *
		    (w->hot_min + random_next(w) % (w->hot_max - w->hot_min + 1)) / 1000;
	w->nhot = hot_pages / w->unit_pages;
	errno = ENOMEM;
	if (w->nhot > nwhole)
		die("too few whole units for the hot set");
	for (size_t i = 0; i < w->nhot; i++) {
		size_t other = i + random_next(w) % (nwhole - i);
		struct unit unit = units[i];

		units[i] = units[other];
		units[other] = unit;
	}
	w->hot = units;
	w->sweep = units + w->nhot;
	w->nsweep = nunits - w->nhot;
	qsort(w->sweep, w->nsweep, sizeof(*w->sweep), compare_unit);
}

/* Runs of successive gfns of sorted @units, one line each. */
static void report_runs(struct workload *w, const char *what, const struct unit *units, size_t n)
{
	uint64_t start = 0, count = 0;

	for (size_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < units[i].npages; k++) {
			uint64_t gfn = w->gfn[w->by_gfn[units[i].first + k]];

			if (count && gfn == start + count) {
				count++;
				continue;
			}
			if (count)
				fprintf(w->report, "%s %" PRIu64 " %" PRIu64 "\n", what, start,
					count);
			start = gfn;
			count = 1;
		}
	}
	if (count)
		fprintf(w->report, "%s %" PRIu64 " %" PRIu64 "\n", what, start, count);
}

static void report_lists(struct workload *w)
{
	struct unit *sorted = take_list(w->nhot, sizeof(*sorted));

	memcpy(sorted, w->hot, w->nhot * sizeof(*sorted));
	qsort(sorted, w->nhot, sizeof(*sorted), compare_unit);
	fprintf(w->report,
		"guest seed=%" PRIu64 " ram_pages=%" PRIu64 " unit_pages=%" PRIu64
		" cycle_ms=%" PRIu64 " sweep_s=%" PRIu64 "\n",
		w->seed, w->ram_mib << 8, w->unit_pages, w->cycle_ms, w->sweep_s);
	report_runs(w, "hot", sorted, w->nhot);
	report_runs(w, "sweep", w->sweep, w->nsweep);
	fprintf(w->report, "ready\n");
	fflush(w->report);
	free(sorted);
}

/* One access: a random line of the page is read, and written half of the time. */
static void visit_page(struct workload *w, const struct unit *unit, uint32_t page)
{
	uint64_t dice = random_next(w);
	volatile uint64_t *word =
		(volatile uint64_t *)(w->base + w->by_gfn[unit->first + page] * PAGE_BYTES +
				      (dice >> 8) % (PAGE_BYTES / LINE_BYTES) * LINE_BYTES);
	uint64_t value = *word;

	if (dice & 1)
		*word = value + 1;
}

static uint64_t visit_hot(struct workload *w)
{
	uint64_t visits = w->unit_pages == 1 ? 1 : VISITS_PER_BLOCK;

	for (size_t i = 0; i < w->nhot; i++)
		for (uint64_t k = 0; k < visits; k++)
			visit_page(w, &w->hot[i], (uint32_t)(random_next(w) % w->hot[i].npages));
	return w->nhot * visits;
}

static uint64_t visit_sweep(struct workload *w, size_t at)
{
	for (uint32_t page = 0; page < w->sweep[at].npages; page++)
		visit_page(w, &w->sweep[at], page);
	return w->sweep[at].npages;
}

static void run(struct workload *w)
{
	const uint64_t start = now_ms();
	uint64_t cycle_at = start, reports = 0, slowest = 0;
	uint64_t hot_visits = 0, sweep_visits = 0, cycles = 0, swept = 0;

	for (;;) {
		uint64_t begun = now_ms(), due, took;

		hot_visits += visit_hot(w);
		cycles++;
		took = now_ms() - begun;
		slowest = took > slowest ? took : slowest;
		for (due = (begun - start) * w->nsweep / (w->sweep_s * 1000); swept < due; swept++)
			sweep_visits += visit_sweep(w, swept % w->nsweep);

		if ((now_ms() - start) / 1000 > reports) {
			reports = (now_ms() - start) / 1000;
			fprintf(w->report,
				"count %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
				" %" PRIu64 "\n",
				now_ms() - start, hot_visits, sweep_visits, cycles,
				swept / w->nsweep, slowest);
			slowest = 0;
			if (reports % RECHECK_S == 0) {
				size_t moved = read_gfns(w);

				if (moved)
					fprintf(w->report, "moved %zu\n", moved);
			}
			fflush(w->report);
		}
		cycle_at += w->cycle_ms;
		if (cycle_at > now_ms())
			usleep((useconds_t)(cycle_at - now_ms()) * 1000);
		else
			cycle_at = now_ms();
	}
}

int main(int argc, char **argv)
{
	static struct workload w;

	setvbuf(stdout, NULL, _IOLBF, 0);
	set_up_kernel();
	parse_arguments(&w, argc, argv);
	w.report = open_report();
	take_memory(&w);
	w.gfn = take_list(w.npages, sizeof(*w.gfn));
	read_gfns(&w);
	pick_hot(&w);
	report_lists(&w);
	printf("workload: ready\n");
	run(&w);
	return 0;
}
