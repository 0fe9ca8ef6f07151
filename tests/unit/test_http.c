/* SPDX-License-Identifier: MIT */
/*
 * test_http.c - the server's loop: its start, whose every failure leaves
 * nothing behind, its end, which answers who waits, the quiet time after
 * damage, a reload, and connections that there is no file for.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "../lib/fail_alloc.h"
#include "https_help.h"

static unsigned files_open(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- start ---- */

static void test_refused(void **state)
{
    struct listener l[LISTEN_MAX + 1];
    struct server_options o = {.state = in_scratch("many")};
    unsigned before = files_open();
    struct justalock_error err;
    struct server *s = NULL;

    (void)state;
    memset(l, 0, sizeof(l));
    for (size_t i = 0; i < LENGTH(l); i++)
        l[i].fd = -1;
    assert_fails(server_new(&o, l, LISTEN_MAX + 1, &s, &err), JUSTALOCK_ARG,
                 err, "at most 16");
    assert_fails(server_new(&o, l, 1, &s, &err), JUSTALOCK_SYS, err,
                 "epoll_ctl");
    o.state = "";
    assert_int_equal(server_new(&o, l, 0, &s, &err), JUSTALOCK_ARG);
    o.state = in_scratch("no/where");
    assert_int_equal(server_new(&o, l, 0, &s, &err), JUSTALOCK_SYS);
    o = tls_options(false);
    o.state = in_scratch("many");
    o.access = in_scratch("none");
    assert_fails(server_new(&o, l, 0, &s, &err), JUSTALOCK_CONFIG, err, "none");
    o.tls.key = in_scratch("node.key");
    assert_fails(server_new(&o, l, 0, &s, &err), JUSTALOCK_CONFIG, err,
                 "is not the key of the certificate");
    assert_null(s);
    assert_int_equal(files_open(), before);
}

static bool start(void *arg)
{
    const struct server_options *o = arg;
    unsigned before = files_open();
    struct justalock_error err = {.text = ""};
    struct server *s = NULL;
    enum justalock_status st = server_new(o, NULL, 0, &s, &err);

    if (st == JUSTALOCK_OK) {
        assert_non_null(s);
        server_free(s);
    } else {
        assert_null(s);
        assert_int_equal(err.status, st);
        assert_string_not_equal(err.text, "");
    }
    if (before != files_open())
        fail_msg("a file is left open after: %s", err.text);
    return st == JUSTALOCK_OK;
}

/* A folder is no worse for any of it: nothing is taken for damage. */
static void test_start_without_memory(void **state)
{
    struct server_options o = {.state = in_scratch("memory")};
    struct justalock_error err;
    struct server *s;

    (void)state;
    assert_in_range(fail_alloc_each(start, &o), fail_alloc_least(10), 5000);
    assert_ok(server_new(&o, NULL, 0, &s, &err), err);
    assert_int_equal(s->quiet_until_ms, 0);
    server_free(s);
}

static void test_start_tls_without_memory(void **state)
{
    struct server_options o = tls_options(true);

    (void)state;
    put_file("access", "{ \"clients\": {} }");
    o.state = in_scratch("memory_tls");
    fail_alloc_only_ours(true); /* libtasn1 beneath GnuTLS crashes */
    assert_in_range(fail_alloc_each(start, &o), 10, 2000);
    fail_alloc_only_ours(false);
}

/* ---- end ---- */

static void test_stop(void **state)
{
    struct rig_answer a;
    int fd, waits[3];
    struct rig r;

    (void)state;
    up(&r, "stop");
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    for (unsigned i = 0; i < LENGTH(waits); i++) {
        char client[8];

        (void)snprintf(client, sizeof(client), "w%u", i % 10);
        waits[i] = dial(&r);
        assert_true(rig_ask(waits[i], "POST", rig_lock('a'), client,
                            "Justalock-Wait: 30\r\n"));
        await_waiters(fd, i + 1);
    }
    assert_int_equal(rig_stop(&r), JUSTALOCK_OK);
    for (unsigned i = 0; i < LENGTH(waits); i++) {
        a = rig_read(waits[i]);
        expect(&a, 503, "");
        assert_has(a.body, "stopping");
        (void)close(waits[i]);
    }
    (void)close(fd);
    assert_null(r.server->suspended);
    rig_down(&r);
    assert_true(rig_is_stored(in_scratch("stop"), 'a', "one"));
}

/* ---- damage ---- */

static void test_quiet(void **state)
{
    struct rig_answer a;
    int64_t t0, t1;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "quiet");
    fd = dial(&r);
    assert_true(rig_ask(fd, "POST", "/AAAAAAAAAAAAAAAAAAAAaA?s=2", "one", ""));
    a = rig_read(fd);
    expect(&a, 200, "new");
    (void)close(fd);
    rig_down(&r);
    assert_int_equal(unlink(in_scratch("quiet/locks.db")), 0);
    t0 = clock_raw_ms();
    up(&r, "quiet");
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "two");
    expect(&a, 503, "");
    assert_in_range(atoi(rig_header(&a, "Retry-After")), 1, 3);
    a = get(fd, "/healthz");
    assert_int_equal(a.status, 503);
    a = get(fd, "/");
    assert_has(a.body, "Its state was damaged");
    a = get(fd, "/metrics");
    assert_has(a.body, "\njustalock_quiet 1\n");
    do {
        a = ask(fd, "POST", 'a', "two");
        t1 = clock_raw_ms();
    } while (a.status == 503 && t1 < t0 + 15000);
    expect(&a, 200, "new");
    assert_true(t1 - t0 >= 2000); /* the longest lease that was given */
    a = get(fd, "/metrics");
    assert_has(a.body, "\njustalock_quiet 0\n");
    (void)close(fd);
    rig_down(&r);
    up(&r, "quiet"); /* it is over for good */
    assert_int_equal(r.server->quiet_until_ms, 0);
    rig_down(&r);
}

/* ---- reload ---- */

#define LIST(sum)                                                              \
    "{ \"clients\": { \"a\": { \"token_sha256\": \"" sum "\" } } }"

static void await_status(struct rig *r, const char *token, int status)
{
    int64_t until = clock_raw_ms() + 10000;

    while (https(r, "GET", "/v1/locks", token, NULL) != status)
        if (clock_raw_ms() > until)
            fail_msg("%s is not answered with %d", token, status);
}

static void test_reload(void **state)
{
    struct rig r;

    (void)state;
    put_file("access", LIST(ONE));
    up_tls(&r, "reload", false);
    await_status(&r, "Bearer one", 200);
    await_status(&r, "Bearer two", 401);
    put_file("access", LIST(TWO));
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    await_status(&r, "Bearer two", 200);
    await_status(&r, "Bearer one", 401);
    /* Whatever is wrong with the new files, what was read stays. */
    put_file("access", "{");
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    await_status(&r, "Bearer two", 200);
    put_file("access", LIST(ONE));
    assert_int_equal(rename(in_scratch("srv.key"), in_scratch("aside")), 0);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    for (int i = 0; i < 10; i++)
        await_status(&r, "Bearer two", 200);
    assert_int_equal(rename(in_scratch("aside"), in_scratch("srv.key")), 0);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    await_status(&r, "Bearer one", 200);
    await_status(&r, "Bearer two", 401);
    rig_down(&r);
}

static void test_reload_of_nothing(void **state)
{
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "hup");
    fd = dial(&r);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    (void)close(fd);
    rig_down(&r);
}

/* ---- no file for a connection ---- */

static void test_accept_later(void **state)
{
    struct rlimit before, none;
    struct rig_answer a;
    int first, fd, next;
    struct rig r;

    (void)state;
    up(&r, "accept");
    first = dial(&r);
    a = ask(first, "POST", 'a', "one");
    expect(&a, 200, "new");
    next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(next >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)next; /* nothing above what is open */
    (void)close(next);
    fd = dial(&r); /* takes the last one */
    if (fd != next)
        skip();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_true(rig_ask(fd, "POST", rig_lock('b'), "two", ""));
    /* Who is connected is served meanwhile. */
    a = ask(first, "POST", 'a', "one");
    expect(&a, 200, "renewed");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    a = rig_read(fd);
    expect(&a, 200, "new");
    (void)close(fd);
    (void)close(first);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_start_without_memory),
        cmocka_unit_test(test_start_tls_without_memory),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_of_nothing),
        cmocka_unit_test(test_accept_later),
    };

    return cmocka_run_group_tests(tests, make_tls, scratch_remove);
}
