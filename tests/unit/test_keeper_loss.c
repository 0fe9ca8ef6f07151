/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_loss.c - how a held lock is lost, and answers that are none: from
 * a service that is silent, breaks off, sends pages or is not to be found.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include "keeper_rig.h"

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

/* A refresh that is refused (r->mode), with what a proxy may say, or a token
 * that is no more: an outage as others are, and nothing is given back. */
static void refuses_one(void *arg, const struct fake_request *q,
                        struct fake_step *s)
{
    struct rig *r = arg;

    if (strcmp(q->method, "DELETE") == 0)
        say(s, 200, FEATURES);
    else if (++r->n == 2)
        say(s, r->mode, "");
    else
        say_held(s, r->n == 1 ? "new" : "renewed");
}

static void test_refused_while_held(void **state)
{
    static const struct {
        int http_status;
        int64_t wait_ms;
        enum justalock_status status;
    } all[] = {{400, 0, JUSTALOCK_PROTO},  {401, 0, JUSTALOCK_DENIED},
               {403, 0, JUSTALOCK_DENIED}, {404, 0, JUSTALOCK_PROTO},
               {404, -1, JUSTALOCK_PROTO}, {503, 0, JUSTALOCK_NET}};

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        const struct keeper_event *e;
        struct rig r;

        rig_up(&r, refuses_one);
        r.mode = all[i].http_status;
        acquire(&r, 1, 3, all[i].wait_ms);
        e = await(&r, KEEPER_GRANTED, LONG_MS);
        assert_int_equal(e->http_status, 0);
        e = await(&r, KEEPER_TROUBLE, LONG_MS);
        assert_int_equal(e->http_status, r.mode);
        assert_int_equal(e->status, all[i].status);
        await(&r, KEEPER_EXTENDED, LONG_MS);
        assert_int_equal(fake_count_method(r.f, "DELETE"), 0);
        rig_down(&r);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_by_conflict),
        cmocka_unit_test(test_loss_by_break),
        cmocka_unit_test(test_loss_by_new),
        cmocka_unit_test(test_loss_by_silence),
        cmocka_unit_test(test_loss_by_reset),
        cmocka_unit_test(test_trouble_once),
        cmocka_unit_test(test_refused_while_held),
        cmocka_unit_test(test_no_usable_answer),
        cmocka_unit_test(test_cut_attempts_hide_nothing),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_refused_connections),
        cmocka_unit_test(test_dns_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
