/* SPDX-License-Identifier: MIT */
/*
 * test_guard.c - the guard's own process is killed and started again at every
 * state that a work can have: what was held goes on, what was asked for is
 * asked for, what was lost is ended, and nothing is granted twice. The test
 * plays its watch and its keeper.
 */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/agent/record.h"
#include "../lib/guard_rig.h"
#include "agent_client.h"

#define LONG_MS 20000

static pid_t pid; /* of the guard */

/* Everything of the guard in this process ends; its records, table and
 * sockets stay. */
static void leave_it(void)
{
    struct guard *g = &rig.g;

    rig_keeper_gone();
    guard_forget_fd(g, &g->keeper);
    (void)close(g->epoll);
    g->epoll = epoll_create1(EPOLL_CLOEXEC); /* for rig_guard_down */
}

/* Once in a while, as a watch does. */
static void beat(void)
{
    atomic_fetch_add(&rig.g.table.header->watch_beat, 1);
    (void)usleep(2000);
}

#define AWAIT(condition)                                                       \
    do {                                                                       \
        struct clock_time until_ = clock_add(clock_now(), LONG_MS);            \
        bool is_so_;                                                           \
        while (!(is_so_ = (condition)) &&                                      \
               clock_left_ms(until_, clock_now()) > 0)                         \
            beat();                                                            \
        if (!is_so_)                                                           \
            fail_msg("%s", #condition);                                        \
    } while (0)

static void start(void)
{
    atomic_store(&rig.g.table.header->ready, 0);
    pid = fork();
    if (pid == 0) {
        for (int fd = 3; fd < 64; fd++) /* a life line, say */
            if (fd != rig.o.listen_fd && fd != rig.o.nudge_fd &&
                fd != rig.o.news_fd)
                (void)close(fd);
        _exit(guard_main(&rig.o));
    }
    assert_true(pid > 0);
}

static int end(int signo)
{
    int status;

    assert_int_equal(kill(pid, signo), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (signo == SIGKILL && !WIFSIGNALED(status))
        fail_msg("the guard had ended by itself, status %d", status);
    if (rig.keeper >= 0)
        (void)close(rig.keeper);
    rig.keeper = -1;
    pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool is_there(void)
{
    if (rig.keeper < 0)
        rig.keeper = accept4(rig.keeper_listener, NULL, NULL,
                             SOCK_CLOEXEC | SOCK_NONBLOCK);
    return rig.keeper >= 0;
}

/* Killed and started again; its new keeper knows nothing. */
static void again(void)
{
    struct keeper_msg ready = {.type = KW_READY};
    struct justalock_error err;

    if (pid > 0)
        (void)end(SIGKILL);
    start();
    AWAIT(atomic_load(&rig.g.table.header->ready) == proc_key_of(pid));
    AWAIT(is_there());
    assert_ok(keeper_wire_send(rig.keeper, &ready, &err), err);
}

static bool has_asked(struct keeper_msg *m)
{
    struct justalock_error err;
    bool more = false;

    for (;;) {
        assert_ok(keeper_wire_recv(rig.keeper, m, &more, &err), err);
        if (!more || m->type != KW_PING)
            return more;
        m->type = KW_PONG;
        assert_ok(keeper_wire_send(rig.keeper, m, &err), err);
    }
}

static const struct keeper_msg *asked(enum keeper_wire_type type)
{
    static struct keeper_msg m;

    AWAIT(has_asked(&m));
    assert_int_equal(m.type, type);
    return &m;
}

static void says(uint64_t handle, enum keeper_event_kind kind)
{
    struct keeper_msg m = {.type = KW_EVENT};
    struct justalock_error err;

    m.event.handle = handle;
    m.event.kind = kind;
    m.event.t0 = clock_now();
    assert_ok(keeper_wire_send(rig.keeper, &m, &err), err);
}

static struct wire_msg *answer(int fd, enum wire_type type)
{
    static struct wire_msg m;
    struct justalock_error err;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    do {
        AWAIT(poll(&p, 1, 0) == 1);
        assert_ok(agent_recv(fd, &m, clock_add(clock_now(), 1000), &err), err);
    } while (m.type == WIRE_NOTE && type != WIRE_NOTE);
    assert_int_equal(m.type, type);
    return &m;
}

static int asks(const struct wire_msg *m)
{
    struct justalock_error err;
    int fd = rig_dial();

    assert_ok(agent_send(fd, m, clock_add(clock_now(), 1000), &err), err);
    return fd;
}

static int up(void **state)
{
    int rc = rig_guard_up(state);

    pid = 0;
    if (rc != 0)
        return rc;
    leave_it();
    return 0;
}

static int down(void **state)
{
    struct justalock_error err;
    struct work_home home;

    if (pid > 0)
        (void)end(SIGKILL);
    /* Where its configuration was wrong it has made the usual place. */
    work_home_find(NULL, rig.g.table.header->tag, &home, &err);
    work_home_remove(&home);
    return rig_guard_down(state);
}

/* A command that holds "a". */
static int holds(uint64_t *ret_handle)
{
    int fd = asks(rig_command("a"));

    *ret_handle = asked(KW_ACQUIRE)->handle;
    says(*ret_handle, KEEPER_GRANTED);
    assert_int_equal(answer(fd, WIRE_VERDICT)->verdict, WIRE_GO);
    return fd;
}

static struct row *row(void)
{
    return &rig.g.table.rows[0];
}

static void held_goes_on(void **state)
{
    struct row_plan before, after;
    uint64_t handle;
    int fd;

    (void)state;
    again();
    (void)holds(&handle);
    (void)row_look(row(), &before, NULL);
    again();
    assert_int_equal(asked(KW_ADOPT)->handle, handle);
    assert_int_equal(row_look(row(), &after, NULL), ROW_ARMED);
    assert_int_equal(after.deadline.boot_ms, before.deadline.boot_ms);
    (void)usleep(3000);
    says(handle, KEEPER_EXTENDED);
    AWAIT((row_look(row(), &after, NULL),
           after.deadline.boot_ms > before.deadline.boot_ms));
    fd = asks(rig_command("a")); /* its owner comes back */
    assert_string_equal(answer(fd, WIRE_VERDICT)->locks, "a");
    (void)close(fd);
    assert_int_equal(asked(KW_RELEASE)->handle, handle);
    again(); /* given back, and nobody has heard of it yet */
    assert_int_equal(asked(KW_ADOPT)->handle, handle);
    assert_int_equal(asked(KW_RELEASE)->handle, handle);
    says(handle, KEEPER_RELEASED);
    AWAIT(row()->work == 0);
    assert_int_equal(end(SIGTERM), 0);
}

static void what_is_asked_for_is_asked_again(void **state)
{
    char share[KEEPER_SHARE_LEN + 1];
    uint64_t handle;
    int fd;

    (void)state;
    again();
    (void)asks(rig_command("a"));
    handle = asked(KW_ACQUIRE)->handle;
    again();
    {
        const struct keeper_msg *m = asked(KW_ACQUIRE);

        assert_int_equal(m->handle, handle);
        memcpy(share, m->lock.share, sizeof(share));
    }
    again();
    assert_string_equal(asked(KW_ACQUIRE)->lock.share, share);
    fd = asks(rig_command("a")); /* the same, not another */
    says(handle, KEEPER_GRANTED);
    assert_int_equal(answer(fd, WIRE_VERDICT)->verdict, WIRE_GO);
}

/* The name of the record of this handle's work. */
static const char *record_of(uint64_t handle)
{
    static char name[40];

    (void)snprintf(name, sizeof(name), "work-%llu",
                   (unsigned long long)(handle >> GUARD_HANDLE_BITS));
    return name;
}

/* On record as if it had begun so long ago. */
static void is_older(uint64_t handle, int64_t seconds)
{
    static struct record r;
    char path[160], data[RECORD_MAX];
    struct justalock_error err;
    struct buf b;
    ssize_t n;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", rig.state, record_of(handle));
    n = proc_read_file(AT_FDCWD, path, data, sizeof(data));
    assert_true(n > 0);
    assert_ok(record_unpack(data, (size_t)n, &r, &err), err);
    r.f.since_s -= seconds;
    buf_init(&b, RECORD_MAX);
    assert_ok(record_pack(&r, &b, &err), err);
    f = fopen(path, "we");
    assert_true(f && fwrite(b.data, b.len, 1, f) == 1 && fclose(f) == 0);
    buf_done(&b);
}

/* A wait counts from its begin, not from our restart. */
static void a_wait_goes_on(void **state)
{
    struct wire_msg *m = rig_command("a");
    uint64_t handle;

    (void)state;
    m->wait_ms = 60000;
    again();
    (void)asks(m);
    handle = asked(KW_ACQUIRE)->handle;
    (void)end(SIGKILL);
    is_older(handle, 41);
    again();
    assert_in_range(asked(KW_ACQUIRE)->wait_ms, 1, 20000);
    (void)end(SIGKILL);
    is_older(handle, -3600); /* a clock that was set back */
    again();
    assert_in_range(asked(KW_ACQUIRE)->wait_ms, 40000, 60000);
    (void)end(SIGKILL);
    is_older(handle, 7200);
    again();
    assert_int_equal(asked(KW_ACQUIRE)->wait_ms,
                     1); /* once more, and no more */
}

/* Ended by the watch while there was no guard. */
static void what_was_ended_meanwhile(void **state)
{
    struct row_plan plan;
    uint64_t handle, word;
    int fd;

    (void)state;
    again();
    (void)holds(&handle);
    (void)end(SIGKILL);
    (void)row_look(row(), &plan, &word);
    assert_true(row_advance(row(), word, ROW_ENDING));
    again();
    assert_int_equal(asked(KW_ADOPT)->handle, handle);
    fd = asks(rig_command("a"));
    assert_has(answer(fd, WIRE_LOST)->text, "could not be refreshed in time");
    says(handle, KEEPER_EXTENDED); /* too late */
    (void)end(SIGKILL);
    (void)row_look(row(), &plan, &word);
    assert_true(row_advance(row(), word, ROW_DEAD));
    again();
    (void)asked(KW_ADOPT);
    assert_int_equal(asked(KW_RELEASE)->handle, handle);
    says(handle, KEEPER_RELEASED);
    AWAIT(row_state(row()) == ROW_FREE);
}

/* The table is a new one; nothing of the work is alive. */
static void without_a_row(void **state)
{
    uint64_t handle;

    (void)state;
    again();
    (void)holds(&handle);
    assert_true(rig_has_file(record_of(handle)));
    (void)end(SIGKILL);
    row_free(row());
    again();
    (void)asked(KW_ADOPT);
    assert_int_equal(asked(KW_RELEASE)->handle, handle);
    says(handle, KEEPER_RELEASED);
    AWAIT(!rig_has_file(record_of(handle)) && row()->work == 0);
}

static void a_job_between_its_steps(void **state)
{
    uint64_t handle;
    struct wire_msg *m = rig_job(WIRE_JOB_BEGIN, 5, "a");

    (void)state;
    m->job.node_count = 2; /* asks by itself */
    again();
    assert_int_equal(answer(asks(m), WIRE_VERDICT)->verdict, WIRE_GO);
    (void)asked(KW_ACQUIRE);
    again();
    handle = asked(KW_ACQUIRE)->handle;
    says(handle, KEEPER_GRANTED);
    AWAIT(row_state(row()) == ROW_ARMED);
    again();
    assert_int_equal(asked(KW_ADOPT)->handle, handle);
    (void)answer(asks(rig_job(WIRE_JOB_TASK, 5, "a")), WIRE_VERDICT);
    (void)answer(asks(rig_job(WIRE_JOB_END, 5, "")), WIRE_VERDICT);
    assert_int_equal(asked(KW_RELEASE)->handle, handle);
}

static void a_session(void **state)
{
    static struct wire_msg m;
    struct justalock_error err;
    struct wire_msg over = {.type = WIRE_SESSION_CLOSE};
    uint64_t handle;
    int fd, life = -1;

    (void)state;
    rig_config("\"locks\": {\"s\": {\"for\": \"pam\"}}");
    again();
    fd = asks(rig_session("s"));
    handle = asked(KW_ACQUIRE)->handle;
    says(handle, KEEPER_GRANTED);
    assert_ok(
        agent_recv_fd(fd, &m, &life, clock_add(clock_now(), LONG_MS), &err),
        err);
    assert_int_equal(m.verdict, WIRE_GO);
    assert_true(life > 2);
    memcpy(over.cookie, m.cookie, sizeof(over.cookie));
    again(); /* ours is no HUP */
    (void)asked(KW_ADOPT);
    assert_int_equal(row_state(row()), ROW_ARMED);
    (void)close(life);
    assert_int_equal(asked(KW_RELEASE)->handle, handle);
    fd = asks(&over);
    says(handle, KEEPER_RELEASED);
    assert_int_equal(answer(fd, WIRE_VERDICT)->verdict, WIRE_GO);
}

/* A configuration that is wrong: what is held goes on, nothing new begins. */
static void with_a_wrong_configuration(void **state)
{
    const struct wire_msg reload = {.type = WIRE_RELOAD};
    uint64_t handle;
    FILE *f;

    (void)state;
    again();
    (void)holds(&handle);
    f = fopen(rig.config, "w");
    assert_true(f && fputs("{\"servise\": 1}", f) >= 0 && fclose(f) == 0);
    again();
    assert_int_equal(asked(KW_ADOPT)->handle, handle);
    assert_int_equal(answer(asks(rig_command("b")), WIRE_VERDICT)->verdict,
                     WIRE_REFUSED_CONFIG);
    assert_int_equal(answer(asks(&reload), WIRE_VERDICT)->verdict,
                     WIRE_REFUSED_CONFIG);
    f = fopen(rig.config, "w");
    assert_true(f &&
                fputs("{\"agent\": {\"cgroup\": \"/proc/none\"}}", f) >= 0 &&
                fclose(f) == 0);
    assert_int_equal(kill(pid, SIGHUP), 0);
    assert_int_equal(answer(asks(&reload), WIRE_VERDICT)->verdict, WIRE_GO);
    (void)asks(rig_command("b"));
    (void)asked(KW_ACQUIRE);
}

static void nothing_to_start_with(void **state)
{
    FILE *f = fopen(rig.config, "w");
    int status;

    (void)state;
    assert_true(f && fputs("{", f) >= 0 && fclose(f) == 0);
    start();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    pid = 0;
    assert_int_equal(WEXITSTATUS(status), 78);
    rig.state[strlen(rig.state) - 1] = 'X';
    start();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    pid = 0;
    assert_int_equal(WEXITSTATUS(status), 71);
    rig.state[strlen(rig.state) - 1] = 'e';
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)
    const struct CMUnitTest tests[] = {
        TEST(held_goes_on),
        TEST(what_is_asked_for_is_asked_again),
        TEST(a_wait_goes_on),
        TEST(what_was_ended_meanwhile),
        TEST(without_a_row),
        TEST(a_job_between_its_steps),
        TEST(a_session),
        TEST(with_a_wrong_configuration),
        TEST(nothing_to_start_with),
    };

    return RIG_RUN(tests);
}
