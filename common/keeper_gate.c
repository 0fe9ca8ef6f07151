/* SPDX-License-Identifier: MIT */
/*
 * keeper_gate.c - who of ours has to wait for others of ours: one poller for
 * each lock of a service that can only be polled, and a bounded number of
 * attempts at one service at a time. First come first served.
 */
#include "keeper_inner.h"

static struct gate *find(const struct keep *c)
{
    struct gate_key key;
    struct gate *g;

    memset(&key, 0, sizeof(key)); /* its padding is hashed too */
    key.place = c->place;
    key.id = c->lock.id;
    HASH_FIND(hh, c->keeper->gates, &key, sizeof(key), g);
    return g;
}

static struct gate *make(struct keep *c)
{
    struct gate *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->key.place = c->place;
    g->key.id = c->lock.id;
    HASH_ADD(hh, c->keeper->gates, key, sizeof(g->key), g);
    if (!g->hh.tbl) {
        free(g);
        return NULL;
    }
    return g;
}

const struct keep *gate_poller(const struct keep *c)
{
    const struct gate *g = find(c);

    return g ? g->first : NULL;
}

bool gate_join(struct keep *c)
{
    struct gate *g;

    if (c->gate)
        return c->gate->first == c;
    g = find(c);
    if (!g)
        g = make(c);
    if (!g)
        return true; /* no memory: one poller more does no harm */
    c->gate = g;
    c->gate_prev = g->last;
    c->gate_next = NULL;
    if (g->last)
        g->last->gate_next = c;
    else
        g->first = c;
    g->last = c;
    return g->first == c;
}

void gate_leave(struct keep *c)
{
    struct gate *g = c->gate;
    struct keep *heir;

    if (!g)
        return;
    heir = g->first == c ? c->gate_next : NULL;
    if (c->gate_prev)
        c->gate_prev->gate_next = c->gate_next;
    else
        g->first = c->gate_next;
    if (c->gate_next)
        c->gate_next->gate_prev = c->gate_prev;
    else
        g->last = c->gate_prev;
    c->gate = NULL;
    c->gate_prev = NULL;
    c->gate_next = NULL;
    if (!g->first) {
        HASH_DEL(c->keeper->gates, g);
        free(g);
    }
    if (heir && heir->state == KEEP_QUEUED) {
        heir->state = KEEP_ASKING;
        heir->lease.next = clock_now();
        keep_hurry(heir);
    }
}

/* ---- the line ---- */

bool line_pass(struct keep *c)
{
    struct place *p = c->place;

    if (p->flights < KEEPER_FLIGHTS_MAX) {
        line_leave(c);
        return true;
    }
    if (c->in_line)
        return false;
    c->in_line = true;
    c->line_prev = p->line_last;
    c->line_next = NULL;
    if (p->line_last)
        p->line_last->line_next = c;
    else
        p->line_first = c;
    p->line_last = c;
    return false;
}

void line_leave(struct keep *c)
{
    struct place *p = c->place;

    if (!c->in_line)
        return;
    c->in_line = false;
    if (c->line_prev)
        c->line_prev->line_next = c->line_next;
    else
        p->line_first = c->line_next;
    if (c->line_next)
        c->line_next->line_prev = c->line_prev;
    else
        p->line_last = c->line_prev;
}

void line_next(struct place *p)
{
    struct keep *c = p->line_first;

    if (!c || p->flights >= KEEPER_FLIGHTS_MAX)
        return;
    line_leave(c);
    keep_hurry(c);
}
