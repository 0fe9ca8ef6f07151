/* SPDX-License-Identifier: MIT */
/* test_spank_submit.c - options checked where they are typed, found again
 * where the job runs. */
#include "fake_spank.h"

static void registers_three_with_argument(void **state)
{
    (void)state;
    fake_reset(S_CTX_ALLOCATOR);
    assert_int_equal(submit_register(NULL), 0);
    assert_int_equal(fake.options, 3);
    assert_string_equal(fake.option[0]->name, "lock");
    assert_string_equal(fake.option[1]->name, "lock-wait");
    assert_string_equal(fake.option[2]->name, "lock-on-busy");
    for (int i = 0; i < 3; i++)
        assert_int_equal(fake.option[i]->has_arg, 1);
}

static int typed(int option, const char *value, int remote)
{
    return fake.option[option]->cb(fake.option[option]->val, value, remote);
}

static void wrong_values_are_refused_where_typed(void **state)
{
    struct plugin_settings bad = {.is_bad = true, .why = "debug: unknown"};
    struct plugin_settings good = {0};

    (void)state;
    fake_reset(S_CTX_ALLOCATOR);
    assert_int_equal(submit_register(NULL), 0);
    assert_int_equal(typed(0, "a,,b", 0), -1);
    assert_non_null(strstr(fake.said, "an empty name"));
    assert_int_equal(typed(1, "soon", 0), -1);
    assert_int_equal(typed(2, "later", 0), -1);
    assert_int_equal(typed(0, NULL, 0), -1);
    assert_int_equal(typed(1, "5m", 0), 0);
    /* A wrong plugstack.conf is nothing to a job without a lock. */
    assert_int_equal(submit_check(&bad), 0);
    assert_int_equal(typed(0, "a,b", 0), 0);
    assert_int_equal(submit_check(&good), 0);
    assert_int_equal(submit_check(&bad), -1);
    assert_non_null(strstr(fake.said, "debug: unknown"));
    /* In slurmstepd a callback's -1 is only noise. */
    assert_int_equal(typed(0, "a,,b", 1), 0);
}

static void found_where_the_job_runs(void **state)
{
    struct plugin_request r;
    struct justalock_error err;

    (void)state;
    fake_reset(S_CTX_REMOTE);
    assert_int_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    assert_false(r.is_asked);
    fake.value[PLUGIN_OPTION_LOCK] = "a,b";
    fake.value[PLUGIN_OPTION_WAIT] = "30";
    fake.value[PLUGIN_OPTION_ON_BUSY] = "requeue";
    assert_int_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    assert_true(r.is_asked);
    assert_string_equal(r.locks, "a,b");
    assert_int_equal(r.wait_ms, 30000);
    assert_int_equal(r.on_busy, WIRE_BUSY_REQUEUE);
}

/* --export=NONE drops the option; the job's SPANK variable stays. */
static void found_in_the_jobs_environment(void **state)
{
    struct plugin_request r;
    struct justalock_error err;

    (void)state;
    fake_reset(S_CTX_REMOTE);
    fake.kept = "kept";
    assert_int_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    assert_string_equal(r.locks, "kept");
    fake.value[PLUGIN_OPTION_LOCK] = "given";
    assert_int_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    assert_string_equal(r.locks, "given");
}

static void wrong_again_as_root(void **state)
{
    char longest[WIRE_LIST_MAX + 200];
    struct plugin_request r = {.wait_ms = 4711};
    struct justalock_error err;

    (void)state;
    fake_reset(S_CTX_REMOTE);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    fake.kept = longest;
    assert_int_not_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    fake.value[PLUGIN_OPTION_LOCK] = longest;
    assert_int_not_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    fake.value[PLUGIN_OPTION_LOCK] = "";
    assert_int_not_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    fake.value[PLUGIN_OPTION_LOCK] = "a";
    fake.value[PLUGIN_OPTION_WAIT] = "1e3";
    assert_int_not_equal(submit_request(NULL, &r, &err), JUSTALOCK_OK);
    assert_int_equal(r.wait_ms, 4711); /* untouched on failure */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_three_with_argument),
        cmocka_unit_test(wrong_values_are_refused_where_typed),
        cmocka_unit_test(found_where_the_job_runs),
        cmocka_unit_test(found_in_the_jobs_environment),
        cmocka_unit_test(wrong_again_as_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
