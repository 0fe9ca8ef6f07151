/* SPDX-License-Identifier: MIT */
/*
 * store.h - where the lock table's state is kept: what a restart must not
 * lose. A store is opened for the server's life: a folder by one server only,
 * an etcd by several, of which one at a time is active.
 */
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include "etcd.h"
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

/* What a server knows of itself where others share its store. */
struct store_shared {
    bool is_active;      /* it may answer */
    char service[33];    /* who all of them are together */
    uint64_t epoch;      /* greater for each that was active */
    uint64_t last_token; /* when it became active */
    unsigned extra_s;    /* a lease may have been begun that much later by the
                            one before: to be added to each that is loaded */
};

/*
 * Open the folder `dir` (made with mode 0700 where it is missing) and lock it.
 * STATE where another server has it; SYS for what may pass (no memory, disk
 * full, no permission): nothing is changed then. A damaged folder is opened
 * anew, its old database renamed; the quiet time is remembered on disk, so
 * that a restart does not shorten it.
 *
 * "etcd://host:port[,...]" is shared: nothing is asked of etcd as yet. files is
 * borrowed.
 */
enum justalock_status store_open(const char *dir,
                                 const struct etcd_files *files,
                                 struct store **ret_store,
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

/* NULL: this server is the only one. */
const struct store_shared *store_shared(const struct store *s);
/* Of a shared one: stay active or become so. Blocks for a second at most,
 * where etcd is silent. Returns when to call it again. */
int64_t store_tick(struct store *s, int64_t now_ms);
/* Let another server be active. */
void store_step_down(struct store *s, const char *why);

/* All changes in one transaction, on disk when it returns OK; else none. Of a
 * shared one, which is to be called for every pass that answers, with no
 * changes too: OK means that this server was active after the call began; a
 * failure, that it no longer is, and perhaps some changes are done. */
enum justalock_status store_commit(struct store *s,
                                   const struct lock_change *changes,
                                   size_t len, uint64_t last_token,
                                   struct justalock_error *err) JUSTALOCK_MUST;

/* The quiet time after damage is over. */
enum justalock_status store_end_quiet(struct store *s,
                                      struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
