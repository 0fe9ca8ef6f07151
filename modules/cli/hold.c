/* SPDX-License-Identifier: MIT */
/*
 * hold.c - one lock through a justalock-keeper of our own. A keeper that dies
 * is replaced and told to go on; one that neither refreshes nor answers is
 * killed first. The deadline is the caller's to enforce.
 */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "proc.h"

#define HANDLE         1
#define DEATHS_MAX     5  /* of keepers in a row, while nothing is held */
#define AGAIN_MS       50 /* before the next keeper; doubles */
#define AGAIN_MAX_MS   1000
#define PONG_LIMIT_MS  500
#define CHECK_EVERY_MS 1000

static enum justalock_status spawn(const char *user, int *ret_fd,
                                   pid_t *ret_pid, struct justalock_error *err)
{
    enum justalock_status st;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_sys(err, errno, "socketpair");
    st = keeper_wire_spawn(pair[1], "--connected", user, ret_pid, err);
    (void)close(pair[1]);
    if (st != JUSTALOCK_OK) {
        (void)close(pair[0]);
        return st;
    }
    *ret_fd = pair[0];
    return JUSTALOCK_OK;
}

enum justalock_status hold_start(struct hold *h, struct justalock_error *err)
{
    const char *user = h->keeper_user[0] ? h->keeper_user : CONFIG_KEEPER_USER;
    enum justalock_status st = spawn(user, &h->fd, &h->pid, err);

    h->pidfd = -1;
    h->is_our_child = true;
    h->again_at = clock_never();
    h->check_at = clock_never();
    h->is_checking = false;
    if (st != JUSTALOCK_OK) {
        h->fd = -1;
        h->pid = 0;
        return st;
    }
    h->pidfd = proc_pidfd_open(h->pid);
    if (h->pidfd >= 0)
        (void)fcntl(h->pidfd, F_SETFD, FD_CLOEXEC); /* it is set already */
    return JUSTALOCK_OK;
}

static bool tell(struct hold *h, struct keeper_msg *m,
                 struct justalock_error *err)
{
    m->handle = HANDLE;
    return h->fd >= 0 && keeper_wire_send(h->fd, m, err) == JUSTALOCK_OK;
}

/* What is left of a wait that began earlier; a try stays a try. */
static int64_t wait_left_ms(const struct hold *h)
{
    int64_t left;

    if (h->wait_ms <= 0)
        return h->wait_ms;
    left = h->wait_ms - clock_elapsed_ms(h->begun, clock_now());
    return left > 0 ? left : 0;
}

enum justalock_status hold_acquire(struct hold *h, struct justalock_error *err)
{
    struct keeper_msg m;

    memset(&m, 0, sizeof(m));
    m.type = h->is_held ? KW_ADOPT : KW_ACQUIRE;
    m.service = h->service;
    m.lock = h->lock;
    m.t0 = h->t0;
    m.has_features = h->has_features;
    m.wait_ms = wait_left_ms(h);
    if (!tell(h, &m, err))
        return err->status;
    return JUSTALOCK_OK;
}

struct clock_time hold_deadline(const struct hold *h)
{
    return lease_deadline(&h->times, h->t0);
}

/* The refresh is due at L/3; at half of what is left for it we ask. */
static void note_success(struct hold *h, const struct keeper_event *e)
{
    struct lease_times times = h->times;

    times.margin_ms = h->lock.times.margin_ms;
    if (lease_times_fill(&times, e->has_features, NULL) == JUSTALOCK_OK)
        h->times = times;
    h->has_features |= e->has_features;
    if (e->has_slot) { /* for the keeper after this one */
        h->lock.slot = e->slot;
        h->lock.slot_has_id = e->slot_has_id;
    }
    h->is_held = true;
    h->t0 = e->t0;
    h->deaths = 0;
    h->is_checking = false;
    h->check_at = clock_add(e->t0, (int64_t)h->times.life_s * 1000 / 2);
}

/* It answers, so it lives: the service may be what is silent. */
static void note_life(struct hold *h)
{
    if (h->is_checking)
        h->check_at = clock_add(clock_now(), CHECK_EVERY_MS);
    h->is_checking = false;
}

/* The keeper's channel has ended, or it must be ended. */
static void drop_keeper(struct hold *h)
{
    int64_t pause = (int64_t)AGAIN_MS << (h->deaths < 5 ? h->deaths : 5);

    if (h->pidfd >= 0)
        (void)proc_pidfd_signal(h->pidfd, SIGKILL); /* it may be gone */
    else if (h->is_our_child && h->pid > 0)
        (void)kill(h->pid, SIGKILL);
    hold_close(h);
    h->again_at = clock_now();
    if (h->deaths > 0)
        h->again_at =
            clock_add(h->again_at, pause < AGAIN_MAX_MS ? pause : AGAIN_MAX_MS);
    h->deaths++;
    h->check_at = clock_never();
    h->is_checking = false;
}

/* A keeper that dies while it gives back: nobody knows whether it did. */
static enum hold_news fail_release(struct hold *h,
                                   struct keeper_event *ret_event)
{
    hold_close(h);
    h->again_at = clock_never();
    memset(ret_event, 0, sizeof(*ret_event));
    ret_event->kind = KEEPER_RELEASED;
    ret_event->status = JUSTALOCK_NET;
    return HOLD_EVENT;
}

enum hold_news hold_next(struct hold *h, struct keeper_event *ret_event,
                         struct justalock_error *err)
{
    struct keeper_msg m;
    bool more = true;

    while (h->fd >= 0) {
        if (keeper_wire_recv(h->fd, &m, &more, err) != JUSTALOCK_OK) {
            if (h->is_releasing)
                return fail_release(h, ret_event);
            drop_keeper(h);
            return HOLD_NOTHING;
        }
        if (!more)
            return HOLD_NOTHING;
        note_life(h);
        if (m.type != KW_EVENT || m.handle != HANDLE)
            continue;
        if (m.event.kind == KEEPER_GRANTED || m.event.kind == KEEPER_EXTENDED)
            note_success(h, &m.event);
        *ret_event = m.event;
        return HOLD_EVENT;
    }
    return HOLD_NOTHING;
}

static enum hold_news start_again(struct hold *h, struct justalock_error *err)
{
    unsigned deaths = h->deaths;
    enum justalock_status st;

    if (!h->is_held && deaths >= DEATHS_MAX) {
        error_set(err, JUSTALOCK_SYS,
                  "justalock-keeper ended %u times in a row", deaths);
        h->again_at = clock_never();
        return HOLD_FAILED;
    }
    st = hold_start(h, err);
    if (st == JUSTALOCK_OK)
        st = hold_acquire(h, err);
    h->deaths = deaths;
    if (st != JUSTALOCK_OK)
        drop_keeper(h);
    return HOLD_NOTHING;
}

enum hold_news hold_tick(struct hold *h, struct justalock_error *err)
{
    struct clock_time now = clock_now();
    struct keeper_msg ping;

    if (clock_left_ms(h->again_at, now) <= 0)
        return start_again(h, err);
    if (!h->is_held || h->is_releasing || clock_left_ms(h->check_at, now) > 0)
        return HOLD_NOTHING;
    memset(&ping, 0, sizeof(ping));
    ping.type = KW_PING;
    if (h->is_checking || !tell(h, &ping, err)) {
        drop_keeper(h);
        return HOLD_NOTHING;
    }
    h->is_checking = true;
    h->check_at = clock_add(now, PONG_LIMIT_MS);
    return HOLD_NOTHING;
}

struct clock_time hold_due(const struct hold *h)
{
    if (!h->is_held || h->is_releasing)
        return h->again_at;
    return clock_min(h->again_at, h->check_at);
}

bool hold_release(struct hold *h, int64_t limit_ms)
{
    struct justalock_error err;
    struct keeper_msg m;

    memset(&m, 0, sizeof(m));
    m.type = KW_RELEASE;
    m.wait_ms = limit_ms;
    h->is_releasing = true;
    h->check_at = clock_never();
    h->again_at = clock_never();
    return tell(h, &m, &err);
}

bool hold_reaped(struct hold *h, pid_t pid)
{
    if (pid != h->pid || h->pid == 0)
        return false;
    /* Its channel tells the rest; the pid is free to be another's now. */
    h->pid = 0;
    return true;
}

void hold_close(struct hold *h)
{
    if (h->fd >= 0)
        (void)close(h->fd);
    if (h->pidfd >= 0)
        (void)close(h->pidfd);
    h->fd = -1;
    h->pidfd = -1;
}

static enum justalock_status await_view(struct hold *h, struct clock_time until,
                                        struct hold_views *ret_views,
                                        struct justalock_error *err)
{
    struct pollfd p = {.fd = h->fd, .events = POLLIN};
    enum justalock_status st;
    struct keeper_msg m;
    bool more = false;
    int64_t left;

    while ((left = clock_left_ms(until, clock_now())) > 0) {
        st = keeper_wire_recv(h->fd, &m, &more, err);
        if (st != JUSTALOCK_OK)
            return error_wrap(err, st, "justalock-keeper");
        if (!more) {
            (void)poll(&p, 1, (int)left); /* the loop looks again */
            continue;
        }
        if (m.type != KW_VIEW || m.handle != HANDLE)
            continue;
        if (m.event.status != JUSTALOCK_OK)
            return error_set(err, m.event.status, "%s", m.event.text);
        ret_views->v[ret_views->len++] = m.view;
        if (!m.view.has_more || ret_views->len == JUSTALOCK_SLOTS_MAX)
            return JUSTALOCK_OK;
    }
    return error_set(err, JUSTALOCK_NET, "no answer from %s", h->service.url);
}

enum justalock_status hold_query(const struct keeper_service *service,
                                 const char *user, const struct lock_id *id,
                                 int64_t limit_ms, struct hold_views *ret_views,
                                 struct justalock_error *err)
{
    struct keeper_msg m;
    struct hold h;
    enum justalock_status st;

    memset(&h, 0, sizeof(h));
    ret_views->len = 0;
    h.service = *service;
    (void)snprintf(h.keeper_user, sizeof(h.keeper_user), "%s", user);
    st = hold_start(&h, err);
    if (st != JUSTALOCK_OK)
        return st;
    memset(&m, 0, sizeof(m));
    m.type = KW_QUERY;
    m.service = *service;
    m.lock.id = *id;
    m.wait_ms = limit_ms;
    st = tell(&h, &m, err) ? JUSTALOCK_OK
                           : error_wrap(err, err->status, "justalock-keeper");
    /* The limit is the service's; the keeper's own start comes on top. */
    if (st == JUSTALOCK_OK)
        st = await_view(&h, clock_add(clock_now(), limit_ms + 2000), ret_views,
                        err);
    hold_close(&h);
    if (h.pid > 0)
        (void)waitpid(h.pid, NULL, 0);
    return st;
}
