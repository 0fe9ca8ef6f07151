/* SPDX-License-Identifier: MIT */
/*
 * lock_view.c - what one may ask of a handle: held, lost, for how long, who
 * else. Changes nothing but that a passed deadline becomes a loss.
 */
#include <stdlib.h>
#include <string.h>

#include "lock.h"

int justalock_is_held(struct justalock *lock)
{
    int held;

    pthread_mutex_lock(&library.mutex);
    lock_settle(lock);
    held = !lock->dead && lock->state == LOCK_HELD;
    pthread_mutex_unlock(&library.mutex);
    return held;
}

int justalock_is_lost(struct justalock *lock)
{
    int lost;

    pthread_mutex_lock(&library.mutex);
    lock_settle(lock);
    lost = lock->dead || lock->state == LOCK_LOST;
    pthread_mutex_unlock(&library.mutex);
    return lost;
}

int64_t justalock_remaining_ms(struct justalock *lock)
{
    int64_t left_ms = 0;

    pthread_mutex_lock(&library.mutex);
    lock_settle(lock);
    if (!lock->dead && lock->state == LOCK_HELD)
        left_ms = clock_left_ms(lock->deadline, clock_now());
    pthread_mutex_unlock(&library.mutex);
    return left_ms > 0 ? left_ms : 0;
}

int justalock_fd(const struct justalock *lock)
{
    return lock->fd;
}

/* With library.mutex held. OK: still the same holding, still held. */
static enum justalock_status look(struct justalock *lock,
                                  const struct holding *h,
                                  struct justalock_error *err)
{
    lock_settle(lock);
    if (lock->dead || lock->state == LOCK_LOST)
        return error_set(err, JUSTALOCK_LOST, "the lock was lost: %s",
                         lock->dead ? "it is the parent process's"
                                    : lock->loss);
    if (lock->state == LOCK_HELD && lock->holding == h)
        return JUSTALOCK_OK;
    return error_set(err, JUSTALOCK_CANCELED, "the lock was released");
}

/* A time that was reckoned and has run out must not mean for ever. */
enum justalock_status lock_bad_timeout(int64_t timeout_ms,
                                       struct justalock_error *err)
{
    return error_set(err, JUSTALOCK_ARG,
                     "timeout_ms: %lld is below -1, which is for ever",
                     (long long)timeout_ms);
}

enum justalock_status justalock_wait_lost(struct justalock *lock,
                                          int64_t timeout_ms,
                                          struct justalock_error *err)
{
    struct clock_time until =
        timeout_ms < 0 ? clock_never() : clock_add(clock_now(), timeout_ms);
    const struct holding *h;
    enum justalock_status st;

    if (timeout_ms < -1)
        return lock_bad_timeout(timeout_ms, err);
    pthread_mutex_lock(&library.mutex);
    h = lock->holding;
    st = look(lock, h, err);
    if (st == JUSTALOCK_CANCELED)
        st = error_set(err, JUSTALOCK_STATE, "the lock is not held");
    while (st == JUSTALOCK_OK && clock_left_ms(until, clock_now()) > 0) {
        lock_pause(lock, clock_min(until, lock->deadline));
        st = look(lock, h, err);
    }
    pthread_mutex_unlock(&library.mutex);
    return st;
}

enum justalock_status justalock_token(struct justalock *lock,
                                      uint64_t *ret_token,
                                      struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    pthread_mutex_lock(&library.mutex);
    lock_settle(lock);
    if (lock->dead || lock->state != LOCK_HELD)
        st = error_set(err, JUSTALOCK_STATE, "the lock is not held");
    else if (!lock->has_token)
        st = error_set(err, JUSTALOCK_STATE,
                       "this service gives no fencing tokens");
    else
        *ret_token = lock->token;
    pthread_mutex_unlock(&library.mutex);
    return st;
}

enum justalock_status justalock_slot(struct justalock *lock, unsigned *ret_slot,
                                     struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    pthread_mutex_lock(&library.mutex);
    lock_settle(lock);
    if (lock->dead || lock->state != LOCK_HELD)
        st = error_set(err, JUSTALOCK_STATE, "the lock is not held");
    else if (!lock->has_slot)
        st = error_set(err, JUSTALOCK_STATE, "the lock is no pool");
    else
        *ret_slot = lock->slot;
    pthread_mutex_unlock(&library.mutex);
    return st;
}

enum justalock_status justalock_trouble(struct justalock *lock,
                                        struct justalock_error *err)
{
    enum justalock_status st;

    pthread_mutex_lock(&library.mutex);
    lock_settle(lock);
    st = lock->trouble.status;
    if (lock->dead)
        st = lock_dead(err);
    else if (st != JUSTALOCK_OK && err)
        *err = lock->trouble;
    pthread_mutex_unlock(&library.mutex);
    return st;
}

enum justalock_status justalock_holder(struct justalock *lock,
                                       struct justalock_holder *ret_holder,
                                       struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    pthread_mutex_lock(&library.mutex);
    if (lock->dead)
        st = lock_dead(err);
    else if (lock->refused)
        *ret_holder = lock->holder;
    else
        st = error_set(err, JUSTALOCK_STATE, "the lock has not been refused");
    pthread_mutex_unlock(&library.mutex);
    return st;
}

/* ---- the service's own view ---- */

void lock_view_add(struct query *q, const struct keeper_view *from)
{
    struct justalock_view *to;

    q->known = from->known;
    q->held += from->held;
    if (q->len == q->max)
        return;
    to = &q->views[q->len++];
    *to = (struct justalock_view){.held = from->held,
                                  .has_token = from->has_token,
                                  .token = from->token,
                                  .shares = from->shares,
                                  .waiters = from->waiters,
                                  .expires_ms = from->expires_ms,
                                  .slots = from->slots,
                                  .slot = from->slot};
    memcpy(to->holder.label, from->holder, sizeof(from->holder));
    memcpy(to->holder.since, from->since, sizeof(from->since));
}

/* With library.mutex held. Gives q back to the thread where it is too late. */
static enum justalock_status wait_views(struct query *q,
                                        struct clock_time until,
                                        struct justalock_view *ret_views,
                                        size_t *ret_len,
                                        struct justalock_error *err)
{
    enum justalock_status st;

    while (!q->done) {
        if (clock_left_ms(until, clock_now()) <= 0) {
            q->abandoned = true;
            return error_set(err, JUSTALOCK_NET,
                             "the keeper thread does not answer");
        }
        lock_pause(q->lock, until);
    }
    st = q->error.status;
    if (st == JUSTALOCK_OK && !q->known)
        st = error_set(&q->error, JUSTALOCK_STATE,
                       "this service cannot tell who holds a lock");
    if (st == JUSTALOCK_OK) {
        memcpy(ret_views, q->views, q->len * sizeof(*ret_views));
        *ret_len = q->held;
    } else if (err) {
        *err = q->error;
    }
    free(q);
    return st;
}

enum justalock_status justalock_query_slots(struct justalock *lock,
                                            int64_t timeout_ms,
                                            struct justalock_view *ret_views,
                                            size_t max, size_t *ret_len,
                                            struct justalock_error *err)
{
    struct clock_time until;
    enum justalock_status st;
    struct query *q;

    if (timeout_ms < 1)
        return error_set(err, JUSTALOCK_ARG, "timeout_ms: %lld is below 1",
                         (long long)timeout_ms);
    if (max < 1 || max > JUSTALOCK_SLOTS_MAX)
        return error_set(err, JUSTALOCK_ARG, "max: %zu is not within 1 and %d",
                         max, JUSTALOCK_SLOTS_MAX);
    if (lock->dead)
        return lock_dead(err);
    q = calloc(1, sizeof(*q) + max * sizeof(q->views[0]));
    if (!q)
        return error_nomem(err);
    q->max = max;
    q->lock = lock;
    q->service = lock->options.service;
    q->id = lock->id;
    q->limit_ms =
        timeout_ms < KEEPER_QUERY_MAX_MS ? timeout_ms : KEEPER_QUERY_MAX_MS;
    st = library_start(err);
    if (st != JUSTALOCK_OK) {
        free(q);
        return st;
    }
    until = clock_add(clock_add(clock_now(), timeout_ms), LOCK_SLACK_MS);
    pthread_mutex_lock(&library.mutex);
    library_ask(q);
    st = wait_views(q, until, ret_views, ret_len, err);
    pthread_mutex_unlock(&library.mutex);
    return st;
}

enum justalock_status justalock_query(struct justalock *lock,
                                      int64_t timeout_ms,
                                      struct justalock_view *ret_view,
                                      struct justalock_error *err)
{
    size_t len;

    return justalock_query_slots(lock, timeout_ms, ret_view, 1, &len, err);
}
