// SPDX-License-Identifier: GPL-2.0-or-later
/* Making a report and finding a guest in it. */
#include "report/report.h"

#include <stdlib.h>
#include <string.h>

struct report *report_new(size_t nguests)
{
	struct report *report =
		calloc(1, sizeof(struct report) + nguests * sizeof(struct report_guest));

	if (report)
		report->nguests = nguests;
	return report;
}

const struct report_guest *report_find(const struct report *report, const char *name)
{
	const struct report_guest *found = NULL;

	for (size_t i = 0; i < report->nguests; i++) {
		if (strcmp(report->guests[i].name, name))
			continue;
		found = &report->guests[i];
		if (found->pid)
			break;
	}
	return found;
}
