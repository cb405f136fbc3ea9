// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Measured intervals.
 */
#include "meter.h"

#include <inttypes.h>

void meter_write(struct meter *m, const struct reading *r)
{
	fprintf(m->out,
		"{\"interval\": %u, \"series\": \"%s\", \"variant\": \"%s\", \"state\": \"%s\", "
		"\"pages\": %" PRIu64 ", \"seen\": %" PRIu64 ", \"ns\": %" PRIu64,
		m->intervals - 1, r->series, r->variant, r->state, r->pages, r->seen, m->ns);
	if (r->expected)
		fprintf(m->out, ", \"expected\": %" PRIu64, r->expected);
	fprintf(m->out, "%s}\n", r->more ? r->more : "");
}
