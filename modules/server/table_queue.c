/* SPDX-License-Identifier: MIT */
/*
 * table_queue.c - who waits for a lock, in which order, and the offers that
 * hand a free lock, or a slot of it, to the next. What is free and somebody
 * waits for is nobody else's to take; who only asks again and again has no
 * place, but gets one after LOCK_PATIENCE_MS.
 */
#include <string.h>

#include "table_inner.h"

static void set_key(struct waiter_key *k, const struct lock *l,
                    const struct lock_request *q, bool is_place)
{
    memset(k, 0, sizeof(*k));
    k->lock = l;
    k->is_place = is_place;
    set_client(&k->client, q);
    memcpy(k->share, q->share, strnlen(q->share, LOCK_SHARE_MAX));
}

static struct waiter *find(const struct lock_table *t, const struct lock *l,
                           const struct lock_request *q, bool is_place)
{
    struct waiter_key key;
    struct waiter *w;

    if ((is_place ? l->waiters : l->pollers) == NULL)
        return NULL;
    set_key(&key, l, q, is_place);
    HASH_FIND(hh, t->waiting, &key, sizeof(key), w);
    return w;
}

static struct waiter *waiter_new(struct lock_table *t, const struct lock *l,
                                 const struct lock_request *q, bool is_place)
{
    struct waiter *w = NULL;

    if (payer_may(t, LOCK_LIMIT_WAITERS))
        w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    set_key(&w->key, l, q, is_place);
    HASH_ADD(hh, t->waiting, key, sizeof(w->key), w);
    if (w->hh.tbl == NULL) {
        free(w);
        return NULL;
    }
    w->payer = payer_charge(t, LOCK_LIMIT_WAITERS);
    w->slots = slots_of(q);
    return w;
}

static void waiter_free(struct lock_table *t, struct waiter *w)
{
    HASH_DEL(t->waiting, w);
    payer_release(t, LOCK_LIMIT_WAITERS, w->payer);
    free(w);
}

static void waiter_append(struct lock_table *t, struct lock *l,
                          struct waiter *w)
{
    DL_APPEND(l->waiters, w);
    t->waiters++;
}

static void waiter_remove(struct lock_table *t, struct lock *l,
                          struct waiter *w)
{
    DL_DELETE(l->waiters, w);
    t->waiters--;
    waiter_free(t, w);
}

static void poller_remove(struct lock_table *t, struct lock *l,
                          struct waiter *p)
{
    DL_DELETE(l->pollers, p);
    l->pollers_len--;
    waiter_free(t, p);
}

static void offer_remove(struct lock_table *t, struct lock *l, struct offer *o)
{
    struct waiter *w;

    DL_FOREACH (l->waiters, w)
        if (w->offer == o)
            w->offer = NULL;
    DL_DELETE(l->offers, o);
    t->offers_open--;
    free(o);
}

void queue_free(struct lock_table *t, struct lock *l)
{
    while (l->waiters != NULL)
        waiter_remove(t, l, l->waiters);
    while (l->pollers != NULL)
        poller_remove(t, l, l->pollers);
    while (l->offers != NULL)
        offer_remove(t, l, l->offers);
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
    if (result == LOCK_CONFLICT) {
        t->counts.conflicts++;
        if (l->holdings != NULL) {
            memcpy(a.holder, l->holdings->label, sizeof(a.holder));
            a.since_s = l->holdings->since_s;
        }
    }
    t->wake(t->arg, conn, &a);
}

/* Whose turn is next: the first that is there or between two polls, and is
 * neither in already by another share nor has an offer. */
static struct waiter *first_of(const struct lock *l)
{
    struct waiter *w;

    DL_FOREACH (l->waiters, w)
        if (!w->is_gone && w->offer == NULL &&
            holding_of(l, &w->key.client) == NULL)
            return w;
    return NULL;
}

bool queue_is_turn(const struct lock *l, const struct client *c)
{
    const struct waiter *first;

    if (offer_of(l, c) != NULL)
        return true;
    first = first_of(l);
    return first == NULL || are_same(&first->key.client, c);
}

/* ---- offers ---- */

struct offer *offer_of(const struct lock *l, const struct client *c)
{
    struct offer *o;

    DL_FOREACH (l->offers, o)
        if (are_same(&o->client, c))
            return o;
    return NULL;
}

void queue_end_offer(struct lock_table *t, struct lock *l,
                     const struct client *c)
{
    struct offer *o = offer_of(l, c);

    if (o != NULL)
        offer_remove(t, l, o);
}

/* All of that client: another node's share must not stand behind others for
 * its own job's lock. Their places stay until they confirm. */
void queue_offer_to(struct lock_table *t, struct lock *l,
                    const struct client *c, int64_t now_ms)
{
    const struct offer *o = offer_of(l, c);
    struct waiter *w;

    DL_FOREACH (l->waiters, w) {
        if (!are_same(&w->key.client, c))
            continue;
        w->offer = o;
        if (w->conn == NULL)
            continue;
        w->until_ms = now_ms + LOCK_PLACE_MS;
        heap_place(t, l, w->until_ms);
        wake(t, l, w, LOCK_OFFERED);
    }
}

/* false: no memory for it. The next that happens to the lock tries again. */
static bool offer_make(struct lock_table *t, struct lock *l,
                       const struct waiter *to, int64_t now_ms)
{
    struct offer *o = calloc(1, sizeof(*o));

    if (o == NULL)
        return false;
    o->client = to->key.client;
    o->slots = to->slots;
    o->until_ms = now_ms + LOCK_OFFER_MS;
    DL_APPEND(l->offers, o);
    heap_place(t, l, o->until_ms);
    t->counts.offers++;
    t->offers_open++;
    queue_offer_to(t, l, &o->client, now_ms);
    return true;
}

void queue_pass_on(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct waiter *first;

    if (l->waiters == NULL)
        return;
    do
        first = first_of(l);
    /* One between two polls has its turn when it asks again, or until its
     * place ends; one whose connection is gone is passed over. */
    while (first != NULL && first->conn != NULL &&
           lock_has_room(l, first->slots, NULL) &&
           offer_make(t, l, first, now_ms));
}

void queue_withdraw(struct lock_table *t, struct lock *l,
                    const struct lock_request *q, int64_t now_ms)
{
    struct waiter *w;
    struct offer *o;
    struct client c;

    set_client(&c, q);
    o = offer_of(l, &c);
    DL_FOREACH (l->waiters, w)
        if (o != NULL && w->offer == o)
            o = NULL; /* another share of it may still confirm */
    if (o != NULL)
        offer_remove(t, l, o);
    queue_pass_on(t, l, now_ms);
}

/* ---- places ---- */

void queue_enter(struct lock_table *t, struct lock *l,
                 const struct lock_request *q, int64_t now_ms,
                 struct lock_answer *ret)
{
    struct waiter *w = find(t, l, q, true);
    struct waiter *p = find(t, l, q, false);

    if (w == NULL) {
        w = waiter_new(t, l, q, true);
        if (w == NULL) {
            ret->result = LOCK_BUSY;
            return;
        }
        waiter_append(t, l, w);
    }
    if (p != NULL)
        poller_remove(t, l, p);
    wake(t, l, w, LOCK_CONFLICT); /* an older request of the same share */
    w->conn = q->conn;
    w->slots = slots_of(q);
    w->is_gone = w->is_poller = false;
    w->until_ms = now_ms + (int64_t)q->wait_s * 1000;
    heap_place(t, l, w->until_ms);
    ret->result = LOCK_WAITING;
    /* Free, and those before it are not there: it need not wait for them. */
    queue_pass_on(t, l, now_ms);
}

/* Make room by those that have stopped asking. */
static void pollers_expire(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct waiter *p, *tmp;

    DL_FOREACH_SAFE(l->pollers, p, tmp)
    {
        if (p->until_ms <= now_ms)
            poller_remove(t, l, p);
    }
}

void queue_refused(struct lock_table *t, struct lock *l,
                   const struct lock_request *q, int64_t now_ms)
{
    struct waiter *p = find(t, l, q, true), *place;

    if (p != NULL) {
        if (p->is_poller)
            p->until_ms = now_ms + LOCK_PLACE_MS;
        return;
    }
    pollers_expire(t, l, now_ms);
    p = find(t, l, q, false);
    if (p == NULL) {
        /* With nobody in the queue, luck is as good for it as for others. */
        if ((l->waiters == NULL && l->offers == NULL) ||
            l->pollers_len >= LOCK_POLLERS_MAX ||
            (p = waiter_new(t, l, q, false)) == NULL)
            return;
        p->is_poller = true;
        p->since_ms = now_ms;
        DL_APPEND(l->pollers, p);
        l->pollers_len++;
    }
    p->until_ms = now_ms + LOCK_PLACE_MS;
    if (now_ms - p->since_ms < LOCK_PATIENCE_MS)
        return;
    poller_remove(t, l, p); /* which makes room for it */
    place = waiter_new(t, l, q, true);
    if (place == NULL)
        return;
    place->is_poller = true;
    place->until_ms = now_ms + LOCK_PLACE_MS;
    waiter_append(t, l, place);
    heap_place(t, l, place->until_ms);
}

void queue_leave(struct lock_table *t, struct lock *l,
                 const struct lock_request *q)
{
    struct waiter *w = find(t, l, q, true);
    struct waiter *p = find(t, l, q, false);

    if (p != NULL)
        poller_remove(t, l, p);
    if (w == NULL)
        return;
    wake(t, l, w, LOCK_CONFLICT);
    waiter_remove(t, l, w);
}

void lock_gone(struct lock_table *t, const struct lock_id *id, const void *conn,
               int64_t now_ms)
{
    struct lock *l = lock_find(t, id);
    struct waiter *w;

    if (l == NULL)
        return;
    DL_FOREACH (l->waiters, w) {
        if (w->conn != conn)
            continue;
        w->conn = NULL;
        w->is_gone = true;
        w->until_ms = now_ms + LOCK_PLACE_MS;
        heap_place(t, l, w->until_ms);
        return;
    }
}

/* ---- time ---- */

/* An offer that nobody confirmed passes on; who let it pass loses the place. */
static void offers_expire(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct offer *o, *next_o;
    struct waiter *w, *next_w;

    DL_FOREACH_SAFE(l->offers, o, next_o)
    {
        if (o->until_ms > now_ms)
            continue;
        t->counts.lapsed_offers++;
        DL_FOREACH_SAFE(l->waiters, w, next_w)
        {
            if (w->conn == NULL && w->offer == o)
                waiter_remove(t, l, w);
        }
        offer_remove(t, l, o);
    }
}

void queue_expire(struct lock_table *t, struct lock *l, int64_t now_ms)
{
    struct waiter *w, *tmp;

    offers_expire(t, l, now_ms);
    /* Before waits end: one that ends now and whose turn it is gets it. */
    queue_pass_on(t, l, now_ms);
    DL_FOREACH_SAFE(l->waiters, w, tmp)
    {
        if (w->until_ms > now_ms)
            continue;
        if (w->conn == NULL) {
            waiter_remove(t, l, w);
            continue;
        }
        w->until_ms = now_ms + LOCK_PLACE_MS;
        heap_place(t, l, w->until_ms);
        wake(t, l, w, LOCK_CONFLICT);
    }
    /* The turn may have been that of a place that has ended. */
    queue_pass_on(t, l, now_ms);
}
