/* SPDX-License-Identifier: MIT */
/*
 * test_keeper.c - the keeper as its owner uses it: locks adopted, abandoned and
 * looked at, many of them, and none for want of memory.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "../lib/fail_alloc.h"
#include "keeper_rig.h"

/* ---- adopt ---- */

static void adopt(struct rig *r, int64_t age_ms)
{
    struct keeper_lock lock;
    struct justalock_error err;

    make_lock(&lock, 60);
    assert_ok(keeper_adopt(r->k, 1, &r->service, &lock,
                           clock_add(clock_now(), -age_ms), false, &err),
              err);
}

static void test_adopt(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, good);
    r.n = 1; /* renewed */
    adopt(&r, 20000);
    await(&r, KEEPER_EXTENDED, 1000);
    keeper_release(r.k, 1, 1000);
    await(&r, KEEPER_RELEASED, 1000);
    r.n = 0; /* new: it had lapsed */
    adopt(&r, 20000);
    assert_has(await(&r, KEEPER_LOST, 1000)->text, "anew");
    rig_down(&r);
    rig_up(&r, base);
    adopt(&r, 20000);
    await(&r, KEEPER_EXTENDED, 1000);
    keeper_release(r.k, 1, 1000);
    await(&r, KEEPER_RELEASED, 1000);
    adopt(&r, 60000); /* too late: not even asked */
    await(&r, KEEPER_LOST, 1000);
    assert_int_equal(fake_count(r.f), 2);
    rig_down(&r);
}

/* ---- the owner's calls ---- */

static void test_bad_calls(void **state)
{
    struct rig r;
    struct keeper_lock lock;
    struct justalock_error err;
    struct keeper_service bad;

    (void)state;
    rig_up(&r, good);
    make_lock(&lock, 60);
    assert_ok(keeper_acquire(r.k, 1, &r.service, &lock, -1, &err), err);
    assert_fails(keeper_acquire(r.k, 1, &r.service, &lock, -1, &err),
                 JUSTALOCK_STATE, err, "in use");
    lock.client_len = 0;
    assert_fails(keeper_acquire(r.k, 2, &r.service, &lock, -1, &err),
                 JUSTALOCK_ARG, err, "client id");
    make_lock(&lock, 0);
    assert_fails(keeper_acquire(r.k, 2, &r.service, &lock, -1, &err),
                 JUSTALOCK_ARG, err, "0 is not within 1 and 65535");
    make_lock(&lock, 60);
    memcpy(lock.share, "x\r\nEvil: 1", 11);
    assert_fails(keeper_acquire(r.k, 2, &r.service, &lock, -1, &err),
                 JUSTALOCK_ARG, err, "share");
    make_lock(&lock, 60);
    bad = r.service;
    memcpy(bad.url, "ftp://x/", 9);
    assert_fails(keeper_acquire(r.k, 2, &bad, &lock, -1, &err), JUSTALOCK_ARG,
                 err, "ftp://x/");
    assert_int_equal(keeper_count(r.k), 1);
    rig_down(&r);
}

static void test_abandon_all(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, good);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    keeper_abandon(r.k);
    assert_int_equal(keeper_count(r.k), 0);
    run_ms(&r, 50);
    assert_int_equal(fake_count_method(r.f, "DELETE"), 0);
    rig_down(&r);
    rig_up(&r, all_busy);
    acquire(&r, 1, 60, -1);
    await_requests(&r, 2);
    keeper_abandon(r.k);
    await_idle(&r, 2000);
    assert_int_equal(fake_count_method(r.f, "DELETE"), 1);
    assert_int_equal(r.len, 1); /* BUSY, and nothing after */
    rig_down(&r);
}

/* ---- query ---- */

static void on_view(void *arg, uint64_t handle, enum justalock_status status,
                    const char *text, const struct keeper_view *view)
{
    struct rig *r = arg;

    (void)text;
    assert_int_equal(handle, 9);
    r->view_status = status;
    r->view = *view;
    r->viewed = true;
}

static void views(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    say(s, 200, FEATURES);
    if (r->mode == 0)
        (void)snprintf(s->body, sizeof(s->body),
                       "{\"lock\":\"q6ur..\",\"held\":true,\"holder\":\"job 9\""
                       ",\"since\":\"2026-11-23T07:46:09Z\",\"expires_ms\":"
                       "1234,\"shares\":2,\"waiters\":3,\"token\":77}");
    else if (r->mode == 1)
        say(s, 404, "");
    else if (r->mode == 2)
        (void)snprintf(s->body, sizeof(s->body), "{\"held\":7}");
    else if (r->mode == 3)
        s->way = FAKE_SILENT;
}

static enum justalock_status query(struct rig *r, int mode)
{
    struct keeper_lock lock;
    struct justalock_error err;
    struct clock_time end = clock_add(clock_now(), LONG_MS);

    r->mode = mode;
    r->viewed = false;
    make_lock(&lock, 60);
    assert_ok(
        keeper_query(r->k, 9, &r->service, &lock.id, 300, on_view, r, &err),
        err);
    while (!r->viewed && clock_left_ms(end, clock_now()) > 0)
        (void)keeper_run(r->k, -1, 100);
    assert_true(r->viewed);
    return r->view_status;
}

static void test_query(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, views);
    assert_int_equal(query(&r, 0), JUSTALOCK_OK);
    expect_request(&r, 0, "GET", "/v1/locks/q6urq6urq6urq6urq6urqw");
    assert_true(r.view.known && r.view.held && r.view.has_token);
    assert_int_equal(r.view.token, 77);
    assert_int_equal(r.view.shares, 2);
    assert_int_equal(r.view.waiters, 3);
    assert_int_equal(r.view.expires_ms, 1234);
    assert_string_equal(r.view.holder, "job 9");
    assert_string_equal(r.view.since, "2026-11-23T07:46:09Z");
    assert_int_equal(query(&r, 1), JUSTALOCK_OK);
    assert_false(r.view.known);
    assert_int_equal(query(&r, 2), JUSTALOCK_PROTO);
    assert_int_equal(query(&r, 3), JUSTALOCK_NET);
    rig_down(&r);
}

/* ---- many ---- */

static void many(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    if (strcmp(q->method, "POST") == 0)
        say_held(s, r->mode ? "renewed" : "new");
    else
        say(s, 200, FEATURES);
}

static double cpu_ms(void)
{
    struct rusage u;

    assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void test_thousand(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct keeper_lock lock;
    struct justalock_error err;
    double before;
    double spent;

    (void)state;
    assert_non_null(r);
    rig_up(r, many);
    make_lock(&lock, 3);
    for (uint64_t h = 1; h <= 1000; h++) {
        memcpy(lock.id.bytes, &h, sizeof(h));
        assert_ok(keeper_acquire(r->k, h, &r->service, &lock, -1, &err), err);
    }
    for (int i = 0; i < 1000; i++)
        await(r, KEEPER_GRANTED, LONG_MS);
    r->mode = 1;
    before = cpu_ms();
    for (int i = 0; i < 2000; i++)
        await(r, KEEPER_EXTENDED, LONG_MS);
    spent = cpu_ms() - before;
    print_message("# 2000 refreshes: %.0f us each in the keeper's thread\n",
                  spent / 2000 * 1000);
    assert_true(fake_connections(r->f) <= 16);
    for (unsigned i = 0; i < 1000; i++) {
        struct fake_request q = request(r, i);

        /* None waits within libcurl with its t0 running. */
        assert_true(clock_elapsed_ms(r->events[i].t0, q.at) < 500);
    }
    for (uint64_t h = 1; h <= 1000; h++)
        keeper_release(r->k, h, 5000);
    while (r->seen < 4000) {
        const struct keeper_event *e;

        while (r->seen == r->len)
            (void)keeper_run(r->k, -1, 1000);
        e = &r->events[r->seen++];
        if (e->kind == KEEPER_RELEASED)
            assert_int_equal(e->status, JUSTALOCK_OK);
        else
            assert_int_equal(e->kind, KEEPER_EXTENDED);
        if (keeper_count(r->k) == 0)
            break;
    }
    assert_int_equal(keeper_count(r->k), 0);
    rig_down(r);
    free(r);
}

/* More locks than may ask at a time, at a service that is silent: all of them
 * are told, and another service is not held up. */
static void quiet(void *arg, const struct fake_request *q, struct fake_step *s)
{
    (void)arg;
    (void)q;
    s->way = FAKE_SILENT;
}

static void test_line(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct fake_service *other;
    struct keeper_service silent;
    struct keeper_lock lock;
    struct justalock_error err;

    (void)state;
    assert_non_null(r);
    rig_up(r, good);
    other = fake_start(quiet, NULL);
    assert_non_null(other);
    silent = r->service;
    (void)snprintf(silent.url, sizeof(silent.url), "http://127.0.0.1:%d/",
                   fake_port(other));
    make_lock(&lock, 60);
    lock.times.attempt_ms = 400;
    for (uint64_t h = 1; h <= 100; h++) {
        memcpy(lock.id.bytes, &h, sizeof(h));
        assert_ok(
            keeper_acquire(r->k, h, &silent, &lock, h <= 50 ? 0 : 700, &err),
            err);
    }
    acquire(r, 999, 60, 0);
    assert_int_equal(await(r, KEEPER_GRANTED, 300)->handle, 999);
    for (unsigned n = 0; n < 100;) {
        struct clock_time end = clock_add(clock_now(), LONG_MS);

        while (r->seen == r->len) {
            assert_true(clock_left_ms(end, clock_now()) > 0);
            (void)keeper_run(r->k, -1, 1000);
        }
        if (r->events[r->seen].kind == KEEPER_TIMEOUT) {
            n++;
            assert_int_equal(r->events[r->seen].status, JUSTALOCK_NET);
        }
        r->seen++;
    }
    for (uint64_t h = 1; h <= 50; h++) {
        memcpy(lock.id.bytes, &h, sizeof(h));
        assert_ok(keeper_acquire(r->k, h, &silent, &lock, -1, &err), err);
    }
    run_ms(r, 100);
    for (uint64_t h = 1; h <= 50; h++) /* in line, in flight, both */
        keeper_release(r->k, h, 500);
    for (int i = 0; i < 50; i++)
        await(r, KEEPER_RELEASED, LONG_MS);
    rig_down(r);
    fake_stop(other);
    free(r);
}

/* Each allocation of ours fails in turn: refused, or retried, never both. */
static void test_no_memory(void **state)
{
    struct rig r;
    struct keeper_lock lock;
    struct justalock_error err;
    struct keeper *k;
    bool failed = true;
    long n;

    (void)state;
    fail_alloc_only_ours(true);
    for (n = 1; failed; n++) {
        enum justalock_status st;

        fail_alloc_at(n, 1);
        st = keeper_new(on_event, NULL, &k, &err);
        failed = fail_alloc_off();
        if (st == JUSTALOCK_OK)
            keeper_free(k);
        assert_int_equal(st != JUSTALOCK_OK, failed);
    }
    assert_true(n > 4);
    make_lock(&lock, 60);
    for (n = 1, failed = true; failed; n++) {
        rig_up(&r, good);
        fail_alloc_at(n, 1);
        if (keeper_acquire(r.k, 1, &r.service, &lock, -1, &err) ==
            JUSTALOCK_OK) {
            while (r.len == 0 || r.events[r.len - 1].kind != KEEPER_GRANTED) {
                assert_true(r.len < 3);
                (void)keeper_run(r.k, -1, 1000);
            }
        } else {
            assert_int_equal(err.status, JUSTALOCK_NOMEM);
            assert_int_equal(keeper_count(r.k), 0);
        }
        failed = fail_alloc_off();
        rig_down(&r);
    }
    assert_true(n > 6);
    fail_alloc_only_ours(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adopt),       cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_abandon_all), cmocka_unit_test(test_query),
        cmocka_unit_test(test_thousand),    cmocka_unit_test(test_line),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
