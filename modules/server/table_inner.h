/* SPDX-License-Identifier: MIT */
/*
 * table_inner.h - the parts of the lock table that table.c, table_time.c and
 * table_view.c share. For nobody else.
 */
#ifndef SERVER_TABLE_INNER_H
#define SERVER_TABLE_INNER_H

#include <stdlib.h>

/* uthash must not end the server when there is no memory: it backs out, and
 * the element's hh.tbl is NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "table.h"

#define HEAP_NONE SIZE_MAX

struct client {
    uint8_t id[JUSTALOCK_CLIENT_MAX];
    size_t len;
};

struct share {
    char name[LOCK_SHARE_MAX + 1];
    unsigned life_s;
    int64_t expires_ms;
    UT_hash_handle hh;
};

/* A released share is remembered, so that nothing late brings it back. */
struct tomb {
    struct client client;
    char share[LOCK_SHARE_MAX + 1];
    unsigned life_s;
    int64_t until_ms;
    struct tomb *prev, *next;
};

/* A place in the queue: with a request that waits, or kept for its return. */
struct waiter {
    struct client client;
    char share[LOCK_SHARE_MAX + 1];
    void *conn;       /* NULL: between two polls, or gone */
    bool is_gone;     /* its connection ended without an answer */
    int64_t until_ms; /* conn: answer 409 then; else: the place is lost */
    struct waiter *prev, *next;
};

struct lock {
    struct lock_id id;
    struct share *shares; /* hash by name; NULL: free */
    struct client holder;
    char label[JUSTALOCK_LABEL_MAX + 1];
    uint64_t token;
    int64_t since_s;
    bool is_broken;
    struct client offered;
    int64_t offer_until_ms; /* 0: no offer is open */
    struct waiter *waiters; /* first come first */
    struct tomb *tombs;
    int64_t next_ms; /* not later than what happens next to it */
    size_t heap_at;
    UT_hash_handle hh;
};

struct lock_table {
    struct lock *locks;
    struct lock **heap; /* by next_ms */
    size_t heap_len, heap_cap;
    uint64_t last_token;
    size_t held, waiters, tombs;
    struct lock_change *changes;
    size_t changes_len, changes_cap;
    bool is_whole;
    lock_wake_fn *wake;
    void *arg;
    struct lock_counts counts;
};

struct lock *lock_find(const struct lock_table *t, const struct lock_id *id);
/* Free the lock where nothing of it is left. */
void lock_tidy(struct lock_table *t, struct lock *l);
bool same_client(const struct client *c, const struct lock_request *q);

struct share *share_add(struct lock *l, const char *name);
void share_remove(struct lock *l, struct share *s);
void tomb_remove(struct lock_table *t, struct lock *l, struct tomb *b);
void waiter_remove(struct lock_table *t, struct lock *l, struct waiter *w);

void change_share(struct lock_table *t, enum lock_change_kind kind,
                  const struct lock *l, const struct share *s);
void change_tomb(struct lock_table *t, enum lock_change_kind kind,
                 const struct lock *l, const struct tomb *b);

/* table_time.c */
bool heap_reserve(struct lock_table *t);
void heap_remove(struct lock_table *t, struct lock *l);
/* Something happens to l at when_ms. */
void heap_place(struct lock_table *t, struct lock *l, int64_t when_ms);
/* All of l that is due by now; the lock stays, however empty. */
void lock_expire(struct lock_table *t, struct lock *l, int64_t now_ms);
/* It is free: the next in the queue that is there gets an offer. */
void lock_offer(struct lock_table *t, struct lock *l, int64_t now_ms);
/* Whose turn it is next: the first that is there or between two polls. */
struct waiter *waiter_first(struct lock *l);
/* All requests of that client that wait are answered "offered". */
void offer_to(struct lock_table *t, struct lock *l, const struct client *c,
              int64_t now_ms);
/* The client gave up: an offer to it passes on. */
void offer_withdraw(struct lock_table *t, struct lock *l,
                    const struct lock_request *q, int64_t now_ms);
/* A request waits: takes its old place or a new one at the end. */
void waiter_enter(struct lock_table *t, struct lock *l,
                  const struct lock_request *q, int64_t now_ms,
                  struct lock_answer *ret);
/* The share got the lock: its place is no longer needed. */
void waiters_remove(struct lock_table *t, struct lock *l,
                    const struct lock_request *q);
/* The share gave up: what of it waits is answered 409. */
void waiters_cancel(struct lock_table *t, struct lock *l,
                    const struct lock_request *q);

#endif
