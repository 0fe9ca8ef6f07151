/* SPDX-License-Identifier: MIT */
/*
 * lock_id.c - the ids and the words of justalock.h: id.h and error.h as the
 * public interface shows them. No state.
 */
#include <string.h>

#include "id.h"

static enum justalock_status give(enum justalock_status st,
                                  const struct lock_id *id,
                                  uint8_t ret_id[JUSTALOCK_ID_LEN])
{
    if (st == JUSTALOCK_OK)
        memcpy(ret_id, id->bytes, JUSTALOCK_ID_LEN);
    return st;
}

enum justalock_status justalock_id_from_text(const char *text,
                                             uint8_t ret_id[JUSTALOCK_ID_LEN],
                                             struct justalock_error *err)
{
    struct lock_id id;

    return give(id_from_name(text, &id, err), &id, ret_id);
}

void justalock_id_from_bytes(const void *data, size_t len,
                             uint8_t ret_id[JUSTALOCK_ID_LEN])
{
    struct lock_id id;

    id_from_bytes(len > 0 ? data : "", len, &id);
    memcpy(ret_id, id.bytes, JUSTALOCK_ID_LEN);
}

void justalock_id_from_u64(uint64_t value, uint8_t ret_id[JUSTALOCK_ID_LEN])
{
    int i;

    memset(ret_id, 0, JUSTALOCK_ID_LEN);
    for (i = JUSTALOCK_ID_LEN - 1; value > 0; i--, value >>= 8)
        ret_id[i] = (uint8_t)value;
}

enum justalock_status
justalock_id_from_decimal(const char *text, uint8_t ret_id[JUSTALOCK_ID_LEN],
                          struct justalock_error *err)
{
    struct lock_id id;

    return give(id_from_decimal(text, &id, err), &id, ret_id);
}

enum justalock_status justalock_id_from_uuid(const char *text,
                                             uint8_t ret_id[JUSTALOCK_ID_LEN],
                                             struct justalock_error *err)
{
    struct lock_id id;

    return give(id_parse_strict(text, strlen(text), &id, err), &id, ret_id);
}

enum justalock_status justalock_id_random(uint8_t ret_id[JUSTALOCK_ID_LEN],
                                          struct justalock_error *err)
{
    struct lock_id id;

    return give(id_random(&id, err), &id, ret_id);
}

void justalock_id_format(const uint8_t id[JUSTALOCK_ID_LEN],
                         char ret_text[JUSTALOCK_ID_TEXT_LEN + 1])
{
    struct lock_id in;
    struct lock_id_text out;

    memcpy(in.bytes, id, sizeof(in.bytes));
    out = id_format(&in);
    memcpy(ret_text, out.s, sizeof(out.s));
}

const char *justalock_strerror(enum justalock_status status)
{
    switch (status) {
    case JUSTALOCK_OK:
        return "ok";
    case JUSTALOCK_HELD:
        return "held by someone else";
    case JUSTALOCK_LOST:
        return "lost";
    case JUSTALOCK_ARG:
        return "argument out of range";
    case JUSTALOCK_NOMEM:
        return "out of memory";
    case JUSTALOCK_SYS:
        return "system call failed";
    case JUSTALOCK_NET:
        return "service unreachable";
    case JUSTALOCK_PROTO:
        return "not a lock service's answer";
    case JUSTALOCK_DENIED:
        return "not allowed";
    case JUSTALOCK_CONFIG:
        return "wrong configuration";
    case JUSTALOCK_CANCELED:
        return "canceled";
    case JUSTALOCK_STATE:
        return "not possible in this state";
    }
    return "unknown status";
}

const char *justalock_version(void)
{
    return JUSTALOCK_VERSION;
}
