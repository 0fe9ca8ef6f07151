/* SPDX-License-Identifier: MIT */
/*
 * pages.h - what the server shows: JSON of the locks, metrics, a plain page.
 * Read-only; never a client id, and of a lock's id only the beginning.
 */
#ifndef SERVER_PAGES_H
#define SERVER_PAGES_H

#include "buf.h"
#include "limits.h"
#include "table.h"

#define PAGES_MAX (64U * 1024 * 1024)

#define PAGES_METHODS 4 /* POST, DELETE, GET, others */
#define PAGES_CODES   11

struct page_figures {
    uint64_t requests[PAGES_METHODS][PAGES_CODES]; /* see pages_code */
    uint64_t commits, commits_failed, commit_us, commit_max_us, changes;
    uint64_t refused[LIMITS][2]; /* at a limit of all, of one */
    int64_t start_wall_s;
    bool is_quiet;
};

/* The code's column in `requests`; one that we do not send counts as 500. */
unsigned pages_code(unsigned http_status);

void pages_lock(struct buf *b, const struct lock_table *t,
                const struct lock_id *id, int64_t now_ms);
void pages_locks(struct buf *b, const struct lock_table *t, int64_t now_ms);
void pages_metrics(struct buf *b, const struct lock_table *t,
                   const struct page_figures *f, int64_t now_ms,
                   int64_t wall_s);
void pages_home(struct buf *b, const struct lock_table *t,
                const struct page_figures *f, int64_t now_ms);

/* "2026-11-23T07:46:09Z"; "" for 0. */
struct page_time {
    char s[32];
};
struct page_time pages_time(int64_t wall_s);

#endif
