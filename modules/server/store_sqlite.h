/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite.h - what store_sqlite.c (rows and commits) and
 * store_sqlite_open.c (opening, and what damage is) share. For nobody else.
 */
#ifndef SERVER_STORE_SQLITE_H
#define SERVER_STORE_SQLITE_H

#include <sqlite3.h>

#include "store.h"
#include "store_folder.h"

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

struct store {
    struct folder folder;
    sqlite3 *db;
    sqlite3_stmt *st[S_COUNT];
};

enum justalock_status store_db_error(const struct store *s,
                                     struct justalock_error *err,
                                     const char *what);
/* Run a prepared statement that yields nothing. */
bool store_step(struct store *s, enum statement which);
bool store_put_meta(struct store *s, const char *key, int64_t value);

#endif
