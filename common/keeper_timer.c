/* SPDX-License-Identifier: MIT */
/*
 * keeper_timer.c - two binary heaps over the same timers, one for each clock.
 * Reads no clock.
 */
#include "keeper_timer.h"

#include <stdlib.h>

static int64_t key(const struct timer *t, int clock)
{
    return clock == 0 ? t->due.boot_ms : t->due.raw_ms;
}

bool timers_reserve(struct timers *ts, size_t count)
{
    size_t cap = ts->cap ? ts->cap : 16;

    if (count <= ts->cap)
        return true;
    while (cap < count)
        cap *= 2;
    for (int c = 0; c < 2; c++) {
        struct timer **heap = realloc(ts->heap[c], cap * sizeof(*heap));

        if (!heap)
            return false;
        ts->heap[c] = heap;
    }
    ts->cap = cap;
    return true;
}

void timers_done(struct timers *ts)
{
    free(ts->heap[0]);
    free(ts->heap[1]);
    *ts = (struct timers){.len = 0};
}

static void put(struct timers *ts, int c, size_t at, struct timer *t)
{
    ts->heap[c][at] = t;
    t->at[c] = at + 1;
}

static void sift_up(struct timers *ts, int c, size_t at)
{
    struct timer *t = ts->heap[c][at];

    while (at > 0) {
        size_t parent = (at - 1) / 2;

        if (key(ts->heap[c][parent], c) <= key(t, c))
            break;
        put(ts, c, at, ts->heap[c][parent]);
        at = parent;
    }
    put(ts, c, at, t);
}

static void sift_down(struct timers *ts, int c, size_t at)
{
    struct timer *t = ts->heap[c][at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= ts->len)
            break;
        if (child + 1 < ts->len &&
            key(ts->heap[c][child + 1], c) < key(ts->heap[c][child], c))
            child++;
        if (key(t, c) <= key(ts->heap[c][child], c))
            break;
        put(ts, c, at, ts->heap[c][child]);
        at = child;
    }
    put(ts, c, at, t);
}

static void clear(struct timers *ts, struct timer *t)
{
    if (t->at[0] == 0)
        return;
    ts->len--;
    for (int c = 0; c < 2; c++) {
        size_t at = t->at[c] - 1;
        struct timer *last = ts->heap[c][ts->len];

        t->at[c] = 0;
        if (last == t)
            continue;
        put(ts, c, at, last);
        sift_up(ts, c, at);
        sift_down(ts, c, last->at[c] - 1);
    }
}

void timer_set(struct timers *ts, struct timer *t, struct clock_time due)
{
    clear(ts, t);
    if (clock_is_never(due))
        return;
    t->due = due;
    for (int c = 0; c < 2; c++)
        put(ts, c, ts->len, t);
    ts->len++;
    for (int c = 0; c < 2; c++)
        sift_up(ts, c, ts->len - 1);
}

struct timer *timers_due(struct timers *ts, struct clock_time now)
{
    for (int c = 0; c < 2; c++) {
        struct timer *t = ts->len > 0 ? ts->heap[c][0] : NULL;

        if (t && clock_left_ms(t->due, now) <= 0) {
            clear(ts, t);
            return t;
        }
    }
    return NULL;
}

struct clock_time timers_next(const struct timers *ts)
{
    if (ts->len == 0)
        return clock_never();
    return clock_min(ts->heap[0][0]->due, ts->heap[1][0]->due);
}
