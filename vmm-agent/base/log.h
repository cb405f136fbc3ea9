/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where sentences go: stderr, with the <N> prefix that the journal understands
 * when it is listening.  Rooms only log at debug; the agent logs what they
 * return.
 */
#pragma once

/**
 * enum log_level - what a reader should do about it
 * @LOG_ERROR: a person must act
 * @LOG_WARN: degraded, carrying on, and how
 * @LOG_NOTE: a state changed
 * @LOG_NEWS: start, stop, summary
 * @LOG_TRACE: for developers; never per page
 */
enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_NEWS = 6, LOG_TRACE = 7 };

/** log_init() - set the highest level written; @journal: prefix lines with <N> */
void log_init(enum log_level max, int journal);

/** log_at() - one line, no newline in @fmt; control characters become '?' */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
