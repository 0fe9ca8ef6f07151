/* SPDX-License-Identifier: MIT */
/*
 * bearer.h - a bearer token in a file: one line of 1 to BEARER_MAX printable
 * ASCII characters without a space, ended by a newline, CR and newline, or
 * nothing.
 */
#ifndef COMMON_BEARER_H
#define COMMON_BEARER_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define BEARER_MAX 255 /* bytes */

/* What a file of len bytes says, NUL behind it; false: it is none, and
 * ret_token is as it was. */
bool bearer_parse(const char *data, size_t len, char ret_token[BEARER_MAX + 1]);

/*
 * Read service.token_file: a regular file of root or of who runs us that gives
 * nothing to others. CONFIG otherwise, with path and reason; sys_errno EACCES
 * tells one that we may not open.
 */
enum justalock_status bearer_load(const char *path,
                                  char ret_token[BEARER_MAX + 1],
                                  struct justalock_error *err) JUSTALOCK_MUST;

#endif
