// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * metrics: the daemon's text, printed, or put in place of a file for the
 * textfile collector, which may read at any moment: it sees the old text or the
 * new one, never a part.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/command.h"

/* Collectors run as users of their own. */
#define METRICS_MODE 0644

/* Renaming over anything but a file would replace /dev/null, a socket or somebody's link. */
static int target_check(const char *path, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0
				       : error_set(err, -errno, "'%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "'%s' is not a regular file; it is left alone",
				 path);
	return 0;
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int fill_and_rename(int fd, const char *temporary, const char *path, const char *text)
{
	int r = write_all(fd, text);

	if (r < 0)
		return r;
	if (fchmod(fd, METRICS_MODE) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0)
		return -errno;
	return 0;
}

/* Write beside @path, then rename; nothing of it is left if that fails. */
static int replace(const char *path, const char *text, struct error *err)
{
	_cleanup_(closep) int fd = -1;
	char temporary[PATH_MAX];
	int r;

	r = target_check(path, err);
	if (r < 0)
		return r;
	/* Does not end in ".prom": no collector takes it for one of its files. */
	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return error_set(err, -ENAMETOOLONG, "'%s': path too long", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "a file beside '%s': %s", path, strerror(errno));
	r = fill_and_rename(fd, temporary, path, text);
	if (r < 0) {
		unlink(temporary);
		return error_set(err, r, "'%s': %s", path, strerror(-r));
	}
	return 0;
}

/* As replace(), but Ctrl-C and a timer's SIGTERM wait: they would leave the temporary file. */
static int replace_undisturbed(const char *path, const char *text, struct error *err)
{
	sigset_t blocked, before;
	int r;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGHUP);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	r = replace(path, text, err);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

enum cli_exit cmd_metrics(const struct options *options)
{
	json_auto_t *answer = NULL;
	struct error err = {.code = 0};
	const char *text;
	enum cli_exit r;

	r = client_ask(options, "metrics", NULL, &answer);
	if (r)
		return r;
	text = json_string_value(json_object_get(answer, "text"));
	if (!text) {
		cli_complain("vmtierd's answer holds no metrics");
		return CLI_FAILED;
	}
	if (!options->output) {
		fputs(text, stdout);
		return CLI_DONE;
	}
	if (replace_undisturbed(options->output, text, &err) < 0) {
		cli_complain("writing metrics: %s", error_text(&err, err.code));
		return CLI_FAILED;
	}
	return CLI_DONE;
}
