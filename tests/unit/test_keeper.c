/* SPDX-License-Identifier: MIT */
/*
 * test_keeper.c - the keeper against a service that does what each test says.
 * Times are real, so the leases here are short.
 */
#include "test.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "keeper.h"

#define EVENTS_MAX 4096
#define FEATURES   "Justalock-Features: wait release token holder share\r\n"
#define LONG_MS    20000

/* libcurl's name lookups come here: one name never finds an end. */
__attribute__((visibility("default"))) int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **res)
{
    static int (*real)(const char *, const char *, const struct addrinfo *,
                       struct addrinfo **);

    if (!real)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strcmp(node, "hang.test") == 0)
        for (;;)
            (void)pause();
    return real(node, service, hints, res);
}

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

static void on_event(void *arg, const struct keeper_event *event)
{
    struct rig *r = arg;

    assert_true(r->len < EVENTS_MAX);
    r->events[r->len++] = *event;
}

static void rig_up(struct rig *r, fake_fn *script)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    r->f = fake_start(script, r);
    assert_non_null(r->f);
    assert_ok(keeper_new(on_event, r, &r->k, &err), err);
    (void)snprintf(r->service.url, sizeof(r->service.url),
                   "http://127.0.0.1:%d/", fake_port(r->f));
}

static void rig_down(struct rig *r)
{
    keeper_free(r->k);
    fake_stop(r->f);
}

static void make_lock(struct keeper_lock *l, unsigned life_s)
{
    memset(l, 0, sizeof(*l));
    memset(l->id.bytes, 0xab, sizeof(l->id.bytes));
    memcpy(l->client, "client-1", 8);
    l->client_len = 8;
    memcpy(l->share, "0123456789abcdef", 17);
    memcpy(l->label, "job 7", 6);
    l->times.life_s = life_s;
}

static void acquire_lock(struct rig *r, uint64_t handle,
                         const struct keeper_lock *lock, int64_t wait_ms)
{
    struct justalock_error err;

    assert_ok(keeper_acquire(r->k, handle, &r->service, lock, wait_ms, &err),
              err);
}

static void acquire(struct rig *r, uint64_t handle, unsigned life_s,
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
static void await_requests(struct rig *r, unsigned n)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);

    while (fake_count(r->f) < n) {
        if (clock_left_ms(end, clock_now()) <= 0)
            fail_msg("%u requests came, not %u", fake_count(r->f), n);
        (void)keeper_run(r->k, -1, 10);
    }
}

static void await_idle(struct rig *r, int64_t most_ms)
{
    struct clock_time end = clock_add(clock_now(), most_ms);

    while (keeper_count(r->k) > 0) {
        if (clock_left_ms(end, clock_now()) <= 0)
            fail_msg("%zu are not given back", keeper_count(r->k));
        (void)keeper_run(r->k, -1, 10);
    }
}

static void run_ms(struct rig *r, int64_t ms)
{
    struct clock_time end = clock_add(clock_now(), ms);
    int64_t left;

    while ((left = clock_left_ms(end, clock_now())) > 0)
        (void)keeper_run(r->k, -1, left);
}

static struct fake_request request(struct rig *r, unsigned n)
{
    struct fake_request q;

    if (!fake_get(r->f, n, &q))
        fail_msg("request %u has not come", n);
    return q;
}

static void expect_header(struct rig *r, unsigned n, const char *name,
                          const char *want)
{
    struct fake_request q = request(r, n);
    char value[256] = "(none)";

    (void)fake_header(&q, name, value, sizeof(value));
    assert_string_equal(value, want);
}

static void expect_request(struct rig *r, unsigned n, const char *method,
                           const char *target)
{
    struct fake_request q = request(r, n);

    assert_string_equal(q.method, method);
    assert_string_equal(q.target, target);
}

/* a is not later than b, on both clocks. */
static void assert_not_later(struct clock_time a, struct clock_time b)
{
    assert_true(a.boot_ms <= b.boot_ms);
    assert_true(a.raw_ms <= b.raw_ms);
}

#define TARGET_S(s) "/q6urq6urq6urq6urq6urqw?s=" s
#define TARGET      "/q6urq6urq6urq6urq6urqw"

/* ---- what services say ---- */

static void say(struct fake_step *s, int status, const char *headers)
{
    s->status = status;
    (void)snprintf(s->headers, sizeof(s->headers), "%s", headers);
}

static void say_held(struct fake_step *s, const char *how)
{
    s->status = 200;
    (void)snprintf(s->headers, sizeof(s->headers),
                   FEATURES "Justalock-Holding: %s\r\nJustalock-Token: 42\r\n",
                   how);
}

static void say_busy(struct fake_step *s)
{
    say(s, 409,
        FEATURES "Justalock-Holder: job 9\r\n"
                 "Justalock-Since: 2026-11-23T07:46:09Z\r\n");
}

static bool is_wait(const struct fake_request *q)
{
    char value[8];

    return fake_header(q, "Justalock-Wait", value, sizeof(value));
}

/* Extensions: new to the first POST, renewed to the next, all released. */
static void good(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    if (strcmp(q->method, "POST") == 0)
        say_held(s, r->n++ == 0 ? "new" : "renewed");
    else
        say(s, 200, FEATURES);
}

/* A service that knows 200 and 409 alone; mode: the status. */
static void base(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    r->n++;
    s->status = r->mode ? r->mode : 200;
}

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

static void all_busy(void *arg, const struct fake_request *q,
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

/* ---- loss ---- */

static void then(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;

    if (r->n++ == 0)
        say_held(s, "new");
    else if (strcmp(q->method, "DELETE") == 0)
        say(s, 200, FEATURES);
    else if (r->mode == 409)
        say_busy(s);
    else if (r->mode == 4)
        say(s, 409, FEATURES "Justalock-Holder: job 7\r\n"); /* our label */
    else if (r->mode == 5)
        say(s, 409,
            FEATURES "Justalock-Holding: broken\r\n"
                     "Justalock-Holder: job 7\r\n");
    else if (r->mode == 1)
        say_held(s, "new");
    else if (r->mode == 2)
        s->way = FAKE_SILENT;
    else if (r->mode == 3)
        s->way = FAKE_RESET;
}

static void lose_by(int mode, const char *why)
{
    struct rig r;
    const struct keeper_event *e;

    rig_up(&r, then);
    r.mode = mode;
    acquire(&r, 1, 3, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    e = await(&r, KEEPER_LOST, LONG_MS);
    assert_int_equal(e->status, JUSTALOCK_LOST);
    assert_has(e->text, why);
    run_ms(&r, 300);
    assert_int_equal(r.len, r.seen); /* final */
    keeper_release(r.k, 1, 1000);
    assert_int_equal(await(&r, KEEPER_RELEASED, LONG_MS)->status, JUSTALOCK_OK);
    expect_request(&r, fake_count(r.f) - 1, "DELETE", TARGET);
    rig_down(&r);
}

static void test_loss_by_conflict(void **state)
{
    (void)state;
    lose_by(409, "the service says that job 9 holds it");
    lose_by(4, "another holds it, or that it was broken");
}

static void test_loss_by_break(void **state)
{
    (void)state;
    lose_by(5, "an admin has broken it");
}

static void test_loss_by_new(void **state)
{
    (void)state;
    lose_by(1, "granted anew");
}

static void lose_late(int mode)
{
    struct rig r;
    struct clock_time t0;
    int64_t ms;

    rig_up(&r, then);
    r.mode = mode;
    acquire(&r, 1, 5, -1);
    t0 = await(&r, KEEPER_GRANTED, LONG_MS)->t0;
    assert_int_equal(await(&r, KEEPER_TROUBLE, LONG_MS)->status, JUSTALOCK_NET);
    await(&r, KEEPER_LOST, LONG_MS);
    ms = clock_elapsed_ms(t0, clock_now());
    /* Not before D = 5000 - 5 - 250; later by what a loaded machine takes to
     * say so, on which nothing rests: the watch has the deadline too. */
    assert_in_range(ms, 4740, 7000);
    assert_true(fake_count(r.f) > 2); /* more than one attempt was made */
    rig_down(&r);
}

static void test_loss_by_silence(void **state)
{
    (void)state;
    lose_late(2);
}

static void test_loss_by_reset(void **state)
{
    (void)state;
    lose_late(3);
}

static void one_outage(void *arg, const struct fake_request *q,
                       struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    r->n++;
    if (r->n == 2 || r->n == 3 || r->n == 5)
        say(s, 503, "");
    else
        say_held(s, r->n == 1 ? "new" : "renewed");
}

static void test_trouble_once(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, one_outage);
    acquire(&r, 1, 4, -1);
    await(&r, KEEPER_GRANTED, LONG_MS);
    e = await(&r, KEEPER_TROUBLE, LONG_MS);
    assert_int_equal(e->status, JUSTALOCK_NET);
    assert_has(e->text, "503");
    await(&r, KEEPER_EXTENDED, LONG_MS);
    await(&r, KEEPER_TROUBLE, LONG_MS);
    await(&r, KEEPER_EXTENDED, LONG_MS);
    rig_down(&r);
}

/* ---- answers that are none ---- */

static const struct {
    int status;
    const char *headers;
    const char *body;
    enum justalock_status want;
} no_answers[] = {
    {204, "", "", JUSTALOCK_PROTO},
    {201, "", "", JUSTALOCK_PROTO},
    {206, "", "", JUSTALOCK_PROTO},
    {301, "Location: /found\r\n", "", JUSTALOCK_PROTO},
    {302, "Location: /found\r\n", "", JUSTALOCK_PROTO},
    {303, "Location: /found\r\n", "", JUSTALOCK_PROTO},
    {307, "Location: /found\r\n", "", JUSTALOCK_PROTO},
    {308, "Location: /found\r\n", "", JUSTALOCK_PROTO},
    {400, "", "", JUSTALOCK_PROTO},
    {401, "", "", JUSTALOCK_DENIED},
    {403, "", "", JUSTALOCK_DENIED},
    {404, "", "", JUSTALOCK_PROTO},
    {408, "", "", JUSTALOCK_NET},
    {429, "Retry-After: 1\r\n", "", JUSTALOCK_NET},
    {500, "", "", JUSTALOCK_NET},
    {503, "Retry-After: 999999999999\r\n", "", JUSTALOCK_NET},
    {599, "", "", JUSTALOCK_NET},
    {200, "", "  <!DOCTYPE html><p>Log in", JUSTALOCK_PROTO},
    {200, FEATURES, "", JUSTALOCK_PROTO},
    {200, FEATURES "Justalock-Holding: perhaps\r\n", "", JUSTALOCK_PROTO},
    {200, FEATURES "Justalock-Holding: new\r\nJustalock-Holding: renewed\r\n",
     "", JUSTALOCK_PROTO},
    {200, FEATURES "Justalock-Holding: new\r\nJustalock-Token: -1\r\n", "",
     JUSTALOCK_PROTO},
    {200, FEATURES "Justalock-Features: share\r\nJustalock-Holding: new\r\n",
     "", JUSTALOCK_PROTO},
};

static void no_answer(void *arg, const struct fake_request *q,
                      struct fake_step *s)
{
    struct rig *r = arg;
    size_t i = (size_t)r->mode;

    (void)q;
    say(s, no_answers[i].status, no_answers[i].headers);
    (void)snprintf(s->body, sizeof(s->body), "%s", no_answers[i].body);
}

static void test_no_usable_answer(void **state)
{
    struct rig r;

    (void)state;
    for (size_t i = 0; i < sizeof(no_answers) / sizeof(no_answers[0]); i++) {
        const struct keeper_event *e;
        struct fake_request q;

        rig_up(&r, no_answer);
        r.mode = (int)i;
        acquire(&r, 1, 60, i == 0 ? 500 : -1);
        e = await(&r, KEEPER_TROUBLE, LONG_MS);
        if (e->status != no_answers[i].want)
            fail_msg("answer %zu: status %d: %s", i, (int)e->status, e->text);
        if (i == 0)
            assert_int_equal(await(&r, KEEPER_TIMEOUT, LONG_MS)->status,
                             JUSTALOCK_PROTO);
        for (unsigned n = 0; fake_get(r.f, n, &q); n++)
            assert_null(strstr(q.target, "found"));
        rig_down(&r);
    }
}

static void denied_once(void *arg, const struct fake_request *q,
                        struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    say(s, 403, "");
    if (r->n++ > 0)
        s->way = FAKE_RESET;
}

/* Attempts that the wait's end leaves less time than they need. */
static void test_cut_attempts_hide_nothing(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, denied_once);
    acquire(&r, 1, 60, 1000);
    assert_int_equal(await(&r, KEEPER_TROUBLE, LONG_MS)->status,
                     JUSTALOCK_DENIED);
    e = await(&r, KEEPER_TIMEOUT, LONG_MS);
    assert_int_equal(e->status, JUSTALOCK_DENIED);
    assert_has(e->text, "403");
    assert_true(fake_count(r.f) > 1);
    rig_down(&r);
}

static void bad_way(void *arg, const struct fake_request *q,
                    struct fake_step *s)
{
    struct rig *r = arg;

    (void)q;
    say_held(s, "new");
    s->way = (enum fake_way)r->mode;
    if (s->way == FAKE_TRICKLE)
        s->delay_ms = 100;
    if (s->way == FAKE_RAW)
        (void)snprintf(s->body, sizeof(s->body), "200 held\r\n\r\n");
}

static void bad_answer(enum fake_way way, enum justalock_status want,
                       const char *text)
{
    struct rig r;
    struct clock_time begin = clock_now();
    const struct keeper_event *e;
    struct keeper_lock lock;
    struct justalock_error err;

    rig_up(&r, bad_way);
    r.mode = (int)way;
    make_lock(&lock, 60);
    lock.times.attempt_ms = want == JUSTALOCK_PROTO ? 2000 : 500;
    assert_ok(keeper_acquire(r.k, 1, &r.service, &lock, 0, &err), err);
    e = await(&r, KEEPER_TIMEOUT, LONG_MS);
    assert_int_equal(e->status, want);
    assert_has(e->text, text);
    assert_true(clock_elapsed_ms(begin, clock_now()) < 4000);
    rig_down(&r);
}

static void test_bad_answers(void **state)
{
    (void)state;
    bad_answer(FAKE_TRICKLE, JUSTALOCK_NET, "");
    bad_answer(FAKE_SILENT, JUSTALOCK_NET, "");
    bad_answer(FAKE_RESET, JUSTALOCK_NET, "");
    bad_answer(FAKE_ENDLESS_HEAD, JUSTALOCK_PROTO, "too long");
    bad_answer(FAKE_ENDLESS_BODY, JUSTALOCK_PROTO, "too long");
}

static void test_refused_connections(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, good);
    fake_refuse(r.f, 2);
    acquire(&r, 1, 60, 5000);
    e = await(&r, KEEPER_TROUBLE, LONG_MS);
    assert_int_equal(e->status, JUSTALOCK_NET);
    await(&r, KEEPER_GRANTED, LONG_MS);
    fake_stop(r.f);
    r.f = fake_start(good, &r); /* another port: nobody listens on the old */
    acquire(&r, 2, 60, 0);
    e = await(&r, KEEPER_TIMEOUT, LONG_MS);
    assert_int_equal(e->status, JUSTALOCK_NET);
    assert_has(e->text, "onnect");
    rig_down(&r);
}

/* A name lookup without an end holds up nothing else. */
static void test_dns_hangs(void **state)
{
    struct rig r;
    struct keeper_service hang = {.url = "http://hang.test/"};
    struct keeper_lock lock;
    struct justalock_error err;
    struct clock_time begin;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, good);
    make_lock(&lock, 60);
    lock.times.attempt_ms = 700;
    begin = clock_now();
    assert_ok(keeper_acquire(r.k, 1, &hang, &lock, 0, &err), err);
    acquire(&r, 2, 60, 0);
    e = await(&r, KEEPER_GRANTED, 600);
    assert_int_equal(e->handle, 2);
    e = await(&r, KEEPER_TIMEOUT, LONG_MS);
    assert_int_equal(e->status, JUSTALOCK_NET);
    assert_in_range(clock_elapsed_ms(begin, clock_now()), 690, 1500);
    keeper_release(r.k, 2, 500);
    assert_int_equal(await(&r, KEEPER_RELEASED, 600)->status, JUSTALOCK_OK);
    begin = clock_now();
    keeper_free(r.k);
    assert_true(clock_elapsed_ms(begin, clock_now()) < 500);
    fake_stop(r.f);
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
    assert_true(spent < 2000); /* 1 ms each: with sanitizers too */
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
        cmocka_unit_test(test_base_grant),
        cmocka_unit_test(test_base_reusable_lapses),
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
        cmocka_unit_test(test_loss_by_conflict),
        cmocka_unit_test(test_loss_by_break),
        cmocka_unit_test(test_loss_by_new),
        cmocka_unit_test(test_loss_by_silence),
        cmocka_unit_test(test_loss_by_reset),
        cmocka_unit_test(test_trouble_once),
        cmocka_unit_test(test_no_usable_answer),
        cmocka_unit_test(test_cut_attempts_hide_nothing),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_refused_connections),
        cmocka_unit_test(test_dns_hangs),
        cmocka_unit_test(test_release_in_flight),
        cmocka_unit_test(test_base_release_in_flight),
        cmocka_unit_test(test_release_retried),
        cmocka_unit_test(test_base_release_ends_with_the_lease),
        cmocka_unit_test(test_abandon_unheard),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_abandon_all),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_thousand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
