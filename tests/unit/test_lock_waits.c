/* SPDX-License-Identifier: MIT */
/*
 * test_lock_waits.c - calls that wait in one thread, and what ends them:
 * another thread, a loss, a keeper thread that stands still; each call that can
 * fail, in turn.
 */
#include <errno.h>
#include <sys/timerfd.h>

#include "played_keeper.h"

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

static void give_work(struct justalock *lock, void *arg)
{
    *(int *)arg = 3;
    assert_int_equal(justalock_release(lock, NULL), JUSTALOCK_OK);
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
    /* One that gives it back has run, and has not held it to its end. */
    assert_fails(justalock_with(lock, -1, give_work, &ran, &err),
                 JUSTALOCK_LOST, err, "the work gave the lock back");
    assert_int_equal(ran, 3);
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_stuck_thread_keeps_nobody),
        TEST(test_release_ends_a_wait),
        TEST(test_release_ends_wait_lost),
        TEST(test_with),
        TEST(test_each_failure),
        TEST(test_ids_and_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
