/* SPDX-License-Identifier: MIT */
/*
 * urls.h - the url of a lock service, which may name several servers of one
 * service, separated by commas. Pure: asks nobody.
 */
#ifndef COMMON_URLS_H
#define COMMON_URLS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define URLS_UNIX "unix:" /* and a path */
#define URLS_LEN  511     /* bytes of all of it, without NUL */
#define URLS_MAX  8       /* servers */

/*
 * The server that *at begins with, into ret_url; *at goes on behind its comma.
 * false: there is none any more. What exceeds URLS_LEN is cut.
 */
bool urls_next(const char **at, char ret_url[URLS_LEN + 1]);
/* "": 1 */
size_t urls_count(const char *urls);

/*
 * ARG, with the reason ("url: ..."), where one of them is not http://, https://
 * or unix:/path, has a user, a query or a fragment in it, or a port that there
 * is not; where one is missing or doubled, there are too many, http: is beside
 * https:, or the public service, which has one server, is among several.
 */
enum justalock_status urls_check(const char *urls, struct justalock_error *err)
    JUSTALOCK_MUST;

/* One of them is the public service, by any of its names: strangers share
 * it. */
bool urls_has_public(const char *urls);
/* The same servers in the same order, but for case and slashes at their ends.
 */
bool urls_are_same(const char *a, const char *b);
/* All of them are this machine, or names without a domain. */
bool urls_is_near(const char *urls);
/* Over http:, one of them is another machine: what is sent can be read. */
bool urls_is_clear(const char *urls);
/* Some are unix:, some are not. */
bool urls_is_mixed(const char *urls);
/* The next one that is unix:, its path only; as urls_next(). */
bool urls_next_socket(const char **at, char ret_path[URLS_LEN + 1]);

#endif
