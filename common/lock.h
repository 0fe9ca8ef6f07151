/* SPDX-License-Identifier: MIT */
/*
 * lock.h - what the files behind justalock.h share: a handle, one holding of
 * it, and what the keeper thread is asked to do.
 *
 * One mutex (library.mutex) guards all that is written here but the keeper
 * itself, which is the thread's alone. A holding is freed by the thread only.
 */
#ifndef COMMON_LOCK_H
#define COMMON_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "keeper.h"

/* What is not answered this long after its own limit: the thread is stuck. */
#define LOCK_SLACK_MS   5000
#define LOCK_RELEASE_MS 4000 /* with the above: no release beyond 9 s */
#define LOCK_DRAIN_MS   1000 /* for what is being given back at the end */
#define LOCK_PAUSE_MS   1000 /* CLOCK_MONOTONIC stops in suspend: look again */

struct justalock_options {
    struct keeper_service service;
    uint8_t client[JUSTALOCK_CLIENT_MAX];
    size_t client_len; /* 0: a random one for each holding */
    char label[JUSTALOCK_LABEL_MAX + 1];
    struct lease_times times; /* life_s and refresh_ms */
    unsigned slots;           /* 1: no pool */
};

enum lock_state {
    LOCK_IDLE,
    LOCK_ASKING,
    LOCK_HELD,
    LOCK_LOST,
    LOCK_RELEASING
};

/* How a call that waits for the thread ended; lives in the caller's frame. */
struct outcome {
    bool done;
    struct justalock_error error; /* status OK: no text */
};

/* What is handed to the keeper, until it is. */
struct ask {
    struct keeper_service service;
    struct keeper_lock lock;
    int64_t wait_ms;
};

/* One acquisition and what follows from it. Its address is its number with
 * the keeper. */
struct holding {
    struct holding *prev, *next; /* library.holdings */
    struct holding *next_todo;
    bool queued;            /* in library.todo */
    bool final;             /* the keeper has forgotten it */
    bool release;           /* to be given back */
    bool once;              /* asked with wait_ms 0 */
    struct ask *ask;        /* NULL: handed over */
    struct justalock *lock; /* NULL: given up, nobody waits */
    struct outcome *acquirer;
    struct outcome *releaser;
};

/* One justalock_query_slots(). */
struct query {
    struct query *next; /* in library.queries, until the thread takes it */
    struct justalock *lock;
    struct keeper_service service;
    struct lock_id id;
    int64_t limit_ms;
    bool done;
    bool known;     /* the service can tell */
    bool abandoned; /* nobody waits: the thread frees it */
    struct justalock_error error;
    size_t held; /* holders, more than max perhaps */
    size_t len, max;
    struct justalock_view views[];
};

struct justalock {
    struct justalock *prev, *next; /* library.handles */
    struct justalock_options options;
    struct lock_id id;
    struct lease_times base_times;     /* filled for a base service */
    struct lease_times features_times; /* filled for one with features */

    bool dead; /* made before a fork() of which we are the child */
    enum lock_state state;
    struct holding *holding; /* ASKING, HELD, LOST, RELEASING */
    struct clock_time deadline;
    bool has_token;
    uint64_t token;
    bool has_slot;
    unsigned slot;
    bool refused;
    struct justalock_holder holder;
    struct justalock_error trouble; /* status OK: none */
    char loss[240];
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    int fd;                 /* timerfd: readable while lost */
};

struct library {
    pthread_mutex_t start; /* starting and stopping; taken before mutex */
    pthread_mutex_t mutex;
    bool prepared; /* fork and exit handlers are registered */
    bool exiting;
    bool running;
    bool stop;     /* with mutex: end when all is given back */
    bool stop_now; /* with mutex: end */
    pthread_t thread;
    int wake; /* eventfd */
    struct keeper *keeper;
    struct justalock *handles;
    struct holding *holdings;
    struct holding *todo, **todo_end;
    struct query *queries;
    /* What the parent's thread had when we were forked: never touched, kept
     * so that it is not taken for a leak. */
    struct keeper *parents_keeper;
    struct holding *parents_holdings;
    struct query *parents_queries;
};
extern struct library library;

/* ---- lock_thread.c ---- */

/* Register a new handle / take it away; the last one stops the thread. */
enum justalock_status library_add(struct justalock *lock,
                                  struct justalock_error *err) JUSTALOCK_MUST;
void library_remove(struct justalock *lock);
/* Start the thread where there is none. */
enum justalock_status library_start(struct justalock_error *err) JUSTALOCK_MUST;

/* With library.mutex held: */
void library_queue(struct holding *h);
void library_ask(struct query *q);
/* Give a holding back with nobody waiting for it. */
void library_drop(struct holding *h);

/* ---- lock_view.c: with library.mutex held ---- */
void lock_view_add(struct query *q, const struct keeper_view *view);

/* lock.c: STATE, of a handle that is dead since fork(). */
enum justalock_status lock_dead(struct justalock_error *err);

/* lock_view.c: ARG. */
enum justalock_status lock_bad_timeout(int64_t timeout_ms,
                                       struct justalock_error *err);

/* ---- lock_state.c: with library.mutex held ---- */

/* HELD becomes LOST when its deadline has passed. */
void lock_settle(struct justalock *lock);
void lock_lose(struct justalock *lock, const char *why);
/* The holding is over while its handle holds the lock: the two part. */
void lock_lose_holding(struct holding *h, const char *why);
void lock_set(struct justalock *lock, enum lock_state state);
/* Make the descriptor fit the state. */
void lock_arm(const struct justalock *lock);
/* Wait for a change, until `until` or LOCK_PAUSE_MS at most. */
void lock_pause(struct justalock *lock, struct clock_time until);
/* The keeper's event for a holding; true: the holding is over. */
bool lock_event(struct holding *h, const struct keeper_event *event);
/* Tell whoever waits for the holding how it ended. */
void lock_finish(struct holding *h, const struct justalock_error *result);

#endif
