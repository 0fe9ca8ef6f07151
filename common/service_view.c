/* SPDX-License-Identifier: MIT */
/*
 * service_view.c - what a service shows of a lock to anyone: the JSON of
 * GET /v1/locks/<id>, bounded in size and depth. Pure.
 */
#include "service.h"

#include <json.h>
#include <limits.h>
#include <string.h>

#include "parse.h"

#define VIEW_DEPTH 8

static struct json_object *parse(const struct transfer_answer *a)
{
    struct json_tokener *tok;
    struct json_object *root;

    if (a->body_len > SERVICE_VIEW_MAX)
        return NULL;
    tok = json_tokener_new_ex(VIEW_DEPTH);
    if (!tok)
        return NULL;
    root = json_tokener_parse_ex(tok, a->body, (int)a->body_len);
    if (root && json_tokener_get_error(tok) != json_tokener_success) {
        json_object_put(root);
        root = NULL;
    }
    json_tokener_free(tok);
    if (root && !json_object_is_type(root, json_type_object)) {
        json_object_put(root);
        root = NULL;
    }
    return root;
}

/* "" unless it is a string that fits. */
static void get_string(struct json_object *root, const char *key, char *dst,
                       size_t size)
{
    struct json_object *value;
    size_t len;

    dst[0] = '\0';
    if (!json_object_object_get_ex(root, key, &value) ||
        !json_object_is_type(value, json_type_string))
        return;
    len = (size_t)json_object_get_string_len(value);
    if (len >= size || strlen(json_object_get_string(value)) != len)
        return;
    memcpy(dst, json_object_get_string(value), len + 1);
    parse_mask_unclean(dst);
}

/* false unless it is a whole number within 0 and max. */
static bool get_number(struct json_object *root, const char *key, int64_t max,
                       int64_t *ret_value)
{
    struct json_object *value;
    int64_t n;

    if (!json_object_object_get_ex(root, key, &value) ||
        !json_object_is_type(value, json_type_int))
        return false;
    n = json_object_get_int64(value);
    if (n < 0 || n > max)
        return false;
    *ret_value = n;
    return true;
}

/* json-c 0.13 has no unsigned numbers: what it prints is what came. */
static bool get_token(struct json_object *root, uint64_t *ret_value)
{
    struct json_object *value;

    return json_object_object_get_ex(root, "token", &value) &&
           json_object_is_type(value, json_type_int) &&
           parse_u64(json_object_get_string(value), 0, UINT64_MAX, "token",
                     ret_value, NULL) == JUSTALOCK_OK;
}

static void read_holder(struct json_object *o, struct keeper_view *v)
{
    int64_t n;

    get_string(o, "holder", v->holder, sizeof(v->holder));
    get_string(o, "since", v->since, sizeof(v->since));
    v->shares = get_number(o, "shares", UINT_MAX, &n) ? (unsigned)n : 0;
    v->expires_ms = get_number(o, "expires_ms", INT64_MAX, &n) ? n : -1;
    v->has_token = get_token(o, &v->token);
}

/* false unless that holder of a pool is an object with a slot. */
static bool read_slot(struct json_object *holders, size_t i,
                      struct keeper_view *v)
{
    struct json_object *o = json_object_array_get_idx(holders, i);
    int64_t n;

    if (!json_object_is_type(o, json_type_object) ||
        !get_number(o, "slot", JUSTALOCK_SLOTS_MAX - 1, &n))
        return false;
    read_holder(o, v);
    v->slot = (unsigned)n;
    v->has_more = i + 1 < (size_t)json_object_array_length(holders);
    return true;
}

/* Of a pool that is held, else NULL. */
static struct json_object *holders_of(struct json_object *root)
{
    struct json_object *holders;

    if (!json_object_object_get_ex(root, "holders", &holders) ||
        !json_object_is_type(holders, json_type_array) ||
        json_object_array_length(holders) == 0)
        return NULL;
    return holders;
}

/* The first holder is the view's, all others must be readable too. */
static bool read_pool(struct json_object *root, struct keeper_view *v)
{
    struct json_object *holders = holders_of(root);
    struct keeper_view other;
    int64_t n;

    if (!holders)
        return true;
    if (!get_number(root, "slots", JUSTALOCK_SLOTS_MAX, &n) ||
        json_object_array_length(holders) > JUSTALOCK_SLOTS_MAX)
        return false;
    v->slots = (unsigned)n;
    for (size_t i = 1; i < (size_t)json_object_array_length(holders); i++)
        if (!read_slot(holders, i, &other))
            return false;
    return read_slot(holders, 0, v);
}

static bool read_view(struct json_object *root, struct keeper_view *v)
{
    struct json_object *held;
    int64_t n;

    if (!json_object_object_get_ex(root, "held", &held) ||
        !json_object_is_type(held, json_type_boolean))
        return false;
    v->known = true;
    v->held = json_object_get_boolean(held);
    read_holder(root, v);
    if (get_number(root, "waiters", UINT_MAX, &n))
        v->waiters = (unsigned)n;
    return !v->held || read_pool(root, v);
}

enum justalock_status service_read_holders(const struct transfer_answer *answer,
                                           service_view_fn *fn, void *arg,
                                           struct justalock_error *err)
{
    struct json_object *root = parse(answer);
    struct json_object *holders = root ? holders_of(root) : NULL;
    struct keeper_view view = {.expires_ms = -1};

    if (!holders || !read_view(root, &view)) {
        json_object_put(root);
        return error_nomem(err);
    }
    for (size_t i = 1; view.has_more; i++) {
        (void)read_slot(holders, i, &view); /* all are readable */
        fn(arg, &view);
    }
    json_object_put(root);
    return JUSTALOCK_OK;
}

enum justalock_status service_read_view(const struct transfer_answer *answer,
                                        struct keeper_view *ret_view,
                                        struct justalock_error *err)
{
    struct keeper_view view = {.expires_ms = -1};
    struct service_answer a;
    struct json_object *root;
    bool is_view;

    /* Reads the features; a view says nothing of a holding of ours. */
    service_read(answer, &a);
    if (answer->status == JUSTALOCK_OK &&
        (answer->http_status == 404 || answer->http_status == 405 ||
         (answer->http_status == 200 && a.features == 0))) {
        *ret_view = view;
        return JUSTALOCK_OK;
    }
    if (answer->status != JUSTALOCK_OK || answer->http_status != 200)
        return error_set(err, a.usable ? JUSTALOCK_PROTO : a.status, "%s",
                         a.usable ? "the service answers with status 409"
                                  : a.text);
    root = parse(answer);
    is_view = root && read_view(root, &view);
    json_object_put(root);
    if (!is_view)
        return error_set(err, JUSTALOCK_PROTO,
                         "what the service shows of the lock is not readable");
    *ret_view = view;
    return JUSTALOCK_OK;
}
