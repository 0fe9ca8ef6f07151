/* SPDX-License-Identifier: MIT */
/*
 * watch.h - the parts of the watch: watch.c is its loop, watch_rows ends work
 * by the table, watch_children starts guard and keeper and the sockets.
 */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include "agent.h"
#include "deadlines.h"
#include "notify.h"

/* A process of ours that is to be there. */
struct child {
    const char *name;
    _Atomic uint64_t *key; /* in the table */
    int pidfd;             /* -1: not running */
    unsigned deaths;       /* in quick succession */
    struct clock_time started;
    struct clock_time again; /* not before */
};

struct watch {
    const struct agent_options *o;
    struct table table;
    int signal_fd;
    int timer_fd;
    int nudge_fd; /* the guard changed a deadline */
    int news_fd;  /* the watch changed a row */
    int listen_fd;
    struct child guard, keeper;
    uint64_t beat_seen; /* the guard's */
    struct clock_time beat_at;
    unsigned beat_looks;
    struct notify_watchdog watchdog;
    bool is_inherited; /* listen_fd is systemd's */
    bool is_ready;
    bool is_stopping;
    bool is_leftover;
    int exit_code;
};

/* ---- watch_rows.c ---- */

/*
 * One pass over the table: end what is due. Returns the milliseconds until it
 * has to be called again; *ret_next is the earliest TERM of a row, for a
 * timer that counts suspend.
 */
int64_t watch_rows(struct watch *w, struct clock_time *ret_next);

/* ---- watch_children.c ---- */

enum justalock_status watch_listen(struct watch *w, struct justalock_error *err)
    JUSTALOCK_MUST;
/* Start what is not running and due; notice what has died or stopped. */
void watch_children(struct watch *w);
/* End both and wait for it, bounded. */
void watch_end_children(struct watch *w);
/* What an earlier watch has left: end its guard, keep its keeper. */
void watch_take_over(struct watch *w);

#endif
