/* SPDX-License-Identifier: MIT */
/*
 * played_keeper.h - the public interface on a keeper that the test plays
 * itself: its functions are defined here, and a test says what they answer.
 */
#ifndef TESTS_UNIT_PLAYED_KEEPER_H
#define TESTS_UNIT_PLAYED_KEEPER_H

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lock.h"
#include "test.h"

#define LONG_MS 20000 /* never reached in a test that passes */

/* ---- the keeper, played ---- */

enum play { GRANT, SILENT, BUSY, UNREACHABLE, REFUSE };
#define EVENTS_MAX 16

static struct {
    pthread_mutex_t mutex;
    enum play play;
    enum justalock_status release_as;
    bool deaf;         /* releases are not answered */
    bool stuck;        /* keeper_run is not to return */
    bool stands;       /* and does not */
    bool has_features; /* of the next grant */
    int64_t grant_age_ms;
    uint64_t token;
    int slot;        /* -1: no pool */
    uint64_t handle; /* of the last acquire */
    struct keeper_lock lock;
    struct keeper_service service;
    int64_t wait_ms;
    int64_t query_limit_ms; /* of the last query */
    unsigned acquired, released, alive;
    struct keeper_event events[EVENTS_MAX];
    size_t events_len;
    unsigned delivered;
    sigset_t mask; /* of the thread */
    int poke;      /* eventfd */
} played = {.mutex = PTHREAD_MUTEX_INITIALIZER, .slot = -1, .poke = -1};

/* The keeper thread reads them: under the mutex only. */
#define PLAY(field, value)                                                     \
    do {                                                                       \
        pthread_mutex_lock(&played.mutex);                                     \
        played.field = (value);                                                \
        pthread_mutex_unlock(&played.mutex);                                   \
    } while (0)

struct keeper {
    keeper_event_fn *fn;
    void *arg;
};

static inline void poke(void)
{
    uint64_t one = 1;

    assert_int_equal(write(played.poke, &one, sizeof(one)), sizeof(one));
}

/* Have the thread deliver this; with played.mutex held. */
static inline void push(enum keeper_event_kind kind, uint64_t handle,
                        enum justalock_status status, const char *text)
{
    struct keeper_event *e;

    assert_true(played.events_len < EVENTS_MAX);
    e = &played.events[played.events_len++];
    memset(e, 0, sizeof(*e));
    e->kind = kind;
    e->handle = handle;
    e->status = status;
    e->t0 = clock_add(clock_now(), -played.grant_age_ms);
    e->has_features = played.has_features;
    e->has_token = played.token != 0;
    e->token = played.token;
    e->has_slot = played.slot >= 0;
    e->slot = played.slot >= 0 ? (unsigned)played.slot : 0;
    if (text)
        memcpy(e->text, text, strlen(text) + 1);
    if (kind == KEEPER_BUSY) {
        memcpy(e->holder, "job 7", 6);
        memcpy(e->since, "2026-11-23T07:46:09Z", 21);
    }
}

static inline void emit(enum keeper_event_kind kind,
                        enum justalock_status status, const char *text)
{
    pthread_mutex_lock(&played.mutex);
    push(kind, played.handle, status, text);
    pthread_mutex_unlock(&played.mutex);
    poke();
}

static inline unsigned delivered(void)
{
    unsigned n;

    pthread_mutex_lock(&played.mutex);
    n = played.delivered;
    pthread_mutex_unlock(&played.mutex);
    return n;
}

static inline void await_delivered(unsigned before)
{
    int tries = 0;

    while (delivered() == before && tries++ < LONG_MS)
        usleep(1000);
    assert_int_not_equal(delivered(), before);
}

/* Returns when the keeper thread, which must run, stands still. */
static inline void set_stuck(bool stuck)
{
    bool stands = false;

    pthread_mutex_lock(&played.mutex);
    played.stuck = stuck;
    pthread_mutex_unlock(&played.mutex);
    poke();
    for (int i = 0; stuck && i < LONG_MS && !stands; i++) {
        pthread_mutex_lock(&played.mutex);
        stands = played.stands;
        pthread_mutex_unlock(&played.mutex);
        usleep(1000);
    }
    assert_int_equal(stands, stuck);
}

enum justalock_status keeper_new(keeper_event_fn *fn, void *arg,
                                 struct keeper **ret_keeper,
                                 struct justalock_error *err)
{
    struct keeper *k = calloc(1, sizeof(*k));

    if (!k)
        return error_nomem(err);
    k->fn = fn;
    k->arg = arg;
    *ret_keeper = k;
    return JUSTALOCK_OK;
}

void keeper_free(struct keeper *k)
{
    free(k);
}

enum justalock_status keeper_acquire(struct keeper *k, uint64_t handle,
                                     const struct keeper_service *service,
                                     const struct keeper_lock *lock,
                                     int64_t wait_ms,
                                     struct justalock_error *err)
{
    (void)k;
    pthread_mutex_lock(&played.mutex);
    if (played.play == REFUSE) {
        pthread_mutex_unlock(&played.mutex);
        return error_set(err, JUSTALOCK_ARG, "refused by the keeper");
    }
    played.handle = handle;
    played.lock = *lock;
    played.service = *service;
    played.wait_ms = wait_ms;
    played.acquired++;
    if (played.play == GRANT) {
        played.alive++;
        push(KEEPER_GRANTED, handle, JUSTALOCK_OK, NULL);
    } else if (played.play == BUSY) {
        push(KEEPER_BUSY, handle, JUSTALOCK_HELD, NULL);
        if (wait_ms > 0)
            push(KEEPER_TIMEOUT, handle, JUSTALOCK_HELD, NULL);
    } else if (played.play == UNREACHABLE) {
        push(KEEPER_TROUBLE, handle, JUSTALOCK_NET, "nobody listens");
        if (wait_ms >= 0)
            push(KEEPER_TIMEOUT, handle, JUSTALOCK_NET, "nobody listens");
    } else {
        played.alive++;
    }
    pthread_mutex_unlock(&played.mutex);
    poke();
    return JUSTALOCK_OK;
}

void keeper_release(struct keeper *k, uint64_t handle, int64_t limit_ms)
{
    (void)k;
    (void)limit_ms;
    pthread_mutex_lock(&played.mutex);
    played.released++;
    if (!played.deaf) {
        played.alive--;
        push(KEEPER_RELEASED, handle, played.release_as, "no answer");
    }
    pthread_mutex_unlock(&played.mutex);
    poke();
}

enum justalock_status keeper_query(struct keeper *k, uint64_t handle,
                                   const struct keeper_service *service,
                                   const struct lock_id *id, int64_t limit_ms,
                                   keeper_view_fn *fn, void *arg,
                                   struct justalock_error *err)
{
    struct keeper_view view = {.known = true,
                               .held = true,
                               .has_token = true,
                               .token = 9,
                               .shares = 2,
                               .waiters = 3,
                               .expires_ms = 500,
                               .holder = "job 7"};
    enum play play;
    bool is_pool;

    (void)k;
    (void)service;
    (void)id;
    pthread_mutex_lock(&played.mutex);
    played.query_limit_ms = limit_ms;
    play = played.play;
    is_pool = played.slot >= 0;
    pthread_mutex_unlock(&played.mutex);
    if (play == REFUSE)
        return error_set(err, JUSTALOCK_ARG, "refused by the keeper");
    if (play == UNREACHABLE) {
        fn(arg, handle, JUSTALOCK_NET, "nobody listens", NULL);
        return JUSTALOCK_OK;
    }
    view.known = play != SILENT;
    view.has_more = is_pool;
    fn(arg, handle, JUSTALOCK_OK, NULL, &view);
    if (is_pool) {
        view.has_more = false;
        view.token = 10;
        fn(arg, handle, JUSTALOCK_OK, NULL, &view);
    }
    return JUSTALOCK_OK;
}

/* In the keeper thread, which does not go on then. */
static inline bool is_stuck(void)
{
    bool stuck;

    pthread_mutex_lock(&played.mutex);
    stuck = played.stands = played.stuck;
    pthread_mutex_unlock(&played.mutex);
    return stuck;
}

static inline void deliver(struct keeper *k)
{
    struct keeper_event events[EVENTS_MAX];
    size_t len, i;

    pthread_mutex_lock(&played.mutex);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &played.mask);
    len = played.events_len;
    memcpy(events, played.events, len * sizeof(events[0]));
    played.events_len = 0;
    pthread_mutex_unlock(&played.mutex);
    for (i = 0; i < len; i++)
        k->fn(k->arg, &events[i]);
    pthread_mutex_lock(&played.mutex);
    played.delivered += (unsigned)len;
    pthread_mutex_unlock(&played.mutex);
}

bool keeper_run(struct keeper *k, int fd, int64_t max_ms)
{
    struct pollfd fds[] = {{.fd = played.poke, .events = POLLIN},
                           {.fd = fd, .events = POLLIN}};
    uint64_t count;
    bool stuck;

    do {
        (void)poll(fds, 2, (int)max_ms);
        if (fds[0].revents & POLLIN)
            assert_int_equal(read(played.poke, &count, sizeof(count)),
                             sizeof(count));
        stuck = is_stuck();
        fds[1].fd = stuck ? -1 : fd; /* only a poke is heard */
    } while (stuck);
    deliver(k);
    return (fds[1].revents & POLLIN) != 0;
}

size_t keeper_count(const struct keeper *k)
{
    size_t alive;

    (void)k;
    pthread_mutex_lock(&played.mutex);
    alive = played.alive;
    pthread_mutex_unlock(&played.mutex);
    return alive;
}

/* ---- helpers ---- */

static inline int set_up(void **state)
{
    (void)state;
    pthread_mutex_lock(&played.mutex);
    played.play = GRANT;
    played.release_as = JUSTALOCK_OK;
    played.deaf = false;
    played.stuck = false;
    played.stands = false;
    played.has_features = true;
    played.grant_age_ms = 0;
    played.token = 0;
    played.slot = -1;
    played.acquired = 0;
    played.released = 0;
    played.alive = 0;
    played.events_len = 0;
    pthread_mutex_unlock(&played.mutex);
    if (played.poke < 0)
        played.poke = eventfd(0, EFD_CLOEXEC);
    return 0;
}

static inline struct justalock *make(unsigned lifetime_s)
{
    struct justalock_options *options = NULL;
    struct justalock_error err;
    struct justalock *lock = NULL;

    assert_int_equal(justalock_options_new(&options, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_options_lifetime_s(options, lifetime_s, &err),
                     JUSTALOCK_OK);
    assert_int_equal(justalock_new("a name", options, &lock, &err),
                     JUSTALOCK_OK);
    justalock_options_free(options);
    return lock;
}

static inline bool readable(const struct justalock *lock, int timeout_ms)
{
    struct pollfd fd = {.fd = justalock_fd(lock), .events = POLLIN};

    return poll(&fd, 1, timeout_ms) == 1;
}

static inline struct justalock *hold(unsigned lifetime_s)
{
    struct justalock *lock = make(lifetime_s);
    struct justalock_error err;

    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_is_held(lock), 1);
    return lock;
}

struct waiter {
    struct justalock *lock;
    enum justalock_status status;
    struct justalock_error err;
};

#define TEST(name) cmocka_unit_test_setup(name, set_up)

#endif
