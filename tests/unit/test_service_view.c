/* SPDX-License-Identifier: MIT */
/*
 * test_service_view.c - what a service shows of a lock: what is taken of it
 * at its edges, what is no view at all, and where a service has none.
 */
#include <stdlib.h>

#include "service.h"
#include "test.h"

#define F "HTTP/1.1 200 OK\r\nJustalock-Features: wait release token\r\n\r\n"

static enum justalock_status view(int status, const char *head,
                                  const char *body, size_t len,
                                  struct keeper_view *v,
                                  struct justalock_error *err)
{
    struct transfer_answer a = {.http_status = status,
                                .head = head,
                                .head_len = strlen(head),
                                .body = body,
                                .body_len = len};

    memset(v, 0xff, sizeof(*v));
    return service_read_view(&a, v, err);
}

static struct keeper_view good(const char *body)
{
    struct justalock_error err;
    struct keeper_view v;

    assert_ok(view(200, F, body, strlen(body), &v, &err), err);
    assert_true(v.known);
    return v;
}

static void test_whole(void **state)
{
    struct keeper_view v =
        good("{\"lock\":\"x\",\"held\":true,\"holder\":\"job 7\",\"since\":"
             "\"2026-11-23T07:46:09Z\",\"expires_ms\":59000,\"shares\":2,"
             "\"token\":18446744073709551615,\"waiters\":4294967295,"
             "\"broken\":false,\"later\":[1]}");

    (void)state;
    assert_true(v.held);
    assert_string_equal(v.holder, "job 7");
    assert_string_equal(v.since, "2026-11-23T07:46:09Z");
    assert_int_equal(v.expires_ms, 59000);
    assert_int_equal(v.shares, 2);
    assert_int_equal(v.waiters, UINT32_MAX);
    assert_true(v.has_token);
    v = good("{\"held\":false}");
    assert_false(v.held);
    assert_int_equal(v.expires_ms, -1);
    assert_int_equal(v.shares, 0);
    assert_false(v.has_token);
    assert_string_equal(v.holder, "");
}

/* A member that is not as it should be counts as not there. */
static void test_members(void **state)
{
    static const char *const bodies[] = {
        "{\"held\":true,\"holder\":7,\"since\":null,\"expires_ms\":\"1\","
        "\"shares\":1.5,\"waiters\":-1,\"token\":-1}",
        "{\"held\":true,\"holder\":\"a\\u0000b\",\"expires_ms\":-1,"
        "\"shares\":4294967296,\"waiters\":true,\"token\":\"7\"}",
    };
    char body[400], many[200];
    struct keeper_view v;

    (void)state;
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        v = good(bodies[i]);
        assert_string_equal(v.holder, "");
        assert_string_equal(v.since, "");
        assert_int_equal(v.expires_ms, -1);
        assert_int_equal(v.shares, 0);
        assert_int_equal(v.waiters, 0);
        assert_false(v.has_token);
    }
    /* A label at its longest, and one more. */
    memset(many, 'l', sizeof(many));
    for (int more = 0; more < 2; more++) {
        (void)snprintf(body, sizeof(body),
                       "{\"held\":true,\"holder\":\"%.*s\"}",
                       JUSTALOCK_LABEL_MAX + more, many);
        v = good(body);
        assert_int_equal(strlen(v.holder), more ? 0 : JUSTALOCK_LABEL_MAX);
    }
    /* Nothing in it moves a terminal's cursor. */
    v = good("{\"held\":true,\"holder\":\"a\\u001b[2Jb\\nc\"}");
    assert_null(strpbrk(v.holder, "\x1b\n"));
    assert_int_equal(strlen(v.holder), 8);
}

static void test_no_view(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "1",
        "null",
        "\"held\"",
        "{\"held\":1}",
        "{\"held\":\"true\"}",
        "{\"held\":true",
        "held",
        "{\"held\":true,\"x\":[[[[[[[[[[1]]]]]]]]]]}"};
    struct justalock_error err;
    struct keeper_view v, untouched;
    static char large[SERVICE_VIEW_MAX + 64];
    size_t len;

    (void)state;
    memset(&untouched, 0xff, sizeof(untouched));
    for (size_t i = 0; i < LENGTH(bad); i++) {
        if (view(200, F, bad[i], strlen(bad[i]), &v, &err) != JUSTALOCK_PROTO)
            fail_msg("taken: %s", bad[i]);
        assert_memory_equal(&v, &untouched, sizeof(v));
        assert_has(err.text, "not readable");
    }
    for (int more = 0; more < 2; more++) { /* the most, and more */
        len = (size_t)snprintf(large, sizeof(large), "{\"held\":true,\"x\":\"");
        memset(large + len, 'y', sizeof(large) - len);
        (void)snprintf(large + SERVICE_VIEW_MAX - 2 + more, 3, "\"}");
        assert_int_equal(
            view(200, F, large, SERVICE_VIEW_MAX + (size_t)more, &v, &err),
            more ? JUSTALOCK_PROTO : JUSTALOCK_OK);
    }
}

/* ---- pools ---- */

struct seen {
    struct keeper_view v[JUSTALOCK_SLOTS_MAX];
    size_t len;
};

static void see(void *arg, const struct keeper_view *v)
{
    struct seen *s = arg;

    assert_true(s->len < LENGTH(s->v));
    s->v[s->len++] = *v;
}

/* As many holders as there may be, one of them too many, and bad ones. */
static void test_pool(void **state)
{
    static const char *const bad[] = {"[{\"slot\":1024}]", "[{\"slot\":-1}]",
                                      "[{\"slot\":0},{}]", "[{\"slot\":0},7]",
                                      "[{\"slot\":\"0\"}]"};
    static char body[SERVICE_VIEW_MAX];
    static struct seen seen;
    struct transfer_answer a = {
        .http_status = 200, .head = F, .head_len = strlen(F), .body = body};
    struct justalock_error err;
    struct keeper_view v;

    (void)state;
    for (int n = JUSTALOCK_SLOTS_MAX; n <= JUSTALOCK_SLOTS_MAX + 1; n++) {
        size_t len = (size_t)snprintf(
            body, sizeof(body), "{\"held\":true,\"slots\":1024,\"holders\":[");

        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(body + len, sizeof(body) - len,
                                    "%s{\"slot\":%d,\"holder\":\"h%d\"}",
                                    i > 0 ? "," : "", i % 1024, i);
        len += (size_t)snprintf(body + len, sizeof(body) - len, "]}");
        if (n > JUSTALOCK_SLOTS_MAX) {
            assert_int_equal(view(200, F, body, len, &v, &err),
                             JUSTALOCK_PROTO);
            break;
        }
        assert_ok(view(200, F, body, len, &v, &err), err);
        assert_true(v.has_more);
        assert_int_equal(v.slot, 0);
        assert_int_equal(v.slots, 1024);
        a.body_len = len;
        seen.len = 0;
        assert_ok(service_read_holders(&a, see, &seen, &err), err);
        assert_int_equal(seen.len, JUSTALOCK_SLOTS_MAX - 1);
        assert_true(seen.v[0].has_more && !seen.v[1022].has_more);
        assert_int_equal(seen.v[1022].slot, 1023);
        assert_string_equal(seen.v[1022].holder, "h1023");
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        int len =
            snprintf(body, sizeof(body),
                     "{\"held\":true,\"slots\":3,\"holders\":%s}", bad[i]);

        if (view(200, F, body, (size_t)len, &v, &err) != JUSTALOCK_PROTO)
            fail_msg("taken: %s", bad[i]);
    }
}

static void test_statuses(void **state)
{
    static const char body[] = "{\"held\":true}";
    static const char base[] = "HTTP/1.1 200 OK\r\n\r\n";
    static const int none[] = {404, 405};
    static const int bad[] = {204, 301, 400, 401, 403, 409, 429, 500, 503};
    struct justalock_error err;
    struct keeper_view v;

    (void)state;
    for (size_t i = 0; i < LENGTH(none); i++) { /* it has no views */
        assert_ok(view(none[i], F, body, strlen(body), &v, &err), err);
        assert_false(v.known);
        assert_int_equal(v.expires_ms, -1);
    }
    assert_ok(view(200, base, body, strlen(body), &v, &err), err);
    assert_false(v.known); /* a page of something else */
    for (size_t i = 0; i < LENGTH(bad); i++) {
        memset(&err, 0, sizeof(err));
        if (view(bad[i], F, body, strlen(body), &v, &err) == JUSTALOCK_OK)
            fail_msg("%d is taken", bad[i]);
        assert_string_not_equal(err.text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),    cmocka_unit_test(test_members),
        cmocka_unit_test(test_no_view),  cmocka_unit_test(test_pool),
        cmocka_unit_test(test_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
