// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A small VMM for tests of the whole daemon: a tiny guest in a process of its
 * own, named and sized by options like QEMU's, that does what lines on stdin
 * say.  It stands for a QEMU, honest or taken over from inside, and ends with its
 * stdin.
 *
 * DOC: Commands
 *
 * One line each, one line of answer: "ok", with what was asked for, or "error"
 * and why.  SET is a named set of guest frames; "ram" is all of RAM that the
 * guest may touch, and each command that shows more memory makes a set of it.
 *
 *	where				RAM: host address, pages, first free frame
 *	fill SEED			write all of RAM, note what is where
 *	verify				compare: pages that are wrong
 *	pick SET SEED N FROM		N frames of FROM, drawn by SEED
 *	split SET REST N FROM		the first N frames of FROM, and the others
 *	join SET FROM			the frames of FROM, too
 *	touch VCPU SET read|write	once
 *	busy VCPU SET read|write MS	round by round, MS between two of them
 *	idle VCPU			end that
 *	rounds VCPU			how many since it is busy
 *	nodes SET			pages by node, as in "0:12 1:500 none:3"
 *	place SET NODE			move_pages(2) by the VMM itself
 *	mark SET			remember where the pages are: how many are there
 *	moved SET			how many of these lie on another node now
 *	collect VCPU			take all out of its dirty ring: entries
 *	reset				give them back to KVM: entries
 *	tables VCPU SET			pages that "touch VCPU SET write" writes in all
 *	open PATH			have a file or device open: its fd
 *	close FD			end that
 *
 * vmm-hostile.c has more.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "vmm.h"

#define MAX_ARGS  6
#define MAX_NODES 64

/* Answers */

int vmm_ok(void)
{
	puts("ok");
	return 0;
}

int vmm_ok_number(int64_t n)
{
	if (n < 0)
		return (int)n;
	printf("ok %" PRId64 "\n", n);
	return 0;
}

/* Arguments that cannot be: the command answers -EINVAL. */

uint64_t vmm_number(const char *text)
{
	return strtoull(text, NULL, 0);
}

static int op_of(const char *word, enum tiny_op *ret_op)
{
	*ret_op = !strcmp(word, "write") ? TINY_WRITE : TINY_READ;
	return *ret_op == TINY_WRITE || !strcmp(word, "read") ? 0 : -EINVAL;
}

bool vmm_has_vcpu(const struct vmm *v, const char *text)
{
	return vmm_number(text) < v->t->nr_vcpus;
}

/* Work */

static int cmd_where(struct vmm *v, char **arg)
{
	(void)arg;
	printf("ok %p %zu %" PRIu64 "\n", (void *)v->t->ram.base, v->t->ram.pages,
	       v->t->first_free);
	return 0;
}

static int cmd_fill(struct vmm *v, char **arg)
{
	vmm_work_fill(&v->work, vmm_number(arg[0]));
	return vmm_ok();
}

static int cmd_verify(struct vmm *v, char **arg)
{
	(void)arg;
	return vmm_ok_number(vmm_work_verify(&v->work));
}

static int cmd_pick(struct vmm *v, char **arg)
{
	int r = vmm_set_pick(&v->memory, arg[0], vmm_number(arg[1]), arg[3], vmm_number(arg[2]));

	return r ? r : vmm_ok();
}

static int cmd_split(struct vmm *v, char **arg)
{
	int r = vmm_set_split(&v->memory, arg[0], arg[1], vmm_number(arg[2]), arg[3]);

	return r ? r : vmm_ok();
}

static int cmd_join(struct vmm *v, char **arg)
{
	int r = vmm_set_join(&v->memory, arg[0], arg[1]);

	return r ? r : vmm_ok();
}

static int cmd_touch(struct vmm *v, char **arg)
{
	const struct pageset *set = vmm_set(&v->memory, arg[1]);
	enum tiny_op op;
	int r;

	if (!set || !vmm_has_vcpu(v, arg[0]) || op_of(arg[2], &op))
		return -EINVAL;
	r = vmm_work_touch(&v->work, vmm_number(arg[0]), set, op);
	return r > 0 ? -EBADMSG : r ? r : vmm_ok();
}

static int cmd_busy(struct vmm *v, char **arg)
{
	const struct pageset *set = vmm_set(&v->memory, arg[1]);
	enum tiny_op op;
	int r;

	if (!set || !vmm_has_vcpu(v, arg[0]) || op_of(arg[2], &op))
		return -EINVAL;
	r = vmm_work_start(&v->work, vmm_number(arg[0]), set, op, (unsigned int)vmm_number(arg[3]));
	return r ? r : vmm_ok();
}

static int cmd_idle(struct vmm *v, char **arg)
{
	int r = vmm_has_vcpu(v, arg[0]) ? vmm_work_stop(&v->work, vmm_number(arg[0])) : -EINVAL;

	return r > 0 ? -EBADMSG : r ? r : vmm_ok();
}

static int cmd_rounds(struct vmm *v, char **arg)
{
	struct worker *w;
	int r;

	if (!vmm_has_vcpu(v, arg[0]))
		return -EINVAL;
	w = &v->work.workers[vmm_number(arg[0])];
	r = atomic_load(&w->error);
	return r > 0 ? -EBADMSG : r ? r : vmm_ok_number((int64_t)atomic_load(&w->rounds));
}

static int cmd_collect(struct vmm *v, char **arg)
{
	return vmm_has_vcpu(v, arg[0])
		       ? vmm_ok_number(vmm_work_collect(&v->work, vmm_number(arg[0])))
		       : -EINVAL;
}

static int cmd_reset(struct vmm *v, char **arg)
{
	(void)arg;
	return vmm_ok_number(vmm_work_reset(&v->work));
}

static int cmd_tables(struct vmm *v, char **arg)
{
	const struct pageset *set = vmm_set(&v->memory, arg[1]);
	_cleanup_(freep) uint64_t *map = calloc(bitmap_words(v->t->map_pages), sizeof(*map));

	if (!map || !set || !vmm_has_vcpu(v, arg[0]))
		return -EINVAL;
	for (size_t i = 0; i < set->n; i++) {
		struct tiny_touch touch = {.gfn = set->gfns[i], .op = TINY_WRITE};

		tiny_expect_written(v->t, vmm_number(arg[0]), &touch, 1, map);
	}
	return vmm_ok_number((int64_t)bitmap_count(map, v->t->map_pages));
}

/* Devices */

static int cmd_open(struct vmm *v, char **arg)
{
	int fd = open(arg[0], O_RDWR | O_CLOEXEC);

	(void)v;
	return fd < 0 ? -errno : vmm_ok_number(fd);
}

static int cmd_close(struct vmm *v, char **arg)
{
	(void)v;
	return close((int)vmm_number(arg[0])) < 0 ? -errno : vmm_ok();
}

/* Places */

static int cmd_nodes(struct vmm *v, char **arg)
{
	const struct pageset *set = vmm_set(&v->memory, arg[0]);
	_cleanup_(freep) int *nodes = set ? calloc(set->n, sizeof(*nodes)) : NULL;
	size_t by_node[MAX_NODES] = {0}, none = 0;
	int r = nodes ? vmm_set_nodes(&v->memory, set, nodes) : -EINVAL;

	if (r)
		return r;
	for (size_t i = 0; i < set->n; i++) {
		if (nodes[i] >= 0 && nodes[i] < MAX_NODES)
			by_node[nodes[i]]++;
		else
			none++;
	}
	printf("ok");
	for (int n = 0; n < MAX_NODES; n++)
		if (by_node[n])
			printf(" %d:%zu", n, by_node[n]);
	printf(" none:%zu\n", none);
	return 0;
}

static int cmd_place(struct vmm *v, char **arg)
{
	const struct pageset *set = vmm_set(&v->memory, arg[0]);
	int r = set ? vmm_set_place(&v->memory, set, (int)vmm_number(arg[1])) : -EINVAL;

	return r ? r : vmm_ok();
}

static int cmd_mark(struct vmm *v, char **arg)
{
	struct pageset *set = vmm_set(&v->memory, arg[0]);

	return set ? vmm_ok_number(vmm_set_mark(&v->memory, set)) : -EINVAL;
}

static int cmd_moved(struct vmm *v, char **arg)
{
	const struct pageset *set = vmm_set(&v->memory, arg[0]);

	return set ? vmm_ok_number(vmm_set_moved(&v->memory, set)) : -EINVAL;
}

static const struct vmm_command commands[] = {
	{"where", 0, cmd_where},   {"fill", 1, cmd_fill},     {"verify", 0, cmd_verify},
	{"pick", 4, cmd_pick},	   {"split", 4, cmd_split},   {"join", 2, cmd_join},
	{"touch", 3, cmd_touch},   {"busy", 4, cmd_busy},     {"idle", 1, cmd_idle},
	{"rounds", 1, cmd_rounds}, {"nodes", 1, cmd_nodes},   {"place", 2, cmd_place},
	{"mark", 1, cmd_mark},	   {"moved", 1, cmd_moved},   {"collect", 1, cmd_collect},
	{"reset", 0, cmd_reset},   {"tables", 2, cmd_tables}, {"open", 1, cmd_open},
	{"close", 1, cmd_close},   {NULL, 0, NULL},
};

static const struct vmm_command *find(const struct vmm_command *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table;
	return NULL;
}

static int obey(struct vmm *v, char *line)
{
	const struct vmm_command *command;
	char *arg[MAX_ARGS + 1], *save = NULL;
	int n = 0;

	for (char *word = strtok_r(line, " \n", &save); word && n <= MAX_ARGS;
	     word = strtok_r(NULL, " \n", &save))
		arg[n++] = word;
	command = n ? find(commands, arg[0]) : NULL;
	if (n && !command)
		command = find(vmm_hostile_commands, arg[0]);
	if (!command)
		return -ENOSYS;
	return command->nargs == n - 1 ? command->run(v, arg + 1) : -EINVAL;
}

static int run(struct vmm *v)
{
	char line[512];

	printf("ok\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		int r = obey(v, line);

		if (r)
			printf("error %s\n", strerror(-r));
		fflush(stdout);
	}
	return 0;
}

static int backing_of(const char *word, enum tiny_backing *ret_backing)
{
	static const char *const names[] = {
		[TINY_ANON_4K] = "4k",
		[TINY_ANON_THP] = "thp",
		[TINY_MEMFD] = "memfd",
		[TINY_HUGETLB_2M] = "hugetlb",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(names[i], word)) {
			*ret_backing = (enum tiny_backing)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Options with one dash, as QEMU's. */
static int parse(int argc, char **argv, struct tiny_options *o)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *option = argv[i], *value = argv[i + 1];

		if (!strcmp(option, "-pages")) {
			o->pages = vmm_number(value);
		} else if (!strcmp(option, "-reach")) {
			o->map_pages = vmm_number(value);
		} else if (!strcmp(option, "-smp")) {
			o->vcpus = vmm_number(value);
		} else if (!strcmp(option, "-ring")) {
			o->ring_bytes = vmm_number(value);
		} else if (!strcmp(option, "-node")) {
			o->bind = true;
			o->node = (int)vmm_number(value);
		} else if (strcmp(option, "-name") &&
			   (strcmp(option, "-backing") || backing_of(value, &o->backing))) {
			return -EINVAL;
		}
	}
	return argc % 2 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	static struct vmm v;
	struct tiny_options options = {0};
	int r = parse(argc, argv, &options);

	if (r) {
		fputs("usage: vmm -name NAME [-pages N] [-reach N] [-backing "
		      "4k|thp|memfd|hugetlb] [-node N] [-smp N] [-ring BYTES]\n",
		      stderr);
		return 2;
	}
	r = tiny_new(&options, &v.t);
	if (!r)
		r = vmm_memory_init(&v.memory, v.t);
	if (!r)
		r = vmm_work_init(&v.work, &v.memory);
	if (r) {
		printf("error %s\n", strerror(-r));
		return 1;
	}
	return run(&v);
}
