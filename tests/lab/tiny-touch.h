/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work lists of a tiny guest: which page to touch how, drawn from a seed, and
 * small operations on the bitmaps that say which pages were touched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * enum tiny_op - how a page is touched
 * @TINY_READ: its word is read
 * @TINY_WRITE: its word is written, not read
 * @TINY_FETCH: the stub in its first byte (a RET) is called
 */
enum tiny_op {
	TINY_READ,
	TINY_WRITE,
	TINY_FETCH,
	_TINY_OP_MAX,
};

/** struct tiny_touch - one entry of a work list */
struct tiny_touch {
	uint64_t gfn;
	enum tiny_op op;
};

/**
 * tiny_random() - next number of a sequence (splitmix64)
 * @state: the seed at first, updated
 */
uint64_t tiny_random(uint64_t *state);

/** tiny_random_below() - a number in [0, @limit); @limit is not 0 */
uint64_t tiny_random_below(uint64_t *state, uint64_t limit);

/**
 * tiny_list_random() - fill @list with @count random touches of [@first, @end)
 *
 * The same state gives the same list.  A page may come up more than once.
 */
void tiny_list_random(uint64_t *state, uint64_t first, uint64_t end, struct tiny_touch *list,
		      size_t count);

/**
 * tiny_list_every() - touch each of [@first, @first + @count) once, in order
 */
void tiny_list_every(enum tiny_op op, uint64_t first, struct tiny_touch *list, size_t count);

/** tiny_map_widen() - set the whole of each 512 aligned bits of which any is set */
void tiny_map_widen(uint64_t *map, size_t nbits);

/**
 * tiny_map_diff() - where two bitmaps differ first
 * @a: bits of one
 * @b: bits of the other
 * @nbits: length of both
 * Return: the bit, or @nbits if they are equal.
 */
size_t tiny_map_diff(const uint64_t *a, const uint64_t *b, size_t nbits);

/**
 * tiny_seed() - the seed of this run of a test program, printed once
 *
 * From the environment's VMTIER_SEED if set, else a new one.
 */
uint64_t tiny_seed(void);
