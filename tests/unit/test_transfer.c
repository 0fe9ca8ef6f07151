/* SPDX-License-Identifier: MIT */
/*
 * test_transfer.c - requests over libcurl: their bounds, their connections,
 * what of the surroundings they look at, and their end.
 */
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/fake_service.h"
#include "transfer.h"
#include "transfer_name.h"

#define LONG_MS 10000

/* Name lookups come here. hang.test never ends, slow.test takes a while,
 * known.test is known for its first lookup only. */
static unsigned lookups;
static unsigned known;

__attribute__((visibility("default"))) int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **res)
{
    static int (*real)(const char *, const char *, const struct addrinfo *,
                       struct addrinfo **);

    if (!real)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    __atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
    if (strcmp(node, "hang.test") == 0)
        for (;;)
            (void)pause();
    if (strcmp(node, "slow.test") == 0)
        (void)usleep(200000);
    if (strcmp(node, "known.test") == 0 &&
        __atomic_add_fetch(&known, 1, __ATOMIC_SEQ_CST) > 1)
        return EAI_AGAIN;
    if (strcmp(node, "none.test") == 0)
        return EAI_NONAME;
    return real("127.0.0.1", service, hints, res);
}

struct rig {
    struct transfer_hub *hub;
    struct fake_service *f;
    char url[64];
    struct fake_step step;
    unsigned done;
    struct transfer_answer last;
    char body[256];
};

static void serve(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    *s = r->step;
}

static void rig_up(struct rig *r)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    r->step.status = 200;
    r->f = fake_start(serve, r);
    assert_non_null(r->f);
    (void)snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%d/",
                   fake_port(r->f));
    assert_ok(transfer_hub_new(&r->hub, &err), err);
}

static void rig_down(struct rig *r)
{
    transfer_hub_free(r->hub);
    fake_stop(r->f);
}

static void on_done(void *arg, const struct transfer_answer *a)
{
    struct rig *r = arg;

    r->done++;
    r->last = *a;
    r->body[0] = '\0';
    if (a->status == JUSTALOCK_OK)
        (void)snprintf(r->body, sizeof(r->body), "%.*s", (int)a->body_len,
                       a->body);
}

static struct transfer *begin(struct rig *r, struct transfer_request *q)
{
    struct justalock_error err;
    struct transfer *t = NULL;

    if (!q->method)
        q->method = "POST";
    if (!q->url)
        q->url = r->url;
    if (q->limit_ms == 0)
        q->limit_ms = LONG_MS;
    assert_ok(transfer_start(r->hub, q, on_done, r, &t, &err), err);
    return t;
}

static void await(struct rig *r, unsigned done)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);

    while (r->done < done) {
        assert_true(clock_left_ms(end, clock_now()) > 0);
        (void)transfer_run(r->hub, -1, end);
    }
}

/* Connections to that address; none may be left to a program that we start. */
static unsigned connections(const void *peer, size_t len)
{
    struct sockaddr_un at; /* the longest of them */
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++) {
        socklen_t at_len = sizeof(at);

        memset(&at, 0, sizeof(at));
        if (getpeername(fd, (struct sockaddr *)&at, &at_len) != 0 ||
            memcmp(&at, peer, len) != 0)
            continue;
        assert_int_not_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
        n++;
    }
    return n;
}

static void test_exchange(void **state)
{
    struct rig r;
    struct fake_request got;
    char value[64];
    struct transfer_request q = {.body = "a\0b", .body_len = 3};
    struct sockaddr_in peer = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)state;
    rig_up(&r);
    peer.sin_port = htons((uint16_t)fake_port(r.f));
    (void)snprintf(r.step.headers, sizeof(r.step.headers), "X-One: 1\r\n");
    (void)snprintf(r.step.body, sizeof(r.step.body), "hello");
    q.headers[0] = "X-Two: 2";
    (void)begin(&r, &q);
    await(&r, 1);
    assert_int_equal(r.last.status, JUSTALOCK_OK);
    assert_int_equal(r.last.http_status, 200);
    assert_string_equal(r.body, "hello");
    assert_true(fake_get(r.f, 0, &got));
    assert_int_equal(got.body_len, 3);
    assert_memory_equal(got.body, "a\0b", 3);
    assert_true(fake_header(&got, "X-Two", value, sizeof(value)));
    assert_true(fake_header(&got, "Content-Type", value, sizeof(value)));
    assert_string_equal(value, "application/octet-stream");
    assert_int_equal(connections(&peer, sizeof(peer)), 1);
    rig_down(&r);
}

/* Followed, it would become a GET, and any page there a 200. */
static void test_redirect(void **state)
{
    struct rig r;
    struct transfer_request q = {.body = "a", .body_len = 1};

    (void)state;
    rig_up(&r);
    r.step.status = 302;
    (void)snprintf(r.step.headers, sizeof(r.step.headers),
                   "Location: /found\r\n");
    (void)begin(&r, &q);
    await(&r, 1);
    assert_int_equal(r.last.status, JUSTALOCK_OK);
    assert_int_equal(r.last.http_status, 302);
    assert_int_equal(fake_count(r.f), 1);
    rig_down(&r);
}

/* A spare handle carries nothing over to the next request. */
static void test_reuse_is_clean(void **state)
{
    struct rig r;
    struct fake_request got;
    char value[64];
    struct transfer_request q = {.body = "secret", .body_len = 6};
    struct transfer_request plain = {.method = "GET"};

    (void)state;
    rig_up(&r);
    q.method = "DELETE";
    q.headers[0] = "Authorization: Bearer x";
    (void)begin(&r, &q);
    await(&r, 1);
    (void)begin(&r, &plain);
    await(&r, 2);
    assert_true(fake_get(r.f, 0, &got));
    assert_string_equal(got.method, "DELETE");
    assert_memory_equal(got.body, "secret", 6);
    assert_true(fake_get(r.f, 1, &got));
    assert_string_equal(got.method, "GET");
    assert_int_equal(got.body_len, 0);
    assert_false(fake_header(&got, "Authorization", value, sizeof(value)));
    assert_int_equal(got.connection, 0); /* but the connection */
    rig_down(&r);
}

static void test_environment(void **state)
{
    struct rig r;
    struct transfer_request q = {.method = "GET"};

    (void)state;
    rig_up(&r);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1/", 1), 0);
    (void)begin(&r, &q);
    await(&r, 1);
    assert_int_equal(r.last.status, JUSTALOCK_OK);
    q.fresh = true;
    q.proxy = "http://127.0.0.1:1/";
    (void)begin(&r, &q);
    await(&r, 2);
    assert_int_equal(r.last.status, JUSTALOCK_NET);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
    rig_down(&r);
}

static void test_limits(void **state)
{
    struct rig r;
    struct justalock_error err;
    struct transfer *t;
    struct transfer_request q = {.method = "GET", .url = "http://127.0.0.1/"};
    struct transfer_request slow = {.limit_ms = 200};
    struct clock_time start;
    static const int64_t bad[] = {0, -1, TRANSFER_LIMIT_MAX + 1};

    (void)state;
    rig_up(&r);
    for (size_t i = 0; i < 3; i++) {
        q.limit_ms = bad[i];
        assert_fails(transfer_start(r.hub, &q, on_done, &r, &t, &err),
                     JUSTALOCK_ARG, err, "3600000");
    }
    r.step.way = FAKE_SILENT;
    start = clock_now();
    (void)begin(&r, &slow);
    await(&r, 1);
    assert_in_range(clock_elapsed_ms(start, clock_now()), 190, 600);
    assert_int_equal(r.last.status, JUSTALOCK_NET);
    assert_string_equal(r.last.text, "no answer within 200 ms");
    rig_down(&r);
}

/* The last answer counts, not what came before it. */
static void test_heads(void **state)
{
    static const char *const hundred = "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n";
    struct rig r;
    struct transfer_request q = {.method = "GET"};

    (void)state;
    rig_up(&r);
    r.step.way = FAKE_RAW;
    (void)snprintf(r.step.body, sizeof(r.step.body),
                   "%sHTTP/1.1 409 No\r\nContent-Length: 0\r\n\r\n", hundred);
    (void)begin(&r, &q);
    await(&r, 1);
    assert_int_equal(r.last.status, JUSTALOCK_OK);
    assert_int_equal(r.last.http_status, 409);
    /* Not HTTP at all. */
    (void)snprintf(r.step.body, sizeof(r.step.body), "SSH-2.0-x\r\n");
    (void)begin(&r, &q);
    await(&r, 2);
    assert_int_not_equal(r.last.http_status, 200);
    rig_down(&r);
}

static void test_pools(void **state)
{
    struct rig r;
    struct fake_request a, b, c;
    struct transfer_request wait = {.is_wait = true};
    struct transfer_request quick = {.is_wait = false};

    (void)state;
    rig_up(&r);
    for (unsigned i = 0; i < 2; i++) {
        (void)begin(&r, &wait);
        await(&r, 3 * i + 1);
        (void)begin(&r, &quick);
        await(&r, 3 * i + 2);
        quick.fresh = i == 0;
        (void)begin(&r, &quick);
        await(&r, 3 * i + 3);
        quick.fresh = false;
    }
    assert_true(fake_get(r.f, 0, &a) && fake_get(r.f, 1, &b) &&
                fake_get(r.f, 2, &c));
    assert_int_not_equal(a.connection, b.connection);
    assert_int_not_equal(b.connection, c.connection); /* fresh */
    assert_true(fake_get(r.f, 3, &b));
    assert_int_equal(a.connection, b.connection); /* kept */
    assert_int_equal(fake_connections(r.f), 3);
    rig_down(&r);
}

/* Two of which the first to be answered cancels the other. */
struct rival {
    struct transfer *other;
    unsigned *done;
};

static void on_rival(void *arg, const struct transfer_answer *a)
{
    struct rival *rival = arg;

    assert_int_equal(a->status, JUSTALOCK_OK);
    ++*rival->done;
    transfer_cancel(rival->other);
}

static void test_cancel(void **state)
{
    struct rig r;
    struct justalock_error err;
    struct transfer_request q = {.limit_ms = 0};
    struct transfer *first;
    unsigned done = 0;
    struct rival a = {.done = &done};
    struct rival b = {.done = &done};

    (void)state;
    rig_up(&r);
    first = begin(&r, &q);
    transfer_cancel(first); /* before it began */
    assert_ok(transfer_start(r.hub, &q, on_rival, &a, &b.other, &err), err);
    assert_ok(transfer_start(r.hub, &q, on_rival, &b, &a.other, &err), err);
    while (done == 0)
        (void)transfer_run(r.hub, -1, clock_add(clock_now(), 1000));
    (void)transfer_run(r.hub, -1, clock_add(clock_now(), 50));
    assert_int_equal(done, 1);
    r.step.way = FAKE_SILENT;
    (void)begin(&r, &q);
    rig_down(&r); /* one is under way */
    assert_int_equal(r.done, 0);
}

static void test_descriptor(void **state)
{
    struct rig r;
    uint64_t one = 1;
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)state;
    rig_up(&r);
    assert_false(transfer_run(r.hub, fd, clock_now()));
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
    assert_true(transfer_run(r.hub, fd, clock_never()));
    assert_int_equal(close(fd), 0);
    rig_down(&r);
}

/* ---- names ---- */

static void named(const struct rig *r, const char *host, char *url, size_t size)
{
    (void)snprintf(url, size, "http://%s:%d/", host, fake_port(r->f));
}

static void test_names(void **state)
{
    struct rig r;
    char url[64];
    struct fake_request got;
    char value[64];
    struct transfer_request q = {.url = url};
    struct clock_time start;

    (void)state;
    rig_up(&r);
    lookups = 0;
    named(&r, "slow.test", url, sizeof(url));
    for (int i = 0; i < 50; i++)
        (void)begin(&r, &q);
    await(&r, 50);
    assert_int_equal(r.last.status, JUSTALOCK_OK);
    assert_int_equal(lookups, 1);
    assert_true(fake_get(r.f, 0, &got));
    assert_true(fake_header(&got, "Host", value, sizeof(value)));
    assert_memory_equal(value, "slow.test:", 10);
    start = clock_now();
    (void)begin(&r, &q); /* known by now */
    await(&r, 51);
    assert_true(clock_elapsed_ms(start, clock_now()) < 150);
    named(&r, "none.test", url, sizeof(url));
    (void)begin(&r, &q);
    await(&r, 52);
    assert_int_equal(r.last.status, JUSTALOCK_NET);
    assert_has(r.last.text, "name lookup of none.test: ");
    rig_down(&r);
}

static void test_names_hang(void **state)
{
    struct rig r;
    char url[64];
    struct transfer_request q = {.url = url, .limit_ms = 300};
    struct transfer_request good = {.limit_ms = 0};
    struct clock_time start = clock_now();

    (void)state;
    rig_up(&r);
    named(&r, "hang.test", url, sizeof(url));
    (void)begin(&r, &q);
    (void)begin(&r, &good);
    await(&r, 1);
    assert_int_equal(r.last.status, JUSTALOCK_OK);
    assert_true(clock_elapsed_ms(start, clock_now()) < 250);
    await(&r, 2);
    assert_has(r.last.text, "name lookup of hang.test: no answer in time");
    assert_in_range(clock_elapsed_ms(start, clock_now()), 290, 800);
    transfer_cancel(begin(&r, &q));
    (void)begin(&r, &q);
    start = clock_now();
    rig_down(&r); /* with one that waits, and a thread that will never end */
    assert_true(clock_elapsed_ms(start, clock_now()) < 250);
    assert_int_equal(r.done, 2);
}

/* Of what was known once, use goes on while names cannot be looked up. */
static void test_names_stale(void **state)
{
    struct names *ns = names_new();
    struct clock_time now = clock_now();
    struct name *n;

    (void)state;
    assert_non_null(ns);
    n = names_get(ns, "known.test", "80", now);
    assert_string_equal(n->addrs, "");
    for (int tries = 0; n->lookup && tries < 5000; tries++) {
        (void)usleep(1000);
        names_collect(ns);
    }
    assert_string_equal(n->addrs, "127.0.0.1");
    assert_null(
        names_get(ns, "known.test", "80", clock_add(now, 59999))->lookup);
    now = clock_add(now, 60000);
    assert_non_null(names_get(ns, "known.test", "80", now)->lookup);
    for (int tries = 0; n->lookup && tries < 5000; tries++) {
        (void)usleep(1000);
        names_collect(ns);
    }
    assert_int_equal(known, 2);
    assert_string_equal(n->addrs, "127.0.0.1");
    assert_true(n->why[0] != '\0');
    /* Tried again soon, but not with every request. */
    assert_null(
        names_get(ns, "known.test", "80", clock_add(now, 4000))->lookup);
    assert_non_null(
        names_get(ns, "known.test", "80", clock_add(now, 5000))->lookup);
    names_free(ns); /* one is under way */
}

static void expect_name(const char *url, const char *want)
{
    char host[NAME_HOST_MAX + 1];
    char port[6];
    char text[NAME_HOST_MAX + 16] = "-";

    if (name_of_url(url, host, port))
        (void)snprintf(text, sizeof(text), "%s %s", host, port);
    assert_string_equal(text, want);
}

static void test_name_of_url(void **state)
{
    char url[400];

    (void)state;
    expect_name("http://head:7171/x", "head 7171");
    expect_name("https://justalock.dev", "justalock.dev 443");
    expect_name("HTTPS://h/:1", "h 443");
    expect_name("http://h", "h 80");
    expect_name("http://127.0.0.1:1/", "-");
    expect_name("http://[::1]:1/", "-");
    expect_name("http://:1/", "-");
    expect_name("http://h:/", "-");
    expect_name("http://h:123456/", "-");
    expect_name("nothing", "-");
    (void)snprintf(url, sizeof(url), "http://%0256d/", 0);
    expect_name(url, "-");
}

static void *serve_unix(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                                 "ux";
    char text[1024];
    int fd = accept(*(int *)arg, NULL, NULL);

    if (fd >= 0 && recv(fd, text, sizeof(text), 0) > 0 &&
        send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) > 0)
        (void)recv(fd, text, sizeof(text), 0);
    (void)close(fd);
    return NULL;
}

static void test_unix_socket(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct transfer_request q = {.url = "http://localhost/"};
    struct rig r;
    pthread_t thread;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    rig_up(&r);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/justalock-test.%d",
                   (int)getpid());
    (void)unlink(at.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve_unix, &fd), 0);
    q.socket = at.sun_path;
    (void)begin(&r, &q);
    await(&r, 1);
    assert_int_equal(r.last.status, JUSTALOCK_OK);
    assert_string_equal(r.body, "ux");
    assert_int_equal(connections(&at, sizeof(at)), 1);
    rig_down(&r);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(unlink(at.sun_path), 0);
    assert_int_equal(close(fd), 0);
}

/* The URL's host and port are none of a socket's troubles. */
static void test_unix_socket_trouble(void **state)
{
    struct transfer_request q = {.url = "http://localhost/"};
    char path[64], want[128];
    struct rig r;

    (void)state;
    rig_up(&r);
    (void)snprintf(path, sizeof(path), "/tmp/justalock-none.%d", (int)getpid());
    q.socket = path;
    (void)begin(&r, &q);
    await(&r, 1);
    assert_int_equal(r.last.status, JUSTALOCK_NET);
    (void)snprintf(want, sizeof(want), "connect to %s: %s", path,
                   strerror(ENOENT));
    assert_string_equal(r.last.text, want);
    rig_down(&r);
}

static void test_unix_socket_denied(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct transfer_request q = {.url = "http://localhost/"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char want[256];
    struct rig r;

    (void)state;
    if (geteuid() != 0)
        skip();
    rig_up(&r);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/justalock-root.%d",
                   (int)getpid());
    (void)unlink(at.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(chmod(at.sun_path, 0600), 0);
    assert_int_equal(listen(fd, 1), 0);
    q.socket = at.sun_path;
    assert_int_equal(seteuid(65534), 0);
    (void)begin(&r, &q);
    await(&r, 1);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(r.last.status, JUSTALOCK_NET);
    (void)snprintf(want, sizeof(want), "connect to %s as user 65534: %s",
                   at.sun_path, strerror(EACCES));
    assert_string_equal(r.last.text, want);
    rig_down(&r);
    assert_int_equal(unlink(at.sun_path), 0);
    assert_int_equal(close(fd), 0);
}

/* SIGPIPE keeps its default and does not come: the connection is cut under
 * a reused handle, over and over. */
static void test_sigpipe(void **state)
{
    struct rig r;
    struct transfer_request q = {.body = "x", .body_len = 1};
    struct sigaction sa;
    sigset_t pending;

    (void)state;
    rig_up(&r);
    for (unsigned i = 1; i <= 20; i++) {
        (void)begin(&r, &q);
        await(&r, i);
        fake_cut(r.f);
    }
    assert_int_equal(sigaction(SIGPIPE, NULL, &sa), 0);
    assert_true(sa.sa_handler == SIG_DFL);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_reuse_is_clean),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_hang),
        cmocka_unit_test(test_names_stale),
        cmocka_unit_test(test_name_of_url),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_unix_socket_trouble),
        cmocka_unit_test(test_unix_socket_denied),
        cmocka_unit_test(test_sigpipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
