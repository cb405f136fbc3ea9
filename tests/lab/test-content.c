// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest's memory goes to the other node and back while the guest runs, by the
 * agent's own batches over the real host, and every byte of it stays.
 *
 * It also shows where pages of 2 MiB come from on the other node, and that none
 * is moved where the kernel would split it.
 *
 * The guest is one of vmm.c, in a process of its own: one vCPU keeps writing a
 * part of RAM, another keeps reading a part and adds it up, and its VMM knows
 * every byte.  Needs two nodes, a KVM with the access fd, and vmm beside it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/guest.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "discover/layout.h"
#include "fragment.h"
#include "host/host.h"
#include "migrate/batch.h"
#include "tiny-access.h"
#include "tiny.h"

#define PAGES 2048
#define LARGE (PAGES / LARGE_PAGES)
#define TRIPS 10

/* Frames that nobody ever touched: frame 0, and ends of the vCPUs' lists. */
#define HOLES_MAX (2 * TINY_LIST_PAGES)

static char vmm_path[4096];

struct fixture {
	struct host *host;
	struct host_node nodes[HOST_MAX_NODES];
	size_t nnodes;
	struct guest *guest;
	pid_t pid;
	FILE *to;
	FILE *from;
	struct outcome outcome; /* of the last batch */
	unsigned long pool_was[2];
	bool pool_changed;
	pid_t fragmenter;
};

/* The VMM */

static void start_vmm(struct fixture *f, const char *backing)
{
	int to[2], from[2];
	char pages[16];

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	snprintf(pages, sizeof(pages), "%d", PAGES);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (!f->pid) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		close(to[1]);
		close(from[0]);
		execl(vmm_path, vmm_path, "-name", "content", "-pages", pages, "-backing", backing,
		      "-node", "0", "-smp", "2", (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	f->to = fdopen(to[1], "w");
	f->from = fdopen(from[0], "r");
	assert_true(f->to && f->from);
}

/* What follows "ok", as a number. */
static long long answer(struct fixture *f, const char *command)
{
	char line[256];

	if (!fgets(line, sizeof(line), f->from))
		fail_msg("the VMM ended at '%s'", command);
	if (strncmp(line, "ok", 2))
		fail_msg("the VMM answers '%s': %s", command, line);
	return strtoll(line + 2, NULL, 0);
}

static long long tell(struct fixture *f, const char *command)
{
	fprintf(f->to, "%s\n", command);
	fflush(f->to);
	return answer(f, command);
}

/* The agent's side */

static struct guest *adopt(struct fixture *f)
{
	const struct host_ops *ops = f->host->ops;
	_cleanup_(freep) struct host_found *found = NULL;
	struct error source = {0}, err = {0};
	struct host_found it = {0};
	struct host_vm *vm = NULL;
	struct memmap *map = NULL;
	struct guest *guest;
	size_t n = 0;

	assert_int_equal(ops->find(f->host, &found, &n, &err), 0);
	for (size_t i = 0; i < n; i++)
		if (found[i].pid == f->pid)
			it = found[i];
	assert_int_equal(it.pid, f->pid);
	assert_int_equal(ops->vm_open(f->host, &it, &vm, &source, &err), 0);
	assert_string_equal(source.text, "");
	guest = guest_new(1, &it, vm);
	assert_non_null(guest);
	assert_int_equal(layout_read(vm, UINT64_MAX / 4, &map, NULL), 0);
	assert_int_equal(guest_adopt_layout(guest, map, f->nnodes, 1), 0);
	assert_int_equal(guest->map->ram_pages, PAGES);
	return guest;
}

static struct batch *all_of_it(const struct guest *guest, int node, size_t unit_pages,
			       enum direction direction)
{
	const struct area *area = &guest->map->areas[0];
	struct batch *batch = batch_new(area->npages / unit_pages);

	assert_non_null(batch);
	batch->node = node;
	batch->direction = direction;
	for (uint64_t i = 0; i < area->npages; i += unit_pages)
		batch->units[batch->n++] = (struct moved) {
			.hva = area->hva + i * PAGE_BYTES,
			.index = area->index + i,
			.pages = unit_pages,
			.from_pool = area->page_bytes != 0,
			.node = -1,
		};
	batch->pages = area->npages;
	return batch;
}

/* Everything to @node.  Return: pages that are somewhere else then. */
static uint64_t move_all(struct fixture *f, int node, size_t unit_pages)
{
	struct pace pace, host_pace;
	atomic_bool keep_going = true;
	_cleanup_(freep) struct batch *batch =
		all_of_it(f->guest, node, unit_pages, node ? DIRECTION_DEMOTE : DIRECTION_PROMOTE);
	uint64_t now_ns = f->host->ops->now_ns(f->host);

	pace_init(&pace, 0, now_ns);
	pace_init(&host_pace, 0, now_ns);
	batch->lane = &f->guest->lane;
	batch->epoch = atomic_load(&batch->lane->epoch);
	batch->pace = &pace;
	batch->host_pace = &host_pace;
	atomic_fetch_add(&batch->lane->queued_pages[batch->direction], batch->pages);
	batch_carry_out(batch, &keep_going);
	f->outcome = batch->outcome;
	return PAGES - batch->outcome.moved_pages - batch->outcome.there_pages -
	       batch->outcome.failed_pages[CAUSE_NOT_MAPPED];
}

/* For the vCPUs to go on, and to let go of what they hold: they may share one host CPU with us. */
static void give_way(void)
{
	usleep(50000);
}

/*
 * A page that a vCPU is just using, or that KVM holds, may need another try; the
 * kernel only tries the locks of a hugetlbfs mapping, which a fault may hold.
 */
static void move_all_for_sure(struct fixture *f, int node, size_t unit_pages)
{
	uint64_t left = PAGES;

	for (int tries = 0; tries < 40 && left; tries++) {
		left = move_all(f, node, unit_pages);
		if (left)
			give_way();
	}
	for (int c = 0; left && c < CAUSE_COUNT; c++)
		print_message("# %s: %llu pages\n", cause_name((enum cause)c),
			      (unsigned long long)f->outcome.failed_pages[c]);
	assert_int_equal(left, 0);
}

static void assert_all_on(struct fixture *f, int node)
{
	int8_t nodes[PAGES];
	int holes = 0;

	assert_int_equal(
		f->host->ops->vm_residency(f->guest->vm, f->guest->map->areas[0].hva, PAGES, nodes),
		0);
	for (size_t i = 0; i < PAGES; i++) {
		if (nodes[i] < 0)
			assert_true(++holes <= HOLES_MAX);
		else
			assert_int_equal(f->nodes[nodes[i]].id, node);
	}
}

/* Memory of the process in transparent huge pages, KiB. */
static unsigned long huge_kib(const struct fixture *f)
{
	_cleanup_(fclosep) FILE *file = NULL;
	unsigned long kib = 0;
	char text[128];

	snprintf(text, sizeof(text), "/proc/%d/smaps_rollup", (int)f->pid);
	file = fopen(text, "re");
	while (file && fgets(text, sizeof(text), file))
		if (sscanf(text, "AnonHugePages: %lu", &kib) == 1)
			return kib;
	return 0;
}

/* Pages of 2 MiB that a node's pool has, or has free. */
static unsigned long pool(int node, const char *what)
{
	_cleanup_(fclosep) FILE *file = NULL;
	unsigned long n = 0;
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/%s_hugepages", node,
		 what);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%lu", &n) != 1)
		fail_msg("%s cannot be read", path);
	return n;
}

static void set_pool(int node, unsigned long n)
{
	FILE *file;
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages", node);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "%lu", n);
	assert_int_equal(fclose(file), 0);
}

/* Pools of both nodes as the test wants them, until it ends. */
static void set_pools(struct fixture *f, unsigned long on_0, unsigned long on_1)
{
	f->pool_was[0] = pool(0, "nr");
	f->pool_was[1] = pool(1, "nr");
	f->pool_changed = true;
	set_pool(0, on_0);
	set_pool(1, on_1);
	assert_int_equal(pool(0, "free"), on_0);
	assert_int_equal(pool(1, "free"), on_1);
}

/*
 * Until both vCPUs have gone through their pages once more; the vCPU that reads
 * ends at the first sum that is wrong, and "rounds" says so.
 */
static long long let_it_run(struct fixture *f)
{
	long long was[2] = {tell(f, "rounds 0"), tell(f, "rounds 1")}, now[2];

	do {
		usleep(20000);
		now[0] = tell(f, "rounds 0");
		now[1] = tell(f, "rounds 1");
	} while (now[0] < was[0] + 2 || now[1] < was[1] + 2);
	return now[0] - was[0] + now[1] - was[1];
}

/* A guest that writes and reads from now on. */
static void set_to_work(struct fixture *f, const char *backing)
{
	start_vmm(f, backing);
	answer(f, "start");
	tell(f, "fill 0x5eed");
	tell(f, "pick both 1 1400 ram");
	tell(f, "split written reads 700 both");
	tell(f, "busy 0 written write 1");
	tell(f, "busy 1 reads read 1");
	f->guest = adopt(f);
}

static void assert_nothing_lost(struct fixture *f)
{
	tell(f, "idle 0");
	tell(f, "idle 1");
	assert_int_equal(tell(f, "verify"), 0);
}

/* There and back, with the guest at work; what it does goes on in between. */
static void travel(struct fixture *f, const char *backing, size_t unit_pages)
{
	long long rounds = 0;

	set_to_work(f, backing);
	for (int trip = 0; trip < TRIPS; trip++) {
		for (int node = 1; node >= 0; node--) {
			move_all_for_sure(f, node, unit_pages);
			assert_all_on(f, node);
			rounds += let_it_run(f);
		}
	}
	assert_nothing_lost(f);
	print_message("# %lld rounds of the guest during %d trips\n", rounds, TRIPS);
}

static void in_pages_of_4_kib(void **state)
{
	travel(*state, "4k", 1);
}

static void in_pages_of_2_mib_that_stay_whole(void **state)
{
	struct fixture *f = *state;

	travel(f, "thp", LARGE_PAGES);
	assert_true(huge_kib(f) >= PAGES * 4);
}

static void in_shared_memory(void **state)
{
	travel(*state, "memfd", 1);
}

static void in_pages_of_hugetlbfs(void **state)
{
	struct fixture *f = *state;

	set_pools(f, LARGE, LARGE);
	travel(f, "hugetlb", LARGE_PAGES);
	assert_int_equal(f->guest->map->areas[0].page_bytes, LARGE_PAGES * PAGE_BYTES);
	/* All came from the pools: neither has grown or shrunk. */
	assert_int_equal(pool(0, "nr"), LARGE);
	assert_int_equal(pool(1, "nr"), LARGE);
}

static void an_empty_pool_takes_from_the_free_memory_of_its_node(void **state)
{
	struct fixture *f = *state;

	set_pools(f, LARGE, 0);
	set_to_work(f, "hugetlb");
	move_all_for_sure(f, 1, LARGE_PAGES);
	assert_all_on(f, 1);
	assert_int_equal(pool(0, "nr"), 0);
	assert_int_equal(pool(1, "nr"), LARGE);
	let_it_run(f);
	assert_nothing_lost(f);
}

static void an_empty_pool_without_free_memory_is_no_memory(void **state)
{
	struct fixture *f = *state;

	set_pools(f, LARGE, 2);
	set_to_work(f, "hugetlb");
	assert_int_equal(fragment_start(1, &f->fragmenter), 0);
	for (int tries = 0; tries < 40 && f->outcome.there_pages < 2 * LARGE_PAGES; tries++) {
		give_way();
		move_all(f, 1, LARGE_PAGES);
	}
	/* The last batch found two in place, tried the others in one call, and gave up. */
	assert_int_equal(f->outcome.there_pages, 2 * LARGE_PAGES);
	assert_int_equal(f->outcome.failed_pages[CAUSE_NO_MEMORY], PAGES - 2 * LARGE_PAGES);
	assert_int_equal(f->outcome.calls, 1);
	let_it_run(f);
	assert_nothing_lost(f);
}

static uint64_t blocks_of(struct fixture *f, int node)
{
	uint64_t blocks = UINT64_MAX;

	assert_int_equal(f->host->ops->free_blocks(f->host, node, &blocks), 0);
	return blocks;
}

static void pages_of_2_mib_stay_whole_where_the_target_is_in_pieces(void **state)
{
	struct fixture *f = *state;
	unsigned long huge;

	set_to_work(f, "thp");
	huge = huge_kib(f);
	assert_true(huge >= PAGES * 4);
	assert_true(blocks_of(f, 1) > BATCH_SPARE_BLOCKS + LARGE);
	assert_int_equal(fragment_start(1, &f->fragmenter), 0);
	assert_true(blocks_of(f, 1) <= BATCH_SPARE_BLOCKS);
	move_all(f, 1, LARGE_PAGES);
	assert_int_equal(f->outcome.failed_pages[CAUSE_NO_HUGE_PAGE], PAGES);
	assert_int_equal(f->outcome.calls, 0);
	assert_all_on(f, 0);
	assert_int_equal(huge_kib(f), huge);
	assert_nothing_lost(f);
	/* What would have come of it: the same without a look, by the VMM itself. */
	tell(f, "place ram 1");
	assert_int_equal(huge_kib(f), 0);
	assert_int_equal(tell(f, "verify"), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t left_out;

	*state = f;
	if (!f || host_linux_new("", &f->host) < 0)
		return -1;
	return f->host->ops->nodes(f->host, f->nodes, &f->nnodes, &left_out, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	guest_free(f->guest);
	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		waitpid(f->pid, NULL, 0);
	}
	fragment_stop(f->fragmenter);
	if (f->pool_changed) {
		set_pool(0, f->pool_was[0]);
		set_pool(1, f->pool_was[1]);
	}
	if (f->to)
		fclose(f->to);
	if (f->from)
		fclose(f->from);
	f->host->ops->free(f->host);
	free(f);
	return 0;
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		test(in_pages_of_4_kib),
		test(in_pages_of_2_mib_that_stay_whole),
		test(in_shared_memory),
		test(in_pages_of_hugetlbfs),
		test(an_empty_pool_takes_from_the_free_memory_of_its_node),
		test(an_empty_pool_without_free_memory_is_no_memory),
		test(pages_of_2_mib_stay_whole_where_the_target_is_in_pieces),
	};
	char *slash = argc ? strrchr(argv[0], '/') : NULL;

	if (!tiny_access_supported() || access("/sys/devices/system/node/node1", F_OK)) {
		fputs("skipped: it takes a KVM with the access fd and two nodes\n", stderr);
		return 77;
	}
	snprintf(vmm_path, sizeof(vmm_path), "%.*svmm", slash ? (int)(slash - argv[0] + 1) : 0,
		 argv[0]);
	tiny_hold_kvm();
	return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
