/* SPDX-License-Identifier: MIT */
/*
 * store_etcd.c - the state of several servers in the etcd that they share:
 * which of them answers, and its commits. See justalock-protocol(7).
 *
 * The server whose key is "leader" answers. The key hangs on a lease of etcd's
 * of LEADER_TTL_S, and is named by its create revision. Every transaction is
 * guarded by that revision; one is made, if need be without a change, for each
 * pass after its requests were read and before an answer leaves. So whatever a
 * server answers, its key was there after the question was read, and a
 * successor, which creates its own key first and loads then, has every row that
 * an answer rests on and counts its leases from later. A commit that may or may
 * not have been done ends the leading: only etcd knows, and the next load
 * tells.
 */
#include "store_etcd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "parse.h"

#define LEADER       ETCD_PREFIX "leader"
#define SERVICE      ETCD_PREFIX "service"
#define TOKEN        ETCD_PREFIX "token"
#define LEADER_TTL_S 3
#define ALIVE_MS     700 /* between keepalives */
#define AGAIN_MS     100 /* after one that was not answered */
#define LOOK_MS      200 /* between looks for a leader that is gone */
#define REVOKE_MS    400 /* for that, where another may follow soon */
#define RETRY_MS     500 /* after etcd did not answer */
#define OPS_MAX      100 /* of one transaction; etcd's limit is 128 */
#define TXN_MAX      (1024 * 1024)

struct etcd_store {
    struct store base;
    struct etcd *etcd;
    char name[128];   /* of this process, for people */
    char nonce[33];   /* of this try to lead */
    int64_t lease;    /* etcd's; 0: none */
    int64_t revision; /* our leader key's; 0: not ours */
    int64_t next_ms;  /* of tick */
    char trouble[sizeof(((struct justalock_error *)0)->text)]; /* said */
};

static struct etcd_store *ours(struct store *s)
{
    return (struct etcd_store *)s;
}

/* ---- trouble: each said once ---- */

static void trouble(struct etcd_store *s, const struct justalock_error *err)
{
    if (strcmp(s->trouble, err->text) != 0)
        log_error("%s", err->text);
    memcpy(s->trouble, err->text, sizeof(s->trouble));
}

/* ---- etcd's lease ---- */

static enum justalock_status lease_grant(struct etcd_store *s,
                                         struct justalock_error *err)
{
    struct json_object *json;
    enum justalock_status st;
    struct buf b;

    buf_init(&b, 256);
    buf_printf(&b, "{\"TTL\":\"%d\"}", LEADER_TTL_S);
    st = etcd_call(s->etcd, "lease/grant", &b, true, ETCD_CALL_MS, &json, err);
    buf_done(&b);
    if (st != JUSTALOCK_OK)
        return st;
    s->lease = etcd_number(json, "ID");
    /* etcd may give a longer one, and what rests on it counts that. */
    s->base.shared.extra_s = (unsigned)etcd_number(json, "TTL");
    json_object_put(json);
    if (s->lease == 0 || s->base.shared.extra_s < LEADER_TTL_S)
        return error_set(err, JUSTALOCK_PROTO, "etcd: a lease without id");
    return JUSTALOCK_OK;
}

/* The key goes with it, at once; NET: it is still there, to be ended later. */
static enum justalock_status lease_revoke(struct etcd_store *s,
                                          int64_t limit_ms,
                                          struct justalock_error *err)
{
    struct json_object *json;
    enum justalock_status st;
    struct buf b;

    if (s->lease == 0)
        return JUSTALOCK_OK;
    buf_init(&b, 256);
    buf_printf(&b, "{\"ID\":\"%" PRId64 "\"}", s->lease);
    st = etcd_call(s->etcd, "lease/revoke", &b, true, limit_ms, &json, err);
    buf_done(&b);
    if (st == JUSTALOCK_OK)
        json_object_put(json);
    if (st == JUSTALOCK_NET)
        return st;
    s->lease = 0; /* refused: it has ended by itself, or will */
    return JUSTALOCK_OK;
}

/* NET: etcd did not answer, which says nothing; the next endpoint is asked the
 * next time, so that answers need not wait for several. STATE: it is gone. */
static enum justalock_status lease_alive(struct etcd_store *s)
{
    struct json_object *json, *result;
    struct justalock_error err;
    enum justalock_status st;
    struct buf b;

    buf_init(&b, 256);
    buf_printf(&b, "{\"ID\":\"%" PRId64 "\"}", s->lease);
    st = etcd_call(s->etcd, "lease/keepalive", &b, false, ETCD_CALL_MS, &json,
                   &err);
    buf_done(&b);
    if (st != JUSTALOCK_OK) {
        trouble(s, &err);
        return JUSTALOCK_NET;
    }
    if (!json_object_object_get_ex(json, "result", &result) ||
        etcd_number(result, "TTL") <= 0)
        st = JUSTALOCK_STATE;
    json_object_put(json);
    s->trouble[0] = '\0';
    return st;
}

/* ---- transactions that our leading guards ---- */

static void txn_begin(struct buf *b, int64_t revision)
{
    buf_init(b, TXN_MAX);
    buf_str(b, "{\"compare\":[{\"key\":");
    etcd_put_bytes(b, LEADER, strlen(LEADER));
    buf_printf(b,
               ",\"target\":\"CREATE\",\"result\":\"EQUAL\","
               "\"create_revision\":\"%" PRId64 "\"}],\"success\":[",
               revision);
}

static void txn_put(struct buf *b, const char *key, const char *value,
                    int64_t lease)
{
    buf_str(b, "{\"request_put\":{\"key\":");
    etcd_put_bytes(b, key, strlen(key));
    buf_str(b, ",\"value\":");
    etcd_put_bytes(b, value, strlen(value));
    if (lease != 0)
        buf_printf(b, ",\"lease\":\"%" PRId64 "\"", lease);
    buf_str(b, "}}");
}

/* Without an operation, etcd lets the member that is asked answer alone, by
 * what it knows: it may be cut off, and another server lead. A read is answered
 * after what the quorum has done by then. */
static void txn_read(struct buf *b)
{
    buf_str(b, "{\"request_range\":{\"key\":");
    etcd_put_bytes(b, LEADER, strlen(LEADER));
    buf_str(b, ",\"keys_only\":true}}");
}

/* Ends and sends it. *ret_revision: etcd's when it was done. */
static enum justalock_status txn_send(struct etcd_store *s, struct buf *b,
                                      bool *ret_succeeded,
                                      int64_t *ret_revision,
                                      struct justalock_error *err)
{
    struct json_object *json, *v, *header = NULL;
    enum justalock_status st;

    buf_str(b, "]}");
    st = etcd_call(s->etcd, "kv/txn", b, false, ETCD_CALL_MS, &json, err);
    buf_done(b);
    if (st != JUSTALOCK_OK)
        return st;
    *ret_succeeded = json_object_object_get_ex(json, "succeeded", &v) &&
                     json_object_get_boolean(v);
    (void)json_object_object_get_ex(json, "header", &header);
    *ret_revision = etcd_number(header, "revision");
    json_object_put(json);
    /* It names who leads: done or not, nobody can tell. */
    if (*ret_succeeded && *ret_revision <= 0)
        return error_set(err, JUSTALOCK_PROTO,
                         "etcd: a transaction without a revision");
    return JUSTALOCK_OK;
}

static void step_down(struct store *base, const char *why)
{
    struct etcd_store *s = ours(base);

    if (s->revision != 0)
        log_warn("no longer the server that answers: %s", why);
    s->revision = 0;
    base->shared.is_active = false;
    s->next_ms = 0; /* to end its lease, and look who leads */
}

static enum justalock_status guarded(struct etcd_store *s, struct buf *b,
                                     struct justalock_error *err)
{
    bool succeeded = false;
    int64_t revision;
    enum justalock_status st = txn_send(s, b, &succeeded, &revision, err);

    if (st == JUSTALOCK_OK && !succeeded)
        st = error_set(err, JUSTALOCK_STATE,
                       "another server answers now, or none");
    if (st != JUSTALOCK_OK && s->revision != 0)
        step_down(&s->base, err != NULL ? err->text : "no commit");
    return st;
}

/* One operation for each key in a transaction, so says etcd. */
static bool is_in(const struct lock_change *from, const struct lock_change *to,
                  const struct etcd_key *key)
{
    for (; from < to; from++) {
        bool is_tomb =
            from->kind == LOCK_PUT_TOMB || from->kind == LOCK_DROP_TOMB;

        if (strcmp(etcd_row_key(&from->row, is_tomb).s, key->s) == 0)
            return true;
    }
    return false;
}

/* As many changes, in their order, as one transaction takes. */
static size_t take_some(struct buf *b, const struct lock_change *c, size_t len)
{
    size_t n;

    for (n = 0; n < len && n < OPS_MAX; n++) {
        bool is_tomb =
            c[n].kind == LOCK_PUT_TOMB || c[n].kind == LOCK_DROP_TOMB;
        struct etcd_key key = etcd_row_key(&c[n].row, is_tomb);

        if (is_in(c, c + n, &key))
            break;
        if (n > 0)
            buf_str(b, ",");
        etcd_add_change(b, &c[n]);
    }
    return n;
}

static enum justalock_status commit(struct store *base,
                                    const struct lock_change *changes,
                                    size_t len, uint64_t last_token,
                                    struct justalock_error *err)
{
    struct etcd_store *s = ours(base);
    enum justalock_status st = JUSTALOCK_OK;
    char token[24];
    struct buf b;

    if (s->revision == 0)
        return error_set(err, JUSTALOCK_STATE, "another server answers now");
    (void)snprintf(token, sizeof(token), "%" PRIu64, last_token);
    do {
        size_t n;

        txn_begin(&b, s->revision);
        if (len > 0) {
            txn_put(&b, TOKEN, token, 0);
            buf_str(&b, ",");
        } else {
            txn_read(&b);
        }
        n = take_some(&b, changes, len);
        st = guarded(s, &b, err);
        len -= n;
        changes = len > 0 ? changes + n : NULL; /* none has no address */
    } while (st == JUSTALOCK_OK && len > 0);
    return st;
}

/* ---- who leads ---- */

/* The key may be there though the answer says no: libcurl sends a request
 * again when a connection dies under it. */
static enum justalock_status is_our_key(struct etcd_store *s, const char *value,
                                        bool *ret_ours,
                                        struct justalock_error *err)
{
    char found[512];
    bool is_there;
    int64_t revision;
    enum justalock_status st = etcd_get(s->etcd, LEADER, found, sizeof(found),
                                        &is_there, &revision, err);

    if (st != JUSTALOCK_OK)
        return st;
    *ret_ours = is_there && strcmp(found, value) == 0;
    if (*ret_ours)
        s->revision = revision;
    return JUSTALOCK_OK;
}

static enum justalock_status create_key(struct etcd_store *s, bool *ret_ours,
                                        struct justalock_error *err)
{
    enum justalock_status st = id_random_hex(s->nonce, 16, err);
    int64_t revision;
    char value[256];
    struct buf b;

    if (st == JUSTALOCK_OK)
        st = lease_grant(s, err);
    if (st != JUSTALOCK_OK)
        return st;
    (void)snprintf(value, sizeof(value), "{\"server\":\"%s\",\"try\":\"%s\"}",
                   s->name, s->nonce);
    txn_begin(&b, 0); /* there is no such key */
    txn_put(&b, LEADER, value, s->lease);
    st = txn_send(s, &b, ret_ours, &revision, err);
    if (st == JUSTALOCK_OK && *ret_ours)
        s->revision = revision;
    else if (st == JUSTALOCK_OK)
        st = is_our_key(s, value, ret_ours, err);
    return st;
}

/* What every server of this service says of it, made by the first. */
static enum justalock_status read_service(struct etcd_store *s,
                                          struct justalock_error *err)
{
    struct store_shared *shared = &s->base.shared;
    char service[64] = "", token[64] = "0";
    enum justalock_status st;
    bool is_there;
    struct buf b;

    st = etcd_get(s->etcd, SERVICE, service, sizeof(service), &is_there, NULL,
                  err);
    if (st == JUSTALOCK_OK && !is_there) {
        st = id_random_hex(service, 16, err);
        if (st == JUSTALOCK_OK) {
            txn_begin(&b, s->revision);
            txn_put(&b, SERVICE, service, 0);
            st = guarded(s, &b, err);
        }
    }
    if (st == JUSTALOCK_OK &&
        (strlen(service) != 32 || strspn(service, "0123456789abcdef") != 32))
        st = error_set(err, JUSTALOCK_PROTO,
                       "etcd: " SERVICE " is not 32 hex digits");
    if (st == JUSTALOCK_OK)
        memcpy(shared->service, service, sizeof(shared->service));
    if (st == JUSTALOCK_OK)
        st = etcd_get(s->etcd, TOKEN, token, sizeof(token), &is_there, NULL,
                      err);
    if (st == JUSTALOCK_OK)
        st = parse_u64(token, 0, UINT64_MAX, TOKEN, &shared->last_token, err);
    return st;
}

static void try_to_lead(struct etcd_store *s)
{
    struct justalock_error err;
    bool is_ours = false;
    enum justalock_status st = create_key(s, &is_ours, &err);

    if (st == JUSTALOCK_OK && is_ours)
        st = read_service(s, &err);
    if (st != JUSTALOCK_OK)
        trouble(s, &err);
    if (st != JUSTALOCK_OK || !is_ours) {
        s->revision = 0;
        (void)lease_revoke(s, REVOKE_MS, &err); /* or look() does */
        return;
    }
    s->trouble[0] = '\0';
    s->base.shared.epoch = (uint64_t)s->revision;
    s->base.shared.is_active = true;
    s->next_ms = clock_raw_ms() + ALIVE_MS;
}

static void look(struct etcd_store *s)
{
    struct justalock_error err;
    enum justalock_status st;
    char value[512];
    bool is_there;

    s->next_ms = clock_raw_ms() + LOOK_MS;
    /* Before anything else: what was sent under our key and not answered cannot
     * be done once it is gone. */
    st = lease_revoke(s, REVOKE_MS, &err);
    if (st == JUSTALOCK_OK)
        st = etcd_get(s->etcd, LEADER, value, sizeof(value), &is_there, NULL,
                      &err);
    if (st != JUSTALOCK_OK) {
        trouble(s, &err);
        s->next_ms = clock_raw_ms() + RETRY_MS;
        return;
    }
    if (!is_there)
        try_to_lead(s);
    else
        s->trouble[0] = '\0';
}

static enum justalock_status stay_alive(struct etcd_store *s)
{
    enum justalock_status st = lease_alive(s);

    s->next_ms = clock_raw_ms() + (st == JUSTALOCK_OK ? ALIVE_MS : AGAIN_MS);
    return st;
}

static void tick(struct store *base, int64_t now_ms, int64_t *ret_next_ms)
{
    struct etcd_store *s = ours(base);

    if (now_ms >= s->next_ms && s->revision == 0)
        look(s);
    else if (now_ms >= s->next_ms && stay_alive(s) == JUSTALOCK_STATE)
        step_down(base, "its lease in etcd has ended");
    *ret_next_ms = s->next_ms;
}

/* ---- start and end ---- */

/* Many rows take longer to read than its lease lasts. */
static enum justalock_status while_loading(void *arg,
                                           struct justalock_error *err)
{
    struct etcd_store *s = arg;

    if (clock_raw_ms() < s->next_ms)
        return JUSTALOCK_OK;
    if (stay_alive(s) == JUSTALOCK_STATE)
        return error_set(err, JUSTALOCK_STATE,
                         "its lease in etcd has ended while it read");
    return JUSTALOCK_OK;
}

static enum justalock_status load(struct store *base, store_row_fn *fn,
                                  void *arg, struct justalock_error *err)
{
    struct etcd_store *s = ours(base);
    struct etcd_pause pause = {.fn = while_loading, .arg = s};

    return etcd_load(s->etcd, fn, arg, &pause, err);
}

static void close_store(struct store *base)
{
    struct etcd_store *s = ours(base);
    struct justalock_error err;

    if (s->etcd != NULL)
        (void)lease_revoke(s, ETCD_CALL_MS, &err); /* it ends by itself */
    etcd_free(s->etcd);
    free(s);
}

static const struct store_ops etcd_ops = {.load = load,
                                          .commit = commit,
                                          .close = close_store,
                                          .tick = tick,
                                          .step_down = step_down};

enum justalock_status etcd_store_open(const char *places,
                                      const struct etcd_files *files,
                                      struct store **ret_store,
                                      struct store_found *ret_found,
                                      struct justalock_error *err)
{
    struct etcd_store *s = calloc(1, sizeof(*s));
    enum justalock_status st;
    char host[65] = "";

    if (s == NULL)
        return error_nomem(err);
    s->base.ops = &etcd_ops;
    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(s->name, sizeof(s->name), "%s:%d", host, (int)getpid());
    st = etcd_new(places, files, &s->etcd, err);
    if (st != JUSTALOCK_OK) {
        close_store(&s->base);
        return st;
    }
    memset(ret_found, 0, sizeof(*ret_found));
    ret_found->state = STORE_WHOLE;
    *ret_store = &s->base;
    return JUSTALOCK_OK;
}
