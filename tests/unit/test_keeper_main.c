/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_main.c - the program justalock-keeper as its owners see it: what
 * it may do, what it says, and what its end leaves behind.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/fake_service.h"
#include "keeper_wire.h"

#define LONG_MS  10000
#define FEATURES "Justalock-Features: wait release token holder share\r\n"

static char program[PATH_MAX];
static pid_t alive; /* for the end of a test that failed */

struct rig {
    struct fake_service *f;
    pid_t pid;
    int fd;     /* our end */
    int listen; /* -1: --connected */
    struct sockaddr_un at;
    int mode; /* of the service; 1: busy */
};

static void serve(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    (void)snprintf(s->headers, sizeof(s->headers), FEATURES);
    if (strcmp(q->method, "POST") != 0)
        return;
    if (r->mode == 1) {
        s->status = 409;
        if (strstr(q->head, "Justalock-Wait"))
            s->way = FAKE_SILENT;
        return;
    }
    (void)snprintf(s->headers, sizeof(s->headers),
                   FEATURES "Justalock-Holding: %s\r\n",
                   q->number == 0 ? "new" : "renewed");
}

static pid_t start(int fd, const char *mode)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)dup2(fd, 0);
        (void)execl(program, program, mode, (char *)NULL);
        _exit(99);
    }
    assert_true(pid > 0);
    alive = pid;
    return pid;
}

static int dial(const struct rig *r)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    assert_int_equal(
        connect(fd, (const struct sockaddr *)&r->at, sizeof(r->at)), 0);
    return fd;
}

static void rig_up(struct rig *r, bool listens)
{
    int sv[2];

    memset(r, 0, sizeof(*r));
    r->f = fake_start(serve, r);
    assert_non_null(r->f);
    r->listen = -1;
    if (!listens) {
        assert_int_equal(
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
        r->pid = start(sv[1], "--connected");
        (void)close(sv[1]);
        r->fd = sv[0];
        return;
    }
    r->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    r->at.sun_family = AF_UNIX; /* abstract: no file to be left */
    (void)snprintf(r->at.sun_path + 1, sizeof(r->at.sun_path) - 1,
                   "justalock-test-%d", (int)getpid());
    assert_int_equal(bind(r->listen, (struct sockaddr *)&r->at, sizeof(r->at)),
                     0);
    assert_int_equal(listen(r->listen, 8), 0);
    r->pid = start(r->listen, "--listen");
    r->fd = dial(r);
}

static int wait_end(struct rig *r)
{
    int status;

    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    alive = 0;
    return status;
}

static void rig_down(struct rig *r)
{
    (void)close(r->fd);
    if (r->listen >= 0) {
        (void)close(r->listen);
        assert_int_equal(kill(r->pid, SIGTERM), 0);
        (void)wait_end(r);
    } else {
        assert_int_equal(wait_end(r), 0);
    }
    fake_stop(r->f);
}

/* The next message, within LONG_MS; false: the connection has ended. */
static bool next(int fd, struct keeper_msg *m)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct justalock_error err;
    bool more;

    if (poll(&p, 1, LONG_MS) != 1)
        fail_msg("no message came");
    if (keeper_wire_recv(fd, m, &more, &err) != JUSTALOCK_OK)
        return false;
    assert_true(more);
    return true;
}

static void expect(int fd, enum keeper_wire_type type, struct keeper_msg *m)
{
    if (!next(fd, m))
        fail_msg("the connection ended instead of message %d", (int)type);
    if (m->type != type)
        fail_msg("message %d came, not %d: %s", (int)m->type, (int)type,
                 m->event.text);
}

static void expect_event(int fd, enum keeper_event_kind kind,
                         struct keeper_msg *m)
{
    expect(fd, KW_EVENT, m);
    if (m->event.kind != kind)
        fail_msg("event %d came, not %d: %s", (int)m->event.kind, (int)kind,
                 m->event.text);
}

static void fill(const struct rig *r, struct keeper_msg *m, uint64_t handle)
{
    memset(m, 0, sizeof(*m));
    m->type = KW_ACQUIRE;
    m->handle = handle;
    m->wait_ms = -1;
    (void)snprintf(m->service.url, sizeof(m->service.url),
                   "http://localhost:%d/", fake_port(r->f));
    memcpy(m->lock.id.bytes, &handle, sizeof(handle));
    memcpy(m->lock.client, "me", 2);
    m->lock.client_len = 2;
    memcpy(m->lock.share, "00ff", 5);
    m->lock.times.life_s = 3;
}

static void send_msg(int fd, const struct keeper_msg *m)
{
    struct justalock_error err;

    assert_ok(keeper_wire_send(fd, m, &err), err);
}

static void acquire(const struct rig *r, uint64_t handle)
{
    struct keeper_msg m;

    fill(r, &m, handle);
    send_msg(r->fd, &m);
}

static void test_connected(void **state)
{
    struct rig r;
    struct keeper_msg m;

    (void)state;
    rig_up(&r, false);
    expect(r.fd, KW_READY, &m);
    acquire(&r, 7); /* "localhost": looked up in a thread, in the jail */
    expect_event(r.fd, KEEPER_GRANTED, &m);
    assert_int_equal(m.handle, 7);
    m.type = KW_PING;
    m.handle = 99;
    send_msg(r.fd, &m);
    expect(r.fd, KW_PONG, &m);
    assert_int_equal(m.handle, 99);
    expect_event(r.fd, KEEPER_EXTENDED, &m);
    m.type = KW_RELEASE;
    m.handle = 7;
    m.wait_ms = 1000;
    send_msg(r.fd, &m);
    expect_event(r.fd, KEEPER_RELEASED, &m);
    assert_int_equal(m.event.status, JUSTALOCK_OK);
    fill(&r, &m, 8);
    m.lock.times.life_s = 0;
    send_msg(r.fd, &m);
    expect_event(r.fd, KEEPER_TIMEOUT, &m);
    assert_int_equal(m.event.status, JUSTALOCK_ARG);
    rig_down(&r);
}

/* The owner is gone: the lock is left to its lease, at once. */
static void test_connected_end(void **state)
{
    struct rig r;
    struct keeper_msg m;
    struct clock_time begin;

    (void)state;
    rig_up(&r, false);
    expect(r.fd, KW_READY, &m);
    acquire(&r, 1);
    expect_event(r.fd, KEEPER_GRANTED, &m);
    begin = clock_now();
    (void)close(r.fd);
    assert_int_equal(wait_end(&r), 0);
    assert_true(clock_elapsed_ms(begin, clock_now()) < 500);
    assert_int_equal(fake_count_method(r.f, "DELETE"), 0);
    fake_stop(r.f);
}

/* What was asked for and never granted is given back before the end. */
static void test_connected_end_waiting(void **state)
{
    struct rig r;
    struct keeper_msg m;

    (void)state;
    rig_up(&r, false);
    r.mode = 1;
    expect(r.fd, KW_READY, &m);
    acquire(&r, 1);
    expect_event(r.fd, KEEPER_BUSY, &m);
    while (fake_count(r.f) < 2)
        (void)usleep(1000);
    (void)close(r.fd);
    assert_int_equal(wait_end(&r), 0);
    assert_int_equal(fake_count_method(r.f, "DELETE"), 1);
    fake_stop(r.f);
}

static void test_query(void **state)
{
    struct rig r;
    struct keeper_msg m;

    (void)state;
    rig_up(&r, false);
    expect(r.fd, KW_READY, &m);
    fill(&r, &m, 5);
    m.type = KW_QUERY;
    m.wait_ms = 1000;
    send_msg(r.fd, &m);
    expect(r.fd, KW_VIEW, &m);
    assert_int_equal(m.handle, 5);
    assert_int_equal(m.event.status, JUSTALOCK_PROTO); /* no JSON there */
    memcpy(m.service.url, "nothing", 8);
    m.type = KW_QUERY;
    send_msg(r.fd, &m);
    expect(r.fd, KW_VIEW, &m);
    assert_int_equal(m.event.status, JUSTALOCK_ARG);
    rig_down(&r);
}

/* It goes on without an owner, and tells the next one what it keeps. */
static void test_listen(void **state)
{
    struct rig r;
    struct keeper_msg m;
    struct clock_time t0;
    unsigned before;

    (void)state;
    rig_up(&r, true);
    expect(r.fd, KW_READY, &m);
    acquire(&r, 1);
    expect_event(r.fd, KEEPER_GRANTED, &m);
    t0 = m.event.t0;
    before = fake_count(r.f);
    (void)close(r.fd);
    while (fake_count(r.f) == before) /* it is refreshed without us */
        (void)usleep(1000);
    (void)usleep(20000); /* the answer; too short for the next refresh */
    r.fd = dial(&r);
    expect(r.fd, KW_KEEPING, &m);
    assert_int_equal(m.handle, 1);
    assert_true(m.held);
    assert_string_equal(m.lock.share, "00ff");
    assert_true(clock_elapsed_ms(t0, m.t0) > 0);
    expect(r.fd, KW_READY, &m);
    rig_down(&r);
}

static void test_listen_newest(void **state)
{
    struct rig r;
    struct keeper_msg m;
    int old;

    (void)state;
    rig_up(&r, true);
    expect(r.fd, KW_READY, &m);
    old = r.fd;
    r.fd = dial(&r);
    expect(r.fd, KW_READY, &m);
    assert_false(next(old, &m));
    (void)close(old);
    acquire(&r, 1);
    expect_event(r.fd, KEEPER_GRANTED, &m);
    /* Nonsense costs the connection, not the locks. */
    assert_int_equal(send(r.fd, "nonsense", 8, MSG_NOSIGNAL), 8);
    while (next(r.fd, &m))
        continue;
    (void)close(r.fd);
    r.fd = dial(&r);
    expect(r.fd, KW_KEEPING, &m);
    expect(r.fd, KW_READY, &m);
    m.type = KW_READY;
    send_msg(r.fd, &m); /* ours to say, not theirs */
    while (next(r.fd, &m))
        continue;
    (void)close(r.fd);
    r.fd = dial(&r);
    expect(r.fd, KW_KEEPING, &m);
    /* Adopting what is kept already changes nothing. */
    expect(r.fd, KW_READY, &m);
    fill(&r, &m, 1);
    m.type = KW_ADOPT;
    m.t0 = clock_now();
    send_msg(r.fd, &m);
    expect_event(r.fd, KEEPER_EXTENDED, &m);
    rig_down(&r);
}

/* An owner that stands still: nothing is lost by it but its connection. */
static void test_listen_thousand(void **state)
{
    struct rig r;
    struct keeper_msg m;
    unsigned keeping = 0;

    (void)state;
    rig_up(&r, true);
    expect(r.fd, KW_READY, &m);
    for (uint64_t h = 1; h <= 1000; h++) {
        struct justalock_error err;

        fill(&r, &m, h);
        m.lock.times.life_s = 60;
        while (keeper_wire_send(r.fd, &m, &err) != JUSTALOCK_OK) {
            assert_int_equal(err.sys_errno, EAGAIN);
            (void)usleep(1000);
        }
    }
    while (fake_count(r.f) < 1000)
        (void)usleep(1000);
    (void)usleep(50000);
    (void)close(r.fd); /* without having read one of the grants */
    r.fd = dial(&r);
    while (next(r.fd, &m) && m.type == KW_KEEPING) {
        keeping++;
        assert_true(m.held);
    }
    assert_int_equal(m.type, KW_READY);
    assert_int_equal(keeping, 1000);
    rig_down(&r);
}

static void read_status(pid_t pid, char *text, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    n = read(fd, text, size - 1);
    assert_true(n > 0);
    text[n] = '\0';
    (void)close(fd);
}

static void test_jail(void **state)
{
    struct rig r;
    struct keeper_msg m;
    char text[8192];

    (void)state;
    rig_up(&r, false);
    expect(r.fd, KW_READY, &m);
    read_status(r.pid, text, sizeof(text));
    assert_has(text, "NoNewPrivs:\t1");
    assert_has(text, "CapEff:\t0000000000000000");
    assert_has(text, "CapPrm:\t0000000000000000");
    assert_has(text, "CapInh:\t0000000000000000");
    if (geteuid() == 0)
        assert_null(strstr(text, "Uid:\t0"));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_has(text, "Seccomp:\t2");
#endif
    rig_down(&r);
}

static int run_program(const char *arg)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        (void)dup2(null, 0);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        (void)execl(program, program, arg, (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_options(void **state)
{
    (void)state;
    assert_int_equal(run_program("--help"), 0);
    assert_int_equal(run_program("--version"), 0);
    assert_int_equal(run_program("--nonsense"), 64);
    assert_int_equal(run_program(NULL), 64);
}

static int end_alive(void **state)
{
    (void)state;
    if (alive > 0 && kill(alive, SIGKILL) == 0)
        (void)waitpid(alive, NULL, 0);
    alive = 0;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_connected, end_alive),
        cmocka_unit_test_teardown(test_connected_end, end_alive),
        cmocka_unit_test_teardown(test_connected_end_waiting, end_alive),
        cmocka_unit_test_teardown(test_query, end_alive),
        cmocka_unit_test_teardown(test_listen, end_alive),
        cmocka_unit_test_teardown(test_listen_newest, end_alive),
        cmocka_unit_test_teardown(test_listen_thousand, end_alive),
        cmocka_unit_test_teardown(test_jail, end_alive),
        cmocka_unit_test_teardown(test_options, end_alive),
    };
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 64);
    char *slash;

    for (int up = 0; up < 3 && n > 0; up++) { /* BUILD/tests/unit/NAME */
        slash = strrchr(program, '/');
        if (slash)
            *slash = '\0';
    }
    (void)snprintf(program + strlen(program), 64,
                   "/libexec/justalock/justalock-keeper");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
