/* SPDX-License-Identifier: MIT */
/*
 * keeper_servers.c - the servers of one service: whom to ask next, and whose
 * answers count.
 *
 * One of them is active by a lease that it has in their store, and answers
 * nothing without a proof of it. An answer from before a takeover may come
 * late all the same; it is told by its epoch. One of another service, as
 * after a mistake in the list, would be another lock of the same name.
 */
#include "keeper_servers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

struct servers *servers_get(struct servers **list, const char *urls)
{
    struct servers *s;

    for (s = *list; s; s = s->next)
        if (strcmp(s->urls, urls) == 0)
            return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    memcpy(s->urls, urls, strlen(urls) + 1); /* urls_check() has let it in */
    s->count = urls_count(urls);
    s->next = *list;
    *list = s;
    return s;
}

void servers_free(struct servers **list)
{
    while (*list) {
        struct servers *s = *list;

        *list = s->next;
        free(s);
    }
}

static void url_of(const struct servers *s, size_t index,
                   char ret_url[URLS_LEN + 1])
{
    const char *at = s->urls;

    do
        (void)urls_next(&at, ret_url); /* there are more than index */
    while (index-- > 0);
}

/* ---- whom to ask ---- */

size_t servers_left(const struct servers *s, const struct servers_round *r)
{
    size_t left = 0;

    for (size_t i = 0; i < s->count; i++)
        left += (r->tried >> i & 1) == 0;
    return left;
}

void servers_pick(const struct servers *s, struct servers_round *r,
                  const struct keeper_service *all,
                  struct keeper_service *ret_service)
{
    r->at = s->at;
    while (r->tried >> r->at & 1)
        r->at = (r->at + 1) % s->count;
    *ret_service = *all;
    if (s->count > 1)
        url_of(s, r->at, ret_service->url);
}

void servers_done(struct servers_round *r)
{
    r->tried = 0;
    r->rank = 0;
}

/* How much it tells: that a server is a standby, or down, is nothing new. */
static int rank_of(const struct service_answer *a)
{
    if (a->status == JUSTALOCK_DENIED)
        return 4;
    if (a->status == JUSTALOCK_PROTO)
        return 3;
    return a->stray ? 2 : 1;
}

static void note(const struct servers *s, struct servers_round *r,
                 const struct service_answer *a)
{
    char url[URLS_LEN + 1];
    struct justalock_error err;
    int64_t after_ms = a->retry_after_ms;

    if (r->rank == 0 || r->retry_after_ms < 0 ||
        (after_ms >= 0 && after_ms < r->retry_after_ms))
        r->retry_after_ms = after_ms;
    if (rank_of(a) <= r->rank)
        return;
    url_of(s, r->at, url);
    (void)error_set(&err, a->status, "%.120s: %s", url, a->text);
    memcpy(r->text, err.text, sizeof(r->text));
    r->answer = a->answer;
    r->status = a->status;
    r->rank = rank_of(a);
}

bool servers_failed(struct servers *s, struct servers_round *r,
                    struct service_answer *a)
{
    if (s->count == 1)
        return false;
    note(s, r, a);
    r->tried |= 1U << r->at;
    if (s->at == r->at)
        s->at = (s->at + 1) % s->count;
    if (servers_left(s, r) > 0)
        return true;
    a->answer = r->answer;
    a->status = r->status;
    a->retry_after_ms = r->retry_after_ms;
    memcpy(a->text, r->text, sizeof(a->text));
    servers_done(r);
    return false;
}

/* ---- whose answers count ---- */

/* As if that server had said 503. */
static void refuse(struct service_answer *a, const struct justalock_error *why)
{
    service_refuse(a, LEASE_ANSWER_RETRY, JUSTALOCK_NET, why->text);
    a->stray = true;
    a->http_status = 503;
    a->retry_after_ms = -1;
}

/* NET, with the reason, where a does not count. */
static enum justalock_status check(const struct servers *s,
                                   const struct service_answer *a,
                                   struct justalock_error *err)
{
    if (a->identity[0] == '\0' || !(a->features & SERVICE_HAS_RELEASE))
        return error_set(err, JUSTALOCK_NET,
                         "it does not say whether it is the active one of "
                         "several servers");
    if (s->identity[0] != '\0' && strcmp(s->identity, a->identity) != 0)
        return error_set(err, JUSTALOCK_NET,
                         "it serves another service, %s, than was found "
                         "first, %s",
                         a->identity, s->identity);
    if (a->epoch < s->epoch)
        return error_set(err, JUSTALOCK_NET,
                         "its answer is of epoch %" PRIu64
                         ", another server is active in %" PRIu64,
                         a->epoch, s->epoch);
    return JUSTALOCK_OK;
}

bool servers_judge(struct servers *s, const struct servers_round *r,
                   struct service_answer *a)
{
    struct justalock_error err;
    bool is_other = s->at != r->at;

    if (s->count == 1 || (a->http_status != 200 && a->http_status != 409))
        return false;
    if (check(s, a, &err) != JUSTALOCK_OK) {
        refuse(a, &err);
        return false;
    }
    memcpy(s->identity, a->identity, sizeof(s->identity));
    s->epoch = a->epoch;
    s->at = r->at;
    return is_other;
}
