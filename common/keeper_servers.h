/* SPDX-License-Identifier: MIT */
/*
 * keeper_servers.h - the servers of one service, of which one is active at a
 * time: which one is asked next, and whose answers count. Sends nothing.
 *
 * With one server nothing here changes anything: neither what is asked nor
 * what its answers mean.
 */
#ifndef COMMON_KEEPER_SERVERS_H
#define COMMON_KEEPER_SERVERS_H

#include "service.h"
#include "urls.h"

/* Kept as long as the keeper: what a service has been is not forgotten. */
struct servers {
    struct servers *next;
    char urls[URLS_LEN + 1]; /* as configured: what it is found by */
    size_t count;
    size_t at;                               /* who is asked first */
    char identity[SERVICE_IDENTITY_MAX + 1]; /* "": not learned yet */
    uint64_t epoch;                          /* the highest that was seen */
};

/* One request's way through them, from zero. A round asks each one once. */
struct servers_round {
    unsigned tried; /* a bit for each */
    size_t at;      /* who has been asked last */
    /* What tells most of this round so far. */
    int rank; /* 0: nothing yet */
    enum lease_answer answer;
    enum justalock_status status;
    int64_t retry_after_ms; /* the least; -1: not said */
    char text[240];
};

/* One for each list of servers; NULL: no memory. */
struct servers *servers_get(struct servers **list, const char *urls);
void servers_free(struct servers **list);

/* How many this round has yet to ask, 1 at least. */
size_t servers_left(const struct servers *s, const struct servers_round *r);

/* Whom to ask now: `all` with the url of that one. */
void servers_pick(const struct servers *s, struct servers_round *r,
                  const struct keeper_service *all,
                  struct keeper_service *ret_service);

/*
 * An answer of whom the round has asked last. With several, one that names
 * another service, a lower epoch, or neither, is made a 503; what counts is
 * learned from. Returns whether another than before is the active one now.
 */
bool servers_judge(struct servers *s, const struct servers_round *r,
                   struct service_answer *a);

/* It was of use: the next round begins anew. */
void servers_done(struct servers_round *r);

/*
 * It was of no use. True: ask the next one at once. False: all have been
 * asked; *a is what tells most of the round, with the least Retry-After, and
 * the next round begins.
 */
bool servers_failed(struct servers *s, struct servers_round *r,
                    struct service_answer *a);

#endif
