/* SPDX-License-Identifier: MIT */
/*
 * test_agent_client.c - agent_client.c against agents that answer, are silent,
 * stuck, gone or rude, and for a caller that is short of descriptors or gets
 * signals. No test sleeps to see that nothing happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_client.h"
#include "test.h"

static char folder[] = "/tmp/test_agent_client.XXXXXX";
static char path[64];
static int listener = -1;

static struct clock_time in_ms(int64_t ms)
{
    return clock_add(clock_now(), ms);
}

static int setup(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    (void)state;
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/sock", folder);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return listener < 0 ||
           bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
           listen(listener, 0) != 0;
}

static int teardown(void **state)
{
    (void)state;
    if (listener >= 0)
        (void)close(listener);
    listener = -1;
    return unlink(path) != 0 && errno != ENOENT;
}

/* A connection, both of its ends. */
static void connected(int *ret_client, int *ret_agent)
{
    struct justalock_error err;

    assert_ok(agent_connect(path, ret_client, &err), err);
    *ret_agent = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(*ret_agent >= 0);
}

static void test_connect(void **state)
{
    int client, agent;

    (void)state;
    connected(&client, &agent);
    assert_true(client > 2);
    assert_true((fcntl(client, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(client, F_GETFL) & O_NONBLOCK) != 0);
    (void)close(client);
    (void)close(agent);
}

static void test_no_agent(void **state)
{
    struct justalock_error err;
    char longest[200];
    int fd = -7;

    (void)state;
    assert_fails(agent_connect("/nonexistent/x", &fd, &err), JUSTALOCK_NET, err,
                 "/nonexistent/x");
    assert_fails(agent_connect("/dev/null/x", &fd, &err), JUSTALOCK_NET, err,
                 "no justalock-agent");
    (void)close(listener);
    listener = -1;
    assert_fails(agent_connect(path, &fd, &err), JUSTALOCK_NET, err,
                 "no justalock-agent");
    memset(longest, 'x', sizeof(longest));
    longest[108] = '\0';
    assert_fails(agent_connect(longest, &fd, &err), JUSTALOCK_ARG, err,
                 "108 bytes");
    assert_fails(agent_connect("", &fd, &err), JUSTALOCK_ARG, err, "0 bytes");
    longest[107] = '\0';
    assert_fails(agent_connect(longest, &fd, &err), JUSTALOCK_NET, err, "no ");
    assert_int_equal(fd, -7);
}

/* An agent that accepts nothing: blocking here would hang slurmstepd. */
static void test_full_backlog(void **state)
{
    struct justalock_error err;
    enum justalock_status st = JUSTALOCK_OK;
    int fds[64];
    size_t n = 0;

    (void)state;
    while (n < LENGTH(fds) && st == JUSTALOCK_OK) {
        fds[n] = -7;
        st = agent_connect(path, &fds[n], &err);
        n += st == JUSTALOCK_OK;
    }
    assert_int_equal(st, JUSTALOCK_NET);
    assert_has(err.text, "takes no more");
    while (n > 0)
        (void)close(fds[--n]);
}

/* Local trouble is not an agent that is missing: it must not "fail open". */
static void test_no_descriptors(void **state)
{
    struct rlimit old, none = {0, 0};
    struct justalock_error err;
    enum justalock_status st;
    int fd = -7;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    st = agent_connect(path, &fd, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(st, JUSTALOCK_SYS);
    assert_int_equal(err.sys_errno, EMFILE);
    assert_int_equal(fd, -7);
}

/* In a child: with 0, 1 and 2 closed, the descriptor is still above 2. */
static void test_above_stdio(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit three = {3, 3};
        int fd = -7;

        for (int i = 0; i < 3; i++)
            (void)close(i);
        if (agent_connect(path, &fd, NULL) != JUSTALOCK_OK || fd < 3 ||
            (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 || fcntl(0, F_GETFD) >= 0)
            _exit(1);
        /* And where it cannot be moved there, there is none. */
        fd = -7;
        if (setrlimit(RLIMIT_NOFILE, &three) != 0 ||
            agent_connect(path, &fd, NULL) != JUSTALOCK_SYS || fd != -7 ||
            fcntl(0, F_GETFD) >= 0)
            _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_there_and_back(void **state)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .text = "hello"}, got;
    struct justalock_error err;
    int client, agent;

    (void)state;
    connected(&client, &agent);
    assert_ok(agent_send(client, &m, in_ms(1000), &err), err);
    assert_ok(agent_recv(agent, &got, in_ms(1000), &err), err);
    assert_string_equal(got.text, "hello");
    /* What has come is read even when the deadline is long gone. */
    assert_ok(agent_send(agent, &m, in_ms(-5000), &err), err);
    assert_ok(agent_recv(client, &got, in_ms(-5000), &err), err);
    assert_int_equal(got.type, WIRE_VERDICT);
    (void)close(client);
    (void)close(agent);
}

static void test_deadline(void **state)
{
    struct clock_time from = clock_now();
    struct wire_msg got = {.type = WIRE_PING};
    struct justalock_error err;
    int client, agent;

    (void)state;
    connected(&client, &agent);
    assert_fails(agent_recv(client, &got, in_ms(60), &err), JUSTALOCK_NET, err,
                 "in time");
    assert_true(clock_elapsed_ms(from, clock_now()) >= 60);
    assert_true(clock_elapsed_ms(from, clock_now()) < 5000);
    (void)close(client);
    (void)close(agent);
}

static void test_gone(void **state)
{
    struct wire_msg m = {.type = WIRE_PING}, got;
    struct justalock_error err;
    int client, agent;

    (void)state;
    connected(&client, &agent);
    (void)close(agent);
    assert_fails(agent_recv(client, &got, clock_never(), &err), JUSTALOCK_NET,
                 err, "closed");
    /* And no SIGPIPE, which would be the host's death; whoever started us may
     * have had it ignored. */
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    assert_fails(agent_send(client, &m, clock_never(), &err), JUSTALOCK_NET,
                 err, "closed");
    (void)close(client);
    /* Unread requests make the close a reset. */
    connected(&client, &agent);
    assert_ok(agent_send(client, &m, in_ms(1000), &err), err);
    (void)close(agent);
    assert_fails(agent_recv(client, &got, clock_never(), &err), JUSTALOCK_NET,
                 err, "closed");
    (void)close(client);
}

static void test_not_reading(void **state)
{
    struct wire_msg m = {.type = WIRE_NOTE};
    struct justalock_error err;
    enum justalock_status st = JUSTALOCK_OK;
    int client, agent;

    (void)state;
    memset(m.text, 'x', sizeof(m.text) - 1);
    connected(&client, &agent);
    for (int i = 0; i < 100000 && st == JUSTALOCK_OK; i++)
        st = agent_send(client, &m, in_ms(50), &err);
    assert_int_equal(st, JUSTALOCK_NET);
    assert_has(err.text, "in time");
    (void)close(client);
    (void)close(agent);
}

static void test_rude(void **state)
{
    static const char rubbish[] = "GET / HTTP/1.1\r\n";
    char big[WIRE_MAX + 808] = {1, 0, 8, 0};
    struct wire_msg got;
    struct justalock_error err;
    int client, agent;

    (void)state;
    connected(&client, &agent);
    assert_int_equal(send(agent, rubbish, sizeof(rubbish), 0), sizeof(rubbish));
    assert_int_equal(send(agent, big, sizeof(big), 0), sizeof(big));
    assert_fails(agent_recv(client, &got, in_ms(1000), &err), JUSTALOCK_PROTO,
                 err, "version");
    assert_fails(agent_recv(client, &got, in_ms(1000), &err), JUSTALOCK_PROTO,
                 err, "9000 bytes");
    (void)close(client);
    (void)close(agent);
}

static void on_alarm(int signo)
{
    (void)signo;
}

static void test_signal(void **state)
{
    struct sigaction action = {.sa_handler = on_alarm}, old;
    /* Again and again: one alone could come before the wait begins. */
    struct itimerval soon = {.it_value.tv_usec = 20000,
                             .it_interval.tv_usec = 20000};
    struct itimerval off = {.it_value.tv_usec = 0};
    struct wire_msg got;
    struct justalock_error err;
    enum justalock_status st;
    int client, agent;

    (void)state;
    connected(&client, &agent);
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    st = agent_recv(client, &got, clock_never(), &err);
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    assert_int_equal(st, JUSTALOCK_CANCELED);
    assert_has(err.text, "signal");
    (void)close(client);
    (void)close(agent);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connect),      TEST(test_no_agent),
        TEST(test_full_backlog), TEST(test_no_descriptors),
        TEST(test_above_stdio),  TEST(test_there_and_back),
        TEST(test_deadline),     TEST(test_gone),
        TEST(test_not_reading),  TEST(test_rude),
        TEST(test_signal),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
