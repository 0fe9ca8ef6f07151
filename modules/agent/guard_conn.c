/* SPDX-License-Identifier: MIT */
/*
 * guard_conn.c - connections of modules and commands: one request each, read
 * without ever waiting for anybody. Who asks is the kernel's word.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "guard.h"
#include "log.h"

static void conn_ready(struct guard *g, struct source *s, uint32_t events);

/* ---- their lives ---- */

/* Sessions and jobs are root's to ask for: whatever users do, that is heard. */
static bool is_crowd(const struct guard *g, uint32_t uid)
{
    size_t all = 0, own = 0;

    if (uid == 0)
        return false;
    for (const struct conn *c = g->conns; c; c = c->next) {
        all += c->uid != 0;
        own += c->uid == uid;
    }
    return all >= GUARD_CONNS_USERS || own >= GUARD_CONNS_USER;
}

static enum justalock_status conn_new(struct guard *g, int fd,
                                      struct justalock_error *err)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    struct conn *c;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return error_sys(err, errno, "who it is of");
    if (is_crowd(g, who.uid))
        return error_set(err, JUSTALOCK_DENIED,
                         "user %u has %d already, or all users %d", who.uid,
                         GUARD_CONNS_USER, GUARD_CONNS_USERS);
    c = calloc(1, sizeof(*c));
    if (!c)
        return error_nomem(err);
    c->source = (struct source){.fd = fd, .ready = conn_ready};
    c->pid = who.pid;
    c->uid = who.uid;
    /* Named by its start too, so that its pid is not taken for another's. 0
     * where it is of another pid namespace, or gone. */
    c->peer = proc_key_of(who.pid);
    c->since = clock_now();
    if (guard_watch_fd(g, &c->source, EPOLLIN, err) != JUSTALOCK_OK) {
        free(c);
        return err->status;
    }
    DL_APPEND(g->conns, c);
    g->conns_len++;
    return JUSTALOCK_OK;
}

/* Whoever waits in the backlog is answered when others have gone. */
static void stop_accepting(struct guard *g, const char *why)
{
    (void)epoll_ctl(g->epoll, EPOLL_CTL_DEL, g->listener.fd, NULL);
    g->is_accepting = false;
    log_warn("%zu connections: no more for now: %s", g->conns_len, why);
}

static void accept_again(struct guard *g)
{
    struct justalock_error err;

    if (!g->is_accepting && g->conns_len < GUARD_CONNS_MAX)
        g->is_accepting =
            guard_watch_fd(g, &g->listener, EPOLLIN, &err) == JUSTALOCK_OK;
}

void conn_ready_listener(struct guard *g, struct source *s, uint32_t events)
{
    struct justalock_error err;
    int fd;

    (void)events;
    if (g->conns_len >= GUARD_CONNS_MAX) {
        stop_accepting(g, "that is the limit");
        return;
    }
    fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
                   errno == ENOBUFS)) {
        stop_accepting(g, strerror(errno)); /* or it is ready for ever */
        return;
    }
    if (fd < 0 || conn_new(g, fd, &err) == JUSTALOCK_OK)
        return;
    /* Of a user who goes on and on, one line in a while. */
    if (err.status != JUSTALOCK_DENIED)
        log_error("a connection is dropped: %s", err.text);
    else if (clock_is_never(g->crowd_said) ||
             clock_elapsed_ms(g->crowd_said, clock_now()) > GUARD_SILENT_MS) {
        g->crowd_said = clock_now();
        log_warn("connections are dropped: %s", err.text);
    }
    (void)close(fd);
}

/* What it has asked may lie unread, where we were stopped. */
static bool is_silent(const struct conn *c, struct clock_time now)
{
    char byte;

    return c->asked == 0 && clock_elapsed_ms(c->since, now) > GUARD_SILENT_MS &&
           recv(c->source.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           errno == EAGAIN;
}

void conns_tick(struct guard *g, struct clock_time now)
{
    for (struct conn *c = g->conns; c; c = c->next)
        if (is_silent(c, now))
            conn_close(g, c);
    conns_sweep(g);
    accept_again(g);
}

void conn_attach(struct conn *c, struct work *w)
{
    conn_detach(c);
    c->work = w;
    DL_APPEND2(w->conns, c, work_prev, work_next);
    w->left_alone = clock_never();
}

void conn_detach(struct conn *c)
{
    if (!c->work)
        return;
    DL_DELETE2(c->work->conns, c, work_prev, work_next);
    if (!c->work->conns)
        c->work->left_alone = clock_now();
    c->work = NULL;
}

void conn_close(struct guard *g, struct conn *c)
{
    if (c->is_closed)
        return;
    conn_detach(c);
    guard_forget_fd(g, &c->source);
    c->is_closed = true;
    g->has_closed = true;
}

void conns_sweep(struct guard *g)
{
    struct conn *c, *next;

    if (!g->has_closed)
        return;
    g->has_closed = false;
    DL_FOREACH_SAFE(g->conns, c, next)
    {
        if (!c->is_closed)
            continue;
        DL_DELETE(g->conns, c);
        g->conns_len--;
        free(c);
    }
    accept_again(g);
}

/* ---- sending ---- */

static ssize_t send_with(int fd, const struct buf *b, int pass)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = b->data, .iov_len = b->len};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *c;

    if (pass >= 0) {
        memset(&control, 0, sizeof(control));
        h.msg_control = &control;
        h.msg_controllen = sizeof(control);
        c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass, sizeof(pass));
    }
    return sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void conn_send_fd(struct guard *g, struct conn *c, const struct wire_msg *m,
                  int pass)
{
    struct justalock_error err;
    struct buf b;
    ssize_t n = -1;

    (void)g;
    if (c->is_closed)
        return;
    buf_init(&b, WIRE_MAX);
    if (wire_pack(m, &b, &err) != JUSTALOCK_OK)
        log_error("a message of type %d: %s", (int)m->type, err.text);
    else
        n = send_with(c->source.fd, &b, pass);
    buf_done(&b);
    /* Gone, or never reads: its end is noticed as any other's. */
    if (n < 0 && c->source.fd >= 0)
        (void)shutdown(c->source.fd, SHUT_RDWR);
}

void conn_send(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    conn_send_fd(g, c, m, -1);
}

void conn_verdict(struct guard *g, struct conn *c, enum wire_verdict verdict,
                  const char *fmt, ...)
{
    static struct wire_msg m; /* one thread; 4 kB */
    va_list ap;

    memset(&m, 0, sizeof(m));
    m.type = WIRE_VERDICT;
    m.verdict = (uint8_t)verdict;
    va_start(ap, fmt);
    (void)vsnprintf(m.text, sizeof(m.text), fmt, ap);
    va_end(ap);
    parse_mask_unclean(m.text);
    conn_send(g, c, &m);
}

void conn_note(struct guard *g, struct conn *c, const char *text)
{
    static struct wire_msg m;

    memset(&m, 0, sizeof(m));
    m.type = WIRE_NOTE;
    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    parse_mask_unclean(m.text);
    c->is_noted = true;
    conn_send(g, c, &m);
}

/* ---- receiving ---- */

static void reload(struct guard *g, struct conn *c)
{
    struct justalock_error err;

    if (c->uid != 0)
        conn_verdict(g, c, WIRE_REFUSED_DENIED,
                     "only root may have the agent read its configuration");
    else if (guard_reload(g, &err))
        conn_verdict(g, c, WIRE_GO, "%s", "");
    else
        conn_verdict(g, c, WIRE_REFUSED_CONFIG,
                     "the configuration is wrong, the last good one stays: %s",
                     err.text);
}

static void dispatch(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    bool goes_on = m->type == WIRE_COMMAND_PID || m->type == WIRE_COMMAND_END;

    if (c->asked != 0 && !(goes_on && c->asked == WIRE_COMMAND)) {
        conn_verdict(g, c, WIRE_REFUSED_BAD,
                     "one request a connection, and this is another");
        return;
    }
    if (c->asked == 0)
        c->asked = goes_on ? WIRE_COMMAND : m->type;
    switch (m->type) {
    case WIRE_JOB_BEGIN:
        job_begin(g, c, m);
        return;
    case WIRE_JOB_END:
        job_end(g, c, m);
        return;
    case WIRE_JOB_TASK:
        job_task(g, c, m);
        return;
    case WIRE_COMMAND:
        command_ask(g, c, m);
        return;
    case WIRE_COMMAND_PID:
        command_pid(g, c, m);
        return;
    case WIRE_COMMAND_END:
        command_end(g, c);
        return;
    case WIRE_LIST:
        list_begin(g, c);
        return;
    case WIRE_PING:
        conn_verdict(g, c, WIRE_GO, "%s", "");
        return;
    case WIRE_RELOAD:
        reload(g, c);
        return;
    case WIRE_SESSION_OPEN:
        session_open(g, c, m);
        return;
    case WIRE_SESSION_CLOSE:
        session_close(g, c, m);
        return;
    case WIRE_NOTE:
    case WIRE_VERDICT:
    case WIRE_ITEM:
    case WIRE_LOST:
        break;
    }
    conn_verdict(g, c, WIRE_REFUSED_BAD, "request %d is not one of ours",
                 (int)m->type);
}

/* Its process is gone, or it has enough. */
static void at_end(struct guard *g, struct conn *c)
{
    struct work *w = c->work;

    conn_close(g, c);
    if (!w || w->conns)
        return;
    if (w->f.kind == WORK_COMMAND)
        command_gone(g, w);
    else if ((w->state == WORK_ASKING || w->state == WORK_RESOLVING) &&
             !w->f.is_eager)
        hold_abandon(g, w, true);
}

static void conn_ready(struct guard *g, struct source *s, uint32_t events)
{
    static char data[WIRE_MAX + 1];
    static struct wire_msg m;
    struct conn *c = (struct conn *)(void *)s;
    struct justalock_error err;
    ssize_t n;

    if (events & EPOLLOUT) {
        list_go_on(g, c);
        return;
    }
    n = recv(s->fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        at_end(g, c);
        return;
    }
    if ((size_t)n > WIRE_MAX)
        (void)error_set(&err, JUSTALOCK_PROTO, "%zd bytes, at most %d", n,
                        WIRE_MAX);
    else if (wire_unpack(data, (size_t)n, &m, &err) == JUSTALOCK_OK) {
        dispatch(g, c, &m);
        return;
    }
    conn_verdict(g, c, WIRE_REFUSED_BAD, "not a request: %s", err.text);
    at_end(g, c);
}
