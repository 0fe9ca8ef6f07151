/* SPDX-License-Identifier: MIT */
/*
 * table.c - the rules of the lock protocol, see table.h. Requests come in
 * here; what happens with time is in table_time.c, what is shown in
 * table_view.c.
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
    return t;
}

static void lock_free(struct lock_table *t, struct lock *l)
{
    while (l->shares != NULL)
        share_remove(l, l->shares);
    while (l->waiters != NULL)
        waiter_remove(t, l, l->waiters);
    while (l->tombs != NULL)
        tomb_remove(t, l, l->tombs);
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
    free(t->heap);
    free(t->changes);
    free(t);
}

void lock_tidy(struct lock_table *t, struct lock *l)
{
    if (l->shares == NULL && l->waiters == NULL && l->tombs == NULL &&
        l->offer_until_ms == 0)
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

static struct share *share_find(struct lock *l, const char *name)
{
    struct share *s;

    HASH_FIND_STR(l->shares, name, s);
    return s;
}

void share_remove(struct lock *l, struct share *s)
{
    HASH_DEL(l->shares, s);
    free(s);
}

void tomb_remove(struct lock_table *t, struct lock *l, struct tomb *b)
{
    DL_DELETE(l->tombs, b);
    t->tombs--;
    free(b);
}

static struct tomb *tomb_find(struct lock *l, const struct lock_request *q)
{
    struct tomb *b;

    if (q->share[0] == '\0')
        return NULL;
    DL_FOREACH (l->tombs, b)
        if (same_client(&b->client, q) && strcmp(b->share, q->share) == 0)
            return b;
    return NULL;
}

/* ---- changes ----------------------------------------------------------------
 */

static struct lock_change *change(struct lock_table *t)
{
    struct lock_change *more;

    if (t->changes_len == t->changes_cap) {
        size_t cap = t->changes_cap == 0 ? 64 : t->changes_cap * 2;

        more = realloc(t->changes, cap * sizeof(*more));
        if (more == NULL) {
            t->is_whole = false;
            return NULL;
        }
        t->changes = more;
        t->changes_cap = cap;
    }
    more = &t->changes[t->changes_len++];
    memset(more, 0, sizeof(*more));
    return more;
}

void change_share(struct lock_table *t, enum lock_change_kind kind,
                  const struct lock *l, const struct share *s)
{
    struct lock_change *c = change(t);

    if (c == NULL)
        return;
    c->kind = kind;
    c->row = (struct lock_row){.id = l->id,
                               .client_len = l->holder.len,
                               .life_s = s->life_s,
                               .token = l->token,
                               .since_s = l->since_s,
                               .is_broken = l->is_broken};
    memcpy(c->row.client, l->holder.id, l->holder.len);
    memcpy(c->row.share, s->name, sizeof(c->row.share));
    memcpy(c->row.label, l->label, sizeof(c->row.label));
}

void change_tomb(struct lock_table *t, enum lock_change_kind kind,
                 const struct lock *l, const struct tomb *b)
{
    struct lock_change *c = change(t);

    if (c == NULL)
        return;
    c->kind = kind;
    c->row = (struct lock_row){
        .id = l->id, .client_len = b->client.len, .life_s = b->life_s};
    memcpy(c->row.client, b->client.id, b->client.len);
    memcpy(c->row.share, b->share, sizeof(c->row.share));
}

/* ---- taking
 * ------------------------------------------------------------------ */

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
    struct share *s = share_find(l, q->share);
    int64_t expires_ms = now_ms + (int64_t)q->life_s * 1000;

    if (s == NULL) {
        if (HASH_COUNT(l->shares) >= LOCK_SHARES_MAX ||
            (s = share_add(l, q->share)) == NULL) {
            ret->result = LOCK_BUSY;
            return;
        }
        s->life_s = q->life_s;
        s->expires_ms = expires_ms;
        change_share(t, LOCK_PUT, l, s);
        heap_place(t, l, expires_ms);
    } else if (q->life_s > s->life_s) {
        s->life_s = q->life_s;
        change_share(t, LOCK_PUT, l, s);
    }
    /* Never earlier: a late duplicate with a shorter life changes nothing. */
    if (expires_ms > s->expires_ms)
        s->expires_ms = expires_ms;
    waiters_remove(t, l, q);
    t->counts.refreshes++;
    ret->result = LOCK_RENEWED;
    ret->token = l->token;
}

static void grant(struct lock_table *t, struct lock *l,
                  const struct lock_request *q, int64_t now_ms, int64_t wall_s,
                  struct lock_answer *ret)
{
    struct share *s = share_add(l, q->share);

    if (s == NULL) {
        ret->result = LOCK_BUSY;
        return;
    }
    l->offer_until_ms = 0;
    l->holder.len = q->client_len;
    memcpy(l->holder.id, q->client, q->client_len);
    memcpy(l->label, q->label, sizeof(l->label));
    l->token = ++t->last_token;
    l->since_s = wall_s;
    l->is_broken = false;
    s->life_s = q->life_s;
    s->expires_ms = now_ms + (int64_t)q->life_s * 1000;
    change_share(t, LOCK_PUT, l, s);
    heap_place(t, l, s->expires_ms);
    waiters_remove(t, l, q);
    offer_to(t, l, &l->holder, now_ms);
    t->held++;
    t->counts.grants++;
    ret->result = LOCK_NEW;
    ret->token = l->token;
}

/* Free, but whose turn is it? An offer binds, then the places in the queue. */
static bool is_turn_of(struct lock *l, const struct lock_request *q)
{
    const struct waiter *first = waiter_first(l);

    if (l->offer_until_ms != 0)
        return same_client(&l->offered, q);
    return first == NULL || same_client(&first->client, q);
}

void lock_take(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, int64_t wall_s, struct lock_answer *ret)
{
    struct lock *l;

    memset(ret, 0, sizeof(*ret));
    /* What ended before this request was read is no longer in its way. */
    l = lock_find(t, &q->id);
    if (l != NULL)
        lock_expire(t, l, now_ms);
    l = lock_get(t, &q->id);
    if (l == NULL) {
        ret->result = LOCK_BUSY;
        return;
    }
    if (tomb_find(l, q) != NULL) {
        /* A late duplicate of a share that was given back. */
        answer_conflict(l, ret);
        t->counts.conflicts++;
        return;
    }
    if (l->shares != NULL && same_client(&l->holder, q) && !l->is_broken)
        renew(t, l, q, now_ms, ret);
    else if (l->shares == NULL && is_turn_of(l, q))
        grant(t, l, q, now_ms, wall_s, ret);
    else if (q->wait_s > 0 &&
             !(l->shares != NULL && same_client(&l->holder, q)))
        waiter_enter(t, l, q, now_ms, ret);
    else
        answer_conflict(l, ret);
    if (ret->result == LOCK_CONFLICT)
        t->counts.conflicts++;
    lock_tidy(t, l);
}

/* ---- giving back
 * --------------------------------------------------------------- */

static bool bury(struct lock_table *t, struct lock *l,
                 const struct lock_request *q, unsigned life_s, int64_t now_ms)
{
    struct tomb *b = tomb_find(l, q);

    /* A client without shares gives this protection up: its next POST is the
     * same as a late duplicate of its last. */
    if (q->share[0] == '\0')
        return true;
    if (b == NULL) {
        if (t->tombs >= LOCK_TOMBS_MAX || (b = calloc(1, sizeof(*b))) == NULL)
            return false;
        b->client.len = q->client_len;
        memcpy(b->client.id, q->client, q->client_len);
        memcpy(b->share, q->share, sizeof(b->share));
        DL_APPEND(l->tombs, b);
        t->tombs++;
    }
    if (life_s > b->life_s)
        b->life_s = life_s;
    b->until_ms = now_ms + ((int64_t)b->life_s + LOCK_TOMB_EXTRA_S) * 1000;
    change_tomb(t, LOCK_PUT_TOMB, l, b);
    heap_place(t, l, b->until_ms);
    return true;
}

void lock_give(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, struct lock_answer *ret)
{
    struct lock *l = lock_find(t, &q->id);
    struct share *s = NULL;

    memset(ret, 0, sizeof(*ret));
    if (l != NULL)
        lock_expire(t, l, now_ms);
    l = lock_get(t, &q->id);
    if (l == NULL) {
        ret->result = LOCK_BUSY;
        return;
    }
    if (l->shares != NULL && same_client(&l->holder, q))
        s = share_find(l, q->share);
    if (!bury(t, l, q,
              s != NULL && s->life_s > q->life_s ? s->life_s : q->life_s,
              now_ms)) {
        ret->result = LOCK_BUSY;
        lock_tidy(t, l);
        return;
    }
    waiters_cancel(t, l, q);
    if (s != NULL) {
        change_share(t, LOCK_DROP, l, s);
        share_remove(l, s);
        t->counts.releases++;
        ret->result = LOCK_RELEASED;
        if (l->shares == NULL) {
            t->held--;
            lock_offer(t, l, now_ms);
        }
    } else {
        offer_withdraw(t, l, q, now_ms);
        answer_conflict(l, ret);
    }
    lock_tidy(t, l);
}

bool lock_break(struct lock_table *t, const struct lock_id *id)
{
    struct lock *l = lock_find(t, id);
    struct share *s, *tmp;

    if (l == NULL || l->shares == NULL)
        return false;
    l->is_broken = true;
    HASH_ITER (hh, l->shares, s, tmp) {
        change_share(t, LOCK_PUT, l, s);
    }
    return true;
}

/* ---- the store's side
 * ------------------------------------------------------------ */

bool lock_load(struct lock_table *t, const struct lock_row *row, bool is_tomb,
               int64_t now_ms)
{
    struct lock *l = lock_get(t, &row->id);
    struct lock_request q = {.id = row->id, .client_len = row->client_len};
    struct share *s;
    bool ok = true;

    if (l == NULL)
        return false;
    memcpy(q.client, row->client, row->client_len);
    memcpy(q.share, row->share, sizeof(q.share));
    if (is_tomb) {
        ok = bury(t, l, &q, row->life_s, now_ms);
    } else if (share_find(l, row->share) != NULL ||
               (l->shares != NULL && !same_client(&l->holder, &q))) {
        ok = false; /* two holders of one lock: not a state that we wrote */
    } else {
        if (l->shares == NULL)
            t->held++;
        s = share_add(l, row->share);
        if (s == NULL)
            return false;
        l->holder.len = row->client_len;
        memcpy(l->holder.id, row->client, row->client_len);
        memcpy(l->label, row->label, sizeof(l->label));
        l->token = row->token;
        l->since_s = row->since_s;
        l->is_broken = row->is_broken;
        s->life_s = row->life_s;
        s->expires_ms = now_ms + (int64_t)row->life_s * 1000;
        heap_place(t, l, s->expires_ms);
        if (row->token > t->last_token)
            t->last_token = row->token;
    }
    lock_changes_clear(t);
    return ok;
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
