// SPDX-License-Identifier: GPL-2.0-or-later
/* vmtierd itself and what surrounds it: libvirt, its hook, policies. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/policy_xml.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "build_config.h"
#include "discover/libvirt.h"

#define HOOK "/etc/libvirt/hooks/qemu.d/50-vmtier"

/* libvirtd answers within ms, or is started by its socket within a second or two. */
#define LIBVIRT_WAIT_MS 5000

/* More broken policies than this are only counted. */
#define POLICIES_SHOWN 8

/* Returns the guests that vmtierd knows, NULL if it is not there. */
static json_t *check_daemon(struct doctor *doctor)
{
	json_auto_t *status = NULL;
	const json_t *problems;
	struct error err = {.code = 0};
	enum cli_exit r;

	r = client_call(doctor->options->socket, "status", NULL, client_deadline(CLIENT_TIMEOUT_MS),
			&status, &err);
	if (r) {
		bool absent = err.code == -ENOENT || err.code == -ECONNREFUSED;

		doctor_add(doctor, absent || r == CLI_NOT_PERMITTED ? VERDICT_WARN : VERDICT_FAIL,
			   "vmtierd", absent ? "systemctl start vmtierd" : NULL, "%s.",
			   absent ? "vmtierd does not run" : error_text(&err, err.code));
		return NULL;
	}
	if (strcmp(answer_text(status, "version"), VMTIER_VERSION))
		doctor_add(doctor, VERDICT_WARN, "vmtierd", "systemctl restart vmtierd",
			   "vmtierd %s runs, this is vmtierctl %s.", answer_text(status, "version"),
			   VMTIER_VERSION);
	else
		doctor_add(doctor, VERDICT_OK, "vmtierd", NULL, "vmtierd %s runs (pid %d).",
			   VMTIER_VERSION, (int)answer_u64(status, "pid"));
	problems = json_object_get(status, "problems");
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const char *text = json_string_value(json_array_get(problems, i));

		doctor_add(doctor, VERDICT_WARN, "vmtierd says", NULL, "%s", text ? text : "-");
	}
	return json_incref(json_object_get(status, "guests"));
}

static void check_hook(struct doctor *doctor)
{
	char libvirt[PATH_MAX], hook[PATH_MAX];
	struct stat st;

	snprintf(libvirt, sizeof(libvirt), "%s/etc/libvirt", doctor->root);
	snprintf(hook, sizeof(hook), "%s" HOOK, doctor->root);
	if (access(libvirt, F_OK) < 0)
		doctor_add(doctor, VERDICT_OK, "libvirt's hook", NULL,
			   "libvirt is not installed; guests are found without it.");
	else if (stat(hook, &st) < 0)
		doctor_add(doctor, VERDICT_WARN, "libvirt's hook",
			   "install 50-vmtier there, then: systemctl reload libvirtd",
			   "There is no " HOOK
			   ": policies in the XML of domains are not seen (%s).",
			   strerror(errno));
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		doctor_add(doctor, VERDICT_WARN, "libvirt's hook",
			   "chmod 755 " HOOK ", then: systemctl reload libvirtd",
			   HOOK " is not an executable file: libvirt passes over it.");
	else
		doctor_add(doctor, VERDICT_OK, "libvirt's hook", NULL,
			   HOOK " is there and executable.");
}

/* Adds a finding if the policy is broken.  Return: whether it is. */
static bool policy_is_broken(struct doctor *doctor, const char *dir, const char *file, bool show)
{
	struct error err = {.code = 0};
	struct policy policy;
	char name[NAME_MAX + 1];
	int r;

	snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(".xml")), file);
	r = policy_file_read(dir, name, &policy, &err);
	if (r >= 0)
		return false;
	if (show)
		doctor_add(doctor, VERDICT_FAIL, "policies",
			   "mend the file; vmtier-policy(5) has every element", "%s.",
			   error_text(&err, r));
	return true;
}

static bool ends_in_xml(const char *file)
{
	size_t len = strlen(file);

	return len > strlen(".xml") && !strcmp(file + len - strlen(".xml"), ".xml");
}

static void check_policy_dir(struct doctor *doctor, const char *dir, DIR *d)
{
	size_t good = 0, broken = 0;
	struct dirent *entry;

	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (!ends_in_xml(entry->d_name))
			doctor_add(doctor, VERDICT_WARN, "policies",
				   "name it after a guest: NAME.xml",
				   "'%s' in %s is not looked at.", entry->d_name, dir);
		else if (policy_is_broken(doctor, dir, entry->d_name, broken < POLICIES_SHOWN))
			broken++;
		else
			good++;
	}
	if (broken > POLICIES_SHOWN)
		doctor_add(doctor, VERDICT_FAIL, "policies", NULL, "%zu more policies are broken.",
			   broken - POLICIES_SHOWN);
	if (!broken)
		doctor_add(doctor, VERDICT_OK, "policies", NULL, "%zu in %s, all valid.", good,
			   dir);
}

static void check_policies(struct doctor *doctor)
{
	char dir[PATH_MAX];
	DIR *d;

	snprintf(dir, sizeof(dir), "%s" CONFIG_POLICY_DIR, doctor->root);
	d = opendir(dir);
	if (d) {
		check_policy_dir(doctor, dir, d);
		closedir(d);
	} else if (errno == ENOENT) {
		doctor_add(doctor, VERDICT_OK, "policies", NULL,
			   "There is no %s: every guest has the default policy.", dir);
	} else {
		doctor_add(doctor, VERDICT_FAIL, "policies", "run doctor as root",
			   "%s cannot be read: %s.", dir, strerror(errno));
	}
}

/* In the child: what libvirt says, as one JSON object on @fd. */
static void libvirt_tell(int fd)
{
	struct libvirt_view view = {.n = 0};
	struct error err = {.code = 0};
	json_t *names = json_array(), *answer;
	char text[sizeof(err.text)];
	int r = libvirt_look("qemu:///system", &view, &err);

	if (r == 0)
		for (size_t i = 0; i < view.n; i++) {
			char name[4 * HOST_NAME_MAX];

			utf8_clean(name, sizeof(name), view.names[i]);
			json_array_append_new(names, json_string(name));
		}
	utf8_clean(text, sizeof(text), error_text(&err, r));
	answer = json_pack("{si, sI, ss, so}", "result", r, "version", (json_int_t)view.version,
			   "text", text, "names", names);
	_exit(json_dumpfd(answer, fd, 0) < 0);
}

/* All that comes from @fd until its end or the deadline; the caller drops it. */
static json_t *receive(int fd, uint64_t deadline_ns)
{
	static const size_t max = 1U << 20;
	_cleanup_(freep) char *text = malloc(max);
	size_t len = 0;

	while (text && len < max) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, client_left_ms(deadline_ns)) <= 0)
			return NULL;
		n = read(fd, text + len, max - len);
		if (n < 0)
			return NULL;
		if (n == 0)
			return json_loadb(text, len, 0, NULL);
		len += (size_t)n;
	}
	return NULL;
}

/* libvirt's calls have no time limit: a child makes them, which can be ended. */
static json_t *libvirt_ask(void)
{
	uint64_t deadline = client_deadline(LIBVIRT_WAIT_MS);
	json_t *answer;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return NULL;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		libvirt_tell(fds[1]);
	}
	close(fds[1]);
	answer = pid < 0 ? NULL : receive(fds[0], deadline);
	close(fds[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return answer;
}

static bool guest_is_known(const json_t *guests, const char *name)
{
	for (size_t i = 0; i < json_array_size(guests); i++)
		if (!strcmp(answer_text(json_array_get(guests, i), "name"), name))
			return true;
	return false;
}

static void compare_guests(struct doctor *doctor, const json_t *names, const json_t *guests)
{
	size_t unseen = 0;
	const char *first = "";

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		if (name && !guest_is_known(guests, name) && !unseen++)
			first = name;
	}
	if (unseen)
		doctor_add(doctor, VERDICT_WARN, "libvirt", "see the log: journalctl -u vmtierd",
			   "vmtierd does not see %zu of libvirt's running domains, '%s' for one.",
			   unseen, first);
}

/* @guests: NULL if vmtierd is not there to be compared with. */
static void check_libvirt(struct doctor *doctor, const json_t *guests)
{
	json_auto_t *answer = libvirt_ask();
	const json_t *names = json_object_get(answer, "names");
	int result = (int)json_integer_value(json_object_get(answer, "result"));
	unsigned long version = (unsigned long)answer_u64(answer, "version");

	if (!answer) {
		doctor_add(doctor, VERDICT_WARN, "libvirt", "systemctl status libvirtd",
			   "libvirt does not answer.");
	} else if (result == LIBVIRT_E_NOT_BUILT) {
		doctor_add(doctor, VERDICT_OK, "libvirt", NULL,
			   "This build leaves libvirt out; guests are found without it.");
	} else if (result < 0) {
		doctor_add(doctor, VERDICT_OK, "libvirt", NULL,
			   "libvirt cannot be asked; guests are found without it (%s).",
			   answer_text(answer, "text"));
	} else {
		doctor_add(doctor, VERDICT_OK, "libvirt", NULL,
			   "libvirt %lu.%lu.%lu has %zu running domains.", version / 1000000,
			   version / 1000 % 1000, version % 1000, json_array_size(names));
		if (guests)
			compare_guests(doctor, names, guests);
	}
}

void doctor_check_service(struct doctor *doctor)
{
	json_auto_t *guests = check_daemon(doctor);

	check_hook(doctor);
	check_policies(doctor);
	check_libvirt(doctor, guests);
}
