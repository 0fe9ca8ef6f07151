/* SPDX-License-Identifier: MIT */
/*
 * pam_agent.h - an agent on a thread, which says what a test wants, and libpam
 * with a folder of configuration of its own. Nobody needs to be root.
 */
#ifndef TESTS_UNIT_PAM_AGENT_H
#define TESTS_UNIT_PAM_AGENT_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <security/pam_appl.h>

#include "test.h"
#include "wire.h"

#define COOKIE "0123456789abcdef0123456789abcdef"

/* What it does about one request to open. */
enum act {
    ACT_GO,
    ACT_NOTE_GO,      /* two notes before it, a text with it */
    ACT_NO_LIFE,      /* go without a life line */
    ACT_SHORT_COOKIE, /* go with a cookie of 31 digits */
    ACT_TWO_FDS,      /* go with two descriptors */
    ACT_NOTE_FD,      /* a descriptor with a note, then go */
    ACT_SLOT_GO,      /* the slot of a pool, then go */
    ACT_REFUSE,       /* `verdict`, `text`; a life line all the same */
    ACT_SILENT,       /* until the module goes */
    ACT_LATE,         /* when the module has gone */
    ACT_HANGUP,
    ACT_RUBBISH, /* `rubbish` with a descriptor */
    ACT_OUT_OF_TURN
};

static struct {
    char folder[64];
    char path[108];
    int listener, stop[2];
    pthread_t thread;
    pthread_mutex_t mutex;
    /* set by the test while nobody asks */
    enum act acts[4]; /* one a request; the last of them goes on */
    size_t acts_len;
    uint8_t verdict;
    char text[WIRE_TEXT_MAX + 1];
    const void *rubbish;
    size_t rubbish_len;
    bool is_close_silent;
    /* seen */
    struct wire_msg asked, closed;
    unsigned opens, closes;
    int life[4]; /* read ends */
    unsigned lifes;
    uint64_t token;
} agent = {.listener = -1, .mutex = PTHREAD_MUTEX_INITIALIZER};

static void agent_send_bytes(int fd, const void *bytes, size_t len,
                             const int *fds, size_t fds_len)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {.space = ""};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};

    if (fds_len > 0) {
        struct cmsghdr *c;

        h.msg_control = &control;
        h.msg_controllen = CMSG_SPACE(fds_len * sizeof(int));
        c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds_len * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fds_len * sizeof(int));
    }
    (void)sendmsg(fd, &h, MSG_NOSIGNAL);
}

static void agent_say(int fd, const struct wire_msg *m, const int *fds,
                      size_t fds_len)
{
    struct justalock_error err;
    struct buf b;

    buf_init(&b, WIRE_MAX);
    assert_ok(wire_pack(m, &b, &err), err);
    agent_send_bytes(fd, b.data, b.len, fds, fds_len);
    buf_done(&b);
}

/* One end for the module, the other stays. */
static int agent_life(void)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pthread_mutex_lock(&agent.mutex);
    if (agent.lifes < LENGTH(agent.life)) {
        agent.life[agent.lifes++] = ends[0];
    } else { /* as many as a test looks at; of the rest the newest */
        (void)close(agent.life[LENGTH(agent.life) - 1]);
        agent.life[LENGTH(agent.life) - 1] = ends[0];
    }
    pthread_mutex_unlock(&agent.mutex);
    return ends[1];
}

static void agent_note(int fd, const char *text)
{
    struct wire_msg m = {.type = WIRE_NOTE};

    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    agent_say(fd, &m, NULL, 0);
}

static void agent_await_end(int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLRDHUP},
                          {.fd = agent.stop[0], .events = POLLIN}};

    (void)poll(p, 2, -1);
}

static void agent_answer(int fd, enum act act)
{
    struct wire_msg m = {.type = WIRE_VERDICT, .has_token = 1};
    int fds[2];

    (void)snprintf(m.locks, sizeof(m.locks), "%s", agent.asked.locks);
    (void)snprintf(m.ids, sizeof(m.ids), "AAAAAAAAAAAAAAAAAAAAAA");
    (void)snprintf(m.cookie, sizeof(m.cookie), "%s", COOKIE);
    m.token = ++agent.token;
    switch (act) {
    case ACT_SILENT:
        agent_await_end(fd);
        return;
    case ACT_HANGUP:
        return;
    case ACT_OUT_OF_TURN:
        m.type = WIRE_ITEM;
        break;
    case ACT_LATE:
        agent_await_end(fd);
        break;
    case ACT_NOTE_GO:
        agent_note(fd, "waiting for one");
        agent_note(fd, "waiting for another");
        (void)snprintf(m.text, sizeof(m.text), "have it");
        break;
    case ACT_SLOT_GO:
        agent_note(fd, WIRE_NOTE_SLOT "1023");
        break;
    case ACT_REFUSE:
        m.verdict = agent.verdict;
        (void)snprintf(m.text, sizeof(m.text), "%s", agent.text);
        break;
    case ACT_SHORT_COOKIE:
        m.cookie[31] = '\0';
        break;
    default:
        break;
    }
    fds[0] = agent_life();
    fds[1] = dup(fds[0]);
    if (act == ACT_RUBBISH) {
        agent_send_bytes(fd, agent.rubbish, agent.rubbish_len, fds, 1);
    } else if (act == ACT_NOTE_FD) {
        struct wire_msg note = {.type = WIRE_NOTE};

        agent_say(fd, &note, fds, 1);
        (void)close(fds[0]);
        fds[0] = agent_life();
        agent_say(fd, &m, fds, 1);
    } else {
        agent_say(fd, &m, fds,
                  act == ACT_NO_LIFE   ? 0
                  : act == ACT_TWO_FDS ? 2
                                       : 1);
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void agent_serve(int fd)
{
    char data[WIRE_MAX];
    struct justalock_error err;
    struct wire_msg m;
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                          {.fd = agent.stop[0], .events = POLLIN}};
    ssize_t n;
    enum act act = ACT_GO;

    if (poll(p, 2, -1) <= 0 || (p[1].revents & POLLIN) != 0)
        return;
    n = recv(fd, data, sizeof(data), 0);
    if (n <= 0)
        return;
    assert_ok(wire_unpack(data, (size_t)n, &m, &err), err);
    pthread_mutex_lock(&agent.mutex);
    if (m.type == WIRE_SESSION_OPEN) {
        agent.asked = m;
        if (agent.acts_len > 0)
            act = agent.acts[agent.opens < agent.acts_len ? agent.opens
                                                          : agent.acts_len - 1];
        agent.opens++;
    } else {
        agent.closed = m;
        agent.closes++;
    }
    pthread_mutex_unlock(&agent.mutex);
    if (m.type == WIRE_SESSION_OPEN) {
        agent_answer(fd, act);
    } else if (agent.is_close_silent) {
        agent_await_end(fd);
    } else {
        struct wire_msg v = {.type = WIRE_VERDICT};

        agent_say(fd, &v, NULL, 0);
    }
}

static void *agent_run(void *arg)
{
    (void)arg;
    for (;;) {
        struct pollfd p[2] = {{.fd = agent.listener, .events = POLLIN},
                              {.fd = agent.stop[0], .events = POLLIN}};
        int fd;

        if (poll(p, 2, -1) < 0 || (p[1].revents & POLLIN) != 0)
            return NULL;
        fd = accept4(agent.listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        agent_serve(fd);
        (void)close(fd);
    }
}

static void agent_up(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    sigset_t all, old;

    (void)unlink(agent.path);
    memcpy(at.sun_path, agent.path, strlen(agent.path) + 1);
    agent.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(agent.listener, (struct sockaddr *)&at, sizeof(at)),
                     0);
    assert_int_equal(listen(agent.listener, 16), 0);
    assert_int_equal(pipe2(agent.stop, O_CLOEXEC), 0);
    /* Signals are for the thread that the module runs in. */
    (void)sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
    assert_int_equal(pthread_create(&agent.thread, NULL, agent_run, NULL), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
}

static void agent_down(void)
{
    if (agent.listener < 0)
        return;
    assert_int_equal(write(agent.stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(agent.thread, NULL), 0);
    (void)close(agent.listener);
    (void)close(agent.stop[0]);
    (void)close(agent.stop[1]);
    agent.listener = -1;
    (void)unlink(agent.path);
}

/* Has every copy of the n-th life line been closed? Waits for it. */
static bool life_is_over(unsigned n)
{
    struct pollfd p = {.fd = agent.life[n]};

    return n < agent.lifes && poll(&p, 1, 5000) == 1 &&
           (p.revents & POLLHUP) != 0;
}

static bool life_goes_on(unsigned n)
{
    struct pollfd p = {.fd = agent.life[n]};

    return n < agent.lifes && poll(&p, 1, 0) == 0;
}

static void agent_forget(void)
{
    for (unsigned i = 0; i < agent.lifes; i++)
        (void)close(agent.life[i]);
    agent.lifes = agent.opens = agent.closes = 0;
    agent.acts_len = 0;
    agent.is_close_silent = false;
    agent.token = 0;
    memset(&agent.asked, 0, sizeof(agent.asked));
}

#endif
