/* SPDX-License-Identifier: MIT */
/*
 * test_store_sqlite_open.c - what a start finds: a first start, state that is
 * whole, damage, or a trouble that may pass, which changes nothing; and that
 * no start, however it fails, makes one look like another.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "../../modules/server/store_inner.h"
#include "../lib/fail_alloc.h"
#include "scratch.h"
#include "test.h"

#define LIFE_S 300

static const char *file(const char *name)
{
    static char path[2][300];
    static unsigned n;

    n = (n + 1) % 2;
    (void)snprintf(path[n], sizeof(path[n]), "%s/state/%s", scratch, name);
    return path[n];
}

static enum justalock_status open_it(struct store **ret_store,
                                     struct store_found *found,
                                     struct justalock_error *err)
{
    memset(found, 0, sizeof(*found));
    return store_open(in_scratch("state"), NULL, ret_store, found, err);
}

/* A folder with a share of LIFE_S in it, closed as asked. */
static void make_state(void)
{
    struct lock_change c = {.kind = LOCK_PUT};
    struct justalock_error err;
    struct store_found found;
    struct store *s = NULL;

    c.row.client_len = 1;
    c.row.client[0] = 'c';
    c.row.life_s = LIFE_S;
    c.row.token = 7;
    (void)scratch_clear(in_scratch("state"));
    assert_ok(open_it(&s, &found, &err), err);
    assert_int_equal(found.state, STORE_FIRST);
    assert_ok(store_commit(s, &c, 1, 7, &err), err);
    store_close(s);
}

static void put(const char *name, const void *data, size_t len, long at)
{
    int fd = open(file(name), O_WRONLY | O_CLOEXEC | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, at), len);
    assert_int_equal(close(fd), 0);
}

static void sql(const char *text)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(file("locks.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* This start finds damage: quiet for the longest lease, what is there is kept
 * aside; and so does the next start, until the quiet time is over. */
static void is_damaged(unsigned quiet_s, const char *why)
{
    struct justalock_error err;
    struct store_found found;
    struct store *s = NULL;

    for (int i = 0; i < 2; i++) {
        assert_ok(open_it(&s, &found, &err), err);
        assert_int_equal(found.state, STORE_DAMAGED);
        assert_int_equal(found.quiet_s, quiet_s);
        assert_has(found.why,
                   i == 0 ? why : "after an earlier damage is not over");
        assert_true(found.last_token > UINT64_C(1700000000) << 20);
        if (i == 1)
            assert_ok(store_end_quiet(s, &err), err);
        store_close(s);
    }
    assert_ok(open_it(&s, &found, &err), err);
    assert_int_equal(found.state, STORE_WHOLE);
    store_close(s);
}

static void test_damage(void **state)
{
    static const char rubbish[4096] = "no database";

    (void)state;
    make_state();
    assert_int_equal(unlink(file("locks.db")), 0);
    is_damaged(LIFE_S, "its database is missing");
    make_state();
    put("locks.db", rubbish, sizeof(rubbish), 0);
    is_damaged(LIFE_S, "not a database");
    make_state();
    put("locks.db", "zzzzzzzzzzzzzzzz", 16, 4096 + 8); /* a page's head */
    is_damaged(LIFE_S, "");
    make_state();
    assert_int_equal(truncate(file("locks.db"), 0), 0);
    assert_int_equal(unlink(file("locks.db-wal")), 0);
    is_damaged(LIFE_S, "its database is empty");
    make_state();
    sql("DROP TABLE meta");
    is_damaged(LIFE_S, "");
    make_state();
    sql("ALTER TABLE share RENAME COLUMN life_s TO life");
    is_damaged(LIFE_S, "");
    make_state();
    sql("PRAGMA user_version=0");
    is_damaged(LIFE_S, "");
    /* That a server ran to its end without one is not known: the log of one
     * that was killed is part of its state. */
    make_state();
    put("running", "", 0, 0);
    assert_int_equal(unlink(file("locks.db-wal")), 0);
    is_damaged(LIFE_S, "the log of its database is missing");
    /* Without its mark the longest lease there can be. */
    make_state();
    assert_int_equal(unlink(file("mark")), 0);
    assert_int_equal(unlink(file("locks.db")), 0);
    is_damaged(JUSTALOCK_LIFE_MAX_S, "its database is missing");
}

/* Without a mark and with a database that is whole it is state, too. */
static void test_lost_mark(void **state)
{
    struct justalock_error err;
    struct store_found found;
    struct store *s = NULL;

    (void)state;
    make_state();
    assert_int_equal(unlink(file("mark")), 0);
    assert_ok(open_it(&s, &found, &err), err);
    assert_int_equal(found.state, STORE_WHOLE);
    assert_int_equal(found.last_token, 7);
    store_close(s);
    assert_int_equal(unlink(file("locks.db")), 0);
    is_damaged(JUSTALOCK_LIFE_MAX_S, "its database is missing");
}

/* ---- what may pass ---- */

static void test_troubles(void **state)
{
    struct justalock_error err;
    struct store_found found;
    struct store *s = NULL;
    sqlite3 *db = NULL;

    (void)state;
    make_state();
    sql("PRAGMA user_version=3");
    assert_fails(open_it(&s, &found, &err), JUSTALOCK_CONFIG, err,
                 "another version");
    sql("PRAGMA user_version=2");
    /* Somebody is at it. */
    assert_int_equal(sqlite3_open(file("locks.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA locking_mode=EXCLUSIVE; "
                                  "BEGIN IMMEDIATE; "
                                  "UPDATE meta SET value=7; COMMIT",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_fails(open_it(&s, &found, &err), JUSTALOCK_SYS, err, "cannot open");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    /* A folder in its place is a trouble, no damage. */
    assert_int_equal(rename(file("locks.db"), file("aside")), 0);
    assert_int_equal(mkdir(file("locks.db"), 0700), 0);
    assert_int_equal(open_it(&s, &found, &err), JUSTALOCK_SYS);
    assert_int_equal(rmdir(file("locks.db")), 0);
    assert_int_equal(rename(file("aside"), file("locks.db")), 0);
    assert_null(s);
    assert_ok(open_it(&s, &found, &err), err); /* nothing has changed */
    assert_int_equal(found.state, STORE_WHOLE);
    assert_int_equal(found.last_token, 7);
    store_close(s);
}

/* ---- no memory ---- */

struct what {
    void (*begin)(void);
    enum store_state want;
};

static bool start(void *arg)
{
    const struct what *w = arg;
    struct justalock_error err = {.text = ""}, again;
    struct store_found found;
    struct store *s = NULL;
    bool was_hit = true;
    enum justalock_status st;

    st = open_it(&s, &found, &err);
    if (st == JUSTALOCK_OK) {
        assert_int_equal(found.state, w->want);
        store_close(s);
        was_hit = false;
    } else {
        assert_true(st == JUSTALOCK_SYS || st == JUSTALOCK_NOMEM);
        assert_string_not_equal(err.text, "");
    }
    /* With memory again: found as it was, or as the start made it. */
    (void)fail_alloc_off();
    s = NULL;
    assert_ok(open_it(&s, &found, &again), again);
    if (found.state != w->want &&
        (found.state != STORE_WHOLE || w->want == STORE_DAMAGED))
        fail_msg("%d is found after: %s", (int)found.state, err.text);
    store_close(s);
    w->begin();
    return !was_hit;
}

/* fail_alloc_each, whose fn turns it off itself. Each start writes and syncs:
 * every few of the points, which still are all kinds of them. */
static long each(struct what *w, long step)
{
    long n;

    w->begin();
    for (n = 1;; n += step) {
        long before = fail_alloc_live();
        bool good;

        fail_alloc_at(n, 1);
        good = start(w);
        if (fail_alloc_live() > before + 8)
            fail_msg("%ld blocks are left behind after the failure of %ld",
                     fail_alloc_live() - before, n);
        if (!fail_alloc_off() && good)
            return n - 1;
    }
}

static void begin_first(void)
{
    (void)scratch_clear(in_scratch("state"));
}

static void begin_damaged(void)
{
    make_state();
    assert_int_equal(unlink(file("locks.db")), 0);
}

static void test_no_memory(void **state)
{
    struct what first = {begin_first, STORE_FIRST},
                whole = {make_state, STORE_WHOLE},
                damaged = {begin_damaged, STORE_DAMAGED};

    (void)state;
    assert_in_range(each(&first, 17), fail_alloc_least(50), 3000);
    assert_in_range(each(&whole, 19), fail_alloc_least(50), 3000);
    assert_in_range(each(&damaged, 29), fail_alloc_least(50), 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_lost_mark),
        cmocka_unit_test(test_troubles),
        cmocka_unit_test(test_no_memory),
    };

    /* Its lookaside slots would hide most of the small ones. */
    if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
