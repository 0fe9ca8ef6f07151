/* SPDX-License-Identifier: MIT */
/*
 * parse.h - the one strict parser for numbers and times from outside, and
 * checks of outside text. Whole string, no sign, no space, no overflow.
 */
#ifndef COMMON_PARSE_H
#define COMMON_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Longest lock name that we accept, bytes; the list of a job is longer. */
#define PARSE_NAME_MAX 255

/* Decimal, min..max. `what` names the thing in the error. */
enum justalock_status parse_u64(const char *text, uint64_t min, uint64_t max,
                                const char *what, uint64_t *ret_value,
                                struct justalock_error *err) JUSTALOCK_MUST;

/*
 * A TIME: digits, then nothing or "s" (seconds), "ms", "m" or "h"; at most
 * max_ms. "90" "90s" "5m" "2h" "250ms".
 */
enum justalock_status parse_time_ms(const char *text, int64_t max_ms,
                                    const char *what, int64_t *ret_ms,
                                    struct justalock_error *err) JUSTALOCK_MUST;

/* A LIFETIME: a TIME that is a whole number of seconds, 1..65535. */
enum justalock_status parse_life_s(const char *text, const char *what,
                                   unsigned *ret_s, struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * A lock's name: 1..PARSE_NAME_MAX bytes of valid UTF-8 without control
 * characters, not beginning or ending with a space.
 */
enum justalock_status parse_name(const char *text, const char *what,
                                 struct justalock_error *err) JUSTALOCK_MUST;

/* Valid UTF-8 (no overlong forms, no surrogates), no control characters. */
bool parse_is_clean_text(const char *text, size_t len);

/* Bytes of the valid UTF-8 character at text, 0 where there is none. */
size_t parse_utf8_char(const char *text, size_t len);

/* Make text clean: every byte that keeps it from that becomes '?'. */
void parse_mask_unclean(char *text);

/* A signal's name with or without SIG, or its number; 0: unknown. */
int parse_signal(const char *text);
/* "TERM" for SIGTERM; "?" for an unknown one. */
const char *parse_signal_name(int signo);

#endif
