/* SPDX-License-Identifier: MIT */
/*
 * spank_agent.h - the plugin's hooks in a process of their own, and the test
 * as the agent that they ask. Needs scratch.h's folder.
 */
#ifndef TESTS_UNIT_SPANK_AGENT_H
#define TESTS_UNIT_SPANK_AGENT_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_spank.h"
#include "scratch.h"
#include "test.h"

#define PATIENCE_MS 20000

/* ---- the agent ---- */

static struct {
    char path[108];
    int listener;
} agent = {.listener = -1};

static void agent_up(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)snprintf(agent.path, sizeof(agent.path), "%s", in_scratch("agent"));
    memcpy(at.sun_path, agent.path, sizeof(at.sun_path));
    agent.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(agent.listener, (struct sockaddr *)&at, sizeof(at)),
                     0);
    assert_int_equal(listen(agent.listener, 16), 0);
}

static void agent_down(void)
{
    if (agent.listener < 0)
        return;
    (void)close(agent.listener);
    (void)unlink(agent.path);
    agent.listener = -1;
}

static int agent_setup(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    agent_up();
    return 0;
}

static int agent_teardown(void **state)
{
    agent_down();
    return scratch_remove(state);
}

/* The next request; -1: none comes within ms. */
static int agent_asked(struct wire_msg *ret_m, int ms)
{
    struct pollfd p = {.fd = agent.listener, .events = POLLIN};
    char data[WIRE_MAX];
    struct justalock_error err;
    ssize_t n;
    int fd;

    if (poll(&p, 1, ms) != 1)
        return -1;
    fd = accept4(agent.listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    p.fd = fd;
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    n = recv(fd, data, sizeof(data), 0);
    assert_true(n > 0);
    assert_ok(wire_unpack(data, (size_t)n, ret_m, &err), err);
    return fd;
}

static int agent_must_be_asked(struct wire_msg *ret_m)
{
    int fd = agent_asked(ret_m, PATIENCE_MS);

    if (fd < 0)
        fail_msg("nobody asks");
    return fd;
}

static void agent_says(int fd, const struct wire_msg *m)
{
    struct justalock_error err;
    struct buf b;

    buf_init(&b, WIRE_MAX);
    assert_ok(wire_pack(m, &b, &err), err);
    (void)send(fd, b.data, b.len, MSG_NOSIGNAL);
    buf_done(&b);
}

__attribute__((unused)) static void agent_notes(int fd, const char *text)
{
    struct wire_msg m = {.type = WIRE_NOTE};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    agent_says(fd, &m);
}

/* The verdict, and the end of the connection. */
static void agent_decides(int fd, enum wire_verdict verdict, const char *text)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .verdict = (uint8_t)verdict};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    agent_says(fd, &m);
    (void)close(fd);
}

/* ---- the hooks' process ---- */

static struct {
    pid_t pid;
    int out;
    char said[16384]; /* to stderr; with its end what it logged and set */
} hook;

static void hook_begins(void (*fn)(void))
{
    int out[2];

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    hook.pid = fork();
    if (hook.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int s = 1; s < NSIG; s++) /* cmocka's */
            (void)signal(s, SIG_DFL);
        (void)alarm(60);
        if (agent.listener >= 0)
            (void)close(agent.listener);
        (void)dup2(out[1], 2);
        (void)close(out[0]);
        (void)close(out[1]);
        fake.said[0] = fake.env[0] = '\0';
        fn();
        (void)alarm(0);
        dprintf(2, "went on\nlog: %senv: %s", fake.said, fake.env);
        _exit(0);
    }
    (void)close(out[1]);
    hook.out = out[0];
}

/* Its exit status, 128 and more: a signal's. */
static int hook_ends(void)
{
    size_t len = 0;
    ssize_t n;
    int status;

    while ((n = read(hook.out, hook.said + len, sizeof(hook.said) - 1 - len)) >
           0)
        len += (size_t)n;
    hook.said[len] = '\0';
    (void)close(hook.out);
    assert_int_equal(waitpid(hook.pid, &status, 0), hook.pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool hook_said(const char *part)
{
    return strstr(hook.said, part) != NULL;
}

#endif
