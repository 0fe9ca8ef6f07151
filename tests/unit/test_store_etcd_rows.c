/* SPDX-License-Identifier: MIT */
/*
 * test_store_etcd_rows.c - rows as keys and values of etcd: what is written
 * reads back, and nothing else is taken for a row. The peer is scripted.
 */
#include <stdlib.h>

#include "../../modules/server/store_etcd.h"
#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "test.h"

/* ---- a peer with the answers that a test has given it ---- */

struct peer {
    struct fake_service *f;
    char shares[2000], released[2000]; /* members of "kvs" */
    unsigned status;
    unsigned asked;
};

static void answer(void *arg, const struct fake_request *r,
                   struct fake_step *step)
{
    struct peer *p = arg;
    struct buf b;
    bool is_released;

    buf_init(&b, 200);
    etcd_put_bytes(&b, ETCD_PREFIX "rel", strlen(ETCD_PREFIX "rel"));
    b.data[b.len - 1] = '\0'; /* base64 of a prefix, nearly to its end */
    b.data[strcspn(b.data, "=") - 2] = '\0';
    is_released = strstr(r->body, b.data + 1) != NULL;
    buf_done(&b);
    p->asked++;
    step->status = p->status != 0 ? (int)p->status : 200;
    (void)snprintf(step->body, sizeof(step->body), "{\"kvs\":[%s]}",
                   is_released ? p->released : p->shares);
}

static enum justalock_status to(const struct peer *p, struct etcd **ret_etcd,
                                struct justalock_error *err)
{
    static const struct etcd_files none;
    char place[64];

    (void)snprintf(place, sizeof(place), "127.0.0.1:%d", fake_port(p->f));
    return etcd_new(place, &none, ret_etcd, err);
}

static struct etcd *start(struct peer *p)
{
    struct justalock_error err;
    struct etcd *e = NULL;

    memset(p, 0, sizeof(*p));
    p->f = fake_start(answer, p);
    assert_non_null(p->f);
    assert_ok(to(p, &e, &err), err);
    return e;
}

static void add_kv(char *list, size_t size, const char *key, const char *value)
{
    struct buf b;
    size_t len = strlen(list);

    buf_init(&b, 4096);
    buf_str(&b, len > 0 ? ",{\"key\":" : "{\"key\":");
    etcd_put_bytes(&b, key, strlen(key));
    buf_str(&b, ",\"value\":");
    etcd_put_bytes(&b, value, strlen(value));
    buf_str(&b, "}");
    assert_true(len + b.len < size);
    memcpy(list + len, b.data, b.len + 1);
    buf_done(&b);
}

/* ---- rows ---- */

static struct lock_row row_of(const char *client, const char *share)
{
    struct lock_row r;

    memset(&r, 0, sizeof(r));
    for (size_t i = 0; i < sizeof(r.id.bytes); i++)
        r.id.bytes[i] = (uint8_t)(i * 17);
    r.client_len = strlen(client);
    memcpy(r.client, client, r.client_len);
    memcpy(r.share, share, strlen(share) + 1);
    (void)snprintf(r.label, sizeof(r.label), "job 7 \"of\" \\ you");
    r.life_s = 65535;
    r.slots = 1;
    r.token = (uint64_t)INT64_MAX;
    r.since_s = 1700000000;
    r.is_broken = true;
    return r;
}

struct rows {
    struct lock_row row[4];
    bool is_tomb[4];
    size_t len;
    enum justalock_status say;
};

static enum justalock_status add_row(void *arg, const struct lock_row *row,
                                     bool is_tomb)
{
    struct rows *rows = arg;

    if (rows->say != JUSTALOCK_OK)
        return rows->say;
    assert_true(rows->len < LENGTH(rows->row));
    rows->row[rows->len] = *row;
    rows->is_tomb[rows->len++] = is_tomb;
    return JUSTALOCK_OK;
}

static enum justalock_status no_pause(void *arg, struct justalock_error *err)
{
    (void)arg;
    (void)err;
    return JUSTALOCK_OK;
}

static enum justalock_status load(struct etcd *e, struct rows *rows,
                                  struct justalock_error *err)
{
    static const struct etcd_pause pause = {.fn = no_pause};

    return etcd_load(e, add_row, rows, &pause, err);
}

/* The member `name` of {"request_...":{...}}, decoded. */
static void member(const struct buf *b, const char *request, const char *name,
                   char *text, size_t size)
{
    struct json_object *o = json_tokener_parse(b->data), *in;
    size_t len;

    assert_non_null(o);
    if (!json_object_object_get_ex(o, request, &in))
        fail_msg("no %s in %s", request, b->data);
    assert_true(etcd_bytes(in, name, text, size, &len));
    json_object_put(o);
}

static void put_change(struct peer *p, enum lock_change_kind kind,
                       const struct lock_row *row)
{
    struct lock_change c = {.kind = kind, .row = *row};
    bool is_tomb = kind == LOCK_PUT_TOMB;
    char key[600], value[2100];
    struct buf b;

    buf_init(&b, 8192);
    etcd_add_change(&b, &c);
    assert_false(b.failed);
    member(&b, "request_put", "key", key, sizeof(key));
    member(&b, "request_put", "value", value, sizeof(value));
    assert_string_equal(key, etcd_row_key(row, is_tomb).s);
    add_kv(is_tomb ? p->released : p->shares, sizeof(p->shares), key, value);
    buf_done(&b);
}

static void test_back(void **state)
{
    static char longest[JUSTALOCK_CLIENT_MAX + 1], share[LOCK_SHARE_MAX + 1];
    struct rows rows = {.len = 0};
    struct justalock_error err;
    struct lock_row a, b;
    struct etcd *e;
    struct peer p;

    (void)state;
    memset(longest, 0xff, JUSTALOCK_CLIENT_MAX);
    memset(share, 'S', LOCK_SHARE_MAX);
    a = row_of("c", "");
    b = row_of(longest, share);
    b.is_broken = false;
    b.slots = LOCK_SLOTS_MAX;
    b.slot = LOCK_SLOTS_MAX - 1;
    memset(b.label, 'x', JUSTALOCK_LABEL_MAX);
    b.label[JUSTALOCK_LABEL_MAX] = '\0';
    e = start(&p);
    put_change(&p, LOCK_PUT, &a);
    put_change(&p, LOCK_PUT, &b);
    put_change(&p, LOCK_PUT_TOMB, &b);
    assert_ok(load(e, &rows, &err), err);
    assert_int_equal(rows.len, 3);
    assert_memory_equal(&rows.row[0], &a, sizeof(a));
    assert_memory_equal(&rows.row[1], &b, sizeof(b));
    assert_true(rows.is_tomb[2] && !rows.is_tomb[1]);
    assert_memory_equal(rows.row[2].client, b.client, sizeof(b.client));
    assert_string_equal(rows.row[2].share, b.share);
    assert_int_equal(rows.row[2].life_s, b.life_s);
    assert_int_equal(p.asked, 2);
    etcd_free(e);
    fake_stop(p.f);
}

static void test_drop(void **state)
{
    static const enum lock_change_kind kinds[] = {LOCK_DROP, LOCK_DROP_TOMB};

    (void)state;
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        struct lock_change c = {.kind = kinds[i], .row = row_of("c", "s")};
        char key[600];
        struct buf b;

        buf_init(&b, 4096);
        etcd_add_change(&b, &c);
        member(&b, "request_delete_range", "key", key, sizeof(key));
        assert_string_equal(key, etcd_row_key(&c.row, i == 1).s);
        buf_done(&b);
    }
}

/* ---- what no server wrote ---- */

#define ID    "AAAAAAAAAAAAAAAAAAAAAA"
#define SHARE ETCD_PREFIX "share/"
#define TOMB  ETCD_PREFIX "released/"
#define V(client, life, token, broken, label)                                  \
    "{\"client\":\"" client "\",\"life_s\":" life ",\"token\":" token          \
    ",\"since_s\":1,\"broken\":" broken ",\"label\":\"" label "\"}"
#define GOOD V("61", "60", "\"7\"", "false", "l")
#define POOL(slots)                                                            \
    "{\"client\":\"61\",\"life_s\":60,\"token\":\"7\",\"since_s\":1,"          \
    "\"broken\":false,\"label\":\"l\",\"slots\":" slots "}"

static void test_foreign(void **state)
{
    static const struct {
        const char *key, *value;
        bool is_good;
    } cases[] = {
        {SHARE ID "/s", GOOD, true},
        {SHARE ID "/", GOOD, true},
        {SHARE ID, GOOD, false},
        {SHARE "/s", GOOD, false},
        {SHARE "x/s", GOOD, false},
        {SHARE ID "A/s", GOOD, false},
        {SHARE ID "/s/61", GOOD, false},
        {SHARE ID "/s/2", POOL("3"), true},
        {SHARE ID "/s/3", POOL("3"), false},
        {SHARE ID "/s/", POOL("3"), false},
        {SHARE ID "/s/-1", POOL("3"), false},
        {SHARE ID "/s", POOL("3"), false},
        {SHARE ID "/s/0", POOL("1"), false},
        {SHARE ID "/s/1023", POOL("1024"), true},
        {SHARE ID "/s/0", POOL("1025"), false},
        {SHARE, GOOD, false},
        {SHARE ID "/s", "", false},
        {SHARE ID "/s", "x", false},
        {SHARE ID "/s", "[]", false},
        {SHARE ID "/s", "{}", false},
        {SHARE ID "/s", V("", "60", "7", "false", ""), false},
        {SHARE ID "/s", V("6", "60", "7", "false", ""), false},
        {SHARE ID "/s", V("6x", "60", "7", "false", ""), false},
        {SHARE ID "/s", V("61", "0", "7", "false", ""), false},
        {SHARE ID "/s", V("61", "65535", "7", "true", ""), true},
        {SHARE ID "/s", V("61", "65536", "7", "false", ""), false},
        {SHARE ID "/s", V("61", "60", "0", "false", ""), false},
        {SHARE ID "/s", V("61", "60", "-7", "false", ""), false},
        {SHARE ID "/s", V("61", "60", "7", "0", ""), false},
        {SHARE ID "/s", V("61", "60", "7", "false", "a\\u0007"), false},
        {TOMB ID "/s/61", "{\"life_s\":60}", true},
        {TOMB ID "//61", "{\"life_s\":60}", true},
        {TOMB ID "/s", "{\"life_s\":60}", false},
        {TOMB ID "/s/", "{\"life_s\":60}", false},
        {TOMB ID "/s/6", "{\"life_s\":60}", false},
        {TOMB ID "/s/zz", "{\"life_s\":60}", false},
        {TOMB ID "/s/61", "{\"life_s\":0}", false},
        {TOMB ID "/s/61", "{}", false},
    };
    struct justalock_error err;
    struct etcd *e;
    struct peer p;

    (void)state;
    e = start(&p);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bool is_tomb = strncmp(cases[i].key, TOMB, strlen(TOMB)) == 0;
        struct rows rows = {.len = 0};
        enum justalock_status st;

        p.shares[0] = p.released[0] = '\0';
        add_kv(is_tomb ? p.released : p.shares, sizeof(p.shares), cases[i].key,
               cases[i].value);
        st = load(e, &rows, &err);
        if (cases[i].is_good ? st != JUSTALOCK_OK || rows.len != 1
                             : st != JUSTALOCK_PROTO || rows.len != 0)
            fail_msg("%s %s: %d, %zu rows", cases[i].key, cases[i].value,
                     (int)st, rows.len);
        if (!cases[i].is_good)
            assert_has(err.text, cases[i].key);
    }
    etcd_free(e);
    fake_stop(p.f);
}

/* A share, a client, a label of one more than the longest. */
static void test_too_long(void **state)
{
    char key[800], value[1200], many[700];
    struct justalock_error err;
    struct etcd *e;
    struct peer p;

    (void)state;
    e = start(&p);
    memset(many, '6', sizeof(many));
    for (int i = 0; i < 4; i++) {
        struct rows rows = {.len = 0};

        p.shares[0] = p.released[0] = '\0';
        (void)snprintf(key, sizeof(key), SHARE ID "/%.*s",
                       i == 0   ? LOCK_SHARE_MAX + 1
                       : i == 3 ? 600
                                : 4,
                       many);
        (void)snprintf(value, sizeof(value),
                       "{\"client\":\"%.*s\",\"life_s\":60,\"token\":7,"
                       "\"since_s\":1,\"broken\":false,\"label\":\"%.*s\"}",
                       i == 1 ? 2 * JUSTALOCK_CLIENT_MAX + 2 : 4, many,
                       i == 2 ? JUSTALOCK_LABEL_MAX + 1 : 4, many);
        add_kv(p.shares, sizeof(p.shares), key, value);
        assert_int_equal(load(e, &rows, &err), JUSTALOCK_PROTO);
        assert_int_equal(rows.len, 0);
    }
    etcd_free(e);
    fake_stop(p.f);
}

/* What the table says of a row is handed on: no memory is no damage. */
static void test_refusals(void **state)
{
    struct rows rows = {.say = JUSTALOCK_NOMEM};
    struct justalock_error err;
    struct lock_row a = row_of("c", "s");
    struct etcd *e;
    struct peer p;

    (void)state;
    e = start(&p);
    put_change(&p, LOCK_PUT, &a);
    assert_int_equal(load(e, &rows, &err), JUSTALOCK_NOMEM);
    rows.say = JUSTALOCK_PROTO;
    assert_fails(load(e, &rows, &err), JUSTALOCK_PROTO, err,
                 "is not what a server wrote");
    p.status = 503;
    assert_int_equal(load(e, &rows, &err), JUSTALOCK_NET);
    etcd_free(e);
    fake_stop(p.f);
}

static void test_get(void **state)
{
    struct justalock_error err;
    char value[8] = "before";
    int64_t revision = 5;
    bool is_there = true;
    struct etcd *e;
    struct peer p;

    (void)state;
    e = start(&p);
    assert_ok(etcd_get(e, "/justalock/token", value, sizeof(value), &is_there,
                       &revision, &err),
              err);
    assert_false(is_there);
    assert_string_equal(value, "before");
    assert_int_equal(revision, 0);
    (void)snprintf(p.shares, sizeof(p.shares),
                   "{\"key\":\"YQ==\",\"create_revision\":\"12\",\"value\":"
                   "\"NDI=\"}");
    assert_ok(etcd_get(e, "/justalock/token", value, sizeof(value), &is_there,
                       &revision, &err),
              err);
    assert_true(is_there);
    assert_string_equal(value, "42");
    assert_int_equal(revision, 12);
    assert_fails(
        etcd_get(e, "/justalock/token", value, 3, &is_there, NULL, &err),
        JUSTALOCK_PROTO, err, "/justalock/token");
    etcd_free(e);
    fake_stop(p.f);
}

/* ---- no memory ---- */

static bool load_once(void *arg)
{
    struct rows rows = {.len = 0};
    struct justalock_error err;
    struct etcd *e = NULL;
    enum justalock_status st = to(arg, &e, &err);

    if (st == JUSTALOCK_OK)
        st = load(e, &rows, &err);
    etcd_free(e);
    if (st == JUSTALOCK_OK)
        assert_int_equal(rows.len, 2);
    else
        assert_int_not_equal(st, JUSTALOCK_PROTO); /* no damage */
    return st == JUSTALOCK_OK;
}

static bool add_once(void *arg)
{
    struct lock_change c = {.kind = LOCK_PUT, .row = row_of("c", "s")};
    struct buf b;
    bool good;

    (void)arg;
    buf_init(&b, 8192);
    etcd_add_change(&b, &c);
    good = !b.failed;
    buf_done(&b);
    return good;
}

static void test_no_memory(void **state)
{
    struct lock_row a = row_of("c", "s");
    struct etcd *e;
    struct peer p;

    (void)state;
    e = start(&p);
    put_change(&p, LOCK_PUT, &a);
    put_change(&p, LOCK_PUT_TOMB, &a);
    fail_alloc_only_ours(true); /* json-c crashes without memory */
    assert_in_range(fail_alloc_each(load_once, &p), 4, 200);
    assert_in_range(fail_alloc_each(add_once, NULL), 2, 20);
    fail_alloc_only_ours(false);
    etcd_free(e);
    fake_stop(p.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back),      cmocka_unit_test(test_drop),
        cmocka_unit_test(test_foreign),   cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_get),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
