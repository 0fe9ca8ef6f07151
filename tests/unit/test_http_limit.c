/* SPDX-License-Identifier: MIT */
/*
 * test_http_limit.c - what a client hears at a limit, its own or that of all:
 * the status, what it may do, when to come again; what it may still do; and
 * what the log says, seldom, and the metrics, always.
 */
#include <fcntl.h>
#include <signal.h>

#include "http_help.h"

#define OTHER 65534 /* another client: a user of this host */

static struct rig r;
static int stderr_was = -1;

/* A server with these limits, 100 of all else; its log is a file. */
static void make_with(const char *name, size_t waiters, size_t held,
                      size_t released, size_t connections, bool is_each)
{
    const size_t few[] = {waiters, held, released, connections};
    struct server_options o = {.access = NULL};
    struct justalock_error err;
    int fd;

    for (int i = 0; i < LIMITS; i++) {
        o.limits.all[i] = 100;
        o.limits.each[i] = 100;
        if (few[i] == 0)
            continue;
        o.limits.each[i] = few[i];
        o.limits.all[i] = is_each ? 100 : few[i];
    }
    fd = open(in_scratch("log"), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    stderr_was = dup(STDERR_FILENO);
    assert_true(fd >= 0 && stderr_was >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    (void)close(fd);
    memset(&r, 0, sizeof(r));
    assert_ok(rig_new(&r, in_scratch(name), &o, &err), err);
}

static void up_with(const char *name, size_t waiters, size_t held,
                    size_t released, size_t connections, bool is_each)
{
    make_with(name, waiters, held, released, connections, is_each);
    rig_run(&r);
}

/* Of each test, also of one that failed. */
static int down(void **state)
{
    (void)state;
    rig_down(&r);
    if (stderr_was >= 0)
        (void)dup2(stderr_was, STDERR_FILENO);
    if (stderr_was >= 0)
        (void)close(stderr_was);
    stderr_was = -1;
    return 0;
}

static int dial_as(uid_t uid)
{
    int fd;

    assert_int_equal(seteuid(uid), 0);
    fd = rig_connect(r.socket);
    assert_int_equal(seteuid(0), 0);
    assert_true(fd >= 0);
    return fd;
}

static void refused(const struct rig_answer *a, int status, const char *part)
{
    assert_int_equal(a->status, status);
    assert_has(a->body, part);
    assert_true(atoi(rig_header(a, "Retry-After")) > 0);
    assert_has(rig_header(a, "Justalock-Features"), "wait release token");
}

/* So many lines of the log have it. */
static unsigned logged(const char *part)
{
    char line[512];
    unsigned n = 0;
    FILE *f = fopen(in_scratch("log"), "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        n += strstr(line, part) != NULL;
    (void)fclose(f);
    return n;
}

static void metric(int fd, const char *limit, unsigned n)
{
    struct rig_answer a = get(fd, "/metrics");
    char line[96];

    (void)snprintf(line, sizeof(line),
                   "\njustalock_refused_total{limit=\"%s\"} %u\n", limit, n);
    assert_has(a.body, line);
}

/* ---- one client ---- */

static void test_held_by_one(void **state)
{
    struct rig_answer a;
    int fd, other;

    (void)state;
    up_with("held", 0, 2, 0, 0, true);
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    a = ask(fd, "POST", 'b', "one");
    expect(&a, 200, "new");
    a = ask(fd, "POST", 'c', "two"); /* a payer has many client ids */
    refused(&a, 429, "holds as many locks as one may; give one back first");
    a = ask(fd, "POST", 'a', "one"); /* what it has goes on */
    expect(&a, 200, "renewed");
    other = dial_as(OTHER);
    a = ask(other, "POST", 'c', "two");
    expect(&a, 200, "new");
    (void)close(other);
    metric(fd, "held-each", 1);
    metric(fd, "held", 0);
    assert_int_equal(logged("limit: held: 2 are in use, as many as one may: "
                            "refused: user 0, 1 times so far"),
                     1);

    /* The next is only counted, until the log may say it again. */
    a = ask(fd, "POST", 'd', "two");
    refused(&a, 429, "as one may");
    assert_int_equal(logged("limit: "), 1);
    metric(fd, "held-each", 2);
    r.server->said[LOCK_LIMIT_HELD][1].next_ms = clock_raw_ms();
    a = ask(fd, "POST", 'd', "two");
    refused(&a, 429, "as one may");
    assert_int_equal(logged("refused: user 0, 3 times so far"), 1);
    a = ask(fd, "POST", 'd', "two");
    refused(&a, 429, "as one may");
    assert_int_equal(logged("limit: "), 2);

    a = ask(fd, "DELETE", 'b', "one");
    expect(&a, 200, "");
    a = ask(fd, "POST", 'd', "two");
    expect(&a, 200, "new");
    (void)close(fd);
}

static void test_waiters_of_one(void **state)
{
    struct rig_answer a;
    int fd, wait;

    (void)state;
    up_with("waiters", 1, 0, 0, 0, true);
    fd = dial(&r);
    wait = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    assert_true(
        rig_ask(wait, "POST", rig_lock('a'), "two", "Justalock-Wait: 20\r\n"));
    await_waiters(fd, 1);
    assert_true(
        rig_ask(fd, "POST", rig_lock('a'), "three", "Justalock-Wait: 20\r\n"));
    a = rig_read(fd);
    refused(&a, 429, "as many requests that wait as one may; ask again later");
    a = ask(fd, "POST", 'a', "three"); /* without a wait: an answer */
    expect(&a, 409, "");
    metric(fd, "waiters-each", 1);
    (void)close(wait);
    (void)close(fd);
}

static void test_released_of_one(void **state)
{
    struct rig_answer a;
    int fd;

    (void)state;
    up_with("released", 0, 0, 1, 0, true);
    fd = dial(&r);
    for (char lock = 'a'; lock < 'c'; lock++) {
        assert_true(rig_ask(fd, "POST", rig_lock(lock), "one",
                            "Justalock-Share: s\r\n"));
        a = rig_read(fd);
        expect(&a, 200, "new");
        assert_true(rig_ask(fd, "DELETE", rig_lock(lock), "one",
                            "Justalock-Share: s\r\n"));
        a = rig_read(fd);
        if (lock == 'a')
            expect(&a, 200, "");
        else
            refused(&a, 429, "released as many locks as are remembered of one");
    }
    metric(fd, "released-each", 1);
    (void)close(fd);
}

/* ---- all of them ---- */

static void test_of_all(void **state)
{
    struct rig_answer a;
    int fd, other;

    (void)state;
    up_with("all", 0, 2, 0, 0, false);
    fd = dial(&r);
    other = dial_as(OTHER);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "new");
    a = ask(other, "POST", 'b', "two");
    expect(&a, 200, "new");
    a = ask(other, "POST", 'c', "two");
    refused(&a, 503, "a limit of all clients is reached; ask again later");
    metric(fd, "held", 1);
    metric(fd, "held-each", 0);
    assert_int_equal(logged("limit: held: 2 are in use, as many as may be: "
                            "refused: user 65534, 1 times so far"),
                     1);
    (void)close(other);
    (void)close(fd);
}

/* ---- connections ---- */

static void test_connections(void **state)
{
    struct rig_answer a;
    int fd[3], other;

    (void)state;
    up_with("connections", 0, 0, 0, 3, true);
    for (int i = 0; i < 3; i++) {
        fd[i] = dial(&r);
        a = get(fd[i], "/healthz"); /* none of them is silent */
        assert_int_equal(a.status, 200);
    }
    other = dial(&r);
    a = rig_read(other); /* without a request */
    refused(&a, 429, "this address has as many connections as one may; close");
    assert_string_equal(rig_header(&a, "Connection"), "close");
    a = rig_read(other);
    assert_int_equal(a.status, 0); /* it has ended */
    (void)close(other);
    other = dial_as(OTHER);
    a = get(other, "/healthz");
    assert_int_equal(a.status, 200);
    metric(other, "connections-each", 1);
    assert_int_equal(logged("limit: connections: 3 are in use, as many as one "
                            "may: refused: user 0, 1 times so far"),
                     1);
    (void)close(other);
    for (int i = 0; i < 3; i++)
        (void)close(fd[i]);
}

static void test_connections_of_all(void **state)
{
    struct rig_answer a;
    int fd[2], other;

    (void)state;
    up_with("room", 0, 0, 0, 2, false);
    fd[0] = dial(&r);
    fd[1] = dial_as(OTHER);
    for (int i = 0; i < 2; i++) {
        a = get(fd[i], "/healthz");
        assert_int_equal(a.status, 200);
    }
    other = dial_as(OTHER - 1);
    a = rig_read(other);
    refused(&a, 503,
            "there are as many connections as may be; ask again later");
    (void)close(other);
    metric(fd[0], "connections", 1);
    metric(fd[0], "connections-each", 0);
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static unsigned open_files(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Who has asked already when it is refused hears why all the same, and nothing
 * of it stays open. */
static void test_refused_with_its_request(void **state)
{
    struct rig_answer a;
    unsigned before;
    int fd[4];

    (void)state;
    make_with("asked", 0, 0, 0, 3, true);
    for (int i = 0; i < 4; i++) { /* it is not running yet */
        fd[i] = dial(&r);
        assert_true(rig_ask(fd[i], "GET", "/healthz", "", ""));
    }
    rig_run(&r);
    for (int i = 0; i < 3; i++) {
        a = rig_read(fd[i]);
        assert_int_equal(a.status, 200);
    }
    a = rig_read(fd[3]);
    refused(&a, 429, "as many connections as one may");
    (void)close(fd[3]);
    before = open_files();
    for (int i = 0; i < 3; i++) {
        fd[3] = dial(&r);
        a = rig_read(fd[3]);
        assert_int_equal(a.status, 429);
        a = rig_read(fd[3]);
        assert_int_equal(a.status, 0);
        (void)close(fd[3]);
    }
    /* The last one may still be on its way out. */
    a = get(fd[0], "/healthz");
    assert_int_equal(a.status, 200);
    assert_int_equal(open_files(), before);
    for (int i = 0; i < 3; i++)
        (void)close(fd[i]);
}

static int start(void **state)
{
    sigset_t set;

    /* Also after a failed assertion, which brings back the mask of before: the
     * server is stopped by it. */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return scratch_make(state) == 0 && chmod(scratch, 0711) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_held_by_one, down),
        cmocka_unit_test_teardown(test_waiters_of_one, down),
        cmocka_unit_test_teardown(test_released_of_one, down),
        cmocka_unit_test_teardown(test_of_all, down),
        cmocka_unit_test_teardown(test_connections, down),
        cmocka_unit_test_teardown(test_connections_of_all, down),
        cmocka_unit_test_teardown(test_refused_with_its_request, down),
    };

    if (geteuid() != 0) { /* clients are users here */
        (void)puts("ok 1 # SKIP its clients are users, which takes root");
        return 0;
    }
    return cmocka_run_group_tests(tests, start, scratch_remove);
}
