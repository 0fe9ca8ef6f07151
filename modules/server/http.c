/* SPDX-License-Identifier: MIT */
/*
 * http.c - the server's one loop, see http.h. A pass: take what came in, let
 * the table decide, put all changes on disk in one transaction, then let the
 * answers go. An answer that can rest on no change of the pass leaves at
 * once, which is what makes refreshes cheap.
 *
 * libmicrohttpd runs in external epoll mode. Two of its ways shape this file:
 * it must run again after a connection was resumed, so the loop does not
 * sleep then; and it does not see a suspended connection end, so we do.
 */
#include "http.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "clock.h"
#include "http_inner.h"
#include "log.h"
#include "notify.h"

#define EVENTS_MAX  256
#define ACCEPTS_MAX 64 /* of one pass and socket */

bool server_is_dirty(const struct server *s)
{
    size_t len;
    bool is_whole;

    if (s->is_leading)
        return true; /* no answer before the proof that it is so */
    (void)lock_changes(s->table, &len, &is_whole);
    return len > 0 || !is_whole || s->pass != NULL;
}

bool server_is_serving(struct server *s, int64_t now_ms)
{
    struct justalock_error err;

    if (s->is_failed || s->is_stopping ||
        (store_shared(s->store) != NULL && !s->is_leading))
        return false;
    if (s->quiet_until_ms == 0)
        return true;
    if (now_ms < s->quiet_until_ms)
        return false;
    if (store_end_quiet(s->store, &err) != JUSTALOCK_OK) {
        log_error("%s", err.text);
        return false;
    }
    s->quiet_until_ms = 0;
    s->figures.is_quiet = false;
    log_info("every lease from before the damage is over: locks are granted "
             "again");
    return true;
}

/* ---- events ---- */

static void listen_for(struct server *s, uint32_t events)
{
    for (size_t i = 0; i < s->listen_len; i++) {
        struct epoll_event ev = {.events = events, .data.ptr = &s->listen[i]};

        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, s->listen[i].fd, &ev);
    }
}

/* No file or no memory for it: who connects waits in the backlog. Asked again
 * at once, the system would say the same, without end. */
static void accept_later(struct server *s)
{
    log_warn("cannot accept: %s", strerror(errno));
    listen_for(s, 0);
    s->accept_ms = clock_raw_ms() + RETRY_MS;
}

static void accept_some(struct server *s, int fd, bool is_tls)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage addr = {.ss_family = AF_UNIX};
        socklen_t len = sizeof(addr);
        int c = accept4(fd, (struct sockaddr *)&addr, &len,
                        SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (c < 0) {
            if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                accept_later(s);
            return;
        }
        if (!server_admits(s, c, is_tls, &addr))
            continue;
        /* It closes c where it cannot take it. */
        (void)MHD_add_connection(s->mhd[is_tls ? DAEMON_TLS : DAEMON_PLAIN], c,
                                 (struct sockaddr *)&addr, len);
    }
}

/* Whatever is wrong with the new files, the old ones' content stays. */
static void reload_access(struct server *s)
{
    struct justalock_error err;
    struct access *a;

    if (s->tls == NULL) {
        log_info("SIGHUP: nothing to read again without TLS");
        return;
    }
    if (access_load(s->options->access, &a, &err) != JUSTALOCK_OK) {
        log_error("not reloaded: %s", err.text);
        return;
    }
    if (tls_reload(s->tls, &err) != JUSTALOCK_OK) {
        access_free(a);
        log_error("not reloaded: %s", err.text);
        return;
    }
    access_free(s->access);
    s->access = a;
    log_info("reloaded: certificates, key and %zu clients", access_clients(a));
}

static void on_event(struct server *s, struct source *src)
{
    struct signalfd_siginfo info;

    switch (src->kind) {
    case SOURCE_LISTEN:
        accept_some(s, src->fd, src->is_tls);
        break;
    case SOURCE_SIGNAL:
        if (read(src->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
            break;
        if (info.ssi_signo == SIGHUP)
            reload_access(s);
        else
            s->is_stopping = true;
        break;
    case SOURCE_REQUEST: {
        struct request *r = (struct request *)src;

        if (r->state == REQUEST_WAITING)
            request_gone(r);
        break;
    }
    case SOURCE_MHD:
        break; /* runs each pass */
    }
}

static int sleep_ms(struct server *s, int64_t next_ms, int64_t most_ms)
{
    int64_t now_ms = clock_raw_ms(), ms = most_ms;

    if (next_ms != INT64_MAX && next_ms - now_ms < ms)
        ms = next_ms - now_ms;
    if (!server_may_write(s, now_ms)) /* the table was not run: see pass */
        ms = s->retry_ms - now_ms < most_ms ? s->retry_ms - now_ms : most_ms;
    if (s->accept_ms != 0 && s->accept_ms - now_ms < ms)
        ms = s->accept_ms - now_ms;
    if (s->silent_ms != INT64_MAX && s->silent_ms - now_ms < ms)
        ms = s->silent_ms - now_ms;
    if (s->tick_ms != INT64_MAX && s->tick_ms - now_ms < ms)
        ms = s->tick_ms - now_ms;
    ms = server_mhd_ms(s, ms);
    return ms < 0 ? 0 : (int)(ms < 60000 ? ms : 60000);
}

/* Returns when the table has something due. */
static int64_t pass(struct server *s, bool *ret_resumed)
{
    int64_t next = INT64_MAX;

    int64_t now_ms;

    server_follow_store(s);
    server_run_mhd(s);
    conns_pass(&s->conns);
    now_ms = clock_raw_ms();
    s->silent_ms = conns_run(&s->conns, now_ms);
    if (s->accept_ms != 0 && now_ms >= s->accept_ms) {
        s->accept_ms = 0;
        listen_for(s, EPOLLIN);
    }
    if (server_may_write(s, now_ms)) {
        if (s->is_failed)
            server_reload(s);
        else if (store_shared(s->store) == NULL || s->is_leading)
            next = lock_run(s->table, now_ms);
    }
    return server_end_pass(s, now_ms, next, ret_resumed);
}

static void answer_all(struct server *s)
{
    struct request *r, *tmp;
    bool resumed;

    DL_FOREACH_SAFE(s->suspended, r, tmp)
    {
        if (r->state != REQUEST_WAITING)
            continue;
        lock_gone(s->table, &r->q.id, r, clock_raw_ms());
        r->reason = "the server is stopping; ask again\n";
        r->status = 503;
        request_decided(r);
    }
    for (int i = 0; i < 16; i++)
        (void)pass(s, &resumed);
}

enum justalock_status server_run(struct server *s, struct justalock_error *err)
{
    struct epoll_event events[EVENTS_MAX];
    struct notify_watchdog watchdog;
    int64_t next_ms = 0;
    bool resumed = true;

    notify_watchdog_init(&watchdog);
    while (!s->is_stopping) {
        int64_t most_ms = notify_watchdog(&watchdog);
        int n = epoll_wait(s->epoll_fd, events, EVENTS_MAX,
                           resumed ? 0 : sleep_ms(s, next_ms, most_ms));

        if (n < 0 && errno != EINTR)
            return error_sys(err, errno, "epoll_wait");
        for (int i = 0; i < n; i++)
            on_event(s, events[i].data.ptr);
        next_ms = pass(s, &resumed);
    }
    answer_all(s);
    return JUSTALOCK_OK;
}

/* ---- start and end ---- */

enum justalock_status server_add_source(struct server *s, struct source *src,
                                        enum source_kind kind, int fd,
                                        struct justalock_error *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = src};

    *src = (struct source){.kind = kind, .fd = fd};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
        return error_sys(err, errno, "epoll_ctl");
    return JUSTALOCK_OK;
}

/* Nothing is known before it leads. */
static enum justalock_status start_shared(struct server *s,
                                          struct justalock_error *err)
{
    s->figures.start_wall_s = clock_wall_s();
    s->table = server_new_table(s, 0);
    return s->table != NULL ? JUSTALOCK_OK : error_nomem(err);
}

static enum justalock_status start_state(struct server *s, const char *dir,
                                         struct justalock_error *err)
{
    struct store_found found;
    enum justalock_status st =
        store_open(dir, &s->options->etcd, &s->store, &found, err);

    if (st == JUSTALOCK_OK && store_shared(s->store) != NULL)
        return start_shared(s, err);
    if (st == JUSTALOCK_OK)
        st = server_load(s, found.last_token, err);
    if (st == JUSTALOCK_PROTO) {
        st = store_abandon(s->store, "it has a row that no server wrote",
                           &found, err);
        if (st == JUSTALOCK_OK)
            st = server_load(s, found.last_token, err);
    }
    if (st != JUSTALOCK_OK)
        return st;
    s->figures.start_wall_s = clock_wall_s();
    if (found.state == STORE_DAMAGED) {
        s->figures.is_quiet = true;
        s->quiet_until_ms = clock_raw_ms() + (int64_t)found.quiet_s * 1000;
        log_error("%s: damaged: %s; no locks are granted for %u s, the longest "
                  "lease it may have given",
                  dir, found.why, found.quiet_s);
    } else {
        log_info("%s: %s, %zu locks held", dir,
                 found.state == STORE_FIRST ? "first start" : "state loaded",
                 lock_counts(s->table).held);
    }
    return JUSTALOCK_OK;
}

static enum justalock_status start_loop(struct server *s,
                                        const struct listener *listeners,
                                        size_t len, struct justalock_error *err)
{
    enum justalock_status st;
    sigset_t set;

    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0)
        return error_sys(err, errno, "epoll_create1");
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0)
        return error_sys(err, errno, "signalfd");
    st = server_add_source(s, &s->signal_source, SOURCE_SIGNAL, s->signal_fd,
                           err);
    for (size_t i = 0; st == JUSTALOCK_OK && i < len; i++) {
        st = server_add_source(s, &s->listen[i], SOURCE_LISTEN, listeners[i].fd,
                               err);
        s->listen[i].is_tls = listeners[i].is_tls;
    }
    s->listen_len = len;
    return st;
}

static enum justalock_status start_tls(struct server *s,
                                       struct justalock_error *err)
{
    enum justalock_status st;

    if (s->options->tls.cert == NULL)
        return JUSTALOCK_OK;
    st = tls_new(&s->options->tls, &s->tls, err);
    if (st == JUSTALOCK_OK)
        st = access_load(s->options->access, &s->access, err);
    return st;
}

enum justalock_status server_new(const struct server_options *o,
                                 const struct listener *listeners, size_t len,
                                 struct server **ret_server,
                                 struct justalock_error *err)
{
    struct server *s;
    enum justalock_status st;

    if (len > LISTEN_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "%zu sockets to listen on: at most %d", len,
                         LISTEN_MAX);
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    s->epoll_fd = s->signal_fd = -1;
    s->options = o;
    s->limits = o->limits;
    s->conns.all_max = s->limits.all[LIMIT_CONNECTIONS];
    s->conns.each_max = s->limits.each[LIMIT_CONNECTIONS];
    st = start_tls(s, err);
    if (st == JUSTALOCK_OK)
        st = start_state(s, o->state, err);
    if (st == JUSTALOCK_OK)
        st = start_loop(s, listeners, len, err);
    if (st == JUSTALOCK_OK)
        st = server_start_mhd(s, err);
    if (st != JUSTALOCK_OK) {
        server_free(s);
        return st;
    }
    *ret_server = s;
    return JUSTALOCK_OK;
}

void server_free(struct server *s)
{
    if (s == NULL)
        return;
    server_stop_mhd(s);
    conns_done(&s->conns);
    access_free(s->access);
    tls_free(s->tls);
    lock_table_free(s->table);
    store_close(s->store);
    if (s->signal_fd >= 0)
        (void)close(s->signal_fd);
    if (s->epoll_fd >= 0)
        (void)close(s->epoll_fd);
    free(s);
}
