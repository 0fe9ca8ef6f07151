/* SPDX-License-Identifier: MIT */
/*
 * lease_walk.h - a lease of 60 s on a fake pair of clocks, for the tests of
 * lease.c.
 */
#ifndef TESTS_UNIT_LEASE_WALK_H
#define TESTS_UNIT_LEASE_WALK_H

#include "lease.h"
#include "test.h"

#define MID 32768 /* jitter: the middle */
#define MAX 65535

/* The fake clock. */
static struct clock_time now;

/* Time goes by on both clocks. */
static inline void walk(int64_t ms)
{
    now = clock_add(now, ms);
}

static inline void walk_to(struct clock_time t)
{
    walk(clock_left_ms(t, now));
}

static inline struct lease_times filled(unsigned life_s, bool has_features)
{
    struct lease_times t = {.life_s = life_s};
    struct justalock_error err;

    assert_ok(lease_times_fill(&t, has_features, &err), err);
    return t;
}

/* A new lease of 60 s: D 58690, KILL 57690, TERM 52690, refresh 20000. */
static inline struct lease asking(void)
{
    struct lease_times t = filled(60, false);
    struct lease l;

    now = (struct clock_time){.boot_ms = 5000000, .raw_ms = 3000000};
    lease_init(&l, &t);
    return l;
}

static inline enum lease_verdict answer(struct lease *l, enum lease_answer a)
{
    return lease_answered(l, a, now, -1, MID);
}

/* One that was granted after 10 ms. */
static inline struct lease held(void)
{
    struct lease l = asking();

    lease_attempt(&l, now);
    walk(10);
    assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_GRANTED);
    return l;
}

static inline int64_t until_next(const struct lease *l)
{
    return clock_left_ms(l->next, now);
}

static inline void assert_same_time(struct clock_time a, struct clock_time b)
{
    assert_int_equal(a.boot_ms, b.boot_ms);
    assert_int_equal(a.raw_ms, b.raw_ms);
}

static inline void assert_lost(const struct lease *l, const char *why)
{
    assert_int_equal(l->state, LEASE_LOST);
    assert_false(l->in_flight);
    assert_true(clock_is_never(l->next));
    assert_has(lease_loss(l), why);
}

#endif
