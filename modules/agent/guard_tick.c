/* SPDX-License-Identifier: MIT */
/*
 * guard_tick.c - what happens to work because time has gone by: notes to who
 * waits, a service that stays silent, a place that has become empty, a job
 * whose end nobody told.
 */
#include <stdio.h>
#include <string.h>

#include "guard.h"
#include "log.h"
#include "urls.h"

#define LEAVING_MS    200   /* between looks whether it is empty */
#define FORGOTTEN_MS  60000 /* empty for so long: is the job over? */
#define UNANSWERED_MS 60000 /* the keeper says nothing of a release */

bool hold_is_due(struct work *w, int64_t every_ms, struct clock_time now)
{
    if (!clock_is_never(w->looked) &&
        clock_elapsed_ms(w->looked, now) < every_ms)
        return false;
    w->looked = now;
    return true;
}

static void tick_asking(struct guard *g, struct work *w, struct clock_time now)
{
    bool is_open = w->f.on_unreachable == CONFIG_UNREACHABLE_OPEN;
    /* Another server may be about to take over: that is worth waiting for. */
    bool is_one = urls_count(w->service->url) == 1;
    int64_t patience = is_open && is_one ? GUARD_OPEN_MS : GUARD_PATIENCE_MS;
    struct keeper_event silent = {.kind = KEEPER_TIMEOUT,
                                  .status = JUSTALOCK_NET};
    bool is_due = false;

    if (!g->is_keeper_ready && clock_is_never(w->silent)) {
        w->silent = now;
        text_say(&w->trouble, "this host's keeper is not running yet");
    }
    for (struct conn *c = w->conns; c; c = c->work_next)
        is_due |=
            !c->is_noted && clock_elapsed_ms(c->since, now) >= GUARD_NOTE_MS;
    if (is_due)
        say_waiting(g, w);
    if (!clock_is_never(w->left_alone) && !w->conns && !w->f.is_eager &&
        clock_elapsed_ms(w->left_alone, now) > GUARD_RETURN_MS) {
        hold_abandon(g, w, true);
        return;
    }
    if (w->f.kind == WORK_SESSION)
        patience = w->patience_ms;
    if (clock_is_never(w->silent) ||
        clock_elapsed_ms(w->silent, now) < patience)
        return;
    /* A command that waits for ever waits for the service too. */
    if (!is_open && w->f.kind == WORK_COMMAND && w->f.wait_ms < 0)
        return;
    (void)snprintf(silent.text, sizeof(silent.text), "%s", w->trouble);
    for (size_t i = 0; i < w->f.helds_len; i++) {
        if (w->helds[i].state != HELD_ASKING)
            continue;
        hold_event(g, w, &w->helds[i], &silent);
        return;
    }
}

static void tick_leaving(struct guard *g, struct work *w, struct clock_time now)
{
    if (!hold_is_due(w, LEAVING_MS, now))
        return;
    if (work_count(&w->who) != 0)
        return;
    w->state = WORK_HELD; /* empty now: over at once */
    hold_over(g, w);
}

/* No epilog has told, or it told an agent that was not there. */
static void tick_job(struct guard *g, struct work *w, struct clock_time now)
{
    if (!hold_is_due(w, FORGOTTEN_MS / 2, now))
        return;
    if (work_count(&w->who) != 0)
        w->empty = now;
    else if (clock_elapsed_ms(w->empty, now) >= FORGOTTEN_MS && !w->child)
        job_look_if_over(g, w);
}

/* Its owner is not connected, since a restart of ours. */
static void tick_command(struct guard *g, struct work *w, struct clock_time now)
{
    if (w->conns || !hold_is_due(w, LEAVING_MS * 5, now))
        return;
    if (proc_key_is_alive(w->f.owner))
        return;
    /* Its owner has waited for the command, or was killed before that. */
    if (proc_key_is_alive(atomic_load(&w->who.root)))
        command_gone(g, w);
    else
        hold_over(g, w);
}

void hold_tick(struct guard *g, struct work *w, struct clock_time now)
{
    switch (w->state) {
    case WORK_ASKING:
        tick_asking(g, w, now);
        return;
    case WORK_LEAVING:
        tick_leaving(g, w, now);
        return;
    case WORK_HELD:
        if (w->f.kind == WORK_JOB)
            tick_job(g, w, now);
        else if (w->f.kind == WORK_COMMAND)
            tick_command(g, w, now);
        else
            session_tick(g, w, now);
        return;
    case WORK_RELEASING:
        if (clock_elapsed_ms(w->asked, now) > UNANSWERED_MS) {
            log_warn("a release was never answered; the lease runs out");
            for (size_t i = 0; i < w->f.helds_len; i++)
                w->helds[i].state = HELD_OVER;
            hold_release(g, w);
        }
        return;
    case WORK_GONE:
        work_remove(g, w);
        return;
    case WORK_RESOLVING:
        if (!clock_is_never(w->left_alone) && !w->conns && !w->f.is_eager &&
            clock_elapsed_ms(w->left_alone, now) > GUARD_RETURN_MS)
            hold_abandon(g, w, true);
        return;
    case WORK_KNOWN:
    case WORK_ENDING:
    case WORK_LAPSED:
        return;
    }
}

void hold_orphans(struct guard *g)
{
    uint32_t used = atomic_load(&g->table.header->used);

    for (uint32_t i = 0; i < used && i < TABLE_ROWS; i++) {
        struct row *row = &g->table.rows[i];
        enum row_state state = row_state(row);
        uint64_t number = row->work;

        if (number == 0 || (state != ROW_DEAD && state != ROW_LAPSED) ||
            work_by_number(g, number))
            continue;
        for (uint64_t k = 0; k < WIRE_LOCKS_MAX; k++)
            keeper_give_back(g, number << GUARD_HANDLE_BITS | k);
        row_free(row);
    }
}
