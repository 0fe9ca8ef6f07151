/* SPDX-License-Identifier: MIT */
/*
 * test_bearer.c - what is a token, in bytes and in a file, and whose file.
 */
#include <errno.h>

#include "../lib/fail_alloc.h"
#include "bearer.h"
#include "scratch.h"
#include "test.h"

static char token[BEARER_MAX + 1];

static const char *put(const char *data, size_t len, mode_t mode)
{
    FILE *f = fopen(in_scratch("token"), "we");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_scratch("token"), mode), 0);
    return in_scratch("token");
}

static void its_end_may_be_said(void **state)
{
    static const char *const ends[] = {"", "\n", "\r\n"};

    (void)state;
    for (size_t i = 0; i < LENGTH(ends); i++) {
        char text[16];

        (void)snprintf(text, sizeof(text), "a!~z%s", ends[i]);
        memset(token, 0, sizeof(token));
        assert_true(bearer_parse(text, strlen(text), token));
        assert_string_equal(token, "a!~z");
    }
}

static void what_is_none_changes_nothing(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {{"", 0},      {"\n", 1},    {"\r\n", 2},    {"a b", 3},
               {" a", 2},    {"a ", 2},    {"a\nb", 3},    {"a\n\n", 3},
               {"a\r", 2},   {"\na", 2},   {"a\tb", 3},    {"a\0b", 3},
               {"a\0\n", 3}, {"a\x7f", 2}, {"\xc3\xa4", 2}};

    (void)state;
    memcpy(token, "before", 7);
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_false(bearer_parse(bad[i].text, bad[i].len, token));
    assert_string_equal(token, "before");
}

static void its_limit(void **state)
{
    char text[BEARER_MAX + 3];

    (void)state;
    memset(text, 't', sizeof(text));
    assert_true(bearer_parse(text, BEARER_MAX, token));
    assert_int_equal(strlen(token), BEARER_MAX);
    assert_false(bearer_parse(text, BEARER_MAX + 1, token));
    memcpy(text + BEARER_MAX, "\r\n", 2);
    assert_true(bearer_parse(text, BEARER_MAX + 2, token));
    assert_int_equal(strlen(token), BEARER_MAX);
}

static void a_file(void **state)
{
    struct justalock_error err;

    (void)state;
    assert_ok(bearer_load(put("secret\n", 7, 0600), token, &err), err);
    assert_string_equal(token, "secret");
    assert_ok(bearer_load(put("other", 5, 0400), token, &err), err);
    assert_string_equal(token, "other");
    assert_fails(bearer_load(put("a\0b\n", 4, 0600), token, &err),
                 JUSTALOCK_CONFIG, err,
                 "not one line of 1 to 255 printable characters");
    assert_fails(bearer_load(put("", 0, 0600), token, &err), JUSTALOCK_CONFIG,
                 err, "token_file ");
    assert_fails(bearer_load(put("a", 1, 0640), token, &err), JUSTALOCK_CONFIG,
                 err, "mode 0640 gives others more");
    assert_fails(bearer_load(put("a", 1, 0604), token, &err), JUSTALOCK_CONFIG,
                 err, "mode 0604");
    assert_fails(bearer_load(in_scratch("none"), token, &err), JUSTALOCK_CONFIG,
                 err, "No such file");
    assert_int_equal(err.sys_errno, ENOENT);
    assert_string_equal(token, "other");
}

static bool load_it(void *arg)
{
    struct justalock_error err;
    enum justalock_status st = bearer_load(arg, token, &err);

    if (st != JUSTALOCK_OK)
        assert_int_equal(st, JUSTALOCK_NOMEM);
    return st == JUSTALOCK_OK;
}

static void without_memory(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s", put("secret\n", 7, 0600));
    assert_in_range(fail_alloc_each(load_it, path), 1, 50);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_end_may_be_said),
        cmocka_unit_test(what_is_none_changes_nothing),
        cmocka_unit_test(its_limit),
        cmocka_unit_test_setup_teardown(a_file, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(without_memory, scratch_make,
                                        scratch_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
