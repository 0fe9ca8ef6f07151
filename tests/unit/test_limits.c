/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - what --limit takes, and what was not said.
 */
#include "../../modules/server/limits.h"
#include "test.h"

static void test_parse(void **state)
{
    struct server_limits l = {.all = {0}};
    struct justalock_error err;

    (void)state;
    assert_int_equal(limits_parse("held=7", &l, &err), JUSTALOCK_OK);
    assert_int_equal(limits_parse("held-each=5", &l, &err), JUSTALOCK_OK);
    assert_int_equal(limits_parse("connections=1", &l, &err), JUSTALOCK_OK);
    assert_int_equal(limits_parse("waiters-each=10000000", &l, &err),
                     JUSTALOCK_OK);
    assert_int_equal(l.all[LOCK_LIMIT_HELD], 7);
    assert_int_equal(l.each[LOCK_LIMIT_HELD], 5);
    assert_int_equal(l.all[LIMIT_CONNECTIONS], 1);
    assert_int_equal(l.each[LOCK_LIMIT_WAITERS], 10000000);
    assert_int_equal(l.all[LOCK_LIMIT_WAITERS], 0);
}

static void test_wrong(void **state)
{
    static const char *const wrong[] = {"",
                                        "held",
                                        "held=",
                                        "held=0",
                                        "held=-1",
                                        "held=1 ",
                                        "held=10000001",
                                        "held-each",
                                        "helds=1",
                                        "held-eachs=1",
                                        "memory=5",
                                        "=5",
                                        "held =1",
                                        "held-each-each=1"};
    struct server_limits l = {.all = {0}};
    struct justalock_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(limits_parse(wrong[i], &l, &err), JUSTALOCK_ARG);
        assert_non_null(strstr(err.text, "--limit"));
    }
    for (int i = 0; i < LIMITS; i++)
        assert_int_equal(l.all[i] + l.each[i], 0);
}

static void test_finish(void **state)
{
    struct server_limits l = {.all = {0}};
    struct justalock_error err;
    struct lock_limits t;

    (void)state;
    l.all[LOCK_LIMIT_RELEASED] = 9;
    assert_int_equal(limits_finish(&l, 1001, &err), JUSTALOCK_OK);
    assert_int_equal(l.all[LIMIT_CONNECTIONS], 1001);
    assert_int_equal(l.each[LIMIT_CONNECTIONS], 501);
    assert_int_equal(l.each[LOCK_LIMIT_RELEASED], 5);
    t = limits_of_table(&l);
    assert_int_equal(t.all[LOCK_LIMIT_HELD], LOCK_HELD_MAX);
    assert_int_equal(t.each[LOCK_LIMIT_HELD], LOCK_HELD_MAX / 2);
    assert_int_equal(t.all[LOCK_LIMIT_WAITERS], LOCK_WAITERS_MAX);
    assert_int_equal(t.each[LOCK_LIMIT_RELEASED], 5);
    l.each[LOCK_LIMIT_HELD] = LOCK_HELD_MAX + 1;
    assert_int_equal(limits_finish(&l, 1001, &err), JUSTALOCK_ARG);
    assert_non_null(strstr(err.text, "held-each=1000001: more than the "
                                     "1000000 of all"));
    l.each[LOCK_LIMIT_HELD] = LOCK_HELD_MAX;
    assert_int_equal(limits_finish(&l, 1001, &err), JUSTALOCK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
