/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the service manager how we are.  service_systemd.c or service_none.c.
 */
#pragma once

#include <stdint.h>

/** service_ready() - started, and able to serve */
void service_ready(void);

/** service_status() - a line for "systemctl status"; also the sign of life for its watchdog */
void service_status(const char *text);

/** service_stopping() - on the way out */
void service_stopping(void);

/** service_watchdog_ms() - how often service_status() must be called; 0: need not be */
uint64_t service_watchdog_ms(void);
