/* SPDX-License-Identifier: MIT */
/*
 * table_share.c - the shares of holdings: each holding has a list of its own,
 * and all are in one hash, which keeps the usual one with one share small.
 */
#include <string.h>

#include "table_inner.h"

static void set_key(struct share_key *k, const struct holding *h,
                    const char *name)
{
    memset(k, 0, sizeof(*k));
    k->holding = h;
    memcpy(k->name, name, strnlen(name, LOCK_SHARE_MAX));
}

struct share *share_find(const struct lock_table *t, const struct holding *h,
                         const char *name)
{
    struct share_key key;
    struct share *s;

    set_key(&key, h, name);
    HASH_FIND(hh, t->shares, &key, sizeof(key), s);
    return s;
}

struct share *share_add(struct lock_table *t, struct holding *h,
                        const char *name)
{
    struct share *s = NULL;

    if (payer_may(t, LOCK_LIMIT_HELD))
        s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    set_key(&s->key, h, name);
    HASH_ADD(hh, t->shares, key, sizeof(s->key), s);
    if (s->hh.tbl == NULL) {
        free(s);
        return NULL;
    }
    s->payer = payer_charge(t, LOCK_LIMIT_HELD);
    DL_APPEND(h->shares, s);
    h->shares_len++;
    return s;
}

void share_remove(struct lock_table *t, struct holding *h, struct share *s)
{
    HASH_DEL(t->shares, s);
    DL_DELETE(h->shares, s);
    h->shares_len--;
    payer_release(t, LOCK_LIMIT_HELD, s->payer);
    free(s);
}

void share_change(struct lock_table *t, enum lock_change_kind kind,
                  const struct holding *h, const struct share *s)
{
    struct lock_row row = {.id = h->lock->id,
                           .client_len = h->holder.len,
                           .life_s = s->life_s,
                           .slot = h->slot,
                           .slots = h->slots,
                           .token = h->token,
                           .since_s = h->since_s,
                           .is_broken = h->is_broken};

    memcpy(row.client, h->holder.id, h->holder.len);
    memcpy(row.share, s->key.name, sizeof(row.share));
    memcpy(row.label, h->label, sizeof(row.label));
    change_add(t, kind, &row);
}

static void expire(struct lock_table *t, struct holding *h, int64_t now_ms)
{
    struct share *s, *tmp;

    DL_FOREACH_SAFE(h->shares, s, tmp)
    {
        if (s->expires_ms > now_ms)
            continue;
        share_change(t, LOCK_DROP, h, s);
        share_remove(t, h, s);
        t->counts.expired++;
    }
}

void shares_expire(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct holding *h, *tmp;

    DL_FOREACH_SAFE(l->holdings, h, tmp)
    {
        expire(t, h, now_ms);
        if (h->shares == NULL)
            holding_remove(t, h);
    }
}
