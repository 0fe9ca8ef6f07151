/* SPDX-License-Identifier: MIT */
/*
 * test_secret.c - secret.c: which files are taken and why others are not,
 * making one with failing calls, and what is derived (values from Python's
 * hmac over the bytes that secret.c documents).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secret.h"
#include "test.h"

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static enum { NOTHING, NO_SPACE, SHORT_WRITES, NO_SYNC } fault;

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    static int calls;

    if (fault == NO_SPACE) {
        errno = ENOSPC;
        return -1;
    }
    if (fault == SHORT_WRITES && calls++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    return __real_write(fd, data, fault == SHORT_WRITES && len > 7 ? 7 : len);
}

int __wrap_fsync(int fd)
{
    if (fault == NO_SYNC) {
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

static char dir[64];
static char path[96];

static int setup(void **state)
{
    (void)state;
    fault = NOTHING;
    (void)snprintf(dir, sizeof(dir), "/tmp/justalock-test-secret.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/secret", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault = NOTHING;
    if (unlink(path) != 0 && errno == EISDIR)
        (void)rmdir(path);
    return rmdir(dir);
}

static void make_file(size_t len, mode_t mode)
{
    static uint8_t data[SECRET_MAX + 100];
    int fd;

    (void)unlink(path); /* the last one, perhaps read-only */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(__real_write(fd, data, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void refused(int errnum, const char *part)
{
    struct justalock_error err;
    struct secret s, untouched;

    memset(&untouched, 0x5a, sizeof(untouched));
    s = untouched;
    assert_fails(secret_load(path, &s, &err), JUSTALOCK_CONFIG, err, part);
    assert_has(err.text, path);
    assert_int_equal(err.sys_errno, errnum);
    assert_memory_equal(&s, &untouched, sizeof(s));
    assert_int_equal(secret_load(path, &s, NULL), JUSTALOCK_CONFIG);
}

static void test_sizes(void **state)
{
    struct justalock_error err;
    struct secret s;

    (void)state;
    make_file(SECRET_MIN, 0600);
    assert_ok(secret_load(path, &s, &err), err);
    assert_int_equal(s.len, SECRET_MIN);
    assert_int_equal(s.data[31], 31);
    make_file(SECRET_MAX, 0400);
    assert_ok(secret_load(path, &s, &err), err);
    assert_int_equal(s.len, SECRET_MAX);
    make_file(SECRET_MIN - 1, 0600);
    refused(0, "has 31 bytes, must have 32 to 1024");
    make_file(SECRET_MAX + 1, 0600);
    refused(0, "has 1025 bytes or more, must have 32 to 1024");
    make_file(SECRET_MAX + 99, 0600);
    refused(0, "bytes or more");
    make_file(0, 0600);
    refused(0, "has 0 bytes, must");
}

static void test_modes(void **state)
{
    struct justalock_error err;
    struct secret s;

    (void)state;
    for (mode_t mode = 0; mode <= 0777; mode++) {
        if (geteuid() != 0 && (mode & 0400) == 0)
            continue; /* refused by the kernel already */
        make_file(64, mode);
        if ((mode & 077) != 0) {
            assert_fails(secret_load(path, &s, &err), JUSTALOCK_CONFIG, err,
                         "lets group or others in");
        } else {
            assert_ok(secret_load(path, &s, &err), err);
        }
        assert_int_equal(unlink(path), 0);
    }
}

static void test_not_a_file(void **state)
{
    char target[96];

    (void)state;
    refused(ENOENT, "No such file");
    (void)snprintf(target, sizeof(target), "%s/target", dir);
    make_file(64, 0600);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink(target, path), 0);
    refused(0, "is a symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(target), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(0, "is not a regular file"); /* and does not hang */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    refused(0, "is not a regular file");
}

static void test_owner(void **state)
{
    struct justalock_error err;
    struct secret s;

    (void)state;
    if (geteuid() != 0)
        skip();
    make_file(64, 0600);
    assert_int_equal(chown(path, 12345, 0), 0);
    refused(0, "belongs to uid 12345, must belong to root");
    /* Its own user may read it (a private configuration)... */
    assert_int_equal(chmod(dir, 0711), 0);
    assert_int_equal(seteuid(12345), 0);
    assert_int_equal(secret_load(path, &s, &err), JUSTALOCK_OK);
    assert_int_equal(seteuid(0), 0);
    /* ...and whoever cannot is told so. */
    assert_int_equal(seteuid(12346), 0);
    refused(EACCES, "Permission denied");
    assert_int_equal(seteuid(0), 0);
}

static void test_create(void **state)
{
    struct justalock_error err;
    struct secret a, b;
    struct stat st;
    mode_t old = umask(0);

    (void)state;
    assert_ok(secret_create(path, &err), err);
    (void)umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 64);
    assert_ok(secret_load(path, &a, &err), err);
    assert_fails(secret_create(path, &err), JUSTALOCK_SYS, err, "File exists");
    assert_int_equal(err.sys_errno, EEXIST);
    assert_ok(secret_load(path, &b, &err), err);
    assert_memory_equal(a.data, b.data, 64);
    assert_int_equal(unlink(path), 0);
    fault = SHORT_WRITES;
    assert_ok(secret_create(path, &err), err);
    assert_ok(secret_load(path, &b, &err), err);
    assert_int_equal(b.len, 64);
    assert_memory_not_equal(a.data, b.data, 64);
}

/* A failed call leaves no half-made secret behind. */
static void test_create_fails(void **state)
{
    struct justalock_error err;

    (void)state;
    fault = NO_SPACE;
    assert_fails(secret_create(path, &err), JUSTALOCK_SYS, err,
                 "No space left");
    assert_int_equal(access(path, F_OK), -1);
    fault = NO_SYNC;
    assert_fails(secret_create(path, &err), JUSTALOCK_SYS, err,
                 "Input/output error");
    assert_int_equal(access(path, F_OK), -1);
    fault = NOTHING;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(secret_create(path, &err), JUSTALOCK_SYS, err, "File exists");
    assert_int_equal(access(path, F_OK), 0);
}

static void test_wipe(void **state)
{
    struct secret s, zero;

    (void)state;
    memset(&s, 0x5a, sizeof(s));
    memset(&zero, 0, sizeof(zero));
    secret_wipe(&s);
    assert_memory_equal(&s, &zero, sizeof(s));
}

static struct secret known_secret(void)
{
    struct secret s = {.len = 32};

    for (size_t i = 0; i < s.len; i++)
        s.data[i] = (uint8_t)i;
    return s;
}

static void test_lock_id(void **state)
{
    static const uint8_t want[] = {0x7a, 0x57, 0x3d, 0x1f, 0x49, 0xbf,
                                   0xef, 0xba, 0xbc, 0x0c, 0x81, 0x10,
                                   0x86, 0xde, 0xc6, 0xe1};
    struct secret s = known_secret();
    struct lock_id id, other;

    (void)state;
    secret_lock_id(&s, "db-migration", &id);
    assert_memory_equal(id.bytes, want, sizeof(want));
    secret_lock_id(&s, "db-migratioo", &other);
    assert_memory_not_equal(&id, &other, sizeof(id));
    s.data[5] ^= 1;
    secret_lock_id(&s, "db-migration", &other);
    assert_memory_not_equal(&id, &other, sizeof(id));
}

/* Whatever one field says, no other job has the same client id. */
static void test_job_client(void **state)
{
    struct secret s = known_secret();
    const struct secret_job job = {.cluster = "c1a5",
                                   .job_id = 812,
                                   .array_task = UINT32_MAX,
                                   .restart = 2,
                                   .uid = 1000};
    struct secret_job others[7];
    struct lock_id id = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    char client[34], clients[8][33];

    (void)state;
    memset(client, 'z', sizeof(client));
    secret_job_client(&s, &job, &id, client);
    assert_string_equal(client, "e01cbc948cb9b61376ffd25e371c2493");
    assert_int_equal(client[33], 'z');
    for (size_t i = 0; i < LENGTH(others); i++)
        others[i] = job;
    others[0].cluster = "c1a6";
    others[1].cluster = "";
    others[2].job_id = 813;
    others[3].array_task = 0;
    others[4].restart = 3;
    others[5].uid = 1001;
    others[6].job_id = 2;
    others[6].restart = 812;
    for (size_t i = 0; i < LENGTH(others); i++) {
        secret_job_client(&s, &others[i], &id, clients[i]);
        assert_string_not_equal(clients[i], client);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(clients[i], clients[j]);
    }
    id.bytes[15]++;
    secret_job_client(&s, &job, &id, clients[7]);
    assert_string_not_equal(clients[7], client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sizes),
        TEST(test_modes),
        TEST(test_not_a_file),
        TEST(test_owner),
        TEST(test_create),
        TEST(test_create_fails),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_lock_id),
        cmocka_unit_test(test_job_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
