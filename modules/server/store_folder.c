/* SPDX-License-Identifier: MIT */
/*
 * store_folder.c - the folder of a server's state, see store_folder.h. Knows
 * nothing of what is in the database.
 */
#include "store_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parse.h"

#define DB_NAME   "locks.db"
#define LOG_NAME  "locks.db-wal"
#define MARK_NAME "mark"
#define RUN_NAME  "running"
#define MARK_TEXT                                                              \
    "The state of a justalock-server. Without its database nothing is\n"       \
    "granted until every lease is over.\nlongest_s"
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

bool folder_log_is_there(const struct folder *f)
{
    return exists(f, LOG_NAME);
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

/* What is not what we wrote: the longest that there can be. */
static unsigned read_mark(const struct folder *f)
{
    char path[PATH_MAX], text[256];
    const char *at;
    uint64_t n;
    ssize_t len;
    int fd;

    if (!join(path, f->dir, MARK_NAME))
        return JUSTALOCK_LIFE_MAX_S;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return JUSTALOCK_LIFE_MAX_S;
    len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (len < 1 || text[len - 1] != '\n')
        return JUSTALOCK_LIFE_MAX_S;
    text[len - 1] = '\0';
    at = strrchr(text, ' ');
    if (strncmp(text, MARK_TEXT, sizeof(MARK_TEXT) - 1) != 0 || at == NULL ||
        parse_u64(at + 1, 0, JUSTALOCK_LIFE_MAX_S, "longest_s", &n, NULL) !=
            JUSTALOCK_OK)
        return JUSTALOCK_LIFE_MAX_S;
    return (unsigned)n;
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
    f->has_log = exists(f, LOG_NAME);
    f->has_mark = exists(f, MARK_NAME);
    f->longest_s = f->has_mark ? read_mark(f) : 0;
    f->was_running = exists(f, RUN_NAME);
    return JUSTALOCK_OK;
}

void folder_close(struct folder *f)
{
    if (f->lock_fd >= 0)
        (void)close(f->lock_fd);
    f->lock_fd = -1;
}

enum justalock_status folder_mark(struct folder *f, unsigned longest_s,
                                  struct justalock_error *err)
{
    char path[PATH_MAX], tmp[PATH_MAX], text[256];
    enum justalock_status st;
    int fd, len;
    bool ok;

    if (!join(path, f->dir, MARK_NAME) || !join(tmp, f->dir, MARK_NAME ".new"))
        return error_set(err, JUSTALOCK_ARG, "%s: the path is too long",
                         f->dir);
    len = snprintf(text, sizeof(text), MARK_TEXT " %u\n", longest_s);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_sys(err, errno, "%s: cannot make", tmp);
    ok = write(fd, text, (size_t)len) == len && fsync(fd) == 0;
    if (close(fd) != 0 || !ok)
        return error_sys(err, errno, "%s: cannot write", tmp);
    if (rename(tmp, path) != 0)
        return error_sys(err, errno, "%s: cannot rename", tmp);
    st = sync_dir(f, err);
    if (st == JUSTALOCK_OK) {
        f->longest_s = longest_s;
        f->has_mark = true;
    }
    return st;
}

enum justalock_status folder_set_running(struct folder *f, bool is_running,
                                         struct justalock_error *err)
{
    char path[PATH_MAX];
    int fd;

    if (is_running && f->was_running)
        return JUSTALOCK_OK;
    if (!join(path, f->dir, RUN_NAME))
        return error_set(err, JUSTALOCK_ARG, "%s: the path is too long",
                         f->dir);
    if (!is_running) {
        if (unlink(path) != 0 && errno != ENOENT)
            return error_sys(err, errno, "%s: cannot remove", path);
        return sync_dir(f, err);
    }
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || close(fd) != 0)
        return error_sys(err, errno, "%s: cannot make", path);
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
