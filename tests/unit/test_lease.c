/* SPDX-License-Identifier: MIT */
/*
 * test_lease.c - lease.c under a fake pair of clocks: the times of every
 * lifetime, each answer in each state before and after each moment, suspend
 * and slewing. The chance runs against a model are in test_lease_model.c.
 */
#include "lease.h"
#include "test.h"

#define MID 32768 /* jitter: the middle */
#define MAX 65535

static struct clock_time now;

/* Time goes by on both clocks. */
static void walk(int64_t ms)
{
    now = clock_add(now, ms);
}

static void walk_to(struct clock_time t)
{
    walk(clock_left_ms(t, now));
}

static struct lease_times filled(unsigned life_s, bool has_features)
{
    struct lease_times t = {.life_s = life_s};
    struct justalock_error err;

    assert_ok(lease_times_fill(&t, has_features, &err), err);
    return t;
}

/* A new lease of 60 s: D 58690, KILL 57690, TERM 52690, refresh 20000. */
static struct lease asking(void)
{
    struct lease_times t = filled(60, false);
    struct lease l;

    now = (struct clock_time){.boot_ms = 5000000, .raw_ms = 3000000};
    lease_init(&l, &t);
    return l;
}

static enum lease_verdict answer(struct lease *l, enum lease_answer a)
{
    return lease_answered(l, a, now, -1, MID);
}

/* One that was granted after 10 ms. */
static struct lease held(void)
{
    struct lease l = asking();

    lease_attempt(&l, now);
    walk(10);
    assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_GRANTED);
    return l;
}

static int64_t until_next(const struct lease *l)
{
    return clock_left_ms(l->next, now);
}

static void assert_same_time(struct clock_time a, struct clock_time b)
{
    assert_int_equal(a.boot_ms, b.boot_ms);
    assert_int_equal(a.raw_ms, b.raw_ms);
}

static void assert_lost(const struct lease *l, const char *why)
{
    assert_int_equal(l->state, LEASE_LOST);
    assert_false(l->in_flight);
    assert_true(clock_is_never(l->next));
    assert_has(lease_loss(l), why);
}

/* ---- the times -------------------------------------------------------- */

static void test_default_times(void **state)
{
    struct lease_times t = filled(60, false);

    (void)state;
    assert_int_equal(t.refresh_ms, 20000);
    assert_int_equal(t.margin_ms, 1250);
    assert_int_equal(t.grace_ms, 5000);
    assert_int_equal(t.kill_ms, 1000);
    assert_int_equal(t.attempt_ms, 2000);
    t = filled(60, true);
    assert_int_equal(t.margin_ms, 250);
    t = filled(2, false);
    assert_int_equal(t.margin_ms, 500);
    t = filled(1, false);
    assert_int_equal(t.margin_ms, 250);
    t = filled(5, false);
    assert_int_equal(t.margin_ms, 1250);
    t = filled(65535, false);
    assert_int_equal(t.refresh_ms, 21845000);
    assert_int_equal(t.grace_ms, 5000);
    assert_int_equal(t.kill_ms, 1000);
    assert_int_equal(t.attempt_ms, 2000);
}

/* What must hold for any times that were let through. */
static void assert_times_fit(const struct lease_times *t)
{
    struct clock_time t0 = {.boot_ms = 1000, .raw_ms = 7000};
    struct clock_time d = lease_deadline(t, t0);
    int64_t d_ms = clock_elapsed_ms(t0, d);
    int64_t term_ms = clock_elapsed_ms(t0, lease_term_at(t, d));
    int64_t kill_ms = clock_elapsed_ms(t0, lease_kill_at(t, d));
    int64_t life_ms = (int64_t)t->life_s * 1000;
    int64_t pause_ms = life_ms / 12 < 100 ? life_ms / 12 : 100;

    assert_int_equal(d_ms, life_ms - t->life_s - t->margin_ms);
    assert_int_equal(kill_ms, d_ms - t->kill_ms);
    assert_int_equal(term_ms, kill_ms - t->grace_ms);
    assert_true(t->refresh_ms > 0 && t->attempt_ms > 0);
    assert_true(t->refresh_ms * 11 / 10 + 2 * t->attempt_ms + pause_ms <=
                term_ms);
}

static void test_every_lifetime(void **state)
{
    (void)state;
    for (unsigned s = 1; s <= 65535; s++)
        for (int features = 0; features < 2; features++) {
            struct lease_times t = filled(s, features);

            assert_times_fit(&t);
            assert_true(t.margin_ms >= 250);
            assert_true(t.attempt_ms >= 50); /* a local service can answer */
            assert_true(t.refresh_ms <= (int64_t)s * 1000 / 3);
            if (s >= 14) {
                assert_int_equal(t.refresh_ms, (int64_t)s * 1000 / 3);
                assert_int_equal(t.attempt_ms, 2000);
            }
            /* Filled again: nothing changes. */
            assert_true(lease_times_fill(&t, features, NULL) == JUSTALOCK_OK);
            assert_times_fit(&t);
        }
}

static void fill_fails(struct lease_times t, const char *part)
{
    struct lease_times before = t;
    struct justalock_error err;

    assert_fails(lease_times_fill(&t, false, &err), JUSTALOCK_ARG, err, part);
    assert_memory_equal(&t, &before, sizeof(t));
    assert_int_equal(lease_times_fill(&t, false, NULL), JUSTALOCK_ARG);
}

#define TIMES(...) ((struct lease_times){__VA_ARGS__})

static void test_times_refused(void **state)
{
    (void)state;
    fill_fails(TIMES(.life_s = 0), "lifetime: 0 is not within 1 and 65535");
    fill_fails(TIMES(.life_s = 65536), "lifetime: 65536 is not within");
    fill_fails(TIMES(.life_s = UINT32_MAX), "is not within");
    fill_fails(TIMES(.life_s = 60, .refresh_ms = -1), "refresh: -1 ms");
    fill_fails(TIMES(.life_s = 60, .margin_ms = -1), "margin: -1 ms");
    fill_fails(TIMES(.life_s = 60, .grace_ms = INT64_MIN), "grace: ");
    fill_fails(TIMES(.life_s = 60, .kill_ms = -1), "kill: -1 ms");
    fill_fails(TIMES(.life_s = 60, .attempt_ms = -1), "attempt: -1 ms");
    fill_fails(TIMES(.life_s = 60, .refresh_ms = 60001),
               "refresh: 60001 ms is not within 0 and the lifetime, 60 s");
    fill_fails(TIMES(.life_s = 60, .grace_ms = INT64_MAX), "grace: ");
    fill_fails(TIMES(.life_s = 60, .refresh_ms = 50000),
               "a lifetime of 60 s: refresh 50000 ms and two attempts of "
               "2000 ms end at 59100 ms, TERM is due at 52690 ms (margin "
               "1250, kill 1000, grace 5000)");
    fill_fails(TIMES(.life_s = 60, .grace_ms = 58000), "do not fit");
    fill_fails(TIMES(.life_s = 60, .grace_ms = 30000, .refresh_ms = 25000),
               "do not fit");
    fill_fails(TIMES(.life_s = 60, .attempt_ms = 27000), "do not fit");
    fill_fails(TIMES(.life_s = 60, .kill_ms = 60000), "do not fit");
    fill_fails(TIMES(.life_s = 1, .margin_ms = 900), "do not fit");
}

/* Explicit times are kept to the millisecond, at the edge too. */
static void test_times_at_the_edge(void **state)
{
    struct lease_times t;
    struct justalock_error err;

    (void)state;
    /* 52690 = 1.1 * refresh + 2 * attempt + 100 */
    t = TIMES(.life_s = 60, .refresh_ms = 10000, .attempt_ms = 20795);
    assert_ok(lease_times_fill(&t, false, &err), err);
    assert_int_equal(t.refresh_ms, 10000);
    assert_int_equal(t.attempt_ms, 20795);
    fill_fails(TIMES(.life_s = 60, .refresh_ms = 10000, .attempt_ms = 20796),
               "do not fit");
    /* Nobody set the refresh: it makes room for a long grace. */
    t = TIMES(.life_s = 60, .grace_ms = 40000);
    assert_ok(lease_times_fill(&t, false, &err), err);
    assert_int_equal(t.grace_ms, 40000);
    assert_true(t.refresh_ms < 20000);
    assert_times_fit(&t);
    t = TIMES(.life_s = 60, .attempt_ms = 20000);
    assert_ok(lease_times_fill(&t, false, &err), err);
    assert_int_equal(t.attempt_ms, 20000);
    assert_times_fit(&t);
    t = TIMES(.life_s = 60, .refresh_ms = 45000);
    assert_ok(lease_times_fill(&t, false, &err), err);
    assert_int_equal(t.refresh_ms, 45000);
    assert_in_range(t.attempt_ms, 1000, 1999);
    assert_times_fit(&t);
}

/* ---- asking ----------------------------------------------------------- */

static void test_grant(void **state)
{
    static const enum lease_answer yes[] = {LEASE_ANSWER_HELD, LEASE_ANSWER_NEW,
                                            LEASE_ANSWER_RENEWED};

    (void)state;
    for (size_t i = 0; i < LENGTH(yes); i++) {
        struct lease l = asking();
        struct clock_time t0 = now;

        assert_int_equal(l.state, LEASE_IDLE);
        assert_true(until_next(&l) <= 0); /* due at once */
        assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_WAIT);
        assert_int_equal(l.state, LEASE_IDLE);
        lease_attempt(&l, now);
        assert_int_equal(l.state, LEASE_ASKING);
        assert_true(l.in_flight);
        walk(1500);
        assert_int_equal(answer(&l, yes[i]), LEASE_VERDICT_GRANTED);
        assert_int_equal(l.state, LEASE_HELD);
        assert_false(l.in_flight);
        /* All counts from t0, not from the answer. */
        assert_same_time(l.deadline, clock_add(t0, 58690));
        assert_same_time(l.next, clock_add(t0, 20000));
    }
}

/* L/3, 10 % earlier to 10 % later. */
static void test_refresh_jitter(void **state)
{
    (void)state;
    for (unsigned j = 0; j <= MAX; j++) {
        struct lease l = asking();

        lease_attempt(&l, now);
        (void)lease_answered(&l, LEASE_ANSWER_NEW, now, -1, (uint16_t)j);
        assert_in_range(until_next(&l), 18000, 22000);
        if (j == 0)
            assert_int_equal(until_next(&l), 18000);
        if (j == MAX)
            assert_int_equal(until_next(&l), 22000);
    }
}

/* 409: 0.25 s doubling to 2 s, 50 % less to 50 % more; never an end. */
static void test_busy(void **state)
{
    static const int64_t want[] = {250, 500, 1000, 2000, 2000, 2000};
    struct lease l = asking();

    (void)state;
    for (size_t i = 0; i < 6 * 1000; i++) {
        int64_t w = want[i < 5 ? i : 5];
        struct lease copy = l;

        lease_attempt(&copy, now);
        assert_int_equal(
            lease_answered(&copy, LEASE_ANSWER_CONFLICT, now, -1, 0),
            LEASE_VERDICT_BUSY);
        assert_int_equal(until_next(&copy), w / 2);
        copy = l;
        lease_attempt(&copy, now);
        (void)lease_answered(&copy, LEASE_ANSWER_CONFLICT, now, -1, MAX);
        assert_int_equal(until_next(&copy), w + w / 2);
        lease_attempt(&l, now);
        walk(3);
        assert_int_equal(answer(&l, LEASE_ANSWER_CONFLICT), LEASE_VERDICT_BUSY);
        assert_in_range(until_next(&l), w, w + 1);
        assert_int_equal(l.state, LEASE_ASKING);
        assert_false(l.ambiguous);
        walk_to(l.next);
        assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_WAIT);
    }
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_GRANTED);
    assert_int_equal(l.polls, 0);
}

/* No answer: 0.1 s doubling to 2 s; the lock may be ours unheard. */
static void test_asking_fails(void **state)
{
    static const int64_t want[] = {100, 200, 400, 800, 1600, 2000, 2000};
    struct lease l = asking();

    (void)state;
    for (size_t i = 0; i < LENGTH(want); i++) {
        lease_attempt(&l, now);
        walk(2000);
        assert_int_equal(lease_answered(&l, LEASE_ANSWER_RETRY, now, -1, MAX),
                         LEASE_VERDICT_WAIT);
        assert_int_equal(until_next(&l), want[i]);
        assert_true(l.ambiguous);
        assert_int_equal(l.failures, i + 1);
        walk_to(l.next);
    }
    /* A conflict does not prove that nothing of ours is under way... */
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_CONFLICT), LEASE_VERDICT_BUSY);
    assert_true(l.ambiguous);
    assert_int_equal(l.failures, 0);
    /* ...and "renewed" is a grant: counted from this attempt. */
    walk_to(l.next);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED), LEASE_VERDICT_GRANTED);
    assert_false(l.ambiguous);
    assert_same_time(l.deadline, clock_add(l.attempt, 58690));
}

static void test_asking_rejected(void **state)
{
    struct lease l = asking();

    (void)state;
    lease_attempt(&l, now);
    assert_int_equal(lease_answered(&l, LEASE_ANSWER_REJECT, now, -1, MAX),
                     LEASE_VERDICT_WAIT);
    assert_false(l.ambiguous); /* it was refused, not applied */
    assert_int_equal(until_next(&l), 100);
    assert_int_equal(l.state, LEASE_ASKING);
}

static void test_asking_retry_after(void **state)
{
    static const int64_t asked[] = {-1, 0, 50, 1000, 60000, 60001, INT64_MAX};
    static const int64_t given[] = {100, 100, 100, 1000, 60000, 60000, 60000};

    (void)state;
    for (size_t i = 0; i < LENGTH(asked); i++) {
        struct lease l = asking();

        lease_attempt(&l, now);
        assert_int_equal(
            lease_answered(&l, LEASE_ANSWER_RETRY, now, asked[i], MAX),
            LEASE_VERDICT_WAIT);
        assert_int_equal(until_next(&l), given[i]);
    }
}

/* A 200 when TERM would be due already is no grant; the next one decides. */
static void test_late_grant(void **state)
{
    static const enum lease_answer next[] = {
        LEASE_ANSWER_HELD, LEASE_ANSWER_NEW, LEASE_ANSWER_RENEWED};

    (void)state;
    for (size_t i = 0; i < LENGTH(next); i++) {
        struct lease l = asking();

        lease_attempt(&l, now);
        walk(52690); /* TERM */
        assert_int_equal(answer(&l, next[i]), LEASE_VERDICT_WAIT);
        assert_int_equal(l.state, LEASE_ASKING);
        assert_true(l.ambiguous);
        assert_true(until_next(&l) > 0);
        assert_true(until_next(&l) <= 100);
        walk_to(l.next);
        lease_attempt(&l, now);
        walk(52689);
        assert_int_equal(answer(&l, next[i]), LEASE_VERDICT_GRANTED);
        assert_same_time(l.deadline, clock_add(l.attempt, 58690));
        /* Long past the refresh: due at once. */
        assert_true(until_next(&l) <= 0);
    }
}

/* ---- held ------------------------------------------------------------- */

static void test_extend(void **state)
{
    struct lease l = held();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct clock_time t0;

        walk_to(l.next);
        assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_WAIT);
        assert_true(until_next(&l) <= 0);
        t0 = now;
        lease_attempt(&l, now);
        assert_int_equal(l.state, LEASE_HELD);
        walk(1999);
        assert_int_equal(
            answer(&l, i % 2 ? LEASE_ANSWER_RENEWED : LEASE_ANSWER_HELD),
            LEASE_VERDICT_EXTENDED);
        assert_same_time(l.deadline, clock_add(t0, 58690));
        assert_same_time(l.next, clock_add(t0, 20000));
        assert_int_equal(l.failures, 0);
    }
}

static void test_lost_at_once(void **state)
{
    struct lease l = held();

    (void)state;
    walk_to(l.next);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_CONFLICT), LEASE_VERDICT_LOST);
    assert_lost(&l, "another holds it");

    l = held();
    walk_to(l.next);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_LOST);
    assert_lost(&l, "granted anew");
    /* After an attempt that may have been applied, "new" is a loss too. */
    l = held();
    walk_to(l.next);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_RETRY), LEASE_VERDICT_WAIT);
    walk_to(l.next);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_LOST);
}

/* Whatever the answer: at D and after it, it proves nothing. */
static void test_answer_after_deadline(void **state)
{
    (void)state;
    for (int a = LEASE_ANSWER_HELD; a <= LEASE_ANSWER_REJECT; a++)
        for (int64_t late = 0; late < 3; late++) {
            struct lease l = held();

            walk_to(l.next);
            lease_attempt(&l, now);
            walk_to(l.deadline);
            walk(late);
            assert_int_equal(answer(&l, (enum lease_answer)a),
                             LEASE_VERDICT_LOST);
            assert_lost(&l, "before the lease ended");
        }
}

static void test_answer_before_deadline(void **state)
{
    struct lease l = held();

    (void)state;
    walk_to(l.next);
    lease_attempt(&l, now);
    walk_to(l.deadline);
    walk(-1);
    assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED), LEASE_VERDICT_EXTENDED);
    assert_true(until_next(&l) <= 0); /* the refresh is overdue */
}

/* Sent from TERM on: no continuity, though answered before D. */
static void test_attempt_after_term(void **state)
{
    for (int64_t ms = -1; ms <= 1; ms++) {
        struct lease l = held();

        (void)state;
        walk_to(lease_term_at(&l.times, l.deadline));
        walk(ms);
        lease_attempt(&l, now);
        walk(5);
        assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED),
                         ms < 0 ? LEASE_VERDICT_EXTENDED : LEASE_VERDICT_LOST);
        if (ms >= 0)
            assert_lost(&l, "before the work had to end");
    }
}

/* 0.1 s doubling to L/12 = 5 s, each attempt failing after `took`. Returns
 * how many were made before TERM; lost at D, not before. */
static int fail_until_lost(enum lease_answer a, int64_t took)
{
    struct lease l = held();
    struct clock_time term = lease_term_at(&l.times, l.deadline);
    int64_t want = 100;
    int n = 0;

    walk_to(l.next);
    while (clock_left_ms(l.next, now) <= 0 && clock_left_ms(term, now) > 0) {
        assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_WAIT);
        lease_attempt(&l, now);
        n++;
        walk(took);
        assert_int_equal(lease_answered(&l, a, now, -1, MAX),
                         LEASE_VERDICT_WAIT);
        assert_int_equal(l.state, LEASE_HELD);
        if (clock_left_ms(term, now) > want) {
            assert_int_equal(until_next(&l), want);
            walk_to(l.next);
        }
        want = want * 2 > 5000 ? 5000 : want * 2;
    }
    /* No other attempt before D. */
    assert_same_time(l.next, l.deadline);
    walk_to(l.deadline);
    walk(-1);
    assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_WAIT);
    walk(1);
    assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_LOST);
    assert_lost(&l, "could not be refreshed");
    return n;
}

static void test_retries(void **state)
{
    (void)state;
    assert_in_range(fail_until_lost(LEASE_ANSWER_RETRY, 2000), 6, 12);
    assert_in_range(fail_until_lost(LEASE_ANSWER_RETRY, 0), 9, 14);
    assert_in_range(fail_until_lost(LEASE_ANSWER_REJECT, 1), 9, 14);
}

static void test_retry_jitter(void **state)
{
    (void)state;
    for (unsigned j = 0; j <= MAX; j++) {
        struct lease l = held();

        walk_to(l.next);
        lease_attempt(&l, now);
        (void)lease_answered(&l, LEASE_ANSWER_RETRY, now, -1, (uint16_t)j);
        assert_in_range(until_next(&l), 75, 100);
        l.failures = 1000; /* no overflow after long trouble */
        lease_attempt(&l, now);
        (void)lease_answered(&l, LEASE_ANSWER_RETRY, now, -1, (uint16_t)j);
        assert_in_range(until_next(&l), 3750, 5000);
    }
}

/* The cap is L/12, for the shortest lifetimes too. */
static void test_retry_cap(void **state)
{
    static const unsigned lives[] = {1, 2, 12, 24, 300, 65535};

    (void)state;
    for (size_t i = 0; i < LENGTH(lives); i++) {
        struct lease_times t = filled(lives[i], false);
        struct lease l = asking();

        lease_init(&l, &t);
        lease_attempt(&l, now);
        assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_GRANTED);
        l.failures = 100;
        lease_attempt(&l, now);
        (void)lease_answered(&l, LEASE_ANSWER_RETRY, now, -1, MAX);
        assert_int_equal(until_next(&l), (int64_t)lives[i] * 1000 / 12);
    }
}

static void test_success_after_failures(void **state)
{
    struct lease l = held();

    (void)state;
    for (int i = 0; i < 5; i++) {
        walk_to(l.next);
        lease_attempt(&l, now);
        assert_int_equal(answer(&l, LEASE_ANSWER_RETRY), LEASE_VERDICT_WAIT);
    }
    assert_int_equal(l.failures, 5);
    assert_true(l.ambiguous);
    walk_to(l.next);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED), LEASE_VERDICT_EXTENDED);
    assert_int_equal(l.failures, 0);
    assert_false(l.ambiguous);
    assert_same_time(l.next, clock_add(l.attempt, 20000));
}

/* Retry-After counts while one attempt still fits in before TERM. */
static void test_held_retry_after(void **state)
{
    struct lease l = held();
    int64_t room;

    (void)state;
    walk_to(l.next);
    room = clock_left_ms(lease_term_at(&l.times, l.deadline), now) - 2000;
    assert_int_equal(room, 52690 - 20000 - 2000);
    for (int64_t ms = room - 1; ms <= room + 1; ms++) {
        struct lease copy = l;

        lease_attempt(&copy, now);
        (void)lease_answered(&copy, LEASE_ANSWER_RETRY, now, ms, MAX);
        assert_int_equal(until_next(&copy), ms < room ? ms : 100);
    }
    lease_attempt(&l, now);
    (void)lease_answered(&l, LEASE_ANSWER_REJECT, now, 7000, MAX);
    assert_int_equal(until_next(&l), 7000);
    walk(7000);
    lease_attempt(&l, now);
    (void)lease_answered(&l, LEASE_ANSWER_RETRY, now, INT64_MAX, MAX);
    assert_int_equal(until_next(&l), 200);
    lease_attempt(&l, now);
    (void)lease_answered(&l, LEASE_ANSWER_RETRY, now, 0, MAX);
    assert_int_equal(until_next(&l), 400); /* never sooner than our own */
}

/* ---- time jumps --------------------------------------------------------- */

static void test_suspend(void **state)
{
    struct lease l = held();

    (void)state;
    /* Asleep for 30 s before the refresh; were only one clock to know. */
    walk(10000);
    now.boot_ms += 30000;
    assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_WAIT);
    assert_true(until_next(&l) <= 0);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED), LEASE_VERDICT_EXTENDED);
    /* Asleep past TERM: no attempt is due any more, D is. */
    walk(10);
    now.boot_ms += 53000;
    assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_WAIT);
    assert_same_time(l.next, l.deadline);
    assert_true(until_next(&l) > 0);
    /* Asleep past D. */
    now.boot_ms += 60000;
    assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_LOST);
    assert_lost(&l, "could not be refreshed");
    /* Asleep with a refresh under way: its 200 comes too late. */
    l = held();
    walk_to(l.next);
    lease_attempt(&l, now);
    now.boot_ms += 3600000;
    assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED), LEASE_VERDICT_LOST);
    /* Asleep while asking: no grant for work that would end at once. */
    l = asking();
    lease_attempt(&l, now);
    now.boot_ms += 3600000;
    assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_WAIT);
    assert_int_equal(l.state, LEASE_ASKING);
}

/* BOOTTIME slewed slow by 8 %: the unslewed clock ends the lease. */
static void test_slew(void **state)
{
    struct lease l = held();
    int64_t went = 10;

    (void)state;
    while (lease_tick(&l, now) == LEASE_VERDICT_WAIT) {
        now.raw_ms += 25;
        now.boot_ms += 23;
        went += 25;
    }
    assert_int_equal(l.state, LEASE_LOST);
    assert_in_range(went, 58690, 58690 + 25);
}

/* ---- adopted ---------------------------------------------------------------
 */

static void test_adopt(void **state)
{
    struct lease_times t = filled(60, true); /* D 59690, TERM 53690 */
    struct clock_time t0 = {.boot_ms = 900000, .raw_ms = 700000};
    struct lease l;

    (void)state;
    now = clock_add(t0, 30000);
    lease_adopt(&l, &t, t0, now);
    assert_int_equal(l.state, LEASE_HELD);
    assert_same_time(l.deadline, clock_add(t0, 59690));
    assert_true(until_next(&l) <= 0); /* refreshed at once */
    assert_true(l.ambiguous);
    assert_false(l.in_flight);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED), LEASE_VERDICT_EXTENDED);
    /* Granted anew is a loss after a restart as ever. */
    lease_adopt(&l, &t, t0, now);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_NEW), LEASE_VERDICT_LOST);
    /* From TERM on there is nothing to refresh; from D on nothing to keep. */
    lease_adopt(&l, &t, t0, clock_add(t0, 53689));
    assert_same_time(l.next, clock_add(t0, 53689));
    lease_adopt(&l, &t, t0, clock_add(t0, 53690));
    assert_int_equal(l.state, LEASE_HELD);
    assert_same_time(l.next, l.deadline);
    lease_adopt(&l, &t, t0, clock_add(t0, 59689));
    assert_int_equal(l.state, LEASE_HELD);
    lease_adopt(&l, &t, t0, clock_add(t0, 59690));
    assert_lost(&l, "could not be refreshed");
    /* A t0 in the future, on either clock, counts from now. */
    now = t0;
    lease_adopt(&l, &t, clock_add(t0, 1000), now);
    assert_same_time(l.deadline, clock_add(t0, 59690));
    lease_adopt(&l, &t, (struct clock_time){.boot_ms = INT64_MIN}, now);
    assert_lost(&l, "could not be refreshed");
}

/* ---- what does not fit ------------------------------------------------- */

static void test_final(void **state)
{
    struct lease l = held();

    (void)state;
    assert_has(lease_loss(&l), "not lost");
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_CONFLICT), LEASE_VERDICT_LOST);
    assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_LOST);
    lease_attempt(&l, now);
    assert_int_equal(answer(&l, LEASE_ANSWER_RENEWED), LEASE_VERDICT_LOST);
    assert_int_equal(answer(&l, LEASE_ANSWER_HELD), LEASE_VERDICT_LOST);
    assert_lost(&l, "another holds it");
}

/* An answer that no attempt waits for (a duplicate) changes nothing. */
static void test_stray_answers(void **state)
{
    (void)state;
    for (int a = LEASE_ANSWER_HELD; a <= LEASE_ANSWER_REJECT; a++) {
        struct lease l = asking();
        struct clock_time deadline;

        assert_int_equal(answer(&l, (enum lease_answer)a), LEASE_VERDICT_WAIT);
        assert_int_equal(l.state, LEASE_IDLE);
        l = held();
        deadline = l.deadline;
        walk(1000);
        assert_int_equal(answer(&l, (enum lease_answer)a), LEASE_VERDICT_WAIT);
        assert_int_equal(l.state, LEASE_HELD);
        assert_same_time(l.deadline, deadline);
        walk_to(l.deadline);
        assert_int_equal(answer(&l, (enum lease_answer)a), LEASE_VERDICT_LOST);
    }
}

static void test_attempt_limit(void **state)
{
    struct lease l = asking();

    (void)state;
    assert_int_equal(lease_attempt_limit_ms(&l, now), 2000);
    l = held();
    assert_int_equal(lease_attempt_limit_ms(&l, now), 2000);
    walk_to(l.deadline);
    walk(-2001);
    assert_int_equal(lease_attempt_limit_ms(&l, now), 2000);
    walk(2);
    assert_int_equal(lease_attempt_limit_ms(&l, now), 1999);
    walk(1998);
    assert_int_equal(lease_attempt_limit_ms(&l, now), 1);
    walk(1);
    assert_int_equal(lease_attempt_limit_ms(&l, now), 1);
    walk(100000);
    assert_int_equal(lease_attempt_limit_ms(&l, now), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_times),
        cmocka_unit_test(test_every_lifetime),
        cmocka_unit_test(test_times_refused),
        cmocka_unit_test(test_times_at_the_edge),
        cmocka_unit_test(test_grant),
        cmocka_unit_test(test_refresh_jitter),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_asking_fails),
        cmocka_unit_test(test_asking_rejected),
        cmocka_unit_test(test_asking_retry_after),
        cmocka_unit_test(test_late_grant),
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_lost_at_once),
        cmocka_unit_test(test_answer_after_deadline),
        cmocka_unit_test(test_answer_before_deadline),
        cmocka_unit_test(test_attempt_after_term),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_retry_jitter),
        cmocka_unit_test(test_retry_cap),
        cmocka_unit_test(test_success_after_failures),
        cmocka_unit_test(test_held_retry_after),
        cmocka_unit_test(test_suspend),
        cmocka_unit_test(test_slew),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_final),
        cmocka_unit_test(test_stray_answers),
        cmocka_unit_test(test_attempt_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
