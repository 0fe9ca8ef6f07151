/* SPDX-License-Identifier: MIT */
/*
 * played_agent.h - an agent in a process of its own: for one connection it
 * takes one request and says what it was given to say, then goes.
 */
#ifndef TESTS_UNIT_PLAYED_AGENT_H
#define TESTS_UNIT_PLAYED_AGENT_H

#include "cli_call.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent_client.h"

#define WORDS_MAX 8

static char agent_path[100];
static struct wire_msg agent_words[WORDS_MAX];
static size_t agent_words_len;
static int agent_pause_ms; /* before each word */
static bool agent_hangs;   /* at the end, instead of going */
static size_t agent_cut;   /* bytes of the last word that are sent; 0: all */
static pid_t agent_pid;

static struct wire_msg *agent_word(enum wire_type type)
{
    struct wire_msg *m = &agent_words[agent_words_len++];

    assert_true(agent_words_len <= WORDS_MAX);
    memset(m, 0, sizeof(*m));
    m->type = type;
    return m;
}

static void agent_verdict(enum wire_verdict v, const char *text)
{
    struct wire_msg *m = agent_word(WIRE_VERDICT);

    m->verdict = (uint8_t)v;
    (void)snprintf(m->text, sizeof(m->text), "%s", text);
}

static void agent_serve(int listener)
{
    struct justalock_error err;
    struct wire_msg m;
    struct buf b;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 ||
        agent_recv(fd, &m, clock_add(clock_now(), 20000), &err) != JUSTALOCK_OK)
        _exit(1);
    for (size_t i = 0; i < agent_words_len; i++) {
        bool is_cut = agent_cut > 0 && i + 1 == agent_words_len;

        (void)usleep((useconds_t)agent_pause_ms * 1000);
        buf_init(&b, WIRE_MAX);
        if (wire_pack(&agent_words[i], &b, &err) != JUSTALOCK_OK)
            _exit(1);
        (void)send(fd, b.data, is_cut ? agent_cut : b.len, MSG_NOSIGNAL);
        buf_done(&b);
    }
    if (agent_hangs)
        (void)sleep(30);
    _exit(0);
}

static void agent_up(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(agent_path, sizeof(agent_path), "%s", in_scratch("agent"));
    (void)unlink(agent_path);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", agent_path);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 1), 0);
    agent_pid = fork();
    if (agent_pid == 0) {
        (void)alarm(CALL_MAX_S);
        agent_serve(listener);
    }
    assert_true(agent_pid > 0);
    (void)close(listener);
}

/* And it has nothing to say any more. */
static void agent_down(void)
{
    if (agent_pid > 0) {
        (void)kill(agent_pid, SIGKILL); /* our child, not reaped */
        (void)waitpid(agent_pid, NULL, 0);
    }
    agent_pid = 0;
    agent_words_len = 0;
    agent_pause_ms = 0;
    agent_hangs = false;
    agent_cut = 0;
}

#endif
