// SPDX-License-Identifier: GPL-2.0-or-later
/* libvirt, asked through its built-in test driver: no daemon is needed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "discover/libvirt.h"

/* A build without libvirt says so, and touches nothing: that is its whole test. */
static bool is_not_built(int r, const struct libvirt_view *view, size_t n)
{
	if (r != LIBVIRT_E_NOT_BUILT)
		return false;
	assert_int_equal(view->n, n);
	assert_null(view->names);
	return true;
}

static void the_test_driver_has_one_running_domain(void **state)
{
	_cleanup_(libvirt_view_deinit) struct libvirt_view view = {.n = 0};
	struct error err = {.code = 0};
	int r = libvirt_look("test:///default", &view, &err);

	(void)state;
	if (is_not_built(r, &view, 0))
		return;
	assert_int_equal(r, 0);
	assert_int_equal(view.n, 1);
	assert_string_equal(view.names[0], "test");
	assert_true(view.version >= 6005000);
}

static void a_libvirt_that_is_not_there_is_said_in_a_sentence(void **state)
{
	struct libvirt_view view = {.n = 77};
	struct error err = {.code = 0};
	int r = libvirt_look("no-such-driver:///", &view, &err);

	(void)state;
	if (is_not_built(r, &view, 77))
		return;
	assert_int_equal(r, -ENOTCONN);
	assert_true(strlen(err.text) > 20);
	assert_int_equal(view.n, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_test_driver_has_one_running_domain),
		cmocka_unit_test(a_libvirt_that_is_not_there_is_said_in_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
