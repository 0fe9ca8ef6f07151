/* SPDX-License-Identifier: MIT */
/*
 * test_access_read.c - the file of clients: each fault with its place, each
 * limit at its edge, and no memory.
 */
#include "../lib/fail_alloc.h"
#include "access_help.h"

static void bad(const char *text, const char *says)
{
    struct justalock_error err;
    struct access *a = NULL;

    put(text);
    assert_int_equal(access_load(path, &a, &err), JUSTALOCK_CONFIG);
    assert_null(a);
    if (strstr(err.text, path) == NULL ||
        strcmp(strstr(err.text, path) + strlen(path), says) != 0)
        fail_msg("%s\n  and not %s%s", err.text, path, says);
}

static void test_faults(void **state)
{
    (void)state;
    bad("", ": has none, must have 1 to 1048576 bytes");
    bad("{}", ":1:1: clients: must be there, an object of clients by name");
    bad("{ \"clients\": [] }",
        ":1:14: clients: must be there, an object of clients by name");
    bad("{ \"client\": {} }", ":1:3: client: unknown key; there is clients");
    bad("{ \"clients\": { \"a\": 1 } }", ":1:21: clients.a: must be an object");
    bad("{ \"clients\": { \"a\": {} } }",
        ":1:21: clients.a: has neither token_sha256 nor certificate");
    bad("{ \"clients\": { \"a\": { \"certificate\": 1 } } }",
        ":1:38: clients.a.certificate: must be a certificate's common name, 1 "
        "to 255 bytes");
    bad("{ \"clients\": { \"a\": { \"certificate\": \"x\", \"rights\": [] } } "
        "}",
        ":1:53: clients.a.rights: is an empty list");
    bad("{ \"clients\": { \"a\": { \"certificate\": \"x\", \"rights\": [1] } } "
        "}",
        ":1:54: clients.a.rights: must be a text or a list of texts");
    bad("{ \"clients\": { \"a\": { \"certificate\": \"x\",\n \"rights\": "
        "\"write\" } } }",
        ":2:12: clients.a.rights: knows look, take and break");
    bad("{ \"clients\": { \"a\": { \"certificate\": \"x\",\n \"locks\": "
        "\"id:x\" } } }",
        ":2:11: clients.a.locks: \"x\" is not a lock id: a UUID, 32 hex "
        "digits, "
        "or 16 bytes in base64url");
    bad("{ \"clients\": { \"a\": { \"certificate\": \"x\", \"right\": 1 } } }",
        ":1:52: clients.a.right: unknown key; there are token_sha256, "
        "certificate, rights and locks");
    bad("{ \"clients\": { \"a\": { \"certificate\": \"x\" },\n"
        "\"b\": { \"certificate\": \"x\" } } }",
        ":2:6: clients.b.certificate: is another client's, too");
    bad("{ \"clients\": { \"a\": { \"token_sha256\": \"" ONE "\" },\n"
        "\"b\": { \"token_sha256\": [ \"" TWO "\", \"" ONE "\" ] } } }",
        ":2:6: clients.b.token_sha256: is another client's, too");
    bad("{ \"clients\": { \"a\": { \"token_sha256\": \"" ONE "0\" } } }",
        ":1:39: clients.a.token_sha256: has more than 64 digits");
}

/* The place of the first character that is none, up to the end. */
static void test_token_digits(void **state)
{
    char text[300];

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        char token[] = ONE;

        token[i] = i % 2 == 0 ? 'G' : '\0';
        (void)snprintf(
            text, sizeof(text),
            "{ \"clients\": { \"a\": { \"token_sha256\": \"%s\" } } }", token);
        bad(text, ":1:39: clients.a.token_sha256: must be 64 hex digits in "
                  "lower case, as sha256sum prints them");
    }
}

/* Items "pre00000001mid00000001post" of a list, or clients; mid NULL: with
 * one number. The caller frees it. */
static char *many(size_t n, const char *before, const char *pre,
                  const char *mid, const char *post, const char *after)
{
    size_t each = strlen(pre) + (mid ? strlen(mid) : 0) + strlen(post) + 32;
    size_t size = strlen(before) + n * each + strlen(after) + 1;
    char *text = malloc(size);
    size_t len;

    assert_non_null(text);
    len = (size_t)snprintf(text, size, "%s", before);
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s%08zx",
                                i ? "," : "", pre, i);
        if (mid != NULL)
            len += (size_t)snprintf(text + len, size - len, "%s%08zx", mid, i);
        len += (size_t)snprintf(text + len, size - len, "%s", post);
    }
    (void)snprintf(text + len, size - len, "%s", after);
    return text;
}

static void edge(size_t max, const char *before, const char *pre,
                 const char *mid, const char *post, const char *after,
                 const char *says)
{
    char *text = many(max, before, pre, mid, post, after);

    access_free(load(text));
    free(text);
    text = many(max + 1, before, pre, mid, post, after);
    bad(text, says);
    free(text);
}

static void test_limits(void **state)
{
    (void)state;
    edge(ACCESS_TOKENS_MAX, "{ \"clients\": { \"a\": { \"token_sha256\": [",
         "\"00000000000000000000000000000000000000000000000000000000", NULL,
         "\"", "] } } }",
         ":1:39: clients.a.token_sha256: has more than 16 tokens");
    edge(ACCESS_LOCKS_MAX,
         "{ \"clients\": { \"a\": { \"certificate\": \"x\", \"locks\": [",
         "\"lock ", NULL, "\"", "] } } }",
         ":1:52: clients.a.locks: has more than 4096 locks");
    edge(ACCESS_CLIENTS_MAX, "{ \"clients\": {", "\"c",
         "\": { \"certificate\": \"", "\" }", "} }",
         ":1:14: clients: has more than 1024 of them");
}

static void test_file(void **state)
{
    struct justalock_error err;
    struct access *a = NULL;

    (void)state;
    put("{ \"clients\": {} }");
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(access_load(path, &a, &err), JUSTALOCK_CONFIG);
    assert_non_null(strstr(err.text, "mode 0664"));
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(access_load(path, &a, &err), JUSTALOCK_OK);
    assert_int_equal(access_clients(a), 0);
    access_free(a);
    assert_int_equal(access_load("/dev/null", &a, &err), JUSTALOCK_CONFIG);
    assert_int_equal(access_load("/none/such", &a, &err), JUSTALOCK_CONFIG);
    assert_int_equal(access_load("/none/such", &a, NULL), JUSTALOCK_CONFIG);
}

/* ---- no memory ---- */

static bool parse_all(void *arg)
{
    const char *text = arg;
    struct justalock_error err = {.text = ""};
    struct access *a = NULL;
    enum justalock_status st = access_parse("f", text, strlen(text), &a, &err);

    if (st == JUSTALOCK_OK) {
        assert_int_equal(access_clients(a), 3);
        access_free(a);
    } else {
        assert_int_equal(st, JUSTALOCK_NOMEM); /* no fault of the file's */
        assert_int_equal(err.status, st);
        assert_null(a);
    }
    return st == JUSTALOCK_OK;
}

static void test_no_memory(void **state)
{
    char text[] = "{ \"clients\": { \"a\": { \"token_sha256\": \"" ONE
                  "\" },\n \"b\": { \"certificate\": \"x\", \"locks\": "
                  "[ \"l\", \"m\" ], \"rights\": [ \"look\" ] }, \"c\": "
                  "{ \"token_sha256\": [ \"" TWO "\" ] } } }";

    (void)state;
    assert_in_range(fail_alloc_each(parse_all, text), 10, 500);
}

static bool load_all(void *arg)
{
    struct justalock_error err;
    struct access *a = NULL;
    enum justalock_status st = access_load(arg, &a, &err);

    access_free(a);
    return st == JUSTALOCK_OK;
}

static void test_no_memory_for_the_file(void **state)
{
    (void)state;
    put("{ \"clients\": { \"a\": { \"certificate\": \"x\" } } }");
    assert_in_range(fail_alloc_each(load_all, path), 6, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_token_digits),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_for_the_file),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
