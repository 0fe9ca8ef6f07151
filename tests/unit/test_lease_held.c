/* SPDX-License-Identifier: MIT */
/*
 * test_lease_held.c - lease.c while the lock is held: each answer before and
 * after each moment, retries to the end, suspend and slewing.
 */
#include "lease_walk.h"

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

/* Several servers, one after the other: one failure, and no pause before the
 * next of them; none begins from TERM on. */
static void test_elsewhere(void **state)
{
    struct lease l = held();

    (void)state;
    walk_to(l.next);
    for (int round = 0; round < 3; round++) {
        for (int server = 0; server < 3; server++) {
            lease_attempt(&l, now);
            walk(5);
            assert_int_equal(answer(&l, LEASE_ANSWER_RETRY),
                             LEASE_VERDICT_WAIT);
            if (server == 2)
                break;
            lease_elsewhere(&l, now);
            assert_true(until_next(&l) == 0);
            assert_int_equal(l.failures, round);
        }
        assert_true(l.ambiguous);
        assert_int_equal(l.failures, round + 1);
        assert_true(until_next(&l) >= 75);
        walk_to(l.next);
    }
    walk_to(clock_add(lease_term_at(&l.times, l.deadline), -1));
    lease_attempt(&l, now);
    walk(1);
    assert_int_equal(answer(&l, LEASE_ANSWER_RETRY), LEASE_VERDICT_WAIT);
    lease_elsewhere(&l, now);
    assert_same_time(l.next, l.deadline);
    walk_to(l.deadline);
    assert_int_equal(lease_tick(&l, now), LEASE_VERDICT_LOST);
    lease_elsewhere(&l, now);
    assert_true(clock_is_never(l.next));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_lost_at_once),
        cmocka_unit_test(test_answer_after_deadline),
        cmocka_unit_test(test_answer_before_deadline),
        cmocka_unit_test(test_attempt_after_term),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_retry_jitter),
        cmocka_unit_test(test_retry_cap),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_success_after_failures),
        cmocka_unit_test(test_held_retry_after),
        cmocka_unit_test(test_suspend),
        cmocka_unit_test(test_slew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
