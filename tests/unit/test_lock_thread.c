/* SPDX-License-Identifier: MIT */
/*
 * test_lock_thread.c - the library's thread with a real keeper and a real
 * server: it is there as long as a handle is, gives back what is held at its
 * end, and survives that any allocation of ours fails, in whatever thread:
 * then no call hangs, and who is told that it holds a lock does hold it.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/fail_alloc.h"
#include "http_help.h"
#include "lock.h"

static char url[256], socket_path[108];
static pid_t server;

/* ---- a server in a process of its own ---- */

static int start_server(void **state)
{
    char ready = 0;
    int fds[2];

    if (scratch_make(state) != 0 || pipe(fds) != 0)
        return -1;
    (void)snprintf(socket_path, sizeof(socket_path), "%.80s/state.sock",
                   scratch);
    (void)snprintf(url, sizeof(url), "unix:%s", socket_path);
    server = fork();
    if (server == 0) {
        struct justalock_error err;
        static struct rig r;

        (void)close(fds[0]);
        if (rig_up(&r, in_scratch("state"), NULL, &err) != JUSTALOCK_OK ||
            write(fds[1], "x", 1) != 1)
            _exit(1);
        (void)pthread_join(r.thread, NULL);
        exit(0);
    }
    (void)close(fds[1]);
    return read(fds[0], &ready, 1) == 1 && close(fds[0]) == 0 ? 0 : -1;
}

static int stop_server(void **state)
{
    int status;

    if (kill(server, SIGTERM) != 0 || waitpid(server, &status, 0) != server ||
        status != 0)
        return -1;
    return scratch_remove(state);
}

/* What the server says of a lock by its label. */
static bool is_on_server(const char *label)
{
    int fd = rig_connect(socket_path);
    struct rig_answer a;

    assert_true(fd >= 0);
    a = get(fd, "/v1/locks");
    (void)close(fd);
    assert_int_equal(a.status, 200);
    return strstr(a.body, label) != NULL;
}

static enum justalock_status make(const char *label, struct justalock **lock,
                                  struct justalock_error *err)
{
    struct justalock_options *o = NULL;
    enum justalock_status st = justalock_options_new(&o, err);

    if (st == JUSTALOCK_OK)
        st = justalock_options_url(o, url, err);
    if (st == JUSTALOCK_OK)
        st = justalock_options_label(o, label, err);
    if (st == JUSTALOCK_OK)
        st = justalock_options_lifetime_s(o, 3, err);
    if (st == JUSTALOCK_OK)
        st = justalock_new(label, o, lock, err);
    justalock_options_free(o);
    return st;
}

/* ---- its life ---- */

static void test_life(void **state)
{
    struct justalock *one = NULL, *two = NULL;
    struct justalock_error err;

    (void)state;
    assert_ok(make("life 1", &one, &err), err);
    assert_false(library.running); /* no thread before there is need of one */
    assert_ok(make("life 2", &two, &err), err);
    assert_ok(justalock_acquire(one, 5000, &err), err);
    assert_true(library.running);
    assert_ok(justalock_acquire(two, 5000, &err), err);
    assert_true(is_on_server("life 1") && is_on_server("life 2"));
    justalock_free(one);
    assert_false(is_on_server("life 1")); /* given back */
    assert_true(library.running);
    assert_true(justalock_is_held(two));
    justalock_free(two);
    assert_false(library.running);
    assert_false(is_on_server("life 2"));
    assert_null(library.handles);
    assert_null(library.holdings);
    assert_int_equal(library.wake, -1);
}

/* A child that forks away has none of it, and the parent's goes on. */
static void test_child(void **state)
{
    struct justalock *lock = NULL;
    struct justalock_error err;
    int status = 0;
    pid_t pid;

    (void)state;
    assert_ok(make("forks", &lock, &err), err);
    assert_ok(justalock_acquire(lock, 5000, &err), err);
    pid = fork();
    if (pid == 0) {
        struct justalock *own = NULL;
        struct justalock_holder who;
        int bad = 0;

        bad |= justalock_is_held(lock) != 0;
        bad |= (justalock_is_lost(lock) == 0) << 1;
        bad |= (justalock_release(lock, &err) != JUSTALOCK_STATE) << 2;
        bad |= (justalock_trouble(lock, &err) != JUSTALOCK_STATE) << 6;
        bad |= (justalock_holder(lock, &who, &err) != JUSTALOCK_STATE) << 7;
        bad |= (make("child", &own, &err) != JUSTALOCK_OK) << 3;
        bad |= (justalock_acquire(own, 5000, &err) != JUSTALOCK_OK) << 4;
        bad |= (justalock_release(own, &err) != JUSTALOCK_OK) << 5;
        justalock_free(own);
        justalock_free(lock);
        _exit(bad);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(justalock_is_held(lock));
    assert_true(is_on_server("forks"));
    assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
    justalock_free(lock);
}

/* A child at its limit of descriptors: the handle's is readable all the same.
 */
static void test_child_without_descriptors(void **state)
{
    struct justalock *lock = NULL;
    struct justalock_error err;
    struct rlimit before, few;
    int status = 0, all[64], len = 0;
    pid_t pid;

    (void)state;
    assert_ok(make("few", &lock, &err), err);
    assert_ok(justalock_acquire(lock, 5000, &err), err);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = LENGTH(all);
    assert_true(justalock_fd(lock) < (int)LENGTH(all));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while ((all[len] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        len++;
    pid = fork();
    if (pid == 0) {
        struct pollfd p = {.fd = justalock_fd(lock), .events = POLLIN};

        _exit(justalock_is_lost(lock) == 1 && p.fd >= 0 &&
                      poll(&p, 1, 5000) == 1 && p.revents == POLLIN
                  ? 0
                  : 1);
    }
    while (len > 0)
        (void)close(all[--len]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(justalock_is_held(lock), 1);
    justalock_free(lock);
}

/* ---- no memory ---- */

static bool is_of_memory(enum justalock_status st)
{
    return st == JUSTALOCK_NOMEM || st == JUSTALOCK_SYS || st == JUSTALOCK_NET;
}

/* Returns whether all went well. */
static bool story(long n, bool has_query)
{
    struct justalock_view view;
    struct justalock *lock = NULL, *other = NULL;
    struct justalock_error err = {.text = ""};
    char label[32];
    enum justalock_status st;
    bool good = true;

    (void)snprintf(label, sizeof(label), "memory %ld.", n);
    st = make(label, &lock, &err);
    if (st != JUSTALOCK_OK) {
        assert_true(is_of_memory(st));
        return false;
    }
    st = justalock_acquire(lock, 3000, &err);
    assert_true((st == JUSTALOCK_OK) == (justalock_is_held(lock) == 1));
    if (st == JUSTALOCK_OK)
        assert_true(is_on_server(label));
    else
        assert_true(is_of_memory(st));
    good &= st == JUSTALOCK_OK;
    if (make(label, &other, &err) == JUSTALOCK_OK) {
        enum justalock_status tried = justalock_try(other, &err);

        /* Never both of them. */
        assert_false(tried == JUSTALOCK_OK && st == JUSTALOCK_OK);
        good &= tried == JUSTALOCK_HELD;
        justalock_free(other);
    } else {
        good = false;
    }
    if (has_query)
        good &= justalock_query(lock, 2000, &view, &err) == JUSTALOCK_OK;
    st = justalock_release(lock, &err);
    good &= st == JUSTALOCK_OK;
    if (st == JUSTALOCK_OK)
        assert_false(is_on_server(label));
    justalock_free(lock);
    return good;
}

/* Each point is another lock: what one leaves behind does not meet the next.
 * Returns how many points there were. */
static long each(long first, long step, bool has_query)
{
    long n = first;
    bool hit = true;

    assert_true(story(n, has_query));
    while (hit) {
        struct justalock *lock = NULL;
        struct justalock_error err;
        int64_t t0 = clock_raw_ms();
        char label[32];
        bool good;

        n += step;
        fail_alloc_anywhere(n - first);
        good = story(n, has_query);
        hit = fail_alloc_anywhere_off();
        if (!hit && !good)
            fail_msg("without a failure it did not go well");
        if (clock_raw_ms() - t0 > 15000)
            fail_msg("point %ld hangs", n - first);
        assert_false(library.running);
        assert_null(library.holdings);
        /* With memory again the same lock can be had. */
        (void)snprintf(label, sizeof(label), "memory %ld.", n);
        assert_ok(make(label, &lock, &err), err);
        if (justalock_acquire(lock, 20000, &err) != JUSTALOCK_OK)
            fail_msg("point %ld: %s", n - first, err.text);
        assert_int_equal(justalock_release(lock, &err), JUSTALOCK_OK);
        justalock_free(lock);
    }
    return n - first;
}

static void test_no_memory(void **state)
{
    (void)state;
    fail_alloc_only_ours(true); /* json-c crashes without memory */
    assert_in_range(each(0, 1, true), 20, 500);
    fail_alloc_only_ours(false);
}

/* libcurl's and the C library's, too: every few of the points, since some of
 * them take a lease's time. */
static void test_no_memory_at_all(void **state)
{
    (void)state;
    assert_in_range(each(100000, 7, false), fail_alloc_least(60), 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_child),
        cmocka_unit_test(test_child_without_descriptors),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_at_all),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
