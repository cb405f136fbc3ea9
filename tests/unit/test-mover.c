// SPDX-License-Identifier: GPL-2.0-or-later
/* The thread that moves: every batch comes back, and none waits for another's pace. */
#include <poll.h>
#include <string.h>

#include "test.h"

#include "base/units.h"
#include "migrate/mover.h"
#include "sim/machine.h"

#define DRAM  0
#define CXL   1
#define PAGES 4096

struct side {
	struct machine_guest *g;
	struct lane lane;
	struct pace pace;
};

struct bench {
	struct machine *machine;
	struct host *host;
	struct queue *done;
	struct mover *mover;
	struct side side[2];
};

static void bench_open(struct bench *b, uint64_t host_rate)
{
	memset(b, 0, sizeof(*b));
	b->machine = machine_new();
	b->host = machine_host(b->machine);
	machine_add_node(b->machine, DRAM, true, 4, 1 << 20);
	machine_add_node(b->machine, CXL, false, 45, 1 << 20);
	for (size_t i = 0; i < 2; i++) {
		struct host_found found = {0};

		b->side[i].g = machine_add_guest(b->machine, "db", PAGES, CXL, false);
		found.pid = machine_pid(b->side[i].g);
		assert_int_equal(
			b->host->ops->vm_open(b->host, &found, &b->side[i].lane.vm, NULL, NULL), 0);
	}
	assert_int_equal(queue_new(&b->done), 0);
	assert_int_equal(mover_start(b->host, host_rate, b->done, &b->mover), 0);
}

static void bench_close(struct bench *b)
{
	mover_stop(b->mover);
	queue_free(b->done);
	for (size_t i = 0; i < 2; i++)
		b->host->ops->vm_close(b->side[i].lane.vm);
	machine_free(b->machine);
}

static void send_pages(struct bench *b, size_t i, size_t n, uint64_t rate)
{
	struct side *side = &b->side[i];
	struct batch *batch = batch_new(n);

	pace_init(&side->pace, rate, b->host->ops->now_ns(b->host));
	batch->lane = &side->lane;
	batch->guest = i;
	batch->node = DRAM;
	batch->pace = &side->pace;
	for (size_t u = 0; u < n; u++)
		batch->units[u] = (struct moved) {.hva = machine_hva(side->g, u), .pages = 1};
	batch->n = batch->pages = n;
	atomic_fetch_add(&side->lane.queued_pages[DIRECTION_PROMOTE], n);
	assert_int_equal(mover_put(b->mover, batch), 0);
}

static struct batch *receive(struct bench *b)
{
	struct pollfd p = {.fd = queue_fd(b->done), .events = POLLIN};
	struct batch *batch;

	while (!(batch = queue_take(b->done))) {
		assert_int_equal(poll(&p, 1, 5000), 1);
		queue_rest(b->done);
	}
	return batch;
}

static void a_batch_comes_back_with_its_outcome(void **state)
{
	struct bench b;
	struct batch *batch;

	(void)state;
	bench_open(&b, 0);
	send_pages(&b, 0, 1000, 0);
	batch = receive(&b);
	assert_int_equal(batch->guest, 0);
	assert_int_equal(batch->outcome.moved_pages, 1000);
	assert_int_equal(machine_pages_on(b.side[0].g, DRAM), 1000);
	free(batch);
	bench_close(&b);
}

static void a_slow_guest_does_not_hold_up_a_fast_one(void **state)
{
	struct bench b;
	struct batch *batch;

	(void)state;
	bench_open(&b, 0);
	/* 16 MiB at 40 bytes a second would take years, also by a clock that jumps. */
	send_pages(&b, 0, 4096, 40);
	send_pages(&b, 1, 4096, 0);
	batch = receive(&b);
	assert_int_equal(batch->guest, 1);
	assert_int_equal(batch->outcome.moved_pages, 4096);
	free(batch);
	atomic_store(&b.side[0].lane.hold, true);
	batch = receive(&b);
	assert_int_equal(batch->guest, 0);
	assert_in_range(batch->outcome.failed_pages[CAUSE_STALE], 2048, 4096);
	free(batch);
	bench_close(&b);
}

static void a_mover_that_stops_gives_back_what_it_had_begun(void **state)
{
	struct bench b;
	struct batch *batch;
	uint64_t seen = 0;

	(void)state;
	bench_open(&b, 0);
	send_pages(&b, 0, 4096, 40);
	while (!atomic_load(&b.side[0].lane.inflight_pages[DIRECTION_PROMOTE]))
		b.host->ops->now_ns(b.host);
	b.mover = mover_stop(b.mover);
	while ((batch = queue_take(b.done))) {
		seen += batch->outcome.moved_pages + batch->outcome.failed_pages[CAUSE_STALE];
		free(batch);
	}
	assert_int_equal(seen, 4096);
	assert_int_equal(atomic_load(&b.side[0].lane.inflight_pages[DIRECTION_PROMOTE]), 0);
	bench_close(&b);
}

static void a_mover_without_work_stops_at_once(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, MIB(1));
	/* Also one that is just about to wait: the wake must not be lost to it. */
	for (int i = 0; i < 10000; i++) {
		for (int spin = 0; spin < i; spin++)
			__asm__ volatile("");
		mover_stop(b.mover);
		assert_int_equal(mover_start(b.host, 0, b.done, &b.mover), 0);
	}
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_comes_back_with_its_outcome),
		cmocka_unit_test(a_slow_guest_does_not_hold_up_a_fast_one),
		cmocka_unit_test(a_mover_that_stops_gives_back_what_it_had_begun),
		cmocka_unit_test(a_mover_without_work_stops_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
