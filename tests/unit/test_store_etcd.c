/* SPDX-License-Identifier: MIT */
/*
 * test_store_etcd.c - which of several servers answers, and its commits, by
 * what a scripted etcd says: each of its answers that may end the leading does
 * so. The real etcd is tests/server/etcd.sh's.
 */
#include <stdlib.h>

#include "../../modules/server/store_etcd.h"
#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "clock.h"
#include "test.h"

/* ---- an etcd that knows its three keys ---- */

struct peer {
    struct fake_service *f;
    int64_t leader; /* create revision of the key; 0: there is none */
    char value[600];
    int64_t revision;
    const char *service, *token; /* base64; NULL: not there */
    /* What is wrong with it. */
    const char *grant;   /* instead of a lease */
    const char *alive;   /* instead of a keepalive */
    bool is_lost;        /* a transaction is done, its answer does not come */
    bool is_done_before; /* it says no to a key that it has made */
    bool is_another;     /* another server is quicker */
    unsigned txns, revoked;
};

static bool is_of(const char *body, const char *key)
{
    struct buf b;
    bool is_so;

    buf_init(&b, 200);
    etcd_put_bytes(&b, key, strlen(key));
    is_so = strstr(body, b.data) != NULL;
    buf_done(&b);
    return is_so;
}

static void kv(struct fake_step *step, const char *value, int64_t revision)
{
    if (value == NULL)
        (void)snprintf(step->body, sizeof(step->body), "{\"kvs\":[]}");
    else
        (void)snprintf(step->body, sizeof(step->body),
                       "{\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"%lld"
                       "\",\"value\":\"%s\"}]}",
                       (long long)revision, value);
}

static void txn(struct peer *p, const struct fake_request *r,
                struct fake_step *step)
{
    const char *want = strstr(r->body, "\"create_revision\":\"");
    bool ok = want != NULL && strtoll(want + 19, NULL, 10) == p->leader &&
              !p->is_another;

    p->txns++;
    p->revision++;
    if (ok && p->leader == 0) {
        const char *value = strstr(r->body, "\"value\":\"");

        p->leader = p->revision;
        (void)snprintf(p->value, sizeof(p->value), "%.*s",
                       value != NULL ? (int)strcspn(value + 9, "\"") : 0,
                       value != NULL ? value + 9 : "");
        ok = !p->is_done_before;
    }
    if (p->is_another && p->leader == 0) {
        p->leader = p->revision;
        (void)snprintf(p->value, sizeof(p->value), "YW5vdGhlcg==");
    }
    if (p->is_lost)
        step->way = FAKE_DROP;
    (void)snprintf(step->body, sizeof(step->body),
                   "{\"header\":{\"revision\":\"%lld\"}%s}",
                   (long long)p->revision, ok ? ",\"succeeded\":true" : "");
}

static void answer(void *arg, const struct fake_request *r,
                   struct fake_step *step)
{
    struct peer *p = arg;

    if (strcmp(r->target, "/v3/lease/grant") == 0)
        (void)snprintf(step->body, sizeof(step->body), "%s",
                       p->grant ? p->grant : "{\"ID\":\"77\",\"TTL\":\"5\"}");
    else if (strcmp(r->target, "/v3/lease/keepalive") == 0)
        (void)snprintf(step->body, sizeof(step->body), "%s",
                       p->alive ? p->alive : "{\"result\":{\"TTL\":\"5\"}}");
    else if (strcmp(r->target, "/v3/lease/revoke") == 0) {
        p->revoked++;
        p->leader = 0;
        (void)snprintf(step->body, sizeof(step->body), "{}");
    } else if (strcmp(r->target, "/v3/kv/txn") == 0)
        txn(p, r, step);
    else if (is_of(r->body, ETCD_PREFIX "leader"))
        kv(step, p->leader != 0 ? p->value : NULL, p->leader);
    else if (is_of(r->body, ETCD_PREFIX "service"))
        kv(step, p->service, 1);
    else
        kv(step, p->token, 1);
    if (step->body[0] == '!')
        step->status = 503;
}

#define SERVICE64 "ZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=" /* 32 f */

static enum justalock_status open_it(const struct peer *p,
                                     struct store **ret_store,
                                     struct justalock_error *err)
{
    static const struct etcd_files none;
    struct store_found found;
    char place[64];

    (void)snprintf(place, sizeof(place), "etcd://127.0.0.1:%d",
                   fake_port(p->f));
    return store_open(place, &none, ret_store, &found, err);
}

static struct store *start(struct peer *p)
{
    struct justalock_error err;
    struct store *s = NULL;

    memset(p, 0, sizeof(*p));
    p->revision = 40;
    p->service = SERVICE64;
    p->f = fake_start(answer, p);
    assert_non_null(p->f);
    assert_ok(open_it(p, &s, &err), err);
    return s;
}

static void stop(struct peer *p, struct store *s)
{
    store_close(s);
    fake_stop(p->f);
}

/* Comes again when it says. */
static bool tick(struct store *s)
{
    (void)store_tick(s, INT64_MAX);
    return store_shared(s)->is_active;
}

static struct store *lead(struct peer *p)
{
    struct store *s = start(p);

    assert_true(tick(s));
    return s;
}

static struct lock_change change(unsigned n)
{
    struct lock_change c = {.kind = LOCK_PUT};

    c.row.id.bytes[0] = (uint8_t)n;
    c.row.id.bytes[1] = (uint8_t)(n >> 8);
    c.row.client_len = 1;
    c.row.client[0] = 'c';
    c.row.life_s = 60;
    c.row.token = 1 + n;
    return c;
}

/* ---- who leads ---- */

static void test_first(void **state)
{
    struct peer p;
    struct store *s = start(&p);
    const struct store_shared *shared = store_shared(s);

    (void)state;
    assert_non_null(shared);
    assert_false(shared->is_active); /* nothing is asked at the start */
    assert_int_equal(fake_count(p.f), 0);
    p.service = NULL;
    p.token = NULL;
    assert_true(tick(s));
    assert_int_equal(p.txns, 2); /* its key, and who all of them are */
    assert_true(shared->epoch == (uint64_t)p.leader);
    assert_int_equal(strlen(shared->service), 32);
    assert_int_equal(strspn(shared->service, "0123456789abcdef"), 32);
    assert_int_equal(shared->last_token, 0);
    assert_int_equal(shared->extra_s, 5); /* etcd gave more than was asked */
    stop(&p, s);
    assert_int_equal(p.revoked, 1); /* the next one need not wait */
}

static void test_later(void **state)
{
    struct peer p;
    struct store *s = start(&p);

    (void)state;
    p.token = "NDI="; /* 42 */
    assert_true(tick(s));
    assert_int_equal(p.txns, 1);
    assert_string_equal(store_shared(s)->service,
                        "ffffffffffffffffffffffffffffffff");
    assert_int_equal(store_shared(s)->last_token, 42);
    stop(&p, s);
}

/* Another one leads: it is looked for again soon, and asked nothing. */
static void test_second(void **state)
{
    int64_t now_ms = clock_raw_ms(), next_ms;
    struct peer p;
    struct store *s = start(&p);

    (void)state;
    p.leader = 7;
    (void)snprintf(p.value, sizeof(p.value), "YQ==");
    next_ms = store_tick(s, now_ms);
    assert_false(store_shared(s)->is_active);
    assert_in_range(next_ms - now_ms, 1, 2000);
    assert_int_equal(store_tick(s, now_ms), next_ms); /* not before */
    assert_int_equal(fake_count(p.f), 1);
    assert_int_equal(p.txns, 0);
    p.leader = 0;
    assert_true(tick(s));
    stop(&p, s);
}

static void test_race(void **state)
{
    struct peer p;
    struct store *s = start(&p);

    (void)state;
    p.is_another = true;
    assert_false(tick(s));
    assert_int_equal(p.revoked, 1); /* our lease is not left behind */
    p.is_another = false;
    /* Its answer is no, and yet the key is ours: libcurl sends a request
     * again where the connection dies under it. */
    p.leader = 0;
    p.is_done_before = true;
    assert_true(tick(s));
    assert_true(store_shared(s)->epoch == (uint64_t)p.leader);
    stop(&p, s);
}

static void test_bad_answers(void **state)
{
    static const char *const grants[] = {"{}",
                                         "{\"ID\":\"0\",\"TTL\":\"5\"}",
                                         "{\"ID\":\"7\",\"TTL\":\"2\"}",
                                         "{\"ID\":\"x\",\"TTL\":\"5\"}",
                                         "!",
                                         "[]"};
    static const char *const services[] = {
        "", "eA==", "WFg=",
        /* 33 g */
        "Z2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dn"};
    static const char *const tokens[] = {"", "eA==", "LTE="};
    struct peer p;
    struct store *s = start(&p);

    (void)state;
    for (size_t i = 0; i < LENGTH(grants); i++) {
        p.grant = grants[i];
        assert_false(tick(s));
        assert_int_equal(p.leader, 0);
    }
    p.grant = NULL;
    for (size_t i = 0; i < LENGTH(services); i++) {
        p.service = services[i];
        assert_false(tick(s));
        assert_int_equal(p.leader, 0); /* another may try */
    }
    p.service = SERVICE64;
    for (size_t i = 0; i < LENGTH(tokens); i++) {
        p.token = tokens[i];
        assert_false(tick(s));
        assert_int_equal(p.leader, 0);
    }
    p.token = NULL;
    p.is_lost = true;
    assert_false(tick(s));
    p.is_lost = false;
    p.leader = 0; /* as etcd's lease ends */
    assert_true(tick(s));
    stop(&p, s);
}

static void test_alive(void **state)
{
    struct peer p;
    struct store *s = lead(&p);
    int64_t now_ms = clock_raw_ms(), next_ms;

    (void)state;
    next_ms = store_tick(s, INT64_MAX);
    assert_in_range(next_ms - now_ms, 300, 2000); /* well within the lease */
    p.alive = "!"; /* no answer now says nothing */
    assert_true(tick(s));
    p.alive = "{\"result\":{\"ID\":\"77\"}}"; /* no TTL: it is gone */
    assert_false(tick(s));
    p.alive = NULL;
    assert_true(tick(s));
    p.alive = "{}";
    assert_false(tick(s));
    p.alive = NULL;
    assert_true(tick(s));
    store_step_down(s, "a test");
    assert_false(store_shared(s)->is_active);
    stop(&p, s);
}

/* ---- commits ---- */

static unsigned txns_of(struct peer *p, struct store *s,
                        const struct lock_change *c, size_t len)
{
    struct justalock_error err;
    unsigned before = p->txns;

    assert_ok(store_commit(s, c, len, 9, &err), err);
    assert_true(store_shared(s)->is_active);
    return p->txns - before;
}

static void test_commit(void **state)
{
    static struct lock_change c[301];
    struct peer p;
    struct store *s = lead(&p);

    (void)state;
    for (unsigned i = 0; i < LENGTH(c); i++)
        c[i] = change(i);
    assert_int_equal(txns_of(&p, s, NULL, 0), 1); /* the proof */
    assert_int_equal(txns_of(&p, s, c, 1), 1);
    assert_int_equal(txns_of(&p, s, c, 100), 1);
    assert_int_equal(txns_of(&p, s, c, 101), 2);
    assert_int_equal(txns_of(&p, s, c, 301), 4);
    /* etcd takes one operation for each key: their order stays. */
    c[1] = c[0];
    c[1].kind = LOCK_DROP;
    c[2] = c[0];
    assert_int_equal(txns_of(&p, s, c, 3), 3);
    c[1].kind = LOCK_PUT_TOMB; /* another key */
    assert_int_equal(txns_of(&p, s, c, 2), 1);
    stop(&p, s);
}

/* Each way in which a commit fails ends the leading: only etcd knows what is
 * done. */
static void test_commit_fails(void **state)
{
    struct lock_change c = change(1);
    struct justalock_error err;
    struct peer p;
    struct store *s = lead(&p);

    (void)state;
    p.leader++; /* the key is another's */
    assert_fails(store_commit(s, &c, 1, 9, &err), JUSTALOCK_STATE, err,
                 "another server answers now");
    assert_false(store_shared(s)->is_active);
    assert_fails(store_commit(s, &c, 1, 9, &err), JUSTALOCK_STATE, err,
                 "another server answers now");
    assert_true(tick(s));
    p.is_lost = true;
    assert_int_equal(store_commit(s, NULL, 0, 9, &err), JUSTALOCK_NET);
    assert_false(store_shared(s)->is_active);
    p.is_lost = false;
    assert_true(tick(s));
    assert_ok(store_commit(s, &c, 1, 9, &err), err);
    stop(&p, s);
}

/* ---- no memory ---- */

static bool all_of_it(void *arg)
{
    struct peer *p = arg;
    struct lock_change c = change(1);
    struct justalock_error err = {.text = ""};
    struct store *s = NULL;
    enum justalock_status st = open_it(p, &s, &err);

    p->leader = 0;
    p->service = NULL;
    if (st != JUSTALOCK_OK)
        return false;
    if (!tick(s))
        st = JUSTALOCK_NOMEM;
    if (st == JUSTALOCK_OK) {
        unsigned before = p->txns;

        st = store_commit(s, &c, 1, 9, &err);
        if (st == JUSTALOCK_OK)
            assert_int_equal(p->txns, before + 1);
        else
            assert_false(store_shared(s)->is_active);
    }
    store_close(s);
    return st == JUSTALOCK_OK;
}

static void test_no_memory(void **state)
{
    struct peer p;
    struct store *s = start(&p);

    (void)state;
    fail_alloc_only_ours(true); /* json-c crashes without memory */
    assert_in_range(fail_alloc_each(all_of_it, &p), 30, 1000);
    fail_alloc_only_ours(false);
    stop(&p, s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),       cmocka_unit_test(test_later),
        cmocka_unit_test(test_second),      cmocka_unit_test(test_race),
        cmocka_unit_test(test_bad_answers), cmocka_unit_test(test_alive),
        cmocka_unit_test(test_commit),      cmocka_unit_test(test_commit_fails),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
