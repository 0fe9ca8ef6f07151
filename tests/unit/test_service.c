/* SPDX-License-Identifier: MIT */
/*
 * test_service.c - requests as they are built and answers as they are read,
 * without a network.
 */
#include "test.h"

#include "service.h"

static void make_lock(struct keeper_lock *l)
{
    memset(l, 0, sizeof(*l));
    memset(l->id.bytes, 0xff, sizeof(l->id.bytes));
    memcpy(l->client, "c", 1);
    l->client_len = 1;
    memcpy(l->share, "00ff", 5);
    l->times.life_s = 65535;
}

/* ---- requests ---- */

static void expect_url(const char *base, enum service_call call,
                       const char *want)
{
    struct keeper_service s;
    struct keeper_lock l;
    struct service_request r;

    memset(&s, 0, sizeof(s));
    (void)snprintf(s.url, sizeof(s.url), "%s", base);
    make_lock(&l);
    service_build(&s, &l, call, 30, &r);
    assert_string_equal(r.request.url, want);
}

static void test_urls(void **state)
{
    (void)state;
    expect_url("https://justalock.dev/", SERVICE_TAKE,
               "https://justalock.dev/_____________________w?s=65535");
    expect_url("https://justalock.dev", SERVICE_WAIT,
               "https://justalock.dev/_____________________w?s=65535");
    expect_url("http://h:7171/locks//", SERVICE_SHRINK,
               "http://h:7171/locks/_____________________w?s=1");
    expect_url("http://[::1]:1", SERVICE_DELETE,
               "http://[::1]:1/_____________________w");
    expect_url("unix:/run/x.sock", SERVICE_VIEW,
               "http://localhost/v1/locks/_____________________w");
}

static bool has_header(const struct service_request *r, const char *line)
{
    for (size_t i = 0; r->request.headers[i]; i++)
        if (strcmp(r->request.headers[i], line) == 0)
            return true;
    return false;
}

static void test_headers(void **state)
{
    struct keeper_service s = {.url = "unix:/s", .token = "t0k"};
    struct keeper_lock l;
    struct service_request r;

    (void)state;
    make_lock(&l);
    memset(l.label, 'l', JUSTALOCK_LABEL_MAX);
    memset(s.token, 't', KEEPER_PATH_MAX);
    service_build(&s, &l, SERVICE_WAIT, 7, &r);
    assert_string_equal(r.request.socket, "/s");
    assert_string_equal(r.request.method, "POST");
    assert_true(r.request.is_wait);
    assert_int_equal(r.request.body_len, 1);
    assert_true(has_header(&r, "Justalock-Share: 00ff"));
    assert_true(has_header(&r, "Justalock-Wait: 7"));
    assert_int_equal(strlen(r.label),
                     strlen("Justalock-Label: ") + JUSTALOCK_LABEL_MAX);
    assert_int_equal(strlen(r.token),
                     strlen("Authorization: Bearer ") + KEEPER_PATH_MAX);
    service_build(&s, &l, SERVICE_DELETE, 0, &r);
    assert_string_equal(r.request.method, "DELETE");
    assert_true(has_header(&r, "Justalock-Share: 00ff"));
    assert_false(r.request.is_wait);
    assert_null(r.request.headers[2]); /* no label, no wait */
    service_build(&s, &l, SERVICE_VIEW, 0, &r);
    assert_string_equal(r.request.method, "GET");
    assert_null(r.request.headers[1]); /* the token alone */
    assert_null(r.request.body);       /* never our client id */
}

static void test_check(void **state)
{
    static const char *const good[] = {"http://h", "HTTPS://h:1/",
                                       "https://[fe80::1%25eth0]/p", "unix:/x"};
    static const char *const bad[] = {"",
                                      "h",
                                      "ftp://h/",
                                      "file:///etc/passwd",
                                      "http://",
                                      "http:///x",
                                      "http://u:p@h/",
                                      "http://h/?a",
                                      "http://h/#a",
                                      "http://h/ x",
                                      "http://h\\x",
                                      "http://h/\r\nX: 1",
                                      "unix:",
                                      "unix:x",
                                      "unix:@x"};
    struct keeper_service s = {.url = ""};
    struct justalock_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        (void)snprintf(s.url, sizeof(s.url), "%s", good[i]);
        assert_ok(service_check(&s, &err), err);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(s.url, sizeof(s.url), "%s", bad[i]);
        if (service_check(&s, &err) != JUSTALOCK_ARG)
            fail_msg("url %s was taken", bad[i]);
    }
    (void)snprintf(s.url, sizeof(s.url), "unix:/%0106d", 0);
    assert_ok(service_check(&s, &err), err); /* 107 bytes fit sun_path */
    (void)snprintf(s.url, sizeof(s.url), "unix:/%0107d", 0);
    assert_fails(service_check(&s, &err), JUSTALOCK_ARG, err, "107");
    memcpy(s.url, "http://h", 9);
    memcpy(s.token, "a\r\nX: 1", 8);
    assert_fails(service_check(&s, &err), JUSTALOCK_ARG, err, "token");
}

static void test_check_lock(void **state)
{
    struct keeper_lock l;
    struct justalock_error err;

    (void)state;
    make_lock(&l);
    assert_ok(service_check_lock(&l, &err), err);
    l.client_len = JUSTALOCK_CLIENT_MAX;
    assert_ok(service_check_lock(&l, &err), err);
    l.client_len = JUSTALOCK_CLIENT_MAX + 1;
    assert_fails(service_check_lock(&l, &err), JUSTALOCK_ARG, err, "65");
    make_lock(&l);
    l.share[0] = '\0';
    assert_fails(service_check_lock(&l, &err), JUSTALOCK_ARG, err, "share");
    memcpy(l.share, "0g", 3);
    assert_fails(service_check_lock(&l, &err), JUSTALOCK_ARG, err, "share");
    make_lock(&l);
    l.slots = JUSTALOCK_SLOTS_MAX;
    l.slot = JUSTALOCK_SLOTS_MAX - 1;
    assert_ok(service_check_lock(&l, &err), err);
    l.slot++;
    assert_fails(service_check_lock(&l, &err), JUSTALOCK_ARG, err, "slot");
    make_lock(&l);
    l.slots = JUSTALOCK_SLOTS_MAX + 1;
    assert_fails(service_check_lock(&l, &err), JUSTALOCK_ARG, err, "slots");
    make_lock(&l);
    memcpy(l.label, "a\nb", 4);
    assert_fails(service_check_lock(&l, &err), JUSTALOCK_ARG, err, "label");
}

/* ---- answers ---- */

static void read_answer(int status, const char *head, const char *body,
                        struct service_answer *a)
{
    struct transfer_answer t = {.http_status = status,
                                .head = head,
                                .head_len = strlen(head),
                                .body = body,
                                .body_len = strlen(body)};

    service_read(&t, a);
}

#define F "Justalock-Features: wait release token holder share\r\n"

static void test_read(void **state)
{
    struct service_answer a;

    (void)state;
    read_answer(200, "HTTP/1.1 200 OK\r\n\r\n", "ok", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_HELD);
    assert_true(a.usable);
    assert_int_equal(a.features, 0);
    read_answer(200,
                "justalock-features:wait,release\r\n"
                "JUSTALOCK-HOLDING:\t renewed \r\n",
                "", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_RENEWED);
    assert_int_equal(a.features, SERVICE_HAS_WAIT | SERVICE_HAS_RELEASE);
    assert_false(a.has_token);
    read_answer(200,
                F "Justalock-Holding: new\r\n"
                  "Justalock-Token: 18446744073709551615\r\n",
                "", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_NEW);
    assert_true(a.has_token);
    assert_true(a.token == UINT64_MAX);
    read_answer(200,
                F "Justalock-Holding: new\r\n"
                  "Justalock-Token: 18446744073709551616\r\n",
                "", &a);
    assert_false(a.usable);
    read_answer(200, F "Justalock-Holding: offered\r\n", "", &a);
    assert_true(a.usable && a.offered);
    assert_int_equal(a.answer, LEASE_ANSWER_RETRY); /* never a grant */
    /* Features we do not know are no features. */
    read_answer(200, "Justalock-Features: waiting teleport\r\n", "", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_HELD);
    /* A name that only begins like ours is another one. */
    read_answer(200, "Justalock-Features-Not: wait\r\n", "", &a);
    assert_int_equal(a.features, 0);
}

static void test_read_page(void **state)
{
    struct service_answer a;

    (void)state;
    read_answer(200, "", " \r\n<html>log in", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_RETRY);
    assert_false(a.usable);
    assert_int_equal(a.status, JUSTALOCK_PROTO);
    read_answer(200, "", " \r\n", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_HELD);
}

static void test_read_busy(void **state)
{
    struct service_answer a;
    char head[512];

    (void)state;
    read_answer(409, F "Justalock-Holder: j\x1b[2J\xff\r\n", "", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_CONFLICT);
    assert_string_equal(a.holder, "j?[2J?");
    assert_string_equal(a.since, "");
    (void)snprintf(head, sizeof(head), "Justalock-Holder: %0300d", 7);
    read_answer(409, head, "", &a);
    assert_int_equal(strlen(a.holder), KEEPER_HOLDER_MAX);
    read_answer(409, "Justalock-Since: a\r\nJustalock-Since: b\r\n", "", &a);
    assert_string_equal(a.since, "");
    read_answer(409, "", "<html>", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_CONFLICT);
    assert_false(a.broken);
    read_answer(409, F "Justalock-Holding: broken\r\n", "", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_CONFLICT);
    assert_true(a.broken);
    read_answer(409, F "Justalock-Holding: renewed\r\n", "", &a);
    assert_int_equal(a.answer, LEASE_ANSWER_CONFLICT);
    assert_false(a.broken);
    read_answer(200, F "Justalock-Holding: broken\r\n", "", &a);
    assert_false(a.usable); /* not to be believed */
}

static void test_read_none(void **state)
{
    struct service_answer a;
    struct transfer_answer t = {.status = JUSTALOCK_NET,
                                .text = "no answer within 5 ms"};

    (void)state;
    service_read(&t, &a);
    assert_int_equal(a.status, JUSTALOCK_NET);
    assert_string_equal(a.text, "no answer within 5 ms");
    assert_false(a.usable);
    for (int status = 0; status < 1000; status++) {
        if (status == 200 || status == 409)
            continue;
        read_answer(status, F "Justalock-Holding: new\r\n", "", &a);
        assert_false(a.usable);
        assert_true(a.answer == LEASE_ANSWER_RETRY ||
                    a.answer == LEASE_ANSWER_REJECT);
        assert_true(a.text[0] != '\0');
    }
    read_answer(503, "Retry-After: 7\r\n", "", &a);
    assert_int_equal(a.retry_after_ms, 7000);
    read_answer(503, "Retry-After: Mon, 23 Nov 2026 07:46:09 GMT\r\n", "", &a);
    assert_int_equal(a.retry_after_ms, -1);
    read_answer(503, "Retry-After: -7\r\n", "", &a);
    assert_int_equal(a.retry_after_ms, -1);
}

/* Both or none: a server that says half of it is not one of several. */
static void test_read_shared(void **state)
{
    static const char *const bad[] = {
        F,
        F "Justalock-Service: s\r\n",
        F "Justalock-Epoch: 7\r\n",
        F "Justalock-Service: \r\nJustalock-Epoch: 7\r\n",
        F "Justalock-Service: s\r\nJustalock-Epoch: 0\r\n",
        F "Justalock-Service: s\r\nJustalock-Epoch: -7\r\n",
        F "Justalock-Service: s\r\nJustalock-Epoch: 7 \t8\r\n",
        F "Justalock-Service: s\r\nJustalock-Epoch: "
          "18446744073709551616\r\n",
        F "Justalock-Service: s\r\nJustalock-Service: t\r\n"
          "Justalock-Epoch: 7\r\n",
        F "Justalock-Service: s\r\nJustalock-Epoch: 7\r\n"
          "Justalock-Epoch: 8\r\n",
        F "Justalock-Service: s\x1bs\r\nJustalock-Epoch: 7\r\n",
    };
    struct service_answer a;
    char head[512];

    (void)state;
    read_answer(503,
                F "Justalock-Service: 0f\r\n"
                  "Justalock-Epoch: 18446744073709551615\r\n",
                "", &a);
    assert_string_equal(a.identity, "0f");
    assert_true(a.epoch == UINT64_MAX);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        read_answer(409, bad[i], "", &a);
        if (a.identity[0] != '\0')
            fail_msg("taken: %s", bad[i]);
        assert_true(a.usable);
    }
    for (int len = 64; len <= 65; len++) {
        (void)snprintf(head, sizeof(head),
                       F "Justalock-Service: %0*d\r\nJustalock-Epoch: 7\r\n",
                       len, 7);
        read_answer(409, head, "", &a);
        assert_int_equal(strlen(a.identity), len == 64 ? 64 : 0);
    }
}

/* ---- views ---- */

static enum justalock_status read_view(int status, const char *body,
                                       struct keeper_view *v)
{
    struct justalock_error err;
    struct transfer_answer t = {.http_status = status,
                                .head = F,
                                .head_len = strlen(F),
                                .body = body,
                                .body_len = strlen(body)};

    return service_read_view(&t, v, &err);
}

static void test_view(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "{\"held\":1}",
                                      "{\"held\":true",
                                      "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
                                      "nonsense"};
    struct keeper_view v;

    (void)state;
    assert_int_equal(read_view(200, "{\"held\":false}", &v), JUSTALOCK_OK);
    assert_true(v.known);
    assert_false(v.held);
    assert_int_equal(v.expires_ms, -1);
    assert_int_equal(read_view(200,
                               "{\"held\":true,\"token\":9223372036854775807,"
                               "\"shares\":-1,\"waiters\":4294967296,"
                               "\"holder\":\"a\\u0000b\",\"since\":7}",
                               &v),
                     JUSTALOCK_OK);
    assert_true(v.has_token);
    assert_true(v.token == INT64_MAX);
    assert_int_equal(v.shares, 0);
    assert_int_equal(v.waiters, 0);
    assert_string_equal(v.holder, "");
    assert_string_equal(v.since, "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_view(200, bad[i], &v), JUSTALOCK_PROTO);
    assert_int_equal(read_view(404, "", &v), JUSTALOCK_OK);
    assert_false(v.known);
    assert_int_equal(read_view(403, "", &v), JUSTALOCK_DENIED);
    assert_int_equal(read_view(503, "", &v), JUSTALOCK_NET);
    assert_int_equal(read_view(302, "", &v), JUSTALOCK_PROTO);
    assert_int_equal(read_view(409, "", &v), JUSTALOCK_PROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_check),       cmocka_unit_test(test_check_lock),
        cmocka_unit_test(test_read),        cmocka_unit_test(test_read_page),
        cmocka_unit_test(test_read_busy),   cmocka_unit_test(test_read_none),
        cmocka_unit_test(test_read_shared), cmocka_unit_test(test_view),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
