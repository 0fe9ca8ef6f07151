/* SPDX-License-Identifier: MIT */
/*
 * keeper_wire.c - the messages between an owner of locks and the program
 * justalock-keeper: packing, strict unpacking, sending, receiving. Starting
 * the program is keeper_spawn.c's. Decides nothing about a lock.
 */
#include "keeper_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* ---- fields, in the order of the headers ---- */

static void put_time(struct buf *b, struct clock_time t)
{
    buf_u64(b, (uint64_t)t.boot_ms);
    buf_u64(b, (uint64_t)t.raw_ms);
}

static struct clock_time get_time(struct reader *r)
{
    struct clock_time t;

    t.boot_ms = (int64_t)get_u64(r);
    t.raw_ms = (int64_t)get_u64(r);
    return t;
}

void keeper_wire_put_service(struct buf *b, const struct keeper_service *s)
{
    buf_text(b, s->url);
    buf_text(b, s->ca_file);
    buf_text(b, s->cert_file);
    buf_text(b, s->key_file);
    buf_text(b, s->token);
    buf_text(b, s->proxy);
}

void keeper_wire_get_service(struct reader *r, struct keeper_service *s)
{
    get_text(r, s->url, sizeof(s->url));
    get_text(r, s->ca_file, sizeof(s->ca_file));
    get_text(r, s->cert_file, sizeof(s->cert_file));
    get_text(r, s->key_file, sizeof(s->key_file));
    get_text(r, s->token, sizeof(s->token));
    get_text(r, s->proxy, sizeof(s->proxy));
}

static void put_id(struct buf *b, const struct lock_id *id)
{
    buf_bytes(b, id->bytes, sizeof(id->bytes));
}

static void get_id(struct reader *r, struct lock_id *id)
{
    if (get_bytes(r, id->bytes, sizeof(id->bytes)) != sizeof(id->bytes))
        r->failed = true;
}

static void put_times(struct buf *b, const struct lease_times *t)
{
    buf_u32(b, t->life_s);
    buf_u64(b, (uint64_t)t->refresh_ms);
    buf_u64(b, (uint64_t)t->margin_ms);
    buf_u64(b, (uint64_t)t->grace_ms);
    buf_u64(b, (uint64_t)t->kill_ms);
    buf_u64(b, (uint64_t)t->attempt_ms);
}

static void get_times(struct reader *r, struct lease_times *t)
{
    t->life_s = get_u32(r);
    t->refresh_ms = (int64_t)get_u64(r);
    t->margin_ms = (int64_t)get_u64(r);
    t->grace_ms = (int64_t)get_u64(r);
    t->kill_ms = (int64_t)get_u64(r);
    t->attempt_ms = (int64_t)get_u64(r);
}

void keeper_wire_put_lock(struct buf *b, const struct keeper_lock *l)
{
    put_id(b, &l->id);
    buf_bytes(b, l->client, l->client_len);
    buf_text(b, l->share);
    buf_text(b, l->label);
    put_times(b, &l->times);
    buf_u8(b, l->reusable_client);
}

void keeper_wire_get_lock(struct reader *r, struct keeper_lock *l)
{
    get_id(r, &l->id);
    l->client_len = get_bytes(r, l->client, sizeof(l->client));
    get_text(r, l->share, sizeof(l->share));
    get_text(r, l->label, sizeof(l->label));
    get_times(r, &l->times);
    l->reusable_client = get_flag(r);
    if (l->client_len == 0)
        r->failed = true;
}

/* ---- pools: at the end of a message, where there is one ---- */

static bool has_rest(const struct reader *r)
{
    return !r->failed && r->at < r->len;
}

static void put_slots(struct buf *b, const struct keeper_lock *l)
{
    if (l->slots < 2)
        return;
    buf_u32(b, l->slots);
    buf_u32(b, l->slot);
    buf_u8(b, l->slot_has_id);
}

static void get_slots(struct reader *r, struct keeper_lock *l)
{
    if (!has_rest(r))
        return;
    l->slots = get_u32(r);
    l->slot = get_u32(r);
    l->slot_has_id = get_flag(r);
    if (l->slots < 2 || l->slots > JUSTALOCK_SLOTS_MAX ||
        l->slot >= JUSTALOCK_SLOTS_MAX)
        r->failed = true;
}

static enum justalock_status get_status(struct reader *r)
{
    uint8_t v = get_u8(r);

    if (v > JUSTALOCK_STATE)
        r->failed = true;
    return (enum justalock_status)v;
}

static void put_event(struct buf *b, const struct keeper_event *e)
{
    buf_u8(b, (uint8_t)e->kind);
    buf_u8(b, (uint8_t)e->status);
    put_time(b, e->t0);
    buf_u8(b, e->has_features);
    buf_u8(b, e->has_token);
    buf_u8(b, e->was_renewed);
    buf_u64(b, e->token);
    buf_text(b, e->holder);
    buf_text(b, e->since);
    buf_text(b, e->text);
    if (!e->has_slot)
        return;
    buf_u32(b, e->slot);
    buf_u8(b, e->slot_has_id);
}

static void get_event(struct reader *r, struct keeper_event *e)
{
    uint8_t kind = get_u8(r);

    if (kind > KEEPER_RELEASED)
        r->failed = true;
    e->kind = (enum keeper_event_kind)kind;
    e->status = get_status(r);
    e->t0 = get_time(r);
    e->has_features = get_flag(r);
    e->has_token = get_flag(r);
    e->was_renewed = get_flag(r);
    e->token = get_u64(r);
    get_text(r, e->holder, sizeof(e->holder));
    get_text(r, e->since, sizeof(e->since));
    get_text(r, e->text, sizeof(e->text));
    if (!has_rest(r))
        return;
    e->has_slot = true;
    e->slot = get_u32(r);
    e->slot_has_id = get_flag(r);
    if (e->slot >= JUSTALOCK_SLOTS_MAX)
        r->failed = true;
}

static void put_view(struct buf *b, const struct keeper_msg *m)
{
    const struct keeper_view *v = &m->view;

    buf_u8(b, (uint8_t)m->event.status);
    buf_text(b, m->event.text);
    buf_u8(b, v->known);
    buf_u8(b, v->held);
    buf_u8(b, v->has_token);
    buf_u64(b, v->token);
    buf_u32(b, v->shares);
    buf_u32(b, v->waiters);
    buf_u64(b, (uint64_t)v->expires_ms);
    buf_text(b, v->holder);
    buf_text(b, v->since);
    if (v->slots == 0)
        return;
    buf_u32(b, v->slots);
    buf_u32(b, v->slot);
    buf_u8(b, v->has_more);
}

static void get_view(struct reader *r, struct keeper_msg *m)
{
    struct keeper_view *v = &m->view;

    m->event.status = get_status(r);
    get_text(r, m->event.text, sizeof(m->event.text));
    v->known = get_flag(r);
    v->held = get_flag(r);
    v->has_token = get_flag(r);
    v->token = get_u64(r);
    v->shares = get_u32(r);
    v->waiters = get_u32(r);
    v->expires_ms = (int64_t)get_u64(r);
    get_text(r, v->holder, sizeof(v->holder));
    get_text(r, v->since, sizeof(v->since));
    if (!has_rest(r))
        return;
    v->slots = get_u32(r);
    v->slot = get_u32(r);
    v->has_more = get_flag(r);
    if (v->slots < 1 || v->slots > JUSTALOCK_SLOTS_MAX ||
        v->slot >= JUSTALOCK_SLOTS_MAX)
        r->failed = true;
}

/* ---- messages ---- */

static void put_body(struct buf *b, const struct keeper_msg *m)
{
    switch (m->type) {
    case KW_ACQUIRE:
        keeper_wire_put_service(b, &m->service);
        keeper_wire_put_lock(b, &m->lock);
        buf_u64(b, (uint64_t)m->wait_ms);
        put_slots(b, &m->lock);
        return;
    case KW_ADOPT:
        keeper_wire_put_service(b, &m->service);
        keeper_wire_put_lock(b, &m->lock);
        put_time(b, m->t0);
        buf_u8(b, m->has_features);
        put_slots(b, &m->lock);
        return;
    case KW_RELEASE:
        buf_u64(b, (uint64_t)m->wait_ms);
        return;
    case KW_QUERY:
        keeper_wire_put_service(b, &m->service);
        put_id(b, &m->lock.id);
        buf_u64(b, (uint64_t)m->wait_ms);
        return;
    case KW_EVENT:
        put_event(b, &m->event);
        return;
    case KW_VIEW:
        put_view(b, m);
        return;
    case KW_KEEPING:
        put_id(b, &m->lock.id);
        buf_text(b, m->lock.share);
        buf_u8(b, m->held);
        put_time(b, m->t0);
        put_slots(b, &m->lock);
        return;
    case KW_PING:
    case KW_PONG:
    case KW_READY:
        return;
    }
    b->failed = true;
}

static void get_body(struct reader *r, struct keeper_msg *m)
{
    switch (m->type) {
    case KW_ACQUIRE:
        keeper_wire_get_service(r, &m->service);
        keeper_wire_get_lock(r, &m->lock);
        m->wait_ms = (int64_t)get_u64(r);
        get_slots(r, &m->lock);
        return;
    case KW_ADOPT:
        keeper_wire_get_service(r, &m->service);
        keeper_wire_get_lock(r, &m->lock);
        m->t0 = get_time(r);
        m->has_features = get_flag(r);
        get_slots(r, &m->lock);
        return;
    case KW_RELEASE:
        m->wait_ms = (int64_t)get_u64(r);
        return;
    case KW_QUERY:
        keeper_wire_get_service(r, &m->service);
        get_id(r, &m->lock.id);
        m->wait_ms = (int64_t)get_u64(r);
        return;
    case KW_EVENT:
        get_event(r, &m->event);
        m->event.handle = m->handle;
        return;
    case KW_VIEW:
        get_view(r, m);
        return;
    case KW_KEEPING:
        get_id(r, &m->lock.id);
        get_text(r, m->lock.share, sizeof(m->lock.share));
        m->held = get_flag(r);
        m->t0 = get_time(r);
        get_slots(r, &m->lock);
        return;
    case KW_PING:
    case KW_PONG:
    case KW_READY:
        return;
    }
    r->failed = true;
}

enum justalock_status keeper_wire_pack(const struct keeper_msg *m,
                                       struct buf *b,
                                       struct justalock_error *err)
{
    uint64_t handle = m->type == KW_EVENT ? m->event.handle : m->handle;

    if (m->lock.client_len > sizeof(m->lock.client))
        return error_set(err, JUSTALOCK_ARG, "client id: %zu bytes",
                         m->lock.client_len);
    buf_u8(b, KEEPER_WIRE_VERSION);
    buf_u8(b, (uint8_t)m->type);
    buf_u64(b, handle);
    put_body(b, m);
    if (b->failed)
        return error_set(err, JUSTALOCK_NOMEM,
                         "keeper message of type %d: no memory, or longer "
                         "than %d bytes",
                         (int)m->type, KEEPER_WIRE_MAX);
    return JUSTALOCK_OK;
}

enum justalock_status keeper_wire_unpack(const void *data, size_t len,
                                         struct keeper_msg *ret_m,
                                         struct justalock_error *err)
{
    struct keeper_msg m = {0};
    struct reader r;
    uint8_t version;

    reader_init(&r, data, len);
    version = get_u8(&r);
    if (r.failed || version != KEEPER_WIRE_VERSION)
        return error_set(err, JUSTALOCK_PROTO,
                         "keeper message: version %u, we speak %u", version,
                         KEEPER_WIRE_VERSION);
    m.type = (enum keeper_wire_type)get_u8(&r);
    m.handle = get_u64(&r);
    get_body(&r, &m);
    if (!reader_done(&r))
        return error_set(err, JUSTALOCK_PROTO,
                         "keeper message: type %d in %zu bytes is not well "
                         "formed",
                         (int)m.type, len);
    *ret_m = m;
    return JUSTALOCK_OK;
}

/* ---- the socket ---- */

enum justalock_status keeper_wire_send(int fd, const struct keeper_msg *m,
                                       struct justalock_error *err)
{
    enum justalock_status st;
    struct buf b;
    ssize_t n = -1;

    buf_init(&b, KEEPER_WIRE_MAX);
    st = keeper_wire_pack(m, &b, err);
    if (st == JUSTALOCK_OK) {
        do
            n = send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            st = error_sys(err, errno == ECONNRESET ? EPIPE : errno,
                           "send to the peer of the keeper");
    }
    explicit_bzero(b.data ? b.data : (char *)&n, b.data ? b.len : 0);
    buf_done(&b);
    return st;
}

enum justalock_status keeper_wire_recv(int fd, struct keeper_msg *ret_m,
                                       bool *ret_more,
                                       struct justalock_error *err)
{
    char data[KEEPER_WIRE_MAX];
    enum justalock_status st;
    ssize_t n;

    do
        n = recv(fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        *ret_more = false;
        return JUSTALOCK_OK;
    }
    if (n < 0 && errno != ECONNRESET)
        return error_sys(err, errno, "receive from the peer of the keeper");
    if (n <= 0)
        return error_sys(err, EPIPE, "the peer of the keeper is gone");
    if ((size_t)n > sizeof(data))
        return error_set(err, JUSTALOCK_PROTO,
                         "keeper message: %zd bytes, at most %d", n,
                         KEEPER_WIRE_MAX);
    st = keeper_wire_unpack(data, (size_t)n, ret_m, err);
    explicit_bzero(data, (size_t)n); /* may hold a service's token */
    if (st == JUSTALOCK_OK)
        *ret_more = true;
    return st;
}
