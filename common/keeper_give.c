/* SPDX-License-Identifier: MIT */
/*
 * keeper_give.c - to give a lock back, and whatever an abandoned acquisition
 * may have got. Nothing here ever makes a lock ours.
 *
 * Services with release: DELETE at once; the share's tombstone guards against
 * what is still on its way. Base services: only when nothing is on its way,
 * POST s=1 with a client id that never serves again, and only before the
 * lease ends, after which it would be a new one; else the lease lapses.
 */
#include "keeper_inner.h"

#include <string.h>

static bool is_reached(struct clock_time t, struct clock_time now)
{
    return clock_left_ms(t, now) <= 0;
}

static void end(struct keep *c, enum justalock_status status, const char *text)
{
    bool tell = !c->is_final;

    keep_cancel(c);
    keep_final(c);
    if (tell)
        keep_emit(c, KEEPER_RELEASED, status, text);
    keep_free(c);
}

/* Something of ours may be at the service. */
static bool may_be_ours(const struct keep *c)
{
    return c->sent &&
           (c->was_held || c->was_lost || c->waited || c->lease.ambiguous);
}

/* The end of what a base service may have given us. */
static struct clock_time lapses_at(const struct keep *c)
{
    if (c->was_held && !c->lease.ambiguous)
        return c->lease.deadline;
    return lease_deadline(&c->lease.times, c->lease.attempt);
}

static void send_call(struct keep *c, enum service_call call,
                      struct clock_time now)
{
    struct justalock_error err;
    int64_t left_ms = clock_left_ms(c->give_until, now);
    int64_t limit_ms = c->lease.times.attempt_ms;

    if (left_ms < limit_ms)
        limit_ms = left_ms;
    limit_ms = keep_share_ms(c, now, c->give_until, limit_ms);
    if (keep_send(c, call, 0, limit_ms, c->give_failures > 0, &err) !=
        JUSTALOCK_OK) {
        (void)error_set(&c->trouble, err.status, "%s", err.text);
        c->give_next =
            clock_add(now, keeper_backoff_ms(c->keeper, c->give_failures++,
                                             KEEPER_RETRY_MAX_MS));
    }
    keep_arm(c);
}

/* Nothing is said of releases there, or nothing is known. */
static void step_base(struct keep *c, struct clock_time now)
{
    if (c->flight) {
        keep_arm(c); /* its answer decides */
    } else if (!may_be_ours(c) || is_reached(lapses_at(c), now)) {
        end(c, JUSTALOCK_OK, "");
    } else if (c->place->is_known && (c->lock.reusable_client || c->was_lost)) {
        end(c, JUSTALOCK_OK, "the lease lapses");
    } else if (c->lock.reusable_client) {
        end(c, JUSTALOCK_NET,
            "the service never answered: it may be held until the lease ends");
    } else {
        send_call(c, SERVICE_SHRINK, now);
    }
}

static void step(struct keep *c, struct clock_time now)
{
    if (!(c->place->features & SERVICE_HAS_RELEASE)) {
        step_base(c, now);
        return;
    }
    if (c->flight && c->call != SERVICE_DELETE) {
        keep_cancel(c);
        c->lease.ambiguous = true;
    }
    if (c->flight)
        keep_arm(c);
    else if (!may_be_ours(c))
        end(c, JUSTALOCK_OK, "");
    else
        send_call(c, SERVICE_DELETE, now);
}

void give_begin(struct keep *c, int64_t limit_ms)
{
    gate_leave(c);
    line_leave(c);
    c->was_held = c->state == KEEP_HELD;
    c->was_lost = c->state == KEEP_LOST;
    c->state = KEEP_GIVING;
    c->give_until = clock_add(clock_now(), limit_ms < 1 ? 1 : limit_ms);
    c->give_next = clock_now();
    keep_hurry(c);
}

/*
 * Not given back in time. With several servers another one takes over within
 * seconds: the owner need not wait for it, but it is asked, too.
 */
static void late(struct keep *c, struct clock_time now)
{
    const char *why = c->trouble.status != JUSTALOCK_OK
                          ? c->trouble.text
                          : "the service did not answer in time";

    if (c->is_final || c->place->servers->count == 1) {
        end(c, JUSTALOCK_NET, why);
        return;
    }
    keep_final(c);
    c->give_until = clock_add(now, KEEPER_GIVE_LONG_MS);
    keep_arm(c);
    keep_emit(c, KEEPER_RELEASED, JUSTALOCK_NET, why);
}

void give_due(struct keep *c, struct clock_time now)
{
    if (is_reached(c->give_until, now))
        late(c, now);
    else if (c->flight || is_reached(c->give_next, now))
        step(c, now);
    else
        keep_arm(c);
}

static void failed(struct keep *c, const struct service_answer *a,
                   struct clock_time now)
{
    int64_t ms;

    if (a->elsewhere) {
        c->give_next = now;
        keep_arm(c);
        return;
    }
    ms = keeper_backoff_ms(c->keeper, c->give_failures++, KEEPER_RETRY_MAX_MS);
    if (a->retry_after_ms > ms)
        ms = a->retry_after_ms;
    (void)error_set(&c->trouble, a->status, "%s", a->text);
    c->give_next = clock_add(now, ms);
    keep_arm(c);
}

/* What was in flight when the giving began. */
static void take_answered(struct keep *c, const struct service_answer *a,
                          struct clock_time now)
{
    c->lease.in_flight = false;
    if (!a->usable)
        c->lease.ambiguous = true;
    else if (a->answer != LEASE_ANSWER_CONFLICT)
        c->was_held = true;
    if (c->was_held && a->usable)
        c->lease.deadline = lease_deadline(&c->lease.times, c->lease.attempt);
    step(c, now);
}

void give_answered(struct keep *c, const struct service_answer *a)
{
    struct clock_time now = clock_now();

    ask_learn(c, a);
    if (c->call == SERVICE_DELETE) {
        /* 409: it is not ours, which is all we want. */
        if (a->http_status == 200 || a->http_status == 409)
            end(c, JUSTALOCK_OK, "");
        else
            failed(c, a, now);
    } else if (c->call == SERVICE_SHRINK) {
        if (!a->usable)
            failed(c, a, now);
        else if (a->features & SERVICE_HAS_RELEASE)
            step(c, now);
        else
            end(c, JUSTALOCK_OK, "");
    } else {
        take_answered(c, a, now);
    }
}
