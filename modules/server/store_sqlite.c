/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite.c - the store on SQLite: rows, and one transaction for all
 * changes of a pass. SQL is here and in store_sqlite_open.c only.
 */
#include "store_sqlite.h"

#include <string.h>

enum justalock_status store_db_error(const struct sqlite_store *s,
                                     struct justalock_error *err,
                                     const char *what)
{
    return error_set(err, JUSTALOCK_SYS, "%s: %s: %s", s->folder.db, what,
                     s->db != NULL ? sqlite3_errmsg(s->db) : "no memory");
}

bool store_step(struct sqlite_store *s, enum statement which)
{
    int rc = sqlite3_step(s->st[which]);

    (void)sqlite3_reset(s->st[which]);
    return rc == SQLITE_DONE;
}

bool store_put_meta(struct sqlite_store *s, const char *key, int64_t value)
{
    sqlite3_stmt *st = s->st[S_META];

    return sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_int64(st, 2, value) == SQLITE_OK &&
           store_step(s, S_META);
}

/* ---- rows ---- */

static bool copy_column(sqlite3_stmt *st, int column, void *dst, size_t max,
                        size_t *ret_len)
{
    const void *data = sqlite3_column_blob(st, column);
    int len = sqlite3_column_bytes(st, column);

    /* NULL of some length: no memory, which its caller asks for. */
    if (len < 0 || (size_t)len > max || (len > 0 && data == NULL))
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
    int64_t life = sqlite3_column_int64(st, 3), slot, slots;

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
    slot = sqlite3_column_int64(st, 8);
    slots = sqlite3_column_int64(st, 9);
    if (slots < 1 || slots > LOCK_SLOTS_MAX || slot < 0 || slot >= slots)
        return false;
    row->slot = (unsigned)slot;
    row->slots = (unsigned)slots;
    return copy_column(st, 4, row->label, JUSTALOCK_LABEL_MAX, &len);
}

static enum justalock_status load_table(struct sqlite_store *s,
                                        const char *text, bool is_tomb,
                                        store_row_fn *fn, void *arg,
                                        struct justalock_error *err)
{
    sqlite3_stmt *st = NULL;
    struct lock_row row;
    int rc;

    if (sqlite3_prepare_v2(s->db, text, -1, &st, NULL) != SQLITE_OK)
        return store_db_error(s, err, "cannot read");
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        enum justalock_status ours = JUSTALOCK_PROTO;

        if (read_row(st, is_tomb, &row))
            ours = fn(arg, &row, is_tomb);
        else if (sqlite3_errcode(s->db) == SQLITE_NOMEM)
            ours = JUSTALOCK_NOMEM;
        if (ours == JUSTALOCK_OK)
            continue;
        (void)sqlite3_finalize(st);
        return error_set(err, ours, "%s: %s", s->folder.db,
                         ours == JUSTALOCK_NOMEM
                             ? "no memory to read it"
                             : "a row is not what a server wrote");
    }
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? JUSTALOCK_OK
                             : store_db_error(s, err, "cannot read");
}

enum justalock_status sqlite_load(struct store *base, store_row_fn *fn,
                                  void *arg, struct justalock_error *err)
{
    struct sqlite_store *s = sqlite_of(base);
    enum justalock_status st;

    st = load_table(s,
                    "SELECT lock, share, client, life_s, label, token, "
                    "since_s, broken, slot, slots FROM share",
                    false, fn, arg, err);
    if (st == JUSTALOCK_OK)
        st = load_table(s, "SELECT lock, share, client, life_s FROM released",
                        true, fn, arg, err);
    return st;
}

/* ---- changes ---- */

static bool bind_key(sqlite3_stmt *st, const struct lock_row *r, bool client)
{
    return sqlite3_bind_blob(st, 1, r->id.bytes, sizeof(r->id.bytes),
                             SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(st, 2, r->share, -1, SQLITE_STATIC) == SQLITE_OK &&
           (!client || sqlite3_bind_blob(st, 3, r->client, (int)r->client_len,
                                         SQLITE_STATIC) == SQLITE_OK);
}

static bool apply(struct sqlite_store *s, const struct lock_change *c)
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
               sqlite3_bind_int64(st, 9, r->slot) == SQLITE_OK &&
               sqlite3_bind_int64(st, 10, r->slots) == SQLITE_OK &&
               store_step(s, S_PUT);
    case LOCK_DROP:
        return bind_key(s->st[S_DROP], r, false) &&
               sqlite3_bind_int64(s->st[S_DROP], 3, r->slot) == SQLITE_OK &&
               store_step(s, S_DROP);
    case LOCK_PUT_TOMB:
        st = s->st[S_PUT_TOMB];
        return bind_key(st, r, true) &&
               sqlite3_bind_int64(st, 4, r->life_s) == SQLITE_OK &&
               store_step(s, S_PUT_TOMB);
    case LOCK_DROP_TOMB:
        return bind_key(s->st[S_DROP_TOMB], r, true) &&
               store_step(s, S_DROP_TOMB);
    }
    return false;
}

enum justalock_status sqlite_commit(struct store *base,
                                    const struct lock_change *changes,
                                    size_t len, uint64_t last_token,
                                    struct justalock_error *err)
{
    struct sqlite_store *s = sqlite_of(base);
    unsigned longest = s->folder.longest_s;
    enum justalock_status st;
    bool ok;

    for (size_t i = 0; i < len; i++)
        if (changes[i].kind == LOCK_PUT && changes[i].row.life_s > longest)
            longest = changes[i].row.life_s;
    if (longest > s->folder.longest_s) {
        st = folder_mark(&s->folder, longest, err);
        if (st != JUSTALOCK_OK)
            return st;
    }
    ok = store_step(s, S_BEGIN);
    for (size_t i = 0; ok && i < len; i++)
        ok = apply(s, &changes[i]);
    ok = ok && store_put_meta(s, "token", (int64_t)last_token) &&
         store_step(s, S_COMMIT);
    if (!ok) {
        st = store_db_error(s, err, "cannot commit");
        if (sqlite3_get_autocommit(s->db) == 0)
            (void)store_step(s, S_ROLLBACK);
        return st;
    }
    return JUSTALOCK_OK;
}

enum justalock_status sqlite_end_quiet(struct store *base,
                                       struct justalock_error *err)
{
    struct sqlite_store *s = sqlite_of(base);

    if (!store_step(s, S_BEGIN) || !store_put_meta(s, "quiet_s", 0) ||
        !store_step(s, S_COMMIT))
        return store_db_error(s, err, "cannot end the quiet time");
    return JUSTALOCK_OK;
}
