/* SPDX-License-Identifier: MIT */
/*
 * table_inner.h - what the files of the lock table share: table.c (the rules),
 * table_load.c, table_hold.c, table_share.c, table_tomb.c, table_queue.c,
 * table_payer.c, table_time.c, table_view.c. For nobody else.
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

/* Whom what is used is charged to. */
struct payer {
    char name[LOCK_PAYER_MAX + 1];
    size_t used[LOCK_LIMITS];
    UT_hash_handle hh;
};

struct client {
    uint8_t id[JUSTALOCK_CLIENT_MAX];
    size_t len;
};

struct share_key {
    const struct holding *holding;
    char name[LOCK_SHARE_MAX + 1]; /* zeros behind it, padding too: hashed */
};

struct share {
    struct share_key key;
    unsigned life_s;
    int64_t expires_ms;
    struct payer *payer;       /* NULL: nobody's as yet */
    struct share *prev, *next; /* of the same holding */
    UT_hash_handle hh;         /* all, by key */
};

struct tomb_key {
    struct lock_id id;
    uint8_t client[JUSTALOCK_CLIENT_MAX];
    uint8_t client_len;
    char share[LOCK_SHARE_MAX + 1];
};

/* Who is in, and in which slot. It ends with its last share. */
struct holding {
    struct lock *lock;
    unsigned slot, slots; /* which, and in with how many at most */
    struct share *shares;
    unsigned shares_len;
    struct client holder;
    char label[JUSTALOCK_LABEL_MAX + 1];
    uint64_t token;
    int64_t since_s;
    bool is_broken;
    struct holding *prev, *next; /* of the same lock, by slot */
};

/* Somebody's turn, until it confirms. */
struct offer {
    struct client client;
    unsigned slots;
    int64_t until_ms;
    struct offer *prev, *next; /* of the same lock */
};

/* A released share is remembered, so that nothing late brings it back. */
struct tomb {
    struct tomb_key key;
    unsigned life_s;
    int64_t until_ms;
    struct payer *payer;
    struct tomb *prev, *next; /* of the same slot of the wheel */
    UT_hash_handle hh;        /* all, by key */
};

struct waiter_key {
    const struct lock *lock;
    struct client client;
    bool is_place;                  /* not one of lock.pollers */
    char share[LOCK_SHARE_MAX + 1]; /* zeros behind it, padding too: hashed */
};

/* A place in the queue: with a request that waits, or kept for its return.
 * Or a client that polls, while it has no place yet (lock.pollers). */
struct waiter {
    struct payer *payer;
    unsigned slots;
    const struct offer *offer; /* it has its turn; NULL: not yet */
    void *conn;                /* NULL: between two polls, or gone */
    bool is_gone;              /* its connection ended without an answer */
    bool is_poller;            /* it never waits, it asks again and again */
    int64_t until_ms; /* conn: answer 409 then; else: the place is lost */
    int64_t since_ms; /* of a poller: its first refusal without a pause */
    struct waiter_key key;
    UT_hash_handle hh; /* all, by key */
    struct waiter *prev, *next;
};

struct lock {
    struct lock_id id;
    struct holding *holdings; /* by slot; NULL: free */
    struct offer *offers;
    struct waiter *waiters; /* first come first */
    struct waiter *pollers;
    unsigned pollers_len;
    int64_t next_ms; /* not later than what happens next to it */
    size_t heap_at;
    UT_hash_handle hh;
};

struct lock_table {
    struct lock *locks;
    struct share *shares;
    struct tomb *tombs;
    struct tomb **wheel; /* by the second in which they end */
    int64_t wheel_s;     /* all slots before it are done; 0: none begun */
    struct lock **heap;  /* by next_ms */
    size_t heap_len, heap_cap;
    uint64_t last_token;
    size_t held, waiters, offers_open;
    struct payer *payers, *payer; /* payer: whose request it is now, or NULL */
    bool is_loading;              /* a row of the store, no request */
    struct waiter *waiting;       /* places and pollers of all locks */
    struct lock_limits limits;
    size_t used[LOCK_LIMITS];
    struct lock_refusal refusal;
    struct lock_change *changes;
    size_t changes_len, changes_cap;
    bool is_whole;
    lock_wake_fn *wake;
    void *arg;
    struct lock_counts counts;
};

struct lock *lock_find(const struct lock_table *t, const struct lock_id *id);
/* That, or a new one. NULL: no memory. */
struct lock *lock_get(struct lock_table *t, const struct lock_id *id);
/* Free the lock where nothing of it is left. */
void lock_tidy(struct lock_table *t, struct lock *l);
/* A request that says nothing of slots wants to be the only one in. */
static inline unsigned slots_of(const struct lock_request *q)
{
    return q->slots == 0 ? 1 : q->slots;
}

bool same_client(const struct client *c, const struct lock_request *q);
bool are_same(const struct client *a, const struct client *b);
void set_client(struct client *c, const struct lock_request *q);
void change_add(struct lock_table *t, enum lock_change_kind kind,
                const struct lock_row *row);

/* table_hold.c */
struct holding *holding_of(const struct lock *l, const struct client *c);
struct holding *holding_in(const struct lock *l, unsigned slot);
/* May one more be in who wants at most `slots` in with it? Each who is in, or
 * has an offer but for `own`, says the same of itself. */
bool lock_has_room(const struct lock *l, unsigned slots,
                   const struct offer *own);
unsigned lock_free_slot(const struct lock *l);
/* Without a share as yet. NULL: no memory. */
struct holding *holding_add(struct lock_table *t, struct lock *l, unsigned slot,
                            unsigned slots);
/* And its shares, of which the store is told nothing. */
void holding_remove(struct lock_table *t, struct holding *h);

/* table_share.c */
struct share *share_find(const struct lock_table *t, const struct holding *h,
                         const char *name);
/* NULL: no memory. */
struct share *share_add(struct lock_table *t, struct holding *h,
                        const char *name);
void share_remove(struct lock_table *t, struct holding *h, struct share *s);
void share_change(struct lock_table *t, enum lock_change_kind kind,
                  const struct holding *h, const struct share *s);
/* Those whose lease has ended. */
void shares_expire(struct lock_table *t, struct lock *l, int64_t now_ms);

/* table_tomb.c */
bool tomb_covers(const struct lock_table *t, const struct lock_request *q,
                 int64_t now_ms);
/* Remember it for the longer of life_s and before. false: no room. */
bool tomb_put(struct lock_table *t, const struct lock_request *q,
              unsigned life_s, int64_t now_ms);
void tombs_expire(struct lock_table *t, int64_t now_ms);
void tombs_free(struct lock_table *t);

/* table_payer.c */
/* May one more be used? Else lock_refusal says why not. */
bool payer_may(struct lock_table *t, enum lock_limit limit);
/* One more is; whose it is. */
struct payer *payer_charge(struct lock_table *t, enum lock_limit limit);
void payer_release(struct lock_table *t, enum lock_limit limit,
                   struct payer *p);
/* A share that was loaded is refreshed: it is that payer's. */
void payer_adopt(struct lock_table *t, struct share *s);
void payers_free(struct lock_table *t);

/* table_time.c */
bool heap_reserve(struct lock_table *t);
void heap_remove(struct lock_table *t, struct lock *l);
/* Something happens to l at when_ms. */
void heap_place(struct lock_table *t, struct lock *l, int64_t when_ms);
/* All of l that is due by now; the lock stays, however empty. */
void lock_expire(struct lock_table *t, struct lock *l, int64_t now_ms);

/* table_queue.c */
void queue_free(struct lock_table *t, struct lock *l);
/* Places and offers that end by now. */
void queue_expire(struct lock_table *t, struct lock *l, int64_t now_ms);
/* As long as there is room, the next in the queue gets an offer. */
void queue_pass_on(struct lock_table *t, struct lock *l, int64_t now_ms);
/* There may be room, but whose turn is it? */
bool queue_is_turn(const struct lock *l, const struct client *c);
struct offer *offer_of(const struct lock *l, const struct client *c);
/* No offer to that client is open any longer. */
void queue_end_offer(struct lock_table *t, struct lock *l,
                     const struct client *c);
/* All requests of that client that wait are answered "offered". */
void queue_offer_to(struct lock_table *t, struct lock *l,
                    const struct client *c, int64_t now_ms);
/* A request waits: takes its old place or a new one at the end. */
void queue_enter(struct lock_table *t, struct lock *l,
                 const struct lock_request *q, int64_t now_ms,
                 struct lock_answer *ret);
/* It is refused and does not wait: nobody may be passed over for ever. */
void queue_refused(struct lock_table *t, struct lock *l,
                   const struct lock_request *q, int64_t now_ms);
/* The share has the lock or gave up: its place ends; what waits gets 409. */
void queue_leave(struct lock_table *t, struct lock *l,
                 const struct lock_request *q);
/* The client gave up: an offer to it passes on. */
void queue_withdraw(struct lock_table *t, struct lock *l,
                    const struct lock_request *q, int64_t now_ms);

#endif
