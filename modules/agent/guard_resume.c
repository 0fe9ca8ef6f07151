/* SPDX-License-Identifier: MIT */
/*
 * guard_resume.c - a guard that starts again goes on with what is on record,
 * as the rows of the table have it by now.
 */
#include "guard.h"
#include "log.h"

/* t0 is not written at every refresh: the row's deadline tells it. */
static void t0_from_row(struct work *w)
{
    struct row_plan plan;

    (void)row_look(w->row, &plan, NULL);
    for (size_t i = 0; i < w->f.helds_len; i++) {
        struct held *h = &w->helds[i];
        struct lease_times t = h->lock.times;
        struct justalock_error err;
        struct clock_time zero = {0, 0};

        h->state = HELD_OURS;
        if (lease_times_fill(&t, h->has_features, &err) != JUSTALOCK_OK)
            continue;
        h->t0 = clock_add(plan.deadline, -lease_deadline(&t, zero).boot_ms);
    }
}

/*
 * How much of its wait is over, by the wall clock, which is what is on record.
 * In whole seconds, of which the last may not be over; a clock that was set
 * back begins the wait anew, one that was set forward ends it.
 */
static int64_t waited_ms(const struct work *w)
{
    int64_t s = clock_wall_s() - w->f.since_s - 1;

    if (s < 0)
        return 0;
    return s < w->f.wait_ms / 1000 ? s * 1000 : w->f.wait_ms;
}

static void resume_asking(struct guard *g, struct work *w)
{
    if (!w->row) {
        w->row = table_take(&g->table);
        if (!w->row) {
            hold_release(g, w);
            return;
        }
        w->row->work = w->f.number;
        hold_save(g, w);
    }
    /* The record was written before the request that followed it. */
    for (size_t i = 0; i < w->f.helds_len; i++) {
        if (w->helds[i].state == HELD_OURS)
            continue;
        w->helds[i].state = HELD_ASKING;
        break;
    }
    w->asked = clock_now();
    w->until = w->f.wait_ms < 0
                   ? clock_never()
                   : clock_add(w->asked, w->f.wait_ms - waited_ms(w));
    w->left_alone = w->asked;
}

static void resume(struct guard *g, struct work *w)
{
    enum row_state row = w->row ? row_state(w->row) : ROW_FREE;
    struct clock_time now = clock_now();

    w->left_alone = now;
    w->empty = now;
    w->looked = clock_never();
    if (row != ROW_FREE &&
        (w->state == WORK_ASKING || w->state == WORK_HELD ||
         w->state == WORK_LEAVING || w->state == WORK_ENDING)) {
        t0_from_row(w);
        if (w->state != WORK_LEAVING)
            w->state = WORK_HELD;
        if (w->f.is_over && w->state == WORK_HELD)
            w->state = WORK_LEAVING;
        if (w->f.kind == WORK_SESSION)
            session_adopt(g, w);
        hold_look_at_row(g, w);
        return;
    }
    switch (w->state) {
    case WORK_RESOLVING:
        w->state = WORK_KNOWN;
        w->f.helds_len = 0;
        return;
    case WORK_ASKING:
        resume_asking(g, w);
        return;
    case WORK_HELD:
    case WORK_LEAVING:
    case WORK_ENDING:
        hold_without_row(g, w);
        return;
    case WORK_RELEASING:
        w->asked = now;
        return;
    case WORK_KNOWN:
    case WORK_LAPSED:
    case WORK_GONE:
        return;
    }
}

void guard_resume(struct guard *g)
{
    struct work *next;
    size_t n = g->works_len;

    for (struct work *w = g->works; w; w = next) {
        next = w->next;
        resume(g, w);
    }
    for (struct work *w = g->works; w; w = next) {
        next = w->next;
        if (w->f.kind != WORK_JOB && w->state == WORK_KNOWN)
            work_remove(g, w);
        else if (w->state == WORK_KNOWN && w->f.is_eager && g->config)
            job_resolve(g, w);
        else if (w->state == WORK_HELD || w->state == WORK_LEAVING)
            hold_tick(g, w, clock_now()); /* who has ended meanwhile? */
    }
    if (n > 0)
        log_info("going on with %zu pieces of work on record", n);
}
