/* SPDX-License-Identifier: MIT */
/*
 * table_tomb.c - shares that were given back are remembered for a while, so
 * that no late duplicate brings one back or frees the next holder.
 *
 * A busy lock leaves hundreds of them in a second, so they are found by one
 * hash, and end by a wheel with a slot for each second: a share is remembered
 * for up to a second more, and for as long as nothing happens, which harms
 * nobody.
 */
#include <string.h>

#include "table_inner.h"

/* More seconds than one is ever remembered for. */
#define WHEEL_SLOTS ((int64_t)1 << 17)

_Static_assert(WHEEL_SLOTS > JUSTALOCK_LIFE_MAX_S + LOCK_TOMB_EXTRA_S + 2,
               "the wheel must not come round to a tomb before it ends");

static void set_key(struct tomb_key *k, const struct lock_request *q)
{
    memset(k, 0, sizeof(*k));
    k->id = q->id;
    memcpy(k->client, q->client, q->client_len);
    k->client_len = (uint8_t)q->client_len;
    memcpy(k->share, q->share, strnlen(q->share, LOCK_SHARE_MAX));
}

static struct tomb *find(const struct lock_table *t,
                         const struct lock_request *q)
{
    struct tomb_key key;
    struct tomb *b;

    if (t->tombs == NULL)
        return NULL;
    set_key(&key, q);
    HASH_FIND(hh, t->tombs, &key, sizeof(key), b);
    return b;
}

bool tomb_covers(const struct lock_table *t, const struct lock_request *q,
                 int64_t now_ms)
{
    const struct tomb *b = find(t, q);

    return b != NULL && b->until_ms > now_ms;
}

/* The first whole second that is not before it ends. */
static struct tomb **slot_of(struct lock_table *t, const struct tomb *b)
{
    return &t->wheel[(b->until_ms / 1000 + 1) % WHEEL_SLOTS];
}

static struct tomb *add(struct lock_table *t, const struct lock_request *q,
                        int64_t now_ms)
{
    struct tomb *b;

    if (!payer_may(t, LOCK_LIMIT_RELEASED))
        return NULL;
    if (t->wheel == NULL) {
        t->wheel = calloc((size_t)WHEEL_SLOTS, sizeof(struct tomb *));
        if (t->wheel == NULL)
            return NULL;
        t->wheel_s = now_ms / 1000;
    }
    b = calloc(1, sizeof(*b));
    if (b == NULL)
        return NULL;
    set_key(&b->key, q);
    HASH_ADD(hh, t->tombs, key, sizeof(b->key), b);
    if (b->hh.tbl == NULL) {
        free(b);
        return NULL;
    }
    b->payer = payer_charge(t, LOCK_LIMIT_RELEASED);
    return b;
}

static void change(struct lock_table *t, enum lock_change_kind kind,
                   const struct tomb *b)
{
    struct lock_row row = {
        .id = b->key.id, .client_len = b->key.client_len, .life_s = b->life_s};

    memcpy(row.client, b->key.client, sizeof(row.client));
    memcpy(row.share, b->key.share, sizeof(row.share));
    change_add(t, kind, &row);
}

bool tomb_put(struct lock_table *t, const struct lock_request *q,
              unsigned life_s, int64_t now_ms)
{
    struct tomb *b;

    /* A client without shares gives this protection up: its next POST is the
     * same as a late duplicate of its last. */
    if (q->share[0] == '\0')
        return true;
    b = find(t, q);
    if (b == NULL) {
        b = add(t, q, now_ms);
        if (b == NULL)
            return false;
    } else {
        struct tomb **slot = slot_of(t, b);

        DL_DELETE(*slot, b);
    }
    if (life_s > b->life_s)
        b->life_s = life_s;
    b->until_ms = now_ms + ((int64_t)b->life_s + LOCK_TOMB_EXTRA_S) * 1000;
    struct tomb **slot = slot_of(t, b);
    DL_APPEND(*slot, b);
    change(t, LOCK_PUT_TOMB, b);
    return true;
}

void tombs_expire(struct lock_table *t, int64_t now_ms)
{
    int64_t now_s = now_ms / 1000;

    if (t->wheel == NULL)
        return;
    if (now_s - t->wheel_s >= WHEEL_SLOTS) /* once round is all of them */
        t->wheel_s = now_s - WHEEL_SLOTS + 1;
    for (; t->wheel_s <= now_s; t->wheel_s++) {
        struct tomb **slot = &t->wheel[t->wheel_s % WHEEL_SLOTS];
        struct tomb *b, *tmp;

        DL_FOREACH_SAFE(*slot, b, tmp)
        {
            change(t, LOCK_DROP_TOMB, b);
            DL_DELETE(*slot, b);
            HASH_DEL(t->tombs, b);
            payer_release(t, LOCK_LIMIT_RELEASED, b->payer);
            free(b);
        }
    }
}

void tombs_free(struct lock_table *t)
{
    struct tomb *b, *tmp;

    HASH_ITER (hh, t->tombs, b, tmp) {
        HASH_DEL(t->tombs, b);
        free(b);
    }
    free(t->wheel);
    t->wheel = NULL;
}
