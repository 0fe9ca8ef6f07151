/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite.h - what store_sqlite.c (rows and commits), store_sqlite_open.c
 * (opening, and what damage is) and store_sqlite_log.c (room for the log)
 * share. For nobody else.
 */
#ifndef SERVER_STORE_SQLITE_H
#define SERVER_STORE_SQLITE_H

#include <sqlite3.h>

#include "store_folder.h"
#include "store_inner.h"

#define SCHEMA_VERSION "2" /* the database's user_version */

enum statement {
    S_BEGIN,
    S_COMMIT,
    S_ROLLBACK,
    S_PUT,
    S_DROP,
    S_PUT_TOMB,
    S_DROP_TOMB,
    S_META,
    S_COUNT
};

struct sqlite_store {
    struct store base;
    struct folder folder;
    sqlite3 *db;
    sqlite3_stmt *st[S_COUNT];
};

static inline struct sqlite_store *sqlite_of(struct store *base)
{
    return (struct sqlite_store *)base;
}

enum justalock_status sqlite_load(struct store *base, store_row_fn *fn,
                                  void *arg, struct justalock_error *err);
enum justalock_status sqlite_commit(struct store *base,
                                    const struct lock_change *changes,
                                    size_t len, uint64_t last_token,
                                    struct justalock_error *err);
enum justalock_status sqlite_end_quiet(struct store *base,
                                       struct justalock_error *err);

enum justalock_status store_db_error(const struct sqlite_store *s,
                                     struct justalock_error *err,
                                     const char *what);
/* Run a prepared statement that yields nothing. */
bool store_step(struct sqlite_store *s, enum statement which);
bool store_put_meta(struct sqlite_store *s, const char *key, int64_t value);
/* Lengthen the log of an open database, so that commits need not; a disk that
 * cannot give the room is a warning. Blocks for a write of 5 MiB. */
void store_log_room(struct sqlite_store *s);

#endif
