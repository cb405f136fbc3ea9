// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VMM does that was taken over from inside.
 *
 * DOC: Commands
 *
 *	scribble VCPU on|off		random bytes into its dirty ring, all the time
 *	hold PAGES NODE			a memfd that nobody maps: its fd
 *	make-file PATH PAGES NODE	write a file whose pages lie on NODE
 *	show-again SET			all of RAM in a second slot
 *	show-second SET			the memfd of RAM, mapped a second time
 *	show-own SET PATH PERMS		what /proc/self/maps shows under PATH
 *	show-file SET PATH HOW NODE	a file, HOW is private, shared or readonly
 *	show-theirs SET PID FD		what another process has open
 *	show-hole SET PAGES		addresses where nothing is
 *	show-huge SET PAGES		more than there can be, not populated
 *	remap SET FIRST PID FD		map theirs over RAM from frame FIRST on
 *	remap-file SET FIRST PATH	map a file, shared, over RAM from frame FIRST on
 *	fork				a child that has all its fds and does nothing: its pid
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "vmm.h"

/* Half of it is noise, half looks like what KVM might have written. */
static void *scribbler_main(void *arg)
{
	struct vmm *v = arg;
	volatile struct kvm_dirty_gfn *ring = v->t->vcpus[v->scribbled_vcpu].ring;
	struct timespec breath = {.tv_nsec = 1000000};
	uint64_t random = 1;

	while (atomic_load(&v->scribble)) {
		for (int i = 0; i < 1000; i++) {
			uint64_t noise = tiny_random(&random);
			bool likely = noise & 1;
			size_t at = tiny_random_below(&random, v->t->ring_entries);

			ring[at].flags = likely ? KVM_DIRTY_GFN_F_DIRTY : (uint32_t)(noise >> 8);
			ring[at].slot =
				likely ? (uint32_t)(noise >> 8 & 3) : (uint32_t)(noise >> 16);
			ring[at].offset = likely ? noise >> 16 & 0x1fff : tiny_random(&random);
		}
		nanosleep(&breath, NULL);
	}
	return NULL;
}

static int cmd_scribble(struct vmm *v, char **arg)
{
	bool on = !strcmp(arg[1], "on");

	if (!vmm_has_vcpu(v, arg[0]) || !v->t->ring_entries || atomic_load(&v->scribble) == on)
		return -EINVAL;
	atomic_store(&v->scribble, on);
	v->scribbled_vcpu = vmm_number(arg[0]);
	if (!on)
		pthread_join(v->scribbler, NULL);
	else if (pthread_create(&v->scribbler, NULL, scribbler_main, v))
		return -EAGAIN;
	return vmm_ok();
}

static int cmd_hold(struct vmm *v, char **arg)
{
	_cleanup_(closep) int fd = memfd_create("held", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : vmm_write_pages(fd, vmm_number(arg[0]), (int)vmm_number(arg[1]));

	(void)v;
	return r < 0 ? r : vmm_ok_number(take_fd(&fd));
}

static int cmd_make_file(struct vmm *v, char **arg)
{
	_cleanup_(closep) int fd = open(arg[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	(void)v;
	if (fd < 0)
		return -errno;
	return vmm_ok_number(vmm_write_pages(fd, vmm_number(arg[1]), (int)vmm_number(arg[2])));
}

static int show(struct vmm *v, const char *name, void *base, size_t pages)
{
	int r = base ? vmm_show(&v->memory, name, base, pages) : -errno;

	return r ? r : vmm_ok_number((int64_t)pages);
}

static int cmd_show_again(struct vmm *v, char **arg)
{
	return show(v, arg[0], v->t->ram.base, v->t->ram.pages);
}

static int cmd_show_second(struct vmm *v, char **arg)
{
	size_t pages = v->t->ram.pages;
	void *p = mmap(NULL, pages << PAGE_SHIFT_4K, PROT_READ | PROT_WRITE, MAP_SHARED,
		       v->t->ram.fd, 0);

	return show(v, arg[0], p == MAP_FAILED ? NULL : p, pages);
}

static int cmd_show_own(struct vmm *v, char **arg)
{
	size_t pages = 0;
	void *p = vmm_own_mapping(arg[1], arg[2], &pages);

	if (p)
		vmm_read_through(p, pages);
	return show(v, arg[0], p, pages);
}

static int cmd_show_file(struct vmm *v, char **arg)
{
	size_t pages = 0;
	void *p = vmm_map_file(arg[1], arg[2], (int)vmm_number(arg[3]), &pages);

	return show(v, arg[0], p, pages);
}

static int cmd_show_theirs(struct vmm *v, char **arg)
{
	size_t pages = 0;
	void *p = vmm_map_theirs((pid_t)vmm_number(arg[1]), (int)vmm_number(arg[2]), NULL, &pages);

	return show(v, arg[0], p, pages);
}

/* Far from where the kernel puts mappings, so that none comes to lie there later. */
#define NOWHERE ((void *)0x100000000000)

static int cmd_show_hole(struct vmm *v, char **arg)
{
	return show(v, arg[0], NOWHERE, vmm_number(arg[1]));
}

static int cmd_show_huge(struct vmm *v, char **arg)
{
	size_t pages = vmm_number(arg[1]);
	void *p = mmap(NULL, pages << PAGE_SHIFT_4K, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return show(v, arg[0], p == MAP_FAILED ? NULL : p, pages);
}

/* The set is of those frames that show the other memory now. */
static int name_frames(struct vmm *v, const char *name, uint64_t first, size_t pages)
{
	struct pageset *set = vmm_set_new(&v->memory, name, pages);

	if (!set)
		return -ENOSPC;
	v->work.filled = false; /* nobody knows any more what RAM should hold */
	for (size_t i = 0; i < pages; i++)
		set->gfns[set->n++] = first + i;
	return vmm_ok_number((int64_t)pages);
}

static int cmd_remap(struct vmm *v, char **arg)
{
	uint64_t first = vmm_number(arg[1]);
	size_t pages = 0;

	if (first < v->t->first_free || first >= v->t->ram.pages)
		return -EINVAL;
	if (!vmm_map_theirs((pid_t)vmm_number(arg[2]), (int)vmm_number(arg[3]),
			    tiny_memory_at(&v->t->ram, first), &pages))
		return -errno;
	return name_frames(v, arg[0], first, pages);
}

static int cmd_remap_file(struct vmm *v, char **arg)
{
	_cleanup_(closep) int fd = open(arg[2], O_RDWR | O_CLOEXEC);
	uint64_t first = vmm_number(arg[1]);
	size_t pages = v->t->ram.pages - first;
	off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	void *at = tiny_memory_at(&v->t->ram, first);

	if (bytes < 0)
		return -errno;
	if (first < v->t->first_free || first >= v->t->ram.pages)
		return -EINVAL;
	if ((size_t)bytes >> PAGE_SHIFT_4K < pages)
		pages = (size_t)bytes >> PAGE_SHIFT_4K;
	if (mmap(at, pages << PAGE_SHIFT_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) == MAP_FAILED)
		return -errno;
	vmm_read_through(at, pages);
	return name_frames(v, arg[0], first, pages);
}

/* A child that outlives its test ends all the same. */
#define FORK_LIVES_S 120

static int cmd_fork(struct vmm *v, char **arg)
{
	pid_t pid = fork();

	(void)v;
	(void)arg;
	if (pid < 0)
		return -errno;
	if (pid)
		return vmm_ok_number(pid);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd); /* whoever waits for the end of the VMM waits for these */
	alarm(FORK_LIVES_S);
	for (;;)
		pause();
}

const struct vmm_command vmm_hostile_commands[] = {
	{"scribble", 2, cmd_scribble},
	{"hold", 2, cmd_hold},
	{"make-file", 3, cmd_make_file},
	{"show-again", 1, cmd_show_again},
	{"show-second", 1, cmd_show_second},
	{"show-own", 3, cmd_show_own},
	{"show-file", 4, cmd_show_file},
	{"show-theirs", 3, cmd_show_theirs},
	{"show-hole", 2, cmd_show_hole},
	{"show-huge", 2, cmd_show_huge},
	{"remap", 4, cmd_remap},
	{"remap-file", 3, cmd_remap_file},
	{"fork", 0, cmd_fork},
	{NULL, 0, NULL},
};
