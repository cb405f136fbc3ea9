// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading the kernel's small text files, whole and under a root. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "host/linux.h"

#define FILE_MAX_BYTES (64U << 20) /* /proc/PID/maps of a process at its limit of mappings */

int linux_open(struct linux_host *host, const char *path, int flags)
{
	char full[4096];
	int fd;

	if ((size_t)snprintf(full, sizeof(full), "%s%s", host->root, path) >= sizeof(full))
		return -ENAMETOOLONG;
	fd = open(full, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_stream(int fd, DIR **ret_dir)
{
	int r;

	*ret_dir = fd < 0 ? NULL : fdopendir(fd);
	if (*ret_dir)
		return 0;
	r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

int linux_opendir(struct linux_host *host, const char *path, DIR **ret_dir)
{
	int fd = linux_open(host, path, O_RDONLY | O_DIRECTORY);

	*ret_dir = NULL;
	return fd < 0 ? fd : open_stream(fd, ret_dir);
}

int linux_opendir_at(int dirfd, const char *path, DIR **ret_dir)
{
	return open_stream(openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret_dir);
}

static int read_all(int fd, char **ret_text, size_t *ret_len, size_t max)
{
	_cleanup_(freep) char *text = NULL;
	size_t len = 0, room = 0;

	for (;;) {
		ssize_t n;

		if (len + 1 >= room) {
			char *more;

			room = room ? room * 2 : 4096;
			if (room > max)
				return -EFBIG;
			more = realloc(text, room);
			if (!more)
				return -ENOMEM;
			text = more;
		}
		n = read(fd, text + len, room - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	*ret_text = take_ptr(text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int linux_read_at(int dirfd, const char *path, char **ret_text, size_t *ret_len, size_t max)
{
	_cleanup_(closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : read_all(fd, ret_text, ret_len, max ? max : FILE_MAX_BYTES);
}

int linux_read(struct linux_host *host, const char *path, char **ret_text, size_t *ret_len)
{
	_cleanup_(closep) int fd = linux_open(host, path, O_RDONLY);

	return fd < 0 ? fd : read_all(fd, ret_text, ret_len, FILE_MAX_BYTES);
}

int linux_read_u64(struct linux_host *host, const char *path, uint64_t *ret_value)
{
	_cleanup_(freep) char *text = NULL;
	int r = linux_read(host, path, &text, NULL);

	return r < 0 ? r : units_parse_u64(text, ret_value);
}

/* Fields 3 (state), 22 (starttime) and 39 (processor) of stat. Source: proc(5). */
int linux_stat_fields(int proc_fd, char *ret_state, uint64_t *ret_start_time, int *ret_cpu)
{
	_cleanup_(freep) char *text = NULL;
	char *at, *save = NULL;
	int r = linux_read_at(proc_fd, "stat", &text, NULL, 0);

	if (r < 0)
		return r;
	at = strrchr(text, ')'); /* the name before it may hold anything */
	if (!at)
		return -EINVAL;
	at = strtok_r(at + 1, " \n", &save);
	for (int field = 3; at; field++, at = strtok_r(NULL, " \n", &save)) {
		if (field == 3 && ret_state)
			*ret_state = at[0];
		if (field == 22 && ret_start_time)
			*ret_start_time = strtoull(at, NULL, 10);
		if (field == 39) {
			if (ret_cpu)
				*ret_cpu = atoi(at);
			return 0;
		}
	}
	return -EINVAL;
}
