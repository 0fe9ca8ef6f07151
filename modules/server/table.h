/* SPDX-License-Identifier: MIT */
/*
 * table.h - who holds which lock: the rules of the lock protocol, pure. Time
 * comes in with each call, changes for the store go out as a list, answers to
 * requests that waited go out through one callback. Reads no clock, does no
 * input or output.
 *
 * Times are milliseconds of CLOCK_MONOTONIC_RAW; `wall_s` is only for what
 * people read.
 */
#ifndef SERVER_TABLE_H
#define SERVER_TABLE_H

#include <limits.h>
#include <stdbool.h>

#include "id.h"

#define LOCK_SHARE_MAX      64    /* characters of a share's name */
#define LOCK_SHARES_MAX     65536 /* shares of one holding */
#define LOCK_SLOTS_MAX      JUSTALOCK_SLOTS_MAX
#define LOCK_WAITERS_MAX    16384   /* waiting requests and kept places, all */
#define LOCK_TOMBS_MAX      1000000 /* about 250 bytes each */
#define LOCK_HELD_MAX       1000000 /* shares of all holdings */
#define LOCK_PAYER_MAX      300     /* bytes of a payer's name */
#define LOCK_OFFER_MS       5000    /* to confirm an offer */
#define LOCK_PLACE_MS       5000    /* a place without a request */
#define LOCK_TOMB_EXTRA_S   60 /* a released share is remembered s + this */
#define LOCK_WAIT_MAX_S     30
/* A client that asks again and again while others wait gets a place after
 * this, if it never paused for longer than LOCK_PLACE_MS. */
#define LOCK_PATIENCE_MS    30000
#define LOCK_POLLERS_MAX    64 /* of one lock that are watched so */
#define LOCK_LIFE_DEFAULT_S 60

enum lock_result {
    LOCK_NEW,      /* 200: a new holding, with a new token */
    LOCK_RENEWED,  /* 200 */
    LOCK_OFFERED,  /* 200: yours if you ask again within LOCK_OFFER_MS */
    LOCK_RELEASED, /* 200 to DELETE */
    LOCK_CONFLICT, /* 409 */
    LOCK_WAITING,  /* no answer yet: comes through the callback */
    LOCK_BUSY      /* 503: a limit is reached or there is no memory */
};

struct lock_request {
    struct lock_id id;
    uint8_t client[JUSTALOCK_CLIENT_MAX];
    size_t client_len; /* 1.. */
    char share[LOCK_SHARE_MAX + 1];
    char label[JUSTALOCK_LABEL_MAX + 1];
    unsigned life_s;
    unsigned slots;  /* 1..LOCK_SLOTS_MAX: in with how many; 0: as 1 */
    unsigned wait_s; /* 0: answer at once */
    void *conn;      /* for the callback */
};

struct lock_answer {
    enum lock_result result;
    uint64_t token;                       /* NEW, RENEWED */
    unsigned slot;                        /* NEW, RENEWED */
    char holder[JUSTALOCK_LABEL_MAX + 1]; /* CONFLICT: "" where unknown */
    int64_t since_s;                      /* CONFLICT: wall clock; 0 unknown */
    bool is_broken; /* CONFLICT: the asker's own holding, which was broken */
};

/* One row of the store: a share of a holding, or a released one's memory. */
struct lock_row {
    struct lock_id id;
    uint8_t client[JUSTALOCK_CLIENT_MAX];
    size_t client_len;
    char share[LOCK_SHARE_MAX + 1];
    char label[JUSTALOCK_LABEL_MAX + 1];
    unsigned life_s;
    unsigned slot, slots; /* of its holding: slot < slots */
    uint64_t token;
    int64_t since_s;
    bool is_broken;
};

enum lock_change_kind {
    LOCK_PUT,      /* a share is held: insert or replace */
    LOCK_DROP,     /* it no longer is */
    LOCK_PUT_TOMB, /* it was released: life_s is what to remember it for */
    LOCK_DROP_TOMB
};

struct lock_change {
    enum lock_change_kind kind;
    struct lock_row row;
};

/* A request that waited is answered. `conn` is no longer known after it. */
typedef void lock_wake_fn(void *arg, void *conn, const struct lock_answer *a);

/* What can be used up, by one client and by all of them. */
enum lock_limit {
    LOCK_LIMIT_WAITERS,  /* waiting requests and kept places */
    LOCK_LIMIT_HELD,     /* shares of holdings */
    LOCK_LIMIT_RELEASED, /* released shares that are remembered */
    LOCK_LIMITS
};
struct lock_limits {
    size_t all[LOCK_LIMITS], each[LOCK_LIMITS];
};
/* LOCK_..._MAX in all, and half of it for each. */
struct lock_limits lock_limits_default(void);

struct lock_table;

struct lock_table *lock_table_new(lock_wake_fn *wake, void *arg,
                                  uint64_t last_token);
void lock_table_free(struct lock_table *t);

/* Instead of lock_limits_default. Nothing that is there ends by it. */
void lock_set_limits(struct lock_table *t, const struct lock_limits *limits);

/* From now on requests are those of `payer`, whose use is counted together;
 * NULL: of nobody, as while loading. false: no memory, nobody's then. */
bool lock_charge(struct lock_table *t, const char *payer);
/* Why LOCK_BUSY was said since lock_charge: a limit, of the payer's own or of
 * all together; LOCK_LIMITS: another reason. */
struct lock_refusal {
    enum lock_limit limit;
    bool is_own;
};
struct lock_refusal lock_refusal(const struct lock_table *t);

/*
 * Take, refresh or wait. A row with a new token, a share that is new or a
 * longer life is a change that must be on disk before the answer leaves.
 */
void lock_take(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, int64_t wall_s, struct lock_answer *ret_answer);

/* Give a share back. */
void lock_give(struct lock_table *t, const struct lock_request *q,
               int64_t now_ms, struct lock_answer *ret_answer);

#define LOCK_ALL_SLOTS UINT_MAX

/* The admin's break of the holder of one slot, or of all: refreshes are refused
 * from now on. false: not held. */
bool lock_break(struct lock_table *t, const struct lock_id *id, unsigned slot);

/* The connection of a waiting request is gone. Its place is kept a while. */
void lock_gone(struct lock_table *t, const struct lock_id *id, const void *conn,
               int64_t now_ms);

/* Expire what is due and offer what became free. Returns when to call again,
 * INT64_MAX: never. */
int64_t lock_run(struct lock_table *t, int64_t now_ms);

/* Would this request change what is on disk? For a server whose store fails:
 * what writes nothing may still be answered. */
bool lock_writes(const struct lock_table *t, const struct lock_request *q,
                 bool is_give, int64_t now_ms);

/* From the store at start: every stored share gets its full lease again.
 * PROTO: it contradicts what is loaded; NOMEM. */
enum justalock_status lock_load(struct lock_table *t,
                                const struct lock_row *row, bool is_tomb,
                                int64_t now_ms);

/* t was loaded anew from what `old` wrote: shares in both end when they would
 * have, not a full lease later; what was counted goes on. */
void lock_carry_over(struct lock_table *t, const struct lock_table *old);

/* The changes since the last lock_changes_clear; false in *ret_whole: some
 * could not be recorded (no memory), nothing of this pass may be answered. */
const struct lock_change *lock_changes(const struct lock_table *t,
                                       size_t *ret_len, bool *ret_whole);
void lock_changes_clear(struct lock_table *t);
uint64_t lock_last_token(const struct lock_table *t);

/* What anyone may see of a holder. */
struct lock_holder {
    unsigned slot, shares;
    bool is_broken;
    uint64_t token;
    int64_t expires_ms; /* from now */
    int64_t since_s;
    char label[JUSTALOCK_LABEL_MAX + 1];
};
typedef bool lock_holder_fn(void *arg, const struct lock_holder *holder);

/* What anyone may see of a lock. */
struct lock_view {
    struct lock_id id;
    bool is_held;
    unsigned holders, waiters;
    unsigned slots;           /* as many may be in, say those who are; or 0 */
    struct lock_holder first; /* is_held: of the lowest slot */
    int64_t oldest_s;         /* is_held: the earliest since_s of them */
};
/* false: nobody holds it and nobody waits. */
bool lock_look(const struct lock_table *t, const struct lock_id *id,
               int64_t now_ms, struct lock_view *ret_view);
/* All locks that are held or waited for, in no order; fn returns false to
 * stop. */
typedef bool lock_view_fn(void *arg, const struct lock_view *view);
void lock_each(const struct lock_table *t, int64_t now_ms, lock_view_fn *fn,
               void *arg);
/* All holders of a lock, by their slots; fn returns false to stop. */
void lock_holders(const struct lock_table *t, const struct lock_id *id,
                  int64_t now_ms, lock_holder_fn *fn, void *arg);

struct lock_counts {
    size_t held; /* holdings, each slot of a lock its own */
    size_t waiters, tombs, offers_open;
    uint64_t grants, refreshes, conflicts, releases, expired, offers,
        lapsed_offers;
};
struct lock_counts lock_counts(const struct lock_table *t);

#endif
