/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every test needs: cmocka with the headers that it forgets, and dice
 * whose seed is printed and can be given by VMTIER_SEED.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"

/** struct dice - splitmix64: small, good enough, and the same everywhere */
struct dice {
	uint64_t state;
};

/** dice_new() - seeded by VMTIER_SEED, or 1; says so */
static inline struct dice dice_new(void)
{
	const char *text = getenv("VMTIER_SEED");
	struct dice dice = {.state = text ? strtoull(text, NULL, 0) : 1};

	printf("# VMTIER_SEED=%llu\n", (unsigned long long)dice.state);
	return dice;
}

static inline uint64_t dice_roll(struct dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/** dice_below() - 0 to @n - 1 */
static inline uint64_t dice_below(struct dice *dice, uint64_t n)
{
	return dice_roll(dice) % n;
}

/** dice_chance() - true @percent times of a hundred */
static inline bool dice_chance(struct dice *dice, unsigned int percent)
{
	return dice_below(dice, 100) < percent;
}
