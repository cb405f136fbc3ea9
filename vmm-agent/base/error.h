/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error is a negative errno for the program and a sentence for people.
 *
 * Functions return 0 (done), a negative errno (this operation failed: add
 * context and forward, never match on it), or a positive outcome from an enum
 * in their own header, which the caller must handle and never forwards.
 */
#pragma once

#include <stdarg.h>

/**
 * struct error - the sentence that goes with a negative errno
 * @code: the negative errno, 0 while nothing has failed
 * @text: the sentence, always terminated
 *
 * Lives on the caller's stack, so that being out of memory can be said without
 * memory.  Every function that takes one accepts NULL.
 */
struct error {
	int code;
	char text[512];
};

/**
 * error_set() - say what failed
 * @err: may be NULL
 * @code: negative errno
 * Return: @code, so that `return error_set(...)` reads well.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * error_wrap() - put "what was being done: " before the sentence there is
 * Return: the code of @err, or -EIO if @err is NULL or empty.
 */
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * error_text() - the sentence, or the errno's name if nobody wrote one
 */
const char *error_text(const struct error *err, int code);
