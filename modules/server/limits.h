/* SPDX-License-Identifier: MIT */
/*
 * limits.h - how much of the server all clients may use together, and how much
 * each: what --limit sets.
 */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include "table.h"

#define LIMITS_CONNECTIONS 20000    /* unless told otherwise */
#define LIMITS_MAX         10000000 /* of any of them */

/* Those of the table, and one more. */
enum { LIMIT_CONNECTIONS = LOCK_LIMITS, LIMITS };

struct server_limits {
    size_t all[LIMITS], each[LIMITS]; /* 0: not said */
};

/* "waiters", as --limit calls it. */
const char *limits_name(int limit);
/* text: NAME=NUMBER or NAME-each=NUMBER. ARG with the reason. */
enum justalock_status limits_parse(const char *text, struct server_limits *l,
                                   struct justalock_error *err) JUSTALOCK_MUST;
/* What was not said: for all the usual, for each half of it; connections at
 * most as many as there are files for. ARG: each has more than all. */
enum justalock_status limits_finish(struct server_limits *l, size_t files,
                                    struct justalock_error *err) JUSTALOCK_MUST;
struct lock_limits limits_of_table(const struct server_limits *l);

#endif
