/* SPDX-License-Identifier: MIT */
/*
 * file.c - reads a whole file after a look whose it is, see file.h.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum justalock_status unusable(const char *what, const char *path,
                                      struct justalock_error *err)
{
    (void)error_sys(err, errno, "%s %s", what, path);
    if (err != NULL)
        err->status = JUSTALOCK_CONFIG;
    return JUSTALOCK_CONFIG;
}

static enum justalock_status check(int fd, const char *what, const char *path,
                                   mode_t forbidden,
                                   struct justalock_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return unusable(what, path, err);
    if (!S_ISREG(st.st_mode))
        return error_set(err, JUSTALOCK_CONFIG, "%s %s: is not a regular file",
                         what, path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return error_set(err, JUSTALOCK_CONFIG,
                         "%s %s: belongs to uid %u, must belong to root or to "
                         "uid %u, who reads it",
                         what, path, (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & forbidden) != 0)
        return error_set(err, JUSTALOCK_CONFIG,
                         "%s %s: mode %04o gives others more than it may, at "
                         "most %04o",
                         what, path, (unsigned)(st.st_mode & 07777),
                         (unsigned)(0666 & ~forbidden));
    return JUSTALOCK_OK;
}

static enum justalock_status read_all(int fd, const char *what,
                                      const char *path, size_t max,
                                      struct buf *b,
                                      struct justalock_error *err)
{
    char chunk[4096];
    ssize_t n;

    do {
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0)
            buf_add(b, chunk, (size_t)n);
    } while ((n > 0 && !b->failed) || (n < 0 && errno == EINTR));
    if (n < 0)
        return unusable(what, path, err);
    if (b->failed && b->len + sizeof(chunk) <= max)
        return error_nomem(err);
    if (b->failed || b->len == 0)
        return error_set(err, JUSTALOCK_CONFIG,
                         "%s %s: has %s, must have 1 to %zu bytes", what, path,
                         b->failed ? "more" : "none", max);
    return JUSTALOCK_OK;
}

enum justalock_status file_read(const char *what, const char *path,
                                mode_t forbidden, size_t max, struct buf *b,
                                struct justalock_error *err)
{
    /* O_NONBLOCK: a FIFO in its place must not hang us; fstat refuses it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum justalock_status st;

    buf_init(b, max);
    if (fd < 0)
        return unusable(what, path, err);
    st = check(fd, what, path, forbidden, err);
    if (st == JUSTALOCK_OK)
        st = read_all(fd, what, path, max, b, err);
    (void)close(fd); /* only read from */
    return st;
}
