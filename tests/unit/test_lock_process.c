/* SPDX-License-Identifier: MIT */
/*
 * test_lock_process.c - the process around the library: its signals, forks
 * under load, many threads that start and stop it.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "played_keeper.h"

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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_thread_blocks_all_signals), TEST(test_fork),
        TEST(test_fork_under_load),           TEST(test_start_and_stop_by_many),
        TEST(test_one_handle_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
