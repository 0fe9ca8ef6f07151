/* SPDX-License-Identifier: MIT */
/*
 * http_request.c - one request: its body, the lock table's decision, and how
 * it waits for one. The head is http_head.c's, the answer http_answer.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <utlist.h>

#include "clock.h"
#include "http_inner.h"

/* ---- the body ---- */

/* Returns false: too much, answer now and close. */
static bool read_body(struct request *r, const char *data, size_t len)
{
    if (len > BODY_READ_MAX - r->body_seen) {
        r->status = 0;
        answer_refuse(r, 413, "the body is a client id of 1 to 64 bytes\n");
        r->must_close = true;
        return false;
    }
    r->body_seen += len;
    if (r->body_seen <= sizeof(r->q.client)) {
        memcpy(r->q.client + r->q.client_len, data, len);
        r->q.client_len += len;
    }
    return true;
}

/* ---- the decision ---- */

static bool is_root_on_unix(struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_storage addr;
    struct ucred cred;
    socklen_t len = sizeof(addr);

    if (info == NULL ||
        getsockname(info->connect_fd, (struct sockaddr *)&addr, &len) != 0 ||
        addr.ss_family != AF_UNIX)
        return false;
    len = sizeof(cred);
    return getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ==
               0 &&
           cred.uid == 0;
}

static void decide_break(struct request *r)
{
    if (!is_root_on_unix(r) && !request_may(r, ACCESS_BREAK))
        answer_refuse(r, 403,
                      "breaking a lock takes root on the server's unix "
                      "socket, or a client with the right to break\n");
    else if (!lock_break(r->server->table, &r->q.id, r->slot))
        answer_refuse(r, 404,
                      r->slot == LOCK_ALL_SLOTS
                          ? "nobody holds this lock\n"
                          : "nobody holds this slot of the lock\n");
    else
        answer_refuse(r, 200,
                      "broken: refreshes are refused from now on; the "
                      "lock is free when its holder lets go or its "
                      "lease ends\n");
}

static void decide_page(struct request *r, int64_t now_ms)
{
    struct server *s = r->server;

    buf_init(&r->page, PAGES_MAX);
    switch (r->route) {
    case ROUTE_HOME:
        pages_home(&r->page, s->table, &s->figures, now_ms);
        break;
    case ROUTE_LOCKS:
        pages_locks(&r->page, s->table, now_ms);
        break;
    case ROUTE_VIEW:
        pages_lock(&r->page, s->table, &r->q.id, now_ms);
        break;
    case ROUTE_METRICS:
        pages_metrics(&r->page, s->table, &s->figures, now_ms, clock_wall_s());
        break;
    default:
        buf_str(&r->page, "ok\n");
    }
    r->status = 200;
    if (r->page.failed) {
        r->status = 0;
        answer_refuse(r, 503, "the page is too large\n");
    }
}

/* All of the request is here: ask the table. The lease counts from now. */
static void decide(struct request *r)
{
    struct server *s = r->server;
    int64_t now_ms = clock_raw_ms();
    bool is_change = r->route == ROUTE_LOCK || r->route == ROUTE_BREAK;
    const char *why = guard_body(&r->guard, r->body_seen);

    if (why != NULL) {
        r->status = 0;
        answer_refuse(r, 400, why);
        r->must_close = true;
    }
    if (r->status != 0)
        return;
    request_check_access(r);
    if (r->status != 0)
        return;
    conn_has_asked(&s->conns, server_conn(r->conn));
    /* What it would show of locks is not so: another serves them, or nobody
     * knows who holds them. */
    if ((is_change || r->route == ROUTE_HEALTH || r->route == ROUTE_VIEW ||
         r->route == ROUTE_LOCKS) &&
        !server_is_serving(s, now_ms)) {
        answer_refuse(r, 503, "no locks are granted now; ask again later\n");
        return;
    }
    if (!is_change) {
        decide_page(r, now_ms);
        return;
    }
    if (r->route == ROUTE_BREAK) {
        decide_break(r);
        return;
    }
    if (r->body_seen == 0 || r->body_seen > sizeof(r->q.client)) {
        answer_refuse(r, r->body_seen == 0 ? 400 : 413,
                      "the body is a client id of 1 to 64 bytes\n");
        return;
    }
    r->q.conn = r;
    if (!server_may_write(s, now_ms) &&
        lock_writes(s->table, &r->q, r->method == METHOD_DELETE, now_ms)) {
        answer_refuse(r, 503, "the state cannot be written; ask again later\n");
        return;
    }
    request_charge(r);
    if (r->method == METHOD_DELETE) {
        lock_give(s->table, &r->q, now_ms, &r->answer);
    } else {
        struct lock_answer a;

        /* It may be woken from within: then its answer stands already. */
        r->state = REQUEST_WAITING;
        lock_take(s->table, &r->q, now_ms, clock_wall_s(), &a);
        if (a.result == LOCK_WAITING)
            return;
        r->state = REQUEST_READING;
        r->answer = a;
    }
    if (r->answer.result == LOCK_BUSY)
        request_at_limit(r);
    else
        r->status = r->answer.result == LOCK_CONFLICT ? 409 : 200;
}

/* ---- suspended requests ---- */

static void watch(struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct epoll_event ev = {.events = EPOLLRDHUP, .data.ptr = &r->source};

    /* libmicrohttpd does not look at a suspended connection: we do. */
    if (info == NULL)
        return;
    r->source.kind = SOURCE_REQUEST;
    r->source.fd = info->connect_fd;
    r->is_watched =
        epoll_ctl(r->server->epoll_fd, EPOLL_CTL_ADD, r->source.fd, &ev) == 0;
}

void request_unwatch(struct request *r)
{
    if (r->is_watched)
        (void)epoll_ctl(r->server->epoll_fd, EPOLL_CTL_DEL, r->source.fd, NULL);
    r->is_watched = false;
}

static void suspend(struct request *r)
{
    DL_APPEND(r->server->suspended, r);
    MHD_suspend_connection(r->conn);
}

void request_decided(struct request *r)
{
    request_unwatch(r);
    r->state = REQUEST_DECIDED;
    DL_APPEND2(r->server->pass, r, pass_prev, pass_next);
}

void request_woken(void *arg, void *conn, const struct lock_answer *a)
{
    struct request *r = conn;

    (void)arg;
    r->answer = *a;
    r->status = a->result == LOCK_CONFLICT ? 409 : 200;
    request_decided(r);
}

void request_gone(struct request *r)
{
    lock_gone(r->server->table, &r->q.id, r, clock_raw_ms());
    r->answer.result = LOCK_CONFLICT;
    r->status = 409;
    r->must_close = true;
    request_decided(r);
}

/* ---- libmicrohttpd's side ---- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* Decodes %XX in place. What is no such thing, or would be a control character
 * (%00 would end the text early), stays, and is then in no id or number. */
size_t request_unescape(void *cls, struct MHD_Connection *conn, char *text)
{
    char *to = text;

    (void)cls;
    (void)conn;
    for (const char *from = text; *from != '\0'; from++) {
        int high = from[0] == '%' ? hex_of(from[1]) : -1;
        int low = high >= 0 ? hex_of(from[2]) : -1;
        int c = high * 16 + low;

        if (low >= 0 && c > 0x20 && c < 0x7f) {
            *to++ = (char)c;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

static struct request *request_new(struct server *s, struct MHD_Connection *c)
{
    struct request *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->server = s;
    r->conn = c;
    r->q.life_s = LOCK_LIFE_DEFAULT_S;
    r->slot = LOCK_ALL_SLOTS;
    r->source.fd = -1;
    return r;
}

mhd_result request_handle(void *cls, struct MHD_Connection *conn,
                          const char *url, const char *method,
                          const char *version, const char *data, size_t *len,
                          void **state)
{
    struct request *r = *state;

    if (r == NULL) {
        r = request_new(cls, conn);
        if (r == NULL)
            return MHD_NO;
        *state = r;
        request_read_head(r, url, method, version);
        return r->must_close ? answer_send(r) : MHD_YES;
    }
    if (*len > 0) {
        if (!read_body(r, data, *len))
            return answer_send(r);
        *len = 0;
        return MHD_YES;
    }
    if (r->state == REQUEST_ANSWERING)
        return answer_send(r);
    decide(r);
    if (r->state == REQUEST_WAITING) {
        watch(r);
        suspend(r);
        return MHD_YES;
    }
    if (r->state == REQUEST_DECIDED) { /* woken from within */
        suspend(r);
        return MHD_YES;
    }
    if (!server_is_dirty(r->server))
        return answer_send(r);
    /* Its answer may rest on a change that is not on disk yet. */
    request_decided(r);
    suspend(r);
    return MHD_YES;
}

void request_done(void *cls, struct MHD_Connection *conn, void **state,
                  enum MHD_RequestTerminationCode why)
{
    struct request *r = *state;

    (void)cls;
    (void)conn;
    (void)why;
    if (r == NULL)
        return;
    request_unwatch(r);
    buf_done(&r->page);
    free(r);
    *state = NULL;
}
