// SPDX-License-Identifier: GPL-2.0-or-later
/* The service manager is systemd. */
#include <systemd/sd-daemon.h>

#include "agent/service.h"

void service_ready(void)
{
	sd_notify(0, "READY=1");
}

void service_status(const char *text)
{
	sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s", text);
}

void service_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

uint64_t service_watchdog_ms(void)
{
	uint64_t us = 0;

	return sd_watchdog_enabled(0, &us) > 0 ? us / 2000 : 0;
}
