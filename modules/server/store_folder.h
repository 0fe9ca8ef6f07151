/* SPDX-License-Identifier: MIT */
/*
 * store_folder.h - the folder that holds a server's state: made, locked for
 * the server's life, and marked, so that state that is missing is told from
 * state that never was.
 */
#ifndef SERVER_STORE_FOLDER_H
#define SERVER_STORE_FOLDER_H

#include <limits.h>
#include <stdbool.h>

#include "clock.h"
#include "error.h"

struct folder {
    char dir[PATH_MAX];
    char db[PATH_MAX];  /* DIR/locks.db */
    int lock_fd;        /* flock on DIR/lock; -1 */
    bool has_mark;      /* a server has served from here */
    unsigned longest_s; /* no lease from here was longer */
    bool has_db, has_log;
    bool was_running; /* the last server did not end cleanly */
};

/* STATE: another server has it; CONFIG: not a folder of ours. */
enum justalock_status folder_open(struct folder *f, const char *dir,
                                  struct justalock_error *err) JUSTALOCK_MUST;
bool folder_log_is_there(const struct folder *f);
void folder_close(struct folder *f);
/* DIR/mark says that state was here, and how long a lease may be: after damage
 * that is how long nothing is granted. On disk when it returns OK. */
enum justalock_status folder_mark(struct folder *f, unsigned longest_s,
                                  struct justalock_error *err) JUSTALOCK_MUST;
/* DIR/running is there while a server serves: then its log must be, too. */
enum justalock_status folder_set_running(struct folder *f, bool is_running,
                                         struct justalock_error *err)
    JUSTALOCK_MUST;
/* Rename the database and its log to *.damaged-WALL_S. */
enum justalock_status folder_set_aside(struct folder *f, int64_t wall_s,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
