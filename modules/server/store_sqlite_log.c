/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite_log.c - room for the write-ahead log, made before the first
 * commit.
 *
 * A commit that lengthens its file waits for the file system's own journal
 * beside the data; one that overwrites does not. SQLite begins the log anew
 * over its old frames after each checkpoint, so only a young log grows: we
 * lengthen it once, by zeros. A frame of zeros is none to SQLite (page 0 does
 * not exist), so its recovery ends before them as before any stale frame:
 * https://www.sqlite.org/fileformat2.html#walformat
 */
#include "store_sqlite.h"

#include "log.h"

/* SQLite's checkpoint is due after 1,000 pages; a frame is a page and 24 bytes;
 * a pass may overrun it. */
#define LOG_ROOM (5 << 20)
#define PIECE    (64 << 10)

/* The log is as it was when this fails: a full disk is no reason not to run. */
static int lengthen(sqlite3_file *log, sqlite3_int64 size)
{
    static const char zeros[PIECE];
    sqlite3_int64 at = size;
    int rc = SQLITE_OK;

    while (rc == SQLITE_OK && at < LOG_ROOM) {
        int n = LOG_ROOM - at < PIECE ? (int)(LOG_ROOM - at) : PIECE;

        rc = log->pMethods->xWrite(log, zeros, n, at);
        at += n;
    }
    if (rc == SQLITE_OK)
        rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    if (rc != SQLITE_OK)
        (void)log->pMethods->xTruncate(log, size);
    return rc;
}

void store_log_room(struct sqlite_store *s)
{
    sqlite3_file *log = NULL;
    sqlite3_int64 size = 0;
    int rc =
        sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);

    if (rc == SQLITE_OK && log != NULL && log->pMethods != NULL) {
        rc = log->pMethods->xFileSize(log, &size);
        if (rc == SQLITE_OK && size < LOG_ROOM)
            rc = lengthen(log, size);
    }
    if (rc != SQLITE_OK)
        log_warn("%s-wal: no room made for it beforehand, commits are slower "
                 "until it has grown: %s",
                 s->folder.db, sqlite3_errstr(rc));
}
