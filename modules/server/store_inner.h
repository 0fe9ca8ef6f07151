/* SPDX-License-Identifier: MIT */
/*
 * store_inner.h - what each kind of store provides to store.c. For nobody
 * else.
 */
#ifndef SERVER_STORE_INNER_H
#define SERVER_STORE_INNER_H

#include "store.h"

struct store_ops {
    enum justalock_status (*load)(struct store *s, store_row_fn *fn, void *arg,
                                  struct justalock_error *err);
    enum justalock_status (*commit)(struct store *s,
                                    const struct lock_change *changes,
                                    size_t len, uint64_t last_token,
                                    struct justalock_error *err);
    void (*close)(struct store *s);
    /* A folder's; NULL: never DAMAGED. */
    enum justalock_status (*abandon)(struct store *s, const char *why,
                                     struct store_found *ret_found,
                                     struct justalock_error *err);
    enum justalock_status (*end_quiet)(struct store *s,
                                       struct justalock_error *err);
    /* A shared one's; NULL: this server is the only one. */
    void (*tick)(struct store *s, int64_t now_ms, int64_t *ret_next_ms);
    void (*step_down)(struct store *s, const char *why);
};

/* The first member of each kind's own struct. */
struct store {
    const struct store_ops *ops;
    struct store_shared shared; /* all zero where tick is NULL */
};

enum justalock_status sqlite_open(const char *dir, struct store **ret_store,
                                  struct store_found *ret_found,
                                  struct justalock_error *err) JUSTALOCK_MUST;
enum justalock_status etcd_store_open(const char *places,
                                      const struct etcd_files *files,
                                      struct store **ret_store,
                                      struct store_found *ret_found,
                                      struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
