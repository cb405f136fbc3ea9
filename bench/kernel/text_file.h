/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files of /proc, /sys and /sys/kernel/debug.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * text_write() - write one value
 * @path: printed with its message if it fails
 * @text: without line break
 * Return: 0 or a negative errno.
 */
int text_write(const char *path, const char *text);

/** text_write_u64() - the same with a number */
int text_write_u64(const char *path, uint64_t value);

/**
 * text_read() - read all of a file
 * @buffer: of @size, ends with a zero byte; what has no room is left out
 * Return: its length or a negative errno, with a message.
 */
long text_read(const char *path, char *buffer, size_t size);
