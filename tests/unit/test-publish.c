// SPDX-License-Identifier: GPL-2.0-or-later
/* A report is exchanged while others read it. */
#include <pthread.h>
#include <stdatomic.h>

#include "test.h"

#include "report/publish.h"

#define REPORTS	  20000
#define READERS	  3
#define READS_MIN 1000 /* on a busy machine a reader may start late */
#define GUESTS	  4

/* A report whose numbers all say the same, so that a mixture would show. */
static struct report *report_number(uint64_t number)
{
	struct report *report = report_new(GUESTS);

	assert_non_null(report);
	report->passes = number;
	for (size_t i = 0; i < GUESTS; i++)
		report->guests[i].passes = number;
	return report;
}

static void before_the_first_report_there_is_none(void **state)
{
	struct publisher *publisher = publisher_new();

	(void)state;
	publisher_join();
	assert_null(publisher_read(publisher));
	publisher_done();
	publisher_leave();
	publisher_free(publisher);
	assert_null(publisher_free(NULL));
}

static void the_newest_report_is_read(void **state)
{
	struct publisher *publisher = publisher_new();

	(void)state;
	publisher_join();
	for (uint64_t i = 1; i <= 10; i++) {
		publisher_put(publisher, report_number(i));
		assert_int_equal(publisher_read(publisher)->passes, i);
		publisher_done();
	}
	publisher_leave();
	publisher_free(publisher);
}

static void a_report_stays_whole_for_as_long_as_it_is_read(void **state)
{
	struct publisher *publisher = publisher_new();
	const struct report *report;

	(void)state;
	publisher_join();
	publisher_put(publisher, report_number(1));
	report = publisher_read(publisher);
	for (uint64_t i = 2; i <= 100; i++)
		publisher_put(publisher, report_number(i));
	assert_int_equal(report->passes, 1);
	assert_int_equal(report->guests[GUESTS - 1].passes, 1);
	publisher_done();
	publisher_leave();
	publisher_free(publisher);
}

struct reading {
	struct publisher *publisher;
	atomic_bool stop;
	atomic_uint mixtures;
	atomic_uint reads;
};

static void *read_on(void *arg)
{
	struct reading *reading = arg;
	uint64_t last = 0;

	publisher_join();
	while (!atomic_load(&reading->stop)) {
		const struct report *report = publisher_read(reading->publisher);
		bool whole = report->passes >= last;

		last = report->passes;
		for (size_t i = 0; i < report->nguests; i++)
			whole = whole && report->guests[i].passes == last;
		publisher_done();
		atomic_fetch_add(&reading->mixtures, !whole);
		atomic_fetch_add(&reading->reads, 1);
	}
	publisher_leave();
	return NULL;
}

static void readers_in_other_threads_never_see_a_mixture(void **state)
{
	struct reading reading = {.publisher = publisher_new()};
	pthread_t threads[READERS];

	(void)state;
	publisher_put(reading.publisher, report_number(0));
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &reading), 0);
	for (uint64_t i = 1; i <= REPORTS || atomic_load(&reading.reads) < READS_MIN; i++)
		publisher_put(reading.publisher, report_number(i));
	atomic_store(&reading.stop, true);
	for (size_t i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&reading.mixtures), 0);
	publisher_free(reading.publisher);
}

static void guests_are_found_by_name(void **state)
{
	struct report *report = report_number(0);

	(void)state;
	snprintf(report->guests[2].name, sizeof(report->guests[2].name), "db2");
	assert_ptr_equal(report_find(report, "db2"), &report->guests[2]);
	assert_null(report_find(report, "db"));
	free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first_report_there_is_none),
		cmocka_unit_test(the_newest_report_is_read),
		cmocka_unit_test(a_report_stays_whole_for_as_long_as_it_is_read),
		cmocka_unit_test(readers_in_other_threads_never_see_a_mixture),
		cmocka_unit_test(guests_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
