/* SPDX-License-Identifier: MIT */
/*
 * test_cli_capture.c - what a program prints, up to the limit and not beyond;
 * one that fails, cannot be run, is killed or does not end.
 */
#include "test.h"

#include <errno.h>
#include <sys/wait.h>

#include "../../modules/cli/capture.h"

static enum justalock_status shell(const char *script, int64_t limit_ms,
                                   struct buf *b, struct justalock_error *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    enum justalock_status st = capture(argv, limit_ms, b, err);

    /* Whatever came of it: nobody is left behind. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return st;
}

static void up_to_the_limit(void **state)
{
    struct justalock_error err = {0};
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    assert_ok(shell("printf abcd; echo no >&2", 20000, &b, &err), err);
    assert_string_equal(b.data, "abcd");
    buf_reset(&b);
    assert_int_equal(shell("printf abcde", 20000, &b, &err), JUSTALOCK_SYS);
    assert_string_equal(err.text, "sh prints more than 4 bytes");
    buf_done(&b);
}

static void no_input(void **state)
{
    struct justalock_error err = {0};
    struct buf b;

    (void)state;
    buf_init(&b, 64);
    assert_ok(shell("cat; printf end", 20000, &b, &err), err);
    assert_string_equal(b.data, "end");
    buf_done(&b);
}

static void one_that_fails(void **state)
{
    const char *const none[] = {"/nonexistent/program", NULL};
    struct justalock_error err = {0};
    struct buf b;

    (void)state;
    buf_init(&b, 64);
    assert_int_equal(shell("exit 1", 20000, &b, &err), JUSTALOCK_SYS);
    assert_has(err.text, "sh cannot be run, or fails");
    assert_int_equal(shell("kill -9 $$", 20000, &b, &err), JUSTALOCK_SYS);
    assert_int_equal(capture(none, 20000, &b, &err), JUSTALOCK_SYS);
    assert_has(err.text, none[0]);
    buf_done(&b);
}

static void one_that_does_not_end(void **state)
{
    struct justalock_error err = {0};
    struct buf b;

    (void)state;
    buf_init(&b, 64);
    assert_int_equal(shell("exec sleep 60", 50, &b, &err), JUSTALOCK_NET);
    assert_has(err.text, "sh does not end in time");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_to_the_limit),
        cmocka_unit_test(no_input),
        cmocka_unit_test(one_that_fails),
        cmocka_unit_test(one_that_does_not_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
