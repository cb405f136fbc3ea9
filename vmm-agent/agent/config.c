// SPDX-License-Identifier: GPL-2.0-or-later
/* One row per option; an unknown section or key is an error. */
#include "agent/config.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/units.h"
#include "vmtier/control.h"

enum kind { KIND_NUMBER, KIND_BOOL, KIND_PATH, KIND_LEVEL };

#define FIELD(f) offsetof(struct config, f), sizeof(((struct config *)0)->f)

/*
 * Defaults and limits with their reasons:
 * period 2000 ms: kscand's default; below 100 ms a pass over a big guest cannot end in time.
 * settle 3 passes: the hot rule needs three.
 * rate 256 MiB/s: a tenth of what a CXL x8 link writes, as the kernel advises for promotion.
 * headroom 64 MiB: for what others allocate; the kernel's own watermarks hold besides.
 */
static const struct {
	const char *section;
	const char *key;
	enum kind kind;
	size_t offset;
	size_t size;
	uint64_t min;
	uint64_t max;
	const char *value;
} options[] = {
	{"daemon", "policy_dir", KIND_PATH, FIELD(policy_dir), 0, 0, CONFIG_POLICY_DIR},
	{"daemon", "state_dir", KIND_PATH, FIELD(state_dir), 0, 0, CONFIG_STATE_DIR},
	{"daemon", "socket", KIND_PATH, FIELD(socket), 0, 0, VMTIER_SOCKET},
	{"daemon", "hook_socket", KIND_PATH, FIELD(hook_socket), 0, 0, VMTIER_HOOK_SOCKET},
	{"daemon", "log_level", KIND_LEVEL, FIELD(log_level), 0, 0, "info"},
	{"daemon", "scan_ms", KIND_NUMBER, FIELD(scan_ms), 100, 600000, "2000"},
	{"harvest", "period_ms", KIND_NUMBER, FIELD(period_ms), 100, 600000, "2000"},
	{"harvest", "flush", KIND_BOOL, FIELD(flush), 0, 1, "no"},
	{"harvest", "workers", KIND_NUMBER, FIELD(workers), 1, 64, "4"},
	{"harvest", "settle_passes", KIND_NUMBER, FIELD(settle_passes), 3, 1000, "3"},
	{"migrate", "rate_mib_per_s", KIND_NUMBER, FIELD(rate_mib_per_s), 0, 1U << 20, "256"},
	{"migrate", "host_rate_mib_per_s", KIND_NUMBER, FIELD(host_rate_mib_per_s), 0, 1U << 20,
	 "1024"},
	{"migrate", "headroom_mib", KIND_NUMBER, FIELD(headroom_mib), 0, 1U << 30, "64"},
};

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warning", [LOG_NOTE] = "notice",
	[LOG_NEWS] = "info",   [LOG_TRACE] = "debug",
};

uint64_t config_log_level(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (level_names[i] && !strcmp(level_names[i], name))
			return i;
	return 0;
}

static int parse_bool(const char *value, uint64_t *ret_value)
{
	if (!strcasecmp(value, "yes") || !strcasecmp(value, "true") || !strcmp(value, "1"))
		*ret_value = 1;
	else if (!strcasecmp(value, "no") || !strcasecmp(value, "false") || !strcmp(value, "0"))
		*ret_value = 0;
	else
		return -EINVAL;
	return 0;
}

static int set_option(struct config *config, size_t i, const char *value, struct error *err)
{
	char *field = (char *)config + options[i].offset;
	uint64_t number = 0;
	int r = 0;

	switch (options[i].kind) {
	case KIND_PATH:
		if (value[0] != '/' || strlen(value) >= options[i].size)
			return error_set(err, -EINVAL,
					 "'%s' must be an absolute path of at most %zu bytes",
					 options[i].key, options[i].size - 1);
		snprintf(field, options[i].size, "%s", value);
		return 0;
	case KIND_LEVEL:
		number = config_log_level(value);
		if (!number)
			return error_set(err, -EINVAL,
					 "'%s' must be error, warning, notice, info or debug",
					 options[i].key);
		break;
	case KIND_BOOL:
		if (parse_bool(value, &number) < 0)
			return error_set(err, -EINVAL, "'%s' must be yes or no", options[i].key);
		break;
	case KIND_NUMBER:
		r = units_parse_u64(value, &number);
		if (r < 0 || number < options[i].min || number > options[i].max)
			return error_set(err, -EINVAL, "'%s' must be a number from %llu to %llu",
					 options[i].key, (unsigned long long)options[i].min,
					 (unsigned long long)options[i].max);
		break;
	}
	memcpy(field, &number, sizeof(number));
	return 0;
}

void config_default(struct config *config)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		set_option(config, i, options[i].value, NULL);
}

/* One file being read; @line: the number of the line that libinih has now. */
struct reading {
	struct config *config;
	FILE *file;
	int line;
	struct error error;
	int error_line;
};

static void reading_failed(struct reading *reading, const char *why)
{
	error_set(&reading->error, -EINVAL, "%s", why);
	reading->error_line = reading->line;
}

static bool is_comment(const char *line)
{
	line += strspn(line, " \t");
	return *line == '#' || *line == ';';
}

/*
 * fgets() for libinih, which would go on with the rest of a line that is too
 * long as if it were the next one, and would not see what follows a NUL.
 */
static char *next_line(char *buf, int size, void *user)
{
	struct reading *reading = user;
	int len = 0, c;

	if (reading->error.code)
		return NULL;
	reading->line++;
	buf[0] = '\0';
	while ((c = getc(reading->file)) != EOF && c != '\n') {
		if (!c) {
			reading_failed(reading, "it holds a NUL byte: is it a text file?");
			return NULL;
		}
		if (len < size - 2) {
			buf[len++] = (char)c;
			buf[len] = '\0';
		} else if (!is_comment(buf)) {
			reading_failed(reading, "it is too long");
			return NULL;
		}
	}
	if (c == EOF && !len)
		return NULL;
	buf[len++] = '\n';
	buf[len] = '\0';
	return buf;
}

/* libinih wants 1 for "go on". */
static int on_value(void *user, const char *section, const char *key, const char *value)
{
	struct reading *reading = user;

	reading->error_line = reading->line;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].section, section) && !strcmp(options[i].key, key))
			return set_option(reading->config, i, value, &reading->error) == 0;
	error_set(&reading->error, -EINVAL, "there is no option '%s' in section [%s]", key,
		  section);
	return 0;
}

int config_read(struct config *config, const char *path, bool must_exist, struct error *err)
{
	struct config copy = *config;
	struct reading reading = {.config = &copy};
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	int line;

	if (!file && errno == ENOENT && !must_exist)
		return 0;
	if (!file)
		return error_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	reading.file = file;
	line = ini_parse_stream(next_line, &reading, on_value, &reading);
	if (ferror(file))
		return error_set(err, -EIO, "cannot read %s: is it a file?", path);
	/* libinih goes on after a line that it does not understand, and tells the first. */
	if (line && (!reading.error.code || line < reading.error_line))
		return error_set(err, -EINVAL, "%s, line %d: neither a [section] nor 'key = value'",
				 path, line);
	if (reading.error.code)
		return error_set(err, -EINVAL, "%s, line %d: %s", path, reading.error_line,
				 reading.error.text);
	*config = copy;
	return 0;
}

static int is_drop_in(const struct dirent *entry)
{
	return fnmatch("*.conf", entry->d_name, FNM_PERIOD) == 0;
}

int config_read_all(struct config *config, struct error *err)
{
	struct dirent **entries = NULL;
	int r = config_read(config, CONFIG_FILE, false, err);
	int n = r < 0 ? 0 : scandir(CONFIG_DROP_INS, &entries, is_drop_in, alphasort);

	if (n < 0 && errno != ENOENT)
		return error_set(err, -errno, "cannot read %s: %s", CONFIG_DROP_INS,
				 strerror(errno));
	for (int i = 0; i < n; i++) {
		char path[512];

		snprintf(path, sizeof(path), CONFIG_DROP_INS "/%s", entries[i]->d_name);
		if (r >= 0)
			r = config_read(config, path, true, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}
