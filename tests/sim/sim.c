// SPDX-License-Identifier: GPL-2.0-or-later
/* Setting up, letting time pass, and looking from outside. */
#include "sim.h"

#include <dirent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <urcu.h>

#include "base/log.h"

/* A turn waits at most this long; what is under way wakes it. */
#define TURN_MS 20

/* No simulation needs as many turns for one period; more means that something hangs. */
#define TURNS_MAX 20000

void sim_open(struct sim *sim, uint64_t dram, uint64_t cxl)
{
	log_init(LOG_ERROR, 0);
	memset(sim, 0, sizeof(*sim));
	sim->dice = dice_new();
	sim->machine = machine_new();
	if (dram)
		machine_add_node(sim->machine, DRAM, true, 4, dram);
	if (cxl)
		machine_add_node(sim->machine, CXL, false, 45, cxl);
	snprintf(sim->directory, sizeof(sim->directory), "/tmp/vmtier-sim-XXXXXX");
	assert_non_null(mkdtemp(sim->directory));
	config_default(&sim->config);
	snprintf(sim->config.socket, sizeof(sim->config.socket), "%s/s", sim->directory);
	snprintf(sim->config.hook_socket, sizeof(sim->config.hook_socket), "%s/h", sim->directory);
	snprintf(sim->config.policy_dir, sizeof(sim->config.policy_dir), "%s", sim->directory);
	/* Nothing is kept over a restart, unless a simulation is about that. */
	sim->config.state_dir[0] = '\0';
	sim->config.headroom_mib = 1;
}

static void policy_path(const struct sim *sim, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s.xml", sim->directory, name);
}

void sim_policy(struct sim *sim, const char *name, const char *mode, uint64_t max_pages)
{
	char path[128];
	FILE *file;

	policy_path(sim, name, path, sizeof(path));
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "<policy xmlns='urn:vmtier:policy:1'><mode>%s</mode>", mode);
	if (max_pages)
		fprintf(file, "<dram><max unit='KiB'>%llu</max></dram>",
			(unsigned long long)(4 * max_pages));
	fputs("</policy>\n", file);
	fclose(file);
}

void sim_start(struct sim *sim)
{
	struct error err = {0};

	assert_int_equal(agent_new(&sim->config, machine_host(sim->machine), sim->sockets,
				   &sim->agent, &err),
			 0);
	/* The first pass sets accessed bits to zero: it must not fall behind the first touches. */
	sim_turns(sim);
}

void sim_stop(struct sim *sim)
{
	sim->agent = agent_free(sim->agent);
	assert_int_equal(machine_counts(sim->machine).open_vms, 0);
}

static void remove_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

void sim_close(struct sim *sim)
{
	if (sim->agent)
		sim_stop(sim);
	machine_free(sim->machine);
	remove_directory(sim->directory);
}

static bool is_busy(const struct agent *agent)
{
	if (agent->scan)
		return true;
	for (const struct guest *g = agent->guests; g; g = g->next)
		if (!guest_is_idle(g))
			return true;
	return false;
}

void sim_turns(struct sim *sim)
{
	int turns = 0;

	do {
		assert_int_equal(agent_turn(sim->agent, turns ? TURN_MS : 0), 0);
		if (sim->check)
			sim->check(sim);
		assert_true(++turns < TURNS_MAX);
	} while (is_busy(sim->agent));
}

void sim_period(struct sim *sim)
{
	machine_advance(sim->machine, sim->config.period_ms * NSEC_PER_MSEC);
	sim_turns(sim);
}

struct guest *sim_guest(struct sim *sim, const char *name)
{
	struct guest *g = agent_find(sim->agent, name);

	if (!g)
		fail_msg("the agent knows no guest '%s'", name);
	return g;
}

bool sim_report(struct sim *sim, const char *name, struct report_guest *ret_guest)
{
	const struct report_guest *guest;

	agent_publish(sim->agent);
	publisher_join();
	guest = report_find(publisher_read(sim->agent->publisher), name);
	if (guest)
		*ret_guest = *guest;
	publisher_done();
	publisher_leave();
	return guest != NULL;
}

bool sim_has_problem(struct sim *sim, const char *words)
{
	const struct report *report;
	bool found = false;

	agent_publish(sim->agent);
	publisher_join();
	report = publisher_read(sim->agent->publisher);
	for (size_t i = 0; i < report->nproblems; i++)
		found |= strstr(report->problems[i], words) != NULL;
	publisher_done();
	publisher_leave();
	return found;
}

uint64_t sim_failed(struct sim *sim, const char *name, enum cause cause)
{
	const struct report_guest *r = &sim_guest(sim, name)->report;

	return r->dir[DIRECTION_PROMOTE].failed_pages[cause] +
	       r->dir[DIRECTION_DEMOTE].failed_pages[cause];
}

void sim_ask(struct sim *sim, const char *path, const char *request, char *answer, size_t size)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	ssize_t n = -1;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	for (int turn = 0; turn < 1000 && n < 0; turn++) {
		assert_int_equal(agent_turn(sim->agent, 5), 0);
		n = recv(fd, answer, size - 1, MSG_DONTWAIT);
	}
	assert_true(n > 0);
	answer[n] = '\0';
}

size_t sim_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A simulation publishes thousands of reports a second, the daemon a few. */
void sim_settle(void)
{
	rcu_barrier();
}

uint64_t sim_rss_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long size, resident = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu", &size, &resident), 2);
	fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct hot_set hot_set_scatter(struct dice *dice, size_t npages, unsigned int percent)
{
	struct hot_set set = {.npages = npages};

	set.is_hot = calloc(npages, sizeof(*set.is_hot));
	set.page = calloc(npages, sizeof(*set.page));
	assert_true(set.is_hot && set.page);
	for (size_t i = 0; i < npages; i++) {
		set.is_hot[i] = dice_chance(dice, percent);
		if (set.is_hot[i])
			set.page[set.n++] = i;
	}
	return set;
}

void hot_set_free(struct hot_set *set)
{
	free(set->is_hot);
	free(set->page);
}

void hot_set_touch(const struct hot_set *set, struct machine_guest *g, struct dice *dice,
		   size_t strays)
{
	for (size_t i = 0; i < set->n; i++)
		machine_touch(g, set->page[i], false);
	while (strays--)
		machine_touch(g, dice_below(dice, set->npages), false);
}

void sim_run(struct sim *sim, struct machine_guest *g, const struct hot_set *set,
	     unsigned int periods)
{
	while (periods--) {
		hot_set_touch(set, g, &sim->dice, 0);
		sim_period(sim);
	}
}

size_t hot_set_on(const struct hot_set *set, struct machine_guest *g, int node)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		n += machine_node_of(g, set->page[i]) == node;
	return n;
}
