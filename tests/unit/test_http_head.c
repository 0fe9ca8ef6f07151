/* SPDX-License-Identifier: MIT */
/*
 * test_http_head.c - what the head of a request may say, each limit at its
 * edge, and what a head that says more is answered.
 */
#include "http_help.h"

struct head {
    const char *method, *target, *headers;
    int status;
    const char *says; /* of the body */
    bool closes;
};

#define LOCK "/AAAAAAAAAAAAAAAAAAAAaA"
#define VIEW "/v1/locks/AAAAAAAAAAAAAAAAAAAAaA"
#define S64  "0123456789012345678901234567890123456789012345678901234567890123"
#define S120 S64 "01234567890123456789012345678901234567890123456789012345"

static void check(const struct head *h, size_t len)
{
    struct rig r;

    up(&r, "head");
    for (size_t i = 0; i < len; i++) {
        int fd = dial(&r);
        const char *body = strcmp(h[i].method, "POST") == 0 ? "one" : "";
        struct rig_answer a, next;

        assert_true(rig_ask(fd, h[i].method, h[i].target, body, h[i].headers));
        a = rig_read(fd);
        if (a.status != h[i].status || strstr(a.body, h[i].says) == NULL)
            fail_msg("%s %s %s: %d, not %d: %s%s", h[i].method, h[i].target,
                     h[i].headers, a.status, h[i].status, a.head, a.body);
        if (!h[i].closes) {
            next = get(fd, "/healthz");
            assert_int_equal(next.status, 200);
        } else {
            next = rig_read(fd);
            assert_int_equal(next.status, 0);
        }
        (void)close(fd);
    }
    rig_down(&r);
}

static void test_headers(void **state)
{
    static const struct head heads[] = {
        {"POST", LOCK, "Justalock-Share: " S64 "\r\n", 200, ""},
        {"POST", LOCK, "justalock-SHARE: a.B-_9\r\n", 200, ""},
        {"POST", LOCK, "Justalock-Share: " S64 "4\r\n", 400, "1 to 64"},
        {"POST", LOCK, "Justalock-Share: \r\n", 400, "Justalock-Share"},
        {"POST", LOCK, "Justalock-Share: a b\r\n", 400, "Justalock-Share"},
        {"POST", LOCK, "Justalock-Share: a/b\r\n", 400, "Justalock-Share"},
        {"POST", LOCK, "Justalock-Share: a\r\nJustalock-Share: a\r\n", 400,
         "once"},
        {"POST", LOCK, "Justalock-Label: " S120 "\r\n", 200, ""},
        {"POST", LOCK, "Justalock-Label: " S120 "0\r\n", 400, "120"},
        {"POST", LOCK, "Justalock-Label: a\tb\r\n", 400, "printable"},
        {"POST", LOCK, "Justalock-Label: \x80\r\n", 400, "printable"},
        {"POST", LOCK, "Justalock-Label: a\r\nJustalock-Label: b\r\n", 400,
         "once"},
        {"POST", LOCK, "Justalock-Wait: 0\r\n", 200, ""},
        {"POST", LOCK, "Justalock-Wait: 30\r\n", 200, ""},
        {"POST", LOCK, "Justalock-Wait: 31\r\n", 400, "0 to 30"},
        {"POST", LOCK, "Justalock-Wait: -1\r\n", 400, "0 to 30"},
        {"POST", LOCK, "Justalock-Wait: 1x\r\n", 400, "0 to 30"},
        {"POST", LOCK, "Justalock-Wait: \r\n", 400, "0 to 30"},
        {"POST", LOCK, "Justalock-Wait: 1\r\nJustalock-Wait: 1\r\n", 400,
         "once"},
        {"POST", LOCK, "Justalock-Other: x\r\n", 200, ""}, /* of a later one */
        {"POST", LOCK, "Authorization: x\r\nAuthorization: x\r\n", 400,
         "Authorization"},
        {"POST", LOCK, "Authorization: Bearer x\r\n", 200, ""},
        {"POST", LOCK, "Origin: https://example.org\r\n", 403, "web pages"},
        {"DELETE", LOCK, "Origin: null\r\n", 403, "web pages"},
        {"GET", VIEW, "Origin: https://example.org\r\n", 200, "lock"},
        {"POST", LOCK, "Host: y\r\n", 400, "", true},
        {"POST", LOCK, "Content-Length: 3\r\n", 400, "", true},
        {"POST", LOCK, "Transfer-Encoding: chunked\r\n", 400, "", true},
    };

    (void)state;
    check(heads, LENGTH(heads));
}

static void test_targets(void **state)
{
    static const struct head heads[] = {
        {"POST", LOCK "?s=1", "", 200, ""},
        {"POST", LOCK "?s=65535", "", 200, ""},
        {"POST", LOCK "?s=0", "", 400, "1 to 65535"},
        {"POST", LOCK "?s=65536", "", 400, "1 to 65535"},
        {"POST", LOCK "?s=", "", 400, "1 to 65535"},
        {"POST", LOCK "?s", "", 400, "1 to 65535"},
        {"POST", LOCK "?s=1e3", "", 400, "1 to 65535"},
        {"POST", LOCK "?s=+5", "", 400, "1 to 65535"},
        {"POST", LOCK "?s=5&s=5", "", 400, "once"},
        {"POST", LOCK "?t=5", "", 200, ""},
        {"POST", LOCK "?s=%35", "", 200, ""}, /* %35 is 5 */
        {"POST", LOCK "?s=5%00", "", 400, "1 to 65535"},
        {"POST", "/%41AAAAAAAAAAAAAAAAAAAaA", "", 200, ""},
        {"POST", "/AAAAAAAAAAAAAAAAAAAAa", "", 404, "not a lock"},
        {"POST", "/AAAAAAAAAAAAAAAAAAAAaAA", "", 404, "not a lock"},
        {"POST", "/AAAAAAAAAAAAAAAAAAAAaB", "", 404, "not a lock"},
        {"POST", "/00000000-0000-0000-0000-000000000001", "", 200, ""},
        {"POST", "//", "", 404, "not a lock"},
        {"POST", "/AAAAAAAAAAAAAAAAAAAAaA/", "", 404, "not a lock"},
        {"PUT", LOCK, "", 405, ""},
        {"GET", LOCK, "", 405, ""},
        {"GET", "/x", "", 404, ""},
        {"POST", "/", "", 405, ""},
        {"GET", "/", "", 200, "justalock-server"},
        {"DELETE", "/v1/locks", "", 405, ""},
        {"GET", "/v1/locks", "", 200, "\"locks\""},
        {"GET", "/v1/locks/", "", 404, ""},
        {"POST", VIEW, "", 405, ""},
        {"GET", VIEW, "", 200, "AAAAAAAA..."},
        {"GET", VIEW "/break", "", 405, ""},
        {"POST", "/v1/locks//break", "", 405, ""},
        {"POST", "/v1/locks/x/break", "", 404, ""},
        {"GET", "/metrics", "", 200, "justalock_locks_held"},
        {"POST", "/healthz", "", 405, ""},
        {"GET", "/healthz", "", 200, "ok"},
    };

    (void)state;
    check(heads, LENGTH(heads));
}

/* 405 names what is allowed; a refusal has changed nothing. */
static void test_allow(void **state)
{
    struct rig_answer a;
    struct rig r;
    int fd;

    (void)state;
    up(&r, "allow");
    fd = dial(&r);
    a = get(fd, LOCK);
    assert_string_equal(rig_header(&a, "Allow"), "POST, DELETE");
    assert_true(rig_ask(fd, "DELETE", "/metrics", "", ""));
    a = rig_read(fd);
    assert_string_equal(rig_header(&a, "Allow"), "GET");
    a = get(fd, VIEW "/break");
    assert_string_equal(rig_header(&a, "Allow"), "POST");
    assert_int_equal(r.commits, 0);
    (void)close(fd);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_allow),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
