// SPDX-License-Identifier: GPL-2.0-or-later
/* The loop calls what it was told to, once for each turn in which there is reason to. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test.h"

#include "base/loop.h"

static void count(void *ctx, uint32_t events)
{
	assert_true(events & EPOLLIN);
	++*(int *)ctx;
}

static void a_ready_fd_is_told_until_it_is_removed(void **state)
{
	struct loop *loop;
	int fd = eventfd(1, EFD_CLOEXEC), calls = 0;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(loop_add(loop, fd, EPOLLIN, count, &calls), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(calls, 2);
	loop_remove(loop, fd);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(calls, 2);
	loop_free(loop);
	close(fd);
}

static void an_fd_cannot_be_watched_twice_and_the_first_watch_stays(void **state)
{
	struct loop *loop;
	int fd = eventfd(1, EFD_CLOEXEC), first = 0, second = 0;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(loop_add(loop, fd, EPOLLIN, count, &first), 0);
	assert_int_equal(loop_add(loop, fd, EPOLLIN, count, &second), -EEXIST);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(first, 1);
	assert_int_equal(second, 0);
	loop_remove(loop, fd);
	assert_int_equal(loop_add(loop, fd, EPOLLIN, count, &second), 0);
	loop_free(loop);
	close(fd);
}

static void what_cannot_be_watched_is_refused(void **state)
{
	struct loop *loop;
	int calls = 0;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(loop_add(loop, 900, EPOLLIN, count, &calls), -EBADF);
	assert_int_equal(loop_add(loop, -1, EPOLLIN, count, &calls), -EBADF);
	loop_remove(loop, 900);
	loop_remove(loop, -1);
	assert_int_equal(loop_turn(loop, 0), 0);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ready_fd_is_told_until_it_is_removed),
		cmocka_unit_test(an_fd_cannot_be_watched_twice_and_the_first_watch_stays),
		cmocka_unit_test(what_cannot_be_watched_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
