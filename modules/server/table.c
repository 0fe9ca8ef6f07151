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
    while (l->shares != NULL)
        share_remove(t, l, l->shares);
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
    if (l->shares == NULL && l->waiters == NULL && l->offer_until_ms == 0)
        lock_free(t, l);
}

struct lock *lock_find(const struct lock_table *t, const struct lock_id *id)
{
    struct lock *l;

    HASH_FIND(hh, t->locks, id->bytes, sizeof(id->bytes), l);
    return l;
}

static struct lock *lock_get(struct lock_table *t, const struct lock_id *id)
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

static void answer_conflict(const struct lock *l, struct lock_answer *ret)
{
    ret->result = LOCK_CONFLICT;
    if (l == NULL || l->shares == NULL)
        return;
    memcpy(ret->holder, l->label, sizeof(ret->holder));
    ret->since_s = l->since_s;
}

/* The holder refreshes, or brings a further share. */
static void renew(struct lock_table *t, struct lock *l,
                  const struct lock_request *q, int64_t now_ms,
                  struct lock_answer *ret)
{
    struct share *s = share_find(t, l, q->share);
    int64_t expires_ms = now_ms + (int64_t)q->life_s * 1000;

    if (s == NULL) {
        if (l->shares_len >= LOCK_SHARES_MAX ||
            (s = share_add(t, l, q->share)) == NULL) {
            ret->result = LOCK_BUSY;
            return;
        }
        s->life_s = q->life_s;
        s->expires_ms = expires_ms;
        share_change(t, LOCK_PUT, l, s);
        heap_place(t, l, expires_ms);
    } else if (q->life_s > s->life_s) {
        s->life_s = q->life_s;
        share_change(t, LOCK_PUT, l, s);
    }
    /* Never earlier: a late duplicate with a shorter life changes nothing. */
    if (expires_ms > s->expires_ms)
        s->expires_ms = expires_ms;
    payer_adopt(t, s);
    queue_leave(t, l, q);
    t->counts.refreshes++;
    ret->result = LOCK_RENEWED;
    ret->token = l->token;
}

static void grant(struct lock_table *t, struct lock *l,
                  const struct lock_request *q, int64_t now_ms, int64_t wall_s,
                  struct lock_answer *ret)
{
    struct share *s = share_add(t, l, q->share);

    if (s == NULL) {
        ret->result = LOCK_BUSY;
        return;
    }
    queue_end_offer(t, l);
    set_client(&l->holder, q);
    memcpy(l->label, q->label, sizeof(l->label));
    l->token = ++t->last_token;
    l->since_s = wall_s;
    l->is_broken = false;
    s->life_s = q->life_s;
    s->expires_ms = now_ms + (int64_t)q->life_s * 1000;
    share_change(t, LOCK_PUT, l, s);
    heap_place(t, l, s->expires_ms);
    queue_leave(t, l, q);
    queue_offer_to(t, l, &l->holder, now_ms);
    t->held++;
    t->counts.grants++;
    ret->result = LOCK_NEW;
    ret->token = l->token;
}

void lock_take(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, int64_t wall_s, struct lock_answer *ret)
{
    struct lock *l = lock_find(t, &q->id);

    memset(ret, 0, sizeof(*ret));
    /* What ended before this request was read is no longer in its way. */
    if (l != NULL)
        lock_expire(t, l, now_ms);
    if (tomb_covers(t, q, now_ms)) {
        /* A late duplicate of a share that was given back. */
        answer_conflict(l, ret);
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
    if (l->shares != NULL && same_client(&l->holder, q)) {
        if (l->is_broken)
            answer_conflict(l, ret);
        else
            renew(t, l, q, now_ms, ret);
    } else if (l->shares == NULL && queue_is_turn(l, q)) {
        grant(t, l, q, now_ms, wall_s, ret);
    } else if (q->wait_s > 0) {
        queue_enter(t, l, q, now_ms, ret);
    } else {
        answer_conflict(l, ret);
        queue_refused(t, l, q, now_ms);
    }
    if (ret->result == LOCK_CONFLICT)
        t->counts.conflicts++;
    lock_tidy(t, l);
}

/* ---- giving back ---- */

void lock_give(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, struct lock_answer *ret)
{
    struct lock *l = lock_find(t, &q->id);
    struct share *s = NULL;

    memset(ret, 0, sizeof(*ret));
    if (l != NULL)
        lock_expire(t, l, now_ms);
    if (l != NULL && l->shares != NULL && same_client(&l->holder, q))
        s = share_find(t, l, q->share);
    /* Known or not: what it would bring back may be on its way. */
    if (!tomb_put(t, q,
                  s != NULL && s->life_s > q->life_s ? s->life_s : q->life_s,
                  now_ms)) {
        ret->result = LOCK_BUSY;
    } else if (s != NULL) {
        share_change(t, LOCK_DROP, l, s);
        share_remove(t, l, s);
        t->counts.releases++;
        ret->result = LOCK_RELEASED;
        if (l->shares == NULL)
            t->held--;
    } else {
        answer_conflict(l, ret);
    }
    if (l == NULL)
        return;
    if (ret->result != LOCK_BUSY) {
        queue_leave(t, l, q);
        queue_withdraw(t, l, q, now_ms);
    }
    lock_tidy(t, l);
}

bool lock_break(struct lock_table *t, const struct lock_id *id)
{
    struct lock *l = lock_find(t, id);
    const struct share *s;

    if (l == NULL || l->shares == NULL)
        return false;
    l->is_broken = true;
    DL_FOREACH (l->shares, s)
        share_change(t, LOCK_PUT, l, s);
    return true;
}

/* ---- the store's side ---- */

bool lock_writes(const struct lock_table *t, const struct lock_request *q,
                 bool is_give, int64_t now_ms)
{
    const struct lock *l = lock_find(t, &q->id);
    const struct share *s;

    if (is_give || l == NULL || l->shares == NULL)
        return !(!is_give && tomb_covers(t, q, now_ms));
    DL_FOREACH (l->shares, s)
        if (s->expires_ms <= now_ms)
            return true;
    if (!same_client(&l->holder, q) || l->is_broken ||
        tomb_covers(t, q, now_ms))
        return false;
    s = share_find(t, l, q->share);
    return s == NULL || q->life_s > s->life_s;
}

static enum justalock_status load_share(struct lock_table *t,
                                        const struct lock_row *row,
                                        const struct lock_request *q,
                                        int64_t now_ms)
{
    struct lock *l = lock_get(t, &row->id);
    struct share *s;

    if (l == NULL)
        return JUSTALOCK_NOMEM;
    /* Two holders of one lock: not a state that we wrote. */
    if (l->shares != NULL &&
        (!same_client(&l->holder, q) || l->token != row->token ||
         share_find(t, l, row->share) != NULL))
        return JUSTALOCK_PROTO;
    s = share_add(t, l, row->share);
    if (s == NULL) {
        lock_tidy(t, l);
        return JUSTALOCK_NOMEM;
    }
    if (l->shares_len == 1)
        t->held++;
    set_client(&l->holder, q);
    memcpy(l->label, row->label, sizeof(l->label));
    l->token = row->token;
    l->since_s = row->since_s;
    l->is_broken = row->is_broken;
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
    if (!is_tomb)
        st = load_share(t, row, &q, now_ms);
    else if (!tomb_put(t, &q, row->life_s, now_ms))
        st = JUSTALOCK_NOMEM;
    lock_changes_clear(t);
    return st;
}

void lock_carry_over(struct lock_table *t, const struct lock_table *old)
{
    struct share *s;

    t->counts = old->counts;
    for (s = t->shares; s != NULL; s = s->hh.next) {
        struct lock *l = lock_find(t, &s->key.lock->id);
        const struct lock *was = lock_find(old, &l->id);
        const struct share *s_was;

        if (was == NULL || was->token != l->token)
            continue;
        s_was = share_find(old, was, s->key.name);
        if (s_was == NULL || s_was->expires_ms >= s->expires_ms)
            continue;
        s->expires_ms = s_was->expires_ms;
        heap_place(t, l, s->expires_ms);
    }
}

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
