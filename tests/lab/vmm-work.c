// SPDX-License-Identifier: GPL-2.0-or-later
/* vCPU threads, and the model of what RAM holds. */
#define _GNU_SOURCE
#include "vmm-work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/units.h"

#define WORDS_PER_PAGE (PAGE_BYTES / sizeof(uint64_t))
#define GUEST_WORD     (TINY_WORD_OFFSET / sizeof(uint64_t))

static uint64_t word_at(uint64_t seed, uint64_t gfn, uint64_t i)
{
	uint64_t x = seed + gfn * WORDS_PER_PAGE + i;

	return tiny_random(&x);
}

int vmm_work_init(struct vmm_work *work, struct vmm_memory *memory)
{
	const struct tiny *t = memory->t;

	*work = (struct vmm_work) {.memory = memory};
	work->workers = calloc(t->nr_vcpus, sizeof(*work->workers));
	work->words = calloc(t->ram.pages, sizeof(*work->words));
	if (!work->workers || !work->words)
		return -ENOMEM;
	for (size_t i = 0; i < t->nr_vcpus; i++) {
		work->workers[i].work = work;
		work->workers[i].vcpu = i;
	}
	return 0;
}

/* Of code and page tables, which nobody writes; the stacks and lists lie behind them. */
static uint64_t sum_tables(const struct tiny *t)
{
	const uint64_t *at = tiny_memory_at(&t->ram, 1);
	const uint64_t *end = tiny_memory_at(&t->ram, t->vcpus[0].stack_gfn);
	uint64_t sum = 0;

	for (; at < end; at++)
		sum = (sum ^ *at) * 0x100000001b3ULL;
	return sum;
}

void vmm_work_fill(struct vmm_work *work, uint64_t seed)
{
	const struct tiny *t = work->memory->t;

	work->seed = seed;
	for (uint64_t gfn = t->first_free; gfn < t->ram.pages; gfn++) {
		uint64_t *page = tiny_memory_at(&t->ram, gfn);

		for (uint64_t i = 0; i < WORDS_PER_PAGE; i++)
			page[i] = word_at(seed, gfn, i);
		work->words[gfn] = page[GUEST_WORD];
	}
	work->tables_sum = sum_tables(t);
	work->filled = true;
}

int vmm_work_verify(const struct vmm_work *work)
{
	const struct tiny *t = work->memory->t;
	int wrong = 0;

	if (!work->filled)
		return -EINVAL;
	for (uint64_t gfn = t->first_free; gfn < t->ram.pages; gfn++) {
		const uint64_t *page = tiny_memory_at(&t->ram, gfn);
		bool same = page[GUEST_WORD] == work->words[gfn];

		for (uint64_t i = 0; i < WORDS_PER_PAGE && same; i++)
			same = i == GUEST_WORD || page[i] == word_at(work->seed, gfn, i);
		wrong += !same;
	}
	return wrong + (sum_tables(t) != work->tables_sum);
}

int vmm_work_collect(struct vmm_work *work, size_t vcpu)
{
	const struct tiny *t = work->memory->t;
	struct kvm_dirty_gfn *ring = t->vcpus[vcpu].ring;
	uint64_t *next = &work->workers[vcpu].ring_next;
	int n = 0;

	for (; ring && (size_t)n < t->ring_entries; n++) {
		struct kvm_dirty_gfn *e = &ring[*next % t->ring_entries];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		(*next)++;
	}
	return n;
}

int vmm_work_reset(struct vmm_work *work)
{
	int r = ioctl(work->memory->t->vm_fd, KVM_RESET_DIRTY_RINGS, 0);

	return r < 0 ? -errno : r;
}

/* A list that fits the guest's list pages, to its end. */
static int run_list(struct worker *w, const struct tiny_touch *list, size_t n, uint64_t *ret_sum)
{
	struct tiny *t = w->work->memory->t;
	int r = tiny_run(t, w->vcpu, list, n, w->stamp, ret_sum);

	while (r == TINY_E_RING_FULL || r == -EINTR) {
		if (r == TINY_E_RING_FULL) {
			vmm_work_collect(w->work, w->vcpu);
			r = vmm_work_reset(w->work);
			if (r < 0)
				return r;
		}
		r = tiny_resume(t, w->vcpu, ret_sum);
	}
	return r;
}

static void note_words(struct worker *w, const struct tiny_touch *list, size_t n)
{
	const struct vmm_work *work = w->work;

	for (size_t i = 0; i < n; i++)
		if (list[i].gfn < work->memory->t->ram.pages)
			work->words[list[i].gfn] = w->stamp + (list[i].gfn << PAGE_SHIFT_4K);
}

static bool sum_is_right(const struct worker *w, const struct tiny_touch *list, size_t n,
			 uint64_t sum)
{
	const struct vmm_work *work = w->work;

	for (size_t i = 0; i < n; i++) {
		if (list[i].gfn >= work->memory->t->ram.pages)
			return true; /* not RAM: nobody knows what is there */
		sum -= work->words[list[i].gfn];
	}
	return !work->filled || sum == 0;
}

static int one_round(struct worker *w)
{
	_cleanup_(freep) struct tiny_touch *list = calloc(TINY_LIST_MAX, sizeof(*list));
	int r = list ? 0 : -ENOMEM;

	w->stamp++;
	for (size_t at = 0; at < w->set->n && !r; at += TINY_LIST_MAX) {
		size_t n = w->set->n - at < TINY_LIST_MAX ? w->set->n - at : TINY_LIST_MAX;
		uint64_t sum = 0;

		for (size_t i = 0; i < n; i++)
			list[i] = (struct tiny_touch) {.gfn = w->set->gfns[at + i], .op = w->op};
		r = run_list(w, list, n, &sum);
		if (!r && w->op == TINY_WRITE)
			note_words(w, list, n);
		if (!r && w->op == TINY_READ && !sum_is_right(w, list, n, sum))
			r = WORK_E_SUM;
	}
	return r;
}

int vmm_work_touch(struct vmm_work *work, size_t vcpu, const struct pageset *set, enum tiny_op op)
{
	struct worker *w = &work->workers[vcpu];

	if (w->running)
		return -EBUSY;
	w->set = set;
	w->op = op;
	return one_round(w);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct timespec pause = {.tv_sec = w->pause_ms / 1000,
				 .tv_nsec = (long)(w->pause_ms % 1000) * (long)NSEC_PER_MSEC};
	char name[16];
	int r = 0;

	/* As QEMU calls them where libvirt asks it to. */
	snprintf(name, sizeof(name), "CPU %zu/KVM", w->vcpu);
	prctl(PR_SET_NAME, name);
	while (!r && !atomic_load(&w->stop)) {
		r = one_round(w);
		atomic_fetch_add(&w->rounds, 1);
		if (w->pause_ms)
			nanosleep(&pause, NULL);
	}
	atomic_store(&w->error, r);
	return NULL;
}

int vmm_work_start(struct vmm_work *work, size_t vcpu, const struct pageset *set, enum tiny_op op,
		   unsigned int pause_ms)
{
	struct worker *w = &work->workers[vcpu];
	int r;

	if (w->running)
		return -EBUSY;
	w->set = set;
	w->op = op;
	w->pause_ms = pause_ms;
	atomic_store(&w->stop, false);
	atomic_store(&w->rounds, 0);
	atomic_store(&w->error, 0);
	r = pthread_create(&w->thread, NULL, worker_main, w);
	w->running = !r;
	return -r;
}

int vmm_work_stop(struct vmm_work *work, size_t vcpu)
{
	struct worker *w = &work->workers[vcpu];

	if (!w->running)
		return -EINVAL;
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
	w->running = false;
	return atomic_load(&w->error);
}
