/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - HTTP requests over libcurl's multi interface: one epoll set, a
 * timerfd, two connection pools (short requests; waits). What one request
 * asks of libcurl is transfer_easy.c's. Retries nothing by itself; libcurl
 * does resend a request when a connection that it reused dies.
 */
#include "transfer_easy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS      64 /* of one pass; what is left comes with the next */
#define SHORT_CONNS 16 /* to one host: more locks than that take turns */
#define WAIT_CONNS  1024
#define SPARE_MAX   16 /* idle easy handles that are kept */
/* poll counts CLOCK_MONOTONIC, which stops in suspend; the timerfd does not,
 * but follows one of our two clocks. So look again at least this often. */
#define PAUSE_MS    10000

struct pool {
    struct transfer_hub *hub;
    CURLM *multi;
    struct clock_time due; /* when libcurl wants to be called */
    struct transfer *first;
};

struct transfer_hub {
    int epoll;
    int timer;
    struct clock_time armed; /* what the timer is set to */
    struct pool pools[2];    /* [is_wait] */
    CURL *spare[SPARE_MAX];
    size_t spare_len;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_started;

static void start_curl(void)
{
    curl_started = curl_global_init(CURL_GLOBAL_ALL);
}

/* ---- what libcurl calls ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                     void *known)
{
    struct pool *pool = arg;
    /* The pool's index beside the descriptor: one epoll set serves both. */
    struct epoll_event ev = {
        .data.u64 = (uint64_t)(pool - pool->hub->pools) << 32 | (uint32_t)fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        /* Closing takes it out as well; then this fails, and no harm. */
        (void)epoll_ctl(pool->hub->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        ev.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        ev.events |= EPOLLOUT;
    if (epoll_ctl(pool->hub->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
                  &ev) == 0 ||
        epoll_ctl(pool->hub->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd,
                  &ev) == 0)
        return curl_multi_assign(pool->multi, fd, pool) == CURLM_OK ? 0 : -1;
    return -1;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct pool *pool = arg;

    (void)multi;
    pool->due = ms < 0 ? clock_never() : clock_add(clock_now(), ms);
    return 0;
}

/* ---- a hub ---- */

static bool open_pool(struct transfer_hub *hub, struct pool *pool, long conns)
{
    pool->hub = hub;
    pool->due = clock_never();
    pool->multi = curl_multi_init();
    return pool->multi &&
           curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket) ==
               CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool) ==
               CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer) ==
               CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) ==
               CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING,
                             (long)CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                             conns) == CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, conns) ==
               CURLM_OK;
}

static bool open_timer(struct transfer_hub *hub)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};

    hub->armed = clock_never();
    hub->epoll = epoll_create1(EPOLL_CLOEXEC);
    hub->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return hub->epoll >= 0 && hub->timer >= 0 &&
           epoll_ctl(hub->epoll, EPOLL_CTL_ADD, hub->timer, &ev) == 0;
}

enum justalock_status transfer_hub_new(struct transfer_hub **ret_hub,
                                       struct justalock_error *err)
{
    struct transfer_hub *hub;
    enum justalock_status st = JUSTALOCK_OK;

    (void)pthread_once(&curl_once, start_curl); /* cannot fail */
    if (curl_started != CURLE_OK)
        return error_set(err, JUSTALOCK_NOMEM, "libcurl: %s",
                         curl_easy_strerror(curl_started));
    hub = calloc(1, sizeof(*hub));
    if (!hub)
        return error_nomem(err);
    hub->epoll = -1;
    hub->timer = -1;
    if (!open_timer(hub))
        st = error_sys(err, errno, "epoll and timerfd");
    else if (!open_pool(hub, &hub->pools[false], SHORT_CONNS) ||
             !open_pool(hub, &hub->pools[true], WAIT_CONNS))
        st = error_nomem(err);
    if (st != JUSTALOCK_OK) {
        transfer_hub_free(hub);
        return st;
    }
    *ret_hub = hub;
    return JUSTALOCK_OK;
}

static void drop(struct transfer *t)
{
    struct pool *pool = t->pool;

    if (t->prev)
        t->prev->next = t->next;
    else
        pool->first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    /* Both fail only for a handle that is not there. */
    (void)curl_multi_remove_handle(pool->multi, t->easy);
    if (pool->hub->spare_len < SPARE_MAX) {
        curl_easy_reset(t->easy);
        pool->hub->spare[pool->hub->spare_len++] = t->easy;
    } else {
        curl_easy_cleanup(t->easy);
    }
    transfer_easy_done(t);
    free(t);
}

void transfer_hub_free(struct transfer_hub *hub)
{
    if (!hub)
        return;
    for (size_t i = 0; i < 2; i++)
        while (hub->pools[i].first)
            drop(hub->pools[i].first);
    while (hub->spare_len > 0)
        curl_easy_cleanup(hub->spare[--hub->spare_len]);
    for (size_t i = 0; i < 2; i++)
        if (hub->pools[i].multi)
            (void)curl_multi_cleanup(hub->pools[i].multi);
    if (hub->timer >= 0)
        (void)close(hub->timer);
    if (hub->epoll >= 0)
        (void)close(hub->epoll);
    free(hub);
}

/* ---- transfers ---- */

enum justalock_status transfer_start(struct transfer_hub *hub,
                                     const struct transfer_request *request,
                                     transfer_fn *fn, void *arg,
                                     struct transfer **ret_transfer,
                                     struct justalock_error *err)
{
    struct pool *pool = &hub->pools[request->is_wait];
    struct transfer *t = calloc(1, sizeof(*t));
    enum justalock_status st;

    if (!t)
        return error_nomem(err);
    t->pool = pool;
    t->fn = fn;
    t->arg = arg;
    t->limit_ms = request->limit_ms;
    t->easy =
        hub->spare_len > 0 ? hub->spare[--hub->spare_len] : curl_easy_init();
    st = t->easy ? transfer_easy_init(t, request, err) : error_nomem(err);
    if (st == JUSTALOCK_OK &&
        curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK)
        st = error_nomem(err);
    if (st != JUSTALOCK_OK) {
        if (t->easy)
            curl_easy_cleanup(t->easy);
        transfer_easy_done(t);
        free(t);
        return st;
    }
    t->next = pool->first;
    if (t->next)
        t->next->prev = t;
    pool->first = t;
    *ret_transfer = t;
    return JUSTALOCK_OK;
}

void transfer_cancel(struct transfer *t)
{
    drop(t);
}

/* Give the answer to who asked, once all of libcurl's own is put away. */
static void finish(struct transfer *t, CURLcode code)
{
    struct transfer_answer answer = {.status = JUSTALOCK_OK};
    transfer_fn *fn = t->fn;
    void *arg = t->arg;
    struct buf head = t->head;
    struct buf body = t->body;

    transfer_easy_answer(t, code, &answer);
    buf_init(&t->head, 0);
    buf_init(&t->body, 0);
    drop(t);
    fn(arg, &answer);
    buf_done(&head);
    buf_done(&body);
}

/* Returns whether there was any. */
static bool collect(struct pool *pool)
{
    bool any = false;
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(pool->multi, &left))) {
        CURLcode code = msg->data.result;
        char *t = NULL;

        any = true;
        if (msg->msg == CURLMSG_DONE &&
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t) ==
                CURLE_OK &&
            t)
            finish((struct transfer *)(void *)t, code);
    }
    return any;
}

/* ---- the loop ---- */

/* Set the timer to the earlier of both clocks' due times. */
static void arm(struct transfer_hub *hub, struct clock_time until,
                struct clock_time now)
{
    struct itimerspec when = {0};
    int64_t ms = clock_left_ms(until, now);

    if (memcmp(&hub->armed, &until, sizeof(until)) == 0 && ms > 0 &&
        ms <= PAUSE_MS)
        return;
    if (ms > PAUSE_MS)
        ms = PAUSE_MS;
    if (ms > 0) {
        when.it_value.tv_sec = ms / 1000;
        when.it_value.tv_nsec = ms % 1000 * 1000000;
    } else {
        when.it_value.tv_nsec = 1;
    }
    /* Cannot fail: the descriptor and the times are ours. */
    (void)timerfd_settime(hub->timer, 0, &when, NULL);
    hub->armed = until;
}

static void disarm(struct transfer_hub *hub)
{
    uint64_t fired;

    if (read(hub->timer, &fired, sizeof(fired)) < 0)
        return; /* EAGAIN: another pass was first */
    hub->armed = clock_never();
}

/* Tell libcurl what is ready; returns whether anything was. */
static void serve(struct transfer_hub *hub)
{
    struct epoll_event events[EVENTS];
    int running;
    int n = epoll_wait(hub->epoll, events, EVENTS, 0);

    for (int i = 0; i < n; i++) {
        uint64_t data = events[i].data.u64;
        int what = 0;

        if (data == UINT64_MAX) {
            disarm(hub);
            continue;
        }
        if (events[i].events & EPOLLIN)
            what |= CURL_CSELECT_IN;
        if (events[i].events & EPOLLOUT)
            what |= CURL_CSELECT_OUT;
        if (events[i].events & (EPOLLERR | EPOLLHUP))
            what |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
        /* Its errors come as results of the transfers. */
        (void)curl_multi_socket_action(hub->pools[data >> 32].multi,
                                       (int)(uint32_t)data, what, &running);
    }
}

static void serve_timers(struct transfer_hub *hub)
{
    int running;

    for (size_t i = 0; i < 2; i++) {
        struct pool *pool = &hub->pools[i];

        if (clock_is_never(pool->due) ||
            clock_left_ms(pool->due, clock_now()) > 0)
            continue;
        pool->due = clock_never();
        (void)curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0,
                                       &running);
    }
}

/*
 * SIGPIPE is blocked for the pass: with NOSIGNAL libcurl leaves that to us.
 * One that was raised meanwhile is taken away before it is unblocked.
 */
static bool block_sigpipe(sigset_t *before)
{
    sigset_t pipe_set;

    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    return pthread_sigmask(SIG_BLOCK, &pipe_set, before) == 0 &&
           sigismember(before, SIGPIPE) == 0;
}

static void unblock_sigpipe(const sigset_t *before)
{
    static const struct timespec none = {0};
    sigset_t pipe_set;

    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    while (sigtimedwait(&pipe_set, NULL, &none) < 0 && errno == EINTR)
        continue;
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

bool transfer_run(struct transfer_hub *hub, int fd, struct clock_time until)
{
    struct pollfd fds[2] = {{.fd = hub->epoll, .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};
    struct clock_time now;
    sigset_t before;
    bool unblock = block_sigpipe(&before);
    int timeout_ms = PAUSE_MS;

    serve_timers(hub); /* what transfer_start left to be begun */
    /* Some of it is over already: an answer can be that fast. */
    if (collect(&hub->pools[false]) | collect(&hub->pools[true]))
        timeout_ms = 0;
    until = clock_min(until, hub->pools[0].due);
    until = clock_min(until, hub->pools[1].due);
    now = clock_now();
    if (clock_left_ms(until, now) <= 0)
        timeout_ms = 0;
    else if (timeout_ms > 0 && !clock_is_never(until))
        arm(hub, until, now);
    /* -1: a signal came, or there is no memory; what is due is done. */
    if (poll(fds, fd >= 0 ? 2 : 1, timeout_ms) < 0)
        fds[1].revents = 0;
    serve(hub);
    serve_timers(hub);
    (void)collect(&hub->pools[false]); /* there may be none */
    (void)collect(&hub->pools[true]);
    if (unblock)
        unblock_sigpipe(&before);
    return fd >= 0 && fds[1].revents != 0;
}
