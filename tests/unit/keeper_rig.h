/* SPDX-License-Identifier: MIT */
/*
 * keeper_rig.h - a keeper and a service that does what each test says. Times
 * are real, so the leases of its tests are short.
 */
#ifndef TESTS_UNIT_KEEPER_RIG_H
#define TESTS_UNIT_KEEPER_RIG_H

#include <stdio.h>

#include "../lib/fake_service.h"
#include "keeper.h"
#include "test.h"

#define EVENTS_MAX 4096
#define FEATURES   "Justalock-Features: wait release token holder share\r\n"
#define LONG_MS    20000

struct rig {
    struct keeper *k;
    struct fake_service *f;
    struct keeper_service service;
    struct keeper_event events[EVENTS_MAX];
    size_t len;
    size_t seen; /* by await */
    unsigned n;  /* calls of the script */
    int mode;    /* of the script; written while nothing is under way */
    struct keeper_view view;
    enum justalock_status view_status;
    bool viewed;
};

static inline void on_event(void *arg, const struct keeper_event *event)
{
    struct rig *r = arg;

    assert_true(r->len < EVENTS_MAX);
    r->events[r->len++] = *event;
}

static inline void rig_up(struct rig *r, fake_fn *script)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    r->f = fake_start(script, r);
    assert_non_null(r->f);
    assert_ok(keeper_new(on_event, r, &r->k, &err), err);
    (void)snprintf(r->service.url, sizeof(r->service.url),
                   "http://127.0.0.1:%d/", fake_port(r->f));
}

static inline void rig_down(struct rig *r)
{
    keeper_free(r->k);
    fake_stop(r->f);
}

static inline void make_lock(struct keeper_lock *l, unsigned life_s)
{
    memset(l, 0, sizeof(*l));
    memset(l->id.bytes, 0xab, sizeof(l->id.bytes));
    memcpy(l->client, "client-1", 8);
    l->client_len = 8;
    memcpy(l->share, "0123456789abcdef", 17);
    memcpy(l->label, "job 7", 6);
    l->times.life_s = life_s;
}

static inline void acquire_lock(struct rig *r, uint64_t handle,
                                const struct keeper_lock *lock, int64_t wait_ms)
{
    struct justalock_error err;

    assert_ok(keeper_acquire(r->k, handle, &r->service, lock, wait_ms, &err),
              err);
}

static inline void acquire(struct rig *r, uint64_t handle, unsigned life_s,
                           int64_t wait_ms)
{
    struct keeper_lock lock;

    make_lock(&lock, life_s);
    acquire_lock(r, handle, &lock, wait_ms);
}

/* The next event that has not been awaited yet; it must be of this kind. */
static const struct keeper_event *await(struct rig *r,
                                        enum keeper_event_kind kind,
                                        int64_t most_ms)
{
    struct clock_time end = clock_add(clock_now(), most_ms);
    const struct keeper_event *e;

    while (r->seen == r->len) {
        int64_t left = clock_left_ms(end, clock_now());

        if (left <= 0)
            fail_msg("event %d did not come within %lld ms", (int)kind,
                     (long long)most_ms);
        (void)keeper_run(r->k, -1, left);
    }
    e = &r->events[r->seen++];
    if (e->kind != kind)
        fail_msg("event %d came, not %d: %s", (int)e->kind, (int)kind, e->text);
    return e;
}

/* Run until the service has had n requests. */
static inline void await_requests(struct rig *r, unsigned n)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);

    while (fake_count(r->f) < n) {
        if (clock_left_ms(end, clock_now()) <= 0)
            fail_msg("%u requests came, not %u", fake_count(r->f), n);
        (void)keeper_run(r->k, -1, 10);
    }
}

static inline void await_idle(struct rig *r, int64_t most_ms)
{
    struct clock_time end = clock_add(clock_now(), most_ms);

    while (keeper_count(r->k) > 0) {
        if (clock_left_ms(end, clock_now()) <= 0)
            fail_msg("%zu are not given back", keeper_count(r->k));
        (void)keeper_run(r->k, -1, 10);
    }
}

static inline void run_ms(struct rig *r, int64_t ms)
{
    struct clock_time end = clock_add(clock_now(), ms);
    int64_t left;

    while ((left = clock_left_ms(end, clock_now())) > 0)
        (void)keeper_run(r->k, -1, left);
}

static inline struct fake_request request(struct rig *r, unsigned n)
{
    struct fake_request q;

    if (!fake_get(r->f, n, &q))
        fail_msg("request %u has not come", n);
    return q;
}

static inline void expect_header(struct rig *r, unsigned n, const char *name,
                                 const char *want)
{
    struct fake_request q = request(r, n);
    char value[256] = "(none)";

    (void)fake_header(&q, name, value, sizeof(value));
    assert_string_equal(value, want);
}

static inline void expect_request(struct rig *r, unsigned n, const char *method,
                                  const char *target)
{
    struct fake_request q = request(r, n);

    assert_string_equal(q.method, method);
    assert_string_equal(q.target, target);
}

/* a is not later than b, on both clocks. */
static inline void assert_not_later(struct clock_time a, struct clock_time b)
{
    assert_true(a.boot_ms <= b.boot_ms);
    assert_true(a.raw_ms <= b.raw_ms);
}

#define TARGET_S(s) "/q6urq6urq6urq6urq6urqw?s=" s
#define TARGET      "/q6urq6urq6urq6urq6urqw"

/* ---- what services say ---- */

static inline void say(struct fake_step *s, int status, const char *headers)
{
    s->status = status;
    (void)snprintf(s->headers, sizeof(s->headers), "%s", headers);
}

static inline void say_held(struct fake_step *s, const char *how)
{
    s->status = 200;
    (void)snprintf(s->headers, sizeof(s->headers),
                   FEATURES "Justalock-Holding: %s\r\nJustalock-Token: 42\r\n",
                   how);
}

static inline void say_busy(struct fake_step *s)
{
    say(s, 409,
        FEATURES "Justalock-Holder: job 9\r\n"
                 "Justalock-Since: 2026-11-23T07:46:09Z\r\n");
}

static inline bool is_wait(const struct fake_request *q)
{
    char value[8];

    return fake_header(q, "Justalock-Wait", value, sizeof(value));
}

/* Extensions: new to the first POST, renewed to the next, all released. */
static inline void good(void *arg, const struct fake_request *q,
                        struct fake_step *s)
{
    struct rig *r = arg;

    if (strcmp(q->method, "POST") == 0)
        say_held(s, r->n++ == 0 ? "new" : "renewed");
    else
        say(s, 200, FEATURES);
}

/* A service that knows 200 and 409 alone; mode: the status. */
static inline void base(void *arg, const struct fake_request *q,
                        struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    r->n++;
    s->status = r->mode ? r->mode : 200;
}

/* Another holds it; a wait ends after 20 s. */
static inline void all_busy(void *arg, const struct fake_request *q,
                            struct fake_step *s)
{
    struct rig *r = arg;

    r->n++;
    if (strcmp(q->method, "DELETE") == 0) {
        say(s, 200, FEATURES);
        return;
    }
    say_busy(s);
    if (is_wait(q))
        s->delay_ms = 20000;
}

#endif
