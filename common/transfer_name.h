/* SPDX-License-Identifier: MIT */
/*
 * transfer_name.h - name lookups that never hold anything up, and that a
 * failing name server does not undo.
 *
 * libcurl from 7.64 to 7.86 waits for its own lookup when a request that is
 * in it ends, for as long as that takes: one dead name server would stop the
 * refreshes of every lock. So names are looked up here, in threads that are
 * left to themselves, and libcurl gets addresses. What was found is used for
 * a minute, and after that while it is looked up anew: a lock is not lost
 * because names cannot be looked up for a while.
 */
#ifndef COMMON_TRANSFER_NAME_H
#define COMMON_TRANSFER_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "clock.h"

#define NAME_HOST_MAX  255
#define NAME_ADDRS_MAX 511 /* "127.0.0.1,[::1]" */

struct name {
    struct name *next;
    char host[NAME_HOST_MAX + 1];
    char port[6];
    char addrs[NAME_ADDRS_MAX + 1]; /* "": none known */
    char why[128];                  /* the last lookup failed */
    struct lookup *lookup;          /* under way */
    struct clock_time asked;        /* when the last lookup began */
};

struct names;

/* NULL: no memory or descriptor; errno says which. */
struct names *names_new(void);
/* Lookups under way are left to end by themselves. NULL is allowed. */
void names_free(struct names *ns);
/* Readable when names_collect() has something to do. */
int names_fd(const struct names *ns);

/*
 * The host and port of an http: or https: url; false where there is nothing
 * to look up (an address, or nothing that we can read: libcurl will say).
 */
bool name_of_url(const char *url, char *ret_host, char *ret_port);

/*
 * Begin to look up a name where that is due. addrs is set: use it; lookup is
 * set: wait; else no lookup can be made, why says so. NULL: no memory.
 */
struct name *names_get(struct names *ns, const char *host, const char *port,
                       struct clock_time now);

/* Take what the threads have found. */
void names_collect(struct names *ns);

#endif
