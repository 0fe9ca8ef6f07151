/* SPDX-License-Identifier: MIT */
/*
 * test_store.c - which kind of store a text names, and what holds for both.
 */
#include "../../modules/server/store_inner.h"
#include "scratch.h"
#include "test.h"

static enum justalock_status never(void *arg, const struct lock_row *row,
                                   bool is_tomb)
{
    (void)arg;
    (void)row;
    (void)is_tomb;
    fail_msg("there is a row");
    return JUSTALOCK_OK;
}

static void test_folder(void **state)
{
    struct justalock_error err;
    struct store_found found;
    struct store *s = NULL;

    (void)state;
    assert_ok(store_open(in_scratch("folder"), NULL, &s, &found, &err), err);
    assert_int_equal(found.state, STORE_FIRST);
    /* Its only server: nobody to ask, nothing to come again for. */
    assert_null(store_shared(s));
    assert_true(store_tick(s, 5) == INT64_MAX);
    store_step_down(s, "nothing comes of it");
    assert_ok(store_load(s, never, NULL, &err), err);
    assert_ok(store_commit(s, NULL, 0, 3, &err), err);
    store_close(s);
    assert_ok(store_open(in_scratch("folder"), NULL, &s, &found, &err), err);
    assert_int_equal(found.state, STORE_WHOLE);
    assert_int_equal(found.last_token, 3);
    store_close(s);
    store_close(NULL);
}

static void test_etcd(void **state)
{
    static const struct etcd_files none;
    struct justalock_error err;
    struct store_found found;
    struct store *s = NULL;

    (void)state;
    memset(&found, 0xff, sizeof(found));
    assert_ok(store_open("etcd://127.0.0.1:1", &none, &s, &found, &err), err);
    assert_int_equal(found.state, STORE_WHOLE); /* never damaged */
    assert_int_equal(found.quiet_s, 0);
    assert_non_null(store_shared(s));
    assert_false(store_shared(s)->is_active);
    assert_fails(store_commit(s, NULL, 0, 3, &err), JUSTALOCK_STATE, err,
                 "another server");
    store_step_down(s, "it never was up");
    store_close(s);
}

/* What is no etcd:// is a folder's name, however it looks. */
static void test_names(void **state)
{
    static const struct etcd_files none;
    struct justalock_error err;
    struct store_found found;
    struct store *s = NULL;

    (void)state;
    assert_fails(store_open("etcd://", &none, &s, &found, &err), JUSTALOCK_ARG,
                 err, "--state etcd://");
    assert_int_equal(store_open("etcd:/127.0.0.1:1", &none, &s, &found, &err),
                     JUSTALOCK_SYS);
    assert_int_equal(store_open("", &none, &s, &found, &err), JUSTALOCK_ARG);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_etcd),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
