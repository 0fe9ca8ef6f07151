/* SPDX-License-Identifier: MIT */
/*
 * keeper.c - the keeper's interface, its table of locks and its loop. What a
 * lock goes through is keeper_ask.c's and keeper_give.c's.
 */
#include "keeper_inner.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- chance ---- */

/* xorshift64*: for jitter only. */
uint16_t keeper_jitter(struct keeper *k)
{
    k->random ^= k->random >> 12;
    k->random ^= k->random << 25;
    k->random ^= k->random >> 27;
    return (uint16_t)((k->random * 0x2545f4914f6cdd1d) >> 48);
}

int64_t keeper_backoff_ms(struct keeper *k, unsigned failures, int64_t most)
{
    int64_t ms = KEEPER_RETRY_MS;

    while (failures-- > 0 && ms < most)
        ms *= 2;
    if (ms > most)
        ms = most;
    return ms - ms / 4 * keeper_jitter(k) / 65536;
}

/* ---- keeper ---- */

enum justalock_status keeper_new(keeper_event_fn *fn, void *arg,
                                 struct keeper **ret_keeper,
                                 struct justalock_error *err)
{
    struct keeper *k = calloc(1, sizeof(*k));
    enum justalock_status st;

    if (!k)
        return error_nomem(err);
    k->fn = fn;
    k->arg = arg;
    k->strays_end = &k->strays;
    if (getrandom(&k->random, sizeof(k->random), GRND_NONBLOCK) !=
        (ssize_t)sizeof(k->random))
        k->random = (uint64_t)clock_raw_ms() ^ (uint64_t)getpid();
    k->random |= 1; /* never 0, where it would stay */
    st = transfer_hub_new(&k->hub, err);
    if (st != JUSTALOCK_OK) {
        free(k);
        return st;
    }
    *ret_keeper = k;
    return JUSTALOCK_OK;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    while (k->keeps) {
        struct keep *c = k->keeps;

        keep_cancel(c);
        keep_free(c);
    }
    query_free_all(k);
    servers_free(&k->servers);
    while (k->strays) {
        struct stray *s = k->strays;

        k->strays = s->next;
        free(s);
    }
    transfer_hub_free(k->hub);
    timers_done(&k->timers);
    free(k);
}

size_t keeper_count(const struct keeper *k)
{
    return k->count;
}

void keeper_each(const struct keeper *k, keeper_keeping_fn *fn, void *arg)
{
    for (const struct keep *c = k->keeps; c; c = c->next) {
        struct keeper_keeping keeping = {.handle = c->handle,
                                         .id = c->lock.id,
                                         .held = c->state == KEEP_HELD,
                                         .t0 = c->t0,
                                         .slots = c->lock.slots,
                                         .slot = c->lock.slot,
                                         .slot_has_id = c->lock.slot_has_id};

        if (c->is_final)
            continue;
        memcpy(keeping.share, c->lock.share, sizeof(keeping.share));
        fn(arg, &keeping);
    }
}

/* ---- one kept lock ---- */

static enum justalock_status keep_make(struct keeper *k, uint64_t handle,
                                       const struct keeper_lock *lock,
                                       struct keep **ret_keep,
                                       struct justalock_error *err)
{
    struct lease_times base = lock->times;
    struct lease_times extended = lock->times;
    enum justalock_status st = service_check_lock(lock, err);
    struct keep *c;

    HASH_FIND(hh, k->by_handle, &handle, sizeof(handle), c);
    if (c)
        return error_set(err, JUSTALOCK_STATE, "the handle is in use");
    if (st == JUSTALOCK_OK)
        st = lease_times_fill(&base, false, err);
    if (st == JUSTALOCK_OK)
        st = lease_times_fill(&extended, true, err);
    if (st != JUSTALOCK_OK)
        return st;
    c = calloc(1, sizeof(*c));
    if (!c || !timers_reserve(&k->timers, k->count + 1)) {
        free(c);
        return error_nomem(err);
    }
    c->keeper = k;
    c->handle = handle;
    c->lock = *lock;
    c->base_times = base;
    c->extended_times = extended;
    c->until = clock_never();
    *ret_keep = c;
    return JUSTALOCK_OK;
}

static enum justalock_status keep_add(struct keeper *k, uint64_t handle,
                                      const struct keeper_service *service,
                                      const struct keeper_lock *lock,
                                      struct keep **ret_keep,
                                      struct justalock_error *err)
{
    struct keep *c = NULL; /* set where st is OK */
    enum justalock_status st = service_check(service, err);

    if (st == JUSTALOCK_OK)
        st = keep_make(k, handle, lock, &c, err);
    if (st != JUSTALOCK_OK)
        return st;
    c->place = place_get(k, service);
    if (c->place)
        HASH_ADD(hh, k->by_handle, handle, sizeof(c->handle), c);
    if (!c->place || !c->hh.tbl) {
        if (c->place)
            place_put(k, c->place);
        free(c);
        return error_nomem(err);
    }
    c->next = k->keeps;
    if (c->next)
        c->next->prev = c;
    k->keeps = c;
    k->count++;
    *ret_keep = c;
    return JUSTALOCK_OK;
}

void keep_final(struct keep *c)
{
    if (!c->is_final)
        HASH_DEL(c->keeper->by_handle, c);
    c->is_final = true;
}

void keep_free(struct keep *c)
{
    struct keeper *k = c->keeper;

    gate_leave(c);
    line_leave(c);
    keep_final(c);
    timer_set(&k->timers, &c->timer, clock_never());
    if (c->prev)
        c->prev->next = c->next;
    else
        k->keeps = c->next;
    if (c->next)
        c->next->prev = c->prev;
    k->count--;
    place_put(k, c->place);
    explicit_bzero(c, sizeof(*c)); /* the client id is a secret */
    free(c);
}

void keep_emit(struct keep *c, enum keeper_event_kind kind,
               enum justalock_status status, const char *text)
{
    struct keeper_event e = {.handle = c->handle,
                             .kind = kind,
                             .status = status,
                             .t0 = c->t0,
                             .has_features = c->place->features != 0};
    struct justalock_error cut;

    if (status == JUSTALOCK_HELD)
        e.http_status = 409;
    else if (kind == KEEPER_TROUBLE || kind == KEEPER_TIMEOUT)
        e.http_status = c->trouble.http_status;

    if (c->is_final && kind != KEEPER_RELEASED && kind != KEEPER_TIMEOUT &&
        kind != KEEPER_BUSY)
        return;
    (void)error_set(&cut, status, "%s", text);
    memcpy(e.text, cut.text, sizeof(e.text));
    memcpy(e.holder, c->holder, sizeof(e.holder));
    memcpy(e.since, c->since, sizeof(e.since));
    c->keeper->fn(c->keeper->arg, &e);
}

/* ---- requests ---- */

/* Nothing of c is in flight any more. */
static void landed(struct keep *c)
{
    c->flight = NULL;
    if (c->call == SERVICE_WAIT)
        return;
    c->place->flights--;
    line_next(c->place);
}

static void on_answer(void *arg, const struct transfer_answer *answer)
{
    struct keep *c = arg;
    struct service_answer a;

    landed(c);
    service_read(answer, &a);
    keep_judge(c, &a);
    if (c->state == KEEP_GIVING)
        give_answered(c, &a);
    else
        ask_answered(c, &a);
}

enum justalock_status keep_send(struct keep *c, enum service_call call,
                                unsigned wait_s, int64_t limit_ms, bool fresh,
                                struct justalock_error *err)
{
    struct keeper_service service;
    struct service_request r;
    enum justalock_status st;

    servers_pick(c->place->servers, &c->round, &c->place->service, &service);
    service_build(&service, &c->lock, call, wait_s, &r);
    r.request.limit_ms = limit_ms < 1 ? 1 : limit_ms;
    /* One that has failed before may have left a dead connection. */
    r.request.fresh = fresh || c->round.tried != 0;
    st = transfer_start(c->keeper->hub, &r.request, on_answer, c, &c->flight,
                        err);
    explicit_bzero(&r.token, sizeof(r.token));
    explicit_bzero(&service.token, sizeof(service.token));
    if (st == JUSTALOCK_OK) {
        c->call = call;
        c->sent = true;
        c->place->flights += call != SERVICE_WAIT;
    }
    return st;
}

void keep_cancel(struct keep *c)
{
    if (!c->flight)
        return;
    transfer_cancel(c->flight);
    landed(c);
}

/* ---- timers ---- */

static struct clock_time due_of(const struct keep *c)
{
    bool idle = !c->flight && !c->in_line;

    switch (c->state) {
    case KEEP_ASKING:
        return idle ? clock_min(c->lease.next, c->until) : c->until;
    case KEEP_WAITING:
        return idle ? clock_min(c->wait_next, c->until) : c->until;
    case KEEP_QUEUED:
        return c->until;
    case KEEP_HELD:
        return idle ? clock_min(c->lease.next, c->lease.deadline)
                    : c->lease.deadline;
    case KEEP_GIVING:
        return idle ? clock_min(c->give_next, c->give_until) : c->give_until;
    case KEEP_LOST:
        break;
    }
    return clock_never();
}

void keep_arm(struct keep *c)
{
    timer_set(&c->keeper->timers, &c->timer, due_of(c));
}

void keep_hurry(struct keep *c)
{
    timer_set(&c->keeper->timers, &c->timer, clock_now());
}

static void run_timers(struct keeper *k)
{
    struct timer *t;

    /* A fresh reading each time: what one of them does may take long. */
    while ((t = timers_due(&k->timers, clock_now()))) {
        struct keep *c =
            (struct keep *)(void *)((char *)t - offsetof(struct keep, timer));

        if (c->state == KEEP_GIVING)
            give_due(c, clock_now());
        else
            ask_due(c, clock_now());
    }
}

static void run_strays(struct keeper *k)
{
    struct stray *s = k->strays;

    /* Those that come meanwhile are for the next pass. */
    k->strays = NULL;
    k->strays_end = &k->strays;
    while (s) {
        struct stray *next = s->next;
        struct keeper_event e = {.handle = s->handle,
                                 .kind = KEEPER_RELEASED,
                                 .status = JUSTALOCK_STATE};
        struct justalock_error cut;

        (void)error_set(&cut, JUSTALOCK_STATE, "no such handle");
        memcpy(e.text, cut.text, sizeof(e.text));
        free(s);
        k->fn(k->arg, &e);
        s = next;
    }
}

/* Whose turn came may have had no use for it: on to the next. */
static bool hurry_lines(struct keeper *k)
{
    bool any = false;

    for (struct place *p = k->places; p; p = p->next) {
        any |= p->line_first && p->flights < KEEPER_FLIGHTS_MAX;
        line_next(p);
    }
    return any;
}

bool keeper_run(struct keeper *k, int fd, int64_t max_ms)
{
    struct clock_time until;
    bool readable;

    run_strays(k);
    do
        run_timers(k);
    while (hurry_lines(k));
    until = clock_min(clock_add(clock_now(), k->strays ? 0 : max_ms),
                      timers_next(&k->timers));
    readable = transfer_run(k->hub, fd, until);
    run_timers(k);
    return readable;
}

/* ---- what the owner asks ---- */

enum justalock_status keeper_acquire(struct keeper *k, uint64_t handle,
                                     const struct keeper_service *service,
                                     const struct keeper_lock *lock,
                                     int64_t wait_ms,
                                     struct justalock_error *err)
{
    struct keep *c = NULL;
    enum justalock_status st = keep_add(k, handle, service, lock, &c, err);

    if (st != JUSTALOCK_OK)
        return st;
    lease_init(&c->lease,
               c->place->features ? &c->extended_times : &c->base_times);
    c->state = KEEP_ASKING;
    c->lock.slot = 0; /* none as yet */
    c->lock.slot_has_id = false;
    c->wait_ms = wait_ms < 0 ? -1 : wait_ms;
    if (wait_ms == 0)
        c->until = clock_add(clock_now(), c->lease.times.attempt_ms);
    else if (wait_ms > 0)
        c->until = clock_add(clock_now(), wait_ms);
    keep_hurry(c);
    return JUSTALOCK_OK;
}

enum justalock_status keeper_adopt(struct keeper *k, uint64_t handle,
                                   const struct keeper_service *service,
                                   const struct keeper_lock *lock,
                                   struct clock_time t0, bool has_features,
                                   struct justalock_error *err)
{
    struct keep *c = NULL;
    enum justalock_status st = keep_add(k, handle, service, lock, &c, err);

    if (st != JUSTALOCK_OK)
        return st;
    if (has_features && !c->place->is_known)
        c->place->features |= SERVICE_HAS_RELEASE; /* all that matters here */
    lease_adopt(&c->lease,
                c->place->features ? &c->extended_times : &c->base_times, t0,
                clock_now());
    c->state = KEEP_HELD;
    c->wait_ms = -1;
    c->sent = true;
    c->t0 = t0;
    keep_hurry(c);
    return JUSTALOCK_OK;
}

void keeper_release(struct keeper *k, uint64_t handle, int64_t limit_ms)
{
    struct keep *c;
    struct stray *s;

    HASH_FIND(hh, k->by_handle, &handle, sizeof(handle), c);
    if (c) {
        if (c->state != KEEP_GIVING)
            give_begin(c, limit_ms);
        return;
    }
    s = calloc(1, sizeof(*s));
    if (!s)
        return; /* no memory to say that there is nothing to say */
    s->handle = handle;
    *k->strays_end = s;
    k->strays_end = &s->next;
}

void keeper_abandon(struct keeper *k)
{
    struct keep *c = k->keeps;

    while (c) {
        struct keep *next = c->next;

        keep_final(c);
        if (c->state == KEEP_HELD || c->state == KEEP_LOST) {
            keep_cancel(c);
            keep_free(c);
        } else if (c->state != KEEP_GIVING) {
            give_begin(c, keep_give_ms(c));
        }
        c = next;
    }
}
