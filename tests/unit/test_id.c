/* SPDX-License-Identifier: MIT */
/*
 * test_id.c - id.c: the vectors of tests/vectors/lock-ids.jsonl through the
 * C functions, what they leave open, strict ids, random ids.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <time.h>

#include "id.h"
#include "test.h"

#define VECTORS "tests/vectors/lock-ids.jsonl"

static struct lock_id id_of_hex(const char *hex)
{
    struct lock_id id;

    assert_int_equal(strlen(hex), 32);
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        id.bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return id;
}

static const char *member(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;

    if (!json_object_object_get_ex(o, key, &v))
        return NULL;
    return json_object_get_string(v);
}

/* The id of one vector by its kind. */
static enum justalock_status id_of(const char *kind, const char *in,
                                   struct lock_id *ret_id,
                                   struct justalock_error *err)
{
    uint8_t bytes[64];
    size_t len = strlen(in) / 2;

    if (strcmp(kind, "str") == 0)
        return id_from_name(in, ret_id, err);
    if (strcmp(kind, "int") == 0)
        return id_from_decimal(in, ret_id, err);
    assert_string_equal(kind, "bytes_hex");
    assert_true(len <= sizeof(bytes));
    for (size_t i = 0; i < len; i++) {
        char pair[3] = {in[2 * i], in[2 * i + 1], '\0'};

        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    id_from_bytes(bytes, len, ret_id);
    return JUSTALOCK_OK;
}

static void check_vector(const char *line)
{
    struct json_object *o = json_tokener_parse(line);
    struct justalock_error err = {.text = ""};
    struct lock_id got, untouched, want;
    const char *in, *hex, *path;

    assert_non_null(o);
    in = member(o, "in");
    hex = member(o, "id_hex");
    path = member(o, "path");
    memset(&untouched, 0x5a, sizeof(untouched));
    got = untouched;
    if (hex == NULL) {
        assert_non_null(member(o, "error"));
        assert_int_equal(id_of(member(o, "kind"), in, &got, &err),
                         JUSTALOCK_ARG);
        assert_true(err.text[0] != '\0');
        assert_memory_equal(&got, &untouched, sizeof(got));
    } else {
        want = id_of_hex(hex);
        assert_ok(id_of(member(o, "kind"), in, &got, &err), err);
        if (memcmp(&got, &want, sizeof(got)) != 0)
            fail_msg("%s: %s, not %s", in, id_format(&got).s, path);
        assert_string_equal(id_format(&got).s, path);
    }
    assert_int_equal(json_object_put(o), 1);
}

static void test_vectors(void **state)
{
    FILE *f = fopen(VECTORS, "re");
    char line[4096];
    int n = 0;

    (void)state;
    if (f == NULL)
        fail_msg("cannot open %s: run from the top of the project", VECTORS);
    while (fgets(line, sizeof(line), f) != NULL) {
        check_vector(line);
        n++;
    }
    assert_int_equal(fclose(f), 0);
    assert_true(n >= 100);
}

/* Beside the vectors; the values are from the rules run in CPython 3.11. */
static const struct {
    const char *name;
    const char *hex;
} odd_names[] = {
    /* 36 characters with '-': white space between pairs is passed over. */
    {"550e8400 e29b41d4 a716-446655440000 ",
     "550e8400e29b41d4a716446655440000"},
    {"55 0e8400e29b41d4a71644665544 0000--",
     "550e8400e29b41d4a716446655440000"},
    /* 36 without one are hashed. */
    {"550e8400 e29b 41d4 a716 446655440000",
     "be0522e8bc6826e2c533dc4bc3dc3acf"},
    /* A '=' before the third place of a quad is passed over... */
    {"A=A=AAAAAAAAAAAAAAAAAAAA", "00000000000000000000000000000000"},
    /* ...and so are two that are not in a row; 21 characters are hashed. */
    {"=AAAAAAAAAAAAAAAAAAAAA", "efb35743311c16d97958c13dbf426f2e"},
    {"AAAA=AAAAAAAAAAAAAAAAA", "54d4e7696297624ac498aff837f86183"},
    {"AAAAAAAAAAAAAAAAAAAA=A", "f839c1691de6df0fb5ff261883674eba"},
    {"ABCDEFGHIJKLMNOPQRST=U==", "a954a94282da34aae785d514e3557f7f"},
    /* 22 and 24 characters that are not ASCII are hashed. */
    {"\u00e9AAAAAAAAAAAAAAAAAAAAA", "b4bc1f44a9ae5d4098a5c794f9ac1d9c"},
    {"AAAAAAAAAAAAAAAAAAAAA\u00e9==", "bd637845e6afc5e7a99b21ec96f2fce6"},
    /* 32 characters with one that is no digit. */
    {"0123456789ABCDEF0123456789abcdeg", "f5e739a40a6a861e2e5267622e223645"},
    /* Lengths count characters: 15 of them in 30 bytes. */
    {"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
     "\u00e9\u00e9\u00e9\u00e9",
     "1c996df02f61dc0b81cec651af8b0b2b"},
};

static const struct {
    const char *name;
    const char *part;
} bad_names[] = {
    {"550e8400-e29b-41d4-a716- 44665544000", "read as hexadecimal, which"},
    {"5 50e8400e29b41d4a71644665544 0000--", "read as hexadecimal, which"},
    {"550e8400e29b41d4a71644665544000011-1", "read as hexadecimal, which"},
    {"550e8400e29b41d4a71644665544000011--", "gives 17 bytes, not 16"},
    {"------------------------------------", "gives 0 bytes, not 16"},
    {"nightly-backup-job-001", "gives 14 bytes, not 16"},
    {"----------------------", "gives 0 bytes, not 16"},
    /* A quad ended by its padding ends all. */
    {"AA==AAAAAAAAAAAAAAAAAA", "gives 1 bytes, not 16"},
    {"AA=!=AAAAAAAAAAAAAAAAA", "gives 1 bytes, not 16"},
    {"\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c"
     "\u8a9e\u65e5\u672c\u8a9e\u65e5",
     "these are 48 bytes, not 16"},
    {"\xff", "not UTF-8"},
    {"lock\xc3", "not UTF-8"},
    {"\xed\xa0\x80", "not UTF-8"},
};

static void test_odd_names(void **state)
{
    struct justalock_error err;
    struct lock_id id, want, untouched;

    (void)state;
    for (size_t i = 0; i < LENGTH(odd_names); i++) {
        want = id_of_hex(odd_names[i].hex);
        assert_ok(id_from_name(odd_names[i].name, &id, &err), err);
        if (memcmp(&id, &want, sizeof(id)) != 0)
            fail_msg("\"%s\" became %s", odd_names[i].name, id_format(&id).s);
    }
    memset(&untouched, 0x5a, sizeof(untouched));
    for (size_t i = 0; i < LENGTH(bad_names); i++) {
        id = untouched;
        assert_fails(id_from_name(bad_names[i].name, &id, &err), JUSTALOCK_ARG,
                     err, bad_names[i].part);
        assert_memory_equal(&id, &untouched, sizeof(id));
        assert_int_equal(id_from_name(bad_names[i].name, &id, NULL),
                         JUSTALOCK_ARG);
    }
}

static void test_base64_shaped(void **state)
{
    (void)state;
    assert_true(id_name_is_base64_shaped("nightly-backup-job-001"));
    assert_true(id_name_is_base64_shaped("project.alpha.lock.name1"));
    assert_false(id_name_is_base64_shaped("nightly-backup-job-01"));
    assert_false(id_name_is_base64_shaped("nightly-backup-job-00001"
                                          "2"));
    /* Not ASCII: these are always hashed, no surprise to warn of. */
    assert_false(id_name_is_base64_shaped("nightly-backup-j\u00f6b-001"));
    assert_false(id_name_is_base64_shaped(""));
    assert_false(id_name_is_base64_shaped("\xff"));
}

static void test_decimal(void **state)
{
    static const char *const bad[] = {"",    "-0", "+1",  " 1",  "1 ",
                                      "0x1", "1.", "1_0", "ten", "\u0663"};
    struct justalock_error err;
    struct lock_id id;

    (void)state;
    assert_ok(
        id_from_decimal("000000000000000000000000000000000000000000000001", &id,
                        &err),
        err);
    assert_string_equal(id_format(&id).s, "AAAAAAAAAAAAAAAAAAAAAQ");
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_fails(id_from_decimal(bad[i], &id, &err), JUSTALOCK_ARG, err,
                     "is not a decimal number");
    assert_fails(
        id_from_decimal("340282366920938463463374607431768211456", &id, &err),
        JUSTALOCK_ARG, err, "2^128");
    assert_fails(
        id_from_decimal("3402823669209384634633746074317682114550", &id, &err),
        JUSTALOCK_ARG, err, "2^128");
}

static const char *const strict_same[] = {
    "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff",
    "F0F1F2F3-F4F5-F6F7-F8F9-FAFBFCFDFEFF",
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    "F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF",
    "8PHy8_T19vf4-fr7_P3-_w",
    "8PHy8_T19vf4-fr7_P3-_w==",
    "8PHy8/T19vf4+fr7/P3+/w",
    "8PHy8/T19vf4+fr7/P3+/w==",
};

static const char *const strict_bad[] = {
    "",
    "db-migration-lock",
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfef",
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfefff",
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfefg",
    " 0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    "0xf1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    "f0f1f2f-3f4f5-f6f7-f8f9-fafbfcfdfeff",
    "f0f1f2f3-f4f5f6f7-f8f9-fafbfcfdfeff-",
    "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfef-",
    "f0f1f2f3_f4f5_f6f7_f8f9_fafbfcfdfeff",
    "8PHy8_T19vf4-fr7_P3-_x", /* unused bits set */
    "8PHy8_T19vf4-fr7_P3-_x==",
    "8PHy8_T19vf4-fr7_P3-_",
    "8PHy8_T19vf4-fr7_P3-_w=",
    "8PHy8_T19vf4-fr7_P3-_w=A",
    "8PHy8_T19vf4-fr7_P3-_w--",
    "8PHy8_T19vf4-fr7_P3-=w==",
    "8PHy8_T19vf4-fr7_P3-w=",
    "8PHy8_T19vf4.fr7_P3-_w",
    " PHy8_T19vf4-fr7_P3-_w",
    "8PHy8\nT19vf4-fr7_P3-_w",
    "8PHy8_T19vf4-fr7_P3-_w\n",
};

static void test_strict(void **state)
{
    struct lock_id want = id_of_hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    struct justalock_error err;
    struct lock_id id, untouched;

    (void)state;
    for (size_t i = 0; i < LENGTH(strict_same); i++) {
        size_t len = strlen(strict_same[i]);
        char *exact = malloc(len); /* no NUL: a sanitizer sees one too far */

        assert_non_null(exact);
        memcpy(exact, strict_same[i], len);
        assert_ok(id_parse_strict(exact, len, &id, &err), err);
        assert_memory_equal(&id, &want, sizeof(id));
        free(exact);
    }
    memset(&untouched, 0x5a, sizeof(untouched));
    for (size_t i = 0; i < LENGTH(strict_bad); i++) {
        id = untouched;
        if (id_parse_strict(strict_bad[i], strlen(strict_bad[i]), &id, &err) ==
            JUSTALOCK_OK)
            fail_msg("\"%s\" was taken", strict_bad[i]);
        assert_int_equal(err.status, JUSTALOCK_ARG);
        assert_has(err.text, "is not a lock id");
        assert_memory_equal(&id, &untouched, sizeof(id));
    }
    assert_int_equal(id_parse_strict("8PHy8_T19vf4-fr7_P3-\0w", 22, &id, NULL),
                     JUSTALOCK_ARG);
}

/* Every byte in every place comes back through each form of text. */
static void test_round_trip(void **state)
{
    struct justalock_error err;
    struct lock_id id, back;

    (void)state;
    for (size_t place = 0; place < sizeof(id.bytes); place++)
        for (unsigned v = 0; v < 256; v++) {
            struct lock_id_text text;

            memset(&id, (int)(v ^ 0xa5), sizeof(id));
            id.bytes[place] = (uint8_t)v;
            text = id_format(&id);
            assert_int_equal(strlen(text.s), JUSTALOCK_ID_TEXT_LEN);
            assert_ok(id_parse_strict(text.s, strlen(text.s), &back, &err),
                      err);
            assert_memory_equal(&id, &back, sizeof(id));
        }
}

static void test_random(void **state)
{
    enum { N = 200 };
    static struct lock_id ids[N];
    struct justalock_error err;
    uint64_t before = (uint64_t)time(NULL), ns = 0;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        assert_ok(id_random(&ids[i], &err), err);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(ids[i].bytes + 8, ids[j].bytes + 8, 8);
    }
    for (size_t i = 0; i < 8; i++)
        ns = ns << 8 | ids[0].bytes[i];
    assert_in_range(ns / 1000000000, before, before + 10);
}

static void test_random_hex(void **state)
{
    struct justalock_error err;
    char a[2 * 100 + 2], b[2 * 100 + 2];

    (void)state;
    for (size_t len = 0; len <= 100; len++) {
        memset(a, 'z', sizeof(a));
        assert_ok(id_random_hex(a, len, &err), err);
        assert_int_equal(strlen(a), 2 * len);
        assert_int_equal(strspn(a, "0123456789abcdef"), 2 * len);
        assert_int_equal(a[2 * len + 1], 'z');
    }
    assert_ok(id_random_hex(b, 100, &err), err);
    assert_string_not_equal(a, b);
    /* No chunk repeats another. */
    assert_memory_not_equal(a, a + 128, 64);
}

/* Of SHA-256 over "justalock-slot:", 16 bytes 0xab and the slot's number. */
static void test_slots(void **state)
{
    struct lock_id pool, id;

    (void)state;
    memset(pool.bytes, 0xab, sizeof(pool.bytes));
    id_of_slot(&pool, 0, &id);
    assert_memory_equal(&id, &pool, sizeof(id));
    id_of_slot(&pool, 1, &id);
    assert_string_equal(id_format(&id).s, "hyIzqlCqdip4FUEA8rD7Bw");
    id_of_slot(&pool, 1023, &id);
    assert_string_equal(id_format(&id).s, "_y26kF_xfbdbDzH0jbyOQg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),       cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_base64_shaped), cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_strict),        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_random),        cmocka_unit_test(test_random_hex),
        cmocka_unit_test(test_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
