/* SPDX-License-Identifier: MIT */
/*
 * pam_session.c - asks the agent for a session's lock and waits for its word,
 * bounded, without a thread, a child or a signal handler.
 */
#include "pam_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_MS   50   /* between tries to connect */
#define GO_BACK_MS 2000 /* for the answer to a close */
/* Notes after the deadline: behind them may be the verdict for a program that
 * was stopped; one that is told on and on does not wait for ever. */
#define LATE_MAX   64

struct patience {
    struct clock_time by;   /* the deadline, as things are */
    struct clock_time last; /* whatever comes */
    bool is_busy;           /* as the agent's last word was */
};

/* Not sleep: the clocks of the deadline go on in suspend. */
static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* A restarting agent is tried again, one that is missing is too: it may be
 * about to start. */
static enum session_end connect_by(const char *path, struct clock_time by,
                                   int *ret_fd, struct justalock_error *err)
{
    for (;;) {
        enum justalock_status st = agent_connect(path, ret_fd, err);
        int64_t left = clock_left_ms(by, clock_now());

        if (st == JUSTALOCK_OK)
            return SESSION_VERDICT;
        if (st != JUSTALOCK_NET)
            return SESSION_LOCAL;
        if (left <= 0)
            return SESSION_UNREACHABLE;
        pause_ms(left < AGAIN_MS ? (int)left : AGAIN_MS);
    }
}

static void fill(const struct session_ask *ask, struct wire_msg *m)
{
    const struct pam_options *o = ask->options;

    memset(m, 0, sizeof(*m));
    m->type = WIRE_SESSION_OPEN;
    m->session = ask->who;
    m->session.timeout_ms = (uint32_t)o->timeout_ms;
    m->session.on_end = o->on_end;
    m->session.share = o->share;
    m->on_lost = o->on_lost;
    m->wait_ms = o->wait_ms;
    (void)snprintf(m->locks, sizeof(m->locks), "%s", o->lock);
}

static enum session_end end_of(enum justalock_status st)
{
    return st == JUSTALOCK_SYS || st == JUSTALOCK_NOMEM || st == JUSTALOCK_ARG
               ? SESSION_LOCAL
               : SESSION_UNREACHABLE;
}

/* A handler of the program may run meanwhile: its signals are not ours. */
static enum justalock_status send_whole(int fd, const struct wire_msg *m,
                                        struct clock_time by,
                                        struct justalock_error *err)
{
    enum justalock_status st;

    do
        st = agent_send(fd, m, by, err);
    while (st == JUSTALOCK_CANCELED && clock_left_ms(by, clock_now()) > 0);
    return st;
}

static struct clock_time sooner(struct clock_time a, struct clock_time b)
{
    struct clock_time now = clock_now();

    return clock_left_ms(a, now) < clock_left_ms(b, now) ? a : b;
}

/*
 * The first note: the agent is there and waits, as long as the line says or,
 * where it says nothing, as its configuration does. It will say "busy" then;
 * to take its silence until then for an agent that is missing would let in who
 * is to be kept out.
 */
static void told_to_wait(const struct pam_options *o, struct patience *p)
{
    int64_t wait = o->wait_ms == WIRE_WAIT_DEFAULT ? PAM_WAIT_MAX_MS
                   : o->wait_ms > 0                ? o->wait_ms
                                                   : 0;

    p->by = sooner(p->last, clock_add(clock_now(), wait + o->timeout_ms));
}

/* One connection: until the verdict, an error, or the deadline. */
static enum justalock_status talk(const struct session_ask *ask, int fd,
                                  struct wire_msg *m, int *ret_life,
                                  struct patience *p,
                                  struct justalock_error *err)
{
    enum justalock_status st;
    bool is_told = false;
    int late = 0;

    fill(ask, m);
    st = send_whole(fd, m, p->by, err);
    if (st != JUSTALOCK_OK)
        return st;
    while (st == JUSTALOCK_OK || st == JUSTALOCK_CANCELED) {
        st = agent_recv_fd(fd, m, ret_life, p->by, err);
        if (st != JUSTALOCK_OK)
            continue;
        if (m->type == WIRE_VERDICT)
            return JUSTALOCK_OK;
        if (*ret_life >= 0)
            (void)close(*ret_life);
        *ret_life = -1;
        if (m->type != WIRE_NOTE)
            return error_set(err, JUSTALOCK_PROTO,
                             "the justalock-agent answers out of turn");
        if (strncmp(m->text, WIRE_NOTE_BUSY, strlen(WIRE_NOTE_BUSY)) == 0)
            p->is_busy = m->text[strlen(WIRE_NOTE_BUSY)] == '1';
        else
            ask->note(ask->arg, m->text);
        if (!is_told)
            told_to_wait(ask->options, p);
        is_told = true;
        if (clock_left_ms(p->by, clock_now()) <= 0 && ++late > LATE_MAX)
            return error_set(err, JUSTALOCK_NET,
                             "the justalock-agent does not answer in time");
    }
    return st;
}

static enum session_end take(const struct pam_options *o, struct wire_msg *m,
                             int life, struct session *ret_session,
                             struct justalock_error *err)
{
    if (m->verdict != WIRE_GO) {
        if (life >= 0)
            (void)close(life);
        return SESSION_VERDICT;
    }
    if (life < 0 || strlen(m->cookie) != WIRE_COOKIE_LEN) {
        if (life >= 0)
            (void)close(life);
        (void)error_set(err, JUSTALOCK_PROTO,
                        "the justalock-agent gave no life line");
        return SESSION_UNREACHABLE;
    }
    ret_session->life = life;
    memcpy(ret_session->cookie, m->cookie, sizeof(ret_session->cookie));
    (void)snprintf(ret_session->socket, sizeof(ret_session->socket), "%s",
                   o->socket);
    return SESSION_VERDICT;
}

/* No answer will come. Who was told that another holds the lock does not get in
 * because the agent went away while it waited. */
static enum session_end give_up(const struct pam_options *o,
                                const struct patience *p, enum session_end end,
                                struct wire_msg *ret_verdict,
                                const struct justalock_error *err)
{
    if (end != SESSION_UNREACHABLE || !p->is_busy)
        return end;
    memset(ret_verdict, 0, sizeof(*ret_verdict));
    ret_verdict->type = WIRE_VERDICT;
    ret_verdict->verdict = WIRE_REFUSED_BUSY;
    (void)snprintf(ret_verdict->text, sizeof(ret_verdict->text),
                   "lock \"%.200s\" was held by another, and then: %s", o->lock,
                   err->text);
    return SESSION_VERDICT;
}

enum session_end session_ask(const struct session_ask *ask,
                             struct wire_msg *ret_verdict,
                             struct session *ret_session,
                             struct justalock_error *err)
{
    const struct pam_options *o = ask->options;
    int64_t wait = o->wait_ms > 0 ? o->wait_ms : 0;
    struct patience p = {
        .by = clock_add(clock_now(), wait + o->timeout_ms),
        .last = clock_add(clock_now(), PAM_WAIT_MAX_MS + o->timeout_ms)};
    enum justalock_status st;
    int fd, life = -1;

    for (;;) {
        enum session_end end = connect_by(o->socket, p.by, &fd, err);

        if (end != SESSION_VERDICT)
            return give_up(o, &p, end, ret_verdict, err);
        st = talk(ask, fd, ret_verdict, &life, &p, err);
        (void)close(fd);
        if (st == JUSTALOCK_OK)
            return take(o, ret_verdict, life, ret_session, err);
        /* Gone in the middle: a new guard knows us and goes on. */
        if (st != JUSTALOCK_NET || clock_left_ms(p.by, clock_now()) <= 0)
            return give_up(o, &p, end_of(st), ret_verdict, err);
        if (o->wait_ms == WIRE_WAIT_DEFAULT)
            p.by = sooner(p.by, clock_add(clock_now(), o->timeout_ms));
        pause_ms(AGAIN_MS);
    }
}

enum justalock_status session_give_back(const struct session *s, char *ret_text,
                                        size_t size,
                                        struct justalock_error *err)
{
    struct clock_time by = clock_add(clock_now(), GO_BACK_MS);
    struct wire_msg m = {.type = WIRE_SESSION_CLOSE};
    enum justalock_status st;
    int fd;

    ret_text[0] = '\0';
    st = agent_connect(s->socket, &fd, err);
    if (st != JUSTALOCK_OK)
        return st;
    memcpy(m.cookie, s->cookie, sizeof(m.cookie));
    st = send_whole(fd, &m, by, err);
    if (st == JUSTALOCK_OK)
        do
            st = agent_recv(fd, &m, by, err);
        while (st == JUSTALOCK_CANCELED && clock_left_ms(by, clock_now()) > 0);
    (void)close(fd);
    if (st == JUSTALOCK_OK)
        (void)snprintf(ret_text, size, "%s", m.text);
    return st;
}

void session_drop(struct session *s)
{
    if (s->life >= 0)
        (void)close(s->life);
    s->life = -1;
    explicit_bzero(s->cookie, sizeof(s->cookie));
}
