/* SPDX-License-Identifier: MIT */
/*
 * test_table_share.c - shares of one holding: each has its own lease, the lock
 * is held as long as one of them is, and their names are told apart.
 */
#include "table_help.h"

static void test_own_lease(void **state)
{
    size_t len;
    const struct lock_change *c;
    struct fixture f;
    bool is_whole;

    (void)state;
    begin(&f);
    assert_int_equal(take(&f, 'a', "one", "short", 10).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "one", "long", 30).result, LOCK_RENEWED);
    assert_int_equal(changes(&f), 2);
    pass_ms(&f, 10000);
    c = lock_changes(f.t, &len, &is_whole);
    assert_int_equal(len, 1);
    assert_int_equal(c[0].kind, LOCK_DROP);
    assert_string_equal(c[0].row.share, "short");
    lock_changes_clear(f.t);
    assert_true(is_held(&f, 'a'));
    assert_int_equal(take(&f, 'a', "two", "x", 10).result, LOCK_CONFLICT);
    pass_ms(&f, 20000);
    assert_int_equal(changes(&f), 1);
    assert_int_equal(take(&f, 'a', "two", "x", 10).result, LOCK_NEW);
    end(&f);
}

/* One given back: the other one still holds, and what was given back does not
 * come again. */
static void test_give_one(void **state)
{
    uint64_t token;
    struct fixture f;

    (void)state;
    begin(&f);
    token = take(&f, 'a', "one", "s", 60).token;
    assert_true(take(&f, 'a', "one", "t", 60).token == token);
    assert_int_equal(give(&f, 'a', "one", "s"), LOCK_RELEASED);
    assert_true(is_held(&f, 'a'));
    assert_int_equal(take(&f, 'a', "two", "s", 60).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "one", "s", 60).result, LOCK_CONFLICT);
    assert_int_equal(take(&f, 'a', "one", "t", 60).result, LOCK_RENEWED);
    assert_int_equal(give(&f, 'a', "one", "t"), LOCK_RELEASED);
    assert_false(is_held(&f, 'a'));
    end(&f);
}

/* Names that are alike, as long as may be, or empty; the same one of another
 * lock. */
static void test_names(void **state)
{
    char one[LOCK_SHARE_MAX + 1], two[LOCK_SHARE_MAX + 1];
    struct fixture f;

    (void)state;
    memset(one, 'n', LOCK_SHARE_MAX);
    one[LOCK_SHARE_MAX] = '\0';
    memcpy(two, one, sizeof(two));
    two[LOCK_SHARE_MAX - 1] = 'm';
    begin(&f);
    assert_int_equal(take(&f, 'a', "one", one, 60).result, LOCK_NEW);
    assert_int_equal(take(&f, 'a', "one", two, 60).result, LOCK_RENEWED);
    assert_int_equal(take(&f, 'a', "one", "", 60).result, LOCK_RENEWED);
    assert_int_equal(take(&f, 'b', "two", one, 60).result, LOCK_NEW);
    assert_int_equal(give(&f, 'a', "one", one), LOCK_RELEASED);
    assert_int_equal(give(&f, 'a', "one", ""), LOCK_RELEASED);
    assert_true(is_held(&f, 'a'));
    assert_true(is_held(&f, 'b'));
    assert_int_equal(give(&f, 'a', "one", two), LOCK_RELEASED);
    assert_false(is_held(&f, 'a'));
    assert_int_equal(take(&f, 'b', "two", one, 60).result, LOCK_RENEWED);
    end(&f);
}

/* A row says all that a restart needs. */
static void test_row(void **state)
{
    const struct lock_change *c;
    struct lock_answer a;
    struct fixture f;
    bool is_whole;
    size_t len;

    (void)state;
    begin(&f);
    a = take(&f, 'a', "one", "s", 77);
    c = lock_changes(f.t, &len, &is_whole);
    assert_int_equal(len, 1);
    assert_int_equal(c[0].kind, LOCK_PUT);
    assert_int_equal(c[0].row.id.bytes[0], 'a');
    assert_int_equal(c[0].row.client_len, 3);
    assert_memory_equal(c[0].row.client, "one", 3);
    assert_string_equal(c[0].row.label, "label of one");
    assert_int_equal(c[0].row.life_s, 77);
    assert_true(c[0].row.token == a.token);
    assert_int_equal(c[0].row.since_s, WALL + f.now / 1000);
    assert_false(c[0].row.is_broken);
    lock_changes_clear(f.t);
    /* Longer must be on disk, as long or shorter need not. */
    (void)take(&f, 'a', "one", "s", 77);
    (void)take(&f, 'a', "one", "s", 5);
    assert_int_equal(changes(&f), 0);
    (void)take(&f, 'a', "one", "s", 78);
    assert_int_equal(changes(&f), 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_lease),
        cmocka_unit_test(test_give_one),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
