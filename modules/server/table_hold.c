/* SPDX-License-Identifier: MIT */
/*
 * table_hold.c - who is in a lock: one holder, or one in each slot of a pool,
 * and whether there is room for one more. Lists, searched from their begin: a
 * lock has one holder but for pools, and a pool's refresh every 20 s.
 */
#include "table_inner.h"

struct holding *holding_of(const struct lock *l, const struct client *c)
{
    struct holding *h;

    DL_FOREACH (l->holdings, h)
        if (are_same(&h->holder, c))
            return h;
    return NULL;
}

struct holding *holding_in(const struct lock *l, unsigned slot)
{
    struct holding *h;

    DL_FOREACH (l->holdings, h)
        if (h->slot == slot)
            return h;
    return NULL;
}

bool lock_has_room(const struct lock *l, unsigned slots,
                   const struct offer *own)
{
    const struct holding *h;
    const struct offer *o;
    unsigned in = 0;

    DL_FOREACH (l->holdings, h) {
        in++;
        if (h->slots < slots)
            slots = h->slots;
    }
    DL_FOREACH (l->offers, o) {
        if (o == own)
            continue;
        in++;
        if (o->slots < slots)
            slots = o->slots;
    }
    return in < slots;
}

/* Where there is room for one with N, fewer than N are in, so it is below N. */
unsigned lock_free_slot(const struct lock *l)
{
    const struct holding *h;
    unsigned slot = 0;

    DL_FOREACH (l->holdings, h) {
        if (h->slot != slot)
            break;
        slot++;
    }
    return slot;
}

struct holding *holding_add(struct lock_table *t, struct lock *l, unsigned slot,
                            unsigned slots)
{
    struct holding *h = calloc(1, sizeof(*h));
    struct holding *after;

    if (h == NULL)
        return NULL;
    h->lock = l;
    h->slot = slot;
    h->slots = slots;
    DL_FOREACH (l->holdings, after)
        if (after->slot > slot)
            break;
    if (after != NULL)
        DL_PREPEND_ELEM(l->holdings, after, h);
    else
        DL_APPEND(l->holdings, h);
    t->held++;
    return h;
}

void holding_remove(struct lock_table *t, struct holding *h)
{
    struct lock *l = h->lock;

    while (h->shares != NULL)
        share_remove(t, h, h->shares);
    DL_DELETE(l->holdings, h);
    t->held--;
    free(h);
}
