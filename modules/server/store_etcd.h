/* SPDX-License-Identifier: MIT */
/*
 * store_etcd.h - what store_etcd.c (leading and commits) and
 * store_etcd_rows.c (keys and values) share. For nobody else.
 *
 * All keys begin with /justalock/ and all values are JSON or plain text:
 *   service                     who this service is, made once
 *   leader                      the server that answers, under its lease
 *   token                       the last fencing token
 *   share/ID/SHARE              a share of a holding
 *   share/ID/SHARE/SLOT         of a pool's holder
 *   released/ID/SHARE/CLIENT    a released share, remembered
 */
#ifndef SERVER_STORE_ETCD_H
#define SERVER_STORE_ETCD_H

#include "etcd.h"
#include "store_inner.h"

#define ETCD_PREFIX  "/justalock/"
#define ETCD_KEY_MAX 512
#define ETCD_CALL_MS 1000
#define ETCD_PAGE    1000 /* rows of one answer */

struct etcd_key {
    char s[ETCD_KEY_MAX];
};

/* Where a row stands. */
struct etcd_key etcd_row_key(const struct lock_row *row, bool is_tomb);
/* {"request_put":...} or {"request_delete_range":...} of a change. */
void etcd_add_change(struct buf *b, const struct lock_change *c);
/* What is to be done between two pages of rows; a failure ends the load. */
struct etcd_pause {
    enum justalock_status (*fn)(void *arg, struct justalock_error *err);
    void *arg;
};

/* Every row in etcd, shares before released ones. */
enum justalock_status etcd_load(struct etcd *e, store_row_fn *fn, void *arg,
                                const struct etcd_pause *pause,
                                struct justalock_error *err) JUSTALOCK_MUST;
/* One key's value; *ret_found false where there is none. create_revision may
 * be NULL. */
enum justalock_status etcd_get(struct etcd *e, const char *key, char *value,
                               size_t size, bool *ret_found,
                               int64_t *ret_create_revision,
                               struct justalock_error *err) JUSTALOCK_MUST;

#endif
