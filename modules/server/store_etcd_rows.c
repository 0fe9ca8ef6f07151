/* SPDX-License-Identifier: MIT */
/*
 * store_etcd_rows.c - the rows of the lock table as keys and values of etcd,
 * for eyes and etcdctl too; strict when they are read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <nettle/base16.h>

#include "parse.h"
#include "store_etcd.h"

#define SHARES    ETCD_PREFIX "share/"
#define RELEASED  ETCD_PREFIX "released/"
#define VALUE_MAX 2048

struct hex {
    char s[BASE16_ENCODE_LENGTH(JUSTALOCK_CLIENT_MAX) + 1];
};

static struct hex client_hex(const struct lock_row *row)
{
    struct hex h;

    base16_encode_update(h.s, row->client_len, row->client);
    h.s[BASE16_ENCODE_LENGTH(row->client_len)] = '\0';
    return h;
}

struct etcd_key etcd_row_key(const struct lock_row *row, bool is_tomb)
{
    struct lock_id_text id = id_format(&row->id);
    struct etcd_key k;

    if (is_tomb)
        (void)snprintf(k.s, sizeof(k.s), RELEASED "%s/%s/%s", id.s, row->share,
                       client_hex(row).s);
    else if (row->slots > 1)
        (void)snprintf(k.s, sizeof(k.s), SHARES "%s/%s/%u", id.s, row->share,
                       row->slot);
    else
        (void)snprintf(k.s, sizeof(k.s), SHARES "%s/%s", id.s, row->share);
    return k;
}

static void add_put(struct buf *b, const char *key, const struct buf *value)
{
    buf_str(b, "{\"request_put\":{\"key\":");
    etcd_put_bytes(b, key, strlen(key));
    buf_str(b, ",\"value\":");
    etcd_put_bytes(b, value->data, value->len);
    buf_str(b, "}}");
    b->failed |= value->failed;
}

void etcd_add_change(struct buf *b, const struct lock_change *c)
{
    const struct lock_row *r = &c->row;
    bool is_tomb = c->kind == LOCK_PUT_TOMB || c->kind == LOCK_DROP_TOMB;
    struct etcd_key key = etcd_row_key(r, is_tomb);
    struct buf v;

    if (c->kind == LOCK_DROP || c->kind == LOCK_DROP_TOMB) {
        buf_str(b, "{\"request_delete_range\":{\"key\":");
        etcd_put_bytes(b, key.s, strlen(key.s));
        buf_str(b, "}}");
        return;
    }
    buf_init(&v, VALUE_MAX);
    if (is_tomb) {
        buf_printf(&v, "{\"life_s\":%u}", r->life_s);
    } else {
        buf_printf(&v,
                   "{\"client\":\"%s\",\"life_s\":%u,\"token\":\"%" PRIu64
                   "\",\"since_s\":%" PRId64 ",\"broken\":%s,\"label\":",
                   client_hex(r).s, r->life_s, r->token, r->since_s,
                   r->is_broken ? "true" : "false");
        buf_json(&v, r->label);
        if (r->slots > 1)
            buf_printf(&v, ",\"slots\":%u", r->slots);
        buf_str(&v, "}");
    }
    add_put(b, key.s, &v);
    buf_done(&v);
}

/* ---- reading ---- */

static bool read_client(struct lock_row *row, const char *hex, size_t len)
{
    struct base16_decode_ctx ctx;
    size_t n = sizeof(row->client);

    if (len == 0 || len > 2 * sizeof(row->client))
        return false;
    base16_decode_init(&ctx);
    if (!base16_decode_update(&ctx, &n, row->client, len, hex) ||
        !base16_decode_final(&ctx))
        return false;
    row->client_len = n;
    return true;
}

static bool read_slot(struct lock_row *row, const char *text)
{
    uint64_t n;

    if (parse_u64(text, 0, LOCK_SLOTS_MAX - 1, "slot", &n, NULL) !=
        JUSTALOCK_OK)
        return false;
    row->slot = (unsigned)n;
    return true;
}

/* key: behind the prefix. *ret_slot: it names one. */
static bool read_key(struct lock_row *row, const char *key, bool is_tomb,
                     bool *ret_slot)
{
    const char *share = strchr(key, '/');
    const char *last = share != NULL ? strchr(share + 1, '/') : NULL;
    size_t len;

    if (share == NULL || (last == NULL && is_tomb) ||
        id_parse_strict(key, (size_t)(share - key), &row->id, NULL) !=
            JUSTALOCK_OK)
        return false;
    share++;
    len = last != NULL ? (size_t)(last - share) : strlen(share);
    if (len > LOCK_SHARE_MAX)
        return false;
    memcpy(row->share, share, len);
    row->share[len] = '\0';
    *ret_slot = last != NULL && !is_tomb;
    if (last == NULL)
        return true;
    return is_tomb ? read_client(row, last + 1, strlen(last + 1))
                   : read_slot(row, last + 1);
}

static bool read_life(struct lock_row *row, struct json_object *v)
{
    int64_t life = etcd_number(v, "life_s");

    if (life < JUSTALOCK_LIFE_MIN_S || life > JUSTALOCK_LIFE_MAX_S)
        return false;
    row->life_s = (unsigned)life;
    return true;
}

/* One of several holders has its slot in the key; others say neither. */
static bool read_slots(struct lock_row *row, struct json_object *v,
                       bool has_slot)
{
    int64_t slots = etcd_number(v, "slots");

    row->slots = 1;
    if (!has_slot)
        return slots == 0;
    if (slots < 2 || slots > LOCK_SLOTS_MAX || row->slot >= slots)
        return false;
    row->slots = (unsigned)slots;
    return true;
}

static bool read_value(struct lock_row *row, const char *text, bool is_tomb,
                       bool has_slot)
{
    struct json_object *v = json_tokener_parse(text), *broken;
    const char *client = etcd_text(v, "client"), *label = etcd_text(v, "label");
    int64_t token = etcd_number(v, "token");
    bool good = read_life(row, v);

    if (good && !is_tomb) {
        good = read_slots(row, v, has_slot) &&
               read_client(row, client, strlen(client)) && token > 0 &&
               strlen(label) <= JUSTALOCK_LABEL_MAX &&
               parse_is_clean_text(label, strlen(label)) &&
               json_object_object_get_ex(v, "broken", &broken) &&
               json_object_is_type(broken, json_type_boolean);
        if (good) {
            row->token = (uint64_t)token;
            row->since_s = etcd_number(v, "since_s");
            row->is_broken = json_object_get_boolean(broken);
            memcpy(row->label, label, strlen(label) + 1);
        }
    }
    json_object_put(v);
    return good;
}

struct walk {
    const char *prefix;
    bool is_tomb;
    store_row_fn *fn;
    void *arg;
    struct etcd_key last; /* the key that was read last */
    const struct etcd_pause *pause;
};

static enum justalock_status read_kv(struct walk *w, struct json_object *kv,
                                     struct justalock_error *err)
{
    struct lock_row row = {.life_s = 0};
    struct etcd_key before = w->last;
    enum justalock_status st = JUSTALOCK_OK;
    char value[VALUE_MAX + 1];
    size_t len, n = strlen(w->prefix);
    bool has_slot = false;

    if (!etcd_bytes(kv, "key", w->last.s, sizeof(w->last.s), &len))
        return error_set(err, JUSTALOCK_PROTO, "etcd: a key that is too long");
    if (strcmp(w->last.s, before.s) <= 0)
        return error_set(err, JUSTALOCK_PROTO,
                         "etcd: keys that are not in order");
    if (len <= n || strlen(w->last.s) != len ||
        !etcd_bytes(kv, "value", value, sizeof(value), &len) ||
        !read_key(&row, w->last.s + n, w->is_tomb, &has_slot) ||
        !read_value(&row, value, w->is_tomb, has_slot))
        st = JUSTALOCK_PROTO;
    else
        st = w->fn(w->arg, &row, w->is_tomb);
    if (st == JUSTALOCK_NOMEM)
        return error_nomem(err);
    if (st != JUSTALOCK_OK)
        return error_set(err, JUSTALOCK_PROTO,
                         "etcd: the key %.100s is not what a server wrote: "
                         "nothing is granted until it is gone",
                         w->last.s);
    return JUSTALOCK_OK;
}

/* From the key behind the last one to the end of the prefix. Keys come in
 * order: who asks for that has etcd read all of them for each page. */
static void build_range(const struct walk *w, struct buf *b)
{
    char end[64];
    size_t n = strlen(w->prefix);

    memcpy(end, w->prefix, n);
    end[n - 1]++; /* '/' + 1 */
    buf_init(b, 4096);
    buf_str(b, "{\"key\":");
    if (w->last.s[0] == '\0')
        etcd_put_bytes(b, w->prefix, n);
    else
        etcd_put_bytes(b, w->last.s, strlen(w->last.s) + 1); /* and a 0 */
    buf_str(b, ",\"range_end\":");
    etcd_put_bytes(b, end, n);
    buf_printf(b, ",\"limit\":\"%d\"}", ETCD_PAGE);
}

static enum justalock_status load_prefix(struct etcd *e, struct walk *w,
                                         struct justalock_error *err)
{
    struct json_object *json, *kvs;
    enum justalock_status st;
    size_t len;
    struct buf b;

    do {
        len = 0;
        build_range(w, &b);
        st = etcd_call(e, "kv/range", &b, true, 5 * ETCD_CALL_MS, &json, err);
        buf_done(&b);
        if (st != JUSTALOCK_OK)
            return st;
        if (json_object_object_get_ex(json, "kvs", &kvs) &&
            json_object_is_type(kvs, json_type_array))
            len = json_object_array_length(kvs);
        for (size_t i = 0; st == JUSTALOCK_OK && i < len; i++)
            st = read_kv(w, json_object_array_get_idx(kvs, i), err);
        json_object_put(json);
        if (st == JUSTALOCK_OK)
            st = w->pause->fn(w->pause->arg, err);
    } while (st == JUSTALOCK_OK && len == ETCD_PAGE);
    return st;
}

enum justalock_status etcd_load(struct etcd *e, store_row_fn *fn, void *arg,
                                const struct etcd_pause *pause,
                                struct justalock_error *err)
{
    struct walk shares = {
        .prefix = SHARES, .fn = fn, .arg = arg, .pause = pause};
    struct walk tombs = {.prefix = RELEASED,
                         .is_tomb = true,
                         .fn = fn,
                         .arg = arg,
                         .pause = pause};
    enum justalock_status st = load_prefix(e, &shares, err);

    return st == JUSTALOCK_OK ? load_prefix(e, &tombs, err) : st;
}

enum justalock_status etcd_get(struct etcd *e, const char *key, char *value,
                               size_t size, bool *ret_found,
                               int64_t *ret_create_revision,
                               struct justalock_error *err)
{
    struct json_object *json, *kvs, *kv = NULL;
    enum justalock_status st;
    struct buf b;
    size_t len;

    buf_init(&b, 4096);
    buf_str(&b, "{\"key\":");
    etcd_put_bytes(&b, key, strlen(key));
    buf_str(&b, "}");
    st = etcd_call(e, "kv/range", &b, true, ETCD_CALL_MS, &json, err);
    buf_done(&b);
    if (st != JUSTALOCK_OK)
        return st;
    if (json_object_object_get_ex(json, "kvs", &kvs) &&
        json_object_is_type(kvs, json_type_array))
        kv = json_object_array_get_idx(kvs, 0);
    *ret_found = kv != NULL;
    if (kv != NULL && !etcd_bytes(kv, "value", value, size, &len))
        st = error_set(err, JUSTALOCK_PROTO, "etcd: %s has no value of ours",
                       key);
    if (ret_create_revision != NULL)
        *ret_create_revision = etcd_number(kv, "create_revision");
    json_object_put(json);
    return st;
}
