/* SPDX-License-Identifier: MIT */
/*
 * table_share.c - the shares of holdings: each lock has a list of its own, and
 * all of them are in one hash, which keeps the usual lock with one share small.
 */
#include <string.h>

#include "table_inner.h"

static void set_key(struct share_key *k, const struct lock *l, const char *name)
{
    memset(k, 0, sizeof(*k));
    k->lock = l;
    memcpy(k->name, name, strnlen(name, LOCK_SHARE_MAX));
}

struct share *share_find(const struct lock_table *t, const struct lock *l,
                         const char *name)
{
    struct share_key key;
    struct share *s;

    set_key(&key, l, name);
    HASH_FIND(hh, t->shares, &key, sizeof(key), s);
    return s;
}

struct share *share_add(struct lock_table *t, struct lock *l, const char *name)
{
    struct share *s = NULL;

    if (payer_may(t, LOCK_LIMIT_HELD))
        s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    set_key(&s->key, l, name);
    HASH_ADD(hh, t->shares, key, sizeof(s->key), s);
    if (s->hh.tbl == NULL) {
        free(s);
        return NULL;
    }
    s->payer = payer_charge(t, LOCK_LIMIT_HELD);
    DL_APPEND(l->shares, s);
    l->shares_len++;
    return s;
}

void share_remove(struct lock_table *t, struct lock *l, struct share *s)
{
    HASH_DEL(t->shares, s);
    DL_DELETE(l->shares, s);
    l->shares_len--;
    payer_release(t, LOCK_LIMIT_HELD, s->payer);
    free(s);
}

void share_change(struct lock_table *t, enum lock_change_kind kind,
                  const struct lock *l, const struct share *s)
{
    struct lock_row row = {.id = l->id,
                           .client_len = l->holder.len,
                           .life_s = s->life_s,
                           .token = l->token,
                           .since_s = l->since_s,
                           .is_broken = l->is_broken};

    memcpy(row.client, l->holder.id, l->holder.len);
    memcpy(row.share, s->key.name, sizeof(row.share));
    memcpy(row.label, l->label, sizeof(row.label));
    change_add(t, kind, &row);
}

void shares_expire(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct share *s, *tmp;
    bool was_held = l->shares != NULL;

    DL_FOREACH_SAFE(l->shares, s, tmp)
    {
        if (s->expires_ms > now_ms)
            continue;
        share_change(t, LOCK_DROP, l, s);
        share_remove(t, l, s);
        t->counts.expired++;
    }
    if (was_held && l->shares == NULL)
        t->held--;
}
