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

#define VIEW_MAX   16384 /* bytes */
#define VIEW_DEPTH 8

static struct json_object *parse(const struct transfer_answer *a)
{
    struct json_tokener *tok;
    struct json_object *root;

    if (a->body_len > VIEW_MAX)
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

static bool read_view(struct json_object *root, struct keeper_view *v)
{
    struct json_object *held;
    int64_t n;

    if (!json_object_object_get_ex(root, "held", &held) ||
        !json_object_is_type(held, json_type_boolean))
        return false;
    v->known = true;
    v->held = json_object_get_boolean(held);
    get_string(root, "holder", v->holder, sizeof(v->holder));
    get_string(root, "since", v->since, sizeof(v->since));
    if (get_number(root, "shares", UINT_MAX, &n))
        v->shares = (unsigned)n;
    if (get_number(root, "waiters", UINT_MAX, &n))
        v->waiters = (unsigned)n;
    v->expires_ms = get_number(root, "expires_ms", INT64_MAX, &n) ? n : -1;
    v->has_token = get_token(root, &v->token);
    return true;
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
