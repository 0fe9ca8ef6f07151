/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_servers.c - whom to ask of several servers, and whose answers
 * count. What comes of it over a network is test_keeper_many.c's.
 */
#include "test.h"

#include <stdlib.h>

#include "keeper_servers.h"

#define THREE "http://a:1,http://b:2,http://c:3"
#define ALL   (SERVICE_HAS_WAIT | SERVICE_HAS_RELEASE)

/* The allocation fails. */
static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

struct rig {
    struct servers *list;
    struct servers *s;
    struct servers_round r;
    struct keeper_service all;
    struct service_answer a;
};

static void rig_up(struct rig *g, const char *urls)
{
    memset(g, 0, sizeof(*g));
    (void)snprintf(g->all.url, sizeof(g->all.url), "%s", urls);
    memcpy(g->all.token, "secret", 7);
    g->s = servers_get(&g->list, urls);
    assert_non_null(g->s);
}

static void expect_pick(struct rig *g, const char *url)
{
    struct keeper_service service;

    servers_pick(g->s, &g->r, &g->all, &service);
    assert_string_equal(service.url, url);
    assert_string_equal(service.token, "secret");
}

/* Of whom was picked. */
static void answer(struct rig *g, int status, const char *identity,
                   uint64_t epoch)
{
    struct service_answer a = {.answer = status == 200   ? LEASE_ANSWER_RENEWED
                                         : status == 409 ? LEASE_ANSWER_CONFLICT
                                                         : LEASE_ANSWER_RETRY,
                               .usable = status == 200 || status == 409,
                               .features = ALL,
                               .has_token = status == 200,
                               .epoch = epoch,
                               .retry_after_ms = -1,
                               .http_status = status,
                               .status = JUSTALOCK_NET};

    (void)snprintf(a.identity, sizeof(a.identity), "%s", identity);
    (void)snprintf(a.text, sizeof(a.text), "status %d", status);
    g->a = a;
}

static bool judge(struct rig *g)
{
    return servers_judge(g->s, &g->r, &g->a);
}

static void expect_refused(struct rig *g, const char *part)
{
    assert_false(judge(g));
    assert_false(g->a.usable);
    assert_false(g->a.has_token);
    assert_int_equal(g->a.answer, LEASE_ANSWER_RETRY);
    assert_int_equal(g->a.http_status, 503);
    assert_int_equal(g->a.status, JUSTALOCK_NET);
    assert_has(g->a.text, part);
}

static void test_list(void **state)
{
    struct rig g;

    (void)state;
    rig_up(&g, THREE);
    assert_int_equal(g.s->count, 3);
    assert_ptr_equal(servers_get(&g.list, THREE), g.s);
    no_memory = true;
    assert_null(servers_get(&g.list, "http://other"));
    no_memory = false;
    assert_ptr_not_equal(servers_get(&g.list, "http://other"), g.s);
    servers_free(&g.list);
    assert_null(g.list);
}

/* One server: whatever it says stands. */
static void test_one(void **state)
{
    struct rig g;
    struct service_answer before;

    (void)state;
    rig_up(&g, "http://a:1");
    expect_pick(&g, "http://a:1");
    answer(&g, 200, "", 0);
    before = g.a;
    assert_false(judge(&g));
    assert_memory_equal(&before, &g.a, sizeof(before));
    answer(&g, 409, "other", 1);
    assert_false(judge(&g));
    assert_true(g.a.usable);
    answer(&g, 503, "", 0);
    before = g.a;
    assert_false(servers_failed(g.s, &g.r, &g.a));
    assert_memory_equal(&before, &g.a, sizeof(before));
    assert_int_equal(servers_left(g.s, &g.r), 1);
    expect_pick(&g, "http://a:1");
    servers_free(&g.list);
}

/* Each once, from the one that answered last; then the round is over. */
static void test_round(void **state)
{
    struct rig g;
    struct servers_round other = {0};
    struct keeper_service service;

    (void)state;
    rig_up(&g, THREE);
    assert_int_equal(servers_left(g.s, &g.r), 3);
    expect_pick(&g, "http://a:1");
    answer(&g, 503, "", 0);
    assert_true(servers_failed(g.s, &g.r, &g.a));
    assert_int_equal(servers_left(g.s, &g.r), 2);
    expect_pick(&g, "http://b:2");
    answer(&g, 503, "", 0);
    assert_true(servers_failed(g.s, &g.r, &g.a));
    /* Another's round begins where this one is now. */
    servers_pick(g.s, &other, &g.all, &service);
    assert_string_equal(service.url, "http://c:3");
    answer(&g, 503, "", 0);
    assert_true(servers_failed(g.s, &other, &g.a));
    expect_pick(&g, "http://c:3"); /* b is asked, and a */
    answer(&g, 503, "", 0);
    assert_false(servers_failed(g.s, &g.r, &g.a));
    assert_int_equal(servers_left(g.s, &g.r), 3);
    expect_pick(&g, "http://a:1");
    answer(&g, 200, "ours", 4);
    (void)judge(&g);
    servers_done(&g.r);
    expect_pick(&g, "http://a:1");
    servers_free(&g.list);
}

/* What is said at its end: a refusal, then rubbish, then the first of all. */
static void test_round_says(void **state)
{
    static const enum justalock_status rounds[][4] = {
        {JUSTALOCK_NET, JUSTALOCK_NET, JUSTALOCK_NET, JUSTALOCK_NET},
        {JUSTALOCK_NET, JUSTALOCK_PROTO, JUSTALOCK_NET, JUSTALOCK_PROTO},
        {JUSTALOCK_PROTO, JUSTALOCK_DENIED, JUSTALOCK_NET, JUSTALOCK_DENIED},
        {JUSTALOCK_DENIED, JUSTALOCK_PROTO, JUSTALOCK_NET, JUSTALOCK_DENIED},
    };
    static const char *const texts[] = {
        "http://a:1: status 500", "http://b:2: status 501",
        "http://b:2: status 501", "http://a:1: status 500"};
    static const int64_t after[][3] = {
        {-1, 3000, 2000}, {2000, 3000, -1}, {-1, -1, 2000}, {2000, -1, 3000}};
    struct rig g;

    (void)state;
    for (size_t i = 0; i < LENGTH(rounds); i++) {
        rig_up(&g, THREE);
        for (int n = 0; n < 3; n++) {
            struct keeper_service service;

            servers_pick(g.s, &g.r, &g.all, &service);
            answer(&g, 500 + n, "", 0);
            g.a.status = rounds[i][n];
            g.a.retry_after_ms = after[i][n];
            if (rounds[i][n] == JUSTALOCK_DENIED)
                g.a.answer = LEASE_ANSWER_REJECT;
            assert_true(servers_failed(g.s, &g.r, &g.a) == (n < 2));
        }
        assert_int_equal(g.a.status, rounds[i][3]);
        assert_int_equal(g.a.answer, rounds[i][3] == JUSTALOCK_DENIED
                                         ? LEASE_ANSWER_REJECT
                                         : LEASE_ANSWER_RETRY);
        assert_string_equal(g.a.text, texts[i]);
        assert_int_equal(g.a.retry_after_ms, 2000);
        servers_free(&g.list);
    }
}

static void test_identity(void **state)
{
    struct rig g;

    (void)state;
    rig_up(&g, THREE);
    expect_pick(&g, "http://a:1");
    answer(&g, 200, "", 0);
    expect_refused(&g, "active one of several");
    answer(&g, 409, "", 0);
    expect_refused(&g, "active one of several");
    answer(&g, 200, "ours", 4);
    g.a.features = 0;
    expect_refused(&g, "active one of several");
    answer(&g, 503, "other", 9); /* of no use: nothing is learned */
    assert_false(judge(&g));
    answer(&g, 200, "ours", 4);
    assert_false(judge(&g));
    assert_true(g.a.usable);
    answer(&g, 200, "other", 5);
    expect_refused(&g, "another service, other");
    answer(&g, 409, "other", 5);
    expect_refused(&g, "ours");
    answer(&g, 409, "ours", 4);
    assert_false(judge(&g));
    assert_true(g.a.usable);
    servers_free(&g.list);
}

static void test_epoch(void **state)
{
    struct rig g;

    (void)state;
    rig_up(&g, THREE);
    expect_pick(&g, "http://a:1");
    answer(&g, 200, "ours", 4);
    assert_false(judge(&g));
    answer(&g, 503, "", 0);
    assert_true(servers_failed(g.s, &g.r, &g.a));
    expect_pick(&g, "http://b:2");
    assert_int_equal(g.s->at, 1);
    answer(&g, 409, "ours", UINT64_MAX);
    assert_false(judge(&g)); /* whom all ask already */
    servers_done(&g.r);
    /* From before that; whoever says it. */
    g.r.at = 0;
    answer(&g, 200, "ours", 4);
    expect_refused(&g, "epoch 4");
    answer(&g, 409, "ours", UINT64_MAX - 1);
    expect_refused(&g, "18446744073709551615");
    assert_int_equal(g.s->at, 1);
    /* Back in its turn: another than before. */
    g.s->epoch = 5;
    answer(&g, 200, "ours", 6);
    assert_true(judge(&g));
    assert_int_equal(g.s->at, 0);
    servers_free(&g.list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),     cmocka_unit_test(test_one),
        cmocka_unit_test(test_round),    cmocka_unit_test(test_round_says),
        cmocka_unit_test(test_identity), cmocka_unit_test(test_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
