/* SPDX-License-Identifier: MIT */
/*
 * test_lock_id.c - ids through justalock.h: each way to one, at its edges,
 * what is refused leaves the old one, and there is a word for each status.
 */
#include <string.h>

#include "justalock.h"
#include "test.h"

static const uint8_t untouched[JUSTALOCK_ID_LEN] = "untouched......";

static const char *text_of(const uint8_t id[JUSTALOCK_ID_LEN])
{
    static char text[JUSTALOCK_ID_TEXT_LEN + 1];

    justalock_id_format(id, text);
    return text;
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
        const char *want;
    } cases[] = {
        {"0", 0, "AAAAAAAAAAAAAAAAAAAAAA"},
        {"1", 1, "AAAAAAAAAAAAAAAAAAAAAQ"},
        {"255", 255, "AAAAAAAAAAAAAAAAAAAA_w"},
        {"18446744073709551615", UINT64_MAX, "AAAAAAAAAAD__________w"},
    };
    uint8_t a[JUSTALOCK_ID_LEN], b[JUSTALOCK_ID_LEN];
    struct justalock_error err;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        justalock_id_from_u64(cases[i].value, a);
        assert_string_equal(text_of(a), cases[i].want);
        assert_ok(justalock_id_from_decimal(cases[i].text, b, &err), err);
        assert_memory_equal(a, b, sizeof(a));
    }
    assert_ok(justalock_id_from_decimal(
                  "340282366920938463463374607431768211455", a, &err),
              err);
    memset(b, 0xff, sizeof(b)); /* 2^128 - 1 */
    assert_memory_equal(a, b, sizeof(a));
    memcpy(a, untouched, sizeof(a));
    assert_int_equal(justalock_id_from_decimal(
                         "340282366920938463463374607431768211456", a, &err),
                     JUSTALOCK_ARG);
    assert_int_equal(justalock_id_from_decimal("-1", a, &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_id_from_decimal("", a, &err), JUSTALOCK_ARG);
    assert_int_equal(justalock_id_from_decimal("1x", a, NULL), JUSTALOCK_ARG);
    assert_memory_equal(a, untouched, sizeof(a));
}

static void test_texts(void **state)
{
    uint8_t a[JUSTALOCK_ID_LEN], b[JUSTALOCK_ID_LEN];
    struct justalock_error err;

    (void)state;
    assert_ok(justalock_id_from_text("a name", a, &err), err);
    assert_ok(justalock_id_from_text("another name", b, &err), err);
    assert_memory_not_equal(a, b, sizeof(a));
    justalock_id_from_bytes(NULL, 0, a);
    justalock_id_from_bytes("", 0, b);
    assert_memory_equal(a, b, sizeof(a));
    justalock_id_from_bytes("0123456789abcdef", 16, a); /* as they are */
    assert_memory_equal(a, "0123456789abcdef", 16);
    justalock_id_from_bytes("0123456789abcdefg", 17, b);
    assert_memory_not_equal(a, b, sizeof(a));
    justalock_id_from_bytes("a\0b", 3, a); /* zero bytes are bytes */
    justalock_id_from_bytes("a\0c", 3, b);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_ok(
        justalock_id_from_uuid("00000000-0000-0000-0000-0000000000ff", a, &err),
        err);
    assert_string_equal(text_of(a), "AAAAAAAAAAAAAAAAAAAA_w");
    memcpy(a, untouched, sizeof(a));
    assert_int_equal(justalock_id_from_uuid("a name", a, &err), JUSTALOCK_ARG);
    assert_memory_equal(a, untouched, sizeof(a));
}

static void test_random(void **state)
{
    uint8_t seen[64][JUSTALOCK_ID_LEN];
    struct justalock_error err;

    (void)state;
    for (size_t i = 0; i < LENGTH(seen); i++) {
        assert_ok(justalock_id_random(seen[i], &err), err);
        assert_int_equal(strlen(text_of(seen[i])), JUSTALOCK_ID_TEXT_LEN);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], sizeof(seen[i]));
    }
}

static void test_words(void **state)
{
    (void)state;
    for (int i = JUSTALOCK_OK; i <= JUSTALOCK_STATE; i++) {
        const char *word = justalock_strerror((enum justalock_status)i);

        assert_string_not_equal(word, "");
        assert_string_not_equal(word, "unknown status");
        for (int j = JUSTALOCK_OK; j < i; j++)
            assert_string_not_equal(
                word, justalock_strerror((enum justalock_status)j));
    }
    assert_string_equal(justalock_strerror((enum justalock_status)99),
                        "unknown status");
    assert_string_equal(justalock_version(), JUSTALOCK_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
