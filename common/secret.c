/* SPDX-License-Identifier: MIT */
/*
 * secret.c - read and make the site secret, and what is derived from it:
 * hashed names and the client ids of jobs. Never prints a byte of it.
 */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/hmac.h>

#define SECRET_NEW_LEN 64

/* A failed call is CONFIG here, with its errno. */
static enum justalock_status unusable(struct justalock_error *err, int errnum,
                                      const char *path)
{
    (void)error_sys(err, errnum, "secret %s", path);
    if (err != NULL)
        err->status = JUSTALOCK_CONFIG;
    return JUSTALOCK_CONFIG;
}

static enum justalock_status check(int fd, const char *path,
                                   struct justalock_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return unusable(err, errno, path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, JUSTALOCK_CONFIG,
                         "secret %s: is not a regular file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return error_set(err, JUSTALOCK_CONFIG,
                         "secret %s: belongs to uid %u, must belong to root",
                         path, (unsigned)st.st_uid);
    if ((st.st_mode & 077) != 0)
        return error_set(err, JUSTALOCK_CONFIG,
                         "secret %s: mode %04o lets group or others in, must "
                         "be 0600 or 0400",
                         path, (unsigned)(st.st_mode & 07777));
    return JUSTALOCK_OK;
}

/* Up to size bytes; -1 with errno. */
static ssize_t read_all(int fd, uint8_t *data, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, data + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static enum justalock_status load_fd(int fd, const char *path,
                                     struct secret *ret_secret,
                                     struct justalock_error *err)
{
    uint8_t data[SECRET_MAX + 1]; /* one more shows that it is too long */
    enum justalock_status st = check(fd, path, err);
    ssize_t len;

    if (st != JUSTALOCK_OK)
        return st;
    len = read_all(fd, data, sizeof(data));
    if (len < 0) {
        st = unusable(err, errno, path);
    } else if (len < SECRET_MIN || len > SECRET_MAX) {
        st = error_set(err, JUSTALOCK_CONFIG,
                       "secret %s: has %zd bytes%s, must have %d to %d", path,
                       len, len > SECRET_MAX ? " or more" : "", SECRET_MIN,
                       SECRET_MAX);
    } else {
        memcpy(ret_secret->data, data, (size_t)len);
        ret_secret->len = (size_t)len;
    }
    explicit_bzero(data, sizeof(data));
    return st;
}

enum justalock_status secret_load(const char *path, struct secret *ret_secret,
                                  struct justalock_error *err)
{
    /* O_NONBLOCK: a FIFO in its place must not hang us; fstat refuses it. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    enum justalock_status st;

    if (fd < 0 && errno == ELOOP)
        return error_set(err, JUSTALOCK_CONFIG, "secret %s: is a symbolic link",
                         path);
    if (fd < 0)
        return unusable(err, errno, path);
    st = load_fd(fd, path, ret_secret, err);
    (void)close(fd); /* only read from */
    return st;
}

/* 0, or the errno of what failed. */
static int write_all(int fd, const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = write(fd, data + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        at += (size_t)n;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

enum justalock_status secret_create(const char *path,
                                    struct justalock_error *err)
{
    uint8_t data[SECRET_NEW_LEN];
    int errnum, fd;

    /* Up to 256 bytes come whole once the kernel's pool is ready. */
    if (getrandom(data, sizeof(data), 0) != (ssize_t)sizeof(data))
        return error_sys(err, errno, "random bytes");
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        errnum = errno;
        explicit_bzero(data, sizeof(data));
        return error_sys(err, errnum, "secret %s", path);
    }
    errnum = write_all(fd, data, sizeof(data));
    explicit_bzero(data, sizeof(data));
    if (close(fd) != 0 && errnum == 0)
        errnum = errno;
    if (errnum == 0)
        return JUSTALOCK_OK;
    (void)unlink(path); /* ours, and of no use */
    return error_sys(err, errnum, "secret %s", path);
}

void secret_wipe(struct secret *s)
{
    explicit_bzero(s, sizeof(*s));
}

static void hmac_start(struct hmac_sha256_ctx *ctx, const struct secret *s)
{
    hmac_sha256_set_key(ctx, s->len, s->data);
}

static void hmac_finish(struct hmac_sha256_ctx *ctx,
                        uint8_t ret_first[JUSTALOCK_ID_LEN])
{
    uint8_t digest[SHA256_DIGEST_SIZE];

    hmac_sha256_digest(ctx, sizeof(digest), digest);
    memcpy(ret_first, digest, JUSTALOCK_ID_LEN);
    explicit_bzero(digest, sizeof(digest));
    explicit_bzero(ctx, sizeof(*ctx));
}

void secret_lock_id(const struct secret *s, const char *name,
                    struct lock_id *ret_id)
{
    struct hmac_sha256_ctx ctx;

    hmac_start(&ctx, s);
    hmac_sha256_update(&ctx, strlen(name), (const uint8_t *)name);
    hmac_finish(&ctx, ret_id->bytes);
}

static void add_u32(struct hmac_sha256_ctx *ctx, uint32_t v)
{
    uint8_t le[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
                     (uint8_t)(v >> 24)};

    hmac_sha256_update(ctx, sizeof(le), le);
}

/* u32 length, little endian, then the bytes: no two lists of fields agree. */
static void add_field(struct hmac_sha256_ctx *ctx, const void *data, size_t len)
{
    add_u32(ctx, (uint32_t)len);
    hmac_sha256_update(ctx, len, data);
}

static void client_text(const uint8_t client[JUSTALOCK_ID_LEN], char ret[33])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < JUSTALOCK_ID_LEN; i++) {
        ret[2 * i] = digits[client[i] >> 4];
        ret[2 * i + 1] = digits[client[i] & 0xf];
    }
    ret[32] = '\0';
}

void secret_job_client(const struct secret *s, const struct secret_job *job,
                       const struct lock_id *id, char ret_client[33])
{
    /* Its length's NUL bytes come first, which no name can hold. */
    static const char label[] = "justalock job client 1";
    struct hmac_sha256_ctx ctx;
    uint8_t client[JUSTALOCK_ID_LEN];

    hmac_start(&ctx, s);
    add_field(&ctx, label, sizeof(label) - 1);
    add_field(&ctx, job->cluster, strlen(job->cluster));
    add_u32(&ctx, job->job_id);
    add_u32(&ctx, job->array_task);
    add_u32(&ctx, job->restart);
    add_u32(&ctx, job->uid);
    add_field(&ctx, id->bytes, sizeof(id->bytes));
    hmac_finish(&ctx, client);
    client_text(client, ret_client);
}

void secret_session_client(const struct secret *s, const char *host,
                           uint32_t uid, const struct lock_id *id,
                           char ret_client[33])
{
    static const char label[] = "justalock session client 1";
    struct hmac_sha256_ctx ctx;
    uint8_t client[JUSTALOCK_ID_LEN];

    hmac_start(&ctx, s);
    add_field(&ctx, label, sizeof(label) - 1);
    add_field(&ctx, host, strlen(host));
    add_u32(&ctx, uid);
    add_field(&ctx, id->bytes, sizeof(id->bytes));
    hmac_finish(&ctx, client);
    client_text(client, ret_client);
}
