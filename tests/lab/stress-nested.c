// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A nested guest in the guest of the stress.
 */
#include "stress-nested.h"

#include <errno.h>
#include <string.h>

#include "stress-guest.h"

#define TOUCHES_MAX 1024

int stress_nested_init(struct stress_nested *n, struct tiny *t, size_t vcpu)
{
	int r;

	*n = (struct stress_nested) {.mem = TINY_MEMORY_NULL};
	if (tiny_nested_pages(t) > STRESS_NESTED_PAGES)
		return -ENOSPC;
	r = tiny_memory_init(&n->mem, TINY_ANON_4K, STRESS_NESTED_PAGES, TINY_ANY_NODE);
	if (!r)
		r = tiny_set_slot(t, STRESS_NESTED_SLOT, STRESS_NESTED_GFN, STRESS_NESTED_PAGES,
				  n->mem.base, 0);
	return r ? r : tiny_nested_init(&n->l1, t, vcpu, STRESS_NESTED_GFN, n->mem.base);
}

void stress_nested_deinit(struct stress_nested *n)
{
	if (n->mem.base)
		tiny_memory_deinit(&n->mem);
}

int stress_nested_run(struct stress *s, const struct tiny_touch *list, size_t count, uint64_t stamp)
{
	int r = tiny_nested_run(&s->guest->nested.l1, list, count, stamp);

	stress_count_add(s, STRESS_NESTED_RUNS, 1);
	return r;
}

void stress_nested_expect(const struct stress *s, uint64_t *map)
{
	tiny_nested_expect(&s->guest->nested.l1, map);
}

void stress_nested_step(struct stress_worker *w)
{
	static struct tiny_touch list[TOUCHES_MAX]; /* of the one worker */
	size_t count = 1 + tiny_random_below(&w->random, TOUCHES_MAX);
	int r;

	for (size_t i = 0; i < count; i++)
		list[i] = stress_guest_draw(w, false);
	r = stress_nested_run(w->s, list, count, tiny_random(&w->random));
	if (r)
		stress_fail(w->s, "the nested guest did not come through its list: %s (exit %#llx)",
			    strerror(-r),
			    (unsigned long long)tiny_nested_exit_code(&w->s->guest->nested.l1));
}
