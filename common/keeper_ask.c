/* SPDX-License-Identifier: MIT */
/*
 * keeper_ask.c - to get a lock, to wait for it, to keep it. When what is due
 * and what an answer proves is lease.c's; here it is done and told.
 */
#include "keeper_inner.h"

#include <stdio.h>
#include <string.h>

static bool is_reached(struct clock_time t, struct clock_time now)
{
    return clock_left_ms(t, now) <= 0;
}

static bool is_try(const struct keep *c)
{
    return c->wait_ms == 0;
}

/* The end of an acquisition without a lock; what was asked is given back. */
static void end_asking(struct keep *c, enum keeper_event_kind kind,
                       enum justalock_status status, const char *text)
{
    struct justalock_error why;

    (void)error_set(&why, status, "%s", text);
    keep_final(c);
    give_begin(c, keep_give_ms(c));
    keep_emit(c, kind, status, why.text);
}

static void timed_out(struct keep *c)
{
    if (c->last_busy)
        end_asking(c, KEEPER_TIMEOUT, JUSTALOCK_HELD, "another holds the lock");
    else if (c->trouble.status != JUSTALOCK_OK)
        end_asking(c, KEEPER_TIMEOUT, c->trouble.status, c->trouble.text);
    else
        end_asking(c, KEEPER_TIMEOUT, JUSTALOCK_NET,
                   "the service did not answer in time");
}

/* ---- what an answer tells ---- */

void ask_learn(struct keep *c, const struct service_answer *a)
{
    if (!a->usable)
        return;
    c->place->is_known = true;
    c->place->features = a->features;
    c->lease.times = a->features ? c->extended_times : c->base_times;
}

/* http_status 0: nothing was answered. */
static void note_trouble(struct keep *c, enum justalock_status status,
                         const char *text, int http_status)
{
    bool is_new = !c->in_trouble;

    /* No memory for a request, say: to the owner it is all one. */
    if (status != JUSTALOCK_PROTO && status != JUSTALOCK_DENIED)
        status = JUSTALOCK_NET;
    /* That a last moment was too short tells less than what came before. */
    if (status == JUSTALOCK_NET && c->is_cut && c->in_trouble) {
        keep_arm(c);
        return;
    }
    (void)error_set(&c->trouble, status, "%s", text);
    c->trouble.http_status = http_status;
    c->in_trouble = true;
    keep_arm(c);
    if (is_new && (c->state == KEEP_HELD || !is_try(c)))
        keep_emit(c, KEEPER_TROUBLE, status, c->trouble.text);
}

/* To the service's queue, or to that of ours, or to poll. */
static void wait_on(struct keep *c, struct clock_time now)
{
    if ((c->place->features & SERVICE_HAS_WAIT) && !slots_by_ids(c)) {
        gate_leave(c);
        c->state = KEEP_WAITING;
        c->wait_next = now;
        if (c->quick > 0)
            c->wait_next =
                clock_add(now, keeper_backoff_ms(c->keeper, c->quick,
                                                 KEEPER_RETRY_MAX_MS));
    } else {
        c->state = gate_join(c) ? KEEP_ASKING : KEEP_QUEUED;
    }
    keep_arm(c);
}

static void busy(struct keep *c, const char *holder, const char *since)
{
    bool is_new = !c->told_busy || strcmp(c->holder, holder) != 0 ||
                  strcmp(c->since, since) != 0;

    memmove(c->holder, holder, strlen(holder) + 1);
    memmove(c->since, since, strlen(since) + 1);
    c->last_busy = true;
    c->told_busy = true;
    if (is_try(c))
        end_asking(c, KEEPER_BUSY, JUSTALOCK_HELD, "another holds the lock");
    else if (is_new)
        keep_emit(c, KEEPER_BUSY, JUSTALOCK_HELD, "another holds the lock");
}

static void lost(struct keep *c, const char *why)
{
    keep_cancel(c);
    line_leave(c);
    c->state = KEEP_LOST;
    keep_arm(c);
    keep_emit(c, KEEPER_LOST, JUSTALOCK_LOST, why);
}

/* Of what the service has answered: the lease alone cannot say who. */
static void lost_by(struct keep *c, const struct service_answer *a)
{
    char why[sizeof(a->holder) + 40];

    if (a->answer != LEASE_ANSWER_CONFLICT) {
        lost(c, lease_loss(&c->lease));
    } else if (a->broken) {
        lost(c, "an admin has broken it at the service");
    } else if (a->holder[0] != '\0' && strcmp(a->holder, c->lock.label) != 0) {
        (void)snprintf(why, sizeof(why), "the service says that %s holds it",
                       a->holder);
        lost(c, why);
    } else {
        lost(c, lease_loss(&c->lease));
    }
}

static void granted(struct keep *c, enum keeper_event_kind kind,
                    const struct service_answer *a)
{
    struct keeper_event e = {
        .handle = c->handle,
        .kind = kind,
        .t0 = c->lease.attempt,
        .has_features = a->features != 0,
        .has_token = a->has_token,
        .was_renewed = a->answer == LEASE_ANSWER_RENEWED,
        .token = a->token,
        .has_slot = c->lock.slots > 1,
        .slot = c->lock.slots > 1 ? c->lock.slot : 0,
        .slot_has_id = c->lock.slots > 1 && c->lock.slot_has_id,
    };

    gate_leave(c);
    c->state = KEEP_HELD;
    c->t0 = c->lease.attempt;
    c->holder[0] = '\0';
    c->since[0] = '\0';
    keep_arm(c);
    c->keeper->fn(c->keeper->arg, &e);
}

/* ---- POST ---- */

static void attempt(struct keep *c, enum service_call call)
{
    /* t0: before the name is looked up, before anything of it begins. */
    struct clock_time now = clock_now();
    struct justalock_error err;
    int64_t limit_ms;
    int64_t left_ms = clock_left_ms(c->until, now);

    if (!line_pass(c)) {
        keep_arm(c);
        return;
    }
    if (c->state == KEEP_ASKING)
        slots_choose(c);
    lease_attempt(&c->lease, now);
    limit_ms = lease_attempt_limit_ms(&c->lease, now);
    c->is_cut = c->state == KEEP_ASKING && left_ms < limit_ms;
    if (c->is_cut)
        limit_ms = left_ms;
    limit_ms =
        keep_share_ms(c, now,
                      c->state == KEEP_HELD
                          ? lease_term_at(&c->lease.times, c->lease.deadline)
                          : c->until,
                      limit_ms);
    if (keep_send(c, call, 0, limit_ms, c->lease.failures > 0, &err) !=
        JUSTALOCK_OK) {
        (void)lease_answered(&c->lease, LEASE_ANSWER_RETRY, now, -1,
                             keeper_jitter(c->keeper));
        note_trouble(c, err.status, err.text, 0);
        return;
    }
    keep_arm(c);
}

static void take_answered(struct keep *c, const struct service_answer *answer)
{
    struct clock_time now = clock_now();
    struct service_answer copy = *answer;
    const struct service_answer *a = &copy;

    slots_settle(c, &copy);
    switch (lease_answered(&c->lease, a->answer, now, a->retry_after_ms,
                           keeper_jitter(c->keeper))) {
    case LEASE_VERDICT_GRANTED:
        granted(c, KEEPER_GRANTED, a);
        return;
    case LEASE_VERDICT_EXTENDED:
        granted(c, KEEPER_EXTENDED, a);
        return;
    case LEASE_VERDICT_LOST:
        lost_by(c, a);
        return;
    case LEASE_VERDICT_BUSY:
        if (slots_next(c)) {
            c->last_busy = true;
            if (c->lease.polls > 0)
                c->lease.polls--; /* only after all of them */
            c->lease.next = now;
            keep_arm(c);
            return;
        }
        if (c->waited)
            c->quick++; /* an offer that was none */
        if (!is_try(c))
            wait_on(c, now);
        busy(c, a->holder, a->since);
        return;
    case LEASE_VERDICT_WAIT:
        break;
    }
    if (a->elsewhere) {
        lease_elsewhere(&c->lease, now);
        keep_arm(c);
        return;
    }
    if (c->state != KEEP_HELD && is_try(c) &&
        a->answer == LEASE_ANSWER_REJECT) {
        c->trouble.http_status = a->http_status;
        end_asking(c, KEEPER_TIMEOUT, a->status, a->text);
    } else if (!a->usable) {
        note_trouble(c, a->status, a->text, a->http_status);
    } else {
        keep_arm(c);
    }
}

/* ---- POST with Justalock-Wait ---- */

static void wait_failed(struct keep *c, enum justalock_status status,
                        const char *text, int http_status,
                        int64_t retry_after_ms)
{
    int64_t ms =
        keeper_backoff_ms(c->keeper, c->wait_failures++, KEEPER_RETRY_MAX_MS);

    if (retry_after_ms > ms)
        ms = retry_after_ms < KEEPER_DEFER_MAX_MS ? retry_after_ms
                                                  : KEEPER_DEFER_MAX_MS;
    c->wait_next = clock_add(clock_now(), ms);
    note_trouble(c, status, text, http_status);
}

static void begin_wait(struct keep *c)
{
    struct clock_time now = clock_now();
    struct justalock_error err;
    int64_t left_ms = clock_left_ms(c->until, now);
    unsigned wait_s = KEEPER_WAIT_S;

    if (left_ms < wait_s * 1000LL)
        wait_s = (unsigned)((left_ms + 999) / 1000);
    slots_choose(c);
    c->waited = true;
    c->wait_began = now;
    if (keep_send(c, SERVICE_WAIT, wait_s,
                  wait_s * 1000LL + c->lease.times.attempt_ms,
                  c->wait_failures > 0, &err) != JUSTALOCK_OK)
        wait_failed(c, err.status, err.text, 0, -1);
    else
        keep_arm(c);
}

static void wait_answered(struct keep *c, const struct service_answer *a)
{
    struct clock_time now = clock_now();

    if (a->elsewhere) {
        c->wait_next = now;
        keep_arm(c);
        return;
    }
    if (!a->usable) {
        wait_failed(c, a->status, a->text, a->http_status, a->retry_after_ms);
        return;
    }
    c->wait_failures = 0;
    if (clock_elapsed_ms(c->wait_began, now) >= KEEPER_QUICK_MS)
        c->quick = 0;
    if (a->offered) {
        /* Our turn, if we confirm it; counted from that. */
        c->state = KEEP_ASKING;
        c->lease.next = now;
        attempt(c, SERVICE_CONFIRM);
        return;
    }
    if (a->answer != LEASE_ANSWER_CONFLICT) {
        /* It was free when we came; old as it may be, that is its t0. */
        c->state = KEEP_ASKING;
        lease_attempt(&c->lease, c->wait_began);
        take_answered(c, a);
        return;
    }
    if (clock_elapsed_ms(c->wait_began, now) < KEEPER_QUICK_MS)
        c->quick++;
    wait_on(c, now);
    busy(c, a->holder, a->since);
}

/* ---- what comes ---- */

void ask_answered(struct keep *c, const struct service_answer *a)
{
    ask_learn(c, a);
    if (a->usable) {
        c->in_trouble = false;
        c->trouble.status = JUSTALOCK_OK;
        c->last_busy = false;
    }
    if (c->call == SERVICE_WAIT)
        wait_answered(c, a);
    else
        take_answered(c, a);
}

static void held_due(struct keep *c, struct clock_time now)
{
    if (lease_tick(&c->lease, now) == LEASE_VERDICT_LOST)
        lost(c, lease_loss(&c->lease));
    else if (!c->flight && is_reached(c->lease.next, now))
        attempt(c, SERVICE_TAKE);
    else
        keep_arm(c);
}

void ask_due(struct keep *c, struct clock_time now)
{
    if (c->state == KEEP_HELD) {
        held_due(c, now);
    } else if (is_reached(c->until, now)) {
        timed_out(c);
    } else if (c->flight) {
        keep_arm(c);
    } else if (c->state == KEEP_WAITING && is_reached(c->wait_next, now)) {
        begin_wait(c);
    } else if (c->state == KEEP_ASKING && is_reached(c->lease.next, now)) {
        const struct keep *poller = c->gate ? NULL : gate_poller(c);

        if (poller && !is_try(c)) {
            wait_on(c, now);
            busy(c, poller->holder, poller->since);
        } else {
            attempt(c, SERVICE_TAKE);
        }
    } else {
        keep_arm(c);
    }
}
