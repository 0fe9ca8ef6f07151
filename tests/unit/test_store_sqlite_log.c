/* SPDX-License-Identifier: MIT */
/*
 * test_store_sqlite_log.c - the log has its room before the first commit, and
 * again after a start; what is in it stays; a disk that has no room for it is
 * no reason not to run, and the log is then as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "../../modules/server/store.h"
#include "scratch.h"

#define ROOM (5 << 20)

static struct store *open_store(const char *name, struct store_found *found)
{
    struct justalock_error err = {.text = ""};
    struct store *s = NULL;

    if (store_open(in_scratch(name), NULL, &s, found, &err) != JUSTALOCK_OK)
        fail_msg("%s", err.text);
    return s;
}

static off_t log_size(const char *name)
{
    char path[64];
    struct stat sb;

    (void)snprintf(path, sizeof(path), "%s/locks.db-wal", name);
    assert_int_equal(stat(in_scratch(path), &sb), 0);
    return sb.st_size;
}

static void grant(struct store *s, unsigned n)
{
    struct lock_change c = {.kind = LOCK_PUT};
    struct justalock_error err = {.text = ""};

    c.row.id.bytes[0] = (uint8_t)n;
    c.row.id.bytes[1] = (uint8_t)(n >> 8);
    c.row.client_len = 3;
    memcpy(c.row.client, "one", 3);
    (void)snprintf(c.row.share, sizeof(c.row.share), "a");
    c.row.life_s = 60;
    c.row.slots = 1;
    c.row.token = n;
    if (store_commit(s, &c, 1, n, &err) != JUSTALOCK_OK)
        fail_msg("grant %u: %s", n, err.text);
}

static enum justalock_status count(void *arg, const struct lock_row *row,
                                   bool is_tomb)
{
    unsigned *n = arg;

    (void)row;
    assert_false(is_tomb);
    ++*n;
    return JUSTALOCK_OK;
}

static unsigned held(struct store *s)
{
    struct justalock_error err;
    unsigned n = 0;

    assert_int_equal(store_load(s, count, &n, &err), JUSTALOCK_OK);
    return n;
}

/* More commits than the room takes: SQLite begins anew in it. */
static void test_does_not_grow(void **state)
{
    struct store_found found;
    struct store *s = open_store("grow", &found);

    (void)state;
    assert_int_equal(found.state, STORE_FIRST);
    assert_int_equal(log_size("grow"), ROOM);
    for (unsigned n = 1; n <= 600; n++)
        grant(s, n);
    assert_int_equal(log_size("grow"), ROOM);
    assert_int_equal(held(s), 600);
    store_close(s);
    assert_int_equal(log_size("grow"), 0);
    s = open_store("grow", &found);
    assert_int_equal(found.state, STORE_WHOLE);
    assert_int_equal(found.last_token, 600);
    assert_int_equal(log_size("grow"), ROOM);
    assert_int_equal(held(s), 600);
    store_close(s);
}

/* A file may not become as long as that: as a disk that is full. */
static void test_no_room(void **state)
{
    struct rlimit old, low;
    struct store_found found;
    struct store *s;
    off_t size;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    low = old;
    low.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    s = open_store("full", &found);
    size = log_size("full");
    assert_in_range(size, 1, 65536);
    for (unsigned n = 1; n <= 20; n++)
        grant(s, n);
    assert_true(log_size("full") > size);
    store_close(s);
    s = open_store("full", &found);
    assert_int_equal(found.state, STORE_WHOLE);
    assert_int_equal(held(s), 20);
    assert_int_equal(log_size("full"), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_does_not_grow),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
