/* SPDX-License-Identifier: MIT */
/*
 * record.h - one piece of work as it is kept in the state folder, so that a
 * new guard goes on with it. Strictly read: a damaged one is no record.
 */
#ifndef AGENT_RECORD_H
#define AGENT_RECORD_H

#include "guard.h"

#define RECORD_VERSION 1
#define RECORD_MAX     65536 /* bytes */
#define RECORD_NO_ROW  UINT32_MAX

struct record {
    char boot[37];
    enum work_state state;
    uint32_t row; /* its number in the table, or RECORD_NO_ROW */
    bool has_started;
    struct {
        uint32_t kind, job_id, uid;
        uint64_t root, born_before;
        char path[TABLE_PATH_MAX + 1];
    } who;
    struct work_facts f;
    char option[WIRE_LIST_MAX + 1];
    struct keeper_service service;
    struct held helds[WIRE_LOCKS_MAX];
};

/* Appends to b, made with RECORD_MAX. NOMEM: it did not fit. */
enum justalock_status record_pack(const struct record *r, struct buf *b,
                                  struct justalock_error *err) JUSTALOCK_MUST;
/* PROTO with the reason; ret_r may be half filled then. */
enum justalock_status record_unpack(const void *data, size_t len,
                                    struct record *ret_r,
                                    struct justalock_error *err) JUSTALOCK_MUST;

#endif
