/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text from guests and kernels, made fit for JSON, labels and terminals: names
 * are any bytes that somebody gave to QEMU.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * utf8_length() - bytes of the character at @text, which ends at or before @end
 * Return: 1 to 4, or 0 if no well-formed character starts here (RFC 3629: overlong
 * forms, surrogates and anything above U+10FFFF are not).
 */
size_t utf8_length(const char *text, const char *end);

/** utf8_is_valid() - whether @len bytes are well-formed; NUL counts as a character */
bool utf8_is_valid(const char *text, size_t len);

/**
 * utf8_clean() - copy @text, with '?' for each byte or character that harms
 * @dst, @size: room for the copy, which is always terminated and never cut
 *	within a character; @size at least 1
 *
 * Replaced are bytes that are not UTF-8, the control characters below U+0020
 * and from U+007F to U+009F, which end lines and steer terminals, and characters
 * that are invisible or turn the direction of what follows.
 * Return: @dst.
 */
char *utf8_clean(char *dst, size_t size, const char *text);
