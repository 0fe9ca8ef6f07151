/* SPDX-License-Identifier: MIT */
/*
 * test_parse.c - parse.c: every parser at its edges, with texts that a lax
 * one would take.
 */
#include <inttypes.h>
#include <signal.h>

#include "parse.h"
#include "test.h"

static void u64_is(const char *text, uint64_t min, uint64_t max, uint64_t want)
{
    struct justalock_error err;
    uint64_t v = 999;

    assert_ok(parse_u64(text, min, max, "n", &v, &err), err);
    assert_true(v == want);
}

static void u64_fails(const char *text, uint64_t min, uint64_t max,
                      const char *part)
{
    struct justalock_error err;
    uint64_t v = 999;

    assert_fails(parse_u64(text, min, max, "key", &v, &err), JUSTALOCK_ARG, err,
                 part);
    assert_has(err.text, "key: ");
    assert_true(v == 999);
}

static void test_u64(void **state)
{
    static const char *const bad[] = {
        "",    " ",   " 1",  "1 ",  "+1",  "-1",  "0x10", "1.0", "1e3",
        "12a", "a12", "1\n", "1_0", "--1", "1,0", "٣",    "NaN", "inf",
    };

    (void)state;
    u64_is("0", 0, 0, 0);
    u64_is("1", 1, 65535, 1);
    u64_is("65535", 1, 65535, 65535);
    u64_is("007", 0, 10, 7);
    u64_is("18446744073709551615", 0, UINT64_MAX, UINT64_MAX);
    u64_is("00000000000000000000000000000000001", 0, 1, 1);
    u64_fails("0", 1, 65535, "0 is not within 1 and 65535");
    u64_fails("65536", 1, 65535, "65536 is not within 1 and 65535");
    u64_fails("18446744073709551616", 0, UINT64_MAX, "is not within");
    u64_fails("99999999999999999999999", 0, UINT64_MAX, "is not within");
    u64_fails("18446744073709551620", 0, UINT64_MAX, "is not within");
    for (size_t i = 0; i < LENGTH(bad); i++)
        u64_fails(bad[i], 0, UINT64_MAX, "is not a number");
}

static void time_is(const char *text, int64_t want)
{
    struct justalock_error err;
    int64_t ms = -7;

    assert_ok(parse_time_ms(text, INT64_MAX, "wait", &ms, &err), err);
    assert_true(ms == want);
}

static void time_fails(const char *text, int64_t max_ms, const char *part)
{
    struct justalock_error err;
    int64_t ms = -7;

    assert_fails(parse_time_ms(text, max_ms, "wait", &ms, &err), JUSTALOCK_ARG,
                 err, part);
    assert_has(err.text, "wait: ");
    assert_true(ms == -7);
}

static void test_time(void **state)
{
    static const char *const bad[] = {
        "",     "s",    "ms",  "-1",   "+1",   " 1",   "1 s", "1 ",
        "1sec", "1S",   "1M",  "1d",   "1.5s", "1m30", "1ss", "5m2s",
        "0x1s", "1mss", "1m ", "1\ts", "٣s",   "1e3",
    };

    (void)state;
    time_is("0", 0);
    time_is("90", 90000);
    time_is("90s", 90000);
    time_is("5m", 300000);
    time_is("2h", 7200000);
    time_is("250ms", 250);
    time_is("0ms", 0);
    time_is("9223372036854775807ms", INT64_MAX);
    time_is("9223372036854775s", 9223372036854775000);
    time_fails("9223372036854775808ms", INT64_MAX, "is above");
    time_fails("9223372036854776s", INT64_MAX, "is above");
    time_fails("18446744073709551616ms", INT64_MAX, "is above");
    time_fails("5124095576030431h", INT64_MAX, "is above");
    time_fails("18446744073709552", INT64_MAX, "is above");
    time_fails("1001ms", 1000, "1001ms is above 1s");
    time_fails("2s", 1500, "2s is above 1500ms");
    time_fails("0", -1, "is above");
    for (size_t i = 0; i < LENGTH(bad); i++)
        time_fails(bad[i], INT64_MAX, "is not a time");
}

static void life_is(const char *text, unsigned want)
{
    struct justalock_error err;
    unsigned s = 77;

    assert_ok(parse_life_s(text, "lifetime", &s, &err), err);
    assert_int_equal(s, want);
}

static void life_fails(const char *text, const char *part)
{
    struct justalock_error err;
    unsigned s = 77;

    assert_fails(parse_life_s(text, "lifetime", &s, &err), JUSTALOCK_ARG, err,
                 part);
    assert_has(err.text, "lifetime: ");
    assert_int_equal(s, 77);
    assert_int_equal(parse_life_s(text, "lifetime", &s, NULL), JUSTALOCK_ARG);
}

static void test_life(void **state)
{
    (void)state;
    life_is("1", 1);
    life_is("65535", 65535);
    life_is("65535s", 65535);
    life_is("60s", 60);
    life_is("5m", 300);
    life_is("18h", 64800);
    life_is("2000ms", 2);
    life_is("65535000ms", 65535);
    life_fails("0", "0 is not within 1 and 65535 seconds");
    life_fails("0ms", "is not within 1 and 65535 seconds");
    life_fails("65536", "65536 is not within 1 and 65535 seconds");
    life_fails("19h", "is not within");
    life_fails("1093m", "is not within");
    life_fails("99999999999999999999h", "is not within");
    life_fails("1500ms", "1500ms is not a whole number of seconds");
    life_fails("999ms", "whole number");
    life_fails("", "is not a time");
    life_fails("x", "is not a time");
    life_fails("-1", "is not a time");
    life_fails("99999999999999999999x", "is not a time");
}

static void name_fails(const char *text, const char *part)
{
    struct justalock_error err;

    assert_fails(parse_name(text, "--lock", &err), JUSTALOCK_ARG, err, part);
    assert_has(err.text, "--lock: ");
}

static void test_name(void **state)
{
    struct justalock_error err;
    char text[PARSE_NAME_MAX + 2];

    (void)state;
    assert_ok(parse_name("db-migration", "n", &err), err);
    assert_ok(parse_name("lock with spaces", "n", &err), err);
    assert_ok(parse_name("\xc3\xbcn\xc3\xaf", "n", &err), err);
    memset(text, 'a', sizeof(text));
    text[PARSE_NAME_MAX] = '\0';
    assert_ok(parse_name(text, "n", &err), err);
    text[PARSE_NAME_MAX] = 'a';
    text[PARSE_NAME_MAX + 1] = '\0';
    name_fails(text, "256 bytes, at most 255");
    name_fails("", "is empty");
    name_fails(" a", "a space");
    name_fails("a ", "a space");
    name_fails(" ", "a space");
    name_fails("a\nb", "control characters");
    name_fails("a\x7f", "control characters");
    name_fails("\xff", "not UTF-8");
}

static void test_clean_text(void **state)
{
    static const char *const good[] = {
        "",
        " ~",
        "\xc2\xa0",         /* U+00A0, the first after C1 */
        "\xdf\xbf",         /* U+07FF */
        "\xe0\xa0\x80",     /* U+0800 */
        "\xed\x9f\xbf",     /* U+D7FF */
        "\xee\x80\x80",     /* U+E000 */
        "\xef\xbf\xbf",     /* U+FFFF */
        "\xf0\x90\x80\x80", /* U+10000 */
        "\xf4\x8f\xbf\xbf", /* U+10FFFF */
    };
    static const char *const bad[] = {
        "\x01",
        "\x1f",
        "\x7f",
        "\xc2\x80", /* C1 */
        "\xc2\x9f",
        "\x80",
        "\xbf",
        "\xc0\x80", /* overlong NUL */
        "\xc1\xbf",
        "\xc2",
        "\xc2 ",
        "\xc3\xc3",
        "\xe0\x9f\xbf", /* overlong */
        "\xe2\x82",
        "\xe2\x82 ",
        "\xed\xa0\x80", /* surrogates */
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xf0\x9f\x98",
        "\xf0\x9f\x98 ",
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
    };
    char text[16];

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        assert_true(parse_is_clean_text(good[i], strlen(good[i])));
        (void)snprintf(text, sizeof(text), "a%sb", good[i]);
        assert_true(parse_is_clean_text(text, strlen(text)));
        parse_mask_unclean(text);
        assert_null(strchr(text, '?'));
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        if (parse_is_clean_text(bad[i], strlen(bad[i])))
            fail_msg("bad[%zu] was taken", i);
        (void)snprintf(text, sizeof(text), "a%sb", bad[i]);
        assert_false(parse_is_clean_text(text, strlen(text)));
        parse_mask_unclean(text);
        assert_true(parse_is_clean_text(text, strlen(text)));
        assert_int_equal(text[0], 'a');
        assert_int_equal(text[1], '?');
        assert_int_equal(text[strlen(text) - 1], 'b');
    }
    assert_false(parse_is_clean_text("a\0b", 3));
    /* The length decides, not the bytes behind it. */
    assert_false(parse_is_clean_text("\xc3\xa9", 1));
    assert_int_equal(parse_utf8_char("", 0), 0);
    assert_int_equal(parse_utf8_char("\xf0\x9f\x98\x80", 4), 4);
    assert_int_equal(parse_utf8_char("\xf0\x9f\x98\x80", 3), 0);
    assert_int_equal(parse_utf8_char("\x01", 1), 1);
}

static void test_signal(void **state)
{
    (void)state;
    assert_int_equal(parse_signal("TERM"), SIGTERM);
    assert_int_equal(parse_signal("SIGTERM"), SIGTERM);
    assert_int_equal(parse_signal("USR1"), SIGUSR1);
    assert_int_equal(parse_signal("10"), 10);
    assert_int_equal(parse_signal("1"), 1);
    assert_int_equal(parse_signal("64"), 64);
    assert_int_equal(parse_signal("65"), 0);
    assert_int_equal(parse_signal("0"), 0);
    assert_int_equal(parse_signal("99999999999999999999"), 0);
    assert_int_equal(parse_signal(""), 0);
    assert_int_equal(parse_signal("SIG"), 0);
    assert_int_equal(parse_signal("term"), 0);
    assert_int_equal(parse_signal("TERMX"), 0);
    assert_int_equal(parse_signal("SIGSIGTERM"), 0);
    assert_int_equal(parse_signal("-15"), 0);
    assert_int_equal(parse_signal(" 15"), 0);
    assert_string_equal(parse_signal_name(SIGTERM), "TERM");
    assert_string_equal(parse_signal_name(0), "?");
    assert_string_equal(parse_signal_name(-1), "?");
    assert_string_equal(parse_signal_name(64), "?");
    for (int s = 1; s < 32; s++)
        assert_int_equal(parse_signal(parse_signal_name(s)), s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),        cmocka_unit_test(test_time),
        cmocka_unit_test(test_life),       cmocka_unit_test(test_name),
        cmocka_unit_test(test_clean_text), cmocka_unit_test(test_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
