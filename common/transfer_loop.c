/* SPDX-License-Identifier: MIT */
/*
 * transfer_loop.c - one pass of a hub: waits, lets libcurl and the name
 * lookups go on, and hands out what is over.
 */
#include "transfer_inner.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS   64 /* of one pass; what is left comes with the next */
/* poll counts CLOCK_MONOTONIC, which stops in suspend; the timerfd does not,
 * but follows one of our two clocks. So look again at least this often. */
#define PAUSE_MS 10000

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
    transfer_drop(t);
    fn(arg, &answer);
    buf_done(&head);
    buf_done(&body);
}

/* It never came to libcurl. */
static void finish_unnamed(struct transfer *t, CURLcode code)
{
    /* What is cut of a long name is no loss here. */
    (void)snprintf(t->error, sizeof(t->error), "name lookup of %.100s: %s",
                   t->name->host,
                   t->name->why[0] ? t->name->why : "no answer in time");
    finish(t, code);
}

/*
 * Those whose name is known or cannot be, and those whose time is over. Each
 * fn may start and cancel others, hence from the list's start after each.
 */
static void settle_names(struct transfer_hub *hub)
{
    struct transfer *t = hub->naming;

    while (t) {
        CURLcode code = CURLE_OK;

        if (t->name->addrs[0] != '\0' && transfer_enter(t) == JUSTALOCK_OK)
            t = hub->naming;
        else if (t->name->addrs[0] != '\0')
            code = CURLE_OUT_OF_MEMORY;
        else if (!t->name->lookup)
            code = CURLE_COULDNT_RESOLVE_HOST;
        else if (clock_left_ms(t->until, clock_now()) <= 0)
            code = CURLE_OPERATION_TIMEDOUT;
        else
            t = t->next;
        if (code != CURLE_OK) {
            finish_unnamed(t, code);
            t = hub->naming;
        }
    }
}

static struct clock_time names_due(const struct transfer_hub *hub)
{
    struct clock_time due = clock_never();

    for (const struct transfer *t = hub->naming; t; t = t->next)
        due = t->name->lookup ? clock_min(due, t->until)
                              : (struct clock_time){0, 0};
    return due;
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

        if (data == ABOUT_TIMER || data == ABOUT_NAMES) {
            if (data == ABOUT_TIMER)
                disarm(hub);
            else
                names_collect(hub->names);
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
    if (collect(&hub->pools[false]))
        timeout_ms = 0;
    if (collect(&hub->pools[true]))
        timeout_ms = 0;
    until = clock_min(until, hub->pools[0].due);
    until = clock_min(until, hub->pools[1].due);
    until = clock_min(until, names_due(hub));
    now = clock_now();
    if (clock_left_ms(until, now) <= 0)
        timeout_ms = 0;
    else if (timeout_ms > 0 && !clock_is_never(until))
        arm(hub, until, now);
    /* -1: a signal came, or there is no memory; what is due is done. */
    if (poll(fds, fd >= 0 ? 2 : 1, timeout_ms) < 0)
        fds[1].revents = 0;
    serve(hub);
    settle_names(hub);
    serve_timers(hub);
    (void)collect(&hub->pools[false]); /* there may be none */
    (void)collect(&hub->pools[true]);
    if (unblock)
        unblock_sigpipe(&before);
    return fd >= 0 && fds[1].revents != 0;
}
