/* SPDX-License-Identifier: MIT */
/*
 * http_answer.c - turns what was decided into an HTTP answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "http_inner.h"

#define FEATURES "wait release token holder share"

void answer_refuse(struct request *r, unsigned status, const char *reason)
{
    if (r->status != 0)
        return; /* the first reason stands */
    r->status = status;
    r->reason = reason;
}

static void header(struct MHD_Response *m, const char *name, const char *value)
{
    /* Without memory for a header the answer is still true: none of them
     * makes a lock held that is not. */
    (void)MHD_add_response_header(m, name, value);
}

static void lock_headers(const struct request *r, struct MHD_Response *m)
{
    const struct lock_answer *a = &r->answer;
    char token[24];

    switch (a->result) {
    case LOCK_NEW:
    case LOCK_RENEWED:
        header(m, "Justalock-Holding",
               a->result == LOCK_NEW ? "new" : "renewed");
        (void)snprintf(token, sizeof(token), "%" PRIu64, a->token);
        header(m, "Justalock-Token", token);
        break;
    case LOCK_OFFERED:
        header(m, "Justalock-Holding", "offered");
        break;
    case LOCK_CONFLICT:
        if (a->holder[0] != '\0')
            header(m, "Justalock-Holder", a->holder);
        if (a->since_s != 0)
            header(m, "Justalock-Since", pages_time(a->since_s).s);
        break;
    default:
        break;
    }
}

static const char *body_of(const struct request *r)
{
    if (r->reason != NULL)
        return r->reason;
    if (r->status == 409)
        return "another client holds this lock\n";
    if (r->status == 503)
        return "a limit is reached; ask again later\n";
    return "";
}

static struct MHD_Response *make(struct request *r)
{
    const char *text;

    if (r->page.data != NULL && r->status == 200) {
        struct MHD_Response *m = MHD_create_response_from_buffer(
            r->page.len, r->page.data, MHD_RESPMEM_MUST_FREE);

        if (m != NULL)
            r->page = (struct buf){0}; /* it is the response's now */
        return m;
    }
    text = body_of(r);
    return MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
}

static const char *type_of(const struct request *r)
{
    if (r->reason != NULL || r->status != 200)
        return "text/plain; charset=utf-8";
    switch (r->route) {
    case ROUTE_HOME:
        return "text/html; charset=utf-8";
    case ROUTE_LOCKS:
    case ROUTE_VIEW:
        return "application/json";
    case ROUTE_METRICS:
        return "text/plain; version=0.0.4";
    case ROUTE_HEALTH:
        return "text/plain; charset=utf-8";
    default:
        return NULL;
    }
}

static void retry_after(const struct request *r, struct MHD_Response *m)
{
    int64_t left_s = (r->server->quiet_until_ms - clock_raw_ms()) / 1000 + 1;
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRId64, left_s < 1 ? 1 : left_s);
    header(m, "Retry-After", text);
}

/* Who answers, where it could be one of several. */
static void shared_headers(const struct server *s, struct MHD_Response *m)
{
    const struct store_shared *shared = store_shared(s->store);
    char epoch[24];

    if (shared == NULL || !s->is_leading)
        return;
    (void)snprintf(epoch, sizeof(epoch), "%" PRIu64, shared->epoch);
    header(m, "Justalock-Service", shared->service);
    header(m, "Justalock-Epoch", epoch);
}

mhd_result answer_send(struct request *r)
{
    struct MHD_Response *m = make(r);
    const char *type = type_of(r);
    mhd_result ok;

    if (m == NULL)
        return MHD_NO; /* closes the connection: no answer is no promise */
    r->server->figures.requests[r->method][pages_code(r->status)]++;
    header(m, "Justalock-Features", FEATURES);
    shared_headers(r->server, m);
    if (r->route == ROUTE_LOCK && r->reason == NULL)
        lock_headers(r, m);
    if (type != NULL)
        header(m, "Content-Type", type);
    if (r->route == ROUTE_HOME)
        header(m, "Content-Security-Policy", "default-src 'none'");
    if (r->route != ROUTE_LOCK)
        header(m, "Cache-Control", "no-store");
    if (r->status == 503)
        retry_after(r, m);
    if (r->status == 401)
        header(m, "WWW-Authenticate", "Bearer");
    if (r->status == 405)
        header(m, "Allow", r->allow);
    if (r->must_close)
        header(m, "Connection", "close");
    ok = MHD_queue_response(r->conn, r->status, m);
    MHD_destroy_response(m);
    return ok;
}
