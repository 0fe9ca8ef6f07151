/* SPDX-License-Identifier: MIT */
/*
 * log.h - one line to stderr for the programs (never for library or modules).
 * "<N>" prefixes for the journal when stderr is the journal (JOURNAL_STREAM),
 * "program: level: text" otherwise. Control characters become '?'.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "error.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

void log_open(const char *program, enum log_level most);
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
