/* SPDX-License-Identifier: MIT */
/*
 * guard_command.c - commands of `justalock run`: the connection is the
 * command's owner; while it is there it says when the command has ended, and
 * when it goes without that, what it started is ended too.
 */
#include <stdio.h>
#include <string.h>

#include "guard.h"
#include "log.h"

/* An owner that comes back after our restart. */
static bool take_up(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    struct work *w = work_by_owner(g, c->peer);

    if (!w || w->conns || strcmp(w->option, m->locks) != 0)
        return false;
    conn_attach(c, w);
    if (w->is_unconfirmed)
        say_unconfirmed(g, w);
    else if (w->loss[0] != '\0')
        say_lost(g, w, w->loss);
    else if (w->state == WORK_HELD)
        say_go(g, w, c);
    else if (w->is_busy_seen)
        say_waiting(g, w);
    return true;
}

static bool fill(struct work *w, const struct conn *c, const struct wire_msg *m)
{
    w->f.uid = c->uid;
    w->f.owner = c->peer;
    w->f.job.array_id = WIRE_NO_ARRAY;
    w->f.wait_ms = m->wait_ms;
    w->f.on_busy = m->on_busy;
    /* The two enumerations have the same order. */
    w->f.on_lost = (enum config_lost)m->on_lost;
    w->f.lost_signal = m->signo;
    w->life_s = m->life_s;
    memcpy(w->label, m->label, sizeof(w->label));
    memcpy(w->client, m->client, sizeof(w->client));
    return text_set(&w->option, m->locks);
}

_Static_assert((int)WIRE_LOST_KILL == (int)CONFIG_LOST_KILL &&
                   (int)WIRE_LOST_SIGNAL == (int)CONFIG_LOST_SIGNAL &&
                   (int)WIRE_LOST_LOG == (int)CONFIG_LOST_LOG,
               "on_lost");

void command_ask(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    struct work *w;

    if (c->peer == 0) {
        conn_verdict(g, c, WIRE_REFUSED_LOCAL,
                     "process %d is not to be seen from here: another pid "
                     "namespace?",
                     (int)c->pid);
        return;
    }
    if (m->locks[0] == '\0' || m->on_lost > WIRE_LOST_LOG ||
        (m->on_lost == WIRE_LOST_SIGNAL && (m->signo < 1 || m->signo > 64)) ||
        m->on_busy > WIRE_BUSY_FAIL) {
        conn_verdict(g, c, WIRE_REFUSED_BAD,
                     "a command names a lock, and wait or fail when it is "
                     "busy");
        return;
    }
    if (take_up(g, c, m))
        return;
    w = work_new(g, WORK_COMMAND, 0);
    if (!w || !fill(w, c, m)) {
        if (w)
            work_remove(g, w);
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "no memory, or too much work");
        return;
    }
    conn_attach(c, w);
    job_resolve(g, w);
}

static struct work *work_of(struct guard *g, struct conn *c)
{
    struct work *w = c->work;

    if (!w)
        w = work_by_owner(g, c->peer);
    if (w && !c->work)
        conn_attach(c, w);
    return w;
}

void command_pid(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    struct work *w = work_of(g, c);
    struct justalock_error err;
    struct proc_stat st;
    struct row_plan plan;

    if (!w || w->state != WORK_HELD) {
        conn_verdict(g, c, WIRE_REFUSED_LOST, "no lock is held: %s",
                     w && w->loss[0] ? w->loss : "nothing may be started");
        return;
    }
    if (m->pid > INT32_MAX || !proc_stat_read((pid_t)m->pid, &st) ||
        (st.pid != c->pid && st.parent != c->pid)) {
        conn_verdict(g, c, WIRE_REFUSED_BAD, "process %u is no child of %d",
                     m->pid, (int)c->pid);
        return;
    }
    if (work_put(g, w, proc_key_of(st.pid), &err) != JUSTALOCK_OK) {
        conn_verdict(g, c, WIRE_REFUSED_LOCAL,
                     "the command could not be contained: %s", err.text);
        return;
    }
    if (state_save(g, w, &err) != JUSTALOCK_OK)
        log_error("%s", err.text);
    if (row_look(w->row, &plan, NULL) != ROW_ARMED ||
        clock_left_ms(plan.deadline, clock_now()) <= plan.term_lead_ms)
        conn_verdict(g, c, WIRE_REFUSED_LOST, "the lock is being lost");
    else
        conn_verdict(g, c, WIRE_GO, "%s", "");
}

/* Of a loss it was told when it came. One that ends nothing leaves the status
 * to the command. */
static void answer_end(struct guard *g, struct conn *c, const struct work *w)
{
    bool is_ended = w->loss[0] != '\0' && w->f.on_lost == CONFIG_LOST_KILL;

    conn_verdict(g, c, is_ended ? WIRE_REFUSED_LOST : WIRE_GO, "%s", w->loss);
}

void command_settled(struct guard *g, struct work *w)
{
    struct conn *next;

    if (w->f.kind != WORK_COMMAND)
        return;
    for (struct conn *c = w->conns; c; c = next) {
        next = c->work_next;
        if (!c->is_ended)
            continue;
        conn_detach(c);
        answer_end(g, c, w);
    }
}

void command_end(struct guard *g, struct conn *c)
{
    struct work *w = work_of(g, c);

    if (!w) {
        conn_verdict(g, c, WIRE_REFUSED_LOST, "no lock is held");
        return;
    }
    /* Ended by the watch just now, and we have not heard of it yet? */
    hold_look_at_row(g, w);
    if (w->state == WORK_ENDING) {
        /* Answered when all of it is dead, or that cannot be confirmed. */
        c->is_ended = true;
        w->f.is_over = true;
        if (w->is_unconfirmed)
            command_settled(g, w);
        return;
    }
    answer_end(g, c, w);
    conn_detach(c);
    hold_over(g, w);
}

void command_gone(struct guard *g, struct work *w)
{
    switch (w->state) {
    case WORK_RESOLVING:
    case WORK_ASKING:
        hold_abandon(g, w, false);
        return;
    case WORK_LAPSED:
        work_remove(g, w);
        return;
    case WORK_HELD:
        w->f.is_over = true;
        if (work_count(&w->who) == 0) {
            hold_over(g, w);
            return;
        }
        log_warn("command %d: who ran it is gone; ending it",
                 (int)proc_key_pid(w->f.owner));
        hold_end(g, w);
        return;
    case WORK_KNOWN:
    case WORK_LEAVING:
    case WORK_ENDING:
    case WORK_RELEASING:
    case WORK_GONE:
        return;
    }
}
