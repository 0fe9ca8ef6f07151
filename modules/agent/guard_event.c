/* SPDX-License-Identifier: MIT */
/*
 * guard_event.c - what the keeper says of one lock: granted, held by another,
 * extended, lost, given back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guard.h"
#include "log.h"

static void learn(struct held *h, const struct keeper_event *e)
{
    h->has_features |= e->has_features;
    if (e->has_token) {
        h->has_token = true;
        h->token = e->token;
    }
    if (e->has_slot) {
        h->lock.slot = e->slot;
        h->lock.slot_has_id = e->slot_has_id;
    }
}

static void on_granted(struct guard *g, struct work *w, struct held *h,
                       const struct keeper_event *e)
{
    if (h->state != HELD_ASKING || w->state != WORK_ASKING)
        return;
    h->state = HELD_OURS;
    h->t0 = e->t0;
    h->has_features = e->has_features;
    learn(h, e);
    w->silent = clock_never();
    if (w->f.helds_len > 1)
        hold_save(g, w);
    hold_ask_next(g, w);
}

static void on_busy(struct guard *g, struct work *w, struct held *h,
                    const struct keeper_event *e)
{
    w->silent = clock_never();
    w->is_busy_seen = true;
    memcpy(h->holder, e->holder, sizeof(h->holder));
    memcpy(h->since, e->since, sizeof(h->since));
    if (w->state == WORK_ASKING && !hold_is_try(w))
        say_waiting(g, w);
}

static void refuse_busy(struct guard *g, struct work *w, const struct held *h)
{
    char who[200];
    char text[WIRE_TEXT_MAX + 1];
    int64_t waited_ms = clock_elapsed_ms(w->asked, clock_now());
    bool is_short = waited_ms < 1000;

    say_holder(h, who, sizeof(who));
    if (hold_is_try(w))
        (void)snprintf(text, sizeof(text), "lock \"%s\" is held by %s", h->name,
                       who);
    else
        (void)snprintf(text, sizeof(text),
                       "lock \"%s\" is still held by %s after %" PRId64 " %s",
                       h->name, who, is_short ? waited_ms : waited_ms / 1000,
                       is_short ? "ms" : "s");
    if (w->f.kind == WORK_JOB)
        job_refused(g, w, WIRE_REFUSED_BUSY, text);
    else
        hold_refuse(g, w, WIRE_REFUSED_BUSY, text);
}

/* The name of the lock that is asked for, of several. */
static const char *asked_name(const struct work *w)
{
    for (size_t i = 0; i < w->f.helds_len; i++)
        if (w->helds[i].state == HELD_ASKING)
            return w->helds[i].name;
    return w->helds[0].name;
}

static void refuse_silent(struct guard *g, struct work *w)
{
    const char *what = w->is_denied ? "refuses it" : "does not answer";
    char text[WIRE_TEXT_MAX + 1];

    (void)snprintf(text, sizeof(text),
                   "the lock service %.160s, asked for lock \"%.80s\", %s: %s",
                   w->service->url, asked_name(w), what, w->trouble);
    if (w->f.on_unreachable == CONFIG_UNREACHABLE_OPEN) {
        (void)snprintf(text, sizeof(text),
                       "starting without lock \"%.80s\", as configured: the "
                       "lock service %s: %s",
                       asked_name(w), what, w->trouble);
        hold_refuse(g, w, WIRE_GO, text);
    } else if (w->f.kind == WORK_JOB) {
        job_refused(g, w, WIRE_REFUSED_NET, text);
    } else {
        /* A session's module lets in, where it is to, whom the service would
         * not: that is a fault between service and us, not the user's. */
        hold_refuse(g, w,
                    w->is_denied && w->f.kind == WORK_COMMAND
                        ? WIRE_REFUSED_DENIED
                        : WIRE_REFUSED_NET,
                    text);
    }
}

/* The attempt is over; the keeper gives back what it may have got. */
static void on_refused(struct guard *g, struct work *w, struct held *h,
                       const struct keeper_event *e)
{
    if (w->state != WORK_ASKING || h->state != HELD_ASKING)
        return;
    if (e->status == JUSTALOCK_HELD) {
        refuse_busy(g, w, h);
        return;
    }
    text_say(&w->trouble, "%s", e->text);
    w->is_denied |= e->status == JUSTALOCK_DENIED;
    refuse_silent(g, w);
}

static void on_trouble(struct guard *g, struct work *w,
                       const struct keeper_event *e)
{
    text_say(&w->trouble, "%s", e->text);
    w->is_denied = e->status == JUSTALOCK_DENIED;
    if (w->state != WORK_ASKING)
        return;
    /* Once it has answered that we wait, an outage is waited out too. */
    if (!w->is_busy_seen && clock_is_never(w->silent))
        w->silent = clock_now();
    say_waiting(g, w);
}

static void on_lost(struct guard *g, struct work *w, struct held *h,
                    const struct keeper_event *e)
{
    char text[300];

    if (h->state != HELD_OURS)
        return;
    h->state = HELD_LOST;
    (void)snprintf(text, sizeof(text), "lock \"%.80s\" is lost: %.180s",
                   h->name, e->text);
    if (w->state == WORK_ASKING)
        hold_refuse(g, w, WIRE_REFUSED_LOST, text); /* waiting for the next */
    else
        hold_lose(g, w, text);
}

static void on_released(struct guard *g, struct work *w, struct held *h,
                        const struct keeper_event *e)
{
    if (h->state != HELD_RELEASING)
        return;
    h->state = HELD_OVER;
    if (e->status != JUSTALOCK_OK && e->status != JUSTALOCK_STATE)
        log_warn("lock \"%s\": the service did not confirm its release; it "
                 "may stay taken until the lease ends: %s",
                 h->name, e->text);
    if (w->state == WORK_RELEASING)
        hold_finish(g, w);
}

void hold_event(struct guard *g, struct work *w, struct held *h,
                const struct keeper_event *e)
{
    switch (e->kind) {
    case KEEPER_GRANTED:
        on_granted(g, w, h, e);
        return;
    case KEEPER_EXTENDED:
        learn(h, e);
        if (h->state == HELD_OURS)
            hold_extended(g, w, h, e->t0);
        return;
    case KEEPER_BUSY:
        on_busy(g, w, h, e);
        if (hold_is_try(w))
            on_refused(g, w, h, e);
        return;
    case KEEPER_TROUBLE:
        on_trouble(g, w, e);
        return;
    case KEEPER_LOST:
        on_lost(g, w, h, e);
        return;
    case KEEPER_TIMEOUT:
        if (h->state == HELD_OURS)
            on_lost(g, w, h, e); /* given back behind our back */
        else
            on_refused(g, w, h, e);
        return;
    case KEEPER_RELEASED:
        on_released(g, w, h, e);
        return;
    }
}
