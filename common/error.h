/* SPDX-License-Identifier: MIT */
/*
 * error.h - fill and wrap struct justalock_error. Never allocates, never
 * prints.
 */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include "justalock.h"

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/*
 * Fill err (may be NULL) with status and a formatted text; control characters
 * and what is not UTF-8 become '?'; cut at the buffer's end on a whole UTF-8
 * character; returns status, so that a caller can write `return error_set(err,
 * ...)`.
 */
enum justalock_status error_set(struct justalock_error *err,
                                enum justalock_status status, const char *fmt,
                                ...) PRINTF_LIKE(3, 4);

/* As error_set with JUSTALOCK_SYS: appends ": " and the text of errnum. */
enum justalock_status error_sys(struct justalock_error *err, int errnum,
                                const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put "formatted: " before the text that err holds; returns status. */
enum justalock_status error_wrap(struct justalock_error *err,
                                 enum justalock_status status, const char *fmt,
                                 ...) PRINTF_LIKE(3, 4);

/* The JUSTALOCK_NOMEM of one place. */
enum justalock_status error_nomem(struct justalock_error *err);

#endif
