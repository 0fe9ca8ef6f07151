/* SPDX-License-Identifier: MIT */
/*
 * test_lock.c - the public interface on a keeper that the test plays itself:
 * every event, at every moment, and a thread that stands still. The real
 * keeper and a real server are tests/examples/api.c.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lock.h"
#include "test.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#elif __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

#define LONG_MS 20000 /* never reached in a test that passes */

/* ---- the keeper, played ---- */

enum play { GRANT, SILENT, BUSY, UNREACHABLE, REFUSE };
#define EVENTS_MAX 16

static struct {
    pthread_mutex_t mutex;
    enum play play;
    enum justalock_status release_as;
    bool deaf;         /* releases are not answered */
    bool stuck;        /* keeper_run does not return */
    bool has_features; /* of the next grant */
    int64_t grant_age_ms;
    uint64_t token;
    int slot;        /* -1: no pool */
    uint64_t handle; /* of the last acquire */
    struct keeper_lock lock;
    struct keeper_service service;
    int64_t wait_ms;
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

static void poke(void)
{
    uint64_t one = 1;

    assert_int_equal(write(played.poke, &one, sizeof(one)), sizeof(one));
}

/* Have the thread deliver this; with played.mutex held. */
static void push(enum keeper_event_kind kind, uint64_t handle,
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

static void emit(enum keeper_event_kind kind, enum justalock_status status,
                 const char *text)
{
    pthread_mutex_lock(&played.mutex);
    push(kind, played.handle, status, text);
    pthread_mutex_unlock(&played.mutex);
    poke();
}

static unsigned delivered(void)
{
    unsigned n;

    pthread_mutex_lock(&played.mutex);
    n = played.delivered;
    pthread_mutex_unlock(&played.mutex);
    return n;
}

static void await_delivered(unsigned before)
{
    int tries = 0;

    while (delivered() == before && tries++ < LONG_MS)
        usleep(1000);
    assert_int_not_equal(delivered(), before);
}

static void set_stuck(bool stuck)
{
    pthread_mutex_lock(&played.mutex);
    played.stuck = stuck;
    pthread_mutex_unlock(&played.mutex);
    poke();
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
    (void)limit_ms;
    pthread_mutex_lock(&played.mutex);
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

static bool is_stuck(void)
{
    bool stuck;

    pthread_mutex_lock(&played.mutex);
    stuck = played.stuck;
    pthread_mutex_unlock(&played.mutex);
    return stuck;
}

static void deliver(struct keeper *k)
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

    do {
        (void)poll(fds, 2, (int)max_ms);
        if (fds[0].revents & POLLIN)
            assert_int_equal(read(played.poke, &count, sizeof(count)),
                             sizeof(count));
        /* Stuck: only a poke is heard. */
        fds[1].fd = is_stuck() ? -1 : fd;
    } while (is_stuck());
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

/* ---- what fails in turn ---- */

static unsigned fail_at; /* the how-manieth call fails; 0: none */
static unsigned calls;

static bool fails(void)
{
    return fail_at != 0 && ++calls == fail_at;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
    if (!fails())
        return __real_timerfd_create(clock, flags);
    errno = EMFILE;
    return -1;
}

int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
    if (!fails())
        return __real_eventfd(value, flags);
    errno = EMFILE;
    return -1;
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a,
                          void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a,
                          void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a,
                          void *(*fn)(void *), void *arg)
{
    return fails() ? EAGAIN : __real_pthread_create(t, a, fn, arg);
}

/* ---- helpers ---- */

static int set_up(void **state)
{
    (void)state;
    pthread_mutex_lock(&played.mutex);
    played.play = GRANT;
    played.release_as = JUSTALOCK_OK;
    played.deaf = false;
    played.stuck = false;
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
    fail_at = 0;
    return 0;
}

static struct justalock *make(unsigned lifetime_s)
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

static bool readable(const struct justalock *lock, int timeout_ms)
{
    struct pollfd fd = {.fd = justalock_fd(lock), .events = POLLIN};

    return poll(&fd, 1, timeout_ms) == 1;
}

static struct justalock *hold(unsigned lifetime_s)
{
    struct justalock *lock = make(lifetime_s);
    struct justalock_error err;

    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_is_held(lock), 1);
    return lock;
}

/* ---- tests ---- */

static void test_holds_and_releases(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;
    int64_t left_ms;

    (void)state;
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_int_equal(justalock_remaining_ms(lock), 0);
    assert_false(readable(lock, 0));
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    assert_int_equal(played.wait_ms, -1);
    left_ms = justalock_remaining_ms(lock);
    /* D = t0 + 60 s * 0.999 - 250 ms */
    assert_in_range(left_ms, 59690 - 2000, 59690);
    assert_false(readable(lock, 0));
    assert_int_equal(justalock_wait_lost(lock, 1, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_acquire(lock, 0, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_is_held(lock), 1);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_wait_lost(lock, 0, &err), JUSTALOCK_STATE);
    justalock_free(lock);
    justalock_free(NULL);
}

static void test_new_share_and_client_for_each_holding(void **state)
{
    struct justalock *lock = hold(60);
    struct keeper_lock first = played.lock;

    (void)state;
    assert_int_equal(first.client_len, 32);
    assert_false(first.reusable_client);
    assert_int_equal(strlen(first.share), KEEPER_SHARE_LEN);
    assert_int_equal(first.times.life_s, 60);
    assert_string_equal(played.service.url, "https://justalock.dev/");
    assert_int_equal(justalock_release(lock, NULL), JUSTALOCK_OK);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    assert_int_equal(played.wait_ms, 0);
    assert_string_not_equal(first.share, played.lock.share);
    assert_memory_not_equal(first.client, played.lock.client, 32);
    justalock_free(lock);
    assert_int_equal(played.released, 2); /* free gives back */
}

static void test_options_reach_the_keeper(void **state)
{
    struct justalock_options *o = NULL;
    struct justalock_error err;
    struct justalock *lock = NULL;
    char path[] = "/tmp/justalock-token.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "s3cret\n", 7), 7);
    assert_int_equal(justalock_options_new(&o, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_options_client_id(o, "worker-1", 8, &err), 0);
    assert_int_equal(justalock_options_lifetime_s(o, 300, &err), 0);
    assert_int_equal(justalock_options_refresh_ms(o, 50000, &err), 0);
    assert_int_equal(justalock_options_slots(o, 7, &err), 0);
    assert_int_equal(justalock_options_url(o, "http://head:7171/", &err), 0);
    assert_int_equal(justalock_options_label(o, "me", &err), 0);
    assert_int_equal(justalock_options_tls_files(o, "/ca", "/c", "/k", &err),
                     0);
    assert_int_equal(justalock_options_token_file(o, path, &err), 0);
    assert_int_equal(justalock_new("a name", o, &lock, &err), 0);
    justalock_options_free(o);
    assert_int_equal(justalock_acquire(lock, 70, &err), 0);
    assert_int_equal(played.lock.client_len, 8);
    assert_memory_equal(played.lock.client, "worker-1", 8);
    assert_true(played.lock.reusable_client);
    assert_int_equal(played.lock.times.life_s, 300);
    assert_int_equal(played.lock.times.refresh_ms, 50000);
    assert_int_equal(played.lock.slots, 7);
    assert_string_equal(played.lock.label, "me");
    assert_string_equal(played.service.url, "http://head:7171/");
    assert_string_equal(played.service.ca_file, "/ca");
    assert_string_equal(played.service.cert_file, "/c");
    assert_string_equal(played.service.key_file, "/k");
    assert_string_equal(played.service.token, "s3cret");
    assert_int_equal(played.wait_ms, 70);
    justalock_free(lock);
    close(fd);
    unlink(path);
}

static void test_options_refuse(void **state)
{
    struct justalock_options *o = NULL;
    struct justalock_error err;
    struct justalock *lock = NULL;
    char text[600];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(justalock_options_new(&o, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_options_lifetime_s(o, 0, &err), JUSTALOCK_ARG);
    assert_string_equal(err.text,
                        "lifetime: 0 is not within 1 and 65535 seconds");
    assert_int_equal(justalock_options_lifetime_s(o, 65536, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_lifetime_s(o, 65535, &err), 0);
    assert_int_equal(justalock_options_lifetime_s(o, 1, &err), 0);
    assert_int_equal(justalock_options_client_id(o, text, 0, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_client_id(o, text, 65, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_client_id(o, text, 64, &err), 0);
    assert_int_equal(justalock_options_client_id(o, NULL, 0, &err), 0);
    assert_int_equal(justalock_options_refresh_ms(o, -1, &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_slots(o, 0, &err), JUSTALOCK_ARG);
    assert_string_equal(err.text, "slots: 0 is not within 1 and 1024");
    assert_int_equal(justalock_options_slots(o, 1025, &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_slots(o, 1024, &err), 0);
    assert_int_equal(justalock_options_slots(o, 1, &err), 0);
    assert_int_equal(justalock_options_url(o, "ftp://x/", &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://", &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://x y\n", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://a,ftp://b", &err),
                     JUSTALOCK_ARG);
    assert_non_null(strstr(err.text, "\"ftp://b\""));
    assert_int_equal(justalock_options_url(o, "http://a,https://b", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://a,http://a", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_url(o, "http://a,http://b", &err), 0);
    memcpy(text, "http://", 7);
    text[512] = '\0';
    assert_int_equal(justalock_options_url(o, text, &err), JUSTALOCK_ARG);
    text[511] = '\0';
    assert_int_equal(justalock_options_url(o, text, &err), 0);
    text[121] = '\0';
    assert_int_equal(justalock_options_label(o, text, &err), JUSTALOCK_ARG);
    text[120] = '\0';
    assert_int_equal(justalock_options_label(o, text, &err), 0);
    assert_int_equal(justalock_options_label(o, "a\nb", &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_options_tls_files(o, NULL, "/c", NULL, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_token_file(o, "/nowhere/x", &err),
                     JUSTALOCK_SYS);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(justalock_options_token_file(o, "/dev/null", &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_options_token_file(o, "/dev/zero", &err),
                     JUSTALOCK_ARG);
    /* A refresh that comes after the lease's end. */
    assert_int_equal(justalock_options_refresh_ms(o, 5000, &err), 0);
    assert_int_equal(justalock_new("a name", o, &lock, &err), JUSTALOCK_ARG);
    assert_null(lock);
    justalock_options_free(o);
}

static void test_busy(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_holder who = {.label = "untouched"};
    struct justalock_error err;

    (void)state;
    assert_int_equal(justalock_holder(lock, &who, &err), JUSTALOCK_STATE);
    assert_string_equal(who.label, "untouched");
    PLAY(play, BUSY);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_HELD);
    assert_string_equal(err.text, "held by job 7 since 2026-11-23T07:46:09Z");
    assert_int_equal(justalock_holder(lock, &who, &err), JUSTALOCK_OK);
    assert_string_equal(who.label, "job 7");
    assert_string_equal(who.since, "2026-11-23T07:46:09Z");
    assert_int_equal(justalock_acquire(lock, 5, &err), JUSTALOCK_HELD);
    assert_int_equal(justalock_is_lost(lock), 0);
    /* The rest of a time that has run out is not for ever. */
    assert_fails(justalock_acquire(lock, -2, &err), JUSTALOCK_ARG, err,
                 "timeout_ms: -2 is below -1");
    assert_fails(justalock_with(lock, INT64_MIN, NULL, NULL, &err),
                 JUSTALOCK_ARG, err, "timeout_ms: ");
    PLAY(play, GRANT);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_fails(justalock_wait_lost(lock, -2, &err), JUSTALOCK_ARG, err,
                 "timeout_ms: -2 is below -1");
    assert_int_equal(justalock_holder(lock, &who, &err), JUSTALOCK_STATE);
    justalock_free(lock);
}

static void test_unreachable_and_refused(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;

    (void)state;
    PLAY(play, UNREACHABLE);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_NET);
    assert_string_equal(err.text, "nobody listens");
    assert_int_equal(justalock_trouble(lock, &err), JUSTALOCK_NET);
    PLAY(play, REFUSE);
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_ARG);
    assert_string_equal(err.text, "refused by the keeper");
    PLAY(play, GRANT);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_trouble(lock, &err), JUSTALOCK_OK);
    PLAY(release_as, JUSTALOCK_NET);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_NET);
    assert_string_equal(err.text, "the release was not confirmed: no answer");
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    justalock_free(lock);
}

static void test_lost_by_event(void **state)
{
    struct justalock *lock = hold(60);
    struct justalock_error err;
    unsigned before;

    (void)state;
    emit(KEEPER_LOST, JUSTALOCK_LOST, "another client holds it");
    assert_int_equal(justalock_wait_lost(lock, LONG_MS, &err), JUSTALOCK_LOST);
    assert_string_equal(err.text, "the lock was lost: another client holds it");
    assert_int_equal(justalock_is_lost(lock), 1);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_remaining_ms(lock), 0);
    assert_true(readable(lock, LONG_MS));
    before = delivered();
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    await_delivered(before);
    assert_int_equal(justalock_is_held(lock), 0); /* nothing revives it */
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_LOST);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_false(readable(lock, 0));
    justalock_free(lock);
    assert_int_equal(played.released, 1);
}

static void test_acquire_after_loss(void **state)
{
    struct justalock *lock = hold(60);
    struct keeper_lock first = played.lock;
    struct justalock_error err;

    (void)state;
    emit(KEEPER_LOST, JUSTALOCK_LOST, "gone");
    assert_int_equal(justalock_wait_lost(lock, -1, &err), JUSTALOCK_LOST);
    assert_int_equal(justalock_acquire(lock, LONG_MS, &err), JUSTALOCK_OK);
    assert_string_not_equal(first.share, played.lock.share);
    assert_int_equal(justalock_is_lost(lock), 0);
    assert_false(readable(lock, 0));
    justalock_free(lock);
    assert_int_equal(played.released, 2); /* the lost one's share too */
}

/* The thread stands still: the deadline holds all the same. */
static void test_stuck_thread_never_extends(void **state)
{
    struct justalock *lock = make(1);
    struct justalock_error err;
    struct clock_time before;
    unsigned seen;

    (void)state;
    PLAY(grant_age_ms, 549); /* D is 749 ms after t0 */
    before = clock_now();
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    set_stuck(true);
    assert_true(readable(lock, LONG_MS));
    /* The first to look, whatever it asks, sees the loss. */
    assert_int_equal(justalock_is_lost(lock), 1);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_in_range(clock_elapsed_ms(before, clock_now()), 200, 2000);
    assert_int_equal(justalock_wait_lost(lock, -1, &err), JUSTALOCK_LOST);
    /* An answer that the thread has only now does not bring it back. */
    PLAY(grant_age_ms, 0);
    seen = delivered();
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    set_stuck(false);
    await_delivered(seen);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_LOST);
    justalock_free(lock);
}

/* Nobody looked between the deadline and the answer: lost all the same. */
static void test_late_extension(void **state)
{
    struct justalock *lock = make(1);
    unsigned seen;

    (void)state;
    PLAY(grant_age_ms, 649);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    assert_true(readable(lock, LONG_MS)); /* the kernel's word, not a look */
    PLAY(grant_age_ms, 0);
    seen = delivered();
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    await_delivered(seen);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 1);
    justalock_free(lock);
}

static void test_answer_too_old(void **state)
{
    struct justalock *lock = make(1);
    struct justalock_error err;

    (void)state;
    PLAY(grant_age_ms, 800); /* D has passed when the grant comes */
    assert_int_equal(justalock_acquire(lock, -1, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_is_lost(lock), 1);
    justalock_free(lock);
}

static void test_base_service_has_more_margin(void **state)
{
    struct justalock *lock = make(60);

    (void)state;
    PLAY(has_features, false);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    /* margin 1250 ms */
    assert_in_range(justalock_remaining_ms(lock), 50000, 58690);
    justalock_free(lock);
}

static void test_extended(void **state)
{
    struct justalock *lock = make(60);
    int tries = 0;

    (void)state;
    PLAY(grant_age_ms, 30000);
    assert_int_equal(justalock_try(lock, NULL), JUSTALOCK_OK);
    assert_in_range(justalock_remaining_ms(lock), 1, 29690);
    PLAY(grant_age_ms, 0);
    emit(KEEPER_EXTENDED, JUSTALOCK_OK, NULL);
    while (justalock_remaining_ms(lock) <= 29690 && tries++ < LONG_MS)
        usleep(1000);
    assert_in_range(justalock_remaining_ms(lock), 40000, 59690);
    justalock_free(lock);
}

static void test_token(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;
    uint64_t token = 5;

    (void)state;
    assert_int_equal(justalock_token(lock, &token, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_token(lock, &token, &err), JUSTALOCK_STATE);
    assert_int_equal(token, 5);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    PLAY(token, 4711);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_token(lock, &token, &err), JUSTALOCK_OK);
    assert_int_equal(token, 4711);
    justalock_free(lock);
}

static void test_slot(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;
    unsigned slot = 5;

    (void)state;
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_STATE);
    assert_non_null(strstr(err.text, "no pool"));
    assert_int_equal(slot, 5);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    PLAY(slot, 1023);
    assert_int_equal(justalock_try(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_OK);
    assert_int_equal(slot, 1023);
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    assert_int_equal(justalock_slot(lock, &slot, &err), JUSTALOCK_STATE);
    PLAY(slot, -1);
    justalock_free(lock);
}

static void test_query(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_view view = {.held = -1}, views[3];
    struct justalock_error err;
    size_t len = 9;

    (void)state;
    assert_int_equal(justalock_query(lock, 0, &view, &err), JUSTALOCK_ARG);
    PLAY(play, UNREACHABLE);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_NET);
    PLAY(play, SILENT);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_STATE);
    PLAY(play, REFUSE);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_ARG);
    assert_int_equal(view.held, -1);
    PLAY(play, GRANT);
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_OK);
    assert_int_equal(view.held, 1);
    assert_int_equal(view.token, 9);
    assert_int_equal(view.shares, 2);
    assert_int_equal(view.waiters, 3);
    assert_int_equal(view.expires_ms, 500);
    assert_string_equal(view.holder.label, "job 7");
    PLAY(slot, 0); /* of a pool: the first of two */
    view.token = 0;
    assert_int_equal(justalock_query(lock, 9, &view, &err), JUSTALOCK_OK);
    assert_int_equal(view.token, 9);
    views[1].token = 1;
    assert_ok(justalock_query_slots(lock, 9, views, 1, &len, &err), err);
    assert_int_equal(len, 2); /* there are more than there was room for */
    assert_int_equal(views[0].token, 9);
    assert_int_equal(views[1].token, 1);
    assert_ok(justalock_query_slots(lock, 9, views, 3, &len, &err), err);
    assert_int_equal(len, 2);
    assert_int_equal(views[1].token, 10);
    assert_fails(justalock_query_slots(lock, 9, views, 0, &len, &err),
                 JUSTALOCK_ARG, err, "max: 0 is not within 1 and 1024");
    assert_fails(justalock_query_slots(lock, 9, views, 1025, &len, &err),
                 JUSTALOCK_ARG, err, "max: 1025 is not within 1 and 1024");
    justalock_free(lock);
}

struct waiter {
    struct justalock *lock;
    enum justalock_status status;
    struct justalock_error err;
};

static void *acquire_for_ever(void *arg)
{
    struct waiter *w = arg;

    w->status = justalock_acquire(w->lock, -1, &w->err);
    return NULL;
}

static void *wait_for_loss(void *arg)
{
    struct waiter *w = arg;

    w->status = justalock_wait_lost(w->lock, -1, &w->err);
    return NULL;
}

static void *acquire_once(void *arg)
{
    struct waiter *w = arg;

    w->status = justalock_try(w->lock, &w->err);
    return NULL;
}

static void *query_once(void *arg)
{
    struct justalock_view view;
    struct waiter *w = arg;

    w->status = justalock_query(w->lock, 1, &view, &w->err);
    return NULL;
}

static void await_acquired(unsigned want)
{
    unsigned now = 0;
    int tries = 0;

    while (now < want && tries++ < LONG_MS) {
        pthread_mutex_lock(&played.mutex);
        now = played.acquired;
        pthread_mutex_unlock(&played.mutex);
        usleep(1000);
    }
    assert_int_equal(now, want);
}

/*
 * No call waits for it without end. What it had been told by then it does once
 * it runs again: to give back, above all, what nobody waits for any more.
 */
static void test_stuck_thread_keeps_nobody(void **state)
{
    struct justalock *held = hold(60);
    struct waiter acquires = {.lock = make(60)}, queries = {.lock = make(60)};
    struct justalock_error err;
    pthread_t threads[2];

    (void)state;
    set_stuck(true);
    assert_int_equal(pthread_create(&threads[0], NULL, acquire_once, &acquires),
                     0);
    assert_int_equal(pthread_create(&threads[1], NULL, query_once, &queries),
                     0);
    assert_fails(justalock_release(held, &err), JUSTALOCK_NET, err,
                 "the keeper thread does not answer");
    assert_int_equal(justalock_is_held(held), 0);
    for (size_t i = 0; i < LENGTH(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(acquires.status, JUSTALOCK_NET);
    assert_has(acquires.err.text, "the keeper thread does not answer");
    assert_int_equal(justalock_is_held(acquires.lock), 0);
    assert_int_equal(queries.status, JUSTALOCK_NET);
    assert_has(queries.err.text, "the keeper thread does not answer");
    set_stuck(false);
    for (int i = 0; i < LONG_MS && keeper_count(NULL) > 0; i++)
        usleep(1000);
    assert_int_equal(keeper_count(NULL), 0);
    assert_int_equal(justalock_try(acquires.lock, &err), JUSTALOCK_OK);
    justalock_free(acquires.lock);
    justalock_free(queries.lock);
    justalock_free(held);
}

static void test_release_ends_a_wait(void **state)
{
    struct waiter w = {.lock = make(60)};
    struct justalock_error err;
    pthread_t thread;

    (void)state;
    PLAY(play, SILENT);
    assert_int_equal(pthread_create(&thread, NULL, acquire_for_ever, &w), 0);
    await_acquired(1);
    assert_int_equal(justalock_try(w.lock, &err), JUSTALOCK_STATE);
    assert_int_equal(justalock_release(w.lock, &err), JUSTALOCK_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.status, JUSTALOCK_CANCELED);
    assert_int_equal(played.released, 1);
    PLAY(play, GRANT);
    assert_int_equal(justalock_try(w.lock, &err), JUSTALOCK_OK);
    justalock_free(w.lock);
}

static void test_release_ends_wait_lost(void **state)
{
    struct waiter w = {.lock = hold(60)};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_loss, &w), 0);
    usleep(20000); /* either order must do; mostly it waits already */
    assert_int_equal(justalock_release(w.lock, NULL), JUSTALOCK_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(w.status == JUSTALOCK_CANCELED || w.status == JUSTALOCK_STATE);
    justalock_free(w.lock);
}

static void note_work(struct justalock *lock, void *arg)
{
    *(int *)arg = justalock_is_held(lock);
}

static void lose_work(struct justalock *lock, void *arg)
{
    *(int *)arg += 1;
    emit(KEEPER_LOST, JUSTALOCK_LOST, "gone");
    assert_int_equal(justalock_wait_lost(lock, -1, NULL), JUSTALOCK_LOST);
}

static void test_with(void **state)
{
    struct justalock *lock = make(60);
    struct justalock_error err;
    int ran = 0;

    (void)state;
    assert_int_equal(justalock_with(lock, -1, note_work, &ran, &err), 0);
    assert_int_equal(ran, 1);
    assert_int_equal(justalock_is_held(lock), 0);
    assert_int_equal(justalock_with(lock, -1, lose_work, &ran, &err),
                     JUSTALOCK_LOST);
    assert_int_equal(ran, 2);
    PLAY(release_as, JUSTALOCK_NET);
    assert_int_equal(justalock_with(lock, -1, note_work, &ran, &err), 0);
    assert_int_equal(ran, 1);
    PLAY(play, BUSY);
    ran = 0;
    assert_int_equal(justalock_with(lock, 0, note_work, &ran, &err),
                     JUSTALOCK_HELD);
    assert_int_equal(ran, 0);
    PLAY(play, GRANT);
    assert_int_equal(justalock_with_name("x", NULL, -1, note_work, &ran, &err),
                     0);
    assert_int_equal(ran, 1);
    justalock_free(lock);
}

/* ---- the process around us ---- */

static void test_thread_blocks_all_signals(void **state)
{
    struct justalock *lock = hold(60);
    sigset_t ours;

    (void)state;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &ours), 0);
    assert_int_equal(sigismember(&ours, SIGTERM), 0);
    assert_int_equal(sigismember(&played.mask, SIGTERM), 1);
    assert_int_equal(sigismember(&played.mask, SIGPIPE), 1);
    assert_int_equal(sigismember(&played.mask, SIGCHLD), 1);
    justalock_free(lock);
    assert_false(library.running); /* the last handle is gone */
}

#define CHILD_CHECK(n, what)                                                   \
    do {                                                                       \
        if (!(what))                                                           \
            _exit(n);                                                          \
    } while (0)

static void child_of_fork(struct justalock *lock)
{
    struct justalock_error err;
    struct justalock *mine = NULL;
    struct justalock_view view;
    unsigned released = played.released;

    (void)alarm(20); /* a deadlock ends here */
    CHILD_CHECK(2, justalock_is_lost(lock) == 1);
    CHILD_CHECK(3, justalock_is_held(lock) == 0);
    CHILD_CHECK(4, justalock_remaining_ms(lock) == 0);
    CHILD_CHECK(5, justalock_acquire(lock, -1, &err) == JUSTALOCK_STATE);
    CHILD_CHECK(6, justalock_release(lock, &err) == JUSTALOCK_STATE);
    CHILD_CHECK(7, justalock_wait_lost(lock, -1, &err) == JUSTALOCK_LOST);
    CHILD_CHECK(8, justalock_query(lock, 9, &view, &err) == JUSTALOCK_STATE);
    CHILD_CHECK(9, readable(lock, 5000));
    justalock_free(lock);
    CHILD_CHECK(10, played.released == released);
    played.poke = eventfd(0, EFD_CLOEXEC);
    CHILD_CHECK(11, justalock_new("mine", NULL, &mine, &err) == 0);
    CHILD_CHECK(12, justalock_acquire(mine, -1, &err) == 0);
    CHILD_CHECK(13, justalock_is_held(mine) == 1);
    CHILD_CHECK(14, justalock_release(mine, &err) == 0);
    justalock_free(mine);
    _exit(0);
}

/* Does every other thread of ours sleep? */
static bool others_sleep(void)
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *d;
    bool all = true;

    assert_non_null(dir);
    while (all && (d = readdir(dir)) != NULL) {
        char path[300], state = 0;
        FILE *f;

        if (d->d_name[0] == '.' || strtol(d->d_name, NULL, 10) == getpid())
            continue;
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/stat",
                       d->d_name);
        f = fopen(path, "re");
        if (f == NULL)
            continue;
        all = fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state == 'S';
        (void)fclose(f);
    }
    (void)closedir(dir);
    return all;
}

static void test_fork(void **state)
{
    struct justalock *lock;
    struct justalock_error err;
    int status = -1;
    pid_t pid;

    (void)state;
    if (UNDER_TSAN)
        skip(); /* TSan cannot start threads after a fork of many */
    lock = hold(60);
    while (UNDER_ASAN && !others_sleep()) /* see test_fork_under_load */
        (void)sched_yield();
    pid = fork();
    if (pid == 0)
        child_of_fork(lock);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(justalock_is_held(lock), 1);
    assert_false(readable(lock, 0)); /* the child's is another descriptor */
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    justalock_free(lock);
}

static void *hammer(void *arg)
{
    const bool *stop = arg;
    struct justalock *lock = make(60);

    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        if (justalock_acquire(lock, -1, NULL) != JUSTALOCK_OK ||
            justalock_release(lock, NULL) != JUSTALOCK_OK)
            break;
    }
    justalock_free(lock);
    return NULL;
}

/* fork() at any moment of what another thread does. */
static void test_fork_under_load(void **state)
{
    struct justalock *lock;
    bool stop = false;
    pthread_t thread;
    int i;

    (void)state;
    if (UNDER_TSAN || UNDER_ASAN)
        skip(); /* ASan's malloc may be locked for ever in the child: its
                   mutex is not taken before a fork (gcc 12, clang 14) */
    lock = hold(60);
    assert_int_equal(pthread_create(&thread, NULL, hammer, &stop), 0);
    for (i = 0; i < 100; i++) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0) {
            (void)pthread_mutex_init(&played.mutex, NULL);
            played.events_len = 0;
            played.alive = 0;
            child_of_fork(lock);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    justalock_free(lock);
}

static void *many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        struct justalock *lock = make(60);

        if (justalock_is_lost(lock) || justalock_fd(lock) < 0)
            abort();
        justalock_free(lock);
    }
    return NULL;
}

/* The last handle's end stops the thread while others start it. */
static void test_start_and_stop_by_many(void **state)
{
    pthread_t threads[4];
    bool stop = false;
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i ? many : hammer, &stop), 0);
    for (i = 1; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(threads[0], NULL), 0);
}

/* One handle, many threads: the calls that may meet. */
static void *look_at(void *arg)
{
    struct waiter *w = arg;
    struct justalock_holder who;
    uint64_t token;

    for (int i = 0; i < 2000; i++) {
        (void)justalock_is_held(w->lock);
        (void)justalock_is_lost(w->lock);
        (void)justalock_remaining_ms(w->lock);
        if (justalock_token(w->lock, &token, NULL) == JUSTALOCK_OK ||
            justalock_holder(w->lock, &who, NULL) == JUSTALOCK_OK ||
            justalock_wait_lost(w->lock, 0, NULL) == JUSTALOCK_LOST)
            abort();
    }
    return NULL;
}

static void test_one_handle_many_threads(void **state)
{
    struct waiter w = {.lock = make(60)};
    pthread_t threads[3];
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_at, &w), 0);
    for (i = 0; i < 100; i++) {
        assert_int_equal(justalock_acquire(w.lock, -1, NULL), JUSTALOCK_OK);
        assert_int_equal(justalock_release(w.lock, NULL), JUSTALOCK_OK);
    }
    for (i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    justalock_free(w.lock);
}

/* ---- each call that can fail, in turn ---- */

static enum justalock_status all_of_it(void)
{
    struct justalock_error err = {.text = ""};
    struct justalock *lock = NULL;
    struct justalock_view view;
    enum justalock_status st;

    st = justalock_new("a name", NULL, &lock, &err);
    if (st != JUSTALOCK_OK) {
        assert_null(lock);
        assert_string_not_equal(err.text, "");
        return st;
    }
    st = justalock_acquire(lock, -1, &err);
    assert_int_equal(justalock_is_held(lock), st == JUSTALOCK_OK);
    if (st == JUSTALOCK_OK)
        st = justalock_query(lock, 9, &view, &err);
    if (st != JUSTALOCK_OK)
        assert_string_not_equal(err.text, "");
    justalock_free(lock);
    return st;
}

static void test_each_failure(void **state)
{
    enum justalock_status st;
    unsigned failed = 0;

    (void)state;
    do {
        fail_at = failed + 1;
        calls = 0;
        st = all_of_it();
        if (calls >= fail_at) {
            assert_true(st == JUSTALOCK_NOMEM || st == JUSTALOCK_SYS);
            failed++;
        }
        assert_false(library.running);
    } while (calls >= fail_at);
    fail_at = 0;
    assert_int_equal(st, JUSTALOCK_OK);
    /* handle, defaults, timerfd, holding, ask, eventfd, keeper, thread, query
     */
    assert_int_equal(failed, 9);
}

static void test_ids_and_words(void **state)
{
    uint8_t id[JUSTALOCK_ID_LEN], other[JUSTALOCK_ID_LEN];
    char text[JUSTALOCK_ID_TEXT_LEN + 1];
    struct justalock_error err;
    int i;

    (void)state;
    justalock_id_from_u64(12345, id);
    assert_int_equal(justalock_id_from_decimal("12345", other, &err), 0);
    assert_memory_equal(id, other, sizeof(id));
    justalock_id_from_u64(UINT64_MAX, id);
    assert_int_equal(
        justalock_id_from_decimal("18446744073709551615", other, &err), 0);
    assert_memory_equal(id, other, sizeof(id));
    assert_int_equal(justalock_id_from_uuid(
                         "550e8400-e29b-41d4-a716-446655440000", id, &err),
                     0);
    assert_int_equal(justalock_id_from_text(
                         "550e8400-e29b-41d4-a716-446655440000", other, &err),
                     0);
    assert_memory_equal(id, other, sizeof(id));
    justalock_id_format(id, text);
    assert_string_equal(text, "VQ6EAOKbQdSnFkRmVUQAAA");
    assert_int_equal(justalock_id_from_uuid(text, other, &err), 0);
    assert_memory_equal(id, other, sizeof(id));
    assert_int_equal(justalock_id_from_uuid("nightly", other, &err),
                     JUSTALOCK_ARG);
    justalock_id_from_bytes(NULL, 0, id);
    justalock_id_from_bytes("\0", 1, other);
    assert_memory_equal(id, other, sizeof(id));
    assert_int_equal(justalock_id_random(id, &err), 0);
    assert_int_equal(justalock_id_random(other, &err), 0);
    assert_memory_not_equal(id, other, sizeof(id));
    for (i = JUSTALOCK_OK; i <= JUSTALOCK_STATE; i++)
        assert_string_not_equal(justalock_strerror((enum justalock_status)i),
                                "unknown status");
    assert_string_equal(justalock_strerror((enum justalock_status)99),
                        "unknown status");
    assert_string_equal(justalock_version(), JUSTALOCK_VERSION);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_holds_and_releases),
        TEST(test_new_share_and_client_for_each_holding),
        TEST(test_options_reach_the_keeper),
        TEST(test_options_refuse),
        TEST(test_busy),
        TEST(test_unreachable_and_refused),
        TEST(test_lost_by_event),
        TEST(test_acquire_after_loss),
        TEST(test_stuck_thread_never_extends),
        TEST(test_stuck_thread_keeps_nobody),
        TEST(test_late_extension),
        TEST(test_answer_too_old),
        TEST(test_base_service_has_more_margin),
        TEST(test_extended),
        TEST(test_token),
        TEST(test_slot),
        TEST(test_query),
        TEST(test_release_ends_a_wait),
        TEST(test_release_ends_wait_lost),
        TEST(test_with),
        TEST(test_thread_blocks_all_signals),
        TEST(test_fork),
        TEST(test_fork_under_load),
        TEST(test_start_and_stop_by_many),
        TEST(test_one_handle_many_threads),
        TEST(test_each_failure),
        TEST(test_ids_and_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
