/* SPDX-License-Identifier: MIT */
/*
 * test_etcd.c - calls of etcd's gateway: what each answer of it means, whom to
 * ask next, logging in, and what is read of its JSON. The peer is scripted:
 * the real etcd is tests/server/etcd.sh's.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "../../modules/server/etcd.h"
#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "scratch.h"
#include "test.h"

/* ---- a peer that answers as it is told ---- */

struct peer {
    struct fake_service *f;
    int status; /* of each answer but that to a login; 0: none, it is cut */
    const char *body;
    const char *token;  /* what a login gets; NULL: refused */
    unsigned unwelcome; /* so many calls are answered 401 */
};

static void answer(void *arg, const struct fake_request *r,
                   struct fake_step *step)
{
    struct peer *p = arg;

    if (strcmp(r->target, "/v3/auth/authenticate") == 0) {
        step->status = p->token != NULL ? 200 : 400;
        (void)snprintf(step->body, sizeof(step->body),
                       p->token != NULL ? "{\"token\":\"%s\"}"
                                        : "{\"message\":\"bad password\"}",
                       p->token);
        return;
    }
    step->status = p->status;
    if (p->status == 0)
        step->way = FAKE_DROP;
    if (p->unwelcome > 0) {
        p->unwelcome--;
        step->status = 401;
    }
    (void)snprintf(step->body, sizeof(step->body), "%s", p->body);
}

static void start(struct peer *p, const char *body)
{
    *p = (struct peer){.status = 200, .body = body};
    p->f = fake_start(answer, p);
    assert_non_null(p->f);
}

static struct etcd *to(const struct peer *a, const struct peer *b,
                       const struct etcd_files *files)
{
    struct justalock_error err;
    struct etcd *e = NULL;
    char places[64];
    int n = snprintf(places, sizeof(places), "127.0.0.1:%d", fake_port(a->f));

    if (b != NULL)
        (void)snprintf(places + n, sizeof(places) - (size_t)n, ",127.0.0.1:%d",
                       fake_port(b->f));
    assert_ok(etcd_new(places, files, &e, &err), err);
    return e;
}

static enum justalock_status call(struct etcd *e, bool may_repeat,
                                  struct justalock_error *err)
{
    struct json_object *json = NULL;
    enum justalock_status st;
    struct buf b;

    buf_init(&b, 100);
    buf_str(&b, "{\"key\":\"a\"}");
    st = etcd_call(e, "kv/range", &b, may_repeat, 1000, &json, err);
    buf_done(&b);
    assert_true((json != NULL) == (st == JUSTALOCK_OK));
    json_object_put(json);
    return st;
}

static const struct etcd_files none;

/* ---- places ---- */

static void test_places(void **state)
{
    static const char *const good[] = {
        "a:1",
        "localhost:2379",
        "127.0.0.1:65535",
        "[::1]:2379",
        "a:1,b:2",
        "a.b-c:1",
        "1:1,2:2,3:3,4:4,5:5,6:6,7:7,8:8",
    };
    static const char *const bad[] = {
        "",     "a",        ":1",     "a:",     "a:0",       "a:65536",
        "a:1x", "a:123456", "[::1]",  "[::1]1", "[::1:2379", "a:1,",
        ",a:1", "a:1,,b:1", "u@a:1",  "a/b:1",  "a b:1",     "a?:1",
        "a#:1", "a:-1",     "a:1/v3",
    };
    char place[ETCD_HOST_MAX + 2];
    struct justalock_error err;
    struct etcd *e = NULL;

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        assert_ok(etcd_new(good[i], &none, &e, &err), err);
        etcd_free(e);
    }
    e = NULL;
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (etcd_new(bad[i], &none, &e, &err) != JUSTALOCK_ARG ||
            strstr(err.text, "host:port") == NULL)
            fail_msg("\"%s\" is taken, or: %s", bad[i], err.text);
    assert_fails(
        etcd_new("1:1,2:2,3:3,4:4,5:5,6:6,7:7,8:8,9:9", &none, &e, &err),
        JUSTALOCK_ARG, err, "more than 8");
    memset(place, 'a', sizeof(place));
    memcpy(place + ETCD_HOST_MAX - 2, ":1", 3);
    assert_ok(etcd_new(place, &none, &e, &err), err);
    etcd_free(e);
    e = NULL;
    memset(place, 'a', sizeof(place));
    memcpy(place + ETCD_HOST_MAX - 1, ":1", 3);
    assert_int_equal(etcd_new(place, &none, &e, &err), JUSTALOCK_ARG);
    assert_null(e);
    etcd_free(NULL);
}

/* ---- answers ---- */

static void test_answers(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum justalock_status want;
        const char *says;
    } cases[] = {
        {200, "{}", JUSTALOCK_OK, ""},
        {200, "{\"a\":1}", JUSTALOCK_OK, ""},
        {200, "[]", JUSTALOCK_NET, "answers 200"},
        {200, "", JUSTALOCK_NET, "answers 200"},
        {200, "<html>\r\nno", JUSTALOCK_NET, "answers 200: <html>"},
        {200, "{\"a\":", JUSTALOCK_NET, "answers 200"},
        {204, "", JUSTALOCK_NET, "answers 204"},
        {400, "{\"message\":\"too large\"}", JUSTALOCK_PROTO, "too large"},
        {400, "{\"error\":\"old words\"}", JUSTALOCK_PROTO, "old words"},
        {400, "{\"code\":16,\"message\":\"x\"}", JUSTALOCK_DENIED, "x"},
        {400, "{\"code\":7,\"message\":\"x\"}", JUSTALOCK_DENIED, "x"},
        {401, "", JUSTALOCK_DENIED, "answers 401"},
        {403, "{\"message\":\"permission denied\"}", JUSTALOCK_DENIED,
         "permission denied"},
        {404, "404 page not found\n", JUSTALOCK_PROTO, "404 page not found"},
        {500, "{\"message\":\"etcdserver: no leader\"}", JUSTALOCK_NET,
         "no leader"},
        {503, "{\"error\":\"timed out\"}", JUSTALOCK_NET, "timed out"},
        {0, "", JUSTALOCK_NET, "127.0.0.1"},
    };
    struct justalock_error err;
    struct fake_request r;
    struct etcd *e;
    struct peer p;

    (void)state;
    start(&p, "");
    e = to(&p, NULL, &none);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        enum justalock_status st;

        p.status = cases[i].status;
        p.body = cases[i].body;
        memset(&err, 0, sizeof(err));
        st = call(e, false, &err);
        if (st != cases[i].want || err.status != st ||
            strstr(err.text, cases[i].says) == NULL)
            fail_msg("%d %s: %d %s", cases[i].status, cases[i].body, (int)st,
                     err.text);
    }
    assert_true(fake_get(p.f, 0, &r));
    assert_string_equal(r.method, "POST");
    assert_string_equal(r.target, "/v3/kv/range");
    assert_string_equal(r.body, "{\"key\":\"a\"}");
    etcd_free(e);
    fake_stop(p.f);
}

/* ---- whom to ask ---- */

static void test_next_place(void **state)
{
    struct justalock_error err;
    struct peer a, b;
    struct etcd *e;

    (void)state;
    start(&a, "{}");
    start(&b, "{}");
    e = to(&a, &b, &none);
    assert_ok(call(e, false, &err), err);
    assert_int_equal(fake_count(a.f), 1);
    a.status = 503;
    /* It may have been done: nobody else is asked to do it again. */
    assert_int_equal(call(e, false, &err), JUSTALOCK_NET);
    assert_int_equal(fake_count(b.f), 0);
    assert_ok(call(e, false, &err), err); /* but the next thing is */
    assert_int_equal(fake_count(b.f), 1);
    b.status = 0;
    a.status = 200;
    assert_ok(call(e, true, &err), err);
    assert_int_equal(fake_count(a.f), 3);
    assert_ok(call(e, true, &err), err); /* who answered is asked first */
    assert_int_equal(fake_count(a.f), 4);
    a.status = 500;
    assert_int_equal(call(e, true, &err), JUSTALOCK_NET);
    a.status = b.status = 400; /* a refusal is one, wherever */
    assert_int_equal(call(e, true, &err), JUSTALOCK_PROTO);
    etcd_free(e);
    fake_stop(a.f);
    fake_stop(b.f);
}

/* ---- logging in ---- */

static const char *user_file(const char *text, mode_t mode)
{
    const char *path = in_scratch("user");
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void test_user(void **state)
{
    struct etcd_files files = {0};
    struct justalock_error err;
    struct fake_request r;
    static char path[256], token[1100];
    struct etcd *e;
    struct peer p;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s", user_file("ops:a\"b:c\r\n", 0600));
    files.user = path;
    start(&p, "{}");
    e = to(&p, NULL, &files);
    assert_int_equal(call(e, true, &err), JUSTALOCK_PROTO); /* refused */
    assert_has(err.text, "bad password");
    p.token = "t1";
    assert_ok(call(e, true, &err), err);
    assert_true(fake_get(p.f, 1, &r));
    assert_string_equal(r.body, "{\"name\":\"ops\",\"password\":\"a\\\"b:c\"}");
    assert_true(fake_get(p.f, 2, &r));
    assert_has(r.head, "Authorization: t1\r\n");
    assert_ok(call(e, true, &err), err); /* once is enough */
    assert_int_equal(fake_count(p.f), 4);
    p.unwelcome = 1; /* the token is too old */
    p.token = "t2";
    assert_ok(call(e, true, &err), err);
    assert_int_equal(fake_count(p.f), 7);
    assert_true(fake_get(p.f, 6, &r));
    assert_has(r.head, "Authorization: t2\r\n");
    p.unwelcome = 2; /* and is still refused: not for ever */
    assert_int_equal(call(e, true, &err), JUSTALOCK_DENIED);
    assert_int_equal(fake_count(p.f), 10);
    memset(token, 'x', sizeof(token) - 1);
    p.token = token;
    p.unwelcome = 1;
    assert_fails(call(e, true, &err), JUSTALOCK_PROTO, err, "too long");
    etcd_free(e);
    fake_stop(p.f);
}

static void test_user_file(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *says;
    } cases[] = {{"ops\n", 0600, "has no user:password"},
                 {"ops:x", 0640, "mode 0640"},
                 {"", 0600, "has none"}};
    struct etcd_files files = {0};
    struct justalock_error err;
    static char path[256];
    struct etcd *e;
    struct peer p;

    (void)state;
    start(&p, "{}");
    p.token = "t";
    for (size_t i = 0; i < LENGTH(cases); i++) {
        (void)snprintf(path, sizeof(path), "%s",
                       user_file(cases[i].text, cases[i].mode));
        files.user = path;
        e = to(&p, NULL, &files);
        assert_fails(call(e, true, &err), JUSTALOCK_CONFIG, err, cases[i].says);
        etcd_free(e);
    }
    assert_int_equal(fake_count(p.f), 0); /* nothing was asked */
    fake_stop(p.f);
}

/* ---- JSON ---- */

static void test_bytes(void **state)
{
    char text[200], back[64];
    size_t len;

    (void)state;
    for (size_t n = 0; n < sizeof(back); n++) {
        struct json_object *o;
        uint8_t data[64];
        struct buf b;

        for (size_t i = 0; i < n; i++)
            data[i] = (uint8_t)(i * 7 + n);
        buf_init(&b, sizeof(text));
        buf_str(&b, "{\"v\":");
        etcd_put_bytes(&b, data, n);
        buf_str(&b, "}");
        o = json_tokener_parse(b.data);
        assert_non_null(o);
        /* There is one byte for the NUL behind it, or it is not taken. */
        if (n + 3 < sizeof(back)) {
            assert_true(etcd_bytes(o, "v", back, sizeof(back), &len));
            assert_int_equal(len, n);
            assert_memory_equal(back, data, n);
            assert_int_equal(back[n], 0);
        }
        assert_false(etcd_bytes(o, "v", back, n, &len));
        json_object_put(o);
        buf_done(&b);
    }
}

static void test_members(void **state)
{
    struct json_object *o = json_tokener_parse(
        "{\"i\":7,\"s\":\"8\",\"big\":\"9223372036854775807\",\"over\":"
        "\"9223372036854775808\",\"neg\":\"-1\",\"not\":\"x\",\"d\":1.5,"
        "\"null\":null,\"b64\":\"a===\",\"half\":\"YQ=\"}");
    char back[16];
    size_t len;

    (void)state;
    assert_non_null(o);
    assert_int_equal(etcd_number(o, "i"), 7);
    assert_int_equal(etcd_number(o, "s"), 8);
    assert_true(etcd_number(o, "big") == INT64_MAX);
    assert_int_equal(etcd_number(o, "over"), 0);
    assert_int_equal(etcd_number(o, "neg"), 0);
    assert_int_equal(etcd_number(o, "not"), 0);
    assert_int_equal(etcd_number(o, "d"), 0);
    assert_int_equal(etcd_number(o, "null"), 0);
    assert_int_equal(etcd_number(o, "none"), 0);
    assert_int_equal(etcd_number(NULL, "i"), 0);
    assert_string_equal(etcd_text(o, "s"), "8");
    assert_string_equal(etcd_text(o, "i"), "");
    assert_string_equal(etcd_text(NULL, "s"), "");
    assert_false(etcd_bytes(o, "b64", back, sizeof(back), &len));
    assert_false(etcd_bytes(o, "half", back, sizeof(back), &len));
    assert_true(etcd_bytes(o, "none", back, sizeof(back), &len));
    assert_int_equal(len, 0);
    json_object_put(o);
}

/* ---- no memory ---- */

static bool whole_call(void *arg)
{
    const struct etcd_files *files = arg;
    static char places[64];
    struct justalock_error err = {.text = ""};
    struct etcd *e = NULL;
    enum justalock_status st;

    (void)snprintf(places, sizeof(places), "127.0.0.1:%s", files->ca);
    st = etcd_new(places, &none, &e, &err);
    if (st == JUSTALOCK_OK) {
        st = call(e, true, &err);
        etcd_free(e);
    }
    if (st != JUSTALOCK_OK) {
        assert_int_equal(err.status, st);
        assert_string_not_equal(err.text, "");
    }
    return st == JUSTALOCK_OK;
}

static void test_no_memory(void **state)
{
    struct etcd_files port = {0};
    char digits[16];
    struct peer p;

    (void)state;
    start(&p, "{\"kvs\":[{\"key\":\"YQ==\",\"value\":\"Yg==\"}]}");
    (void)snprintf(digits, sizeof(digits), "%d", fake_port(p.f));
    port.ca = digits;
    fail_alloc_only_ours(true); /* json-c crashes without memory */
    assert_in_range(fail_alloc_each(whole_call, &port), 5, 500);
    fail_alloc_only_ours(false);
    fake_stop(p.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),     cmocka_unit_test(test_answers),
        cmocka_unit_test(test_next_place), cmocka_unit_test(test_user),
        cmocka_unit_test(test_user_file),  cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_members),    cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
