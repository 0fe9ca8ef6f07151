/* SPDX-License-Identifier: MIT */
/*
 * test_buf.c - buf.c: the limit at its edge, memory that runs out, JSON text,
 * and wire fields written and read back, cut short at every byte.
 */
#include <stdlib.h>

#include "buf.h"
#include "test.h"

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static int reallocs_left = -1; /* -1: never fails */

void *__wrap_realloc(void *p, size_t size)
{
    if (reallocs_left == 0)
        return NULL;
    if (reallocs_left > 0)
        reallocs_left--;
    return __real_realloc(p, size);
}

static void test_limit(void **state)
{
    (void)state;
    for (size_t max = 0; max < 300; max++) {
        struct buf b;

        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            buf_add(&b, "x", 1);
        assert_false(b.failed);
        assert_int_equal(b.len, max);
        buf_add(&b, "", 0);
        assert_false(b.failed);
        buf_add(&b, "y", 1);
        assert_true(b.failed);
        assert_int_equal(b.len, max);
        if (max > 0)
            assert_int_equal(strlen(b.data), max);
        buf_done(&b);
        /* The same in one piece. */
        buf_init(&b, max);
        buf_printf(&b, "%*s", (int)max, "");
        assert_false(b.failed);
        assert_int_equal(b.len, max);
        buf_reset(&b);
        buf_printf(&b, "%*s", (int)max + 1, "");
        assert_true(b.failed);
        assert_int_equal(b.len, 0);
        buf_done(&b);
    }
}

static void test_failed_sticks(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    buf_str(&b, "abc");
    buf_str(&b, "de");
    assert_true(b.failed);
    buf_str(&b, "f"); /* would fit */
    assert_int_equal(b.len, 3);
    assert_string_equal(b.data, "abc");
    buf_reset(&b);
    assert_false(b.failed);
    assert_string_equal(b.data, "");
    buf_str(&b, "wxyz");
    assert_false(b.failed);
    assert_string_equal(b.data, "wxyz");
    buf_done(&b);
    assert_null(b.data);
    assert_int_equal(b.max, 4);
    buf_done(&b); /* twice is safe */
    buf_str(&b, "ok");
    assert_string_equal(b.data, "ok");
    buf_done(&b);
}

static void test_huge(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX);
    buf_add(&b, "a", 1);
    assert_true(b.failed); /* no limit is not a limit */
    buf_done(&b);
    buf_init(&b, 100);
    buf_str(&b, "a");
    buf_add(&b, "", SIZE_MAX);
    assert_true(b.failed);
    buf_done(&b);
}

static void fill(struct buf *b)
{
    for (int i = 0; i < 200; i++)
        buf_printf(b, "%d,", i);
    buf_json(b, "a\"b\n");
    buf_u64(b, 7);
    buf_text(b, "text");
}

/* Each allocation fails in turn: the data is whole up to there, none leaks. */
static void test_no_memory(void **state)
{
    int n;

    (void)state;
    for (n = 0; n < 50; n++) {
        struct buf b;
        bool failed;

        buf_init(&b, 4096);
        reallocs_left = n;
        fill(&b);
        failed = b.failed;
        reallocs_left = -1;
        assert_true(b.data == NULL || b.data[b.len] == '\0');
        assert_true(b.data != NULL || b.len == 0);
        buf_done(&b);
        if (!failed)
            break;
    }
    assert_in_range(n, 2, 20);
}

static void assert_json(const char *text, const char *want)
{
    struct buf b;

    buf_init(&b, 4096);
    buf_json(&b, text);
    assert_false(b.failed);
    assert_string_equal(b.data, want);
    buf_done(&b);
}

static void test_json(void **state)
{
    (void)state;
    assert_json("", "\"\"");
    assert_json("plain", "\"plain\"");
    assert_json("\"", "\"\\\"\"");
    assert_json("a\\b/", "\"a\\\\b/\"");
    assert_json("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
    assert_json("\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"");
    assert_json("\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    /* Not UTF-8: a stray, an overlong, half a character, a surrogate. */
    assert_json("\xff", "\"\\ufffd\"");
    assert_json("\xc0\xaf", "\"\\ufffd\\ufffd\"");
    assert_json("a\xe2\x82", "\"a\\ufffd\\ufffd\"");
    assert_json("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
    for (int c = 1; c < 0x20; c++) {
        char text[2] = {(char)c, '\0'};
        struct buf b;

        buf_init(&b, 64);
        buf_json(&b, text);
        assert_int_equal(b.data[1], '\\');
        buf_done(&b);
    }
}

static void test_json_limit(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    buf_json(&b, "\n");
    assert_false(b.failed);
    buf_reset(&b);
    buf_json(&b, "\nx");
    assert_true(b.failed);
    buf_done(&b);
}

static void write_fields(struct buf *b)
{
    buf_u8(b, 0xfe);
    buf_u16(b, 0x1234);
    buf_u32(b, 0x89abcdef);
    buf_u64(b, 0x0123456789abcdefu);
    buf_text(b, "n\xc3\xa4me");
    buf_bytes(b, "\0\1\2", 3);
    buf_text(b, "");
}

/* Returns how far it came: the reader did not fail before. */
static bool read_fields(struct reader *r)
{
    char text[6] = "zzzzz";
    char none[1] = "z";
    uint8_t bytes[3] = {9, 9, 9};
    size_t n;

    uint8_t v8 = get_u8(r);
    uint16_t v16 = get_u16(r);
    uint32_t v32 = get_u32(r);
    uint64_t v64 = get_u64(r);

    get_text(r, text, sizeof(text));
    n = get_bytes(r, bytes, sizeof(bytes));
    get_text(r, none, sizeof(none));
    if (r->failed)
        return false;
    assert_int_equal(v8, 0xfe);
    assert_int_equal(v16, 0x1234);
    assert_int_equal(v32, 0x89abcdef);
    assert_true(v64 == 0x0123456789abcdefu);
    assert_string_equal(text, "n\xc3\xa4me");
    assert_int_equal(n, 3);
    assert_memory_equal(bytes, "\0\1\2", 3);
    assert_string_equal(none, "");
    return true;
}

static void test_fields(void **state)
{
    static const uint8_t head[] = {0xfe, 0x34, 0x12, 0xef, 0xcd, 0xab,
                                   0x89, 0xef, 0xcd, 0xab, 0x89, 0x67,
                                   0x45, 0x23, 0x01, 5,    0,    'n'};
    struct buf b;
    struct reader r;

    (void)state;
    buf_init(&b, 100);
    write_fields(&b);
    assert_int_equal(b.len, 15 + 7 + 5 + 2);
    assert_memory_equal(b.data, head, sizeof(head));
    reader_init(&r, b.data, b.len);
    assert_false(reader_done(&r));
    assert_true(read_fields(&r));
    assert_true(reader_done(&r));
    /* Cut anywhere: failed, and nothing read beyond (a copy of exact size,
     * so that a sanitizer sees it). */
    for (size_t len = 0; len < b.len; len++) {
        char *cut = malloc(len + 1);

        assert_non_null(cut);
        cut = __real_realloc(cut, len > 0 ? len : 1);
        memcpy(cut, b.data, len);
        reader_init(&r, cut, len);
        assert_false(read_fields(&r));
        assert_false(reader_done(&r));
        assert_int_equal(get_u8(&r), 0);
        free(cut);
    }
    /* One byte too many: read well, not done. */
    buf_u8(&b, 0);
    reader_init(&r, b.data, b.len);
    assert_true(read_fields(&r));
    assert_false(reader_done(&r));
    buf_done(&b);
}

static void test_field_lengths(void **state)
{
    static char text[65537];
    struct buf b;

    (void)state;
    memset(text, 'a', 65536);
    buf_init(&b, 200000);
    buf_text(&b, text);
    assert_true(b.failed);
    buf_reset(&b);
    buf_text(&b, text + 1);
    assert_false(b.failed);
    assert_int_equal(b.len, 65537);
    buf_bytes(&b, text, 65536);
    assert_true(b.failed);
    buf_done(&b);
}

static void assert_text_refused(const void *data, size_t len, size_t size)
{
    char dst[64];
    struct reader r;

    memset(dst, 'z', sizeof(dst));
    reader_init(&r, data, len);
    get_text(&r, dst, size);
    assert_true(r.failed);
    if (size > 0)
        assert_string_equal(dst, "");
    assert_int_equal(dst[size], 'z');
}

static void test_text_refused(void **state)
{
    char dst[4];
    uint8_t bytes[2] = {7, 7};
    struct reader r;

    (void)state;
    assert_text_refused("\3\0abc", 5, 3); /* no room for the NUL */
    assert_text_refused("\3\0abc", 5, 0);
    assert_text_refused("\3\0a\0c", 5, 10);
    assert_text_refused("\3\0a\nc", 5, 10);
    assert_text_refused("\3\0a\x7f"
                        "c",
                        5, 10);
    assert_text_refused("\1\0\xff", 3, 10);
    assert_text_refused("\2\0\xe2\x82", 4, 10);
    assert_text_refused("\xff\xff"
                        "abc",
                        5, 10);
    reader_init(&r, "\3\0abc", 5);
    get_text(&r, dst, sizeof(dst));
    assert_true(reader_done(&r));
    assert_string_equal(dst, "abc");
    reader_init(&r, "\3\0abc", 5);
    assert_int_equal(get_bytes(&r, bytes, sizeof(bytes)), 0);
    assert_true(r.failed);
    assert_int_equal(bytes[0], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_failed_sticks),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_limit),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_field_lengths),
        cmocka_unit_test(test_text_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
