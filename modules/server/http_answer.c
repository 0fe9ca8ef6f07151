/* SPDX-License-Identifier: MIT */
/*
 * http_answer.c - turns what was decided into an HTTP answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "http_inner.h"
#include "log.h"

#define FEATURES "wait release token holder share slots"

const char *const answer_features = FEATURES;

void answer_refuse(struct request *r, unsigned status, const char *reason)
{
    if (r->status != 0)
        return; /* the first reason stands */
    r->status = status;
    r->reason = reason;
    log_debug("refused with %u: %.*s", status, (int)strcspn(reason, "\n"),
              reason);
}

/* An answer's head as it grows. Half of one must not leave: an offer without
 * the word for it, or without our features, looks like a grant. */
struct head {
    struct MHD_Response *m;
    bool is_whole;
};

static void header(struct head *h, const char *name, const char *value)
{
    if (MHD_add_response_header(h->m, name, value) != MHD_YES)
        h->is_whole = false;
}

static void lock_headers(const struct request *r, struct head *h)
{
    const struct lock_answer *a = &r->answer;
    char token[24], slot[16];

    switch (a->result) {
    case LOCK_NEW:
    case LOCK_RENEWED:
        header(h, "Justalock-Holding",
               a->result == LOCK_NEW ? "new" : "renewed");
        (void)snprintf(token, sizeof(token), "%" PRIu64, a->token);
        header(h, "Justalock-Token", token);
        if (r->q.slots == 0)
            break;
        (void)snprintf(slot, sizeof(slot), "%u", a->slot);
        header(h, "Justalock-Slot", slot);
        break;
    case LOCK_OFFERED:
        header(h, "Justalock-Holding", "offered");
        break;
    case LOCK_CONFLICT:
        if (a->is_broken)
            header(h, "Justalock-Holding", "broken");
        if (a->holder[0] != '\0')
            header(h, "Justalock-Holder", a->holder);
        if (a->since_s != 0)
            header(h, "Justalock-Since", pages_time(a->since_s).s);
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
        return r->answer.is_broken ? "this holding was broken\n"
                                   : "another client holds this lock\n";
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

static void retry_after(const struct request *r, struct head *h)
{
    int64_t left_s = (r->server->quiet_until_ms - clock_raw_ms()) / 1000 + 1;
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRId64, left_s < 1 ? 1 : left_s);
    header(h, "Retry-After", text);
}

/* Who answers, where it could be one of several. */
static void shared_headers(const struct server *s, struct head *h)
{
    const struct store_shared *shared = store_shared(s->store);
    char epoch[24];

    if (shared == NULL || !s->is_leading)
        return;
    (void)snprintf(epoch, sizeof(epoch), "%" PRIu64, shared->epoch);
    header(h, "Justalock-Service", shared->service);
    header(h, "Justalock-Epoch", epoch);
}

mhd_result answer_send(struct request *r)
{
    struct head h = {.m = make(r), .is_whole = true};
    const char *type = type_of(r);
    mhd_result ok = MHD_NO; /* closes the connection: no answer, no promise */

    if (h.m == NULL)
        return ok;
    r->server->figures.requests[r->method][pages_code(r->status)]++;
    header(&h, "Justalock-Features", FEATURES);
    shared_headers(r->server, &h);
    if (r->route == ROUTE_LOCK && r->reason == NULL)
        lock_headers(r, &h);
    if (type != NULL)
        header(&h, "Content-Type", type);
    if (r->route == ROUTE_HOME)
        header(&h, "Content-Security-Policy", "default-src 'none'");
    if (r->route != ROUTE_LOCK)
        header(&h, "Cache-Control", "no-store");
    if (r->status == 503 || r->status == 429)
        retry_after(r, &h);
    if (r->status == 401)
        header(&h, "WWW-Authenticate", "Bearer");
    if (r->status == 405)
        header(&h, "Allow", r->allow);
    if (r->must_close)
        header(&h, "Connection", "close");
    if (h.is_whole)
        ok = MHD_queue_response(r->conn, r->status, h.m);
    MHD_destroy_response(h.m);
    return ok;
}
