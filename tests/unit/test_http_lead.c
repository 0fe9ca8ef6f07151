/* SPDX-License-Identifier: MIT */
/*
 * test_http_lead.c - a server of several, as the store says who leads: it
 * answers only while it does, with what the store has, each answer behind a
 * proof of the store's, and forgets all when it does no longer. The real etcd
 * is tests/server/etcd.sh's.
 */
#include "http_help.h"

struct lead {
    bool is_refused; /* the store's proof */
    int watched;     /* must have no answer at a commit; -1: none */
    unsigned early;
};

static bool on_commit(struct rig *r, const struct lock_change *changes,
                      size_t len)
{
    struct lead *l = r->arg;

    (void)changes;
    (void)len;
    l->early += l->watched >= 0 && rig_is_answered(l->watched);
    return !l->is_refused;
}

static void begin(struct rig *r, struct lead *l, const char *name)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    *l = (struct lead){.watched = -1};
    r->is_shared = true;
    r->on_commit = on_commit;
    r->arg = l;
    assert_ok(rig_new(r, in_scratch(name), NULL, &err), err);
    memset(r->window.shared.service, 'f', 32);
    r->window.shared.epoch = 7;
    rig_run(r);
}

static struct rig_answer await(int fd, const char *method, char lock,
                               const char *client, int status)
{
    int64_t until = clock_raw_ms() + 10000;
    struct rig_answer a;

    do {
        a = ask(fd, method, lock, client);
        assert_true(clock_raw_ms() < until);
    } while (a.status != status);
    return a;
}

static void test_only_while_it_leads(void **state)
{
    struct rig_answer a;
    struct lead l;
    struct rig r;
    unsigned proofs;
    int fd;

    (void)state;
    begin(&r, &l, "lead");
    fd = dial(&r);
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 503, "");
    a = ask(fd, "DELETE", 'a', "one");
    expect(&a, 503, "");
    a = get(fd, "/healthz");
    assert_int_equal(a.status, 503);
    assert_string_equal(rig_header(&a, "Justalock-Epoch"), "");
    assert_int_equal(r.commits + r.empty_commits, 0);
    rig_lead(&r, true);
    a = await(fd, "POST", 'a', "one", 200);
    expect(&a, 200, "new");
    assert_string_equal(rig_header(&a, "Justalock-Epoch"), "7");
    assert_string_equal(rig_header(&a, "Justalock-Service"),
                        "ffffffffffffffffffffffffffffffff");
    /* A refresh changes nothing, and takes a proof. */
    l.watched = fd;
    proofs = r.empty_commits;
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 200, "renewed");
    assert_true(r.empty_commits > proofs);
    proofs = r.empty_commits;
    a = ask(fd, "POST", 'a', "two");
    expect(&a, 409, "");
    assert_true(r.empty_commits > proofs);
    assert_int_equal(l.early, 0);
    l.watched = -1;
    rig_lead(&r, false);
    a = await(fd, "POST", 'a', "one", 503);
    a = await(fd, "POST", 'b', "one", 503);
    /* An empty list would say that nobody holds anything. */
    a = get(fd, "/v1/locks");
    assert_int_equal(a.status, 503);
    a = get(fd, "/v1/locks/AAAAAAAAAAAAAAAAAAAAaA");
    assert_int_equal(a.status, 503);
    a = get(fd, "/metrics"); /* which says whether it serves */
    assert_int_equal(a.status, 200);
    rig_lead(&r, true);
    a = await(fd, "POST", 'a', "one", 200);
    expect(&a, 200, "renewed"); /* from what is stored */
    a = ask(fd, "POST", 'a', "two");
    expect(&a, 409, "");
    (void)close(fd);
    rig_down(&r);
}

/* The proof fails: nothing of that pass is answered as it was decided. */
static void test_refused(void **state)
{
    struct rig_answer a;
    struct lead l;
    struct rig r;
    int fd, waits;

    (void)state;
    begin(&r, &l, "refused");
    fd = dial(&r);
    waits = dial(&r);
    rig_lead(&r, true);
    a = await(fd, "POST", 'a', "one", 200);
    assert_true(
        rig_ask(waits, "POST", rig_lock('a'), "two", "Justalock-Wait: 20\r\n"));
    await_waiters(fd, 1);
    l.is_refused = true;
    a = ask(fd, "POST", 'a', "one"); /* only a refresh */
    expect(&a, 503, "");
    a = rig_read(waits);
    expect(&a, 503, "");
    assert_true(r.is_stepped_down);
    l.is_refused = false;
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 503, "");
    rig_lead(&r, true);
    a = await(fd, "POST", 'a', "one", 200);
    expect(&a, 200, "renewed");
    (void)close(fd);
    (void)close(waits);
    rig_down(&r);
}

/* Leases that another may have begun later than the store says. */
static void test_extra(void **state)
{
    struct rig_answer a;
    struct lead l;
    struct rig r;
    const char *left;
    int fd;

    (void)state;
    begin(&r, &l, "extra");
    fd = dial(&r);
    rig_lead(&r, true);
    a = await(fd, "POST", 'a', "one", 200);
    rig_lead(&r, false);
    a = await(fd, "POST", 'a', "one", 503);
    r.window.shared.extra_s = 100;
    rig_lead(&r, true);
    a = await(fd, "POST", 'a', "two", 409);
    a = get(fd, "/v1/locks/AAAAAAAAAAAAAAAAAAAAaA");
    left = strstr(a.body, "\"expires_ms\":");
    assert_non_null(left);
    assert_in_range(strtol(left + 13, NULL, 10), 150000, 160000);
    (void)close(fd);
    rig_down(&r);
}

/* Its state cannot be read: it lets another lead. */
static void test_cannot_load(void **state)
{
    int64_t until = clock_raw_ms() + 10000;
    struct rig_answer a;
    struct lead l;
    struct rig r;
    int fd;

    (void)state;
    begin(&r, &l, "load");
    fd = dial(&r);
    r.refuse_loads = 1;
    rig_lead(&r, true);
    while (!__atomic_load_n(&r.is_stepped_down, __ATOMIC_SEQ_CST)) {
        a = ask(fd, "POST", 'a', "one");
        expect(&a, 503, "");
        assert_true(clock_raw_ms() < until);
    }
    a = ask(fd, "POST", 'a', "one");
    expect(&a, 503, "");
    rig_lead(&r, true);
    a = await(fd, "POST", 'a', "one", 200);
    expect(&a, 200, "new");
    (void)close(fd);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_while_it_leads),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_extra),
        cmocka_unit_test(test_cannot_load),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
