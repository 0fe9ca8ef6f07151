/* SPDX-License-Identifier: MIT */
/*
 * guard_hold.c - the life of a work's locks: asked for one after the other,
 * on record before the first request and armed before "go", extended by what
 * the keeper reports, lost, and given back when nothing of the work is left.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "log.h"

void hold_save(struct guard *g, struct work *w)
{
    struct justalock_error err;

    /* What is on record is older, never wrong: a new guard learns the rest
     * from the row and the keeper. */
    if (state_save(g, w, &err) != JUSTALOCK_OK)
        log_error("%s", err.text);
}

/* ---- deadlines ---- */

static void filled_times(const struct held *h, struct lease_times *ret_times)
{
    struct justalock_error err;
    struct lease_times t = h->lock.times;

    /* Checked when the lock was taken; without features the stricter one. */
    if (lease_times_fill(&t, h->has_features, &err) != JUSTALOCK_OK)
        log_error("lock \"%s\": %s", h->name, err.text);
    *ret_times = t;
}

static struct clock_time end_of(const struct held *h)
{
    struct lease_times t;

    filled_times(h, &t);
    return lease_deadline(&t, h->t0);
}

/* The earliest of all its locks. */
static struct clock_time deadline_of(const struct work *w)
{
    struct clock_time d = clock_never();

    for (size_t i = 0; i < w->f.helds_len; i++)
        d = clock_min(d, end_of(&w->helds[i]));
    return d;
}

/* The lock whose lease ends first. */
static const struct held *first_to_end(const struct work *w)
{
    const struct held *first = w->helds;

    for (size_t i = 1; i < w->f.helds_len; i++)
        if (clock_left_ms(end_of(&w->helds[i]), end_of(first)) < 0)
            first = &w->helds[i];
    return first;
}

static void leads_of(const struct work *w, struct row_plan *plan)
{
    plan->kill_lead_ms = 0;
    plan->term_lead_ms = 0;
    for (size_t i = 0; i < w->f.helds_len; i++) {
        struct lease_times t;

        filled_times(&w->helds[i], &t);
        if (t.kill_ms > plan->kill_lead_ms)
            plan->kill_lead_ms = t.kill_ms;
        if (t.kill_ms + t.grace_ms > plan->term_lead_ms)
            plan->term_lead_ms = t.kill_ms + t.grace_ms;
    }
}

static struct row_plan loss_plan(const struct work *w)
{
    struct row_plan plan = {.policy = ROW_KILL};

    leads_of(w, &plan);
    if (w->f.on_lost == CONFIG_LOST_LOG)
        plan.policy = ROW_LOG;
    if (w->f.on_lost == CONFIG_LOST_SIGNAL) {
        plan.policy = ROW_SIGNAL;
        plan.signo = w->f.lost_signal;
    }
    return plan;
}

/* ---- acquiring ---- */

bool hold_is_try(const struct work *w)
{
    return w->f.wait_ms == 0 || w->f.on_busy == WIRE_BUSY_FAIL ||
           w->f.on_busy == WIRE_BUSY_REQUEUE;
}

int64_t hold_wait_left(const struct work *w)
{
    int64_t left;

    if (hold_is_try(w))
        return 0;
    if (clock_is_never(w->until))
        return -1;
    left = clock_left_ms(w->until, clock_now());
    return left > 1 ? left : 1; /* 0 would mean something else */
}

static void granted_all(struct guard *g, struct work *w)
{
    struct row_plan plan = loss_plan(w);
    struct conn *next;
    char text[64];

    plan.deadline = deadline_of(w);
    w->f.since_s = clock_wall_s();
    if (w->f.kind == WORK_COMMAND)
        work_place(g, w, proc_key_pid(w->f.owner));
    else if (w->f.kind == WORK_SESSION)
        session_place(g, w);
    work_changed_identity(w);
    row_arm(w->row, &plan);
    guard_nudge(g);
    w->state = WORK_HELD;
    w->empty = clock_now();
    hold_save(g, w);
    work_text(w, text, sizeof(text));
    log_info("%s holds \"%s\"%s", text, w->helds[0].name,
             w->f.helds_len > 1 ? " and more" : "");
    /* Time has gone by since t0: whoever starts now must have some left. */
    if (clock_left_ms(plan.deadline, clock_now()) <= plan.term_lead_ms ||
        row_state(w->row) != ROW_ARMED) {
        hold_look_at_row(g, w);
        return;
    }
    if (w->f.kind == WORK_SESSION) {
        session_granted(g, w);
        return;
    }
    for (struct conn *c = w->conns; c; c = next) {
        next = c->work_next;
        say_go(g, w, c);
        if (w->f.kind == WORK_JOB)
            conn_detach(c);
    }
}

void hold_ask_next(struct guard *g, struct work *w)
{
    for (size_t i = 0; i < w->f.helds_len; i++) {
        if (w->helds[i].state == HELD_OURS)
            continue;
        w->helds[i].state = HELD_ASKING;
        keeper_ask(g, w, &w->helds[i], hold_wait_left(w));
        return;
    }
    granted_all(g, w);
}

void hold_begin(struct guard *g, struct work *w)
{
    struct justalock_error err;

    w->asked = clock_now();
    w->until =
        w->f.wait_ms < 0 ? clock_never() : clock_add(w->asked, w->f.wait_ms);
    w->silent = clock_never();
    w->is_busy_seen = false;
    w->is_denied = false;
    text_clear(&w->trouble);
    w->f.since_s = clock_wall_s();
    w->state = WORK_ASKING;
    w->row = table_take(&g->table);
    if (!w->row) {
        hold_refuse(g, w, WIRE_REFUSED_LOCAL,
                    "this host's agent already holds as many locks as it can");
        return;
    }
    w->row->work = w->f.number;
    /* The intent, before the first request leaves. */
    if (state_save(g, w, &err) != JUSTALOCK_OK) {
        hold_refuse(g, w, WIRE_REFUSED_LOCAL, err.text);
        return;
    }
    hold_ask_next(g, w);
}

/* ---- giving back ---- */

static void finish(struct guard *g, struct work *w)
{
    struct justalock_error err;

    if (w->row) {
        row_free(w->row);
        w->row = NULL;
    }
    if (!w->is_again || w->f.is_over) {
        session_settled(g, w, "");
        work_remove(g, w);
        return;
    }
    /* A job may ask again, with new shares. */
    w->is_again = false;
    w->state = WORK_KNOWN;
    text_clear(&w->loss);
    w->f.helds_len = 0;
    if (state_save(g, w, &err) != JUSTALOCK_OK)
        log_error("%s", err.text);
    if (w->conns)
        job_resolve(g, w);
}

void hold_finish(struct guard *g, struct work *w)
{
    for (size_t i = 0; i < w->f.helds_len; i++)
        if (w->helds[i].state != HELD_OVER && w->helds[i].state != HELD_NOT)
            return;
    finish(g, w);
}

/* All that the keeper knows of it. */
static void give_all_back(struct guard *g, struct work *w)
{
    for (size_t i = 0; i < w->f.helds_len; i++) {
        struct held *h = &w->helds[i];

        if (h->state == HELD_NOT || h->state == HELD_OVER ||
            h->state == HELD_RELEASING)
            continue;
        h->state = HELD_RELEASING;
        /* A keeper that is not ready may not know it yet: it is told then. */
        if (g->is_keeper_ready)
            keeper_give_back(g, work_handle(w, h));
    }
}

void hold_release(struct guard *g, struct work *w)
{
    w->state = WORK_RELEASING;
    w->asked = clock_now();
    give_all_back(g, w);
    hold_save(g, w);
    hold_finish(g, w);
}

void hold_abandon(struct guard *g, struct work *w, bool is_again)
{
    w->is_again = is_again && w->f.kind == WORK_JOB;
    w->child = NULL; /* its answer finds nothing to do */
    if (w->f.helds_len == 0)
        finish(g, w);
    else
        hold_release(g, w);
}

void hold_refuse(struct guard *g, struct work *w, enum wire_verdict verdict,
                 const char *text)
{
    char who[64];

    work_text(w, who, sizeof(who));
    log_info("%s: %s", who, text);
    say_verdict(g, w, verdict, text);
    hold_abandon(g, w, true);
}

/* ---- ending ---- */

void hold_end(struct guard *g, struct work *w)
{
    struct row_plan plan = {.policy = ROW_KILL};

    leads_of(w, &plan);
    plan.term_lead_ms = plan.kill_lead_ms + w->f.grace_ms;
    plan.deadline = clock_add(clock_now(), plan.term_lead_ms);
    if (!w->row || !row_end(w->row, &plan)) {
        hold_look_at_row(g, w);
        return;
    }
    w->state = WORK_ENDING;
    guard_nudge(g);
}

/* What is to be heard of a loss; once. */
static void tell_loss(struct guard *g, struct work *w, const char *why)
{
    char text[64];

    if (w->loss[0] != '\0')
        return;
    text_say(&w->loss, "%s", why);
    if (w->state == WORK_HELD || w->state == WORK_LEAVING)
        w->state = WORK_ENDING;
    work_text(w, text, sizeof(text));
    log_warn("%s: %s", text, why);
    say_lost(g, w, why);
    if (w->f.kind == WORK_JOB)
        job_courtesy(g, w);
    if (w->f.kind == WORK_SESSION)
        session_tell(w, why, -1);
}

void hold_lose(struct guard *g, struct work *w, const char *why)
{
    struct row_plan plan = loss_plan(w);

    /* Another may have it already: KILL is due at once, even where TERM was
     * sent in time; and what is ended for another reason stays so. */
    if (w->state == WORK_ENDING)
        plan.policy = ROW_KILL;
    plan.deadline = clock_add(clock_now(), plan.kill_lead_ms);
    if (w->row)
        (void)row_end(w->row, &plan); /* no: it is being ended as it is */
    guard_nudge(g);
    tell_loss(g, w, why);
}

void hold_without_row(struct guard *g, struct work *w)
{
    struct row_plan plan = loss_plan(w);

    if (work_count(&w->who) == 0) {
        hold_release(g, w);
        return;
    }
    w->row = table_take(&g->table);
    if (!w->row) {
        w->state = WORK_LEAVING; /* kept until it is empty */
        return;
    }
    w->row->work = w->f.number;
    work_changed_identity(w);
    plan.deadline = clock_add(clock_now(), plan.kill_lead_ms);
    row_arm(w->row, &plan);
    w->state = WORK_HELD;
    hold_save(g, w);
    hold_lose(g, w,
              "the table of deadlines was damaged, nobody knows until "
              "when the lock is held");
}

static void close_if_empty(struct guard *g, struct work *w)
{
    if (!w->row || row_close(w->row))
        hold_release(g, w);
    else
        hold_look_at_row(g, w);
}

static void held_is_over(struct guard *g, struct work *w)
{
    hold_save(g, w);
    if (work_count(&w->who) == 0 || w->f.on_end == CONFIG_END_RELEASE)
        close_if_empty(g, w);
    else if (w->f.on_end == CONFIG_END_KILL)
        hold_end(g, w);
    else
        w->state = WORK_LEAVING;
}

void hold_over(struct guard *g, struct work *w)
{
    w->f.is_over = true;
    switch (w->state) {
    case WORK_RESOLVING:
    case WORK_ASKING:
        hold_refuse(g, w, WIRE_REFUSED_DENIED, "the job is over");
        return;
    case WORK_HELD:
        held_is_over(g, w);
        return;
    case WORK_KNOWN:
    case WORK_LAPSED:
        session_settled(g, w, "");
        work_remove(g, w);
        return;
    case WORK_LEAVING:
    case WORK_ENDING:
    case WORK_RELEASING:
    case WORK_GONE:
        return;
    }
}

/* ---- the row ---- */

static void found_ending(struct guard *g, struct work *w)
{
    char text[300];

    if (w->state != WORK_HELD && w->state != WORK_LEAVING)
        return;
    w->state = WORK_ENDING;
    (void)snprintf(text, sizeof(text),
                   "lock \"%.80s\" is lost: it could not be refreshed in "
                   "time%s%.120s",
                   first_to_end(w)->name, w->trouble[0] ? ": " : "",
                   w->trouble);
    /* By the row's plan: it has its grace until KILL. */
    tell_loss(g, w, text);
}

/* The work lives on without its lock, as configured. */
static void found_lapsed(struct guard *g, struct work *w)
{
    if (w->state == WORK_LAPSED || w->state == WORK_RELEASING)
        return;
    if (w->loss[0] == '\0') {
        found_ending(g, w);
        if (w->loss[0] == '\0')
            return;
    }
    w->state = WORK_LAPSED;
    command_settled(g, w);
    give_all_back(g, w);
    hold_save(g, w);
}

void hold_look_at_row(struct guard *g, struct work *w)
{
    if (!w->row)
        return;
    switch (row_state(w->row)) {
    case ROW_ENDING:
        found_ending(g, w);
        return;
    case ROW_UNCONFIRMED:
        found_ending(g, w);
        if (!w->is_unconfirmed) {
            say_unconfirmed(g, w);
            if (w->f.kind == WORK_JOB)
                job_unconfirmed(g, w);
        }
        w->is_unconfirmed = true;
        command_settled(g, w);
        return;
    case ROW_DEAD:
        if (w->state == WORK_HELD || w->state == WORK_LEAVING)
            found_ending(g, w);
        command_settled(g, w);
        if (w->state == WORK_ENDING)
            hold_release(g, w);
        return;
    case ROW_LAPSED:
        found_lapsed(g, w);
        return;
    case ROW_CLOSED:
        if (w->state == WORK_HELD || w->state == WORK_LEAVING)
            hold_release(g, w);
        return;
    case ROW_FREE:
    case ROW_ARMED:
        return;
    }
}

void hold_extended(struct guard *g, struct work *w, struct held *h,
                   struct clock_time t0)
{
    h->t0 = t0;
    text_clear(&w->trouble);
    if (w->row && (w->state == WORK_HELD || w->state == WORK_LEAVING) &&
        !row_extend(w->row, deadline_of(w)))
        hold_look_at_row(g, w);
}
