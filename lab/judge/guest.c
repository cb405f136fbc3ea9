// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bits.h"

/* The guest may not make the judge allocate more than 64 GiB of RAM's bitmaps. */
#define NPAGES_MAX (1ull << 24)

/* Counter lines kept to look back in; one a second. */
#define COUNTS_KEPT 256

static int read_header(struct guest *guest, const char *line)
{
	uint64_t npages, unit_pages;
	uint32_t sweep_s;

	if (sscanf(line,
		   "guest seed=%" SCNu64 " ram_pages=%" SCNu64 " unit_pages=%" SCNu64
		   " cycle_ms=%*u sweep_s=%" SCNu32,
		   &guest->seed, &npages, &unit_pages, &sweep_s) != 4 ||
	    guest->hot || npages == 0 || npages > NPAGES_MAX || unit_pages == 0 || sweep_s == 0)
		return -1;
	guest->sweep_ms = sweep_s * UINT64_C(1000);
	guest->npages = npages;
	guest->unit_pages = unit_pages;
	guest->hot = bits_new(npages);
	guest->sweep = bits_new(npages);
	return guest->hot && guest->sweep ? 0 : -1;
}

static int read_run(const struct guest *guest, const char *line)
{
	uint64_t *bits = line[0] == 'h' ? guest->hot : guest->sweep;
	uint64_t gfn, count;

	if (sscanf(line, "%*s %" SCNu64 " %" SCNu64, &gfn, &count) != 2 || !bits ||
	    gfn >= guest->npages || count > guest->npages - gfn)
		return -1;
	for (uint64_t i = 0; i < count; i++)
		bits_set(bits, gfn + i);
	return 0;
}

static int read_count(const char *line, struct guest_count *ret_count)
{
	struct guest_count count;

	if (sscanf(line,
		   "count %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &count.ms, &count.hot, &count.sweep, &count.cycles, &count.sweeps,
		   &count.slowest_ms) != 6)
		return -1;
	*ret_count = count;
	return 0;
}

/* The newest of the last @n counters that is @back_ms older than the last one. */
static void look_back(struct guest *guest, const struct guest_count *counts, size_t n,
		      uint64_t back_ms)
{
	size_t kept = n < COUNTS_KEPT ? n : COUNTS_KEPT;

	guest->last = counts[(n - 1) % COUNTS_KEPT];
	for (size_t age = 1; age < kept; age++) {
		guest->earlier = counts[(n - 1 - age) % COUNTS_KEPT];
		if (guest->earlier.ms + back_ms <= guest->last.ms)
			return;
	}
}

int guest_read(const char *path, uint64_t since_ms, uint64_t back_ms, struct guest *ret_guest)
{
	static struct guest_count counts[COUNTS_KEPT];
	struct guest guest = {};
	char line[256];
	size_t ncounts = 0;
	bool ready = false, bad = false;
	FILE *file = fopen(path, "re");

	if (!file) {
		fprintf(stderr, "judge: '%s': %s\n", path, strerror(errno));
		return -1;
	}
	while (!bad && fgets(line, sizeof(line), file)) {
		if (!strchr(line, '\n'))
			break; /* being written just now */
		if (strncmp(line, "guest ", 6) == 0)
			bad = read_header(&guest, line) < 0;
		else if (strncmp(line, "hot ", 4) == 0 || strncmp(line, "sweep ", 6) == 0)
			bad = read_run(&guest, line) < 0;
		else if (strcmp(line, "ready\n") == 0)
			ready = true;
		else if (strncmp(line, "moved ", 6) == 0)
			bad = sscanf(line, "moved %" SCNu64, &guest.moved) != 1;
		else if (read_count(line, &counts[ncounts % COUNTS_KEPT]) == 0)
			ncounts++;
		else
			bad = true;
		if (!bad && ncounts && strncmp(line, "count ", 6) == 0) {
			const struct guest_count *count = &counts[(ncounts - 1) % COUNTS_KEPT];

			if (count->ms > since_ms && count->slowest_ms > guest.slowest_ms)
				guest.slowest_ms = count->slowest_ms;
		}
	}
	fclose(file);
	if (bad || !ready || !guest.hot || ncounts == 0) {
		fprintf(stderr, "judge: '%s': %s%s\n", path,
			bad ? "not a line of the guest's: " : "the guest is not ready",
			bad ? line : "");
		free(guest.hot);
		free(guest.sweep);
		return -1;
	}
	look_back(&guest, counts, ncounts, back_ms);
	*ret_guest = guest;
	return 0;
}
