/* SPDX-License-Identifier: MIT */
/*
 * test_store_folder.c - the folder of a server's state: one server a folder,
 * what the mark says, and each call to the system failing in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../modules/server/store_folder.h"
#include "scratch.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* ---- calls that fail ---- */

static unsigned calls, fail_at; /* 0: none does */

static bool fails(void)
{
    if (++calls != fail_at)
        return false;
    errno = EIO;
    return true;
}

#define WRAP(type, name, params, args)                                         \
    type __real_##name params;                                                 \
    type __wrap_##name params;                                                 \
    type __wrap_##name params                                                  \
    {                                                                          \
        return fails() ? (type)-1 : __real_##name args;                        \
    }
WRAP(int, fsync, (int fd), (fd))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, unlink, (const char *a), (a))
WRAP(int, flock, (int fd, int how), (fd, how))
WRAP(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    if ((flags & O_CREAT) != 0) {
        va_list ap;

        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return fails() ? -1 : __real_open(path, flags, mode);
}

/* ---- helpers ---- */

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static enum justalock_status opened(struct folder *f, const char *name,
                                    struct justalock_error *err)
{
    return folder_open(f, in_scratch(name), err);
}

static void look(const char *name, struct folder *f)
{
    struct justalock_error err;

    assert_int_equal(opened(f, name, &err), JUSTALOCK_OK);
    folder_close(f);
}

static bool exists(const char *name)
{
    struct stat sb;

    return lstat(in_scratch(name), &sb) == 0;
}

/* ---- tests ---- */

static void test_first(void **state)
{
    struct justalock_error err;
    struct folder f, other;
    struct stat sb;

    (void)state;
    assert_int_equal(opened(&f, "first", &err), JUSTALOCK_OK);
    assert_false(f.has_mark || f.has_db || f.has_log || f.was_running);
    assert_int_equal(f.longest_s, 0);
    assert_int_equal(stat(in_scratch("first"), &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0700);
    assert_int_equal(opened(&other, "first", &err), JUSTALOCK_STATE);
    assert_non_null(strstr(err.text, "another justalock-server"));
    assert_non_null(strstr(err.text, in_scratch("first")));
    folder_close(&f);
    assert_int_equal(opened(&other, "first", &err), JUSTALOCK_OK);
    folder_close(&other);
    folder_close(&other); /* no harm */
}

static void test_refused(void **state)
{
    struct justalock_error err;
    static char longest[PATH_MAX + 2];
    struct folder f;

    (void)state;
    assert_int_equal(folder_open(&f, "", &err), JUSTALOCK_ARG);
    memset(longest, 'x', sizeof(longest) - 1);
    assert_int_equal(folder_open(&f, longest, &err), JUSTALOCK_ARG);
    longest[PATH_MAX - 1] = '\0'; /* fits, its files do not */
    assert_int_equal(folder_open(&f, longest, &err), JUSTALOCK_ARG);
    put("file", "");
    assert_int_equal(opened(&f, "file", &err), JUSTALOCK_CONFIG);
    assert_int_equal(opened(&f, "no/where", &err), JUSTALOCK_SYS);
    assert_int_equal(mkdir(in_scratch("open"), 0700), 0);
    assert_int_equal(chmod(in_scratch("open"), 0720), 0);
    assert_int_equal(opened(&f, "open", &err), JUSTALOCK_CONFIG);
    assert_non_null(strstr(err.text, "0720"));
    assert_int_equal(chmod(in_scratch("open"), 0702), 0);
    assert_int_equal(opened(&f, "open", &err), JUSTALOCK_CONFIG);
    assert_int_equal(mkdir(in_scratch("linked"), 0700), 0);
    assert_int_equal(symlink("/dev/null", in_scratch("linked/lock")), 0);
    assert_int_equal(opened(&f, "linked", &err), JUSTALOCK_SYS);
}

static void test_mark(void **state)
{
#define HEAD                                                                   \
    "The state of a justalock-server. Without its database nothing is\n"       \
    "granted until every lease is over.\nlongest_s"
    static const struct {
        const char *text;
        unsigned longest_s;
    } marks[] = {
        {HEAD " 0\n", 0},
        {HEAD " 60\n", 60},
        {HEAD " 65535\n", 65535},
        /* What we never wrote: the longest that there can be. */
        {HEAD " 65536\n", 65535},
        {HEAD " -1\n", 65535},
        {HEAD " 60", 65535}, /* cut: may have been 600 */
        {HEAD " \n", 65535},
        {HEAD " 6 0 \n", 65535},
        {HEAD " 6x\n", 65535},
        {HEAD "\n", 65535},
        {"longest_s 60\n", 65535},
        {"", 65535},
        {"\n", 65535},
    };
    struct justalock_error err;
    struct folder f;

    (void)state;
    look("marked", &f);
    for (size_t i = 0; i < LENGTH(marks); i++) {
        put("marked/mark", marks[i].text);
        look("marked", &f);
        assert_true(f.has_mark);
        assert_int_equal(f.longest_s, marks[i].longest_s);
    }
    assert_int_equal(opened(&f, "marked", &err), JUSTALOCK_OK);
    assert_int_equal(folder_mark(&f, 7, &err), JUSTALOCK_OK);
    assert_int_equal(f.longest_s, 7);
    folder_close(&f);
    look("marked", &f);
    assert_int_equal(f.longest_s, 7);
    assert_int_equal(unlink(in_scratch("marked/mark")), 0);
    assert_int_equal(symlink("/dev/zero", in_scratch("marked/mark")), 0);
    look("marked", &f);
    assert_int_equal(f.longest_s, 65535);
}

static void test_running(void **state)
{
    struct justalock_error err;
    struct folder f;

    (void)state;
    assert_int_equal(opened(&f, "running", &err), JUSTALOCK_OK);
    assert_int_equal(folder_set_running(&f, true, &err), JUSTALOCK_OK);
    folder_close(&f);
    look("running", &f);
    assert_true(f.was_running);
    assert_int_equal(opened(&f, "running", &err), JUSTALOCK_OK);
    assert_int_equal(folder_set_running(&f, true, &err), JUSTALOCK_OK);
    assert_int_equal(folder_set_running(&f, false, &err), JUSTALOCK_OK);
    assert_int_equal(folder_set_running(&f, false, &err), JUSTALOCK_OK);
    folder_close(&f);
    look("running", &f);
    assert_false(f.was_running);
}

static void test_set_aside(void **state)
{
    struct justalock_error err;
    struct folder f;

    (void)state;
    look("aside", &f);
    put("aside/locks.db", "x");
    put("aside/locks.db-wal", "y");
    assert_int_equal(opened(&f, "aside", &err), JUSTALOCK_OK);
    assert_true(f.has_db && f.has_log && folder_log_is_there(&f));
    assert_int_equal(folder_set_aside(&f, 123, &err), JUSTALOCK_OK);
    assert_false(folder_log_is_there(&f));
    folder_close(&f);
    assert_true(exists("aside/locks.db.damaged-123") &&
                exists("aside/locks.db.damaged-123-wal"));
    look("aside", &f);
    assert_false(f.has_db || f.has_log);
}

/* ---- each call in turn ---- */

static enum justalock_status all_of_it(struct justalock_error *err)
{
    struct folder f;
    enum justalock_status st = opened(&f, "faults", err);

    if (st != JUSTALOCK_OK)
        return st;
    st = folder_mark(&f, 60, err);
    if (st == JUSTALOCK_OK)
        st = folder_set_running(&f, true, err);
    if (st == JUSTALOCK_OK)
        st = folder_set_aside(&f, 9, err);
    if (st == JUSTALOCK_OK)
        st = folder_set_running(&f, false, err);
    folder_close(&f);
    return st;
}

static void test_each_failure(void **state)
{
    struct justalock_error err = {.text = ""};
    enum justalock_status st;
    unsigned failed = 0;
    struct folder f;
    bool hit;

    (void)state;
    do {
        (void)unlink(in_scratch("faults/mark"));
        calls = 0;
        fail_at = failed + 1;
        st = all_of_it(&err);
        hit = calls >= fail_at;
        fail_at = 0;
        if (hit) {
            /* Where the mark cannot be read, it holds for the longest: no
             * error. All else says what and where. */
            if (st == JUSTALOCK_OK) {
                assert_true(failed > 0);
            } else {
                assert_int_equal(st, JUSTALOCK_SYS);
                assert_non_null(strstr(err.text, in_scratch("faults")));
                assert_non_null(strstr(err.text, strerror(EIO)));
            }
            failed++;
        }
        look("faults", &f); /* nobody has it any more */
        assert_true(!f.has_mark || f.longest_s == 60);
    } while (hit);
    assert_int_equal(st, JUSTALOCK_OK);
    assert_true(failed > 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_mark),      cmocka_unit_test(test_running),
        cmocka_unit_test(test_set_aside), cmocka_unit_test(test_each_failure),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
