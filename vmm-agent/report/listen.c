// SPDX-License-Identifier: GPL-2.0-or-later
/* Binding a path without taking it from a daemon that lives. */
#include "report/listen.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "vmtier/control.h"

static bool somebody_listens(const struct sockaddr_un *address)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
			   errno == EAGAIN);
}

/* What a daemon that crashed has left; nothing but a socket is ever removed. */
static void remove_left_over(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

/* Operators are in the group vmtier, where the package has made one. */
static void give_to_group(const char *path)
{
	const struct group *group = getgrnam(VMTIER_GROUP);

	if (group && chown(path, (uid_t)-1, group->gr_gid) < 0)
		log_at(LOG_WARN,
		       "'%s' cannot be given to group " VMTIER_GROUP " (%s): only root can "
		       "ask vmtierd",
		       path, strerror(errno));
}

/* systemd makes /run/vmtier; who starts the daemon by hand should not have to. */
static void make_directory(const char *path)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return;
	*slash = '\0';
	if (mkdir(directory, 0755) < 0)
		return; /* it is there, or bind(2) will say what is wrong */
}

int listen_open(const char *path, mode_t mode, struct error *err)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t old;
	int r;

	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, -ENAMETOOLONG, "socket path '%s' is too long", path);
	strcpy(address.sun_path, path);
	if (somebody_listens(&address))
		return error_set(err, -EADDRINUSE,
				 "socket '%s' is in use: is another vmtierd running?", path);
	make_directory(path);
	remove_left_over(path);
	old = umask(0777 & ~mode);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(old);
	if (r == 0 && mode & 0060)
		give_to_group(path);
	if (r < 0 || listen(fd, 16) < 0)
		return error_set(err, r < 0 ? r : -errno,
				 "cannot listen on '%s' (%s): run as root, or choose another path "
				 "with --socket and --hook-socket",
				 path, strerror(r < 0 ? -r : errno));
	return take_fd(&fd);
}

bool listen_peer_is_privileged(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	       (cred.uid == 0 || cred.uid == geteuid());
}
