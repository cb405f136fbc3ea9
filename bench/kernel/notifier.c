// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions of the MMU notifier's clear_young, called by the test module
 * clear_young.ko for each page of the range, or for 2 MiB at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "clear_young.h"
#include "measure.h"

static int age(struct measure *m, int fd, const char *name, uint64_t step_pages, const char *state,
	       bool accessed)
{
	struct clear_young_run run = {
		.start = (uintptr_t)bed_at(m->bed, 0),
		.end = (uintptr_t)bed_at(m->bed, m->bed->pages),
		.step = step_pages * PAGE_BYTES,
	};
	int r;

	meter_begin(&m->meter);
	r = ioctl(fd, CLEAR_YOUNG_RUN, &run);
	meter_end(&m->meter);
	if (r < 0) {
		r = -errno;
		fprintf(stderr, "notifier, %s: %s: no figures\n", name, strerror(errno));
		return r;
	}
	meter_write(&m->meter, &(struct reading) {.series = "notifier",
						  .variant = name,
						  .state = state,
						  .pages = m->bed->pages,
						  .seen = run.nr_young});
	if (run.nr_calls == m->bed->pages / step_pages &&
	    run.nr_young == (accessed ? run.nr_calls : 0))
		return 0;
	fprintf(stderr,
		"notifier, %s: %llu of %llu calls said 'young', with all pages %s: no figures\n",
		name, (unsigned long long)run.nr_young, (unsigned long long)run.nr_calls, state);
	return -EPROTO;
}

static int age_both(struct measure *m, int fd, const char *name, uint64_t step_pages)
{
	int r = bed_touch(m->bed, TINY_READ);

	if (!r)
		r = age(m, fd, name, step_pages, "accessed", true);
	return r ? r : age(m, fd, name, step_pages, "idle", false);
}

static int device_open(void)
{
	int fd = open(CLEAR_YOUNG_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	fprintf(stderr, "notifier: no " CLEAR_YOUNG_DEVICE ": load clear_young.ko first "
			"(lab/run --module)\n");
	return -ENODEV;
}

int notifier_clear(struct measure *m)
{
	struct clear_young_run run = {
		.start = (uintptr_t)bed_at(m->bed, 0),
		.end = (uintptr_t)bed_at(m->bed, m->bed->pages),
		.step = LARGE_PAGES * PAGE_BYTES,
	};
	_cleanup_(closep) int fd = device_open();

	if (fd < 0)
		return fd;
	return ioctl(fd, CLEAR_YOUNG_RUN, &run) < 0 ? -errno : 0;
}

int measure_notifier(struct measure *m)
{
	_cleanup_(closep) int fd = device_open();
	int r = fd < 0 ? fd : 0;

	for (unsigned int i = 0; !r && i < m->reps; i++) {
		r = age_both(m, fd, "page by page", 1);
		if (!r)
			r = age_both(m, fd, "2 MiB at a time", LARGE_PAGES);
	}
	return r;
}
