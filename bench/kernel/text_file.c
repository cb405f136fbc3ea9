// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Small files of the kernel.
 */
#include "text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

int text_write(const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t length = strlen(text);
	ssize_t n = fd < 0 ? -1 : write(fd, text, length);
	int r = n < 0 ? -errno : -EIO;

	if (n == (ssize_t)length)
		return 0;
	fprintf(stderr, "cannot write '%s' to %s: %s\n", text, path, strerror(-r));
	return r;
}

int text_write_u64(const char *path, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return text_write(path, text);
}

long text_read(const char *path, char *buffer, size_t size)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = -1;

	while (fd >= 0 && length < size - 1) {
		n = read(fd, buffer + length, size - 1 - length);
		if (n <= 0)
			break;
		length += (size_t)n;
	}
	if (n < 0) {
		n = -errno;
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
		return n;
	}
	buffer[length] = 0;
	return (long)length;
}
