/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_gate.c - who of ours waits for others of ours: one poller for
 * each lock of a service that can only be polled, first come first served, and
 * no more attempts at a time than one service is to bear.
 */
#include <pthread.h>
#include <stdlib.h>

#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "keeper.h"
#include "keeper_inner.h"
#include "test.h"

#define LONG_MS 10000
#define MANY    100

struct rig {
    struct keeper *k;
    struct fake_service *f;
    struct keeper_service service;
    int status;              /* of each answer; 0: it hangs */
    char granted_to[128];    /* by handle */
    char busy[128];          /* was told so, by handle */
    unsigned over[MANY + 1]; /* TIMEOUT or RELEASED, by handle */
};

/* A service that knows 200 and 409 alone. */
static void serve(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    s->status = __atomic_load_n(&r->status, __ATOMIC_SEQ_CST);
    if (s->status == 0)
        s->way = FAKE_SILENT;
}

static void on_event(void *arg, const struct keeper_event *e)
{
    struct rig *r = arg;

    assert_true(e->handle <= MANY);
    if (e->kind == KEEPER_BUSY)
        r->busy[e->handle] = 1;
    if (e->kind == KEEPER_GRANTED)
        r->granted_to[e->handle] = 1;
    if (e->kind == KEEPER_TIMEOUT || e->kind == KEEPER_RELEASED)
        r->over[e->handle]++;
}

static void begin(struct rig *r, int status)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    r->status = status;
    r->f = fake_start(serve, r);
    assert_non_null(r->f);
    assert_ok(keeper_new(on_event, r, &r->k, &err), err);
    (void)snprintf(r->service.url, sizeof(r->service.url),
                   "http://127.0.0.1:%d/", fake_port(r->f));
}

static void end(struct rig *r)
{
    keeper_free(r->k);
    fake_stop(r->f);
}

static void acquire(struct rig *r, uint64_t handle, char id, int64_t wait_ms)
{
    struct keeper_lock lock = {.client_len = 1, .times = {.life_s = 60}};
    struct justalock_error err;

    lock.id.bytes[0] = (uint8_t)id;
    lock.client[0] = (uint8_t)handle;
    (void)snprintf(lock.share, sizeof(lock.share), "%02x", (unsigned)handle);
    assert_ok(keeper_acquire(r->k, handle, &r->service, &lock, wait_ms, &err),
              err);
}

static void run_ms(struct rig *r, int64_t ms)
{
    struct clock_time until = clock_add(clock_now(), ms);

    while (clock_left_ms(until, clock_now()) > 0)
        (void)keeper_run(r->k, -1, 10);
}

/* The clients that have asked so far, by the byte of their id. */
static unsigned asked_by(struct rig *r, uint64_t handle)
{
    struct fake_request q;
    unsigned n = 0;

    for (unsigned i = 0; fake_get(r->f, i, &q); i++)
        n += q.body_len == 1 && (uint8_t)q.body[0] == handle &&
             strstr(q.target, "?s=60") != NULL; /* not to give it back */
    return n;
}

static void await_asked(struct rig *r, uint64_t handle)
{
    int64_t until = clock_raw_ms() + LONG_MS;

    while (asked_by(r, handle) == 0) {
        if (clock_raw_ms() > until)
            fail_msg("%u has not asked", (unsigned)handle);
        (void)keeper_run(r->k, -1, 10);
    }
}

/* It polls: who comes now is behind it. That it has asked does not do, for the
 * answer may be under way. */
static void await_busy(struct rig *r, uint64_t handle)
{
    int64_t until = clock_raw_ms() + LONG_MS;

    while (!r->busy[handle]) {
        assert_true(clock_raw_ms() < until);
        (void)keeper_run(r->k, -1, 10);
    }
}

/* One more of 2 to 5 asks, and only one: which. */
static uint64_t await_next(struct rig *r, bool had[6])
{
    int64_t until = clock_raw_ms() + LONG_MS;
    uint64_t next = 0;

    while (next == 0) {
        assert_true(clock_raw_ms() < until);
        (void)keeper_run(r->k, -1, 10);
        for (uint64_t h = 2; h <= 5; h++)
            if (!had[h] && asked_by(r, h) > 0)
                next = h;
    }
    had[next] = true;
    run_ms(r, 300);
    for (uint64_t h = 2; h <= 5; h++)
        assert_true(had[h] || asked_by(r, h) == 0);
    return next;
}

static void test_one_poller(void **state)
{
    bool had[6] = {false};
    uint64_t second, third, fourth, last;
    struct rig r;

    (void)state;
    begin(&r, 409);
    acquire(&r, 1, 'a', -1);
    await_busy(&r, 1);
    for (uint64_t h = 2; h <= 5; h++)
        acquire(&r, h, 'a', -1);
    acquire(&r, 6, 'b', -1); /* another lock has a poller of its own */
    await_asked(&r, 6);
    run_ms(&r, 300);
    for (uint64_t h = 2; h <= 5; h++)
        assert_int_equal(asked_by(&r, h), 0);
    /* The first gives up: another one is next, and only that. */
    keeper_release(r.k, 1, 1000);
    second = await_next(&r, had);
    /* One that waits leaves, then the poller: the next is one that is left. */
    third = second == 5 ? 2 : second + 1;
    had[third] = true;
    keeper_release(r.k, third, 1000);
    keeper_release(r.k, second, 1000);
    fourth = await_next(&r, had);
    assert_int_equal(asked_by(&r, third), 0);
    /* It gets the lock: the last of ours goes on to ask for it. */
    __atomic_store_n(&r.status, 200, __ATOMIC_SEQ_CST);
    while (!r.granted_to[fourth])
        (void)keeper_run(r.k, -1, 10);
    __atomic_store_n(&r.status, 409, __ATOMIC_SEQ_CST);
    last = 2 + 3 + 4 + 5 - second - third - fourth;
    await_asked(&r, last);
    end(&r);
}

/* All that asked are answered, though few ask at a time. */
static void test_line(void **state)
{
    struct rig r;
    unsigned first = 0;

    (void)state;
    begin(&r, 0);
    for (uint64_t h = 1; h <= MANY; h++)
        acquire(&r, h, (char)h, 1500);
    run_ms(&r, 300);
    first = fake_count(r.f);
    assert_in_range(first, 1, KEEPER_FLIGHTS_MAX);
    for (uint64_t h = 1; h <= MANY / 2; h++) /* in flight, and in line */
        keeper_release(r.k, h, 300);
    for (int i = 0; i < 200 && keeper_count(r.k) > 0; i++)
        run_ms(&r, 50);
    assert_int_equal(keeper_count(r.k), 0);
    for (uint64_t h = 1; h <= MANY; h++)
        assert_int_equal(r.over[h], 1);
    end(&r);
}

/* No memory for a gate: one poller more does no harm, and all comes to its
 * end. */
static bool two_of_us(void *arg)
{
    struct keeper_lock lock = {.client_len = 1, .times = {.life_s = 60}};
    struct rig *r = arg;
    struct justalock_error err;
    bool good = true;

    memset(r->over, 0, sizeof(r->over));
    if (keeper_new(on_event, r, &r->k, &err) != JUSTALOCK_OK)
        return false;
    for (uint64_t h = 1; h <= 2; h++) {
        bool is_begun;

        lock.client[0] = (uint8_t)h;
        (void)snprintf(lock.share, sizeof(lock.share), "%02x", (unsigned)h);
        is_begun = keeper_acquire(r->k, h, &r->service, &lock, 50, &err) ==
                   JUSTALOCK_OK;
        r->over[h] = !is_begun;
        good &= is_begun;
    }
    for (int i = 0; i < 100 && keeper_count(r->k) > 0; i++)
        run_ms(r, 20);
    assert_int_equal(keeper_count(r->k), 0);
    assert_int_equal(r->over[1], 1);
    assert_int_equal(r->over[2], 1);
    keeper_free(r->k);
    r->k = NULL;
    return good;
}

static void test_no_memory(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, 409);
    keeper_free(r.k);
    r.k = NULL;
    fail_alloc_only_ours(true);
    for (long n = 1;; n++) {
        bool good;

        fail_alloc_at(n, 1);
        good = two_of_us(&r);
        if (fail_alloc_off())
            continue;
        assert_true(good);
        assert_in_range(n, 8, 200);
        break;
    }
    fail_alloc_only_ours(false);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_poller),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
