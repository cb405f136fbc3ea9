// SPDX-License-Identifier: GPL-2.0-or-later
/* A token bucket that never lends. */
#include "migrate/pace.h"

#include "base/units.h"

static uint64_t bucket_bytes(const struct pace *pace, uint64_t unit)
{
	uint64_t burst = pace->bytes_per_s / 1000 * PACE_BURST_MS;
	uint64_t least = unit > PACE_LEAST_BYTES ? unit : PACE_LEAST_BYTES;

	return burst > least ? burst : least;
}

void pace_init(struct pace *pace, uint64_t bytes_per_s, uint64_t now_ns)
{
	*pace = (struct pace) {.bytes_per_s = bytes_per_s, .last_ns = now_ns};
}

static void refill(struct pace *pace, uint64_t unit, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns > pace->last_ns ? now_ns - pace->last_ns : 0;
	uint64_t most = bucket_bytes(pace, unit);
	uint64_t add = (uint64_t)((unsigned __int128)elapsed_ns * pace->bytes_per_s / NSEC_PER_SEC);

	/* Only the time of whole bytes is used up, so that fractions are not lost. */
	pace->last_ns +=
		(uint64_t)(((unsigned __int128)add * NSEC_PER_SEC + pace->bytes_per_s - 1) /
			   pace->bytes_per_s);
	pace->tokens = add > most || pace->tokens > most - add ? most : pace->tokens + add;
}

uint64_t pace_grant(struct pace *pace, uint64_t wanted, uint64_t unit, uint64_t now_ns)
{
	uint64_t grant;

	if (!pace->bytes_per_s)
		return wanted;
	refill(pace, unit, now_ns);
	grant = wanted < pace->tokens ? wanted : pace->tokens;
	grant = grant / PAGE_BYTES * PAGE_BYTES;
	if (grant < unit && grant < wanted)
		return 0;
	pace->tokens -= grant;
	return grant;
}

uint64_t pace_wait_ns(const struct pace *pace, uint64_t bytes, uint64_t now_ns)
{
	uint64_t missing, due_ns;

	if (!pace->bytes_per_s || bytes <= pace->tokens)
		return 0;
	missing = bytes - pace->tokens;
	due_ns = pace->last_ns +
		 (uint64_t)((unsigned __int128)missing * NSEC_PER_SEC / pace->bytes_per_s) + 1;
	return due_ns > now_ns ? due_ns - now_ns : 0;
}

void pace_return(struct pace *pace, uint64_t bytes)
{
	if (pace->bytes_per_s)
		pace->tokens += bytes;
}
