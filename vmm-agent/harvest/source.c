// SPDX-License-Identifier: GPL-2.0-or-later
/* A pass: the access fd first, then the rings, then a slice of residency. */
#include "harvest/source.h"

#include <errno.h>

int source_pass(struct harvest_job *job)
{
	const struct host_ops *ops = job->vm->host->ops;
	int r = source_kvm_pass(job);

	if (r != HARVEST_OK)
		return r;
	if (job->rings)
		ring_set_pass(job->rings, job->vm, job->map, job->sample);
	residency_read(job->vm, job->map, job->slice_from, &job->slice);
	job->sample->taken_ns = ops->now_ns(job->vm->host);
	return HARVEST_OK;
}
