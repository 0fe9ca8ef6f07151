/* SPDX-License-Identifier: MIT */
/*
 * lock_thread.c - the one keeper thread of a process: its start and end, what
 * it is asked to do, fork and exit. Decides nothing about a lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lock.h"

#define IDLE_RUN_MS  60000
#define DRAIN_RUN_MS 50

struct library library = {
    .start = PTHREAD_MUTEX_INITIALIZER,
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .wake = -1,
    .todo_end = &library.todo,
};

/* ---- the queue; with library.mutex held ---- */

static void wake(void)
{
    uint64_t one = 1;

    /* Full means that it is readable already, which is all we want. */
    if (write(library.wake, &one, sizeof(one)) < 0)
        return;
}

void library_queue(struct holding *h)
{
    if (!h->queued) {
        h->queued = true;
        h->next_todo = NULL;
        *library.todo_end = h;
        library.todo_end = &h->next_todo;
    }
    wake();
}

void library_ask(struct query *q)
{
    q->next = library.queries;
    library.queries = q;
    wake();
}

/* A call that still waits for it: the thread is stuck. */
static void give_up(struct outcome **waiter)
{
    if (*waiter) {
        (void)error_set(&(*waiter)->error, JUSTALOCK_NET,
                        "the keeper thread does not answer");
        (*waiter)->done = true;
    }
    *waiter = NULL;
}

void library_drop(struct holding *h)
{
    h->lock = NULL;
    give_up(&h->acquirer);
    give_up(&h->releaser);
    h->release = true;
    library_queue(h);
}

static struct holding *take_holding(void)
{
    struct holding *h = library.todo;

    if (!h)
        return NULL;
    library.todo = h->next_todo;
    if (!library.todo)
        library.todo_end = &library.todo;
    h->queued = false;
    return h;
}

static void free_holding(struct holding *h)
{
    if (h->prev)
        h->prev->next = h->next;
    else
        library.holdings = h->next;
    if (h->next)
        h->next->prev = h->prev;
    free(h->ask);
    free(h);
}

/* ---- the thread ---- */

static void on_event(void *arg, const struct keeper_event *event)
{
    struct holding *h = (struct holding *)(uintptr_t)event->handle;

    (void)arg;
    pthread_mutex_lock(&library.mutex);
    if (lock_event(h, event)) {
        h->final = true;
        if (!h->queued)
            free_holding(h);
    }
    pthread_mutex_unlock(&library.mutex);
}

static void on_view(void *arg, uint64_t handle, enum justalock_status status,
                    const char *text, const struct keeper_view *view)
{
    struct query *q = arg;

    (void)handle;
    pthread_mutex_lock(&library.mutex);
    if (q->abandoned) {
        if (status != JUSTALOCK_OK || !view || !view->has_more)
            free(q);
    } else {
        if (status == JUSTALOCK_OK && view)
            lock_view_add(q, view);
        if (status == JUSTALOCK_OK && view && view->has_more) {
            pthread_mutex_unlock(&library.mutex);
            return;
        }
        q->error.status = status;
        if (status != JUSTALOCK_OK)
            (void)error_set(&q->error, status, "%s", text ? text : "no answer");
        if (status != JUSTALOCK_OK && view)
            q->error.http_status = view->http_status;
        q->done = true;
        (void)pthread_cond_broadcast(&q->lock->changed);
    }
    pthread_mutex_unlock(&library.mutex);
}

/* Returns with library.mutex held, as it was called; not in between. */
static void hand_over(struct holding *h)
{
    struct ask *ask = h->ask;
    struct justalock_error err;
    enum justalock_status st;

    h->ask = NULL;
    pthread_mutex_unlock(&library.mutex);
    st = keeper_acquire(library.keeper, (uint64_t)(uintptr_t)h, &ask->service,
                        &ask->lock, ask->wait_ms, &err);
    free(ask);
    pthread_mutex_lock(&library.mutex);
    if (st == JUSTALOCK_OK)
        return;
    lock_finish(h, &err);
    h->final = true;
    if (!h->queued)
        free_holding(h);
}

static void do_holding(struct holding *h)
{
    static const struct justalock_error ok = {.status = JUSTALOCK_OK};

    if (h->release && (h->ask || h->final)) {
        /* Never asked for, or over before the release came. */
        lock_finish(h, &ok);
        free_holding(h);
    } else if (h->final) {
        free_holding(h);
    } else if (h->release) {
        pthread_mutex_unlock(&library.mutex);
        keeper_release(library.keeper, (uint64_t)(uintptr_t)h, LOCK_RELEASE_MS);
        pthread_mutex_lock(&library.mutex);
    } else if (h->ask) {
        hand_over(h);
    }
}

static void do_query(struct query *q)
{
    struct justalock_error err;
    enum justalock_status st;

    pthread_mutex_unlock(&library.mutex);
    st = keeper_query(library.keeper, (uint64_t)(uintptr_t)q, &q->service,
                      &q->id, q->limit_ms, on_view, q, &err);
    if (st != JUSTALOCK_OK)
        on_view(q, 0, st, err.text, NULL);
    pthread_mutex_lock(&library.mutex);
}

/* Do what is queued. Returns whether to go on. */
static bool do_queue(struct clock_time *drain_until)
{
    struct holding *h;
    struct query *q;
    bool go_on = true;

    pthread_mutex_lock(&library.mutex);
    while ((h = take_holding()))
        do_holding(h);
    while ((q = library.queries)) {
        library.queries = q->next;
        do_query(q);
    }
    if (library.stop && clock_is_never(*drain_until))
        *drain_until = clock_add(clock_now(), LOCK_DRAIN_MS);
    if (library.stop)
        go_on = (library.holdings || keeper_count(library.keeper) > 0) &&
                clock_left_ms(*drain_until, clock_now()) > 0;
    if (library.stop_now)
        go_on = false;
    pthread_mutex_unlock(&library.mutex);
    return go_on;
}

static void *keep(void *arg)
{
    struct clock_time drain_until = clock_never();
    uint64_t count;

    (void)arg;
    while (do_queue(&drain_until)) {
        int64_t ms = clock_is_never(drain_until) ? IDLE_RUN_MS : DRAIN_RUN_MS;

        if (keeper_run(library.keeper, library.wake, ms) &&
            read(library.wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
            break; /* the program closed our descriptor: leases lapse */
    }
    return NULL;
}

/* ---- start and end; with library.start held ---- */

static void close_keeper(void)
{
    static const struct justalock_error gone = {
        .status = JUSTALOCK_NET, .text = "the process is exiting"};
    struct holding *h;

    keeper_free(library.keeper);
    library.keeper = NULL;
    (void)close(library.wake);
    library.wake = -1;
    library.todo = NULL;
    library.todo_end = &library.todo;
    while ((h = library.holdings)) {
        if (h->lock && h->lock->state == LOCK_HELD)
            lock_lose_holding(h, gone.text);
        lock_finish(h, &gone);
        free_holding(h);
    }
}

static void stop_thread(bool now)
{
    if (!library.running)
        return;
    pthread_mutex_lock(&library.mutex);
    library.stop = true;
    library.stop_now = now;
    wake();
    pthread_mutex_unlock(&library.mutex);
    (void)pthread_join(library.thread, NULL); /* ours, joined once */
    pthread_mutex_lock(&library.mutex);
    library.running = false;
    close_keeper();
    pthread_mutex_unlock(&library.mutex);
}

static enum justalock_status create_thread(struct justalock_error *err)
{
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sigfillset(&all);
    rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc != 0)
        return error_sys(err, rc, "block signals for the keeper thread");
    rc = pthread_create(&library.thread, NULL, keep, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* as just above */
    if (rc != 0)
        return error_sys(err, rc, "start the keeper thread");
    return JUSTALOCK_OK;
}

static enum justalock_status start_thread(struct justalock_error *err)
{
    enum justalock_status st;

    library.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (library.wake < 0)
        return error_sys(err, errno, "eventfd");
    st = keeper_new(on_event, NULL, &library.keeper, err);
    if (st == JUSTALOCK_OK) {
        library.stop = false;
        library.stop_now = false;
        st = create_thread(err);
    }
    if (st != JUSTALOCK_OK) {
        keeper_free(library.keeper);
        library.keeper = NULL;
        (void)close(library.wake);
        library.wake = -1;
        return st;
    }
    library.running = true;
    return JUSTALOCK_OK;
}

/* OpenSSL tears itself down at exit: our thread must be gone before. */
static void at_exit(void)
{
    pthread_mutex_lock(&library.start);
    library.exiting = true;
    stop_thread(true);
    pthread_mutex_unlock(&library.start);
}

/* ---- fork ---- */

static void before_fork(void)
{
    pthread_mutex_lock(&library.start);
    pthread_mutex_lock(&library.mutex);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&library.mutex);
    pthread_mutex_unlock(&library.start);
}

/*
 * The descriptor is shared with the parent: put one of our own in its place,
 * which is readable for ever.
 */
static void kill_handle(struct justalock *lock)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);

    lock->dead = true;
    lock->holding = NULL; /* the parent's */
    (void)pthread_cond_init(&lock->changed, NULL);
    if (fd < 0) {
        /* Out of descriptors: the one that goes makes room for it. */
        (void)close(lock->fd);
        lock->fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        lock_arm(lock);
        return;
    }
    if (dup3(fd, lock->fd, O_CLOEXEC) >= 0)
        lock_arm(lock);
    (void)close(fd);
}

static void after_fork_child(void)
{
    struct justalock *lock;

    (void)pthread_mutex_init(&library.start, NULL);
    (void)pthread_mutex_init(&library.mutex, NULL);
    for (lock = library.handles; lock; lock = lock->next)
        kill_handle(lock);
    /* Freeing the keeper would speak on the parent's connections. */
    if (library.running) {
        library.parents_keeper = library.keeper;
        library.parents_holdings = library.holdings;
        library.parents_queries = library.queries;
        (void)close(library.wake);
    }
    library.running = false;
    library.keeper = NULL;
    library.wake = -1;
    library.handles = NULL;
    library.holdings = NULL;
    library.queries = NULL;
    library.todo = NULL;
    library.todo_end = &library.todo;
}

/* ---- what lock.c calls ---- */

static enum justalock_status prepare(struct justalock_error *err)
{
    int rc;

    if (library.prepared)
        return JUSTALOCK_OK;
    rc = pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    if (rc != 0)
        return error_sys(err, rc, "pthread_atfork");
    library.prepared = true;
    return JUSTALOCK_OK;
}

enum justalock_status library_add(struct justalock *lock,
                                  struct justalock_error *err)
{
    enum justalock_status st;

    pthread_mutex_lock(&library.start);
    st = prepare(err);
    if (st == JUSTALOCK_OK) {
        pthread_mutex_lock(&library.mutex);
        lock->next = library.handles;
        if (lock->next)
            lock->next->prev = lock;
        library.handles = lock;
        pthread_mutex_unlock(&library.mutex);
    }
    pthread_mutex_unlock(&library.start);
    return st;
}

void library_remove(struct justalock *lock)
{
    bool last;

    pthread_mutex_lock(&library.start);
    pthread_mutex_lock(&library.mutex);
    if (lock->holding)
        library_drop(lock->holding);
    if (lock->prev)
        lock->prev->next = lock->next;
    else
        library.handles = lock->next;
    if (lock->next)
        lock->next->prev = lock->prev;
    last = !library.handles;
    pthread_mutex_unlock(&library.mutex);
    if (last)
        stop_thread(false);
    pthread_mutex_unlock(&library.start);
}

enum justalock_status library_start(struct justalock_error *err)
{
    static bool at_exit_set; /* with library.start held */
    enum justalock_status st = JUSTALOCK_OK;

    pthread_mutex_lock(&library.start);
    if (library.exiting)
        st = error_set(err, JUSTALOCK_STATE, "the process is exiting");
    else if (!library.running)
        st = start_thread(err);
    /* After keeper_new, so after libcurl's and OpenSSL's own: ours is first. */
    if (st == JUSTALOCK_OK && !at_exit_set)
        at_exit_set = atexit(at_exit) == 0;
    pthread_mutex_unlock(&library.start);
    return st;
}
