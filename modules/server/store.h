/* SPDX-License-Identifier: MIT */
/*
 * store.h - where the lock table's state is kept: what a restart must not
 * lose. A store is opened for the server's life and by one server only.
 */
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include "table.h"

struct store;

/* How a folder of state was found. */
enum store_state {
    STORE_FIRST,  /* missing or empty: nothing was ever granted from here */
    STORE_WHOLE,  /* held state, which is loaded */
    STORE_DAMAGED /* held state, which cannot be trusted: nothing may be
                     granted for quiet_s; the old files are kept aside */
};

struct store_found {
    enum store_state state;
    uint64_t last_token; /* new ones are greater */
    unsigned quiet_s;    /* DAMAGED: the longest lease it may have granted */
    char why[200];       /* DAMAGED */
};

/*
 * Open the folder `dir` (made with mode 0700 where it is missing) and lock it.
 * STATE where another server has it; SYS for what may pass (no memory, disk
 * full, no permission): nothing is changed then. A damaged folder is opened
 * anew, its old database renamed; the quiet time is remembered on disk, so
 * that a restart does not shorten it.
 */
enum justalock_status store_open(const char *dir, struct store **ret_store,
                                 struct store_found *ret_found,
                                 struct justalock_error *err) JUSTALOCK_MUST;
/* Ends cleanly: after it, a missing log is no damage. */
void store_close(struct store *s);

/* store_load said PROTO: go on as with any other damage. */
enum justalock_status store_abandon(struct store *s, const char *why,
                                    struct store_found *ret_found,
                                    struct justalock_error *err) JUSTALOCK_MUST;

/* Every row, shares before released ones. What fn returns ends it: PROTO, the
 * row is none that we wrote; NOMEM, which is no damage. */
typedef enum justalock_status store_row_fn(void *arg,
                                           const struct lock_row *row,
                                           bool is_tomb);
enum justalock_status store_load(struct store *s, store_row_fn *fn, void *arg,
                                 struct justalock_error *err) JUSTALOCK_MUST;

/* All changes in one transaction, on disk when it returns OK; else none. */
enum justalock_status store_commit(struct store *s,
                                   const struct lock_change *changes,
                                   size_t len, uint64_t last_token,
                                   struct justalock_error *err) JUSTALOCK_MUST;

/* The quiet time after damage is over. */
enum justalock_status store_end_quiet(struct store *s,
                                      struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
