/* SPDX-License-Identifier: MIT */
/*
 * test_file.c - whose file it is, what kind of one, its mode and its size,
 * each looked at before a byte of it is used.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../lib/fail_alloc.h"
#include "file.h"
#include "scratch.h"
#include "test.h"

#define MAX 9000 /* more than two reads of it */

static void put(const char *name, size_t len, mode_t mode)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    for (size_t i = 0; i < len; i++)
        assert_true(fputc('a' + (int)(i % 26), f) != EOF);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_scratch(name), mode), 0);
}

static enum justalock_status look(const char *name, mode_t forbidden,
                                  struct justalock_error *err)
{
    struct buf b;
    enum justalock_status st =
        file_read("--key", in_scratch(name), forbidden, MAX, &b, err);

    buf_done(&b); /* in any case */
    return st;
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 8192, MAX - 1, MAX};
    struct justalock_error err;
    struct buf b;

    (void)state;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        put("size", sizes[i], 0600);
        assert_ok(file_read("--key", in_scratch("size"), 077, MAX, &b, &err),
                  err);
        assert_int_equal(b.len, sizes[i]);
        assert_int_equal(b.data[b.len - 1], 'a' + (char)((sizes[i] - 1) % 26));
        assert_int_equal(b.data[b.len], '\0');
        buf_done(&b);
    }
    put("size", 0, 0600);
    assert_fails(look("size", 077, &err), JUSTALOCK_CONFIG, err,
                 "has none, must have 1 to 9000 bytes");
    put("size", MAX + 1, 0600);
    assert_fails(look("size", 077, &err), JUSTALOCK_CONFIG, err,
                 "has more, must have 1 to 9000 bytes");
    put("size", 10 * MAX, 0600);
    assert_fails(look("size", 077, &err), JUSTALOCK_CONFIG, err, "has more");
}

static void test_modes(void **state)
{
    struct justalock_error err;

    (void)state;
    put("mode", 5, 0640);
    assert_ok(look("mode", 0, &err), err);
    assert_ok(look("mode", S_IWGRP | S_IWOTH, &err), err);
    assert_fails(look("mode", S_IRWXG | S_IRWXO, &err), JUSTALOCK_CONFIG, err,
                 "mode 0640 gives others more than it may, at most 0600");
    put("mode", 5, 0622);
    assert_fails(look("mode", S_IWGRP | S_IWOTH, &err), JUSTALOCK_CONFIG, err,
                 "mode 0622");
    put("mode", 5, 0604);
    assert_fails(look("mode", S_IRWXG | S_IRWXO, &err), JUSTALOCK_CONFIG, err,
                 "mode 0604");
}

/* What is there instead must not hang us, nor be read. */
static void test_kinds(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct justalock_error err;
    int fd;

    (void)state;
    assert_int_equal(mkdir(in_scratch("dir"), 0700), 0);
    assert_fails(look("dir", 077, &err), JUSTALOCK_CONFIG, err,
                 "is not a regular file");
    assert_int_equal(mkfifo(in_scratch("fifo"), 0600), 0);
    assert_fails(look("fifo", 077, &err), JUSTALOCK_CONFIG, err,
                 "is not a regular file");
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%.100s",
                   in_scratch("sock"));
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    assert_int_equal(look("sock", 077, &err), JUSTALOCK_CONFIG);
    (void)close(fd);
    assert_fails(look("none", 077, &err), JUSTALOCK_CONFIG, err, "--key ");
    assert_has(err.text, "No such file");
    assert_int_equal(symlink("/dev/zero", in_scratch("zero")), 0);
    assert_fails(look("zero", 0, &err), JUSTALOCK_CONFIG, err,
                 "is not a regular file");
    put("real", 5, 0600);
    assert_int_equal(symlink("real", in_scratch("link")), 0);
    assert_ok(look("link", 077, &err), err); /* as of certificates */
    assert_int_equal(look("none", 077, NULL), JUSTALOCK_CONFIG);
}

static void test_owner(void **state)
{
    struct justalock_error err;

    (void)state;
    if (geteuid() != 0)
        skip();
    put("owner", 5, 0600);
    assert_int_equal(chown(in_scratch("owner"), 12345, 0), 0);
    assert_fails(look("owner", 077, &err), JUSTALOCK_CONFIG, err,
                 "belongs to uid 12345, must belong to root or to uid 0");
    assert_int_equal(chmod(scratch, 0755), 0);
    assert_int_equal(seteuid(12345), 0);
    assert_ok(look("owner", 077, &err), err); /* its own */
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chown(in_scratch("owner"), 0, 12345), 0);
    assert_ok(look("owner", 037, &err), err);
}

static bool read_it(void *arg)
{
    struct justalock_error err;
    enum justalock_status st = look("memory", 077, &err);

    (void)arg;
    if (st != JUSTALOCK_OK)
        assert_int_equal(st, JUSTALOCK_NOMEM);
    return st == JUSTALOCK_OK;
}

static void test_no_memory(void **state)
{
    (void)state;
    put("memory", MAX, 0600);
    assert_in_range(fail_alloc_each(read_it, NULL), 2, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_modes),
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_owner),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
