/* SPDX-License-Identifier: MIT */
/*
 * test_table.c - the rules of the lock protocol, one by one: holding, shares,
 * ends, tokens, break, and what the store is told.
 */
#include "table_help.h"

static void test_take_and_refresh(void **state)
{
    struct fixture f;
    struct lock_answer a;

    (void)state;
    begin(&f);
    a = take(&f, 'a', "one", "s", 10);
    assert_int_equal(a.result, LOCK_NEW);
    assert_int_equal(a.token, 1);
    a = take(&f, 'a', "one", "s", 10);
    assert_int_equal(a.result, LOCK_RENEWED);
    assert_int_equal(a.token, 1);
    f.now += 4000;
    a = take(&f, 'a', "two", "s", 10);
    assert_int_equal(a.result, LOCK_CONFLICT);
    assert_string_equal(a.holder, "label of one");
    assert_int_equal(a.since_s, WALL + 1000);
    assert_int_equal(take(&f, 'b', "two", "s", 10).result, LOCK_NEW);
    end(&f);
}

/* A client id that only begins like the holder's is another. */
static void test_client_ids_are_whole(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "onee", "s", 10).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "on", "s", 10).result, LOCK_CONFLICT);
    end(&f);
}

static void test_lease_ends_to_the_ms(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 10);
    pass_ms(&f, 9999);
    assert_int_equal(take(&f, 'a', "two", "s", 10).result, LOCK_CONFLICT);
    f.now += 1; /* lock_run has not run: the request itself finds it over */
    assert_int_equal(take(&f, 'a', "two", "s", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_CONFLICT);
    assert_int_equal(lock_counts(f.t).expired, 1);
    end(&f);
}

static void test_never_earlier(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 30);
    pass_ms(&f, 1000);
    assert_int_equal(take(&f, 'a', "one", "s", 1).result, LOCK_RENEWED);
    pass_ms(&f, 28999);
    assert_true(is_held(&f, 'a'));
    pass_ms(&f, 1);
    assert_false(is_held(&f, 'a'));
    end(&f);
}

static void test_refreshes_write_nothing(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 30);
    assert_int_equal(changes(&f), 1);
    for (int i = 0; i < 100; i++) {
        pass_ms(&f, 10000);
        assert_int_equal(take(&f, 'a', "one", "s", 30).result, LOCK_RENEWED);
    }
    (void)take(&f, 'a', "one", "s", 10);
    (void)take(&f, 'a', "two", "s", 10);
    assert_int_equal(changes(&f), 0);
    (void)take(&f, 'a', "one", "s", 31); /* a longer life */
    assert_int_equal(changes(&f), 1);
    (void)take(&f, 'a', "one", "t", 30); /* a new share */
    assert_int_equal(changes(&f), 1);
    end(&f);
}

static void test_shares(void **state)
{
    struct fixture f;
    struct lock_answer a;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "job", "n1", 10);
    a = take(&f, 'a', "job", "n2", 20);
    assert_int_equal(a.result, LOCK_RENEWED);
    assert_int_equal(a.token, 1);
    assert_int_equal(take(&f, 'a', "job", "n3", 60).result, LOCK_RENEWED);
    pass_ms(&f, 10000); /* n1 ends alone */
    assert_true(is_held(&f, 'a'));
    assert_int_equal(give(&f, 'a', "job", "n3"), LOCK_RELEASED);
    assert_true(is_held(&f, 'a'));
    pass_ms(&f, 9999);
    assert_int_equal(take(&f, 'a', "two", "s", 10).result, LOCK_CONFLICT);
    pass_ms(&f, 1);
    assert_int_equal(take(&f, 'a', "two", "s", 10).result, LOCK_NEW);
    end(&f);
}

static void test_give(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(give(&f, 'z', "one", "s"), LOCK_CONFLICT);
    (void)take(&f, 'a', "one", "s", 10);
    assert_int_equal(give(&f, 'a', "two", "s"), LOCK_CONFLICT);
    assert_int_equal(give(&f, 'a', "one", "t"), LOCK_CONFLICT);
    assert_int_equal(give(&f, 'a', "one", ""), LOCK_CONFLICT);
    assert_true(is_held(&f, 'a'));
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    assert_false(is_held(&f, 'a'));
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_CONFLICT);
    /* A client of the base protocol: one share without a name. */
    assert_int_equal(take(&f, 'b', "base", "", 10).result, LOCK_NEW);
    assert_int_equal(give(&f, 'b', "base", ""), LOCK_RELEASED);
    assert_int_equal(take(&f, 'b', "base", "", 10).result, LOCK_NEW);
    end(&f);
}

static void test_tokens_grow(void **state)
{
    struct fixture f;
    uint64_t last = 0;

    (void)state;
    begin(&f);
    for (int i = 0; i < 20; i++) {
        struct lock_answer a = take(&f, (char)('a' + i % 3), "one", "", 1);

        assert_int_equal(a.result, LOCK_NEW);
        assert_true(a.token > last);
        last = a.token;
        if (i % 2 == 0)
            (void)give(&f, (char)('a' + i % 3), "one", "");
        pass_ms(&f, 1000);
    }
    assert_int_equal(lock_last_token(f.t), last);
    end(&f);
}

static void test_break(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "x", "", 60);
    struct place place;

    (void)state;
    begin(&f);
    assert_false(lock_break(f.t, &q.id, LOCK_ALL_SLOTS));
    (void)take(&f, 'a', "one", "s", 10);
    (void)take(&f, 'a', "one", "t", 20);
    (void)changes(&f);
    pass_ms(&f, 5000);
    assert_true(lock_break(f.t, &q.id, LOCK_ALL_SLOTS));
    assert_int_equal(changes(&f), 2); /* remembered by both shares */
    assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_CONFLICT);
    assert_true(take(&f, 'a', "one", "u", 10).is_broken);
    assert_int_equal(wait_as(&f, 'a', "one", "s", 9, &place), LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "two", "s", 10).result, LOCK_CONFLICT);
    assert_false(take(&f, 'a', "two", "s", 10).is_broken);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    pass_ms(&f, 15000); /* the lease of t */
    assert_int_equal(take(&f, 'a', "two", "v", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "two", "v", 10).result, LOCK_RENEWED);
    end(&f);
}

/* ---- the store's side ---- */

static void test_view(void **state)
{
    struct fixture f;
    struct lock_request q = request('a', "x", "", 60);
    struct lock_view v;
    struct place place;

    (void)state;
    begin(&f);
    assert_false(lock_look(f.t, &q.id, f.now, &v));
    (void)take(&f, 'a', "one", "s", 10);
    (void)take(&f, 'a', "one", "t", 30);
    (void)wait_as(&f, 'a', "two", "s", 20, &place);
    pass_ms(&f, 1000);
    assert_true(lock_look(f.t, &q.id, f.now, &v));
    assert_true(v.is_held);
    assert_int_equal(v.first.shares, 2);
    assert_int_equal(v.waiters, 1);
    assert_int_equal(v.first.expires_ms, 29000);
    assert_int_equal(v.first.token, 1);
    assert_string_equal(v.first.label, "label of one");
    end(&f);
}

/* ---- size ---- */

/* With work of O(n) for each pass this would be 10^10 steps. */
static void test_many_locks(void **state)
{
    enum { N = 100000 };
    struct fixture f;
    struct lock_answer a;

    (void)state;
    begin(&f);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            struct lock_request q = request('a', "one", "s", 60);

            memcpy(q.id.bytes, &i, sizeof(i));
            lock_take(f.t, &q, f.now, WALL, &a);
            assert_int_equal(a.result, round == 0 ? LOCK_NEW : LOCK_RENEWED);
            (void)lock_run(f.t, f.now);
            f.now += i % 4 == 0;
        }
        assert_int_equal(changes(&f), round == 0 ? N : 0);
        assert_int_equal(lock_counts(f.t).held, N);
    }
    pass_ms(&f, 60000);
    assert_int_equal(lock_counts(f.t).held, 0);
    assert_int_equal(lock_counts(f.t).expired, N);
    assert_int_equal(changes(&f), N);
    assert_int_equal(lock_run(f.t, f.now), INT64_MAX);
    end(&f);
}

static void test_most_shares(void **state)
{
    struct fixture f;
    char share[16];

    (void)state;
    begin(&f);
    for (int i = 0; i < LOCK_SHARES_MAX; i++) {
        (void)snprintf(share, sizeof(share), "n%d", i);
        assert_int_equal(take(&f, 'a', "one", share, 10).result,
                         i == 0 ? LOCK_NEW : LOCK_RENEWED);
    }
    assert_int_equal(take(&f, 'a', "one", "more", 10).result, LOCK_BUSY);
    assert_int_equal(take(&f, 'a', "one", "n7", 10).result, LOCK_RENEWED);
    pass_ms(&f, 10000);
    assert_false(is_held(&f, 'a'));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_refresh),
        cmocka_unit_test(test_client_ids_are_whole),
        cmocka_unit_test(test_lease_ends_to_the_ms),
        cmocka_unit_test(test_never_earlier),
        cmocka_unit_test(test_refreshes_write_nothing),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_give),
        cmocka_unit_test(test_tokens_grow),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_many_locks),
        cmocka_unit_test(test_most_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
