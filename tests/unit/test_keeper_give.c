/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_give.c - what is given back, when, and what happens to what was
 * still on its way.
 */
#include "keeper_rig.h"

static void test_base_reusable_lapses(void **state)
{
    struct rig r;
    struct keeper_lock lock;
    struct justalock_error err;

    (void)state;
    rig_up(&r, base);
    make_lock(&lock, 60);
    lock.reusable_client = true;
    assert_ok(keeper_acquire(r.k, 1, &r.service, &lock, 0, &err), err);
    await(&r, KEEPER_GRANTED, LONG_MS);
    keeper_release(r.k, 1, 1000);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    assert_int_equal(fake_count(r.f), 1);
    rig_down(&r);
}

/* ---- release under way ---- */

static void silent_refresh(void *arg, const struct fake_request *q,
                           struct fake_step *s)
{
    struct rig *r = arg;

    if (strcmp(q->method, "DELETE") == 0) {
        say(s, 200, FEATURES);
        return;
    }
    if (r->mode == 0)
        say_held(s, "new");
    if (r->n++ > 0) {
        s->way = r->mode == 0 ? FAKE_SILENT : FAKE_ANSWER;
        s->delay_ms = r->mode == 0 || strstr(q->target, "?s=1") ? 0 : 250;
    }
}

static void test_release_in_flight(void **state)
{
    struct rig r;
    struct clock_time begin;

    (void)state;
    rig_up(&r, silent_refresh);
    acquire(&r, 1, 3, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    await_requests(&r, 2);
    begin = clock_now();
    keeper_release(r.k, 1, 2000);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    assert_true(clock_elapsed_ms(begin, clock_now()) < 200);
    expect_request(&r, 2, "DELETE", TARGET);
    rig_down(&r);
}

/* On a base service s=1 goes out only when nothing else is on its way. */
static void test_base_release_in_flight(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, silent_refresh);
    r.mode = 1;
    acquire(&r, 1, 3, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    await_requests(&r, 2);
    keeper_release(r.k, 1, 2000);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    assert_int_equal(fake_count(r.f), 3);
    expect_request(&r, 2, "POST", TARGET_S("1"));
    assert_true(clock_elapsed_ms(request(&r, 1).at, request(&r, 2).at) >= 245);
    rig_down(&r);
}

static void no_release(void *arg, const struct fake_request *q,
                       struct fake_step *s)
{
    struct rig *r = arg;

    good(arg, q, s);
    if (strcmp(q->method, "DELETE") == 0 && r->mode-- > 0)
        say(s, 500, "");
}

static void test_release_retried(void **state)
{
    struct rig r;
    struct clock_time begin;

    (void)state;
    rig_up(&r, no_release);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    r.mode = 2;
    keeper_release(r.k, 1, 2000);
    keeper_release(r.k, 1, 2000); /* once is enough */
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    assert_int_equal(fake_count_method(r.f, "DELETE"), 3);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    r.mode = 1000;
    begin = clock_now();
    keeper_release(r.k, 1, 600);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status,
                     JUSTALOCK_NET);
    assert_in_range(clock_elapsed_ms(begin, clock_now()), 590, 1000);
    rig_down(&r);
}

/* Past its end the lease lapses: a POST would take the lock once more. */
static void test_base_release_ends_with_the_lease(void **state)
{
    struct rig r;
    struct clock_time until;
    unsigned n;

    (void)state;
    rig_up(&r, base);
    acquire(&r, 1, 2, -1);
    until = clock_add(await(&r, KEEPER_GRANTED, LONG_MS)->t0, 2000);
    r.mode = 503;
    keeper_release(r.k, 1, LONG_MS);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    n = fake_count(r.f);
    assert_true(n > 2); /* it was tried, and again */
    assert_not_later(request(&r, n - 1).at, until);
    rig_down(&r);
}

/* The first POST may have been applied, but its answer never came. */
static void first_unheard(void *arg, const struct fake_request *q,
                          struct fake_step *s)
{
    struct rig *r = arg;

    if (r->n++ == 0)
        s->way = FAKE_DROP;
    else if (r->mode == 0)
        good(arg, q, s);
}

static void abandon_unheard(int mode, bool reusable)
{
    struct rig r;
    struct keeper_lock lock;
    struct justalock_error err;

    rig_up(&r, first_unheard);
    r.mode = mode;
    make_lock(&lock, 60);
    lock.reusable_client = reusable;
    lock.times.attempt_ms = 60; /* less than the pause before a retry */
    assert_ok(keeper_acquire(r.k, 1, &r.service, &lock, 0, &err), err);
    assert_int_equal(await(&r, KEEPER_TIMEOUT, LONG_MS)->status, JUSTALOCK_NET);
    await_idle(&r, LONG_MS);
    if (reusable) {
        assert_int_equal(fake_count(r.f), 1);
    } else {
        /* s=1 also shows what service it is. */
        expect_request(&r, 1, "POST", TARGET_S("1"));
        expect_request(&r, fake_count(r.f) - 1, mode == 0 ? "DELETE" : "POST",
                       mode == 0 ? TARGET : TARGET_S("1"));
    }
    rig_down(&r);
}

static void test_abandon_unheard(void **state)
{
    (void)state;
    abandon_unheard(0, false);
    abandon_unheard(1, false);
    abandon_unheard(0, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_reusable_lapses),
        cmocka_unit_test(test_release_in_flight),
        cmocka_unit_test(test_base_release_in_flight),
        cmocka_unit_test(test_release_retried),
        cmocka_unit_test(test_base_release_ends_with_the_lease),
        cmocka_unit_test(test_abandon_unheard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
