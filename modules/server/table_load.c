/* SPDX-License-Identifier: MIT */
/*
 * table_load.c - the store's side of the lock table: what would change it, and
 * what it brings back at a start or after a commit that failed.
 */
#include <string.h>

#include "table_inner.h"

bool lock_writes(const struct lock_table *t, const struct lock_request *q,
                 bool is_give, int64_t now_ms)
{
    const struct lock *l = lock_find(t, &q->id);
    const struct holding *h;
    const struct share *s;
    struct client c;

    if (is_give || l == NULL || l->holdings == NULL)
        return is_give || !tomb_covers(t, q, now_ms);
    DL_FOREACH (l->holdings, h)
        DL_FOREACH (h->shares, s)
            if (s->expires_ms <= now_ms)
                return true;
    if (tomb_covers(t, q, now_ms))
        return false;
    set_client(&c, q);
    h = holding_of(l, &c);
    if (h == NULL)
        return lock_has_room(l, slots_of(q), offer_of(l, &c));
    if (h->is_broken)
        return false;
    s = share_find(t, h, q->share);
    return s == NULL || q->life_s > s->life_s;
}

/* Two holders in a slot, one holder in two, more than one of them goes with:
 * not a state that we wrote. */
static bool contradicts(const struct lock_table *t, const struct lock *l,
                        const struct lock_row *row, const struct client *c)
{
    const struct holding *h = holding_of(l, c);

    if (row->slot >= row->slots || row->slots > LOCK_SLOTS_MAX)
        return true;
    if (h == NULL)
        return holding_in(l, row->slot) != NULL ||
               !lock_has_room(l, row->slots, NULL);
    return h->slot != row->slot || h->slots != row->slots ||
           h->token != row->token || share_find(t, h, row->share) != NULL;
}

static struct holding *load_holding(struct lock_table *t, struct lock *l,
                                    const struct lock_row *row,
                                    const struct client *c)
{
    struct holding *h = holding_of(l, c);

    if (h == NULL)
        h = holding_add(t, l, row->slot, row->slots);
    if (h == NULL)
        return NULL;
    h->holder = *c;
    memcpy(h->label, row->label, sizeof(h->label));
    h->token = row->token;
    h->since_s = row->since_s;
    h->is_broken = row->is_broken;
    return h;
}

static enum justalock_status load_share(struct lock_table *t,
                                        const struct lock_row *row,
                                        const struct lock_request *q,
                                        int64_t now_ms)
{
    struct lock *l = lock_get(t, &row->id);
    struct holding *h;
    struct share *s = NULL;
    struct client c;

    if (l == NULL)
        return JUSTALOCK_NOMEM;
    set_client(&c, q);
    if (contradicts(t, l, row, &c)) {
        lock_tidy(t, l);
        return JUSTALOCK_PROTO;
    }
    h = load_holding(t, l, row, &c);
    if (h != NULL)
        s = share_add(t, h, row->share);
    if (s == NULL) {
        if (h != NULL && h->shares == NULL)
            holding_remove(t, h);
        lock_tidy(t, l);
        return JUSTALOCK_NOMEM;
    }
    s->life_s = row->life_s;
    s->expires_ms = now_ms + (int64_t)row->life_s * 1000;
    heap_place(t, l, s->expires_ms);
    if (row->token > t->last_token)
        t->last_token = row->token;
    return JUSTALOCK_OK;
}

enum justalock_status lock_load(struct lock_table *t,
                                const struct lock_row *row, bool is_tomb,
                                int64_t now_ms)
{
    struct lock_request q = {.id = row->id, .client_len = row->client_len};
    enum justalock_status st = JUSTALOCK_OK;

    memcpy(q.client, row->client, row->client_len);
    memcpy(q.share, row->share, sizeof(q.share));
    t->is_loading = true;
    if (!is_tomb)
        st = load_share(t, row, &q, now_ms);
    else if (!tomb_put(t, &q, row->life_s, now_ms))
        st = JUSTALOCK_NOMEM;
    t->is_loading = false;
    lock_changes_clear(t);
    return st;
}

void lock_carry_over(struct lock_table *t, const struct lock_table *old)
{
    struct share *s;

    t->counts = old->counts;
    for (s = t->shares; s != NULL; s = s->hh.next) {
        const struct holding *h = s->key.holding;
        const struct lock *l_was = lock_find(old, &h->lock->id);
        const struct holding *was =
            l_was != NULL ? holding_in(l_was, h->slot) : NULL;
        const struct share *s_was;

        if (was == NULL || was->token != h->token)
            continue;
        s_was = share_find(old, was, s->key.name);
        if (s_was == NULL || s_was->expires_ms >= s->expires_ms)
            continue;
        s->expires_ms = s_was->expires_ms;
        heap_place(t, h->lock, s->expires_ms);
    }
}
