// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The access fd under everything at once, for minutes: see stress.h.  Runs in the lab,
 * where lab/stress starts it, and leaves a JSON of what it counted.
 *
 * It ends with 0 if all its goals were reached and nothing was wrong, 1 if not, 77
 * where KVM has no access fd.  Its verdict is "pass" only after a full run, on the debug
 * kernel and with nothing left out; after any other one without fault it is "short".
 */
#define _GNU_SOURCE
#include "stress.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "stress-exact.h"
#include "stress-guest.h"
#include "stress-harvest.h"
#include "stress-kernel.h"
#include "stress-nested.h"
#include "stress-noise.h"
#include "stress-vms.h"
#include "tiny-access.h"

#define PROGRESS_S 30

/*
 * Of all threads but the vCPUs'.  A vCPU that faults while pages are being unmapped
 * faults again and again until that is over, so who unmaps must not wait for it.
 */
#define NICE (-10)

/* A step may wait for seconds on a busy machine; at the end nobody shall rest for minutes. */
#define PAUSE_MAX_US 10000000

#define GOALS 3 /* the first counts have one that can be chosen */

/* What a full run is, and the default. */
#define FULL_SECONDS 600
#define FULL_ROUNDS  12
static const uint64_t full_goals[GOALS] = {1000000, 10000, 1000};

const char *const stress_count_names[_STRESS_COUNT_MAX] = {
	[STRESS_FAULTS] = "guest_page_faults_fixed",
	[STRESS_HARVESTS] = "harvest_calls",
	[STRESS_SLOT_CHANGES] = "slot_changes",
	[STRESS_FAULTS_TAKEN] = "guest_page_faults_taken",
	[STRESS_SLOTS_CREATED] = "slots_created",
	[STRESS_SLOTS_DELETED] = "slots_deleted",
	[STRESS_SLOTS_MOVED] = "slots_moved",
	[STRESS_PEEKS] = "peek_calls",
	[STRESS_EARLY_RETURNS] = "harvests_returned_early",
	[STRESS_PAGES_ACCESSED] = "pages_reported_accessed",
	[STRESS_PAGES_DIRTY] = "pages_reported_dirty",
	[STRESS_LOST_RACES] = "compare_and_exchange_retries",
	[STRESS_SECOND_OWNERS_REFUSED] = "second_owners_refused",
	[STRESS_EBUSY] = "ebusy",
	[STRESS_ESTALE] = "estale",
	[STRESS_EINTR] = "eintr",
	[STRESS_EFAULT] = "efault",
	[STRESS_EPERM] = "eperm",
	[STRESS_ESRCH] = "esrch",
	[STRESS_POLLHUP] = "pollhup",
	[STRESS_SLOT_TABLES_READ] = "slot_tables_read",
	[STRESS_SLOT_TABLES_CHANGING] = "slot_tables_read_while_changing",
	[STRESS_DIRTY_LOG_SWITCHES] = "dirty_log_switches",
	[STRESS_DIRTY_LOG_READS] = "dirty_log_reads",
	[STRESS_DIRTY_LOG_CLEARS] = "dirty_log_clears",
	[STRESS_PAGES_ZAPPED] = "pages_zapped",
	[STRESS_PAGES_MIGRATED] = "pages_migrated",
	[STRESS_THP_COLLAPSED] = "large_pages_collapsed",
	[STRESS_THP_SPLITS_ASKED] = "large_page_splits_asked",
	[STRESS_THP_SPLIT] = "large_pages_split",
	[STRESS_AGEING_PASSES] = "mglru_ageing_passes",
	[STRESS_IDLE_PASSES] = "idle_tracking_passes",
	[STRESS_EVICTIONS] = "mglru_evictions",
	[STRESS_PAGEOUTS] = "pageouts_asked",
	[STRESS_SWAPPED_OUT] = "pages_swapped_out",
	[STRESS_SWAPPED_IN] = "pages_swapped_in",
	[STRESS_MERGED] = "ksm_pages_merged_at_most",
	[STRESS_UNMERGED] = "ksm_pages_written_apart",
	[STRESS_VMS_MADE] = "other_vms_made",
	[STRESS_VMS_KILLED] = "other_vms_killed",
	[STRESS_FDS_CLOSED_AFTER_VM] = "access_fds_closed_after_their_vm",
	[STRESS_GUEST_RUNS] = "guest_runs",
	[STRESS_GUEST_MMIO_EXITS] = "guest_mmio_exits",
	[STRESS_GUEST_INTERRUPTED] = "guest_runs_interrupted",
	[STRESS_PAGES_VERIFIED] = "guest_pages_verified",
	[STRESS_SIGNALS] = "signals_sent",
	[STRESS_DUEL_HARVESTS] = "duel_harvest_calls",
	[STRESS_DUEL_ZAPS] = "duel_zaps",
	[STRESS_NESTED_RUNS] = "nested_guest_runs",
};

/*
 * Who works.  All but the vCPUs rest for a multiple of the CPU time that they have used,
 * so that they leave three quarters of two CPUs to the guest, on however slow a machine.
 */
static const struct {
	const char *name;
	void (*step)(struct stress_worker *w);
	unsigned int pause_us;
	unsigned int rest;
	unsigned int count; /* 0: one per vCPU */
	bool nudged;
} rows[] = {
	{"vcpu", stress_guest_step, 0, 0, 0, true},
	{"harvester", stress_harvest_step, 1000, 10, 1, true},
	{"peeker", stress_peek_step, 1000, 30, 2, true},
	{"second owner", stress_second_owner_step, 10000, 40, 1, true},
	{"slot reader", stress_slot_table_step, 10000, 40, 1, true},
	{"nested vcpu", stress_nested_step, 1000, 5, 1, true},
	{"duel vcpu", stress_duel_touch_step, 2000, 1, 1, true},
	{"duel harvester", stress_duel_harvest_step, 0, 0, 1, true},
	{"duel zapper", stress_duel_zap_step, 5000, 5, 1, false},
	{"zapper", stress_zap_step, 10000, 10, 1, false},
	{"slot changer", stress_slots_step, 50000, 6, 1, false},
	{"dirty logger", stress_dirty_log_step, 50000, 30, 1, false},
	{"migrator", stress_move_step, 10000, 15, 1, false},
	{"large pages", stress_thp_step, 10000, 20, 1, false},
	{"twins", stress_twins_step, 100000, 20, 1, false},
	{"ageing", stress_age_step, 10000, 40, 1, false},
	{"other VMs", stress_vms_step, 10000, 20, 1, false},
	{"signals", stress_nudge_step, 10000, 30, 1, false},
};

struct options {
	uint64_t seconds;
	uint64_t limit_seconds;
	uint64_t goals[GOALS];
	size_t vcpus;
	unsigned int rounds;
	const char *splat;
	const char *json;
	bool is_full;
};

void stress_fail(struct stress *s, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&s->lock);
	if (!s->failure[0]) {
		va_start(args, format);
		vsnprintf(s->failure, sizeof(s->failure), format, args);
		va_end(args);
		fprintf(stderr, "stress: %s\n", s->failure);
	}
	pthread_mutex_unlock(&s->lock);
	s->stop = true;
}

bool stress_one_in(struct stress_worker *w, uint64_t n)
{
	return tiny_random_below(&w->random, n) == 0;
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void stress_pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void stress_spin(struct stress_worker *w, uint64_t most_us)
{
	uint64_t end = clock_us(CLOCK_MONOTONIC) + tiny_random_below(&w->random, most_us);

	while (clock_us(CLOCK_MONOTONIC) < end)
		;
}

static void on_signal(int number)
{
	(void)number;
}

static void *work(void *arg)
{
	struct stress_worker *w = arg;
	uint64_t before, used, pause;

	if (w->step != stress_guest_step && w->step != stress_duel_touch_step &&
	    w->step != stress_nested_step)
		setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while (!w->s->stop) {
		before = clock_us(CLOCK_THREAD_CPUTIME_ID);
		w->step(w);
		used = clock_us(CLOCK_THREAD_CPUTIME_ID) - before;
		w->cpu_us += used;
		w->steps++;
		pause = used * w->rest > w->pause_us ? used * w->rest : w->pause_us;
		if (pause)
			usleep((useconds_t)min_u64(pause, PAUSE_MAX_US));
	}
	return NULL;
}

static void start_workers(struct stress *s, size_t vcpus, uint64_t *random)
{
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		size_t count = rows[row].count ? rows[row].count : vcpus;

		for (size_t i = 0; i < count; i++) {
			struct stress_worker *w = &s->workers[s->nr_workers++];

			*w = (struct stress_worker) {
				.s = s,
				.name = rows[row].name,
				.step = rows[row].step,
				.pause_us = rows[row].pause_us,
				.rest = rows[row].rest,
				.index = (unsigned int)i,
				.nudged = rows[row].nudged,
				.random = tiny_random(random),
			};
		}
	}
	for (size_t i = 0; i < s->nr_workers; i++) {
		struct stress_worker *w = &s->workers[i];

		if (pthread_create(&w->thread, NULL, work, w)) {
			stress_fail(s, "no thread can be made for '%s'", w->name);
			return;
		}
		w->runs = true;
	}
}

/* The one that sends signals is the last, and ends first. */
static void join_workers(struct stress *s)
{
	s->stop = true;
	for (size_t i = s->nr_workers; i-- > 0;) {
		struct stress_worker *w = &s->workers[i];

		if (!w->runs)
			continue;
		pthread_join(w->thread, NULL);
		w->runs = false;
		if (!w->steps)
			stress_fail(s, "the worker '%s' has not done anything", w->name);
	}
}

static void say_progress(struct stress *s, uint64_t seconds)
{
	printf("%4" PRIu64 " s: %" PRIu64 " faults, %" PRIu64 " harvests, %" PRIu64
	       " slot changes, %" PRIu64 " pages migrated, %" PRIu64 " verified, %" PRIu64
	       " dirty log switches, %" PRIu64 " other VMs, %" PRIu64 " lost races\n",
	       seconds, stress_count_get(s, STRESS_FAULTS), stress_count_get(s, STRESS_HARVESTS),
	       stress_count_get(s, STRESS_SLOT_CHANGES), stress_count_get(s, STRESS_PAGES_MIGRATED),
	       stress_count_get(s, STRESS_PAGES_VERIFIED),
	       stress_count_get(s, STRESS_DIRTY_LOG_SWITCHES), stress_count_get(s, STRESS_VMS_MADE),
	       stress_count_get(s, STRESS_LOST_RACES));
	fflush(stdout);
}

static bool is_full(const struct options *o)
{
	const char *kernel = getenv("LAB_KERNEL");

	for (int i = 0; i < GOALS; i++)
		if (o->goals[i] < full_goals[i])
			return false;
	/* With one CPU, or one vCPU, much of it could not happen at once. */
	return o->seconds >= FULL_SECONDS && o->rounds >= FULL_ROUNDS && o->vcpus >= 2 &&
	       sysconf(_SC_NPROCESSORS_ONLN) >= 2 && kernel && strcmp(kernel, "debug") == 0;
}

/* Is it a promise of the stress that this is counted at all? */
static bool must_happen(enum stress_count what)
{
	const char *tcg = getenv("LAB_TCG");

	switch (what) {
	case STRESS_EINTR:
		/* A signal must find a harvest that waits for another one's end. */
		return false;
	case STRESS_LOST_RACES:
		/* Where CPUs take turns none comes between two instructions of another one. */
		return !tcg || strcmp(tcg, "single") != 0;
	default:
		return true;
	}
}

static uint64_t goal_of(const struct options *o, enum stress_count what)
{
	if (what < GOALS)
		return o->goals[what];
	return o->is_full && must_happen(what) ? 1 : 0;
}

static bool goals_are_reached(struct stress *s, const struct options *o)
{
	for (int i = 0; i < _STRESS_COUNT_MAX; i++)
		if (stress_count_get(s, (enum stress_count)i) < goal_of(o, (enum stress_count)i))
			return false;
	return true;
}

static void fail_for_goals(struct stress *s, const struct options *o)
{
	for (int i = 0; i < _STRESS_COUNT_MAX; i++) {
		uint64_t goal = goal_of(o, (enum stress_count)i);
		uint64_t count = stress_count_get(s, (enum stress_count)i);

		if (count < goal)
			stress_fail(s,
				    "only %" PRIu64 " of %" PRIu64
				    " %s within the limit of %" PRIu64 " s",
				    count, goal, stress_count_names[i], o->limit_seconds);
	}
}

/* What a full run promises and this one has not done, as a JSON array. */
static void write_not_reached(struct stress *s, FILE *out)
{
	const char *comma = "";

	fprintf(out, "[");
	for (int i = 0; i < _STRESS_COUNT_MAX; i++) {
		if (!must_happen((enum stress_count)i) || stress_count_get(s, (enum stress_count)i))
			continue;
		fprintf(out, "%s\"%s\"", comma, stress_count_names[i]);
		comma = ", ";
	}
	fprintf(out, "]");
}

static const char *verdict(const struct stress *s, const struct options *o)
{
	return s->failure[0] ? "fail" : o->is_full ? "pass" : "short";
}

/* Until the time is over and the goals are reached, or something is wrong.  Return: seconds. */
static uint64_t watch(struct stress *s, struct stress_kernel *k, const struct options *o)
{
	uint64_t start = clock_us(CLOCK_MONOTONIC) / 1000000, next = PROGRESS_S, seconds;

	for (;;) {
		sleep(1);
		seconds = clock_us(CLOCK_MONOTONIC) / 1000000 - start;
		stress_guest_read_faults(s);
		stress_kernel_read_counts(k, s);
		stress_kernel_listen(k, s);
		if (s->stop)
			break;
		if (seconds >= o->seconds && goals_are_reached(s, o))
			break;
		if (seconds >= o->limit_seconds) {
			fail_for_goals(s, o);
			break;
		}
		if (seconds >= next) {
			say_progress(s, seconds);
			next += PROGRESS_S;
		}
	}
	say_progress(s, seconds);
	return seconds;
}

static int open_access(struct stress *s)
{
	struct kvm_access_info info;
	int r;

	s->clear_fd = tiny_access_open(s->guest->t->vm_fd, KVM_ACCESS_FD_CLEAR);
	s->peek_fd = tiny_access_open(s->guest->t->vm_fd, 0);
	if (s->clear_fd < 0 || s->peek_fd < 0)
		return s->clear_fd < 0 ? s->clear_fd : s->peek_fd;
	r = tiny_access_info(s->clear_fd, &info);
	s->supported = info.supported;
	return r || (s->supported & KVM_ACCESS_SUP_DIRTY) ? r : -EOPNOTSUPP;
}

/* The VM goes first, its access fds last. */
static void close_all(struct stress *s)
{
	s->guest = stress_guest_free(s->guest);
	closep(&s->peek_fd);
	closep(&s->clear_fd);
	s->peek_fd = s->clear_fd = -1;
	stress_count_add(s, STRESS_FDS_CLOSED_AFTER_VM, 2);
	stress_vms_end(s);
}

static void write_string(FILE *out, const char *name, const char *text)
{
	fprintf(out, "\"%s\": \"", name);
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
	fputs("\",\n", out);
}

struct outcome {
	uint64_t seconds;
	uint64_t verified;
	struct stress_rounds rounds;
	struct stress_kernel kernel;
	char *facts; /* JSON */
};

static int write_json(struct stress *s, const struct options *o, const struct outcome *x)
{
	_cleanup_(fclosep) FILE *out = fopen(o->json, "we");

	if (!out) {
		fprintf(stderr, "stress: cannot write '%s': %s\n", o->json, strerror(errno));
		return -errno;
	}
	fprintf(out, "{\n\"seed\": %" PRIu64 ",\n\"seconds\": %" PRIu64 ",\n", tiny_seed(),
		x->seconds);
	fprintf(out, "\"seconds_asked\": %" PRIu64 ",\n\"seconds_limit\": %" PRIu64 ",\n",
		o->seconds, o->limit_seconds);
	fprintf(out, "\"vcpus\": %zu,\n\"supported\": %u,\n\"goals\": {\n", o->vcpus, s->supported);
	for (int i = 0; i < GOALS; i++)
		fprintf(out, "  \"%s\": %" PRIu64 "%s\n", stress_count_names[i], o->goals[i],
			i + 1 < GOALS ? "," : "");
	fprintf(out, "},\n\"is_full\": %s,\n\"not_reached\": ", o->is_full ? "true" : "false");
	write_not_reached(s, out);
	fprintf(out, ",\n\"counts\": {\n");
	for (int i = 0; i < _STRESS_COUNT_MAX; i++)
		fprintf(out, "  \"%s\": %" PRIu64 "%s\n", stress_count_names[i],
			stress_count_get(s, (enum stress_count)i),
			i + 1 < _STRESS_COUNT_MAX ? "," : "");
	fprintf(out, "},\n\"workers\": {\n");
	for (size_t i = 0; i < s->nr_workers; i++)
		fprintf(out, "  \"%s %u\": {\"steps\": %" PRIu64 ", \"cpu_ms\": %" PRIu64 "}%s\n",
			s->workers[i].name, s->workers[i].index, (uint64_t)s->workers[i].steps,
			s->workers[i].cpu_us / 1000, i + 1 < s->nr_workers ? "," : "");
	fprintf(out, "},\n\"at_rest\": {\n");
	fprintf(out, "  \"pages_verified\": %" PRIu64 ",\n  \"rounds_asked\": %u,\n", x->verified,
		x->rounds.asked);
	fprintf(out, "  \"exact_rounds_accessed\": %u,\n", x->rounds.accessed);
	fprintf(out, "  \"exact_rounds_dirty\": %u,\n", x->rounds.dirty);
	fprintf(out, "  \"exact_rounds_nested\": %u,\n", x->rounds.nested);
	fprintf(out,
		"  \"dirty_log_rounds_complete\": %u,\n  \"dirty_log_pages_beyond\": %" PRIu64
		"\n},\n",
		x->rounds.logged, x->rounds.logged_beyond);
	fprintf(out, "\"kernel\": {\n%s},\n", x->facts ? x->facts : "");
	fprintf(out, "\"splats\": %u,\n", x->kernel.splats);
	write_string(out, "first_splat", x->kernel.first_splat);
	if (x->kernel.has_kmemleak)
		fprintf(out, "\"kmemleak_objects_before\": %u,\n\"kmemleak_objects\": %u,\n",
			x->kernel.leaks_before, x->kernel.leaks);
	else
		fprintf(out, "\"kmemleak_objects_before\": null,\n\"kmemleak_objects\": null,\n");
	write_string(out, "first_leak", x->kernel.first_leak);
	fprintf(out, "\"modules_unloaded\": %s,\n", x->kernel.is_unloaded ? "true" : "false");
	write_string(out, "failure", s->failure);
	fprintf(out, "\"verdict\": \"%s\"\n}\n", verdict(s, o));
	if (fflush(out) || ferror(out)) {
		fprintf(stderr, "stress: '%s' cannot be written to its end\n", o->json);
		return -EIO;
	}
	return 0;
}

static void compare_rounds(struct stress *s, const struct stress_rounds *r)
{
	const struct {
		const char *kind;
		unsigned int good;
	} kinds[] = {
		{"accessed", r->accessed},
		{"dirty", r->dirty},
		{"nested", r->nested},
		{"logged", r->logged},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].good != r->asked)
			stress_fail(s, "at rest only %u of %u rounds were exact: %s", kinds[i].good,
				    r->asked, kinds[i].kind);
}

/* After a failure the rest would only blur what it was; what was counted is kept. */
static void at_rest(struct stress *s, uint64_t *random, struct outcome *x)
{
	stress_dirty_log_end(s);
	stress_kernel_quieten();
	if (!s->failure[0])
		x->verified = stress_guest_verify_all(s, random);
	if (!s->failure[0]) {
		stress_exact(s, random, &x->rounds);
		compare_rounds(s, &x->rounds);
	}
	printf("at rest: %" PRIu64
	       " pages verified; of %u rounds, accessed %u, dirty %u, nested %u, "
	       "logged %u are exact\n",
	       x->verified, x->rounds.asked, x->rounds.accessed, x->rounds.dirty, x->rounds.nested,
	       x->rounds.logged);
	fflush(stdout);
}

static void leave(struct stress *s, struct outcome *x)
{
	struct stress_kernel *k = &x->kernel;
	const char *kind = getenv("LAB_KERNEL");
	size_t size;
	FILE *facts;

	close_all(s);
	stress_kernel_find_leaks(k, s);
	stress_kernel_unload(k, s);
	if (!k->leaks)
		stress_kernel_find_leaks(k, s); /* what only the modules knew of shows now */
	facts = open_memstream(&x->facts, &size);
	if (facts) {
		bool all = stress_kernel_check(k, facts);

		fclose(facts);
		if (!all && kind && strcmp(kind, "debug") == 0)
			stress_fail(s, "a check of the debug kernel is not at work: see the JSON");
	}
	stress_kernel_listen(k, s);
	printf("leaks %u, modules unloaded: %s, splats %u\n", k->leaks,
	       k->is_unloaded ? "yes" : "no", k->splats);
}

static int stress(const struct options *o)
{
	static struct stress s = {.clear_fd = -1, .peek_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct outcome x = {.rounds = {.asked = o->rounds}};
	uint64_t random = tiny_seed();
	int r;

	r = stress_kernel_begin(&x.kernel, o->splat);
	if (r) {
		fprintf(stderr, "stress: the kernel's log or kmemleak cannot be read: %s\n",
			strerror(-r));
		return r;
	}
	sem_init(&s.duel, 0, 0);
	r = stress_guest_new(o->vcpus, &s.guest);
	if (!r)
		r = open_access(&s);
	if (r) {
		fprintf(stderr, "stress: there is no guest to work on: %s\n", strerror(-r));
		return r;
	}
	start_workers(&s, o->vcpus, &random);
	x.seconds = watch(&s, &x.kernel, o);
	join_workers(&s);
	stress_guest_read_faults(&s);
	at_rest(&s, &random, &x);
	leave(&s, &x);
	stress_kernel_end(&x.kernel);
	printf("verdict: %s; never happened, of what a full run promises: ", verdict(&s, o));
	write_not_reached(&s, stdout);
	printf("\n");
	if (o->json)
		r = write_json(&s, o, &x);
	free(x.facts);
	return r ? r : s.failure[0] ? -EIO : 0;
}

static void usage(FILE *to)
{
	fputs("Usage: stress --splat PATTERN [--seconds S] [--limit S] [--faults N]\n"
	      "              [--harvests N] [--slot-changes N] [--vcpus N] [--rounds N]\n"
	      "              [--json FILE]\n",
	      to);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{"seconds", required_argument, NULL, 's'},
		{"limit", required_argument, NULL, 'l'},
		{"faults", required_argument, NULL, 'f'},
		{"harvests", required_argument, NULL, 'h'},
		{"slot-changes", required_argument, NULL, 'c'},
		{"vcpus", required_argument, NULL, 'v'},
		{"rounds", required_argument, NULL, 'r'},
		{"splat", required_argument, NULL, 'p'},
		{"json", required_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	struct options o = {.seconds = FULL_SECONDS,
			    .limit_seconds = 6ULL * FULL_SECONDS,
			    .vcpus = 2,
			    .rounds = FULL_ROUNDS};
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: calls shall end */
	int c;

	memcpy(o.goals, full_goals, sizeof(o.goals));
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		uint64_t n = 0;

		if (strchr("slfhcvr", c) && units_parse_u64(optarg, &n))
			c = '?';
		switch (c) {
		case 's':
			o.seconds = n;
			break;
		case 'l':
			o.limit_seconds = n;
			break;
		case 'f':
		case 'h':
		case 'c':
			o.goals[c == 'f'   ? STRESS_FAULTS
				: c == 'h' ? STRESS_HARVESTS
					   : STRESS_SLOT_CHANGES] = n;
			break;
		case 'v':
			o.vcpus = n;
			break;
		case 'r':
			o.rounds = (unsigned int)n;
			break;
		case 'p':
			o.splat = optarg;
			break;
		case 'j':
			o.json = optarg;
			break;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc || !o.splat || !o.seconds || o.limit_seconds < o.seconds || !o.vcpus ||
	    o.vcpus > STRESS_VCPUS_MAX) {
		usage(stderr);
		return 2;
	}
	if (!tiny_access_supported()) {
		fprintf(stderr, "stress: skipped: this KVM has no access fd\n");
		return 77;
	}
	o.is_full = is_full(&o);
	sigaction(SIGUSR1, &action, NULL);
	return stress(&o) ? 1 : 0;
}
