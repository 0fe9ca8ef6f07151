/* SPDX-License-Identifier: MIT */
/*
 * test_table_tomb.c - shares that were given back stay given back: late
 * duplicates of POST and DELETE, which libcurl and proxies really send.
 */
#include "table_help.h"

static void test_late_post(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 10);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_CONFLICT);
    assert_false(is_held(&f, 'a'));
    /* Not in the way of others, nor of a new acquisition of the same. */
    assert_int_equal(take(&f, 'a', "one", "t", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "one", "s", 10).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'b', "one", "s", 10).result, LOCK_NEW);
    end(&f);
}

/* DELETE without an answer, a new step with the same client id gets the lock,
 * the DELETE is sent again: it must not free it for a rival. */
static void test_resent_delete(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "job", "step1", 60);
    (void)give(&f, 'a', "job", "step1");
    assert_int_equal(take(&f, 'a', "job", "step2", 60).result, LOCK_NEW);
    assert_int_equal(give(&f, 'a', "job", "step1"), LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "rival", "x", 60).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "job", "step2", 60).result, LOCK_RENEWED);
    end(&f);
}

/* A refresh that was given up lands after the DELETE; and a DELETE that
 * overtakes the POST it was sent for. */
static void test_overtaken(void **state)
{
    struct fixture f;
    struct place place;

    (void)state;
    begin(&f);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "one", "s", 60).result, LOCK_CONFLICT);
    assert_int_equal(wait_as(&f, 'a', "one", "s", 9, &place), LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "two", "s", 60).result, LOCK_NEW);
    end(&f);
}

static void test_until(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 300);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(lock_counts(f.t).tombs, 1);
    (void)changes(&f);
    pass_ms(&f, 359999); /* s + 60, the s of the share */
    assert_int_equal(take(&f, 'a', "one", "s", 300).result, LOCK_CONFLICT);
    assert_int_equal(lock_counts(f.t).tombs, 1);
    pass_ms(&f, 1);
    assert_int_equal(take(&f, 'a', "one", "s", 300).result, LOCK_NEW);
    pass_ms(&f, 1000);
    assert_int_equal(lock_counts(f.t).tombs, 0);
    end(&f);
}

/* Given back again: remembered from then on, for the longest of its lives. */
static void test_again(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    (void)take(&f, 'a', "one", "s", 300);
    (void)give(&f, 'a', "one", "s");
    pass_ms(&f, 100000);
    (void)give(&f, 'a', "one", "s");
    assert_int_equal(lock_counts(f.t).tombs, 1);
    pass_ms(&f, 359999);
    assert_int_equal(take(&f, 'a', "one", "s", 300).result, LOCK_CONFLICT);
    pass_ms(&f, 1001);
    assert_int_equal(lock_counts(f.t).tombs, 0);
    end(&f);
}

static void test_stored(void **state)
{
    struct fixture f, g;
    const struct lock_change *c;
    size_t len;
    bool is_whole;

    (void)state;
    begin(&f);
    begin(&g);
    (void)take(&f, 'a', "one", "s", 300);
    (void)changes(&f);
    (void)give(&f, 'a', "one", "s");
    c = lock_changes(f.t, &len, &is_whole);
    assert_int_equal(len, 2);
    assert_int_equal(c[0].kind, LOCK_PUT_TOMB);
    assert_int_equal(c[1].kind, LOCK_DROP);
    assert_int_equal(c[0].row.life_s, 300);
    assert_int_equal(lock_load(g.t, &c[0].row, true, g.now), JUSTALOCK_OK);
    lock_changes_clear(f.t);
    pass_ms(&f, 361000);
    c = lock_changes(f.t, &len, &is_whole);
    assert_int_equal(len, 1);
    assert_int_equal(c[0].kind, LOCK_DROP_TOMB);
    assert_string_equal(c[0].row.share, "s");
    /* After a restart it is remembered in full again. */
    pass_ms(&g, 359999);
    assert_int_equal(take(&g, 'a', "one", "s", 300).result, LOCK_CONFLICT);
    end(&f);
    end(&g);
}

/* A lock that is handed on 500 times a second for four minutes: with a list
 * that each request walks this would take minutes. The longest life goes once
 * round the wheel. */
static void test_many(void **state)
{
    struct fixture f;
    char share[24];

    (void)state;
    begin(&f);
    for (int i = 0; i < 120000; i++) {
        (void)snprintf(share, sizeof(share), "s%d", i);
        assert_int_equal(take(&f, 'a', "one", share, 60).result, LOCK_NEW);
        assert_int_equal(give(&f, 'a', "one", share), LOCK_RELEASED);
        f.now += 2;
        (void)lock_run(f.t, f.now);
        lock_changes_clear(f.t);
    }
    assert_in_range(lock_counts(f.t).tombs, 60000, 60600);
    (void)take(&f, 'a', "one", "long", 65535);
    (void)give(&f, 'a', "one", "long");
    pass_ms(&f, 65594999);
    assert_int_equal(lock_counts(f.t).tombs, 1);
    assert_int_equal(take(&f, 'a', "one", "long", 1).result, LOCK_CONFLICT);
    pass_ms(&f, 1001);
    assert_int_equal(lock_counts(f.t).tombs, 0);
    /* Nothing happened for longer than the wheel has slots. */
    (void)give(&f, 'a', "one", "s");
    f.now += 200000000;
    (void)lock_run(f.t, f.now);
    assert_int_equal(lock_counts(f.t).tombs, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_post), cmocka_unit_test(test_resent_delete),
        cmocka_unit_test(test_overtaken), cmocka_unit_test(test_until),
        cmocka_unit_test(test_again),     cmocka_unit_test(test_stored),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
