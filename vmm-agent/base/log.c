// SPDX-License-Identifier: GPL-2.0-or-later
/* One line per message, written with one call so that threads do not interleave. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum log_level log_max = LOG_NEWS;
static int log_journal;

void log_init(enum log_level max, int journal)
{
	log_max = max;
	log_journal = journal;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	size_t len = 0;
	va_list ap;
	int n;

	if (level > log_max)
		return;
	if (log_journal)
		len = (size_t)snprintf(line, sizeof(line), "<%d>", level);
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	/* Guest names and kernel strings are not ours: they may not end a line. */
	for (char *c = line + len; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	len += (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say so */
}
