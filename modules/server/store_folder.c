/* SPDX-License-Identifier: MIT */
/*
 * store_folder.c - the folder of a server's state, see store_folder.h. Knows
 * nothing of what is in the database.
 */
#include "store_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DB_NAME   "locks.db"
#define MARK_NAME "mark"
#define LOCK_NAME "lock"

static bool join(char *ret, const char *dir, const char *name)
{
    int n = snprintf(ret, PATH_MAX, "%s/%s", dir, name);

    return n > 0 && n < PATH_MAX;
}

static bool exists(const struct folder *f, const char *name)
{
    char path[PATH_MAX];
    struct stat sb;

    return join(path, f->dir, name) && lstat(path, &sb) == 0;
}

static enum justalock_status sync_dir(const struct folder *f,
                                      struct justalock_error *err)
{
    int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    int saved = errno;

    if (fd >= 0)
        (void)close(fd);
    return rc == 0 ? JUSTALOCK_OK
                   : error_sys(err, saved, "%s: cannot sync", f->dir);
}

static enum justalock_status take_lock(struct folder *f,
                                       struct justalock_error *err)
{
    char path[PATH_MAX];

    if (!join(path, f->dir, LOCK_NAME))
        return error_set(err, JUSTALOCK_ARG, "%s: the path is too long",
                         f->dir);
    f->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->lock_fd < 0)
        return error_sys(err, errno, "%s: cannot open", path);
    if (flock(f->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, JUSTALOCK_STATE,
                             "%s: another justalock-server has this folder; "
                             "two on one folder would grant a lock twice",
                             f->dir);
        return error_sys(err, errno, "%s: cannot lock", path);
    }
    return JUSTALOCK_OK;
}

enum justalock_status folder_open(struct folder *f, const char *dir,
                                  struct justalock_error *err)
{
    enum justalock_status st;
    struct stat sb;

    memset(f, 0, sizeof(*f));
    f->lock_fd = -1;
    if (strlen(dir) >= sizeof(f->dir) || dir[0] == '\0')
        return error_set(err, JUSTALOCK_ARG,
                         "--state: the path is empty or "
                         "too long");
    memcpy(f->dir, dir, strlen(dir) + 1);
    if (!join(f->db, dir, DB_NAME))
        return error_set(err, JUSTALOCK_ARG, "%s: the path is too long", dir);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return error_sys(err, errno, "%s: cannot make the folder", dir);
    if (stat(dir, &sb) != 0)
        return error_sys(err, errno, "%s", dir);
    if (!S_ISDIR(sb.st_mode))
        return error_set(err, JUSTALOCK_CONFIG, "%s: not a folder", dir);
    if ((sb.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return error_set(err, JUSTALOCK_CONFIG,
                         "%s: others may write to it (mode %04o)", dir,
                         (unsigned)(sb.st_mode & 07777));
    st = take_lock(f, err);
    if (st != JUSTALOCK_OK) {
        folder_close(f);
        return st;
    }
    f->has_db = exists(f, DB_NAME);
    f->has_mark = exists(f, MARK_NAME);
    return JUSTALOCK_OK;
}

void folder_close(struct folder *f)
{
    if (f->lock_fd >= 0)
        (void)close(f->lock_fd);
    f->lock_fd = -1;
}

enum justalock_status folder_mark(struct folder *f, struct justalock_error *err)
{
    static const char text[] =
        "This folder holds the state of a justalock-server. Without its\n"
        "database the server grants nothing until every lease is over.\n";
    char path[PATH_MAX];
    int fd;
    bool ok;

    if (!join(path, f->dir, MARK_NAME))
        return error_set(err, JUSTALOCK_ARG, "%s: the path is too long",
                         f->dir);
    fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_sys(err, errno, "%s: cannot make", path);
    ok = write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 &&
         fsync(fd) == 0;
    if (close(fd) != 0 || !ok)
        return error_sys(err, errno, "%s: cannot write", path);
    return sync_dir(f, err);
}

enum justalock_status folder_set_aside(struct folder *f, int64_t wall_s,
                                       struct justalock_error *err)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char from[PATH_MAX], to[PATH_MAX];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        int n = snprintf(from, sizeof(from), "%s%s", f->db, suffixes[i]);
        int m = snprintf(to, sizeof(to), "%s.damaged-%" PRId64 "%s", f->db,
                         wall_s, suffixes[i]);

        if (n >= (int)sizeof(from) || m >= (int)sizeof(to))
            return error_set(err, JUSTALOCK_ARG, "%s: the path is too long",
                             f->dir);
        if (rename(from, to) != 0 && errno != ENOENT)
            return error_sys(err, errno, "%s: cannot rename", from);
    }
    return sync_dir(f, err);
}
