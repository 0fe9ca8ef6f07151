/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_ask.c - grants, refreshes, refusals and waits, each with a
 * service that says what the test tells it to.
 */
#include "keeper_rig.h"

/* ---- grant and release ---- */

static void test_base_grant(void **state)
{
    struct rig r;
    const struct keeper_event *e;
    struct fake_request q;

    (void)state;
    rig_up(&r, base);
    acquire(&r, 5, 60, 0);
    e = await(&r, KEEPER_GRANTED, LONG_MS);
    assert_int_equal(e->handle, 5);
    assert_false(e->has_features);
    assert_false(e->has_token);
    assert_false(e->was_renewed);
    expect_request(&r, 0, "POST", TARGET_S("60"));
    q = request(&r, 0);
    assert_int_equal(q.body_len, 8);
    assert_memory_equal(q.body, "client-1", 8);
    expect_header(&r, 0, "Justalock-Share", "0123456789abcdef");
    expect_header(&r, 0, "Justalock-Label", "job 7");
    expect_header(&r, 0, "Justalock-Wait", "(none)");
    expect_header(&r, 0, "Expect", "(none)");
    expect_header(&r, 0, "Authorization", "(none)");
    expect_header(&r, 0, "User-Agent", "justalock/" JUSTALOCK_VERSION);
    keeper_release(r.k, 5, 1000);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    expect_request(&r, 1, "POST", TARGET_S("1"));
    assert_int_equal(fake_count(r.f), 2);
    assert_int_equal(fake_connections(r.f), 1);
    assert_int_equal(keeper_count(r.k), 0);
    rig_down(&r);
}

static void test_extended_grant(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, good);
    memcpy(r.service.token, "s3cret", 7);
    acquire(&r, 1, 60, -1);
    e = await(&r, KEEPER_GRANTED, LONG_MS);
    assert_true(e->has_features);
    assert_true(e->has_token);
    assert_int_equal(e->token, 42);
    assert_false(e->was_renewed);
    expect_header(&r, 0, "Authorization", "Bearer s3cret");
    keeper_release(r.k, 1, 1000);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    expect_request(&r, 1, "DELETE", TARGET);
    expect_header(&r, 1, "Justalock-Share", "0123456789abcdef");
    expect_header(&r, 1, "Authorization", "Bearer s3cret");
    assert_memory_equal(request(&r, 1).body, "client-1", 8);
    r.n = 1; /* another share of this client id holds it */
    acquire(&r, 1, 60, -1);
    assert_true(await(&r, KEEPER_GRANTED, LONG_MS)->was_renewed);
    rig_down(&r);
}

static void late_answer(void *arg, const struct fake_request *q,
                        struct fake_step *s)
{
    good(arg, q, s);
    s->delay_ms = 300;
}

/* t0 is before the attempt: for the grant, the refresh, and the confirmation
 * of an offer. */
static void test_t0_is_before(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, late_answer);
    acquire(&r, 1, 4, -1);
    e = await(&r, KEEPER_GRANTED, LONG_MS);
    assert_not_later(e->t0, request(&r, 0).at);
    e = await(&r, KEEPER_EXTENDED, LONG_MS);
    assert_not_later(e->t0, request(&r, 1).at);
    assert_true(clock_elapsed_ms(request(&r, 0).at, e->t0) > 0);
    rig_down(&r);
}

static void drop_reused(void *arg, const struct fake_request *q,
                        struct fake_step *s)
{
    struct rig *r = arg;

    good(arg, q, s);
    if (q->number == 1 && r->mode++ == 0)
        s->way = FAKE_DROP;
}

/* libcurl sends again by itself when a reused connection dies. */
static void test_resend(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, drop_reused);
    acquire(&r, 1, 3, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    e = await(&r, KEEPER_EXTENDED, LONG_MS);
    assert_int_equal(fake_count(r.f), 3);
    assert_not_later(e->t0, request(&r, 1).at);
    rig_down(&r);
}

static void test_refresh_times(void **state)
{
    struct lease_times times = {.life_s = 3};
    struct justalock_error err;
    struct rig r;
    struct clock_time last;

    (void)state;
    assert_ok(lease_times_fill(&times, true, &err), err);
    rig_up(&r, good);
    acquire(&r, 1, 3, -1);
    last = await(&r, KEEPER_GRANTED, LONG_MS)->t0;
    for (int i = 0; i < 3; i++) {
        struct clock_time t0 = await(&r, KEEPER_EXTENDED, LONG_MS)->t0;
        int64_t ms = clock_elapsed_ms(last, t0);

        /* +-10 %, and a loaded machine */
        assert_in_range(ms, times.refresh_ms * 9 / 10 - 5,
                        times.refresh_ms * 11 / 10 + 300);
        last = t0;
    }
    assert_int_equal(fake_connections(r.f), 1);
    rig_down(&r);
}

/* ---- busy, wait ---- */

static void test_try_busy(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, all_busy);
    acquire(&r, 1, 60, 0);
    e = await(&r, KEEPER_BUSY, LONG_MS);
    assert_int_equal(e->status, JUSTALOCK_HELD);
    assert_string_equal(e->holder, "job 9");
    assert_string_equal(e->since, "2026-11-23T07:46:09Z");
    await_idle(&r, 1000);
    assert_int_equal(fake_count(r.f), 1); /* nothing was left there */
    keeper_release(r.k, 1, 1000);
    assert_int_equal(await(&r, KEEPER_RELEASED, 1000)->status, JUSTALOCK_STATE);
    rig_down(&r);
}

static void offers(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    r->n++;
    if (strcmp(q->method, "DELETE") == 0) {
        say(s, 200, FEATURES);
    } else if (is_wait(q)) {
        say_held(s, "offered");
        s->delay_ms = 700;
        r->mode = 1;
    } else if (r->mode) {
        say_held(s, r->mode++ == 1 ? "new" : "renewed");
    } else {
        say_busy(s);
    }
}

static void test_wait_offer_confirm(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, offers);
    acquire(&r, 1, 3, -1);
    assert_string_equal(await(&r, KEEPER_BUSY, LONG_MS)->holder, "job 9");
    e = await(&r, KEEPER_GRANTED, LONG_MS);
    assert_int_equal(fake_count(r.f), 3);
    expect_header(&r, 0, "Justalock-Wait", "(none)");
    expect_header(&r, 1, "Justalock-Wait", "10");
    expect_header(&r, 2, "Justalock-Wait", "(none)");
    /* Counted from the confirmation, not from the wait. */
    assert_true(clock_elapsed_ms(request(&r, 1).at, e->t0) >= 690);
    assert_not_later(e->t0, request(&r, 2).at);
    /* Waits have connections of their own. */
    assert_int_not_equal(request(&r, 1).connection, request(&r, 0).connection);
    /* The confirmation's is the wait's: the other one may be closed by then. */
    assert_int_equal(request(&r, 2).connection, request(&r, 1).connection);
    run_ms(&r, 1000);
    /* A refresh goes back to its own. */
    assert_in_range(fake_count(r.f), 4, 5);
    assert_int_equal(request(&r, 3).connection, request(&r, 0).connection);
    rig_down(&r);
}

/* Free when the wait came: granted without an offer, from the wait's t0. */
static void free_by_then(void *arg, const struct fake_request *q,
                         struct fake_step *s)
{
    (void)arg;
    if (is_wait(q)) {
        say_held(s, "new");
        s->delay_ms = 300;
    } else {
        say_busy(s);
    }
}

static void test_wait_granted(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, free_by_then);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_BUSY, LONG_MS);
    e = await(&r, KEEPER_GRANTED, LONG_MS);
    assert_false(e->was_renewed);
    assert_not_later(e->t0, request(&r, 1).at);
    assert_int_equal(fake_count(r.f), 2);
    rig_down(&r);
}

static void test_wait_times_out(void **state)
{
    struct rig r;
    const struct keeper_event *e;
    struct clock_time begin = clock_now();
    int64_t ms;

    (void)state;
    rig_up(&r, all_busy);
    acquire(&r, 1, 60, 1500);
    await(&r, KEEPER_BUSY, LONG_MS);
    e = await(&r, KEEPER_TIMEOUT, LONG_MS);
    ms = clock_elapsed_ms(begin, clock_now());
    assert_int_equal(e->status, JUSTALOCK_HELD);
    assert_string_equal(e->holder, "job 9");
    assert_in_range(ms, 1490, 2500);
    await_idle(&r, 2000);
    assert_int_equal(fake_count(r.f), 3);
    expect_header(&r, 1, "Justalock-Wait", "2");
    expect_request(&r, 2, "DELETE", TARGET); /* our place in the queue */
    rig_down(&r);
}

static void test_release_while_waiting(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, all_busy);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_BUSY, LONG_MS);
    await_requests(&r, 2);
    keeper_release(r.k, 1, 2000);
    assert_int_equal(await(&r, KEEPER_RELEASED, 2000)->status, JUSTALOCK_OK);
    expect_request(&r, 2, "DELETE", TARGET);
    rig_down(&r);
}

static void queue_refuses(void *arg, const struct fake_request *q,
                          struct fake_step *s)
{
    (void)arg;
    (void)q;
    say_busy(s);
}

/* A service whose queue is full answers at once: no busy loop. */
static void test_wait_refused(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, queue_refuses);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_BUSY, LONG_MS);
    run_ms(&r, 1500);
    assert_in_range(fake_count(r.f), 3, 10);
    assert_int_equal(r.len, 1); /* the same holder is told once */
    rig_down(&r);
}

/* 409 until mode is 200. */
static void test_base_one_poller(void **state)
{
    struct keeper_lock late;
    struct rig r;
    unsigned n;

    (void)state;
    make_lock(&late, 60);
    memcpy(late.client, "client-2", 8);
    rig_up(&r, base);
    r.mode = 409;
    for (uint64_t h = 1; h <= 20; h++)
        acquire(&r, h, 60, -1);
    for (int i = 0; i < 20; i++)
        await(&r, KEEPER_BUSY, LONG_MS);
    n = fake_count(r.f);
    run_ms(&r, 3000);
    /* 0.25, 0.5, 1, 2 s, each +-50 %, from one of them. */
    assert_in_range(fake_count(r.f) - n, 1, 8);
    acquire_lock(&r, 21, &late, -1); /* a late one does not even ask */
    assert_int_equal(await(&r, KEEPER_BUSY, LONG_MS)->handle, 21);
    n = fake_count(r.f);
    for (unsigned i = 0; i < n; i++)
        assert_memory_equal(request(&r, i).body, "client-1", 8);
    r.mode = 200;
    for (int i = 0; i < 21; i++)
        await(&r, KEEPER_GRANTED, LONG_MS);
    rig_down(&r);
}

static void test_base_timeout_after_busy(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, base);
    r.mode = 409;
    acquire(&r, 1, 60, 400);
    await(&r, KEEPER_BUSY, LONG_MS);
    assert_int_equal(await(&r, KEEPER_TIMEOUT, 1000)->status, JUSTALOCK_HELD);
    await_idle(&r, 100);
    assert_int_equal(fake_count_method(r.f, "DELETE"), 0);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_grant),
        cmocka_unit_test(test_extended_grant),
        cmocka_unit_test(test_t0_is_before),
        cmocka_unit_test(test_resend),
        cmocka_unit_test(test_refresh_times),
        cmocka_unit_test(test_try_busy),
        cmocka_unit_test(test_wait_offer_confirm),
        cmocka_unit_test(test_wait_granted),
        cmocka_unit_test(test_wait_times_out),
        cmocka_unit_test(test_release_while_waiting),
        cmocka_unit_test(test_wait_refused),
        cmocka_unit_test(test_base_one_poller),
        cmocka_unit_test(test_base_timeout_after_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
