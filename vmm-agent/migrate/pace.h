/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast pages may move: a token bucket in bytes.  Pure: the caller brings
 * the time.
 */
#pragma once

#include <stdint.h>

/*
 * The bucket holds this many milliseconds of its rate.  Long enough for one
 * call of 64 MiB every second at 64 MiB/s, short enough that a burst after a
 * quiet time is not felt.
 */
#define PACE_BURST_MS 250

/*
 * A bucket always has room for a 2 MiB page, so that those can save up for one
 * while single pages draw from the same bucket.
 */
#define PACE_LEAST_BYTES (2ULL << 20)

/**
 * struct pace - one bucket
 * @bytes_per_s: rate; 0 is no limit
 * @tokens: bytes that may move now
 * @last_ns: when tokens were last added
 */
struct pace {
	uint64_t bytes_per_s;
	uint64_t tokens;
	uint64_t last_ns;
};

/** pace_init() - an empty bucket: nothing moves before the first tokens have come */
void pace_init(struct pace *pace, uint64_t bytes_per_s, uint64_t now_ns);

/**
 * pace_grant() - how many bytes may move now, at most @wanted
 * @unit: the smallest amount that makes sense, e.g. one page: a grant is 0 or at least that;
 *	a bucket smaller than @unit saves up for it
 * Return: bytes, a multiple of 4 KiB; the tokens are taken.
 */
uint64_t pace_grant(struct pace *pace, uint64_t wanted, uint64_t unit, uint64_t now_ns);

/** pace_wait_ns() - how long until @bytes could be granted */
uint64_t pace_wait_ns(const struct pace *pace, uint64_t bytes, uint64_t now_ns);

/** pace_return() - tokens that were granted and not used */
void pace_return(struct pace *pace, uint64_t bytes);
