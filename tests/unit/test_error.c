/* SPDX-License-Identifier: MIT */
/*
 * test_error.c - error.c: texts are filled, wrapped, cut and cleaned.
 */
#include <errno.h>
#include <stdlib.h>

#include "parse.h"
#include "test.h"

static void test_set(void **state)
{
    struct justalock_error err;

    (void)state;
    memset(&err, 0x5a, sizeof(err));
    errno = EBADF;
    assert_int_equal(
        error_set(&err, JUSTALOCK_ARG, "life: %d is above %d", 70, 60),
        JUSTALOCK_ARG);
    assert_int_equal(errno, EBADF);
    assert_int_equal(err.status, JUSTALOCK_ARG);
    assert_int_equal(err.sys_errno, 0);
    assert_int_equal(err.http_status, 0);
    assert_string_equal(err.text, "life: 70 is above 60");
}

static void test_null(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, JUSTALOCK_NET, "x"), JUSTALOCK_NET);
    assert_int_equal(error_sys(NULL, ENOENT, "x"), JUSTALOCK_SYS);
    assert_int_equal(error_wrap(NULL, JUSTALOCK_LOST, "x"), JUSTALOCK_LOST);
    assert_int_equal(error_nomem(NULL), JUSTALOCK_NOMEM);
}

static void test_sys(void **state)
{
    struct justalock_error err;

    (void)state;
    errno = EAGAIN;
    assert_int_equal(error_sys(&err, ENOENT, "open %s", "/x"), JUSTALOCK_SYS);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(err.status, JUSTALOCK_SYS);
    assert_string_equal(err.text, "open /x: No such file or directory");
    (void)error_sys(&err, 99999, "thing");
    assert_has(err.text, "thing: Unknown error 99999");
}

static void test_wrap(void **state)
{
    struct justalock_error err;

    (void)state;
    (void)error_sys(&err, EACCES, "open");
    err.http_status = 403;
    assert_int_equal(error_wrap(&err, JUSTALOCK_CONFIG, "config %s:%d", "f", 7),
                     JUSTALOCK_CONFIG);
    assert_string_equal(err.text, "config f:7: open: Permission denied");
    assert_int_equal(err.status, JUSTALOCK_CONFIG);
    assert_int_equal(err.sys_errno, EACCES); /* the cause stays known */
    assert_int_equal(err.http_status, 403);
    /* The old text may be among the arguments. */
    (void)error_set(&err, JUSTALOCK_NET, "first");
    (void)error_set(&err, JUSTALOCK_NET, "%s, then second", err.text);
    assert_string_equal(err.text, "first, then second");
    err.text[0] = '\0';
    (void)error_wrap(&err, JUSTALOCK_NET, "alone");
    assert_string_equal(err.text, "alone");
}

static void test_nomem(void **state)
{
    struct justalock_error err;

    (void)state;
    assert_int_equal(error_nomem(&err), JUSTALOCK_NOMEM);
    assert_int_equal(err.status, JUSTALOCK_NOMEM);
    assert_int_equal(err.sys_errno, ENOMEM);
    assert_true(err.text[0] != '\0');
}

static void test_control_characters(void **state)
{
    struct justalock_error err;

    (void)state;
    (void)error_set(&err, JUSTALOCK_ARG,
                    "a\nb\033[31mc\x7f\t\xc2\x9b"
                    "d\xff");
    assert_string_equal(err.text, "a?b?[31mc????d?");
    (void)error_set(&err, JUSTALOCK_ARG, "p\xc3\xa9 \xe2\x82\xac ok");
    assert_string_equal(err.text, "p\xc3\xa9 \xe2\x82\xac ok");
}

/* However many bytes come before, no text ends in half a character. */
static void test_cut(void **state)
{
    static const char *const chars[] = {"x", "\xc3\xa9", "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80"};
    struct justalock_error err;
    char text[300];

    (void)state;
    for (size_t c = 0; c < LENGTH(chars); c++)
        for (size_t before = 200; before < 250; before++) {
            size_t step = strlen(chars[c]);
            size_t len = before;

            memset(text, 'a', before);
            while (len + step < sizeof(text)) {
                memcpy(text + len, chars[c], step);
                len += step;
            }
            text[len] = '\0';
            (void)error_set(&err, JUSTALOCK_ARG, "%s", text);
            len = strlen(err.text);
            assert_true(len <= sizeof(err.text) - 1);
            assert_true(len + step > sizeof(err.text) - 1);
            assert_memory_equal(err.text, text, len);
            assert_true(parse_is_clean_text(err.text, len));
            (void)error_wrap(&err, JUSTALOCK_ARG, "wrapped");
            assert_true(parse_is_clean_text(err.text, strlen(err.text)));
            assert_null(strchr(err.text, '?'));
            (void)error_sys(&err, ENOENT, "%s", text);
            assert_true(parse_is_clean_text(err.text, strlen(err.text)));
            assert_null(strchr(err.text, '?'));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),   cmocka_unit_test(test_null),
        cmocka_unit_test(test_sys),   cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_nomem), cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
