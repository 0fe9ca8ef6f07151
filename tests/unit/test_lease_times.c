/* SPDX-License-Identifier: MIT */
/*
 * test_lease_times.c - lease.c: the times of every lifetime, and those that are
 * refused.
 */
#include "lease_walk.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_times),
        cmocka_unit_test(test_every_lifetime),
        cmocka_unit_test(test_times_refused),
        cmocka_unit_test(test_times_at_the_edge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
