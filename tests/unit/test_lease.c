/* SPDX-License-Identifier: MIT */
/*
 * test_lease.c - lease.c while the lock is asked for, after a restart, at the
 * end, and on answers that nobody waits for. Beside it: test_lease_times.c,
 * test_lease_held.c, test_lease_model.c.
 */
#include "lease_walk.h"

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
        cmocka_unit_test(test_grant),
        cmocka_unit_test(test_refresh_jitter),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_asking_fails),
        cmocka_unit_test(test_asking_rejected),
        cmocka_unit_test(test_asking_retry_after),
        cmocka_unit_test(test_late_grant),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_final),
        cmocka_unit_test(test_stray_answers),
        cmocka_unit_test(test_attempt_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
