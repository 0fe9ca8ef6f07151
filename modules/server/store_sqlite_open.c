/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite_open.c - opens the database of the state: write-ahead log,
 * synchronous=FULL; tells a first start, state that is whole, and damage from
 * troubles that may pass. The folder and its marks are store_folder.c's.
 */
#include "store_sqlite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define BUSY_MS 2000 /* for who looks at the database at our start */

static const char *const sql[S_COUNT] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_ROLLBACK] = "ROLLBACK",
    [S_PUT] = "INSERT OR REPLACE INTO share(lock, share, client, life_s, "
              "label, token, since_s, broken, slot, slots) "
              "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
    [S_DROP] = "DELETE FROM share WHERE lock=?1 AND share=?2 AND slot=?3",
    [S_PUT_TOMB] = "INSERT OR REPLACE INTO released(lock, share, client, "
                   "life_s) VALUES(?1,?2,?3,?4)",
    [S_DROP_TOMB] = "DELETE FROM released WHERE lock=?1 AND share=?2 AND "
                    "client=?3",
    [S_META] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?1,?2)",
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER) "
    "WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS share(lock BLOB NOT NULL, share TEXT NOT NULL,"
    " client BLOB NOT NULL, life_s INTEGER NOT NULL, label TEXT NOT NULL,"
    " token INTEGER NOT NULL, since_s INTEGER NOT NULL, broken INTEGER NOT"
    " NULL, slot INTEGER NOT NULL, slots INTEGER NOT NULL,"
    " PRIMARY KEY(lock, share, slot)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS released(lock BLOB NOT NULL, share TEXT NOT"
    " NULL, client BLOB NOT NULL, life_s INTEGER NOT NULL,"
    " PRIMARY KEY(lock, share, client)) WITHOUT ROWID;";

/* Version 1 knew no slots: all that it held was held by one. */
static const char from_1_before[] = "ALTER TABLE share RENAME TO share_1";
static const char from_1_after[] =
    "INSERT INTO share SELECT lock, share, client, life_s, label, token,"
    " since_s, broken, 0, 1 FROM share_1; DROP TABLE share_1";

static bool run(struct sqlite_store *s, const char *text)
{
    return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK;
}

/* A number that one statement yields; -1 where it yields none. */
static int64_t number(struct sqlite_store *s, const char *text, const char *key)
{
    sqlite3_stmt *st = NULL;
    int64_t n = -1;

    if (sqlite3_prepare_v2(s->db, text, -1, &st, NULL) == SQLITE_OK &&
        (key == NULL ||
         sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) == SQLITE_OK) &&
        sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return n;
}

static int64_t meta(struct sqlite_store *s, const char *key)
{
    return number(s, "SELECT value FROM meta WHERE key=?1", key);
}

/* What a look at the database yields. */
enum db_found { DB_WHOLE, DB_EMPTY, DB_DAMAGED, DB_FAILED };

/* What failed: the database, or what it stands on, which may pass? */
static enum db_found why_failed(const struct sqlite_store *s)
{
    switch (s->db == NULL ? SQLITE_NOMEM : sqlite3_errcode(s->db) & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table or a column is missing */
    case SQLITE_OK:
        return DB_DAMAGED;
    default:
        return DB_FAILED;
    }
}

static enum db_found check(struct sqlite_store *s)
{
    sqlite3_stmt *st = NULL;
    enum db_found found = DB_WHOLE;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW)
        found = why_failed(s);
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        found = DB_DAMAGED;
    (void)sqlite3_finalize(st);
    return found;
}

static void db_close(struct sqlite_store *s)
{
    for (int i = 0; i < S_COUNT; i++) {
        (void)sqlite3_finalize(s->st[i]);
        s->st[i] = NULL;
    }
    (void)sqlite3_close(s->db);
    s->db = NULL;
}

static bool prepare_all(struct sqlite_store *s)
{
    for (int i = 0; i < S_COUNT; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->st[i], NULL) != SQLITE_OK)
            return false;
    return true;
}

static bool connect_db(struct sqlite_store *s, int flags)
{
    return sqlite3_open_v2(s->folder.db, &s->db, SQLITE_OPEN_READWRITE | flags,
                           NULL) == SQLITE_OK &&
           sqlite3_busy_timeout(s->db, BUSY_MS) == SQLITE_OK &&
           sqlite3_extended_result_codes(s->db, 1) == SQLITE_OK &&
           /* The log stays: that it is missing is how its loss is seen. */
           sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                             NULL) == SQLITE_OK &&
           run(s, "PRAGMA locking_mode=EXCLUSIVE") &&
           run(s, "PRAGMA journal_mode=WAL") &&
           run(s, "PRAGMA synchronous=FULL");
}

/* Whole or not at all. */
static enum db_found upgrade(struct sqlite_store *s)
{
    if (run(s, "BEGIN IMMEDIATE") && run(s, from_1_before) && run(s, schema) &&
        run(s, from_1_after) && run(s, "PRAGMA user_version=" SCHEMA_VERSION) &&
        run(s, "COMMIT")) {
        log_info("%s: brought to version " SCHEMA_VERSION, s->folder.db);
        return DB_WHOLE;
    }
    return why_failed(s); /* closing it takes all back */
}

/* Open one that is there. */
static enum db_found db_open(struct sqlite_store *s)
{
    enum db_found found;
    int64_t version;

    if (!connect_db(s, 0))
        return why_failed(s);
    version = number(s, "PRAGMA user_version", NULL);
    if (version < 0)
        return why_failed(s);
    if (version == 0)
        return number(s, "SELECT count(*) FROM sqlite_master", NULL) == 0
                   ? DB_EMPTY
                   : DB_DAMAGED;
    if (version > strtol(SCHEMA_VERSION, NULL, 10))
        return DB_FAILED;
    found = check(s);
    if (found == DB_WHOLE && version == 1)
        found = upgrade(s);
    if (found == DB_WHOLE && !prepare_all(s))
        found = why_failed(s);
    return found;
}

/* Make a new one, or its tables, with a first content: whole or not at all. */
static bool db_make(struct sqlite_store *s, const char *content)
{
    return (s->db != NULL || connect_db(s, SQLITE_OPEN_CREATE)) &&
           run(s, "BEGIN IMMEDIATE") && run(s, schema) && run(s, content) &&
           run(s, "PRAGMA user_version=" SCHEMA_VERSION) && run(s, "COMMIT") &&
           prepare_all(s);
}

/*
 * The database is not to be trusted: keep it aside, begin a new one. Tokens
 * go on from the wall clock in 2^-20 s, which is more than were ever granted.
 */
static enum justalock_status start_over(struct sqlite_store *s, const char *why,
                                        struct store_found *found,
                                        struct justalock_error *err)
{
    int64_t wall_s = clock_wall_s();
    enum justalock_status st;
    char content[128];

    found->state = STORE_DAMAGED;
    /* A folder without a mark that is not a first start: anything. */
    found->quiet_s =
        s->folder.has_mark ? s->folder.longest_s : JUSTALOCK_LIFE_MAX_S;
    found->last_token = (uint64_t)wall_s << 20;
    (void)snprintf(found->why, sizeof(found->why), "%s", why);
    db_close(s);
    /* First of all, that state was here: a crash on the way must not make it
     * look like a first start. */
    st = folder_mark(&s->folder, found->quiet_s, err);
    if (st == JUSTALOCK_OK)
        st = folder_set_aside(&s->folder, wall_s, err);
    if (st != JUSTALOCK_OK)
        return st;
    (void)snprintf(content, sizeof(content),
                   "INSERT INTO meta VALUES('quiet_s',%u),('token',%" PRIu64
                   ")",
                   found->quiet_s, found->last_token);
    if (!db_make(s, content))
        return store_db_error(s, err, "cannot begin anew after damage");
    return JUSTALOCK_OK;
}

/* Without a mark no server has served from here, so nothing was granted. */
static enum justalock_status first_start(struct sqlite_store *s,
                                         struct store_found *found,
                                         struct justalock_error *err)
{
    found->state = STORE_FIRST;
    if (!db_make(s, ""))
        return store_db_error(s, err, "cannot make the database");
    return folder_mark(&s->folder, 0, err);
}

static void read_meta(struct sqlite_store *s, struct store_found *found)
{
    int64_t n = meta(s, "token");

    found->state = STORE_WHOLE;
    found->last_token = n > 0 ? (uint64_t)n : 0;
    n = meta(s, "quiet_s");
    if (n <= 0)
        return;
    found->state = STORE_DAMAGED;
    found->quiet_s =
        n < JUSTALOCK_LIFE_MAX_S ? (unsigned)n : JUSTALOCK_LIFE_MAX_S;
    (void)snprintf(found->why, sizeof(found->why),
                   "the quiet time after an earlier damage is not over");
}

static enum justalock_status open_db(struct sqlite_store *s,
                                     struct store_found *found,
                                     struct justalock_error *err)
{
    const struct folder *f = &s->folder;
    char why[sizeof(found->why)];

    if (!f->has_mark && !f->has_db && !f->has_log && !f->was_running)
        return first_start(s, found, err);
    if (!f->has_db)
        return start_over(s, "its database is missing", found, err);
    if (f->was_running && !f->has_log)
        return start_over(s, "the log of its database is missing", found, err);
    switch (db_open(s)) {
    case DB_WHOLE:
        read_meta(s, found);
        return f->has_mark ? JUSTALOCK_OK
                           : folder_mark(&s->folder, JUSTALOCK_LIFE_MAX_S, err);
    case DB_EMPTY:
        if (!f->has_mark)
            return first_start(s, found, err);
        return start_over(s, "its database is empty", found, err);
    case DB_FAILED:
        if (s->db != NULL && sqlite3_errcode(s->db) == SQLITE_OK)
            return error_set(err, JUSTALOCK_CONFIG,
                             "%s: made by another version of this server",
                             f->db);
        return store_db_error(s, err, "cannot open");
    case DB_DAMAGED:
        break;
    }
    (void)snprintf(why, sizeof(why), "%s",
                   s->db == NULL || sqlite3_errcode(s->db) == SQLITE_OK
                       ? "its database fails its own check"
                       : sqlite3_errmsg(s->db));
    return start_over(s, why, found, err);
}

static enum justalock_status sqlite_abandon(struct store *base, const char *why,
                                            struct store_found *ret_found,
                                            struct justalock_error *err)
{
    struct store_found found = {0};
    enum justalock_status st = start_over(sqlite_of(base), why, &found, err);

    if (st == JUSTALOCK_OK)
        *ret_found = found;
    return st;
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *s = sqlite_of(base);
    struct justalock_error err;

    /* All that is in the log goes to the database before the mark goes; if
     * that fails, both stay, and the next start reads the log. */
    if (s->db != NULL && run(s, "PRAGMA wal_checkpoint(TRUNCATE)") &&
        folder_set_running(&s->folder, false, &err) != JUSTALOCK_OK)
        log_warn("%s", err.text);
    db_close(s);
    folder_close(&s->folder);
    free(s);
}

static const struct store_ops sqlite_ops = {.load = sqlite_load,
                                            .commit = sqlite_commit,
                                            .close = sqlite_close,
                                            .abandon = sqlite_abandon,
                                            .end_quiet = sqlite_end_quiet};

enum justalock_status sqlite_open(const char *dir, struct store **ret_store,
                                  struct store_found *ret_found,
                                  struct justalock_error *err)
{
    struct store_found found = {.state = STORE_WHOLE};
    struct sqlite_store *s = calloc(1, sizeof(*s));
    enum justalock_status st;

    if (s == NULL)
        return error_nomem(err);
    s->base.ops = &sqlite_ops;
    s->folder.lock_fd = -1;
    st = folder_open(&s->folder, dir, err);
    if (st == JUSTALOCK_OK)
        st = open_db(s, &found, err);
    /* A write makes the log where there is none: see folder_set_running. */
    if (st == JUSTALOCK_OK && !folder_log_is_there(&s->folder) &&
        !run(s, "PRAGMA user_version=" SCHEMA_VERSION))
        st = store_db_error(s, err, "cannot write");
    if (st == JUSTALOCK_OK)
        st = folder_set_running(&s->folder, true, err);
    if (st != JUSTALOCK_OK) {
        db_close(s);
        folder_close(&s->folder);
        free(s);
        return st;
    }
    store_log_room(s);
    *ret_store = &s->base;
    *ret_found = found;
    return JUSTALOCK_OK;
}
