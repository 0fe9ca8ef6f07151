/* SPDX-License-Identifier: MIT */
/*
 * test_watch_children.c - guard and keeper are started, and started again at a
 * bounded pace when they die, stand still or cannot be started; sockets; and
 * what an earlier watch has left. The programs started are this one, which
 * plays the guard, and one that plays the keeper.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/agent/watch.h"
#include "../lib/failing.h"
#include "../lib/own_home.h"
#include "log.h"
#include "scratch.h"

#define LONG_MS 20000

static struct watch w;
static struct agent_options o;
static char state[96], sock[96], play[96];

/* What the guard does: an exit status, or "stay". */
static void guard_is(const char *what)
{
    FILE *f = fopen(play, "w");

    assert_true(f && fputs(what, f) >= 0 && fclose(f) == 0);
}

static int be_guard(int argc, char **argv)
{
    char path[128] = "", what[16];
    ssize_t n;

    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--state") == 0)
            (void)snprintf(path, sizeof(path), "%s/../play", argv[i + 1]);
    n = proc_read_file(AT_FDCWD, path, what, sizeof(what));
    if (n > 0 && strcmp(what, "stay") != 0)
        return (int)strtol(what, NULL, 10);
    for (;;)
        (void)pause();
}

static int up(void **unused)
{
    struct justalock_error err;

    memset(&w, 0, sizeof(w));
    log_open("watch", LOG_LEVEL_ERROR);
    if (scratch_make(unused) != 0)
        return -1;
    (void)snprintf(state, sizeof(state), "%s", in_scratch("state"));
    (void)snprintf(sock, sizeof(sock), "%s", in_scratch("run/agent.sock"));
    (void)snprintf(play, sizeof(play), "%s", in_scratch("play"));
    assert_int_equal(mkdir(state, 0700), 0);
    o = (struct agent_options){.socket = sock,
                               .state = state,
                               .keeper_user = "nobody",
                               .listen_fd = -1,
                               .nudge_fd = -1,
                               .news_fd = -1};
    w.o = &o;
    w.listen_fd = -1;
    w.nudge_fd = eventfd(0, EFD_CLOEXEC);
    w.news_fd = eventfd(0, EFD_CLOEXEC);
    assert_ok(table_open(state, &w.table, &err), err);
    w.guard = (struct child){
        .name = "guard", .key = &w.table.header->guard, .pidfd = -1};
    w.keeper = (struct child){
        .name = "keeper", .key = &w.table.header->keeper, .pidfd = -1};
    assert_ok(watch_listen(&w, &err), err);
    guard_is("stay");
    own_home_keeper("/bin/false");
    return 0;
}

static int down(void **unused)
{
    w.is_stopping = true;
    watch_end_children(&w);
    (void)close(w.listen_fd);
    (void)close(w.nudge_fd);
    (void)close(w.news_fd);
    table_close(&w.table);
    return scratch_remove(unused);
}

static pid_t pid_of(const struct child *c)
{
    return proc_key_pid(atomic_load(c->key));
}

static void await_end(const struct child *c)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, LONG_MS), 1);
}

static void both_are_started(void **unused)
{
    (void)unused;
    watch_children(&w);
    assert_true(w.guard.pidfd >= 0);
    assert_int_equal(atomic_load(w.guard.key), proc_key_of(pid_of(&w.guard)));
    assert_true(pid_of(&w.keeper) > 0);
    assert_false(w.is_ready);
    atomic_store(&w.table.header->ready, proc_key_self()); /* another's */
    watch_children(&w);
    assert_false(w.is_ready);
    atomic_store(&w.table.header->ready, atomic_load(w.guard.key));
    watch_children(&w);
    assert_true(w.is_ready);
}

/* At once after the first death, then slower, never slower than each second. */
static void dead_ones_at_a_bounded_pace(void **unused)
{
    struct child *both[] = {&w.guard, &w.keeper};

    (void)unused;
    guard_is("1");
    for (size_t i = 0; i < LENGTH(both); i++) {
        struct child *c = both[i];
        int64_t last = 0;

        w.is_stopping = false;
        for (unsigned n = 0; n < 12; n++) {
            struct clock_time now;
            int64_t pause;

            w.guard.again = w.keeper.again = (struct clock_time){0, 0};
            (c == &w.guard ? &w.keeper : &w.guard)->again = clock_never();
            watch_children(&w);
            assert_true(c->pidfd >= 0);
            await_end(c);
            now = clock_now();
            w.is_stopping = true; /* not started again: to be looked at */
            watch_children(&w);
            w.is_stopping = false;
            assert_int_equal(c->pidfd, -1);
            pause = clock_left_ms(c->again, now);
            assert_int_equal(c->deaths, n + 1);
            if (n == 0)
                assert_true(pause <= 100);
            assert_true(pause <= 1100);
            assert_true(pause >= last - 100);
            last = pause;
        }
        assert_true(last > 900);
        /* One that has lived for a while is started at once again. */
        c->again = (struct clock_time){0, 0};
        watch_children(&w);
        await_end(c);
        c->started = clock_add(clock_now(), -6000);
        w.is_stopping = true;
        watch_children(&w);
        w.is_stopping = false;
        assert_int_equal(c->deaths, 0);
        assert_true(clock_left_ms(c->again, clock_now()) <= 0);
    }
}

/* A wrong configuration at the start ends it; later, or with work, not. */
static void no_configuration(void **unused)
{
    const struct row_plan plan = {.deadline = clock_add(clock_now(), 60000)};
    struct row *row = table_take(&w.table);

    (void)unused;
    guard_is("78");
    row->work = 1;
    row_arm(row, &plan);
    watch_children(&w);
    await_end(&w.guard);
    watch_children(&w);
    assert_false(w.is_stopping);
    assert_true(row_close(row));
    row_free(row);
    w.is_ready = true;
    w.guard.again = (struct clock_time){0, 0};
    watch_children(&w);
    await_end(&w.guard);
    watch_children(&w);
    assert_false(w.is_stopping);
    w.is_ready = false;
    w.guard.again = (struct clock_time){0, 0};
    watch_children(&w);
    await_end(&w.guard);
    watch_children(&w);
    assert_true(w.is_stopping);
    assert_int_equal(w.exit_code, 78);
}

static void what_cannot_be_started_is_tried_again(void **unused)
{
    (void)unused;
    w.keeper.again = clock_never();
    failing_call("fork", EAGAIN);
    watch_children(&w);
    assert_int_equal(w.guard.pidfd, -1);
    assert_in_range(clock_left_ms(w.guard.again, clock_now()), 900, 1000);
    watch_children(&w);
    assert_int_equal(w.guard.pidfd, -1);
    w.guard.again = clock_now();
    watch_children(&w);
    assert_true(w.guard.pidfd >= 0);
    /* The keeper: no program, no socket. */
    own_home_keeper(NULL);
    w.keeper.again = clock_now();
    watch_children(&w);
    assert_int_equal(w.keeper.pidfd, -1);
    assert_in_range(clock_left_ms(w.keeper.again, clock_now()), 900, 1000);
    own_home_keeper("/bin/false");
    failing_call("socket", EMFILE);
    w.keeper.again = clock_now();
    watch_children(&w);
    assert_int_equal(w.keeper.pidfd, -1);
    w.keeper.again = clock_now();
    watch_children(&w);
    assert_true(w.keeper.pidfd >= 0);
}

/* It stands still, as we saw often enough ourselves. */
static void a_guard_that_does_not_move(void **unused)
{
    pid_t pid;

    (void)unused;
    watch_children(&w);
    pid = pid_of(&w.guard);
    w.beat_at = clock_add(clock_now(), -60000); /* asleep meanwhile */
    for (int i = 0; i < AGENT_BEAT_LOOKS - 1; i++)
        watch_children(&w);
    assert_int_equal(pid_of(&w.guard), pid);
    atomic_fetch_add(&w.table.header->guard_beat, 1);
    for (int i = 0; i < AGENT_BEAT_LOOKS + 2; i++)
        watch_children(&w); /* often, and not for long */
    assert_int_equal(pid_of(&w.guard), pid);
    w.beat_at = clock_add(clock_now(), -AGENT_BEAT_MS - 1);
    watch_children(&w);
    await_end(&w.guard);
    watch_children(&w);
    assert_int_not_equal(pid_of(&w.guard), pid);
}

static void of_an_earlier_watch(void **unused)
{
    struct watch next;
    pid_t guard, status_of;
    int status;

    (void)unused;
    watch_children(&w);
    guard = pid_of(&w.guard);
    next = w;
    next.guard.pidfd = next.keeper.pidfd = -1;
    atomic_store(&w.table.header->ready, 5);
    atomic_store(&w.table.header->keeper, proc_key_self()); /* as a keeper */
    watch_take_over(&next);
    status_of = waitpid(guard, &status, 0);
    assert_int_equal(status_of, guard);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(atomic_load(&w.table.header->ready), 0);
    assert_int_equal(next.guard.pidfd, -1);
    assert_true(next.keeper.pidfd >= 0); /* it goes on */
    (void)close(next.keeper.pidfd);
    atomic_store(&w.table.header->keeper, 0);
    watch_take_over(&next); /* nothing is left */
    assert_int_equal(next.keeper.pidfd, -1);
}

/* ---- sockets ---- */

static void a_path_of_a_socket(void **unused)
{
    char longest[200];
    struct justalock_error err;
    struct watch other = w;
    struct stat sb;

    (void)unused;
    assert_int_equal(stat(sock, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0666);
    memset(longest, 'x', sizeof(longest));
    longest[108] = '\0';
    o.socket = longest;
    assert_fails(watch_listen(&other, &err), JUSTALOCK_ARG, err,
                 "107 bytes at most");
    longest[107] = '\0'; /* fits, and is not absolute: it is made here */
    (void)snprintf(longest, sizeof(longest), "%s", in_scratch("play"));
    longest[strlen(longest)] = '/';
    o.socket = longest; /* below what is no folder */
    assert_int_equal(watch_listen(&other, &err), JUSTALOCK_SYS);
    o.socket = sock;
}

static void a_socket_of_systemd(void **unused)
{
    struct justalock_error err;
    struct watch other = w;
    char pid[16];
    int fds[2], third = dup(3);

    (void)unused;
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    for (int is_wrong = 0; is_wrong < 2; is_wrong++) {
        assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
        assert_int_equal(setenv("LISTEN_PID", pid, 1), 0);
        assert_int_equal(socketpair(AF_UNIX,
                                    is_wrong ? SOCK_STREAM : SOCK_SEQPACKET, 0,
                                    fds),
                         0);
        assert_int_equal(dup2(fds[0], 3), 3);
        if (is_wrong) {
            assert_fails(watch_listen(&other, &err), JUSTALOCK_CONFIG, err,
                         "SEQPACKET");
        } else {
            assert_ok(watch_listen(&other, &err), err);
            assert_true(other.is_inherited);
            assert_int_equal(other.listen_fd, 3);
            assert_true((fcntl(3, F_GETFL) & O_NONBLOCK) != 0);
            assert_int_equal(fcntl(3, F_GETFD), FD_CLOEXEC);
        }
        (void)close(fds[0]);
        (void)close(fds[1]);
    }
    if (third >= 0) {
        (void)dup2(third, 3);
        (void)close(third);
    } else {
        (void)close(3);
    }
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
    /* Handed on by an earlier agent; and one that is not open. */
    other = w;
    o.listen_fd = w.listen_fd;
    assert_ok(watch_listen(&other, &err), err);
    assert_int_equal(other.listen_fd, w.listen_fd);
    o.listen_fd = 1000;
    assert_ok(watch_listen(&other, &err), err);
    assert_int_not_equal(other.listen_fd, 1000);
    (void)close(other.listen_fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(both_are_started),
        TEST(dead_ones_at_a_bounded_pace),
        TEST(no_configuration),
        TEST(what_cannot_be_started_is_tried_again),
        TEST(a_guard_that_does_not_move),
        TEST(of_an_earlier_watch),
        TEST(a_path_of_a_socket),
        TEST(a_socket_of_systemd),
    };

    int rc;

    if (argc > 1)
        return be_guard(argc, argv);
    own_home_enter(argv);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    own_home_leave();
    return rc;
}
