/* SPDX-License-Identifier: MIT */
/*
 * wire.c - packs and unpacks the messages between modules and the agent. One
 * table says which fields a type has, in which order; packing and unpacking
 * both go by it, so that they cannot drift apart. Sends and receives nothing.
 *
 * A packet: u16 version, u16 type, then the type's fields.
 */
#include "wire.h"

#include <string.h>

enum kind { END, U8, U32, U64, TEXT };

struct field {
    uint8_t kind;
    uint16_t offset;
    uint16_t size; /* TEXT: of the array, NUL included */
};

#define SIZE_OF(member) sizeof(((struct wire_msg *)0)->member)
#define F_U8(m)                                                                \
    {                                                                          \
        U8, offsetof(struct wire_msg, m), 1                                    \
    }
#define F_U32(m)                                                               \
    {                                                                          \
        U32, offsetof(struct wire_msg, m), 4                                   \
    }
#define F_U64(m)                                                               \
    {                                                                          \
        U64, offsetof(struct wire_msg, m), 8                                   \
    }
#define F_TEXT(m)                                                              \
    {                                                                          \
        TEXT, offsetof(struct wire_msg, m), SIZE_OF(m)                         \
    }

#define JOB_FIELDS                                                             \
    F_U32(job.job_id), F_U32(job.leader_id), F_U32(job.array_id),              \
        F_U32(job.array_task), F_U32(job.restart), F_U32(job.uid),             \
        F_U32(job.gid), F_U32(job.node_count), F_TEXT(job.cluster),            \
        F_TEXT(job.partition), F_TEXT(job.reservation), F_TEXT(job.account),   \
        F_TEXT(job.name)

static const struct field nothing[] = {{END, 0, 0}};
static const struct field job_begin[] = {
    JOB_FIELDS, F_TEXT(locks), F_U64(wait_ms), F_U8(on_busy), {END, 0, 0}};
static const struct field job_end[] = {JOB_FIELDS, {END, 0, 0}};
static const struct field job_task[] = {
    JOB_FIELDS,     F_U32(step_id), F_U32(local_task), F_TEXT(locks),
    F_U64(wait_ms), F_U8(on_busy),  {END, 0, 0}};
static const struct field command[] = {
    F_TEXT(locks), F_U64(wait_ms), F_U8(on_lost),  F_U8(signo),
    F_U32(life_s), F_TEXT(label),  F_TEXT(client), {END, 0, 0}};
static const struct field command_pid[] = {F_U32(pid), {END, 0, 0}};
static const struct field text_only[] = {F_TEXT(text), {END, 0, 0}};
static const struct field verdict[] = {
    F_U8(verdict), F_U8(has_token), F_U64(token),   F_TEXT(locks), F_TEXT(ids),
    F_TEXT(text),  F_TEXT(place),   F_TEXT(cookie), {END, 0, 0}};
static const struct field session_open[] = {
    F_U32(session.uid),    F_TEXT(session.user),    F_TEXT(session.ruser),
    F_TEXT(session.rhost), F_TEXT(session.service), F_U32(session.timeout_ms),
    F_TEXT(locks),         F_U64(wait_ms),          F_U8(on_lost),
    F_U8(session.on_end),  F_U8(session.share),     {END, 0, 0}};
static const struct field session_close[] = {F_TEXT(cookie), {END, 0, 0}};
static const struct field item[] = {F_TEXT(locks),       F_U8(item_state),
                                    F_U32(item_pids),    F_U64(item_since_s),
                                    F_U64(item_left_ms), F_U8(has_token),
                                    F_U64(token),        F_TEXT(item_work),
                                    F_TEXT(item_holder), {END, 0, 0}};

static const struct field *fields_of(unsigned type)
{
    switch (type) {
    case WIRE_JOB_BEGIN:
        return job_begin;
    case WIRE_JOB_END:
        return job_end;
    case WIRE_JOB_TASK:
        return job_task;
    case WIRE_COMMAND:
        return command;
    case WIRE_COMMAND_PID:
        return command_pid;
    case WIRE_SESSION_OPEN:
        return session_open;
    case WIRE_SESSION_CLOSE:
        return session_close;
    case WIRE_COMMAND_END:
    case WIRE_LIST:
    case WIRE_PING:
    case WIRE_RELOAD:
        return nothing;
    case WIRE_NOTE:
    case WIRE_LOST:
        return text_only;
    case WIRE_VERDICT:
        return verdict;
    case WIRE_ITEM:
        return item;
    default:
        return NULL;
    }
}

enum justalock_status wire_pack(const struct wire_msg *m, struct buf *b,
                                struct justalock_error *err)
{
    const struct field *f = fields_of((unsigned)m->type);

    if (f == NULL)
        return error_set(err, JUSTALOCK_ARG, "message type %u is not known",
                         (unsigned)m->type);
    buf_u16(b, WIRE_VERSION);
    buf_u16(b, (uint16_t)m->type);
    for (; f->kind != END; f++) {
        const char *at = (const char *)m + f->offset;
        uint32_t u32;
        uint64_t u64;

        switch (f->kind) {
        case U8:
            buf_u8(b, *(const uint8_t *)at);
            break;
        case U32:
            memcpy(&u32, at, sizeof(u32));
            buf_u32(b, u32);
            break;
        case U64:
            memcpy(&u64, at, sizeof(u64));
            buf_u64(b, u64);
            break;
        default:
            buf_bytes(b, at, strnlen(at, f->size - 1U));
        }
    }
    if (b->failed && b->max >= WIRE_MAX) /* every message has room in that */
        return error_nomem(err);
    if (b->failed)
        return error_set(err, JUSTALOCK_ARG,
                         "a message of type %u does not fit into %zu bytes",
                         (unsigned)m->type, b->max);
    return JUSTALOCK_OK;
}

enum justalock_status wire_unpack(const void *data, size_t len,
                                  struct wire_msg *ret_m,
                                  struct justalock_error *err)
{
    struct reader r;
    unsigned version, type;
    const struct field *f;

    memset(ret_m, 0, sizeof(*ret_m));
    reader_init(&r, data, len);
    version = get_u16(&r);
    type = get_u16(&r);
    if (r.failed)
        return error_set(err, JUSTALOCK_PROTO,
                         "a message of %zu bytes is too short", len);
    if (version != WIRE_VERSION)
        return error_set(err, JUSTALOCK_PROTO,
                         "message version %u: this side speaks version %d",
                         version, WIRE_VERSION);
    f = fields_of(type);
    if (f == NULL)
        return error_set(err, JUSTALOCK_PROTO, "message type %u is not known",
                         type);
    for (; f->kind != END; f++) {
        char *at = (char *)ret_m + f->offset;
        uint32_t u32;
        uint64_t u64;

        switch (f->kind) {
        case U8:
            *(uint8_t *)at = get_u8(&r);
            break;
        case U32:
            u32 = get_u32(&r);
            memcpy(at, &u32, sizeof(u32));
            break;
        case U64:
            u64 = get_u64(&r);
            memcpy(at, &u64, sizeof(u64));
            break;
        default:
            get_text(&r, at, f->size);
        }
    }
    if (!reader_done(&r)) {
        memset(ret_m, 0, sizeof(*ret_m));
        return error_set(err, JUSTALOCK_PROTO,
                         "a message of type %u has wrong fields (%zu bytes)",
                         type, len);
    }
    ret_m->type = (enum wire_type)type;
    return JUSTALOCK_OK;
}
