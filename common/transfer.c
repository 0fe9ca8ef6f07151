/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - HTTP requests over libcurl's multi interface: one epoll set, a
 * timerfd, two connection pools (short requests; waits). What one request
 * asks of libcurl is transfer_easy.c's, the waiting transfer_loop.c's.
 * Retries nothing by itself; libcurl does resend a request when a connection
 * that it reused dies.
 */
#include "transfer_inner.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SHORT_CONNS 16 /* to one host: more locks than that take turns */
#define WAIT_CONNS  1024

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
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = ABOUT_TIMER};

    hub->armed = clock_never();
    hub->epoll = epoll_create1(EPOLL_CLOEXEC);
    hub->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return hub->epoll >= 0 && hub->timer >= 0 &&
           epoll_ctl(hub->epoll, EPOLL_CTL_ADD, hub->timer, &ev) == 0;
}

static bool open_names(struct transfer_hub *hub)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = ABOUT_NAMES};

    hub->names = names_new();
    return hub->names &&
           epoll_ctl(hub->epoll, EPOLL_CTL_ADD, names_fd(hub->names), &ev) == 0;
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
    if (!open_timer(hub) || !open_names(hub))
        st = error_sys(err, errno, "epoll, timerfd and eventfd");
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

/* The list that t is in. */
static struct transfer **list_of(struct transfer *t)
{
    return t->name ? &t->pool->hub->naming : &t->pool->first;
}

static void list_add(struct transfer *t)
{
    struct transfer **first = list_of(t);

    t->prev = NULL;
    t->next = *first;
    if (t->next)
        t->next->prev = t;
    *first = t;
}

static void list_remove(struct transfer *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        *list_of(t) = t->next;
    if (t->next)
        t->next->prev = t->prev;
}

void transfer_drop(struct transfer *t)
{
    struct transfer_hub *hub = t->pool->hub;

    list_remove(t);
    if (!t->name) /* fails only for one that is not there */
        (void)curl_multi_remove_handle(t->pool->multi, t->easy);
    if (hub->spare_len < SPARE_MAX) {
        curl_easy_reset(t->easy);
        /* Else its end would have the process ignore SIGPIPE for a moment. */
        (void)curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
        hub->spare[hub->spare_len++] = t->easy;
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
            transfer_drop(hub->pools[i].first);
    while (hub->naming)
        transfer_drop(hub->naming);
    while (hub->spare_len > 0)
        curl_easy_cleanup(hub->spare[--hub->spare_len]);
    for (size_t i = 0; i < 2; i++)
        if (hub->pools[i].multi)
            (void)curl_multi_cleanup(hub->pools[i].multi);
    names_free(hub->names);
    if (hub->timer >= 0)
        (void)close(hub->timer);
    if (hub->epoll >= 0)
        (void)close(hub->epoll);
    free(hub);
}

/* ---- transfers ---- */

/* From its name's list to libcurl. */
enum justalock_status transfer_enter(struct transfer *t)
{
    enum justalock_status st = JUSTALOCK_OK;

    if (t->name) {
        st = transfer_easy_place(t, t->name,
                                 clock_left_ms(t->until, clock_now()));
        if (st != JUSTALOCK_OK)
            return st;
    }
    if (curl_multi_add_handle(t->pool->multi, t->easy) != CURLM_OK)
        return JUSTALOCK_NOMEM;
    if (t->name)
        list_remove(t);
    t->name = NULL;
    list_add(t);
    return JUSTALOCK_OK;
}

/* To libcurl, or first to wait for its name. */
static enum justalock_status enter_named(struct transfer *t,
                                         const struct transfer_request *r)
{
    char host[NAME_HOST_MAX + 1];
    char port[6];
    bool has_proxy = r->proxy && r->proxy[0] != '\0';
    bool has_socket = r->socket && r->socket[0] != '\0';
    enum justalock_status st;

    /* A proxy's name is libcurl's to look up. */
    if (has_proxy || has_socket || !name_of_url(r->url, host, port))
        return transfer_enter(t);
    t->name = names_get(t->pool->hub->names, host, port, clock_now());
    if (!t->name)
        return JUSTALOCK_NOMEM;
    list_add(t);
    if (t->name->addrs[0] == '\0')
        return JUSTALOCK_OK;
    st = transfer_enter(t);
    if (st != JUSTALOCK_OK)
        list_remove(t);
    return st;
}

enum justalock_status transfer_start(struct transfer_hub *hub,
                                     const struct transfer_request *request,
                                     transfer_fn *fn, void *arg,
                                     struct transfer **ret_transfer,
                                     struct justalock_error *err)
{
    struct transfer *t = calloc(1, sizeof(*t));
    enum justalock_status st;

    if (!t)
        return error_nomem(err);
    t->pool = &hub->pools[request->is_wait];
    t->fn = fn;
    t->arg = arg;
    t->limit_ms = request->limit_ms;
    t->until = clock_add(clock_now(), request->limit_ms);
    t->easy =
        hub->spare_len > 0 ? hub->spare[--hub->spare_len] : curl_easy_init();
    st = t->easy ? transfer_easy_init(t, request, err) : error_nomem(err);
    if (st == JUSTALOCK_OK && enter_named(t, request) != JUSTALOCK_OK)
        st = error_nomem(err);
    if (st != JUSTALOCK_OK) {
        if (t->easy)
            curl_easy_cleanup(t->easy);
        transfer_easy_done(t);
        free(t);
        return st;
    }
    *ret_transfer = t;
    return JUSTALOCK_OK;
}

void transfer_cancel(struct transfer *t)
{
    transfer_drop(t);
}
