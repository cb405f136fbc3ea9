// SPDX-License-Identifier: GPL-2.0-or-later
/* Small files, taken whole or refused, written whole or not at all. */
#include "agent/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define STORE_VERSION 1
#define NODE_ID_MAX   63 /* struct policy has a bit for each */

/* What is being written, until it is whole. */
#define NEW_SUFFIX ".new"

/* Two numbers, a dash and NEW_SUFFIX. */
#define FILE_NAME_SIZE 48

static void file_name(char name[FILE_NAME_SIZE], int pid, uint64_t start_time, const char *suffix)
{
	snprintf(name, FILE_NAME_SIZE, "%d-%llu%s", pid, (unsigned long long)start_time, suffix);
}

/* Nobody but us and root may put files into it, or take them away. */
static int directory_check(int fd, struct error *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(why, -errno, "%s", strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(why, -EPERM, "it belongs to user %u", (unsigned int)st.st_uid);
	if (st.st_mode & 022)
		return error_set(why, -EPERM, "others can write to it");
	return 0;
}

static int directory_open(const char *dir, struct error *why)
{
	_cleanup_(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return error_set(why, -errno, "%s", strerror(errno));
	r = directory_check(fd, why);
	return r < 0 ? r : take_fd(&fd);
}

static int directory_make(const char *dir, struct error *why)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return error_set(why, -errno, "%s", strerror(errno));
	return directory_open(dir, why);
}

static int cannot_keep(struct error *err, const char *dir, int r, const struct error *why)
{
	return error_set(err, r,
			 "'%s' cannot be used (%.60s): after a restart vmtierd will not know "
			 "what is paused and what libvirt's hook said; mend it or set state_dir",
			 dir, error_text(why, r));
}

static int nodes_parse(const json_t *list, uint64_t *ret_nodes)
{
	json_int_t last = -1;
	uint64_t nodes = 0;

	if (!json_is_array(list) || !json_array_size(list))
		return -EINVAL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		json_int_t node = json_is_integer(item) ? json_integer_value(item) : -1;

		if (node <= last || node > NODE_ID_MAX)
			return -EINVAL;
		nodes |= 1ULL << node;
		last = node;
	}
	*ret_nodes = nodes;
	return 0;
}

static int policy_parse(json_t *object, struct policy *ret_policy)
{
	json_t *max = NULL, *nodes = NULL;
	const char *mode = NULL;
	struct policy policy;

	policy_default(&policy);
	if (json_unpack_ex(object, NULL, JSON_STRICT, "{s:s, s?o, s?o}", "mode", &mode,
			   "dram_max_bytes", &max, "target_nodes", &nodes) < 0)
		return -EINVAL;
	policy.mode = mode_parse(mode);
	if (policy.mode == MODE_COUNT)
		return -EINVAL;
	if (max && (!json_is_integer(max) || json_integer_value(max) < 0))
		return -EINVAL;
	if (nodes && nodes_parse(nodes, &policy.target_nodes) < 0)
		return -EINVAL;
	policy.dram_limited = max != NULL;
	policy.dram_max_bytes = max ? (uint64_t)json_integer_value(max) : 0;
	*ret_policy = policy;
	return 0;
}

static bool is_empty(const struct kept *kept)
{
	return !kept->paused && !kept->has_policy && !kept->refused;
}

static int kept_parse(const char *text, size_t len, struct kept *ret_kept, struct error *why)
{
	json_error_t error;
	_cleanup_(json_decrefp) json_t *root =
		json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	const json_t *version = json_object_get(root, "version");
	json_t *policy = NULL;
	struct kept kept = {0};
	int paused = 0, refused = 0, number;

	if (!root)
		return error_set(why, -EINVAL, "is not JSON (line %d)", error.line);
	if (!json_is_integer(version))
		return error_set(why, -EINVAL, "is not of vmtierd: it has no version");
	if (json_integer_value(version) != STORE_VERSION)
		return error_set(why, -EINVAL, "has version %lld, another vmtierd's",
				 (long long)json_integer_value(version));
	if (json_unpack_ex(root, NULL, JSON_STRICT, "{s:i, s?b, s?b, s?o}", "version", &number,
			   "paused", &paused, "refused", &refused, "policy", &policy) < 0)
		return error_set(why, -EINVAL, "holds what this vmtierd does not know");
	if (policy && policy_parse(policy, &kept.policy) < 0)
		return error_set(why, -EINVAL, "holds a policy that is none");
	kept.paused = paused;
	kept.refused = refused;
	kept.has_policy = policy != NULL;
	if (is_empty(&kept))
		return error_set(why, -EINVAL, "holds nothing");
	*ret_kept = kept;
	return 0;
}

static int file_check(int fd, struct error *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(why, -errno, "cannot be read (%s)", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(why, -EINVAL, "is not a regular file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(why, -EPERM, "belongs to user %u", (unsigned int)st.st_uid);
	if (st.st_mode & 022)
		return error_set(why, -EPERM, "can be written by others");
	return 0;
}

static int file_read(int dir_fd, const char *name, char *text, size_t size, size_t *ret_len,
		     struct error *why)
{
	/* O_NONBLOCK: a FIFO of that name may not stop the loop. */
	_cleanup_(closep) int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t len = 0;
	ssize_t n;
	int r;

	if (fd < 0 && errno == ENOENT)
		return STORE_NONE;
	if (fd < 0 && errno == ELOOP)
		return error_set(why, -ELOOP, "is a symbolic link");
	if (fd < 0)
		return error_set(why, -errno, "cannot be read (%s)", strerror(errno));
	r = file_check(fd, why);
	if (r < 0)
		return r;
	do {
		n = read(fd, text + len, size - len);
		if (n < 0 && errno != EINTR)
			return error_set(why, -errno, "cannot be read (%s)", strerror(errno));
		len += n > 0 ? (size_t)n : 0;
	} while (n && len < size);
	*ret_len = len;
	return 0;
}

/* One byte more than is accepted tells a file that is too long from one that is not. */
static int kept_read(int dir_fd, const char *name, struct kept *ret_kept, struct error *why)
{
	_cleanup_(freep) char *text = malloc(STORE_FILE_MAX + 1);
	size_t len = 0;
	int r;

	if (!text)
		return error_set(why, -ENOMEM, "cannot be read (out of memory)");
	r = file_read(dir_fd, name, text, STORE_FILE_MAX + 1, &len, why);
	if (r)
		return r;
	if (len > STORE_FILE_MAX)
		return error_set(why, -E2BIG, "is longer than %u KiB", STORE_FILE_MAX >> 10);
	return kept_parse(text, len, ret_kept, why);
}

int store_read(const char *dir, int pid, uint64_t start_time, struct kept *ret_kept,
	       struct error *err)
{
	_cleanup_(closep) int dir_fd = -1;
	char name[FILE_NAME_SIZE];
	struct error why = {0};
	int r;

	if (!dir[0])
		return STORE_NONE;
	dir_fd = directory_open(dir, &why);
	if (dir_fd == -ENOENT)
		return STORE_NONE;
	if (dir_fd < 0)
		return error_set(err, dir_fd,
				 "'%s' cannot be used (%.60s): mend it and reload vmtierd", dir,
				 why.text);
	file_name(name, pid, start_time, "");
	r = kept_read(dir_fd, name, ret_kept, &why);
	if (r < 0)
		return error_set(err, r,
				 "'%s/%s' %.60s: remove it and reload vmtierd, or restart "
				 "libvirtd, which tells the policy again",
				 dir, name, why.text);
	return r;
}

static json_t *policy_json(const struct policy *policy)
{
	_cleanup_(json_decrefp) json_t *object = json_pack("{ss}", "mode", mode_name(policy->mode));
	json_int_t max =
		policy->dram_max_bytes > INT64_MAX ? INT64_MAX : (json_int_t)policy->dram_max_bytes;
	json_t *nodes;

	if (policy->dram_limited &&
	    json_object_set_new(object, "dram_max_bytes", json_integer(max)) < 0)
		return NULL;
	if (!policy->target_nodes)
		return take_ptr(object);
	nodes = json_array();
	for (int node = 0; node <= NODE_ID_MAX; node++)
		if (policy->target_nodes >> node & 1 &&
		    json_array_append_new(nodes, json_integer(node)) < 0)
			json_decref(take_ptr(nodes));
	return json_object_set_new(object, "target_nodes", nodes) < 0 ? NULL : take_ptr(object);
}

/* NULL when out of memory. */
static char *kept_text(const struct kept *kept)
{
	_cleanup_(json_decrefp) json_t *root = json_pack("{si}", "version", STORE_VERSION);

	if (kept->paused && json_object_set_new(root, "paused", json_true()) < 0)
		return NULL;
	if (kept->refused && json_object_set_new(root, "refused", json_true()) < 0)
		return NULL;
	if (kept->has_policy && json_object_set_new(root, "policy", policy_json(&kept->policy)) < 0)
		return NULL;
	return json_dumps(root, JSON_COMPACT);
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int file_write(int dir_fd, const char *name, const char *new_name, const char *text)
{
	_cleanup_(closep) int fd = -1;
	int r;

	unlinkat(dir_fd, new_name, 0); /* of one that was killed at it */
	fd = openat(dir_fd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (r == 0 && renameat(dir_fd, new_name, dir_fd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir_fd, new_name, 0);
	return r;
}

/* Even a full file system mostly has room for a file without content. */
static void leave_empty(int dir_fd, const char *name)
{
	_cleanup_(closep) int fd = openat(dir_fd, name,
					  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC |
						  O_NONBLOCK | O_NOCTTY,
					  0600);
}

static int kept_write(int dir_fd, const char *name, const char *new_name, const struct kept *kept)
{
	_cleanup_(freep) char *text = NULL;
	int r;

	if (is_empty(kept))
		return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	text = kept_text(kept);
	r = text ? file_write(dir_fd, name, new_name, text) : -ENOMEM;
	if (r < 0)
		leave_empty(dir_fd, name);
	return r;
}

int store_write(const char *dir, int pid, uint64_t start_time, const struct kept *kept,
		struct error *err)
{
	char name[FILE_NAME_SIZE], new_name[FILE_NAME_SIZE];
	_cleanup_(closep) int dir_fd = -1;
	struct error why = {0};
	int r;

	if (!dir[0])
		return 0;
	dir_fd = directory_make(dir, &why);
	if (dir_fd < 0)
		return cannot_keep(err, dir, dir_fd, &why);
	file_name(name, pid, start_time, "");
	file_name(new_name, pid, start_time, NEW_SUFFIX);
	r = kept_write(dir_fd, name, new_name, kept);
	return r < 0 ? cannot_keep(err, dir, r, &why) : 0;
}

void store_forget(const char *dir, int pid, uint64_t start_time)
{
	_cleanup_(closep) int dir_fd = dir[0] ? directory_open(dir, NULL) : -1;
	char name[FILE_NAME_SIZE];

	if (dir_fd < 0)
		return;
	file_name(name, pid, start_time, "");
	unlinkat(dir_fd, name, 0);
}

/* Only what file_name() would write, to the byte, with or without NEW_SUFFIX. */
static bool is_ours(const char *name, int *ret_pid, uint64_t *ret_start_time)
{
	char again[FILE_NAME_SIZE];
	char *rest;
	unsigned long pid = strtoul(name, &rest, 10);
	unsigned long long start_time = *rest == '-' ? strtoull(rest + 1, &rest, 10) : 0;

	if (pid < 1 || pid > INT_MAX || (*rest && strcmp(rest, NEW_SUFFIX)))
		return false;
	file_name(again, (int)pid, start_time, rest);
	if (strcmp(again, name))
		return false;
	*ret_pid = (int)pid;
	*ret_start_time = start_time;
	return true;
}

int store_sweep(const char *dir, bool (*runs)(void *ctx, int pid, uint64_t start_time), void *ctx,
		struct error *err)
{
	_cleanup_(closep) int dir_fd = -1;
	struct error why = {0};
	struct dirent *entry;
	uint64_t start_time;
	DIR *d = NULL;
	int pid;

	if (!dir[0])
		return 0;
	dir_fd = directory_make(dir, &why);
	if (dir_fd < 0)
		return cannot_keep(err, dir, dir_fd, &why);
	if (faccessat(dir_fd, ".", W_OK | X_OK, AT_EACCESS) == 0)
		d = fdopendir(dir_fd);
	if (!d)
		return cannot_keep(err, dir, -errno, &why);
	take_fd(&dir_fd); /* closedir() closes it */
	while ((entry = readdir(d)))
		if (is_ours(entry->d_name, &pid, &start_time) && !runs(ctx, pid, start_time))
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	return 0;
}
