/* SPDX-License-Identifier: MIT */
/*
 * keeper_many.c - what a service of several servers changes for the locks that
 * are kept there. Whom to ask and whose answers count is keeper_servers.c's.
 */
#include "keeper_inner.h"

/*
 * Another server is the active one: who waits at the one before, which may be
 * paused and say nothing, stands in no queue there.
 */
static void call_back(struct keeper *k, const struct servers *s)
{
    for (struct keep *c = k->keeps; c; c = c->next) {
        if (c->place->servers != s || c->state != KEEP_WAITING || !c->flight ||
            c->round.at == s->at)
            continue;
        keep_cancel(c);
        servers_done(&c->round);
        c->wait_next = clock_now();
        keep_hurry(c);
    }
}

void keep_judge(struct keep *c, struct service_answer *a)
{
    struct servers *s = c->place->servers;
    bool is_other = servers_judge(s, &c->round, a);
    bool is_done = c->call == SERVICE_DELETE &&
                   (a->http_status == 200 || a->http_status == 409);

    if (a->usable || is_done)
        servers_done(&c->round);
    else
        a->elsewhere = servers_failed(s, &c->round, a);
    if (is_other)
        call_back(c->keeper, s);
}

int64_t keep_share_ms(const struct keep *c, struct clock_time now,
                      struct clock_time end, int64_t limit_ms)
{
    size_t left = servers_left(c->place->servers, &c->round);
    int64_t ms = clock_left_ms(end, now) / (int64_t)left;

    if (left == 1 || ms >= limit_ms)
        return limit_ms;
    return ms > KEEPER_LEAST_MS ? ms : KEEPER_LEAST_MS;
}

int64_t keep_give_ms(const struct keep *c)
{
    return c->place->servers->count > 1 ? KEEPER_GIVE_LONG_MS : KEEPER_GIVE_MS;
}

bool keeper_has_several(const struct keeper *k)
{
    for (const struct servers *s = k->servers; s; s = s->next)
        if (s->count > 1)
            return true;
    return false;
}
