/* SPDX-License-Identifier: MIT */
/*
 * test_access.c - who may what by the list of clients.
 */

#include "access_help.h"

static struct lock_id id(const char *name)
{
    struct lock_id i;

    assert_int_equal(id_from_name(name, &i, NULL), JUSTALOCK_OK);
    return i;
}

/* "one" and "two" are the tokens. */
static void test_rights(void **state)
{
    struct access *a =
        load("{ \"clients\": { \"a\": { \"token_sha256\": \"" ONE "\" },\n"
             "  \"b\": { \"token_sha256\": [\"" TWO "\"], \"certificate\": "
             "\"cn\", \"rights\": \"look\", \"locks\": [\"x\", "
             "\"id:AAAAAAAAAAAAAAAAAAAAAQ\"] },\n"
             "  \"c\": { \"certificate\": \"ops\", \"rights\": "
             "[\"break\"] } } }");
    struct lock_id x = id("x"), y = id("y"), z = {{0}};
    const struct access_client *c = access_by_token(a, "one", 3);

    (void)state;
    z.bytes[15] = 1;
    assert_int_equal(access_clients(a), 3);
    assert_string_equal(access_name(c), "a");
    assert_true(access_may(c, ACCESS_TAKE, &x));
    assert_true(access_may(c, ACCESS_LOOK, &x));
    assert_true(access_may(c, ACCESS_LOOK, NULL));
    assert_false(access_may(c, ACCESS_BREAK, &x));
    c = access_by_token(a, "two", 3);
    assert_ptr_equal(c, access_by_certificate(a, "cn"));
    assert_true(access_may(c, ACCESS_LOOK, &x));
    assert_true(access_may(c, ACCESS_LOOK, &z));
    assert_false(access_may(c, ACCESS_LOOK, &y));
    assert_false(access_may(c, ACCESS_LOOK, NULL));
    assert_false(access_may(c, ACCESS_TAKE, &x));
    c = access_by_certificate(a, "ops");
    assert_true(access_may(c, ACCESS_BREAK, &y));
    assert_false(access_may(c, ACCESS_LOOK, &y));
    assert_false(access_may(c, ACCESS_TAKE, &y));
    assert_null(access_by_token(a, "one", 2));
    assert_null(access_by_token(a, "", 0));
    assert_null(access_by_token(a, ONE, 64));
    assert_null(access_by_certificate(a, "c"));
    assert_null(access_by_certificate(a, ""));
    access_free(a);
    access_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
