/* SPDX-License-Identifier: MIT */
/*
 * etcd.c - calls of etcd's JSON gateway, see etcd.h. Sources: etcd's "gRPC
 * gateway" page, and what 3.4 answers.
 */
#include "etcd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <nettle/base64.h>

#include "clock.h"
#include "file.h"
#include "parse.h"
#include "transfer.h"

#define ANSWER_MAX           (8 * 1024 * 1024)
#define TOKEN_MAX            1024
#define LEAST_MS             50 /* else the next endpoint is not asked */
#define CODE_UNAUTHENTICATED 16
#define CODE_DENIED          7

struct endpoint {
    char url[ETCD_HOST_MAX + 32]; /* "https://host:port" */
};

struct etcd {
    struct transfer_hub *hub;
    const struct etcd_files *files;
    struct endpoint places[ETCD_ENDPOINTS_MAX];
    size_t places_len, current;
    char token[TOKEN_MAX]; /* "Authorization: ...", "" before it is needed */
};

/* ---- JSON ---- */

void etcd_put_bytes(struct buf *b, const void *data, size_t len)
{
    struct base64_encode_ctx ctx;
    const uint8_t *from = data;
    char chunk[BASE64_ENCODE_LENGTH(48) + BASE64_ENCODE_FINAL_LENGTH];
    size_t n;

    base64_encode_init(&ctx);
    buf_str(b, "\"");
    for (; len > 0; len -= n, from += n) {
        n = len < 48 ? len : 48;
        buf_add(b, chunk, base64_encode_update(&ctx, chunk, n, from));
    }
    buf_add(b, chunk, base64_encode_final(&ctx, chunk));
    buf_str(b, "\"");
}

const char *etcd_text(struct json_object *o, const char *key)
{
    struct json_object *v;

    if (json_object_is_type(o, json_type_object) &&
        json_object_object_get_ex(o, key, &v) &&
        json_object_is_type(v, json_type_string))
        return json_object_get_string(v);
    return "";
}

int64_t etcd_number(struct json_object *o, const char *key)
{
    struct json_object *v;
    uint64_t n;

    if (!json_object_is_type(o, json_type_object) ||
        !json_object_object_get_ex(o, key, &v))
        return 0;
    if (json_object_is_type(v, json_type_int))
        return json_object_get_int64(v);
    if (json_object_is_type(v, json_type_string) &&
        parse_u64(json_object_get_string(v), 0, INT64_MAX, key, &n, NULL) ==
            JUSTALOCK_OK)
        return (int64_t)n;
    return 0;
}

bool etcd_bytes(struct json_object *o, const char *key, char *dst, size_t size,
                size_t *ret_len)
{
    const char *text = etcd_text(o, key);
    size_t len = strlen(text), n = size;
    struct base64_decode_ctx ctx;

    if (BASE64_DECODE_LENGTH(len) >= size)
        return false;
    base64_decode_init(&ctx);
    if (!base64_decode_update(&ctx, &n, (uint8_t *)dst, len, text) ||
        !base64_decode_final(&ctx))
        return false;
    dst[n] = '\0';
    *ret_len = n;
    return true;
}

/* ---- one request ---- */

struct call {
    bool is_over;
    enum justalock_status status;
    int http_status;
    struct json_object *json; /* NULL: the answer was none */
    char text[240];           /* why there is no answer; or one without JSON */
};

static void on_answer(void *arg, const struct transfer_answer *a)
{
    struct call *c = arg;
    struct json_tokener *tok;

    c->is_over = true;
    c->status = a->status;
    c->http_status = a->http_status;
    memcpy(c->text, a->text, sizeof(c->text));
    if (a->status != JUSTALOCK_OK)
        return;
    tok = json_tokener_new();
    if (tok == NULL)
        return;
    c->json = json_tokener_parse_ex(tok, a->body, (int)a->body_len);
    json_tokener_free(tok);
    /* "404 page not found" begins with a number. */
    if (!json_object_is_type(c->json, json_type_object))
        (void)snprintf(c->text, sizeof(c->text), "%.*s",
                       (int)strcspn(a->body, "\r\n"), a->body);
}

static enum justalock_status post(struct etcd *e, const char *path,
                                  const struct buf *body, int64_t limit_ms,
                                  struct call *ret_call,
                                  struct justalock_error *err)
{
    const struct etcd_files *f = e->files;
    struct clock_time until = clock_add(clock_now(), limit_ms + 1000);
    struct transfer *t;
    char url[sizeof(e->places[0].url) + 64];
    struct transfer_request r = {.method = "POST",
                                 .url = url,
                                 .ca_file = f->ca,
                                 .cert_file = f->cert,
                                 .key_file = f->key,
                                 .headers = {e->token[0] ? e->token : NULL},
                                 .body = body->data,
                                 .body_len = body->len,
                                 .answer_max = ANSWER_MAX,
                                 .limit_ms = limit_ms};
    enum justalock_status st;

    *ret_call = (struct call){.is_over = false};
    if (body->failed)
        return error_nomem(err);
    (void)snprintf(url, sizeof(url), "%s/v3/%s", e->places[e->current].url,
                   path);
    st = transfer_start(e->hub, &r, on_answer, ret_call, &t, err);
    if (st != JUSTALOCK_OK)
        return st;
    while (!ret_call->is_over && clock_left_ms(until, clock_now()) > 0)
        (void)transfer_run(e->hub, -1, until);
    if (!ret_call->is_over) {
        transfer_cancel(t);
        return error_set(err, JUSTALOCK_NET, "%s: no answer", url);
    }
    if (ret_call->status != JUSTALOCK_OK)
        return error_set(err, JUSTALOCK_NET, "%s: %s", url, ret_call->text);
    return JUSTALOCK_OK;
}

/* 3.4 says {"error","message","code"}, 3.6 {"code","message","details"}. */
static enum justalock_status refused(struct etcd *e, const struct call *c,
                                     struct justalock_error *err)
{
    const char *words = etcd_text(c->json, "message");
    int64_t code = etcd_number(c->json, "code");
    enum justalock_status st = JUSTALOCK_NET;

    if (words[0] == '\0')
        words = etcd_text(c->json, "error");
    if (words[0] == '\0')
        words = c->text;
    if (c->http_status == 401 || code == CODE_UNAUTHENTICATED ||
        c->http_status == 403 || code == CODE_DENIED)
        st = JUSTALOCK_DENIED;
    else if (c->http_status >= 400 && c->http_status < 500)
        st = JUSTALOCK_PROTO;
    return error_set(err, st, "etcd %s answers %d: %.150s",
                     e->places[e->current].url, c->http_status, words);
}

static enum justalock_status ask(struct etcd *e, const char *path,
                                 const struct buf *body, int64_t limit_ms,
                                 struct json_object **ret_json,
                                 struct justalock_error *err)
{
    struct call c;
    enum justalock_status st = post(e, path, body, limit_ms, &c, err);

    if (st == JUSTALOCK_OK && c.http_status == 200 &&
        json_object_is_type(c.json, json_type_object)) {
        *ret_json = c.json;
        return JUSTALOCK_OK;
    }
    if (st == JUSTALOCK_OK)
        st = refused(e, &c, err);
    json_object_put(c.json);
    return st;
}

/* ---- who we are to etcd ---- */

/* etcd hashes passwords slowly, by intent: it gets more time. */
static enum justalock_status log_in(struct etcd *e, int64_t limit_ms,
                                    struct justalock_error *err)
{
    struct json_object *json = NULL;
    enum justalock_status st;
    struct buf text, body;
    char *colon;

    e->token[0] = '\0';
    st = file_read("--etcd-user", e->files->user, S_IRWXG | S_IRWXO, 512, &text,
                   err);
    buf_init(&body, 4096);
    if (st == JUSTALOCK_OK) {
        text.data[strcspn(text.data, "\r\n")] = '\0';
        colon = strchr(text.data, ':');
        if (colon == NULL) {
            st = error_set(err, JUSTALOCK_CONFIG,
                           "--etcd-user %s: has no user:password",
                           e->files->user);
        } else {
            *colon = '\0';
            buf_str(&body, "{\"name\":");
            buf_json(&body, text.data);
            buf_str(&body, ",\"password\":");
            buf_json(&body, colon + 1);
            buf_str(&body, "}");
            st = ask(e, "auth/authenticate", &body, 5 * limit_ms, &json, err);
        }
        explicit_bzero(text.data, text.len);
    }
    if (st == JUSTALOCK_OK) {
        int n = snprintf(e->token, sizeof(e->token), "Authorization: %s",
                         etcd_text(json, "token"));

        if (n < 0 || (size_t)n >= sizeof(e->token)) {
            e->token[0] = '\0';
            st = error_set(err, JUSTALOCK_PROTO, "etcd's token is too long");
        }
    }
    json_object_put(json);
    if (body.data != NULL)
        explicit_bzero(body.data, body.len);
    buf_done(&body);
    buf_done(&text);
    return st;
}

/* A token lives for minutes: an old one is refused before anything is done. */
static enum justalock_status ask_as(struct etcd *e, const char *path,
                                    const struct buf *body, int64_t limit_ms,
                                    struct json_object **ret_json,
                                    struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    if (e->files->user == NULL)
        return ask(e, path, body, limit_ms, ret_json, err);
    if (e->token[0] == '\0')
        st = log_in(e, limit_ms, err);
    if (st != JUSTALOCK_OK)
        return st;
    st = ask(e, path, body, limit_ms, ret_json, err);
    if (st != JUSTALOCK_DENIED)
        return st;
    st = log_in(e, limit_ms, err);
    return st == JUSTALOCK_OK ? ask(e, path, body, limit_ms, ret_json, err)
                              : st;
}

enum justalock_status etcd_call(struct etcd *e, const char *path,
                                const struct buf *body, bool may_repeat,
                                int64_t limit_ms, struct json_object **ret_json,
                                struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_NET;
    struct clock_time until = clock_add(clock_now(), limit_ms);
    /* Who is silent leaves as much time for the next one. */
    int64_t each_ms = may_repeat && e->places_len > 1 ? limit_ms / 2 : limit_ms;

    for (size_t i = 0; i < e->places_len; i++) {
        int64_t left_ms = clock_left_ms(until, clock_now());

        if (i > 0 && left_ms < LEAST_MS)
            break;
        if (i > 0 && left_ms < each_ms)
            each_ms = left_ms;
        st = ask_as(e, path, body, each_ms, ret_json, err);
        if (st != JUSTALOCK_NET)
            break;
        e->current = (e->current + 1) % e->places_len;
        if (!may_repeat)
            break;
    }
    return st;
}

/* ---- start and end ---- */

static bool is_host(const char *text, size_t len)
{
    const char *colon = memchr(text, ':', len);
    uint64_t port;
    char digits[8] = "";

    if (text[0] == '[')
        colon = memchr(text, ']', len) != NULL
                    ? (const char *)memchr(text, ']', len) + 1
                    : NULL;
    if (colon == NULL || colon == text || *colon != ':' ||
        text + len - colon - 1 < 1 || text + len - colon - 1 > 5)
        return false;
    memcpy(digits, colon + 1, (size_t)(text + len - colon - 1));
    return parse_u64(digits, 1, 65535, "port", &port, NULL) == JUSTALOCK_OK &&
           strcspn(text, "/@?# \t") >= len;
}

static enum justalock_status add_places(struct etcd *e, const char *places,
                                        struct justalock_error *err)
{
    bool is_tls = e->files->ca != NULL || e->files->cert != NULL;
    const char *p = places;

    for (;;) {
        size_t len = strcspn(p, ",");

        if (len > ETCD_HOST_MAX || !is_host(p, len))
            return error_set(err, JUSTALOCK_ARG,
                             "--state etcd://%s: not host:port[,host:port...]",
                             places);
        if (e->places_len == ETCD_ENDPOINTS_MAX)
            return error_set(err, JUSTALOCK_ARG,
                             "--state etcd://%s: more than %d endpoints",
                             places, ETCD_ENDPOINTS_MAX);
        (void)snprintf(e->places[e->places_len].url, sizeof(e->places[0].url),
                       "%s://%.*s", is_tls ? "https" : "http", (int)len, p);
        e->places_len++;
        if (p[len] == '\0')
            return JUSTALOCK_OK;
        p += len + 1;
    }
}

enum justalock_status etcd_new(const char *places,
                               const struct etcd_files *files,
                               struct etcd **ret_etcd,
                               struct justalock_error *err)
{
    struct etcd *e = calloc(1, sizeof(*e));
    enum justalock_status st;

    if (e == NULL)
        return error_nomem(err);
    e->files = files;
    st = add_places(e, places, err);
    if (st == JUSTALOCK_OK)
        st = transfer_hub_new(&e->hub, err);
    if (st != JUSTALOCK_OK) {
        etcd_free(e);
        return st;
    }
    *ret_etcd = e;
    return JUSTALOCK_OK;
}

void etcd_free(struct etcd *e)
{
    if (e == NULL)
        return;
    transfer_hub_free(e->hub);
    explicit_bzero(e->token, sizeof(e->token));
    free(e);
}
