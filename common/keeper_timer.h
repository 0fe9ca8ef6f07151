/* SPDX-License-Identifier: MIT */
/*
 * keeper_timer.h - what is due when, for any number of things. A time is due
 * when either of its two clocks says so, hence two heaps, one a clock.
 */
#ifndef COMMON_KEEPER_TIMER_H
#define COMMON_KEEPER_TIMER_H

#include <stdbool.h>
#include <stddef.h>

#include "clock.h"

struct timer {
    struct clock_time due;
    size_t at[2]; /* place in each heap, from 1; 0: not set */
};

struct timers {
    struct timer **heap[2];
    size_t len;
    size_t cap;
};

/* Room for `count` timers, so that setting one cannot fail. */
bool timers_reserve(struct timers *ts, size_t count);
void timers_done(struct timers *ts);

/* Set or move; clock_never() clears. */
void timer_set(struct timers *ts, struct timer *t, struct clock_time due);

/* One that is due, cleared; NULL: none. */
struct timer *timers_due(struct timers *ts, struct clock_time now);

/* When the next one is due, by either clock. */
struct clock_time timers_next(const struct timers *ts);

#endif
