/* SPDX-License-Identifier: MIT */
/*
 * http_head.c - the head of a request: through the guard, to what is asked of
 * which lock. Decides nothing but refusals.
 */
#include <string.h>
#include <strings.h>

#include "http_inner.h"
#include "parse.h"

struct head {
    struct request *r;
    unsigned seen_share, seen_wait, seen_label, seen_slots;
    unsigned seen_origin, seen_auth, seen_s, seen_slot;
};

static bool is_share_text(const char *s)
{
    size_t len = strlen(s);

    return len >= 1 && len <= LOCK_SHARE_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                     "0123456789._-") == len;
}

static bool is_label_text(const char *s)
{
    size_t len = strlen(s);

    return len <= JUSTALOCK_LABEL_MAX && parse_is_clean_text(s, len);
}

static void our_header(struct head *h, const char *name, const char *v)
{
    struct request *r = h->r;
    uint64_t n;

    if (strcasecmp(name, "Justalock-Share") == 0) {
        if (h->seen_share++ > 0 || !is_share_text(v))
            answer_refuse(r, 400,
                          "Justalock-Share: once, 1 to 64 of letters, "
                          "digits, '.', '_', '-'\n");
        else
            memcpy(r->q.share, v, strlen(v) + 1);
    } else if (strcasecmp(name, "Justalock-Label") == 0) {
        if (h->seen_label++ > 0 || !is_label_text(v))
            answer_refuse(r, 400,
                          "Justalock-Label: once, at most 120 "
                          "printable characters\n");
        else
            memcpy(r->q.label, v, strlen(v) + 1);
    } else if (strcasecmp(name, "Justalock-Wait") == 0) {
        if (h->seen_wait++ > 0 ||
            parse_u64(v, 0, LOCK_WAIT_MAX_S, "wait", &n, NULL) != JUSTALOCK_OK)
            answer_refuse(r, 400, "Justalock-Wait: once, 0 to 30 seconds\n");
        else
            r->q.wait_s = (unsigned)n;
    } else if (strcasecmp(name, "Justalock-Slots") == 0) {
        if (h->seen_slots++ > 0 ||
            parse_u64(v, 1, LOCK_SLOTS_MAX, "slots", &n, NULL) != JUSTALOCK_OK)
            answer_refuse(r, 400, "Justalock-Slots: once, 1 to 1024\n");
        else
            r->q.slots = (unsigned)n;
    }
}

static mhd_result on_header(void *cls, enum MHD_ValueKind kind,
                            const char *name, const char *value)
{
    struct head *h = cls;

    (void)kind;
    guard_header(&h->r->guard, name, value);
    if (strcasecmp(name, "Origin") == 0)
        h->seen_origin++;
    if (strcasecmp(name, "Authorization") == 0) {
        if (h->seen_auth++ > 0 || value == NULL)
            answer_refuse(h->r, 400, "Authorization: once\n");
        h->r->authorization = value;
    }
    if (strncasecmp(name, "Justalock-", 10) == 0)
        our_header(h, name, value == NULL ? "" : value);
    return MHD_YES;
}

static mhd_result on_argument(void *cls, enum MHD_ValueKind kind,
                              const char *name, const char *value)
{
    struct head *h = cls;
    uint64_t n;

    (void)kind;
    if (strcmp(name, "slot") == 0) {
        if (h->seen_slot++ > 0 || value == NULL ||
            parse_u64(value, 0, LOCK_SLOTS_MAX - 1, "slot", &n, NULL) !=
                JUSTALOCK_OK)
            answer_refuse(h->r, 400, "slot: once, 0 to 1023\n");
        else
            h->r->slot = (unsigned)n;
        return MHD_YES;
    }
    if (strcmp(name, "s") != 0)
        return MHD_YES;
    if (h->seen_s++ > 0 || value == NULL ||
        parse_u64(value, JUSTALOCK_LIFE_MIN_S, JUSTALOCK_LIFE_MAX_S, "s", &n,
                  NULL) != JUSTALOCK_OK)
        answer_refuse(h->r, 400, "s: once, 1 to 65535 seconds\n");
    else
        h->r->q.life_s = (unsigned)n;
    return MHD_YES;
}

static bool parse_id(struct request *r, const char *text, size_t len)
{
    if (id_parse_strict(text, len, &r->q.id, NULL) == JUSTALOCK_OK)
        return true;
    answer_refuse(r, 404,
                  "not a lock: an id is base64url of 16 bytes, or a UUID\n");
    return false;
}

static enum route page_route(const char *url)
{
    if (strcmp(url, "/") == 0)
        return ROUTE_HOME;
    if (strcmp(url, "/v1/locks") == 0)
        return ROUTE_LOCKS;
    if (strcmp(url, "/metrics") == 0)
        return ROUTE_METRICS;
    if (strcmp(url, "/healthz") == 0)
        return ROUTE_HEALTH;
    return ROUTE_LOCK;
}

static void not_allowed(struct request *r, const char *allow)
{
    r->allow = allow;
    answer_refuse(r, 405, "this method is not for this path\n");
}

static void find_route(struct request *r, const char *url, const char *method)
{
    static const char view[] = "/v1/locks/", brk[] = "/break";
    size_t len = strlen(url), n = sizeof(view) - 1, m = sizeof(brk) - 1;
    bool is_get = strcmp(method, "GET") == 0;
    bool is_post = strcmp(method, "POST") == 0;

    r->method = is_get                          ? METHOD_GET
                : is_post                       ? METHOD_POST
                : strcmp(method, "DELETE") == 0 ? METHOD_DELETE
                                                : METHOD_OTHER;
    r->route = page_route(url);
    if (r->route != ROUTE_LOCK) {
        if (!is_get)
            not_allowed(r, "GET");
    } else if (strncmp(url, view, n) == 0 && len > n + m &&
               strcmp(url + len - m, brk) == 0) {
        r->route = ROUTE_BREAK;
        if (!is_post)
            not_allowed(r, "POST");
        else
            (void)parse_id(r, url + n, len - n - m);
    } else if (strncmp(url, view, n) == 0) {
        r->route = ROUTE_VIEW;
        if (!is_get)
            not_allowed(r, "GET");
        else
            (void)parse_id(r, url + n, len - n);
    } else if (parse_id(r, url + 1, len - 1) && r->method != METHOD_POST &&
               r->method != METHOD_DELETE) {
        not_allowed(r, "POST, DELETE");
    }
}

void request_read_head(struct request *r, const char *url, const char *method,
                       const char *version)
{
    struct head h = {.r = r};
    const char *why;

    (void)MHD_get_connection_values(r->conn, MHD_HEADER_KIND, on_header, &h);
    why = guard_end(&r->guard, version, url);
    if (why != NULL) {
        r->status = 0;
        answer_refuse(r, 400, why);
        r->must_close = true;
        return;
    }
    /* Now or never: libmicrohttpd takes no answer while a body comes. */
    if (r->guard.length > BODY_READ_MAX) {
        r->status = 0;
        answer_refuse(r, 413, "the body is a client id of 1 to 64 bytes\n");
        r->must_close = true;
        return;
    }
    (void)MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, on_argument,
                                    &h);
    if (r->status == 0)
        find_route(r, url, method);
    if (r->status == 0 && r->method != METHOD_GET && h.seen_origin > 0)
        answer_refuse(r, 403, "requests of web pages change nothing here\n");
}
