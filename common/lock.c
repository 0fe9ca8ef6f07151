/* SPDX-License-Identifier: MIT */
/*
 * lock.c - the handles of justalock.h: acquire, release, and what one may ask
 * of a handle. The network is the keeper thread's (lock_thread.c); options,
 * ids and words are in lock_options.c and lock_id.c.
 */
#include "lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RANDOM_CLIENT_LEN 32 /* hex digits */

static struct clock_time after(int64_t ms)
{
    return ms < 0 ? clock_never() : clock_add(clock_now(), ms);
}

enum justalock_status lock_dead(struct justalock_error *err)
{
    return error_set(err, JUSTALOCK_STATE,
                     "this handle was made before fork(): make a new one");
}

static enum justalock_status lost(const struct justalock *lock,
                                  struct justalock_error *err)
{
    return error_set(err, JUSTALOCK_LOST, "the lock was lost: %s",
                     lock->dead ? "it is the parent process's" : lock->loss);
}

/* ---- making and freeing ---- */

static enum justalock_status fill_times(struct justalock *lock,
                                        struct justalock_error *err)
{
    enum justalock_status st;

    lock->base_times = lock->options.times;
    lock->features_times = lock->options.times;
    st = lease_times_fill(&lock->base_times, false, err);
    if (st == JUSTALOCK_OK)
        st = lease_times_fill(&lock->features_times, true, err);
    return st;
}

static enum justalock_status init_condition(pthread_cond_t *cond,
                                            struct justalock_error *err)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc == 0)
        rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attr);
    if (rc != 0)
        return error_sys(err, rc, "condition variable");
    return JUSTALOCK_OK;
}

static enum justalock_status init_handle(struct justalock *lock,
                                         struct justalock_error *err)
{
    enum justalock_status st = fill_times(lock, err);

    if (st != JUSTALOCK_OK)
        return st;
    st = init_condition(&lock->changed, err);
    if (st != JUSTALOCK_OK)
        return st;
    lock->fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (lock->fd < 0)
        return error_sys(err, errno, "timerfd_create");
    st = library_add(lock, err);
    if (st != JUSTALOCK_OK)
        (void)close(lock->fd);
    return st;
}

enum justalock_status justalock_new_id(const uint8_t id[JUSTALOCK_ID_LEN],
                                       const struct justalock_options *options,
                                       struct justalock **ret_lock,
                                       struct justalock_error *err)
{
    struct justalock *lock = calloc(1, sizeof(*lock));
    struct justalock_options *defaults = NULL;
    enum justalock_status st = JUSTALOCK_OK;

    if (!lock)
        return error_nomem(err);
    if (!options)
        st = justalock_options_new(&defaults, err);
    if (st == JUSTALOCK_OK) {
        lock->options = options ? *options : *defaults;
        memcpy(lock->id.bytes, id, sizeof(lock->id.bytes));
        st = init_handle(lock, err);
    }
    justalock_options_free(defaults);
    if (st != JUSTALOCK_OK) {
        free(lock);
        return st;
    }
    *ret_lock = lock;
    return JUSTALOCK_OK;
}

enum justalock_status justalock_new(const char *name,
                                    const struct justalock_options *options,
                                    struct justalock **ret_lock,
                                    struct justalock_error *err)
{
    struct lock_id id;
    enum justalock_status st = id_from_name(name, &id, err);

    if (st != JUSTALOCK_OK)
        return st;
    return justalock_new_id(id.bytes, options, ret_lock, err);
}

void justalock_free(struct justalock *lock)
{
    if (!lock)
        return;
    if (!lock->dead) {
        if (justalock_is_held(lock))
            (void)justalock_release(lock, NULL); /* nobody is left to tell */
        library_remove(lock);
    }
    (void)pthread_cond_destroy(&lock->changed);
    (void)close(lock->fd);
    explicit_bzero(&lock->options, sizeof(lock->options)); /* the token */
    free(lock);
}

/* ---- acquire ---- */

static enum justalock_status fill_ask(const struct justalock *lock,
                                      int64_t timeout_ms, struct ask *ask,
                                      struct justalock_error *err)
{
    const struct justalock_options *o = &lock->options;
    char random[RANDOM_CLIENT_LEN + 1];
    enum justalock_status st;

    ask->service = o->service;
    ask->wait_ms = timeout_ms < 0 ? -1 : timeout_ms;
    ask->lock.id = lock->id;
    ask->lock.times = o->times;
    ask->lock.slots = o->slots;
    memcpy(ask->lock.label, o->label, sizeof(ask->lock.label));
    st = id_random_hex(ask->lock.share, KEEPER_SHARE_LEN / 2, err);
    if (st != JUSTALOCK_OK)
        return st;
    ask->lock.reusable_client = o->client_len > 0;
    if (o->client_len > 0) {
        memcpy(ask->lock.client, o->client, o->client_len);
        ask->lock.client_len = o->client_len;
        return JUSTALOCK_OK;
    }
    st = id_random_hex(random, RANDOM_CLIENT_LEN / 2, err);
    if (st != JUSTALOCK_OK)
        return st;
    memcpy(ask->lock.client, random, RANDOM_CLIENT_LEN);
    ask->lock.client_len = RANDOM_CLIENT_LEN;
    return JUSTALOCK_OK;
}

static void free_unasked(struct holding *h)
{
    if (h)
        free(h->ask);
    free(h);
}

/* A holding that can be queued, with the thread running. */
static enum justalock_status new_holding(const struct justalock *lock,
                                         int64_t timeout_ms,
                                         struct holding **ret_h,
                                         struct justalock_error *err)
{
    struct holding *h = calloc(1, sizeof(*h));
    enum justalock_status st;

    if (!h || !(h->ask = calloc(1, sizeof(*h->ask)))) {
        free_unasked(h);
        return error_nomem(err);
    }
    h->once = timeout_ms == 0;
    st = fill_ask(lock, timeout_ms, h->ask, err);
    if (st == JUSTALOCK_OK)
        st = library_start(err);
    if (st != JUSTALOCK_OK) {
        free_unasked(h);
        return st;
    }
    *ret_h = h;
    return JUSTALOCK_OK;
}

/* With library.mutex held. */
static enum justalock_status begin(struct justalock *lock, struct holding *h,
                                   struct outcome *out,
                                   struct justalock_error *err)
{
    lock_settle(lock);
    if (lock->dead)
        return lock_dead(err);
    if (lock->state != LOCK_IDLE && lock->state != LOCK_LOST)
        return error_set(err, JUSTALOCK_STATE, "the handle is in use: %s",
                         lock->state == LOCK_HELD
                             ? "it holds the lock"
                             : "another thread acquires or releases");
    if (lock->holding)
        library_drop(lock->holding);
    h->lock = lock;
    h->acquirer = out;
    h->next = library.holdings;
    if (h->next)
        h->next->prev = h;
    library.holdings = h;
    lock->holding = h;
    lock->refused = false;
    lock->trouble.status = JUSTALOCK_OK;
    lock_set(lock, LOCK_ASKING);
    library_queue(h);
    return JUSTALOCK_OK;
}

static enum justalock_status stuck(struct justalock_error *err)
{
    return error_set(err, JUSTALOCK_NET, "the keeper thread does not answer");
}

/* With library.mutex held and never let go since *place of h was filled; what
 * it points to is the caller's, h is gone when that is done. */
static enum justalock_status wait_done(struct holding *h,
                                       struct outcome **place,
                                       struct clock_time until,
                                       struct justalock_error *err)
{
    struct justalock *lock = h->lock;
    struct outcome *out = *place;

    while (!out->done) {
        if (clock_left_ms(until, clock_now()) <= 0) {
            *place = NULL; /* our caller's frame ends here */
            library_drop(h);
            lock->holding = NULL;
            lock_set(lock, LOCK_IDLE);
            return stuck(err);
        }
        lock_pause(lock, until);
    }
    if (out->error.status != JUSTALOCK_OK && err)
        *err = out->error;
    return out->error.status;
}

enum justalock_status justalock_acquire(struct justalock *lock,
                                        int64_t timeout_ms,
                                        struct justalock_error *err)
{
    int64_t slack_ms = LOCK_SLACK_MS + lock->base_times.attempt_ms;
    struct clock_time until = clock_never();
    struct outcome out = {0};
    struct holding *h = NULL;
    enum justalock_status st;

    if (lock->dead)
        return lock_dead(err);
    if (timeout_ms < -1)
        return lock_bad_timeout(timeout_ms, err);
    st = new_holding(lock, timeout_ms, &h, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (timeout_ms >= 0)
        until = clock_add(after(timeout_ms), slack_ms);
    pthread_mutex_lock(&library.mutex);
    st = begin(lock, h, &out, err);
    if (st == JUSTALOCK_OK)
        st = wait_done(h, &h->acquirer, until, err);
    else
        free_unasked(h);
    pthread_mutex_unlock(&library.mutex);
    return st;
}

enum justalock_status justalock_try(struct justalock *lock,
                                    struct justalock_error *err)
{
    return justalock_acquire(lock, 0, err);
}

/* ---- release ---- */

/* With library.mutex held; the state is ASKING or HELD. */
static enum justalock_status give_back(struct justalock *lock,
                                       struct justalock_error *err)
{
    struct clock_time until = after(LOCK_RELEASE_MS + LOCK_SLACK_MS);
    struct holding *h = lock->holding;
    struct outcome out = {0};

    h->release = true;
    h->releaser = &out;
    lock_set(lock, LOCK_RELEASING);
    library_queue(h);
    return wait_done(h, &h->releaser, until, err);
}

/* With library.mutex held. */
static enum justalock_status release(struct justalock *lock,
                                     struct justalock_error *err)
{
    lock_settle(lock);
    if (lock->dead)
        return lock_dead(err);
    switch (lock->state) {
    case LOCK_HELD:
    case LOCK_ASKING:
        return give_back(lock, err);
    case LOCK_LOST:
        if (lock->holding)
            library_drop(lock->holding);
        lock->holding = NULL;
        lock_set(lock, LOCK_IDLE);
        return lost(lock, err);
    case LOCK_RELEASING:
        return error_set(err, JUSTALOCK_STATE,
                         "another thread is releasing the lock");
    case LOCK_IDLE:
        break;
    }
    return error_set(err, JUSTALOCK_STATE, "the lock is not held");
}

enum justalock_status justalock_release(struct justalock *lock,
                                        struct justalock_error *err)
{
    enum justalock_status st;

    pthread_mutex_lock(&library.mutex);
    st = release(lock, err);
    pthread_mutex_unlock(&library.mutex);
    return st;
}

/* ---- a function with the lock held ---- */

enum justalock_status justalock_with(struct justalock *lock, int64_t timeout_ms,
                                     justalock_work_fn *work, void *arg,
                                     struct justalock_error *err)
{
    enum justalock_status st = justalock_acquire(lock, timeout_ms, err);

    if (st != JUSTALOCK_OK)
        return st;
    work(lock, arg);
    st = justalock_release(lock, err);
    /* Who did not run the work says STATE. */
    if (st == JUSTALOCK_STATE)
        st = error_set(err, JUSTALOCK_LOST, "the work gave the lock back");
    /* Held to the end of the work; the lease's own end is not our matter. */
    return st == JUSTALOCK_NET ? JUSTALOCK_OK : st;
}

enum justalock_status
justalock_with_name(const char *name, const struct justalock_options *options,
                    int64_t timeout_ms, justalock_work_fn *work, void *arg,
                    struct justalock_error *err)
{
    struct justalock *lock = NULL;
    enum justalock_status st = justalock_new(name, options, &lock, err);

    if (st != JUSTALOCK_OK)
        return st;
    st = justalock_with(lock, timeout_ms, work, arg, err);
    justalock_free(lock);
    return st;
}
