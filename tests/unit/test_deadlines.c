/* SPDX-License-Identifier: MIT */
/*
 * test_deadlines.c - the table that guard and watch share: every change of a
 * row, who wins when both change it, and what survives in its file.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../modules/agent/deadlines.h"

static char dir[] = "/tmp/justalock-table.XXXXXX";

static const struct row_plan plan = {.deadline = {1000, 900},
                                     .term_lead_ms = 300,
                                     .kill_lead_ms = 100,
                                     .policy = ROW_KILL};

static struct clock_time at(int64_t boot, int64_t raw)
{
    return (struct clock_time){.boot_ms = boot, .raw_ms = raw};
}

static void open_table(struct table *t)
{
    struct justalock_error err;

    assert_int_equal(table_open(dir, t, &err), JUSTALOCK_OK);
}

static struct row *armed(struct table *t)
{
    struct row *r = table_take(t);

    assert_non_null(r);
    r->work = 7;
    row_arm(r, &plan);
    return r;
}

static void extends_while_armed(void **state)
{
    struct table t;
    struct row *r;
    struct row_plan p;

    (void)state;
    open_table(&t);
    r = armed(&t);
    assert_int_equal(table_active(&t), 1);
    assert_true(row_extend(r, at(2000, 1900)));
    assert_int_equal(row_look(r, &p, NULL), ROW_ARMED);
    assert_int_equal(p.deadline.boot_ms, 2000);
    assert_int_equal(p.deadline.raw_ms, 1900);
    assert_int_equal(p.kill_lead_ms, 100);
    row_free(r);
    table_close(&t);
}

static void never_extends_what_is_being_ended(void **state)
{
    struct table t;
    struct row *r;
    struct row_plan p;
    uint64_t word;

    (void)state;
    open_table(&t);
    r = armed(&t);
    (void)row_look(r, &p, &word);
    assert_true(row_advance(r, word, ROW_ENDING));
    assert_false(row_extend(r, at(9000, 9000)));
    assert_false(row_close(r));
    assert_int_equal(row_look(r, &p, NULL), ROW_ENDING);
    assert_int_equal(p.deadline.boot_ms, 1000);
    row_free(r);
    table_close(&t);
}

/* The guard extended between the watch's look and its change. */
static void the_watch_learns_of_an_extension(void **state)
{
    struct table t;
    struct row *r;
    struct row_plan p;
    uint64_t word;

    (void)state;
    open_table(&t);
    r = armed(&t);
    (void)row_look(r, &p, &word);
    assert_true(row_extend(r, at(2000, 2000)));
    assert_false(row_advance(r, word, ROW_ENDING));
    assert_int_equal(row_state(r), ROW_ARMED);
    row_free(r);
    table_close(&t);
}

static void an_end_is_only_ever_earlier(void **state)
{
    struct row_plan late = plan, soon = plan, p;
    struct table t;
    struct row *r;

    (void)state;
    open_table(&t);
    r = armed(&t);
    late.deadline = at(5000, 5000);
    soon.deadline = at(500, 400);
    assert_true(row_end(r, &late));
    (void)row_look(r, &p, NULL);
    assert_int_equal(p.deadline.boot_ms, 1000);
    assert_true(row_end(r, &soon));
    (void)row_look(r, &p, NULL);
    assert_int_equal(p.deadline.boot_ms, 500);
    assert_int_equal(p.deadline.raw_ms, 400);
    assert_true(row_close(r));
    assert_false(row_end(r, &soon));
    row_free(r);
    table_close(&t);
}

static void survives_in_its_file(void **state)
{
    struct table t, again;
    struct row_plan p;
    char tag[TABLE_TAG_LEN + 1];
    struct row *r;

    (void)state;
    open_table(&t);
    r = armed(&t);
    memcpy(tag, t.header->tag, sizeof(tag));
    open_table(&again);
    assert_string_equal(again.header->tag, tag);
    assert_int_equal(row_look(&again.rows[r - t.rows], &p, NULL), ROW_ARMED);
    assert_int_equal(p.deadline.boot_ms, 1000);
    row_free(r);
    table_close(&again);
    table_close(&t);
}

static void another_boot_starts_anew(void **state)
{
    struct table t, again;

    (void)state;
    open_table(&t);
    (void)armed(&t);
    t.header->boot[0] ^= 1;
    open_table(&again);
    assert_int_equal(table_active(&again), 0);
    assert_int_equal(atomic_load(&again.header->used), 0);
    table_close(&again);
    table_close(&t);
}

/* At any byte: no row is left over, and who ran is still known. */
static void cut_starts_anew(void **state)
{
    char path[64];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/table", dir);
    for (off_t len = 0; len < 5200; len += len < 130 ? 1 : 97) {
        bool names_watch =
            len >= (off_t)(offsetof(struct table_header, watch) + 8);
        struct table t;
        struct stat sb;

        open_table(&t);
        (void)armed(&t);
        atomic_store(&t.header->watch, 0x1234);
        table_close(&t);
        assert_int_equal(truncate(path, len), 0);
        open_table(&t);
        assert_int_equal(table_active(&t), 0);
        assert_int_equal(row_state(&t.rows[0]), ROW_FREE);
        assert_int_equal(strlen(t.header->tag), TABLE_TAG_LEN);
        if (names_watch)
            assert_int_equal(atomic_load(&t.header->watch), 0x1234);
        assert_int_equal(fstat(t.fd, &sb), 0);
        /* A hole would be a SIGBUS where there is no room for it later. */
        assert_true(sb.st_blocks * 512 >= sb.st_size);
        table_close(&t);
    }
}

static void another_version_is_refused(void **state)
{
    struct table t, again;
    struct justalock_error err;

    (void)state;
    open_table(&t);
    t.header->version++;
    assert_int_equal(ftruncate(t.fd, 9000), 0); /* its size is its own */
    assert_int_equal(table_open(dir, &again, &err), JUSTALOCK_CONFIG);
    assert_int_equal(lseek(t.fd, 0, SEEK_END), 9000);
    t.header->version--;
    table_close(&t);
}

static void is_full_at_its_last_row(void **state)
{
    struct table t;

    (void)state;
    open_table(&t);
    for (unsigned i = 0; i < TABLE_ROWS; i++) {
        struct row *r = table_take(&t);

        assert_non_null(r);
        r->work = i + 1;
    }
    assert_null(table_take(&t));
    for (unsigned i = 0; i < TABLE_ROWS; i++)
        row_free(&t.rows[i]);
    table_close(&t);
}

/* A plan is seen whole: both clocks of the same extension. */
static _Atomic bool stop;

static void *extender(void *arg)
{
    struct row *r = arg;

    for (int64_t i = 1; !atomic_load(&stop); i++)
        if (!row_extend(r, at(i * 2, i * 2 + 1)))
            break;
    return NULL;
}

static void a_plan_is_seen_whole(void **state)
{
    struct table t;
    struct row *r;
    pthread_t thread;

    (void)state;
    open_table(&t);
    r = armed(&t);
    assert_true(row_extend(r, at(0, 1)));
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, extender, r), 0);
    for (int i = 0; i < 200000; i++) {
        struct row_plan p;

        (void)row_look(r, &p, NULL);
        if (p.deadline.raw_ms != p.deadline.boot_ms + 1)
            fail_msg("torn: %lld %lld", (long long)p.deadline.boot_ms,
                     (long long)p.deadline.raw_ms);
    }
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    row_free(r);
    table_close(&t);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char path[64];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/table", dir);
    (void)unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extends_while_armed),
        cmocka_unit_test(never_extends_what_is_being_ended),
        cmocka_unit_test(the_watch_learns_of_an_extension),
        cmocka_unit_test(an_end_is_only_ever_earlier),
        cmocka_unit_test(survives_in_its_file),
        cmocka_unit_test(a_plan_is_seen_whole),
        cmocka_unit_test(is_full_at_its_last_row),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(cut_starts_anew),
        cmocka_unit_test(another_boot_starts_anew),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
