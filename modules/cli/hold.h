/* SPDX-License-Identifier: MIT */
/*
 * hold.h - one lock through a justalock-keeper of our own: started, asked,
 * replaced when it dies or hangs. Knows nothing of the work.
 */
#ifndef CLI_HOLD_H
#define CLI_HOLD_H

#include <sys/types.h>

#include "keeper_wire.h"

#define HOLD_USER_MAX 64 /* bytes */

struct hold {
    char keeper_user[HOLD_USER_MAX + 1]; /* whom it becomes; "": default */
    struct keeper_service service;
    struct keeper_lock lock;
    struct lease_times times; /* filled; margin by what the service is */
    int64_t wait_ms;
    struct clock_time begun; /* of the wait */

    int fd;    /* channel to the keeper; -1: none at present */
    pid_t pid; /* of the keeper */
    int pidfd; /* -1 where the kernel has none */
    bool is_our_child;

    bool is_held;
    bool is_releasing;
    bool has_features;          /* the service named some */
    struct clock_time t0;       /* of the last success */
    unsigned deaths;            /* of keepers, in a row */
    struct clock_time again_at; /* start the next one; never: it runs */
    struct clock_time check_at; /* no refresh by then: does it live? */
    bool is_checking;
};

enum hold_news {
    HOLD_NOTHING,
    HOLD_EVENT, /* ret_event is filled */
    HOLD_FAILED /* no keeper can be started: err */
};

/* Start a keeper with nothing to do yet: as early as possible, since it
 * loads much. The caller becomes its parent. */
enum justalock_status hold_start(struct hold *h, struct justalock_error *err)
    JUSTALOCK_MUST;
/* Ask for the lock with the keeper that runs. */
enum justalock_status hold_acquire(struct hold *h, struct justalock_error *err)
    JUSTALOCK_MUST;
/* The next piece of news; HOLD_NOTHING when there is none now. */
enum hold_news hold_next(struct hold *h, struct keeper_event *ret_event,
                         struct justalock_error *err);
/* What is due by time: check a silent keeper, start another one. */
enum hold_news hold_tick(struct hold *h, struct justalock_error *err);
struct clock_time hold_due(const struct hold *h);
/* Until when the lock is ours, by the last success. */
struct clock_time hold_deadline(const struct hold *h);
/* Give it back, or abandon the wait: ends in KEEPER_RELEASED. false: there is
 * no keeper to tell. */
bool hold_release(struct hold *h, int64_t limit_ms);
/* The caller reaped this pid: was it our keeper? */
bool hold_reaped(struct hold *h, pid_t pid);
/* Close the channel: the keeper ends. */
void hold_close(struct hold *h);

/* What a service shows of a lock: one, or one for each holder of a pool. */
struct hold_views {
    size_t len;
    struct keeper_view v[JUSTALOCK_SLOTS_MAX];
};

/* Ask what the service shows of a lock, with a keeper of its own, which
 * becomes `user`, and wait for the answer. */
enum justalock_status hold_query(const struct keeper_service *service,
                                 const char *user, const struct lock_id *id,
                                 int64_t limit_ms, struct hold_views *ret_views,
                                 struct justalock_error *err) JUSTALOCK_MUST;

#endif
