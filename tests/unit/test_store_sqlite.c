/* SPDX-License-Identifier: MIT */
/*
 * test_store_sqlite.c - what is committed is there after the next start, all
 * of a pass or nothing; rows that no server wrote are damage; and memory that
 * runs out, at each allocation of SQLite's and ours in turn, never is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "../../modules/server/store.h"
#include "log.h"
#include "scratch.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* ---- memory and disk that fail ---- */

static unsigned calls, fail_at; /* 0: none does */
static sqlite3_mem_methods real_memory;

static bool fails(void)
{
    return ++calls == fail_at;
}

static void *short_malloc(int n)
{
    return fails() ? NULL : real_memory.xMalloc(n);
}

static void *short_realloc(void *p, int n)
{
    return fails() ? NULL : real_memory.xRealloc(p, n);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

/* ---- helpers ---- */

static struct lock_change change(enum lock_change_kind kind, unsigned lock,
                                 const char *client, unsigned life_s)
{
    struct lock_change c = {.kind = kind};

    memset(&c.row, 0, sizeof(c.row));
    c.row.id.bytes[0] = (uint8_t)lock;
    c.row.client_len = strlen(client);
    memcpy(c.row.client, client, c.row.client_len);
    (void)snprintf(c.row.share, sizeof(c.row.share), "a");
    (void)snprintf(c.row.label, sizeof(c.row.label), "job of %s", client);
    c.row.life_s = life_s;
    c.row.slots = 1;
    c.row.token = 40 + lock;
    c.row.since_s = 1700000000;
    return c;
}

struct rows {
    struct lock_row row[8];
    bool is_tomb[8];
    size_t len;
};

static enum justalock_status add_row(void *arg, const struct lock_row *row,
                                     bool is_tomb)
{
    struct rows *rows = arg;

    assert_true(rows->len < LENGTH(rows->row));
    rows->row[rows->len] = *row;
    rows->is_tomb[rows->len++] = is_tomb;
    return JUSTALOCK_OK;
}

static struct store *open_store(const char *name, struct store_found *found)
{
    struct justalock_error err = {.text = ""};
    struct store *s = NULL;

    if (store_open(in_scratch(name), NULL, &s, found, &err) != JUSTALOCK_OK)
        fail_msg("%s", err.text);
    return s;
}

static void load(struct store *s, struct rows *rows)
{
    struct justalock_error err;

    rows->len = 0;
    assert_int_equal(store_load(s, add_row, rows, &err), JUSTALOCK_OK);
}

/* ---- tests ---- */

static void test_rows(void **state)
{
    struct justalock_error err;
    struct store_found found;
    struct rows rows;
    struct store *s = open_store("rows", &found);
    struct lock_change c[4];

    (void)state;
    assert_int_equal(found.state, STORE_FIRST);
    assert_int_equal(found.last_token, 0);
    c[0] = change(LOCK_PUT, 1, "one", 65535);
    c[1] = change(LOCK_PUT, 2, "two", 1);
    c[2] = change(LOCK_PUT_TOMB, 3, "three", 60);
    c[3] = change(LOCK_PUT, 2, "two'); DROP TABLE share; --", 5);
    memcpy(c[0].row.client, "\0\xff\n", 3); /* any bytes */
    memset(c[0].row.label, 'x', JUSTALOCK_LABEL_MAX);
    memset(c[0].row.share, 's', LOCK_SHARE_MAX);
    c[0].row.token = UINT64_C(1) << 62;
    c[0].row.is_broken = true;
    assert_int_equal(store_commit(s, c, 4, UINT64_C(1) << 62, &err), 0);
    store_close(s);
    s = open_store("rows", &found);
    assert_int_equal(found.state, STORE_WHOLE);
    assert_true(found.last_token == UINT64_C(1) << 62);
    load(s, &rows);
    assert_int_equal(rows.len, 3);
    assert_memory_equal(&rows.row[0], &c[0].row, sizeof(rows.row[0]));
    assert_memory_equal(&rows.row[1], &c[3].row, sizeof(rows.row[1]));
    assert_true(rows.is_tomb[2] && !rows.is_tomb[0] && !rows.is_tomb[1]);
    assert_int_equal(rows.row[2].life_s, 60);
    assert_int_equal(rows.row[2].client_len, 5);
    c[0].kind = LOCK_DROP;
    c[2].kind = LOCK_DROP_TOMB;
    assert_int_equal(store_commit(s, c, 1, 7, &err), JUSTALOCK_OK);
    assert_int_equal(store_commit(s, c + 2, 1, 7, &err), JUSTALOCK_OK);
    load(s, &rows);
    assert_int_equal(rows.len, 1);
    store_close(s);
}

/* Killed: nothing is closed, the log is all there is. */
static void test_not_closed(void **state)
{
    struct lock_change c = change(LOCK_PUT, 1, "one", 60);
    struct justalock_error err;
    struct store_found found;
    struct rows rows;
    struct store *s = open_store("killed", &found);

    (void)state;
    assert_int_equal(store_commit(s, &c, 1, 41, &err), JUSTALOCK_OK);
    assert_int_equal(mkdir(in_scratch("copy"), 0700), 0);
    for (unsigned i = 0; i < 4; i++) {
        static const char *const names[] = {"locks.db", "locks.db-wal", "mark",
                                            "running"};
        char from[300], to[300], data[65536];
        size_t n;
        FILE *in, *out;

        (void)snprintf(from, sizeof(from), "%s/killed/%s", scratch, names[i]);
        (void)snprintf(to, sizeof(to), "%s/copy/%s", scratch, names[i]);
        in = fopen(from, "re");
        out = fopen(to, "we");
        assert_true(in != NULL && out != NULL);
        while ((n = fread(data, 1, sizeof(data), in)) > 0)
            assert_int_equal(fwrite(data, 1, n, out), n);
        assert_int_equal(fclose(in) | fclose(out), 0);
    }
    store_close(s);
    s = open_store("copy", &found);
    assert_int_equal(found.state, STORE_WHOLE);
    assert_int_equal(found.last_token, 41);
    load(s, &rows);
    assert_int_equal(rows.len, 1);
    store_close(s);
}

static enum justalock_status add_none(void *arg, const struct lock_row *row,
                                      bool is_tomb)
{
    (void)arg;
    (void)row;
    (void)is_tomb;
    return JUSTALOCK_PROTO;
}

static enum justalock_status add_too_much(void *arg, const struct lock_row *row,
                                          bool is_tomb)
{
    (void)arg;
    (void)row;
    (void)is_tomb;
    return JUSTALOCK_NOMEM;
}

static void test_damage_that_lasts(void **state)
{
    struct lock_change c = change(LOCK_PUT, 1, "one", 300);
    struct justalock_error err;
    struct store_found found;
    struct rows rows;
    struct store *s = open_store("damage", &found);

    (void)state;
    assert_int_equal(store_commit(s, &c, 1, 41, &err), JUSTALOCK_OK);
    assert_int_equal(store_load(s, add_too_much, NULL, &err), JUSTALOCK_NOMEM);
    assert_int_equal(store_load(s, add_none, NULL, &err), JUSTALOCK_PROTO);
    assert_int_equal(store_abandon(s, "a reason", &found, &err), 0);
    assert_int_equal(found.state, STORE_DAMAGED);
    assert_int_equal(found.quiet_s, 300);
    assert_string_equal(found.why, "a reason");
    assert_true(found.last_token > UINT64_C(1700000000) << 20);
    load(s, &rows);
    assert_int_equal(rows.len, 0);
    store_close(s);
    s = open_store("damage", &found);
    assert_int_equal(found.state, STORE_DAMAGED); /* a restart ends nothing */
    assert_int_equal(found.quiet_s, 300);
    assert_int_equal(store_end_quiet(s, &err), JUSTALOCK_OK);
    store_close(s);
    s = open_store("damage", &found);
    assert_int_equal(found.state, STORE_WHOLE);
    assert_true(found.last_token > UINT64_C(1700000000) << 20);
    store_close(s);
}

static void run_sql(const char *folder, const char *text)
{
    char path[300];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof(path), "%s/%s/locks.db", scratch, folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Well-formed to SQLite, but not what a server writes. */
static void test_rows_of_others(void **state)
{
    static const char *const edits[] = {
        "UPDATE share SET lock=x'00'",
        "UPDATE share SET lock=zeroblob(17)",
        "UPDATE share SET share=printf('%.65c','x')",
        "UPDATE share SET client=x''",
        "UPDATE share SET client=zeroblob(100000)",
        "UPDATE share SET life_s=0",
        "UPDATE share SET life_s=65536",
        "UPDATE share SET life_s=-1",
        "UPDATE share SET life_s='long'",
        "UPDATE share SET slots=0",
        "UPDATE share SET slots=1025",
        "UPDATE share SET slot=1",
        "UPDATE share SET slot=-1",
        "UPDATE share SET label=printf('%.1000c','x')",
        "UPDATE released SET life_s=0",
        "UPDATE released SET client=x''",
        "UPDATE released SET lock=x''",
    };
    struct lock_change c[2];
    struct justalock_error err;
    struct store_found found;
    struct rows rows;

    (void)state;
    c[0] = change(LOCK_PUT, 1, "one", 60);
    c[1] = change(LOCK_PUT_TOMB, 2, "two", 60);
    for (size_t i = 0; i < LENGTH(edits); i++) {
        struct store *s = open_store("others", &found);

        assert_int_equal(store_commit(s, c, 2, 41, &err), JUSTALOCK_OK);
        store_close(s);
        run_sql("others", edits[i]);
        s = open_store("others", &found);
        rows.len = 0;
        if (store_load(s, add_row, &rows, &err) != JUSTALOCK_PROTO)
            fail_msg("taken: %s", edits[i]);
        store_close(s);
        assert_int_equal(scratch_clear(in_scratch("others")), 0);
    }
}

static void test_other_version(void **state)
{
    struct justalock_error err;
    struct store_found found;
    struct store *s = open_store("version", &found);

    (void)state;
    store_close(s);
    run_sql("version", "PRAGMA user_version=3");
    assert_int_equal(store_open(in_scratch("version"), NULL, &s, &found, &err),
                     JUSTALOCK_CONFIG);
    assert_non_null(strstr(err.text, "another version"));
    run_sql("version", "PRAGMA user_version=2; DROP TABLE released");
    s = open_store("version", &found);
    assert_int_equal(found.state, STORE_DAMAGED);
    store_close(s);
}

/* What a server of version 1 left, as it left it. */
static void make_version_1(const char *folder)
{
    struct justalock_error err;
    struct store_found found;
    struct store *s = open_store(folder, &found);
    struct lock_change c = change(LOCK_PUT_TOMB, 3, "three", 60);

    assert_int_equal(store_commit(s, &c, 1, 41, &err), JUSTALOCK_OK);
    store_close(s);
    run_sql(folder,
            "DROP TABLE share;"
            "CREATE TABLE share(lock BLOB NOT NULL, share TEXT NOT NULL,"
            " client BLOB NOT NULL, life_s INTEGER NOT NULL, label TEXT NOT"
            " NULL, token INTEGER NOT NULL, since_s INTEGER NOT NULL, broken"
            " INTEGER NOT NULL, PRIMARY KEY(lock, share)) WITHOUT ROWID;"
            "INSERT INTO share VALUES(x'01000000000000000000000000000000',"
            "'a', x'6f6e65', 300, 'job of one', 41, 1700000000, 0);"
            "INSERT INTO share VALUES(x'01000000000000000000000000000000',"
            "'b', x'6f6e65', 60, 'job of one', 41, 1700000000, 1);"
            "PRAGMA user_version=1");
}

/* Nothing that it held is lost; it is upgraded once. */
static void test_upgrade(void **state)
{
    struct lock_change c = change(LOCK_PUT, 1, "two", 60);
    struct justalock_error err;
    struct store_found found;
    struct rows rows;
    struct store *s;

    (void)state;
    make_version_1("old");
    c.row.slot = 1023;
    c.row.slots = 1024;
    for (int i = 0; i < 2; i++) {
        s = open_store("old", &found);
        assert_int_equal(found.state, STORE_WHOLE);
        assert_int_equal(found.last_token, 41);
        load(s, &rows);
        assert_int_equal(rows.len, 3 + i);
        assert_int_equal(rows.row[0].life_s, 300);
        assert_int_equal(rows.row[0].slot, 0);
        assert_int_equal(rows.row[0].slots, 1);
        assert_string_equal(rows.row[0].label, "job of one");
        assert_int_equal(rows.row[0].token, 41);
        if (i == 0) /* the same lock and share, in another slot */
            assert_int_equal(store_commit(s, &c, 1, 41, &err), JUSTALOCK_OK);
        else
            assert_memory_equal(&rows.row[1], &c.row, sizeof(c.row));
        store_close(s);
    }
    s = open_store("old", &found);
    c.kind = LOCK_DROP;
    assert_int_equal(store_commit(s, &c, 1, 41, &err), JUSTALOCK_OK);
    load(s, &rows);
    assert_int_equal(rows.len, 3); /* the others are there */
    store_close(s);
}

/* ---- each failure ---- */

/* Two rows together, one out. */
static enum justalock_status work_on(struct justalock_error *err)
{
    struct lock_change c[3];
    struct store_found found;
    struct store *s = NULL;
    struct rows rows = {.len = 0};
    enum justalock_status st =
        store_open(in_scratch("short"), NULL, &s, &found, err);

    if (st != JUSTALOCK_OK)
        return st;
    assert_int_not_equal(found.state, STORE_DAMAGED);
    c[0] = change(LOCK_PUT, 2, "two", 600);
    c[1] = change(LOCK_PUT, 3, "three", 600);
    c[2] = change(LOCK_DROP, 1, "one", 60);
    st = store_load(s, add_row, &rows, err);
    if (st == JUSTALOCK_OK)
        st = store_commit(s, c, 3, 99, err);
    store_close(s);
    return st;
}

static void prepare(void)
{
    struct lock_change c = change(LOCK_PUT, 1, "one", 60);
    struct justalock_error err;
    struct store_found found;
    struct store *s = open_store("short", &found);

    assert_int_equal(found.state, STORE_FIRST);
    assert_int_equal(store_commit(s, &c, 1, 41, &err), JUSTALOCK_OK);
    store_close(s);
}

static void test_each_failure(void **state)
{
    unsigned failed = 0, refused = 0;
    bool hit, is_fresh = false;

    (void)state;
    do {
        struct justalock_error err = {.text = ""};
        struct store_found found;
        struct rows rows;
        struct store *s;
        enum justalock_status st;

        if (!is_fresh)
            prepare();
        calls = 0;
        fail_at = failed + 1;
        st = work_on(&err);
        hit = calls >= fail_at;
        fail_at = 0;
        failed += hit;
        if (st != JUSTALOCK_OK) {
            assert_true(hit);
            assert_true(st == JUSTALOCK_SYS || st == JUSTALOCK_NOMEM);
            assert_string_not_equal(err.text, "");
            refused++;
        }
        s = open_store("short", &found);
        assert_int_equal(found.state, STORE_WHOLE);
        load(s, &rows);
        /* Before, or after where that was said: never half. A commit that
         * failed may not be there, one that went well must be. */
        if (st == JUSTALOCK_OK)
            assert_int_equal(rows.len, 2);
        assert_true(rows.len == 1 || rows.len == 2);
        assert_int_equal(found.last_token, rows.len == 1 ? 41 : 99);
        assert_int_equal(rows.row[0].life_s, rows.len == 1 ? 60 : 600);
        store_close(s);
        is_fresh = rows.len == 1;
        if (!is_fresh)
            assert_int_equal(scratch_clear(in_scratch("short")), 0);
    } while (hit);
    assert_true(failed > 100 && refused > 50);
}

/* A number, without a trace of the look. */
static int look_up(const char *folder, const char *text)
{
    sqlite3_stmt *st = NULL;
    sqlite3 *db = NULL;
    char path[300];
    int n;

    (void)snprintf(path, sizeof(path), "%s/%s/locks.db", scratch, folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}

/* Of the one version or of the other, with all that was held. */
static void test_each_failure_of_upgrade(void **state)
{
    unsigned failed = 0, refused = 0;
    int version = 0;
    bool hit;

    (void)state;
    do {
        struct justalock_error err = {.text = ""};
        struct store_found found;
        struct store *s = NULL;
        enum justalock_status st;

        if (version != 1) {
            if (version != 0)
                assert_int_equal(scratch_clear(in_scratch("short")), 0);
            make_version_1("short");
        }
        calls = 0;
        fail_at = failed + 1;
        st = store_open(in_scratch("short"), NULL, &s, &found, &err);
        hit = calls >= fail_at;
        fail_at = 0;
        failed += hit;
        refused += st != JUSTALOCK_OK;
        if (st == JUSTALOCK_OK)
            store_close(s);
        else
            assert_true(st == JUSTALOCK_SYS || st == JUSTALOCK_NOMEM);
        version = look_up("short", "PRAGMA user_version");
        assert_true(version == 2 || (version == 1 && st != JUSTALOCK_OK));
        assert_int_equal(look_up("short", "SELECT count(*) FROM share"), 2);
        assert_int_equal(look_up("short", "SELECT count(*) FROM released"), 1);
    } while (hit);
    assert_true(failed > 100 && refused > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_not_closed),
        cmocka_unit_test(test_damage_that_lasts),
        cmocka_unit_test(test_rows_of_others),
        cmocka_unit_test(test_other_version),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_each_failure),
        cmocka_unit_test(test_each_failure_of_upgrade),
    };
    sqlite3_mem_methods memory;

    log_open("test", LOG_LEVEL_WARN);
    /* A hundred starts, each of which writes the log's room to the disk. */
    (void)setenv("TMPDIR", "/dev/shm", 0);
    /* Its lookaside slots would hide most of the small ones. */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK)
        return 1;
    memory = real_memory;
    memory.xMalloc = short_malloc;
    memory.xRealloc = short_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
