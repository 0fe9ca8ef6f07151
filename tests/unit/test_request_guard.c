/* SPDX-License-Identifier: MIT */
/*
 * test_request_guard.c - request_guard.c: each rule at its edge.
 */
#include "../../modules/server/request_guard.h"
#include "test.h"

static const char *url = "/x";

/* Headers as name, value, ..., NULL, behind a Host. */
static const char *look(const char *version, const char *const *h)
{
    struct request_guard g = {.why = NULL};

    guard_header(&g, "Host", "x");
    for (; *h; h += 2)
        guard_header(&g, h[0], h[1]);
    return guard_end(&g, version, url);
}
#define LOOK(...) look("HTTP/1.1", (const char *const[]){__VA_ARGS__, NULL})

static void test_good(void **state)
{
    (void)state;
    assert_null(LOOK("A", "b"));
    assert_null(
        LOOK("Content-Length", "0", "X!#$%&'*+-.^_`|~9", " \t\xc3\xa9"));
    assert_null(LOOK("content-length", "999999999"));
    assert_null(LOOK("transfer-encoding", "Chunked"));
    assert_null(LOOK("X", NULL));
    assert_null(look("HTTP/1.0", (const char *const[]){"A", "b", NULL}));
}

static void test_lengths(void **state)
{
    static const char *const bad[] = {"",   "-1",  "+1",   "1 ",        "0x1",
                                      "1a", "1,1", "1, 1", "1000000000"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_non_null(LOOK("Content-Length", bad[i]));
    assert_non_null(LOOK("Content-Length", "1", "Content-Length", "1"));
    assert_non_null(LOOK("Content-Length", "1", "content-LENGTH", "2"));
    assert_non_null(
        LOOK("Content-Length", "1", "Transfer-Encoding", "chunked"));
}

static void test_codings(void **state)
{
    (void)state;
    assert_non_null(LOOK("Transfer-Encoding", "identity"));
    assert_non_null(LOOK("Transfer-Encoding", "chunked, identity"));
    assert_non_null(LOOK("Transfer-Encoding", " chunked"));
    assert_non_null(LOOK("Transfer-Encoding", "\x0b"
                                              "chunked"));
    assert_non_null(
        LOOK("Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"));
    assert_non_null(look("HTTP/1.0", (const char *const[]){"Transfer-Encoding",
                                                           "chunked", NULL}));
}

/* What libmicrohttpd 0.9.75 makes of "NAME:\r\n value". */
static void test_folded(void **state)
{
    (void)state;
    assert_non_null(LOOK("Content-Length2", ""));
    assert_non_null(LOOK("content-length2", "2"));
    assert_non_null(LOOK("Transfer-Encodingchunked", ""));
    assert_non_null(LOOK("Originhttp", ""));
    assert_non_null(LOOK("Justalock-Sharea", ""));
    assert_non_null(LOOK("Justalock-Wait3", ""));
    assert_non_null(LOOK("Justalock-Labela", ""));
    assert_null(LOOK("Content-Languag", "x"));
    assert_null(LOOK("Justalock-Other", "x"));
}

static void test_names_and_values(void **state)
{
    (void)state;
    assert_non_null(LOOK("", "x"));
    assert_non_null(LOOK("A ", "x"));
    assert_non_null(LOOK("A B", "x"));
    assert_non_null(LOOK("A\x80", "x"));
    assert_non_null(LOOK("A", "x\ry"));
    assert_non_null(LOOK("A", "x\x7f"));
    assert_non_null(LOOK("A", "\x01"));
}

static void test_hosts(void **state)
{
    static const char *const bad[] = {"", "a b", "a,b", "a/b", "u@h", "a\tb"};
    struct request_guard none = {.why = NULL};

    (void)state;
    assert_non_null(LOOK("Host", "x"));
    assert_non_null(guard_end(&none, "HTTP/1.1", "/"));
    assert_null(guard_end(&none, "HTTP/1.0", "/"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct request_guard g = {.why = NULL};

        guard_header(&g, "Host", bad[i]);
        assert_non_null(guard_end(&g, "HTTP/1.1", "/"));
    }
}

static void test_count(void **state)
{
    struct request_guard g = {.why = NULL};

    (void)state;
    guard_header(&g, "Host", "x");
    for (unsigned i = 1; i < GUARD_HEADERS_MAX; i++)
        guard_header(&g, "A", "x");
    assert_null(guard_end(&g, "HTTP/1.1", "/"));
    guard_header(&g, "A", "x");
    assert_non_null(guard_end(&g, "HTTP/1.1", "/"));
}

static void test_line(void **state)
{
    static const char *const versions[] = {"HTTP/1.2", "HTTP/2.0", "HTTP/0.9",
                                           "http/1.1", ""};
    char path[GUARD_URL_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        assert_non_null(
            look(versions[i], (const char *const[]){"A", "b", NULL}));
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[GUARD_URL_MAX] = '\0';
    url = path;
    assert_null(LOOK("A", "b"));
    path[GUARD_URL_MAX] = 'a';
    path[GUARD_URL_MAX + 1] = '\0';
    assert_non_null(LOOK("A", "b"));
    url = "http://x/";
    assert_non_null(LOOK("A", "b"));
    url = "*";
    assert_non_null(LOOK("A", "b"));
    url = "/\x01";
    assert_non_null(LOOK("A", "b"));
    url = "/x";
}

static void test_body(void **state)
{
    struct request_guard g = {.why = NULL};

    (void)state;
    assert_null(guard_body(&g, 0));
    assert_null(guard_body(&g, 5));
    guard_header(&g, "Content-Length", "12");
    assert_null(guard_body(&g, 12));
    assert_non_null(guard_body(&g, 0));
    assert_non_null(guard_body(&g, 11));
    assert_non_null(guard_body(&g, 13));
    memset(&g, 0, sizeof(g));
    guard_header(&g, "Transfer-Encoding", "chunked");
    assert_null(guard_body(&g, 1));
    assert_non_null(guard_body(&g, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_codings),
        cmocka_unit_test(test_folded),
        cmocka_unit_test(test_names_and_values),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
