// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The demo's judge: watches one guest from outside while a tiering daemon works
 * on it, and says at the end whether the right pages moved.  It shares no code
 * with that daemon, clears no accessed bit, and alone is told by the guest which
 * pages are hot.  Of the daemon it believes nothing; but where its own count of
 * passes and the daemon's differ, there is no verdict.
 *
 * Start it before the daemon; it says "watching" once it knows where everything
 * lay.  SIGTERM or SIGINT ends the watch and brings the verdict.
 *
 * Exit status: 0 the verdict is good, 1 it is not, 2 there is none.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bits.h"
#include "guest.h"
#include "verdict.h"
#include "vm.h"
#include "watch.h"

/*
 * Ten peeks in a pass of a second: what is accessed after the last one and
 * before the daemon clears is not seen, at most a tenth.  Faster peeks cost CPU
 * that the guest needs.
 */
#define PEEK_MS 100

/* Accesses are shared out over the tiers as they were in the last seconds. */
#define SHARE_MS 5000

/* A page under migration has no node for a moment: ask again, this often. */
#define PLACE_TRIES 20

static volatile sig_atomic_t arg_stop;
static pid_t arg_pid;
static const char *arg_report;
static const char *arg_json;
static const char *arg_daemon_passes;
static uint64_t arg_peek_ms = PEEK_MS;

static void on_signal(int signal)
{
	(void)signal;
	arg_stop = 1;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_until_ms(uint64_t at)
{
	struct timespec until = {.tv_sec = (time_t)(at / 1000),
				 .tv_nsec = (long)(at % 1000 * 1000000)};

	while (!arg_stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static void usage(FILE *to)
{
	fputs("Usage: judge --pid PID --report FILE --json FILE --passes FILE [--peek-ms N]\n"
	      "\n"
	      "  --pid PID      QEMU of the guest to watch\n"
	      "  --report FILE  what the guest writes to its virtio-serial port\n"
	      "  --json FILE    the verdict with its figures\n"
	      "  --passes FILE  how many passes the daemon counts, read at the end\n"
	      "  --peek-ms N    time between two looks (100)\n"
	      "\n"
	      "Ends at SIGTERM or SIGINT: 0 good, 1 not good, 2 no verdict.\n",
	      to);
}

static int parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{"pid", required_argument, NULL, 'p'},
		{"report", required_argument, NULL, 'r'},
		{"json", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"peek-ms", required_argument, NULL, 'm'},
		{"passes", required_argument, NULL, 'd'},
		{},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			arg_pid = atoi(optarg);
			break;
		case 'r':
			arg_report = optarg;
			break;
		case 'j':
			arg_json = optarg;
			break;
		case 'd':
			arg_daemon_passes = optarg;
			break;
		case 'm':
			arg_peek_ms = strtoull(optarg, NULL, 10);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return -1;
		}
	}
	return optind == argc && arg_pid > 0 && arg_report && arg_json && arg_daemon_passes &&
			       arg_peek_ms
		       ? 0
		       : -1;
}

static int read_daemon_passes(uint64_t *ret_passes)
{
	FILE *file = fopen(arg_daemon_passes, "re");
	int n = file ? fscanf(file, "%" SCNu64, ret_passes) : 0;

	if (file)
		fclose(file);
	if (n == 1)
		return 0;
	fprintf(stderr, "judge: '%s': no count of the daemon's passes\n", arg_daemon_passes);
	return -1;
}

/* Where all of RAM lies; pages of @known without an answer are asked for again. */
static int place_all(const struct vm *vm, const int *known, int *nodes)
{
	uint64_t *which = bits_new(vm->npages);
	size_t left = 1;

	if (!which)
		return -1;
	memcpy(which, vm->ram, bits_words(vm->npages) * sizeof(uint64_t));
	for (int tries = 0; tries < PLACE_TRIES && left; tries++) {
		if (tries)
			sleep_until_ms(now_ms() + arg_peek_ms);
		if (vm_place(vm, which, nodes) < 0) {
			free(which);
			return -1;
		}
		left = 0;
		for (size_t gfn = 0; gfn < vm->npages; gfn++) {
			if (!bits_test(which, gfn))
				continue;
			if (nodes[gfn] >= 0 || (known && known[gfn] < 0))
				bits_clear(which, gfn);
			else
				left++;
		}
		if (!known)
			break;
	}
	free(which);
	return 0;
}

/* Pages that went out of sight may have moved without being used since. */
static int settle_unsure(const struct vm *vm, struct watch *watch, int *nodes)
{
	if (bits_count(watch->unsure, vm->npages) == 0)
		return 0;
	if (vm_place(vm, watch->unsure, nodes) < 0)
		return -1;
	for (size_t gfn = 0; gfn < vm->npages; gfn++) {
		if (!bits_test(watch->unsure, gfn) || nodes[gfn] < 0)
			continue;
		bits_clear(watch->unsure, gfn);
		if (vm_is_dram(vm, nodes[gfn]))
			bits_set(watch->moved, gfn);
	}
	return 0;
}

static void print_progress(const struct watch *watch, const struct peek *peek,
			   const struct guest *guest, uint64_t ms)
{
	size_t n = guest->npages;
	size_t moved = bits_count(watch->moved, n);

	printf("judge: %" PRIu64 " s, %" PRIu64 " passes seen, hot set in DRAM %.1f %%, "
	       "moved %zu pages, of these %zu hot\n",
	       ms / 1000, watch->passes,
	       100.0 * (double)bits_count_and(peek->in_dram, guest->hot, n) /
		       (double)bits_count(guest->hot, n),
	       moved, bits_count_and(watch->moved, guest->hot, n));
	fflush(stdout);
}

static int peek_init(struct peek *peek, size_t npages)
{
	peek->accessed = bits_new(npages);
	peek->present = bits_new(npages);
	peek->large = bits_new(npages);
	peek->in_dram = bits_new(npages);
	return peek->accessed && peek->present && peek->large && peek->in_dram ? 0 : -1;
}

/* Looks again and again until told to stop; @verdict gets what the looks alone say. */
static int watch_guest(struct vm *vm, const struct guest *guest, struct watch *watch,
		       struct verdict *verdict)
{
	struct peek peek = {};
	int *nodes = calloc(vm->npages, sizeof(*nodes));
	uint64_t start = now_ms(), due = start, said = start;

	if (!nodes || peek_init(&peek, vm->npages) < 0)
		return -1;
	do {
		uint64_t begun = now_ms();

		if (vm_is_gone(vm)) {
			fprintf(stderr, "judge: the guest went away\n");
			return -1;
		}
		if (vm_peek(vm, &peek) < 0)
			return -1;
		verdict->peek_ms_max = now_ms() - begun > verdict->peek_ms_max
					       ? now_ms() - begun
					       : verdict->peek_ms_max;
		watch_add(watch, &peek, begun);
		if (settle_unsure(vm, watch, nodes) < 0)
			return -1;
		if (watch->peeks == 1) {
			verdict->large_before = bits_count(peek.large, vm->npages);
			verdict->present_before = bits_count(peek.present, vm->npages);
			printf("watching\n");
			fflush(stdout);
		}
		if (now_ms() - said >= 1000) {
			said = now_ms();
			print_progress(watch, &peek, guest, said - start);
		}
		due = due + arg_peek_ms > now_ms() ? due + arg_peek_ms : now_ms();
		sleep_until_ms(due);
	} while (!arg_stop);
	verdict->seconds = (now_ms() - start) / 1000;
	verdict->large_after = bits_count(peek.large, vm->npages);
	verdict->present_after = bits_count(peek.present, vm->npages);
	free(nodes);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction stop = {.sa_handler = on_signal};
	struct guest guest, at_end;
	struct verdict verdict = {};
	struct watch watch;
	struct vm vm;
	int *before, *after;

	if (parse_arguments(argc, argv) < 0) {
		usage(stderr);
		return 2;
	}
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	if (guest_read(arg_report, UINT64_MAX, SHARE_MS, &guest) < 0 ||
	    vm_open(&vm, arg_pid, guest.npages) < 0)
		return 2;
	before = calloc(vm.npages, sizeof(*before));
	after = calloc(vm.npages, sizeof(*after));
	if (!before || !after || watch_init(&watch, vm.npages) < 0) {
		fprintf(stderr, "judge: out of memory\n");
		return 2;
	}
	if (place_all(&vm, NULL, before) < 0 || watch_guest(&vm, &guest, &watch, &verdict) < 0 ||
	    place_all(&vm, before, after) < 0 ||
	    guest_read(arg_report, guest.last.ms, SHARE_MS, &at_end) < 0 ||
	    read_daemon_passes(&verdict.daemon_passes) < 0)
		return 2;
	verdict_reach(&verdict, &vm, &watch, &guest, &at_end, before, after);
	if (verdict_write(&verdict, arg_json) < 0)
		return 2;
	for (size_t i = 0; i < verdict.nfailures; i++)
		printf("judge: %s\n", verdict.failures[i]);
	return verdict.nfailures ? verdict.invalid ? 2 : 1 : 0;
}
