/* SPDX-License-Identifier: MIT */
/*
 * record.c - packs and strictly unpacks the record of one piece of work. No
 * file is touched here.
 */
#include "record.h"

#include <string.h>

#include "keeper_wire.h"

#define RECORD_MAGIC   UINT32_C(0x31574c4a) /* "JLW1" */
#define CHECKSUM_LEN   8
#define CHECKSUM_BEGIN UINT64_C(0xcbf29ce484222325)
#define CHECKSUM_PRIME UINT64_C(0x100000001b3)

/* FNV-1a: against a torn or damaged file, not against anybody. */
static uint64_t checksum(const void *data, size_t len)
{
    const uint8_t *at = data;
    uint64_t sum = CHECKSUM_BEGIN;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ at[i]) * CHECKSUM_PRIME;
    return sum;
}

/* ---- out ---- */

static void put_job(struct buf *b, const struct wire_job *j)
{
    const uint32_t numbers[] = {j->job_id,     j->leader_id, j->array_id,
                                j->array_task, j->restart,   j->uid,
                                j->gid,        j->node_count};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        buf_u32(b, numbers[i]);
    buf_text(b, j->cluster);
    buf_text(b, j->partition);
    buf_text(b, j->reservation);
    buf_text(b, j->account);
    buf_text(b, j->name);
}

static void put_facts(struct buf *b, const struct record *r)
{
    const struct work_facts *f = &r->f;

    buf_u64(b, f->number);
    buf_u8(b, (uint8_t)f->kind);
    put_job(b, &f->job);
    buf_text(b, r->option);
    buf_text(b, f->user);
    buf_u64(b, (uint64_t)f->wait_ms);
    buf_u8(b, f->on_busy);
    buf_u8(b, f->is_told);
    buf_u8(b, f->is_eager);
    buf_u8(b, f->is_over);
    buf_u32(b, f->uid);
    buf_u64(b, f->owner);
    buf_text(b, f->login);
    buf_text(b, f->ruser);
    buf_text(b, f->rhost);
    buf_text(b, f->cookie);
    buf_u8(b, f->is_shared);
    buf_u8(b, (uint8_t)f->on_unreachable);
    buf_u8(b, (uint8_t)f->on_lost);
    buf_u8(b, (uint8_t)f->lost_signal);
    buf_u8(b, (uint8_t)f->on_end);
    buf_u64(b, (uint64_t)f->grace_ms);
    buf_u64(b, (uint64_t)f->since_s);
    keeper_wire_put_service(b, &r->service);
}

static void put_held(struct buf *b, const struct held *h)
{
    buf_u8(b, (uint8_t)h->state);
    buf_text(b, h->name);
    keeper_wire_put_lock(b, &h->lock);
    buf_u8(b, h->is_public_id);
    buf_u64(b, (uint64_t)h->t0.boot_ms);
    buf_u64(b, (uint64_t)h->t0.raw_ms);
    buf_u8(b, h->has_features);
    buf_u8(b, h->has_token);
    buf_u64(b, h->token);
}

/* Of pools, behind all else and only where there is one: what earlier guards
 * wrote, and wrote of locks that are none, is read as ever. */
static void put_slots(struct buf *b, const struct record *r)
{
    bool has_pool = false;

    for (size_t i = 0; i < r->f.helds_len; i++)
        has_pool |= r->helds[i].lock.slots > 1;
    for (size_t i = 0; has_pool && i < r->f.helds_len; i++) {
        buf_u32(b, r->helds[i].lock.slots);
        buf_u32(b, r->helds[i].lock.slot);
        buf_u8(b, r->helds[i].lock.slot_has_id);
    }
}

enum justalock_status record_pack(const struct record *r, struct buf *b,
                                  struct justalock_error *err)
{
    buf_u32(b, RECORD_MAGIC);
    buf_u8(b, RECORD_VERSION);
    buf_text(b, r->boot);
    buf_u8(b, (uint8_t)r->state);
    buf_u32(b, r->row);
    buf_u8(b, r->has_started);
    buf_u32(b, r->who.kind);
    buf_u32(b, r->who.job_id);
    buf_u32(b, r->who.uid);
    buf_u64(b, r->who.root);
    buf_u64(b, r->who.born_before);
    buf_text(b, r->who.path);
    put_facts(b, r);
    buf_u8(b, (uint8_t)r->f.helds_len);
    for (size_t i = 0; i < r->f.helds_len; i++)
        put_held(b, &r->helds[i]);
    put_slots(b, r);
    if (!b->failed)
        buf_u64(b, checksum(b->data, b->len));
    if (b->failed)
        return error_set(err, JUSTALOCK_NOMEM,
                         "a record: no memory, or above "
                         "%d bytes",
                         RECORD_MAX);
    return JUSTALOCK_OK;
}

/* ---- in ---- */

/* 0..most */
static uint8_t get_choice(struct reader *r, uint8_t most)
{
    uint8_t v = get_u8(r);

    r->failed |= v > most;
    return v > most ? 0 : v;
}

/* A count of milliseconds or a time, -2 for "as configured". */
static int64_t get_time_ms(struct reader *r)
{
    int64_t v = (int64_t)get_u64(r);

    r->failed |= v < WIRE_WAIT_DEFAULT;
    return v;
}

static void get_job(struct reader *r, struct wire_job *j)
{
    uint32_t *const numbers[] = {&j->job_id,     &j->leader_id, &j->array_id,
                                 &j->array_task, &j->restart,   &j->uid,
                                 &j->gid,        &j->node_count};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        *numbers[i] = get_u32(r);
    get_text(r, j->cluster, sizeof(j->cluster));
    get_text(r, j->partition, sizeof(j->partition));
    get_text(r, j->reservation, sizeof(j->reservation));
    get_text(r, j->account, sizeof(j->account));
    get_text(r, j->name, sizeof(j->name));
}

static void get_facts(struct reader *r, struct record *rec)
{
    struct work_facts *f = &rec->f;

    f->number = get_u64(r);
    f->kind = (enum work_kind)get_choice(r, WORK_SESSION);
    r->failed |= f->kind == 0 || f->number == 0 ||
                 f->number > UINT64_MAX >> GUARD_HANDLE_BITS;
    get_job(r, &f->job);
    get_text(r, rec->option, sizeof(rec->option));
    get_text(r, f->user, sizeof(f->user));
    f->wait_ms = get_time_ms(r);
    f->on_busy = get_choice(r, WIRE_BUSY_REQUEUE);
    f->is_told = get_flag(r);
    f->is_eager = get_flag(r);
    f->is_over = get_flag(r);
    f->uid = get_u32(r);
    f->owner = get_u64(r);
    get_text(r, f->login, sizeof(f->login));
    get_text(r, f->ruser, sizeof(f->ruser));
    get_text(r, f->rhost, sizeof(f->rhost));
    get_text(r, f->cookie, sizeof(f->cookie));
    f->is_shared = get_flag(r);
    f->on_unreachable =
        (enum config_unreachable)get_choice(r, CONFIG_UNREACHABLE_OPEN);
    f->on_lost = (enum config_lost)get_choice(r, CONFIG_LOST_LOG);
    f->lost_signal = get_choice(r, 64);
    f->on_end = (enum config_end)get_choice(r, CONFIG_END_RELEASE);
    f->grace_ms = get_time_ms(r);
    f->since_s = (int64_t)get_u64(r);
    keeper_wire_get_service(r, &rec->service);
}

static void get_held(struct reader *r, struct held *h)
{
    const struct lease_times *t = &h->lock.times;

    h->state = (enum held_state)get_choice(r, HELD_OVER);
    get_text(r, h->name, sizeof(h->name));
    keeper_wire_get_lock(r, &h->lock);
    r->failed |=
        t->life_s < JUSTALOCK_LIFE_MIN_S || t->life_s > JUSTALOCK_LIFE_MAX_S ||
        t->refresh_ms < WIRE_WAIT_DEFAULT || t->margin_ms < WIRE_WAIT_DEFAULT ||
        t->grace_ms < WIRE_WAIT_DEFAULT || t->kill_ms < WIRE_WAIT_DEFAULT ||
        t->attempt_ms < WIRE_WAIT_DEFAULT;
    h->is_public_id = get_flag(r);
    h->t0.boot_ms = get_time_ms(r);
    h->t0.raw_ms = get_time_ms(r);
    h->has_features = get_flag(r);
    h->has_token = get_flag(r);
    h->token = get_u64(r);
}

static void get_slots(struct reader *r, struct record *rec)
{
    if (r->failed || r->at == r->len)
        return;
    for (size_t i = 0; i < rec->f.helds_len; i++) {
        struct keeper_lock *l = &rec->helds[i].lock;

        l->slots = get_u32(r);
        l->slot = get_u32(r);
        l->slot_has_id = get_flag(r);
        r->failed |=
            l->slots > JUSTALOCK_SLOTS_MAX || l->slot >= JUSTALOCK_SLOTS_MAX;
    }
}

static void get_body(struct reader *r, struct record *rec)
{
    get_text(r, rec->boot, sizeof(rec->boot));
    rec->state = (enum work_state)get_choice(r, WORK_GONE);
    rec->row = get_u32(r);
    r->failed |= rec->row >= TABLE_ROWS && rec->row != RECORD_NO_ROW;
    rec->has_started = get_flag(r);
    rec->who.kind = get_u32(r);
    r->failed |= rec->who.kind > IDENTITY_SESSION;
    rec->who.job_id = get_u32(r);
    rec->who.uid = get_u32(r);
    rec->who.root = get_u64(r);
    rec->who.born_before = get_u64(r);
    get_text(r, rec->who.path, sizeof(rec->who.path));
    get_facts(r, rec);
    rec->f.helds_len = get_choice(r, WIRE_LOCKS_MAX);
    for (size_t i = 0; i < rec->f.helds_len && !r->failed; i++)
        get_held(r, &rec->helds[i]);
    get_slots(r, rec);
}

enum justalock_status record_unpack(const void *data, size_t len,
                                    struct record *ret_r,
                                    struct justalock_error *err)
{
    struct reader tail;
    struct reader r;

    if (len < CHECKSUM_LEN || len > RECORD_MAX)
        return error_set(err, JUSTALOCK_PROTO, "%zu bytes are no record", len);
    reader_init(&tail, (const uint8_t *)data + len - CHECKSUM_LEN,
                CHECKSUM_LEN);
    if (get_u64(&tail) != checksum(data, len - CHECKSUM_LEN))
        return error_set(err, JUSTALOCK_PROTO, "damaged: the checksum differs");
    memset(ret_r, 0, sizeof(*ret_r));
    reader_init(&r, data, len - CHECKSUM_LEN);
    if (get_u32(&r) != RECORD_MAGIC || get_u8(&r) != RECORD_VERSION)
        return error_set(err, JUSTALOCK_PROTO, "not a record of version %d",
                         RECORD_VERSION);
    get_body(&r, ret_r);
    if (!reader_done(&r))
        return error_set(err, JUSTALOCK_PROTO,
                         "a field is out of range, or something is left over");
    return JUSTALOCK_OK;
}
