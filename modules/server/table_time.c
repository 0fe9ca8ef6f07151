/* SPDX-License-Identifier: MIT */
/*
 * table_time.c - when something is due in the lock table: leases, places and
 * offers that end. What happens then is in table_share.c and table_queue.c.
 *
 * Every lock with something due is in one heap, by a time that is not later
 * than it. A refresh moves its lease's end on without touching the heap; when
 * the old time comes, the lock is looked at and placed anew. So a refresh
 * costs O(1), and what is due O(log n).
 */
#include "table_inner.h"

/* ---- the heap ---- */

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

/* ---- time ---- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_of(const struct lock *l)
{
    int64_t next = INT64_MAX;
    const struct holding *h;
    const struct share *s;
    const struct waiter *w;
    const struct offer *o;

    DL_FOREACH (l->holdings, h)
        DL_FOREACH (h->shares, s)
            next = sooner(next, s->expires_ms);
    DL_FOREACH (l->waiters, w)
        next = sooner(next, w->until_ms);
    DL_FOREACH (l->offers, o)
        next = sooner(next, o->until_ms);
    return next;
}

void lock_expire(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    int64_t next;

    if (l->heap_at == HEAP_NONE || l->next_ms > now_ms)
        return;
    shares_expire(t, l, now_ms);
    queue_expire(t, l, now_ms);
    /* Not for the next request of the same moment again. */
    next = next_of(l);
    heap_remove(t, l);
    if (next != INT64_MAX)
        heap_place(t, l, next);
}

int64_t lock_run(struct lock_table *t, int64_t now_ms)
{
    tombs_expire(t, now_ms);
    while (t->heap_len > 0 && t->heap[0]->next_ms <= now_ms) {
        struct lock *l = t->heap[0];

        lock_expire(t, l, now_ms);
        lock_tidy(t, l);
    }
    return t->heap_len > 0 ? t->heap[0]->next_ms : INT64_MAX;
}
