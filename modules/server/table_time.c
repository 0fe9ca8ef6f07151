/* SPDX-License-Identifier: MIT */
/*
 * table_time.c - what happens in the lock table as time goes by: leases,
 * places and released shares end, and free locks are offered to who waits.
 *
 * Every lock with something due is in one heap, by a time that is not later
 * than it. A refresh moves its lease's end on without touching the heap; when
 * the old time comes, the lock is looked at and placed anew. So a refresh
 * costs O(1), and what is due O(log n).
 */
#include <string.h>

#include "table_inner.h"

/* ---- the heap --------------------------------------------------------------
 */

bool heap_reserve(struct lock_table *t)
{
    size_t cap = t->heap_cap == 0 ? 64 : t->heap_cap * 2;
    struct lock **more;

    /* One place for each lock there is, and for one more. */
    if (HASH_COUNT(t->locks) < t->heap_cap)
        return true;
    more = realloc(t->heap, cap * sizeof(struct lock *));
    if (more == NULL)
        return false;
    t->heap = more;
    t->heap_cap = cap;
    return true;
}

static void put_at(struct lock_table *t, size_t at, struct lock *l)
{
    t->heap[at] = l;
    l->heap_at = at;
}

static void sift(struct lock_table *t, struct lock *l)
{
    size_t at = l->heap_at;

    while (at > 0 && t->heap[(at - 1) / 2]->next_ms > l->next_ms) {
        put_at(t, at, t->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < t->heap_len &&
            t->heap[child + 1]->next_ms < t->heap[child]->next_ms)
            child++;
        if (child >= t->heap_len || t->heap[child]->next_ms >= l->next_ms)
            break;
        put_at(t, at, t->heap[child]);
        at = child;
    }
    put_at(t, at, l);
}

void heap_remove(struct lock_table *t, struct lock *l)
{
    struct lock *last;

    if (l->heap_at == HEAP_NONE)
        return;
    last = t->heap[--t->heap_len];
    if (last != l) {
        put_at(t, l->heap_at, last);
        sift(t, last);
    }
    l->heap_at = HEAP_NONE;
}

void heap_place(struct lock_table *t, struct lock *l, int64_t when_ms)
{
    if (l->heap_at == HEAP_NONE) {
        l->next_ms = when_ms;
        l->heap_at = t->heap_len++;
        sift(t, l);
    } else if (when_ms < l->next_ms) {
        l->next_ms = when_ms;
        sift(t, l);
    }
}

/* ---- the queue --------------------------------------------------------------
 */

static struct waiter *waiter_find(struct lock *l, const struct lock_request *q)
{
    struct waiter *w;

    DL_FOREACH (l->waiters, w)
        if (same_client(&w->client, q) && strcmp(w->share, q->share) == 0)
            return w;
    return NULL;
}

void waiter_remove(struct lock_table *t, struct lock *l, struct waiter *w)
{
    DL_DELETE(l->waiters, w);
    t->waiters--;
    free(w);
}

/* Answer the request of w, if one waits. */
static void wake(struct lock_table *t, struct lock *l, struct waiter *w,
                 enum lock_result result)
{
    struct lock_answer a = {.result = result};
    void *conn = w->conn;

    if (conn == NULL)
        return;
    w->conn = NULL;
    if (result == LOCK_CONFLICT && l->shares != NULL) {
        memcpy(a.holder, l->label, sizeof(a.holder));
        a.since_s = l->since_s;
    }
    if (result == LOCK_CONFLICT)
        t->counts.conflicts++;
    t->wake(t->arg, conn, &a);
}

void waiter_enter(struct lock_table *t, struct lock *l,
                  const struct lock_request *q, int64_t now_ms,
                  struct lock_answer *ret)
{
    struct waiter *w = waiter_find(l, q);

    if (w == NULL) {
        if (t->waiters >= LOCK_WAITERS_MAX ||
            (w = calloc(1, sizeof(*w))) == NULL) {
            ret->result = LOCK_BUSY;
            return;
        }
        w->client.len = q->client_len;
        memcpy(w->client.id, q->client, q->client_len);
        memcpy(w->share, q->share, sizeof(w->share));
        DL_APPEND(l->waiters, w);
        t->waiters++;
    }
    wake(t, l, w, LOCK_CONFLICT); /* an older request of the same share */
    w->conn = q->conn;
    w->is_gone = false;
    w->until_ms = now_ms + (int64_t)q->wait_s * 1000;
    heap_place(t, l, w->until_ms);
    ret->result = LOCK_WAITING;
    /* Free, and those before it are not there: it need not wait for them. */
    if (l->shares == NULL && l->offer_until_ms == 0)
        lock_offer(t, l, now_ms);
}

void waiters_remove(struct lock_table *t, struct lock *l,
                    const struct lock_request *q)
{
    struct waiter *w = waiter_find(l, q);

    if (w == NULL)
        return;
    wake(t, l, w, LOCK_CONFLICT);
    waiter_remove(t, l, w);
}

void waiters_cancel(struct lock_table *t, struct lock *l,
                    const struct lock_request *q)
{
    waiters_remove(t, l, q);
}

void lock_gone(struct lock_table *t, const struct lock_id *id, const void *conn,
               int64_t now_ms)
{
    struct lock *l = lock_find(t, id);
    struct waiter *w;

    if (l == NULL)
        return;
    DL_FOREACH (l->waiters, w) {
        if (w->conn == conn) {
            w->conn = NULL;
            w->is_gone = true;
            w->until_ms = now_ms + LOCK_PLACE_MS;
            heap_place(t, l, w->until_ms);
            return;
        }
    }
}

/* ---- offers
 * ------------------------------------------------------------------- */

struct waiter *waiter_first(struct lock *l)
{
    struct waiter *w;

    DL_FOREACH (l->waiters, w)
        if (!w->is_gone)
            return w;
    return NULL;
}

/* All of that client: another node's share must not stand behind others for
 * its own job's lock. Their places stay until they confirm. */
void offer_to(struct lock_table *t, struct lock *l, const struct client *c,
              int64_t now_ms)
{
    struct waiter *w;

    DL_FOREACH (l->waiters, w) {
        if (w->conn != NULL && w->client.len == c->len &&
            memcmp(w->client.id, c->id, c->len) == 0) {
            w->until_ms = now_ms + LOCK_PLACE_MS;
            heap_place(t, l, w->until_ms);
            wake(t, l, w, LOCK_OFFERED);
        }
    }
}

void lock_offer(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct waiter *first = waiter_first(l);

    l->offer_until_ms = 0;
    /* One between two polls has its turn when it asks again, or until its
     * place ends; one whose connection is gone is passed over. */
    if (first == NULL || first->conn == NULL)
        return;
    l->offered = first->client;
    l->offer_until_ms = now_ms + LOCK_OFFER_MS;
    heap_place(t, l, l->offer_until_ms);
    t->counts.offers++;
    offer_to(t, l, &l->offered, now_ms);
}

void offer_withdraw(struct lock_table *t, struct lock *l,
                    const struct lock_request *q, int64_t now_ms)
{
    struct waiter *w;

    if (l->offer_until_ms == 0 || !same_client(&l->offered, q))
        return;
    DL_FOREACH (l->waiters, w)
        if (same_client(&w->client, q))
            return; /* another share of it may still confirm */
    lock_offer(t, l, now_ms);
}

/* ---- time
 * ------------------------------------------------------------------------ */

/* An offer that nobody confirmed passes on; who let it pass loses the place. */
static void expire_offer(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct waiter *w, *tmp;

    if (l->offer_until_ms == 0 || l->offer_until_ms > now_ms)
        return;
    t->counts.lapsed_offers++;
    DL_FOREACH_SAFE(l->waiters, w, tmp)
    if (w->conn == NULL && w->client.len == l->offered.len &&
        memcmp(w->client.id, l->offered.id, w->client.len) == 0)
        waiter_remove(t, l, w);
    lock_offer(t, l, now_ms);
}

static void expire_waiters(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct waiter *w, *tmp;

    DL_FOREACH_SAFE(l->waiters, w, tmp)
    {
        if (w->until_ms > now_ms)
            continue;
        if (w->conn == NULL) {
            waiter_remove(t, l, w);
            continue;
        }
        w->until_ms = now_ms + LOCK_PLACE_MS;
        wake(t, l, w, LOCK_CONFLICT);
    }
    /* The turn may have been that of a place that has ended. */
    if (l->shares == NULL && l->offer_until_ms == 0)
        lock_offer(t, l, now_ms);
}

void lock_expire(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct share *s, *tmp;
    struct tomb *b, *b_tmp;
    bool was_held = l->shares != NULL;

    if (l->heap_at == HEAP_NONE || l->next_ms > now_ms)
        return;
    HASH_ITER (hh, l->shares, s, tmp) {
        if (s->expires_ms <= now_ms) {
            change_share(t, LOCK_DROP, l, s);
            share_remove(l, s);
            t->counts.expired++;
        }
    }
    if (was_held && l->shares == NULL) {
        t->held--;
        lock_offer(t, l, now_ms);
    }
    DL_FOREACH_SAFE(l->tombs, b, b_tmp)
    {
        if (b->until_ms <= now_ms) {
            change_tomb(t, LOCK_DROP_TOMB, l, b);
            tomb_remove(t, l, b);
        }
    }
    expire_offer(t, l, now_ms);
    expire_waiters(t, l, now_ms);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_of(const struct lock *l)
{
    int64_t next = INT64_MAX;
    const struct share *s;
    const struct tomb *b;
    const struct waiter *w;

    for (s = l->shares; s != NULL; s = s->hh.next)
        next = sooner(next, s->expires_ms);
    DL_FOREACH (l->tombs, b)
        next = sooner(next, b->until_ms);
    DL_FOREACH (l->waiters, w)
        next = sooner(next, w->until_ms);
    if (l->offer_until_ms != 0)
        next = sooner(next, l->offer_until_ms);
    return next;
}

int64_t lock_run(struct lock_table *t, int64_t now_ms)
{
    while (t->heap_len > 0 && t->heap[0]->next_ms <= now_ms) {
        struct lock *l = t->heap[0];
        int64_t next;

        lock_expire(t, l, now_ms);
        next = next_of(l);
        heap_remove(t, l);
        if (next != INT64_MAX)
            heap_place(t, l, next);
        lock_tidy(t, l);
    }
    return t->heap_len > 0 ? t->heap[0]->next_ms : INT64_MAX;
}
