// SPDX-License-Identifier: GPL-2.0-or-later
/* Built without systemd: nobody to tell. */
#include "agent/service.h"

void service_ready(void)
{
}

void service_status(const char *text)
{
	(void)text;
}

void service_stopping(void)
{
}

uint64_t service_watchdog_ms(void)
{
	return 0;
}
