/* SPDX-License-Identifier: MIT */
/*
 * test_http_mhd.c - libmicrohttpd's part: plain and TLS connections side by
 * side, whom a certificate proves, few files, and what has to wait.
 */
#include <sys/resource.h>

#include "https_help.h"

static void setup_list(void)
{
    put_file("access", "{ \"clients\": { \"a\": { \"certificate\": \"node\" "
                       "} } }");
}

/* Each request of a connection asks anew who it is; the answer stays. */
static void test_peer(void **state)
{
    struct rig r;

    (void)state;
    setup_list();
    up_tls(&r, "peer", true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(https(&r, "GET", "/v1/locks", NULL, "node"), 200);
        assert_int_equal(https(&r, "GET", "/v1/locks", NULL, "forged"), 401);
        assert_int_equal(https(&r, "GET", "/v1/locks", NULL, "other"), 401);
        /* A server's certificate is none of a client. */
        assert_int_equal(https(&r, "GET", "/v1/locks", NULL, "srv"), 401);
        assert_int_equal(https(&r, "GET", "/v1/locks", NULL, NULL), 401);
    }
    rig_down(&r);
}

/* What is no TLS is no request there, and does not keep the server busy. */
static void test_not_tls(void **state)
{
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    setup_list();
    up_tls(&r, "not", false);
    fd = dial(&r);
    (void)rig_ask(fd, "POST", rig_lock('a'), "one", "");
    a = rig_read(fd);
    assert_int_equal(a.status, 0);
    (void)close(fd);
    assert_int_equal(https(&r, "GET", "/healthz", NULL, NULL), 200);
    rig_down(&r);
    assert_false(rig_is_stored(in_scratch("not"), 'a', "one"));
}

/* More connections than it takes: the others wait or are closed, those that
 * are taken are served, and all is well when they go. */
static void test_few_files(void **state)
{
    enum { MANY = 60 };
    struct rlimit before, few;
    struct rig_answer a;
    int fds[MANY], fd;
    struct rig r;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 40;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    up(&r, "few"); /* 20 connections: half of what there is */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < MANY; i++) {
        fds[i] = rig_connect(r.socket);
        assert_true(fds[i] >= 0);
        (void)rig_ask(fds[i], "GET", "/healthz", "", "");
    }
    for (int i = 0; i < 15; i++) {
        a = rig_read(fds[i]);
        assert_int_equal(a.status, 200);
    }
    for (int i = 0; i < MANY; i++)
        (void)close(fds[i]);
    do { /* until it has seen that they went */
        fd = dial(&r);
        a = get(fd, "/healthz");
        (void)close(fd);
    } while (a.status == 0);
    assert_int_equal(a.status, 200);
    rig_down(&r);
}

static void test_limits_of_files(void **state)
{
    static const struct {
        rlim_t files;
    } cases[] = {{64}, {127}, {128}, {1024}};
    struct rlimit before, l;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct rig_answer a;
        struct rig r;
        int fd;

        l = before;
        l.rlim_cur = cases[i].files;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
        up(&r, "limits");
        fd = dial(&r);
        a = get(fd, "/healthz");
        assert_int_equal(a.status, 200);
        (void)close(fd);
        rig_down(&r);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer),
        cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_few_files),
        cmocka_unit_test(test_limits_of_files),
    };

    return cmocka_run_group_tests(tests, make_tls, scratch_remove);
}
