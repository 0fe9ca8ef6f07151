/* SPDX-License-Identifier: MIT */
/*
 * table_view.c - what may be seen of the lock table. Client ids are secrets
 * and are never part of it.
 */
#include <string.h>

#include "table_inner.h"

static void look(const struct lock *l, int64_t now_ms, struct lock_view *ret)
{
    const struct share *s;
    const struct waiter *w;

    memset(ret, 0, sizeof(*ret));
    ret->id = l->id;
    ret->shares = l->shares_len;
    DL_FOREACH (l->waiters, w)
        ret->waiters++;
    DL_FOREACH (l->shares, s)
        if (s->expires_ms - now_ms > ret->expires_ms)
            ret->expires_ms = s->expires_ms - now_ms;
    ret->is_held = l->shares != NULL && ret->expires_ms > 0;
    if (!ret->is_held)
        return;
    ret->is_broken = l->is_broken;
    ret->token = l->token;
    ret->since_s = l->since_s;
    memcpy(ret->holder, l->label, sizeof(ret->holder));
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

struct lock_counts lock_counts(const struct lock_table *t)
{
    struct lock_counts c = t->counts;

    c.held = t->held;
    c.waiters = t->waiters;
    c.offers_open = t->offers_open;
    c.tombs = HASH_COUNT(t->tombs);
    return c;
}
