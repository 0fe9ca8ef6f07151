/* SPDX-License-Identifier: MIT */
/*
 * guard_keeper.c - the link to the keeper: connect, compare what it keeps with
 * what we hold, pass requests and events, and see that it lives. The keeper
 * goes on without us, and we without it: its socket is all that joins us.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guard.h"
#include "log.h"

#define AGAIN_MS   20 /* between attempts to connect */
#define PING_MS    1000
#define PONG_MS    4000 /* without any for so long: killed */
#define EVENTS_MAX 64   /* taken in one go */

static void on_message(struct guard *g, const struct keeper_msg *m);

static void lose_link(struct guard *g, const char *why)
{
    if (g->keeper.fd < 0)
        return;
    log_warn("the keeper's connection: %s", why);
    guard_forget_fd(g, &g->keeper);
    g->is_keeper_ready = false;
    g->keeper_again = clock_add(clock_now(), AGAIN_MS);
}

/* It stands still and yet is connected: only a new one helps. */
static void kill_keeper(struct guard *g, const char *why)
{
    proc_key keeper = atomic_load(&g->table.header->keeper);

    log_warn("the keeper %s; process %d is ended, the watch starts a new one",
             why, (int)proc_key_pid(keeper));
    (void)proc_key_signal(keeper, SIGKILL); /* gone is as good */
    lose_link(g, why);
}

static void send_msg(struct guard *g, const struct keeper_msg *m)
{
    struct justalock_error err;

    if (g->keeper.fd < 0 ||
        keeper_wire_send(g->keeper.fd, m, &err) == JUSTALOCK_OK)
        return;
    /* After a new connection everything is compared and said again. */
    if (err.sys_errno == EAGAIN)
        lose_link(g, "it does not read");
    else
        lose_link(g, err.text);
}

static void on_keeper(struct guard *g, struct source *s, uint32_t events)
{
    static struct keeper_msg m;
    struct justalock_error err;

    (void)events;
    for (int i = 0; i < EVENTS_MAX && s->fd >= 0; i++) {
        bool more = false;

        if (keeper_wire_recv(s->fd, &m, &more, &err) != JUSTALOCK_OK) {
            lose_link(g, err.text);
            return;
        }
        if (!more)
            return;
        on_message(g, &m);
    }
}

static bool connect_to(const struct guard *g, int *ret_fd)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int n = snprintf(to.sun_path, sizeof(to.sun_path), "%s/keeper.sock",
                     g->o->state);
    int fd;

    if (n < 0 || (size_t)n >= sizeof(to.sun_path))
        return false;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        (void)close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

static void try_connect(struct guard *g, struct clock_time now)
{
    struct justalock_error err;
    int size = 1 << 20; /* a thousand requests at once, after a restart */
    int fd = -1;

    if (clock_left_ms(g->keeper_again, now) > 0)
        return;
    g->keeper_again = clock_add(now, AGAIN_MS);
    if (!connect_to(g, &fd))
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    g->keeper = (struct source){.fd = fd, .ready = on_keeper};
    if (guard_watch_fd(g, &g->keeper, EPOLLIN, &err) != JUSTALOCK_OK) {
        log_error("%s", err.text);
        (void)close(fd);
        g->keeper.fd = -1;
        return;
    }
    g->is_keeper_ready = false;
    g->ping_sent = now;
    g->pong_seen = now;
    g->ping_looks = 0;
    for (struct work *w = g->works; w; w = w->next)
        for (size_t i = 0; i < w->f.helds_len; i++)
            w->helds[i].is_known = false;
}

void keeper_link_tick(struct guard *g, struct clock_time now)
{
    struct keeper_msg ping = {.type = KW_PING};

    if (g->keeper.fd < 0)
        try_connect(g, now);
    if (g->keeper.fd < 0 || clock_elapsed_ms(g->ping_sent, now) < PING_MS)
        return;
    g->ping_sent = now;
    if (++g->ping_looks > PONG_MS / PING_MS &&
        clock_elapsed_ms(g->pong_seen, now) > PONG_MS) {
        kill_keeper(g, "does not answer");
        return;
    }
    send_msg(g, &ping);
}

/* ---- what it keeps and what we hold ---- */

static void on_keeping(struct guard *g, const struct keeper_msg *m)
{
    struct held *h = NULL;
    struct work *w = work_by_handle(g, m->handle, &h);
    uint64_t number = m->handle >> GUARD_HANDLE_BITS;
    uint32_t used = atomic_load(&g->table.header->used);

    if (w) {
        h->is_known = true;
        if (h->state == HELD_ASKING && m->held) {
            struct keeper_event e = {.kind = KEEPER_GRANTED,
                                     .handle = m->handle,
                                     .t0 = m->t0,
                                     .has_slot = m->lock.slots > 1,
                                     .slot = m->lock.slot,
                                     .slot_has_id = m->lock.slot_has_id};

            hold_event(g, w, h, &e); /* granted while nobody listened */
        } else if (h->state == HELD_OURS && m->held) {
            hold_extended(g, w, h, m->t0);
        }
        return;
    }
    /* Of a work whose record is damaged: kept until the watch has ended it. */
    for (uint32_t i = 0; i < used && i < TABLE_ROWS; i++)
        if (g->table.rows[i].work == number &&
            row_state(&g->table.rows[i]) != ROW_FREE)
            return;
    keeper_give_back(g, m->handle);
}

static void on_ready(struct guard *g)
{
    g->is_keeper_ready = true;
    for (struct work *w = g->works; w; w = w->next) {
        for (size_t i = 0; i < w->f.helds_len; i++) {
            struct held *h = &w->helds[i];

            if (h->state == HELD_OURS && !h->is_known)
                keeper_adopt_held(g, w, h);
            else if (h->state == HELD_ASKING && !h->is_known)
                keeper_ask(g, w, h, hold_wait_left(w));
            else if (h->state == HELD_RELEASING) {
                if (!h->is_known && h->t0.boot_ms > 0)
                    keeper_adopt_held(g, w, h);
                keeper_give_back(g, work_handle(w, h));
            }
        }
    }
}

static void on_message(struct guard *g, const struct keeper_msg *m)
{
    struct held *h = NULL;
    struct work *w;

    switch (m->type) {
    case KW_KEEPING:
        on_keeping(g, m);
        return;
    case KW_READY:
        on_ready(g);
        return;
    case KW_PONG:
        g->pong_seen = clock_now();
        g->ping_looks = 0;
        return;
    case KW_EVENT:
        w = work_by_handle(g, m->event.handle, &h);
        if (w)
            hold_event(g, w, h, &m->event);
        return;
    case KW_VIEW:
    case KW_ACQUIRE:
    case KW_ADOPT:
    case KW_RELEASE:
    case KW_QUERY:
    case KW_PING:
        return;
    }
}

/* ---- requests; without a link they are made when there is one ---- */

void keeper_ask(struct guard *g, struct work *w, struct held *h,
                int64_t wait_ms)
{
    static struct keeper_msg m;

    if (!g->is_keeper_ready)
        return;
    memset(&m, 0, sizeof(m));
    m.type = KW_ACQUIRE;
    m.handle = work_handle(w, h);
    m.wait_ms = wait_ms;
    m.service = *w->service;
    m.lock = h->lock;
    h->is_known = true;
    send_msg(g, &m);
}

void keeper_adopt_held(struct guard *g, struct work *w, struct held *h)
{
    static struct keeper_msg m;

    memset(&m, 0, sizeof(m));
    m.type = KW_ADOPT;
    m.handle = work_handle(w, h);
    m.t0 = h->t0;
    m.has_features = h->has_features;
    m.service = *w->service;
    m.lock = h->lock;
    h->is_known = true;
    send_msg(g, &m);
}

void keeper_give_back(struct guard *g, uint64_t handle)
{
    struct keeper_msg m = {
        .type = KW_RELEASE, .handle = handle, .wait_ms = GUARD_RELEASE_MS};

    if (g->is_keeper_ready || g->keeper.fd >= 0)
        send_msg(g, &m);
}
