/* SPDX-License-Identifier: MIT */
/*
 * table.c - the rules of the lock protocol, see table.h. Requests come in
 * here; see table_inner.h for the other files.
 */
#include "table_inner.h"

#include <stdlib.h>
#include <string.h>

struct lock_table *lock_table_new(lock_wake_fn *wake, void *arg,
                                  uint64_t last_token)
{
    struct lock_table *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->wake = wake;
    t->arg = arg;
    t->last_token = last_token;
    t->is_whole = true;
    t->limits = lock_limits_default();
    return t;
}

static void lock_free(struct lock_table *t, struct lock *l)
{
    while (l->holdings != NULL)
        holding_remove(t, l->holdings);
    queue_free(t, l);
    heap_remove(t, l);
    HASH_DEL(t->locks, l);
    free(l);
}

void lock_table_free(struct lock_table *t)
{
    struct lock *l, *tmp;

    if (t == NULL)
        return;
    HASH_ITER (hh, t->locks, l, tmp) {
        lock_free(t, l);
    }
    tombs_free(t);
    payers_free(t);
    free(t->heap);
    free(t->changes);
    free(t);
}

void lock_tidy(struct lock_table *t, struct lock *l)
{
    if (l->holdings == NULL && l->waiters == NULL && l->offers == NULL)
        lock_free(t, l);
}

struct lock *lock_find(const struct lock_table *t, const struct lock_id *id)
{
    struct lock *l;

    HASH_FIND(hh, t->locks, id->bytes, sizeof(id->bytes), l);
    return l;
}

struct lock *lock_get(struct lock_table *t, const struct lock_id *id)
{
    struct lock *l = lock_find(t, id);

    if (l != NULL)
        return l;
    l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->id = *id;
    l->heap_at = HEAP_NONE;
    /* Room in the heap is made here, so that placing it there cannot fail. */
    if (!heap_reserve(t)) {
        free(l);
        return NULL;
    }
    HASH_ADD(hh, t->locks, id.bytes, sizeof(l->id.bytes), l);
    if (l->hh.tbl == NULL) {
        free(l);
        return NULL;
    }
    return l;
}

bool are_same(const struct client *a, const struct client *b)
{
    return a->len == b->len && memcmp(a->id, b->id, a->len) == 0;
}

bool same_client(const struct client *c, const struct lock_request *q)
{
    return c->len == q->client_len && memcmp(c->id, q->client, c->len) == 0;
}

void set_client(struct client *c, const struct lock_request *q)
{
    memset(c, 0, sizeof(*c));
    c->len = q->client_len;
    memcpy(c->id, q->client, q->client_len);
}

void change_add(struct lock_table *t, enum lock_change_kind kind,
                const struct lock_row *row)
{
    struct lock_change *more;

    if (t->changes_len == t->changes_cap) {
        size_t cap = t->changes_cap == 0 ? 64 : t->changes_cap * 2;

        more = realloc(t->changes, cap * sizeof(*more));
        if (more == NULL) {
            t->is_whole = false;
            return;
        }
        t->changes = more;
        t->changes_cap = cap;
    }
    more = &t->changes[t->changes_len++];
    more->kind = kind;
    more->row = *row;
}

/* ---- taking ---- */

static struct holding *holding_by(const struct lock *l,
                                  const struct lock_request *q)
{
    struct client c;

    set_client(&c, q);
    return holding_of(l, &c);
}

/* h: whom to name; NULL: whoever is in the lowest slot. */
static void answer_conflict(const struct lock *l, const struct holding *h,
                            struct lock_answer *ret)
{
    ret->result = LOCK_CONFLICT;
    if (h == NULL && l != NULL)
        h = l->holdings;
    if (h == NULL)
        return;
    memcpy(ret->holder, h->label, sizeof(ret->holder));
    ret->since_s = h->since_s;
}

static void answer_broken(const struct holding *h, struct lock_answer *ret)
{
    answer_conflict(NULL, h, ret);
    ret->is_broken = true;
}

static void answer_taken(const struct holding *h, enum lock_result result,
                         struct lock_answer *ret)
{
    ret->result = result;
    ret->token = h->token;
    ret->slot = h->slot;
}

/* The holder refreshes, or brings a further share. Its slot, and with how many
 * it is in, are as they were when it came in. */
static void renew(struct lock_table *t, struct holding *h,
                  const struct lock_request *q, int64_t now_ms,
                  struct lock_answer *ret)
{
    struct share *s = share_find(t, h, q->share);
    int64_t expires_ms = now_ms + (int64_t)q->life_s * 1000;

    if (s == NULL) {
        if (h->shares_len >= LOCK_SHARES_MAX ||
            (s = share_add(t, h, q->share)) == NULL) {
            ret->result = LOCK_BUSY;
            return;
        }
        s->life_s = q->life_s;
        s->expires_ms = expires_ms;
        share_change(t, LOCK_PUT, h, s);
        heap_place(t, h->lock, expires_ms);
    } else if (q->life_s > s->life_s) {
        s->life_s = q->life_s;
        share_change(t, LOCK_PUT, h, s);
    }
    /* Never earlier: a late duplicate with a shorter life changes nothing. */
    if (expires_ms > s->expires_ms)
        s->expires_ms = expires_ms;
    payer_adopt(t, s);
    queue_leave(t, h->lock, q);
    t->counts.refreshes++;
    answer_taken(h, LOCK_RENEWED, ret);
}

static void grant(struct lock_table *t, struct lock *l,
                  const struct lock_request *q, int64_t now_ms, int64_t wall_s,
                  struct lock_answer *ret)
{
    struct holding *h = holding_add(t, l, lock_free_slot(l), slots_of(q));
    struct share *s = h != NULL ? share_add(t, h, q->share) : NULL;

    if (s == NULL) {
        if (h != NULL)
            holding_remove(t, h);
        ret->result = LOCK_BUSY;
        return;
    }
    set_client(&h->holder, q);
    queue_end_offer(t, l, &h->holder);
    memcpy(h->label, q->label, sizeof(h->label));
    h->token = ++t->last_token;
    h->since_s = wall_s;
    s->life_s = q->life_s;
    s->expires_ms = now_ms + (int64_t)q->life_s * 1000;
    share_change(t, LOCK_PUT, h, s);
    heap_place(t, l, s->expires_ms);
    queue_leave(t, l, q);
    queue_offer_to(t, l, &h->holder, now_ms);
    queue_pass_on(t, l, now_ms); /* it may have kept others from theirs */
    t->counts.grants++;
    answer_taken(h, LOCK_NEW, ret);
}

static bool may_enter(const struct lock *l, const struct lock_request *q)
{
    struct client c;

    set_client(&c, q);
    return queue_is_turn(l, &c) &&
           lock_has_room(l, slots_of(q), offer_of(l, &c));
}

/* Who asks is no holder. */
static void take(struct lock_table *t, struct lock *l,
                 const struct lock_request *q, int64_t now_ms, int64_t wall_s,
                 struct lock_answer *ret)
{
    if (may_enter(l, q)) {
        grant(t, l, q, now_ms, wall_s, ret);
    } else if (q->wait_s > 0) {
        queue_enter(t, l, q, now_ms, ret);
    } else {
        answer_conflict(l, NULL, ret);
        queue_refused(t, l, q, now_ms);
    }
}

void lock_take(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, int64_t wall_s, struct lock_answer *ret)
{
    struct lock *l = lock_find(t, &q->id);
    struct holding *h;

    memset(ret, 0, sizeof(*ret));
    /* What ended before this request was read is no longer in its way. */
    if (l != NULL)
        lock_expire(t, l, now_ms);
    if (tomb_covers(t, q, now_ms)) {
        /* A late duplicate of a share that was given back. */
        answer_conflict(l, NULL, ret);
        t->counts.conflicts++;
        if (l != NULL)
            lock_tidy(t, l);
        return;
    }
    l = lock_get(t, &q->id);
    if (l == NULL) {
        ret->result = LOCK_BUSY;
        return;
    }
    h = holding_by(l, q);
    if (h == NULL)
        take(t, l, q, now_ms, wall_s, ret);
    else if (h->is_broken)
        answer_broken(h, ret);
    else
        renew(t, h, q, now_ms, ret);
    if (ret->result == LOCK_CONFLICT)
        t->counts.conflicts++;
    lock_tidy(t, l);
}

/* ---- giving back ---- */

void lock_give(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, struct lock_answer *ret)
{
    struct lock *l = lock_find(t, &q->id);
    struct holding *h = NULL;
    struct share *s = NULL;

    memset(ret, 0, sizeof(*ret));
    if (l != NULL) {
        lock_expire(t, l, now_ms);
        h = holding_by(l, q);
    }
    if (h != NULL)
        s = share_find(t, h, q->share);
    /* Known or not: what it would bring back may be on its way. */
    if (!tomb_put(t, q,
                  s != NULL && s->life_s > q->life_s ? s->life_s : q->life_s,
                  now_ms)) {
        ret->result = LOCK_BUSY;
    } else if (s != NULL) {
        share_change(t, LOCK_DROP, h, s);
        share_remove(t, h, s);
        t->counts.releases++;
        ret->result = LOCK_RELEASED;
        if (h->shares == NULL)
            holding_remove(t, h);
    } else {
        answer_conflict(l, h, ret);
    }
    if (l == NULL)
        return;
    if (ret->result != LOCK_BUSY) {
        queue_leave(t, l, q);
        queue_withdraw(t, l, q, now_ms);
    }
    lock_tidy(t, l);
}

bool lock_break(struct lock_table *t, const struct lock_id *id, unsigned slot)
{
    struct lock *l = lock_find(t, id);
    struct holding *h;
    const struct share *s;
    bool any = false;

    if (l == NULL)
        return false;
    DL_FOREACH (l->holdings, h) {
        if (slot != LOCK_ALL_SLOTS && h->slot != slot)
            continue;
        h->is_broken = any = true;
        DL_FOREACH (h->shares, s)
            share_change(t, LOCK_PUT, h, s);
    }
    return any;
}

/* ---- what changed ---- */

const struct lock_change *lock_changes(const struct lock_table *t,
                                       size_t *ret_len, bool *ret_whole)
{
    *ret_len = t->changes_len;
    *ret_whole = t->is_whole;
    return t->changes;
}

void lock_changes_clear(struct lock_table *t)
{
    t->changes_len = 0;
    t->is_whole = true;
}

uint64_t lock_last_token(const struct lock_table *t)
{
    return t->last_token;
}
