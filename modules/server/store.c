/* SPDX-License-Identifier: MIT */
/*
 * store.c - which kind of store it is, see store.h.
 */
#include <string.h>

#include "store_inner.h"

#define ETCD "etcd://"

enum justalock_status store_open(const char *dir,
                                 const struct etcd_files *files,
                                 struct store **ret_store,
                                 struct store_found *ret_found,
                                 struct justalock_error *err)
{
    if (strncmp(dir, ETCD, strlen(ETCD)) == 0)
        return etcd_store_open(dir + strlen(ETCD), files, ret_store, ret_found,
                               err);
    return sqlite_open(dir, ret_store, ret_found, err);
}

void store_close(struct store *s)
{
    if (s != NULL)
        s->ops->close(s);
}

enum justalock_status store_abandon(struct store *s, const char *why,
                                    struct store_found *ret_found,
                                    struct justalock_error *err)
{
    return s->ops->abandon(s, why, ret_found, err);
}

enum justalock_status store_load(struct store *s, store_row_fn *fn, void *arg,
                                 struct justalock_error *err)
{
    return s->ops->load(s, fn, arg, err);
}

const struct store_shared *store_shared(const struct store *s)
{
    return s->ops->tick != NULL ? &s->shared : NULL;
}

int64_t store_tick(struct store *s, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;

    if (s->ops->tick != NULL)
        s->ops->tick(s, now_ms, &next_ms);
    return next_ms;
}

void store_step_down(struct store *s, const char *why)
{
    if (s->ops->step_down != NULL)
        s->ops->step_down(s, why);
}

enum justalock_status store_commit(struct store *s,
                                   const struct lock_change *changes,
                                   size_t len, uint64_t last_token,
                                   struct justalock_error *err)
{
    return s->ops->commit(s, changes, len, last_token, err);
}

enum justalock_status store_end_quiet(struct store *s,
                                      struct justalock_error *err)
{
    return s->ops->end_quiet(s, err);
}
