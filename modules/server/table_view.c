/* SPDX-License-Identifier: MIT */
/*
 * table_view.c - what may be seen of the lock table. Client ids are secrets
 * and are never part of it.
 */
#include <string.h>

#include "table_inner.h"

/* false: all that it has is over, and is only not yet taken away. */
static bool look_at(const struct holding *h, int64_t now_ms,
                    struct lock_holder *ret)
{
    const struct share *s;

    memset(ret, 0, sizeof(*ret));
    DL_FOREACH (h->shares, s)
        if (s->expires_ms - now_ms > ret->expires_ms)
            ret->expires_ms = s->expires_ms - now_ms;
    ret->slot = h->slot;
    ret->shares = h->shares_len;
    ret->is_broken = h->is_broken;
    ret->token = h->token;
    ret->since_s = h->since_s;
    memcpy(ret->label, h->label, sizeof(ret->label));
    return ret->expires_ms > 0;
}

static void look(const struct lock *l, int64_t now_ms, struct lock_view *ret)
{
    const struct holding *h;
    const struct waiter *w;
    struct lock_holder holder;

    memset(ret, 0, sizeof(*ret));
    ret->id = l->id;
    DL_FOREACH (l->waiters, w)
        ret->waiters++;
    DL_FOREACH (l->holdings, h) {
        if (!look_at(h, now_ms, &holder))
            continue;
        if (ret->holders++ == 0)
            ret->first = holder;
        if (ret->holders == 1 || h->since_s < ret->oldest_s)
            ret->oldest_s = h->since_s;
        if (ret->slots == 0 || h->slots < ret->slots)
            ret->slots = h->slots;
    }
    ret->is_held = ret->holders > 0;
}

bool lock_look(const struct lock_table *t, const struct lock_id *id,
               int64_t now_ms, struct lock_view *ret_view)
{
    const struct lock *l = lock_find(t, id);

    if (l == NULL)
        return false;
    look(l, now_ms, ret_view);
    return ret_view->is_held || ret_view->waiters > 0;
}

void lock_each(const struct lock_table *t, int64_t now_ms, lock_view_fn *fn,
               void *arg)
{
    const struct lock *l;
    struct lock_view view;

    for (l = t->locks; l != NULL; l = l->hh.next) {
        look(l, now_ms, &view);
        if ((view.is_held || view.waiters > 0) && !fn(arg, &view))
            return;
    }
}

void lock_holders(const struct lock_table *t, const struct lock_id *id,
                  int64_t now_ms, lock_holder_fn *fn, void *arg)
{
    const struct lock *l = lock_find(t, id);
    const struct holding *h;
    struct lock_holder holder;

    if (l == NULL)
        return;
    DL_FOREACH (l->holdings, h)
        if (look_at(h, now_ms, &holder) && !fn(arg, &holder))
            return;
}

struct lock_counts lock_counts(const struct lock_table *t)
{
    struct lock_counts c = t->counts;

    c.held = t->held;
    c.waiters = t->waiters;
    c.offers_open = t->offers_open;
    c.tombs = HASH_COUNT(t->tombs);
    return c;
}
