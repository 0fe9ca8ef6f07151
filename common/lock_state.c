/* SPDX-License-Identifier: MIT */
/*
 * lock_state.c - what a handle says of itself, and what the keeper's events
 * change in it. All of it runs with library.mutex held; nothing here waits
 * for the network.
 *
 * Whether a lock is held is decided by whoever asks, from the clock: the
 * keeper's LOST is only the other way to learn of it.
 */
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "lock.h"

#define MS_PER_S  1000
#define NS_PER_MS 1000000

void lock_arm(const struct justalock *lock)
{
    struct itimerspec when = {0}; /* disarmed: never readable */
    int64_t left_ms;

    if (lock->state == LOCK_LOST || lock->dead) {
        when.it_value.tv_nsec = 1;
    } else if (lock->state == LOCK_HELD) {
        /* One more than is left: readable means that is_lost says so. */
        left_ms = clock_left_ms(lock->deadline, clock_now()) + 1;
        if (left_ms < 1)
            left_ms = 1;
        when.it_value.tv_sec = left_ms / MS_PER_S;
        when.it_value.tv_nsec = left_ms % MS_PER_S * NS_PER_MS;
    }
    /* Fails only for a descriptor that the program closed behind our back;
     * is_lost is right all the same. */
    (void)timerfd_settime(lock->fd, 0, &when, NULL);
}

void lock_set(struct justalock *lock, enum lock_state state)
{
    lock->state = state;
    lock_arm(lock);
    (void)pthread_cond_broadcast(&lock->changed); /* never fails */
}

void lock_lose(struct justalock *lock, const char *why)
{
    struct justalock_error cut;

    (void)error_set(&cut, JUSTALOCK_LOST, "%s", why);
    memcpy(lock->loss, cut.text, sizeof(lock->loss));
    lock->trouble.status = JUSTALOCK_OK; /* no attempt goes on */
    lock_set(lock, LOCK_LOST);
}

void lock_lose_holding(struct holding *h, const char *why)
{
    lock_lose(h->lock, why);
    h->lock->holding = NULL;
    h->lock = NULL;
}

void lock_settle(struct justalock *lock)
{
    if (lock->state == LOCK_HELD &&
        clock_left_ms(lock->deadline, clock_now()) <= 0)
        lock_lose(lock, lock->trouble.status != JUSTALOCK_OK
                            ? lock->trouble.text
                            : "no refresh was answered in time");
}

void lock_pause(struct justalock *lock, struct clock_time until)
{
    int64_t ms = clock_left_ms(until, clock_now());
    struct timespec ts;

    if (ms > LOCK_PAUSE_MS)
        ms = LOCK_PAUSE_MS;
    if (ms < 1)
        ms = 1;
    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        return; /* cannot fail; the caller looks again */
    ts.tv_sec += ms / MS_PER_S;
    ts.tv_nsec += ms % MS_PER_S * NS_PER_MS;
    if (ts.tv_nsec >= MS_PER_S * NS_PER_MS) {
        ts.tv_sec++;
        ts.tv_nsec -= MS_PER_S * NS_PER_MS;
    }
    /* Time out or not: the caller looks at the state again. */
    (void)pthread_cond_timedwait(&lock->changed, &library.mutex, &ts);
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

static void note_holder(struct justalock *lock, const struct keeper_event *e)
{
    lock->refused = true;
    copy_text(lock->holder.label, sizeof(lock->holder.label), e->holder);
    copy_text(lock->holder.since, sizeof(lock->holder.since), e->since);
    lock->trouble.status = JUSTALOCK_OK;
}

static void note_success(struct justalock *lock, const struct keeper_event *e)
{
    lock->deadline = lease_deadline(
        e->has_features ? &lock->features_times : &lock->base_times, e->t0);
    lock->trouble.status = JUSTALOCK_OK;
}

void lock_finish(struct holding *h, const struct justalock_error *result)
{
    if (h->acquirer) {
        h->acquirer->error = *result;
        if (h->release)
            (void)error_set(&h->acquirer->error, JUSTALOCK_CANCELED,
                            "the wait was ended by a release");
        h->acquirer->done = true;
        h->acquirer = NULL;
    }
    if (h->releaser) {
        h->releaser->error = *result;
        h->releaser->done = true;
        h->releaser = NULL;
    }
    if (h->lock) {
        h->lock->holding = NULL;
        h->lock->trouble.status = JUSTALOCK_OK;
        lock_set(h->lock, LOCK_IDLE);
        h->lock = NULL;
    }
}

static void granted(struct holding *h, const struct keeper_event *e)
{
    struct justalock *lock = h->lock;

    note_success(lock, e);
    lock->has_token = e->has_token;
    lock->token = e->token;
    lock->has_slot = e->has_slot;
    lock->slot = e->slot;
    lock->refused = false;
    lock_set(lock, LOCK_HELD);
    if (h->acquirer) {
        h->acquirer->error.status = JUSTALOCK_OK;
        h->acquirer->done = true;
        h->acquirer = NULL;
    }
    lock_settle(lock); /* the answer may have been too old already */
}

static void refused(struct holding *h, enum justalock_status status,
                    const struct keeper_event *e)
{
    struct justalock_error result;
    const struct justalock_holder *who = &h->lock->holder;

    if (status == JUSTALOCK_HELD)
        (void)error_set(&result, status, "held by %s%s%s",
                        who->label[0] ? who->label : "another client",
                        who->since[0] ? " since " : "", who->since);
    else
        (void)error_set(&result, status, "%s",
                        e->text[0] ? e->text : "no answer from the service");
    result.http_status = e->http_status;
    lock_finish(h, &result);
}

/* Events that matter only while somebody wants the holding. */
static bool wanted_event(struct holding *h, const struct keeper_event *e)
{
    struct justalock *lock = h->lock;

    lock_settle(lock); /* an answer after the deadline extends nothing */
    switch (e->kind) {
    case KEEPER_GRANTED:
        if (lock->state == LOCK_ASKING)
            granted(h, e);
        return false;
    case KEEPER_EXTENDED:
        if (lock->state == LOCK_HELD) {
            note_success(lock, e);
            lock_settle(lock);
            lock_arm(lock);
        }
        return false;
    case KEEPER_BUSY:
        note_holder(lock, e);
        if (h->once)
            refused(h, JUSTALOCK_HELD, e);
        return h->once;
    case KEEPER_TROUBLE:
        (void)error_set(&lock->trouble, e->status, "%s", e->text);
        lock->trouble.http_status = e->http_status;
        return false;
    case KEEPER_LOST:
        if (lock->state == LOCK_HELD)
            lock_lose(lock, e->text);
        return false;
    case KEEPER_TIMEOUT:
        if (lock->state == LOCK_HELD)
            lock_lose_holding(h, e->text); /* given back behind our back */
        else
            refused(h, e->status, e);
        return true;
    case KEEPER_RELEASED:
        break;
    }
    return false;
}

bool lock_event(struct holding *h, const struct keeper_event *e)
{
    struct justalock_error result = {.status = JUSTALOCK_OK};

    if (e->kind == KEEPER_RELEASED) {
        if (e->status != JUSTALOCK_OK)
            (void)error_set(&result, JUSTALOCK_NET,
                            "the release was not confirmed: %s",
                            e->text[0] ? e->text : "no answer");
        lock_finish(h, &result);
        return true;
    }
    if (h->release || !h->lock)
        /* Its RELEASED follows, unless the keeper had done with it. */
        return e->kind == KEEPER_TIMEOUT || (e->kind == KEEPER_BUSY && h->once);
    return wanted_event(h, e);
}
