// SPDX-License-Identifier: GPL-2.0-or-later
/* vmtierd: arguments, start, loop, stop. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/service.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/units.h"
#include "build_config.h"

/* Exit codes of sysexits.h(3head) that the unit file knows. */
#define EXIT_USAGE	 2
#define EXIT_CONFIG	 78
#define EXIT_UNAVAILABLE 69

/*
 * Memory of this size and more, above all what is kept per page of a guest, is
 * mapped by itself and goes back to the kernel when it is freed.  It is glibc's
 * own first value, which it raises to the size of what was freed; then the heap
 * keeps the holes of guests that are gone (measured: 12 MiB after 280 of them).
 */
#define MAPPED_BYTES (128 << 10)

enum { OPT_POLICY_DIR = 256, OPT_STATE_DIR, OPT_SOCKET, OPT_HOOK_SOCKET, OPT_CHECK, OPT_LOG };

static const struct option arg_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"policy-dir", required_argument, NULL, OPT_POLICY_DIR},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"hook-socket", required_argument, NULL, OPT_HOOK_SOCKET},
	{"log-level", required_argument, NULL, OPT_LOG},
	{"check-config", no_argument, NULL, OPT_CHECK},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static const char usage[] =
	"Usage: vmtierd [OPTION]...\n"
	"Keep hot pages of KVM guests in DRAM and the rest in CXL memory.\n"
	"\n"
	"  -c, --config FILE        read FILE instead of " CONFIG_FILE "\n"
	"                           and its drop-ins\n"
	"      --policy-dir DIR     where NAME.xml of each guest is looked for\n"
	"      --state-dir DIR      where pauses and policies of guests are kept over a\n"
	"                           restart of vmtierd\n"
	"      --socket PATH        control socket\n"
	"      --hook-socket PATH   socket for libvirt's hook\n"
	"      --log-level LEVEL    error, warning, notice, info or debug\n"
	"      --check-config       read the configuration, say what is wrong, exit\n"
	"  -h, --help               print this and exit\n"
	"      --version            print the version and exit\n";

struct arguments {
	const char *config;
	const char *policy_dir;
	const char *state_dir;
	const char *socket;
	const char *hook_socket;
	const char *log_level;
	bool check;
};

/* Return: -1 to go on, else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *args)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:h", arg_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			args->config = optarg;
			break;
		case OPT_POLICY_DIR:
			args->policy_dir = optarg;
			break;
		case OPT_STATE_DIR:
			args->state_dir = optarg;
			break;
		case OPT_SOCKET:
			args->socket = optarg;
			break;
		case OPT_HOOK_SOCKET:
			args->hook_socket = optarg;
			break;
		case OPT_LOG:
			args->log_level = optarg;
			break;
		case OPT_CHECK:
			args->check = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("vmtierd " VMTIER_VERSION);
			return 0;
		default:
			fputs("Try 'vmtierd --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "vmtierd: unexpected argument '%s'\nTry 'vmtierd --help'.\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

static int set_path(char *field, size_t size, const char *value, const char *what,
		    struct error *err)
{
	if (!value)
		return 0;
	if (strlen(value) >= size)
		return error_set(err, -ENAMETOOLONG, "%s '%s' is too long", what, value);
	snprintf(field, size, "%s", value);
	return 0;
}

static int read_config(const struct arguments *args, struct config *config, struct error *err)
{
	int r;

	config_default(config);
	r = args->config ? config_read(config, args->config, true, err)
			 : config_read_all(config, err);
	if (r >= 0)
		r = set_path(config->policy_dir, sizeof(config->policy_dir), args->policy_dir,
			     "policy directory", err);
	if (r >= 0)
		r = set_path(config->state_dir, sizeof(config->state_dir), args->state_dir,
			     "state directory", err);
	if (r >= 0)
		r = set_path(config->socket, sizeof(config->socket), args->socket, "socket", err);
	if (r >= 0)
		r = set_path(config->hook_socket, sizeof(config->hook_socket), args->hook_socket,
			     "hook socket", err);
	if (r >= 0 && args->log_level) {
		config->log_level = config_log_level(args->log_level);
		if (!config->log_level)
			r = error_set(err, -EINVAL, "there is no log level '%s'", args->log_level);
	}
	return r;
}

/* SIGTERM and SIGINT end the daemon, SIGHUP reads policies again. */
static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

struct signals {
	struct agent *agent;
	int fd;
	bool stop;
};

static void signal_ready(void *ctx, uint32_t events)
{
	struct signals *signals = ctx;
	struct signalfd_siginfo info;

	(void)events;
	while (read(signals->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP) {
			signals->stop = true;
			continue;
		}
		log_at(LOG_NOTE, "reading policies again");
		for (struct guest *g = signals->agent->guests; g; g = g->next) {
			if (g->gone)
				continue;
			agent_read_policy(signals->agent, g);
			agent_judge(signals->agent, g);
		}
	}
}

static int run(struct agent *agent, struct signals *signals)
{
	uint64_t watchdog_ms = service_watchdog_ms();
	int timeout_ms = watchdog_ms ? (int)watchdog_ms : -1;

	service_ready();
	while (!signals->stop) {
		char status[128];
		int r = agent_turn(agent, timeout_ms);

		if (r < 0) {
			log_at(LOG_ERROR, "the main loop failed: %s", strerror(-r));
			return EXIT_FAILURE;
		}
		snprintf(status, sizeof(status), "%zu guests, %llu passes", agent->nguests,
			 (unsigned long long)agent->passes);
		service_status(status);
	}
	service_stopping();
	return EXIT_SUCCESS;
}

static int serve(struct signals *signals)
{
	int r = signals->fd;

	log_at(LOG_NEWS, "vmtierd " VMTIER_VERSION " started");
	if (r >= 0)
		r = loop_add(signals->agent->loop, r, EPOLLIN, signal_ready, signals);
	if (r < 0) {
		log_at(LOG_ERROR, "signals cannot be heard (%s)", strerror(-r));
		return EXIT_FAILURE;
	}
	r = run(signals->agent, signals);
	signals->agent = agent_free(signals->agent);
	log_at(LOG_NEWS, "vmtierd stopped; pages stay where they are");
	return r;
}

int main(int argc, char **argv)
{
	struct arguments args = {0};
	struct error err = {0};
	struct config config;
	struct signals signals = {0};
	struct host *host = NULL;
	int r = parse_arguments(argc, argv, &args);

	if (r >= 0)
		return r;
	mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
	log_init(LOG_NEWS, getenv("JOURNAL_STREAM") != NULL);
	if (read_config(&args, &config, &err) < 0) {
		log_at(LOG_ERROR, "%s", err.text);
		return EXIT_CONFIG;
	}
	if (args.check)
		return EXIT_SUCCESS;
	log_init((enum log_level)config.log_level, getenv("JOURNAL_STREAM") != NULL);
	if (geteuid() != 0)
		log_at(LOG_WARN, "not running as root: guests of other users cannot be seen, let "
				 "alone moved");
	signals.fd = open_signals();
	r = host_linux_new("", &host);
	if (r >= 0)
		r = agent_new(&config, host, true, &signals.agent, &err);
	if (r < 0) {
		log_at(LOG_ERROR, "%s", error_text(&err, r));
		r = EXIT_UNAVAILABLE;
	} else {
		r = serve(&signals);
	}
	agent_free(signals.agent);
	if (host)
		host->ops->free(host);
	if (signals.fd >= 0)
		close(signals.fd);
	return r;
}
