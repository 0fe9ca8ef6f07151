/* SPDX-License-Identifier: MIT */
/*
 * capture.h - what a program prints, within bounds of time and size.
 */
#ifndef CLI_CAPTURE_H
#define CLI_CAPTURE_H

#include "buf.h"

/* Run argv (found by PATH; stdin and stderr are /dev/null), collect its
 * stdout up to b's limit. Killed after limit_ms, and where it prints more. SYS:
 * it cannot be run, fails or prints too much. NET: it takes too long. NOMEM.
 * Blocks. */
enum justalock_status capture(const char *const argv[], int64_t limit_ms,
                              struct buf *b, struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
