/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite.c - the store on SQLite: write-ahead log, synchronous=FULL,
 * one transaction for all changes of a pass. The only file with SQL. Finding
 * the folder and its damage is in store_folder.c.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"
#include "store_folder.h"

#define SCHEMA_VERSION 1

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

static const char *const sql[S_COUNT] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_ROLLBACK] = "ROLLBACK",
    [S_PUT] = "INSERT OR REPLACE INTO share(lock, share, client, life_s, "
              "label, token, since_s, broken) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [S_DROP] = "DELETE FROM share WHERE lock=?1 AND share=?2",
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
    " NULL, PRIMARY KEY(lock, share)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS released(lock BLOB NOT NULL, share TEXT NOT"
    " NULL, client BLOB NOT NULL, life_s INTEGER NOT NULL,"
    " PRIMARY KEY(lock, share, client)) WITHOUT ROWID;";

struct store {
    struct folder folder;
    sqlite3 *db;
    sqlite3_stmt *st[S_COUNT];
    unsigned longest_s; /* as on disk */
};

static enum justalock_status db_error(const struct store *s,
                                      struct justalock_error *err,
                                      const char *what)
{
    return error_set(err, JUSTALOCK_SYS, "%s: %s: %s", s->folder.db, what,
                     s->db != NULL ? sqlite3_errmsg(s->db) : "no memory");
}

static bool run(struct store *s, const char *text)
{
    return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK;
}

/* A number that one statement yields; -1 where it yields none. */
static int64_t number(struct store *s, const char *text, const char *key)
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

static int64_t meta(struct store *s, const char *key)
{
    return number(s, "SELECT value FROM meta WHERE key=?1", key);
}

static bool is_intact(struct store *s)
{
    sqlite3_stmt *st = NULL;
    bool ok = false;

    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL) ==
            SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        ok = strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    (void)sqlite3_finalize(st);
    return ok;
}

static void db_close(struct store *s)
{
    for (int i = 0; i < S_COUNT; i++) {
        (void)sqlite3_finalize(s->st[i]);
        s->st[i] = NULL;
    }
    (void)sqlite3_close(s->db);
    s->db = NULL;
}

/* Open, and make the tables where `is_new`. false: cannot be trusted. */
static bool db_open(struct store *s, bool is_new)
{
    int flags = SQLITE_OPEN_READWRITE | (is_new ? SQLITE_OPEN_CREATE : 0);

    if (sqlite3_open_v2(s->folder.db, &s->db, flags, NULL) != SQLITE_OK)
        return false;
    if (!run(s, "PRAGMA locking_mode=EXCLUSIVE") ||
        !run(s, "PRAGMA journal_mode=WAL") ||
        !run(s, "PRAGMA synchronous=FULL"))
        return false;
    if (is_new) {
        if (!run(s, "BEGIN") || !run(s, schema) ||
            !run(s, "PRAGMA user_version=1") || !run(s, "COMMIT"))
            return false;
    } else if (number(s, "PRAGMA user_version", NULL) != SCHEMA_VERSION ||
               !is_intact(s)) {
        return false;
    }
    for (int i = 0; i < S_COUNT; i++)
        if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->st[i], NULL) != SQLITE_OK)
            return false;
    return true;
}

static bool step(struct store *s, enum statement which)
{
    int rc = sqlite3_step(s->st[which]);

    (void)sqlite3_reset(s->st[which]);
    return rc == SQLITE_DONE;
}

static bool put_meta(struct store *s, const char *key, int64_t value)
{
    sqlite3_stmt *st = s->st[S_META];

    return sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_int64(st, 2, value) == SQLITE_OK && step(s, S_META);
}

/*
 * The database is not to be trusted: keep it aside, begin a new one. Tokens
 * go on from the wall clock in 2^-20 s, which is more than were ever granted.
 */
static enum justalock_status start_over(struct store *s, int64_t wall_s,
                                        struct store_found *found,
                                        struct justalock_error *err)
{
    enum justalock_status st;

    db_close(s);
    st = folder_set_aside(&s->folder, wall_s, err);
    if (st != JUSTALOCK_OK)
        return st;
    found->state = STORE_DAMAGED;
    found->quiet_s = JUSTALOCK_LIFE_MAX_S;
    found->last_token = (uint64_t)wall_s << 20;
    if (!db_open(s, true) || !step(s, S_BEGIN) ||
        !put_meta(s, "quiet_s", found->quiet_s) ||
        !put_meta(s, "token", (int64_t)found->last_token) || !step(s, S_COMMIT))
        return db_error(s, err, "cannot begin anew after damage");
    return JUSTALOCK_OK;
}

/* Without a mark no server has served from here, so nothing was granted. */
static enum justalock_status first_start(struct store *s, int64_t wall_s,
                                         struct store_found *found,
                                         struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    db_close(s);
    if (s->folder.has_db)
        st = folder_set_aside(&s->folder, wall_s, err);
    if (st != JUSTALOCK_OK)
        return st;
    found->state = STORE_FIRST;
    if (!db_open(s, true))
        return db_error(s, err, "cannot make the database");
    return folder_mark(&s->folder, err);
}

static void say_why(const struct store *s, struct store_found *found)
{
    const char *why = "it fails its own check";

    if (!s->folder.has_db)
        why = "the database is missing";
    else if (s->db != NULL && sqlite3_errcode(s->db) != SQLITE_OK &&
             sqlite3_errcode(s->db) < SQLITE_ROW)
        why = sqlite3_errmsg(s->db);
    (void)snprintf(found->why, sizeof(found->why), "%s", why);
}

static enum justalock_status open_db(struct store *s, int64_t wall_s,
                                     struct store_found *found,
                                     struct justalock_error *err)
{
    bool is_whole = s->folder.has_db && db_open(s, false);
    int64_t n;

    if (!is_whole && !s->folder.has_mark)
        return first_start(s, wall_s, found, err);
    if (!is_whole) {
        say_why(s, found);
        return start_over(s, wall_s, found, err);
    }
    found->state = STORE_WHOLE;
    n = meta(s, "token");
    found->last_token = n > 0 ? (uint64_t)n : 0;
    n = meta(s, "longest_s");
    s->longest_s = n > 0 ? (unsigned)n : 0;
    n = meta(s, "quiet_s");
    if (n > 0) {
        found->state = STORE_DAMAGED;
        found->quiet_s = (unsigned)n;
        (void)snprintf(found->why, sizeof(found->why),
                       "the quiet time after an earlier damage is not over");
    }
    return s->folder.has_mark ? JUSTALOCK_OK : folder_mark(&s->folder, err);
}

enum justalock_status store_open(const char *dir, struct store **ret_store,
                                 struct store_found *ret_found,
                                 struct justalock_error *err)
{
    struct store_found found = {.state = STORE_WHOLE};
    struct store *s = calloc(1, sizeof(*s));
    enum justalock_status st;

    if (s == NULL)
        return error_nomem(err);
    s->folder.lock_fd = -1;
    st = folder_open(&s->folder, dir, err);
    if (st == JUSTALOCK_OK)
        st = open_db(s, clock_wall_s(), &found, err);
    if (st != JUSTALOCK_OK) {
        store_close(s);
        return st;
    }
    *ret_store = s;
    *ret_found = found;
    return JUSTALOCK_OK;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    db_close(s);
    folder_close(&s->folder);
    free(s);
}

/* ---- rows
 * --------------------------------------------------------------------- */

static bool copy_column(sqlite3_stmt *st, int column, void *dst, size_t max,
                        size_t *ret_len)
{
    int len = sqlite3_column_bytes(st, column);
    const void *data = sqlite3_column_blob(st, column);

    if (len < 0 || (size_t)len > max)
        return false;
    if (len > 0)
        memcpy(dst, data, (size_t)len);
    *ret_len = (size_t)len;
    return true;
}

/* Strict: what does not look like what we wrote is damage. */
static bool read_row(sqlite3_stmt *st, bool is_tomb, struct lock_row *row)
{
    size_t len;
    int64_t life = sqlite3_column_int64(st, 3);

    memset(row, 0, sizeof(*row));
    if (!copy_column(st, 0, row->id.bytes, sizeof(row->id.bytes), &len) ||
        len != sizeof(row->id.bytes) ||
        !copy_column(st, 1, row->share, LOCK_SHARE_MAX, &len) ||
        !copy_column(st, 2, row->client, sizeof(row->client),
                     &row->client_len) ||
        row->client_len == 0 || life < 1 || life > JUSTALOCK_LIFE_MAX_S)
        return false;
    row->life_s = (unsigned)life;
    if (is_tomb)
        return true;
    row->token = (uint64_t)sqlite3_column_int64(st, 5);
    row->since_s = sqlite3_column_int64(st, 6);
    row->is_broken = sqlite3_column_int(st, 7) != 0;
    return copy_column(st, 4, row->label, JUSTALOCK_LABEL_MAX, &len);
}

static enum justalock_status load_table(struct store *s, const char *text,
                                        bool is_tomb, store_row_fn *fn,
                                        void *arg, struct justalock_error *err)
{
    sqlite3_stmt *st = NULL;
    struct lock_row row;
    int rc;

    if (sqlite3_prepare_v2(s->db, text, -1, &st, NULL) != SQLITE_OK)
        return db_error(s, err, "cannot read");
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (!read_row(st, is_tomb, &row) || !fn(arg, &row, is_tomb)) {
            (void)sqlite3_finalize(st);
            return error_set(err, JUSTALOCK_PROTO,
                             "%s: a row is not what a server wrote",
                             s->folder.db);
        }
    }
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? JUSTALOCK_OK : db_error(s, err, "cannot read");
}

enum justalock_status store_load(struct store *s, store_row_fn *fn, void *arg,
                                 struct justalock_error *err)
{
    enum justalock_status st;

    st = load_table(s,
                    "SELECT lock, share, client, life_s, label, token, "
                    "since_s, broken FROM share",
                    false, fn, arg, err);
    if (st == JUSTALOCK_OK)
        st = load_table(s, "SELECT lock, share, client, life_s FROM released",
                        true, fn, arg, err);
    return st;
}

/* ---- changes
 * -------------------------------------------------------------------- */

static bool bind_key(sqlite3_stmt *st, const struct lock_row *r, bool client)
{
    return sqlite3_bind_blob(st, 1, r->id.bytes, sizeof(r->id.bytes),
                             SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(st, 2, r->share, -1, SQLITE_STATIC) == SQLITE_OK &&
           (!client || sqlite3_bind_blob(st, 3, r->client, (int)r->client_len,
                                         SQLITE_STATIC) == SQLITE_OK);
}

static bool apply(struct store *s, const struct lock_change *c)
{
    const struct lock_row *r = &c->row;
    sqlite3_stmt *st;

    switch (c->kind) {
    case LOCK_PUT:
        st = s->st[S_PUT];
        return bind_key(st, r, true) &&
               sqlite3_bind_int64(st, 4, r->life_s) == SQLITE_OK &&
               sqlite3_bind_text(st, 5, r->label, -1, SQLITE_STATIC) ==
                   SQLITE_OK &&
               sqlite3_bind_int64(st, 6, (int64_t)r->token) == SQLITE_OK &&
               sqlite3_bind_int64(st, 7, r->since_s) == SQLITE_OK &&
               sqlite3_bind_int(st, 8, r->is_broken) == SQLITE_OK &&
               step(s, S_PUT);
    case LOCK_DROP:
        return bind_key(s->st[S_DROP], r, false) && step(s, S_DROP);
    case LOCK_PUT_TOMB:
        st = s->st[S_PUT_TOMB];
        return bind_key(st, r, true) &&
               sqlite3_bind_int64(st, 4, r->life_s) == SQLITE_OK &&
               step(s, S_PUT_TOMB);
    case LOCK_DROP_TOMB:
        return bind_key(s->st[S_DROP_TOMB], r, true) && step(s, S_DROP_TOMB);
    }
    return false;
}

enum justalock_status store_commit(struct store *s,
                                   const struct lock_change *changes,
                                   size_t len, uint64_t last_token,
                                   struct justalock_error *err)
{
    unsigned longest = s->longest_s;
    bool ok = step(s, S_BEGIN);

    for (size_t i = 0; ok && i < len; i++) {
        if (changes[i].kind == LOCK_PUT && changes[i].row.life_s > longest)
            longest = changes[i].row.life_s;
        ok = apply(s, &changes[i]);
    }
    ok = ok && put_meta(s, "token", (int64_t)last_token) &&
         (longest == s->longest_s || put_meta(s, "longest_s", longest)) &&
         step(s, S_COMMIT);
    if (!ok) {
        enum justalock_status st = db_error(s, err, "cannot commit");

        if (sqlite3_get_autocommit(s->db) == 0)
            (void)step(s, S_ROLLBACK);
        return st;
    }
    s->longest_s = longest;
    return JUSTALOCK_OK;
}

enum justalock_status store_end_quiet(struct store *s,
                                      struct justalock_error *err)
{
    if (!step(s, S_BEGIN) || !put_meta(s, "quiet_s", 0) || !step(s, S_COMMIT))
        return db_error(s, err, "cannot end the quiet time");
    return JUSTALOCK_OK;
}
