/* SPDX-License-Identifier: MIT */
/*
 * keeper_inner.h - what the files of the keeper share: one kept lock and the
 * steps it goes through.
 *
 *   ASKING --200--> HELD --------- loss --------> LOST
 *    |  ^             |                             |
 *   409 | offered     +--- keeper_release() --+-----+
 *    v  |                                     v
 *   WAITING (extensions) or QUEUED (base) --> GIVING --> gone
 *
 * Whatever may have been granted unheard goes through GIVING too, silently,
 * after its handle has had its last event.
 */
#ifndef COMMON_KEEPER_INNER_H
#define COMMON_KEEPER_INNER_H

/* No memory: the element is not added, and its hh.tbl says so. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "keeper.h"
#include "keeper_servers.h"
#include "keeper_timer.h"
#include "service.h"

#define KEEPER_RETRY_MS     100  /* doubled with each failure */
#define KEEPER_RETRY_MAX_MS 2000 /* while nothing is held */
#define KEEPER_DEFER_MAX_MS 60000
#define KEEPER_QUICK_MS     500  /* a wait that ends sooner was none */
#define KEEPER_FLIGHTS_MAX  32   /* attempts at one service at a time */
#define KEEPER_GIVE_MS      5000 /* for what nobody waits for */
/* With several servers one may take over before the share can be given back. */
#define KEEPER_GIVE_LONG_MS 20000
/* The protocol allows 30. While a service holds a wait back it is not seen that
 * it is paused, nor that another holds the lock by now. */
#define KEEPER_WAIT_S       10
#define KEEPER_LEAST_MS     50 /* of an attempt that shares its time */

enum keep_state {
    KEEP_ASKING,
    KEEP_WAITING, /* at the service's own queue */
    KEEP_QUEUED,  /* another of ours polls for this id */
    KEEP_HELD,
    KEEP_LOST,
    KEEP_GIVING
};

/* A service, and what it has shown to have. */
struct place {
    struct place *next;
    struct keeper_service service;
    struct servers *servers; /* of the keeper */
    size_t users;
    bool is_known; /* it has given a usable answer */
    unsigned features;
    unsigned flights;                    /* attempts, waits not counted */
    struct keep *line_first, *line_last; /* those whose attempt has to wait */
};

/* Those of ours who wait for one id at a service that only can be polled. The
 * first one polls. */
struct gate {
    UT_hash_handle hh;
    struct gate_key {
        struct place *place;
        struct lock_id id;
    } key;
    struct keep *first, *last;
};

struct keep {
    UT_hash_handle hh; /* by handle; not while is_final */
    struct keep *prev, *next;
    struct keeper *keeper;
    uint64_t handle;
    struct place *place;
    struct keeper_lock lock;
    struct lease_times base_times;
    struct lease_times extended_times;
    struct lease lease;
    enum keep_state state;
    bool is_final; /* its owner has had its last event */
    struct timer timer;

    struct transfer *flight;
    enum service_call call; /* what is in flight */
    struct servers_round round;
    bool in_line; /* of its place */
    struct keep *line_prev, *line_next;
    bool sent;            /* something has left: there may be a share */
    bool waited;          /* there may be a place in the service's queue */
    struct clock_time t0; /* of the last success */
    bool is_sweeping;     /* through the ids of a pool's slots */
    unsigned sweep_left, sweep_step;

    int64_t wait_ms;
    struct clock_time until; /* the end of the wait */
    struct clock_time wait_next;
    struct clock_time wait_began;
    unsigned wait_failures;
    unsigned quick; /* waits in a row that were none */
    struct gate *gate;
    struct keep *gate_prev, *gate_next;

    bool in_trouble;
    bool is_cut; /* the end of the wait left this attempt less time */
    bool told_busy;
    bool last_busy; /* the last usable answer was a 409 */
    struct justalock_error trouble;
    char holder[KEEPER_HOLDER_MAX + 1];
    char since[KEEPER_SINCE_MAX + 1];

    bool was_held; /* GIVING: from HELD */
    bool was_lost; /* GIVING: from LOST */
    struct clock_time give_until;
    struct clock_time give_next;
    unsigned give_failures;
};

struct query {
    struct query *prev, *next;
    struct keeper *keeper;
    struct place *place;
    uint64_t handle;
    struct lock_id id;
    struct clock_time until;
    struct servers_round round;
    struct transfer *flight;
    keeper_view_fn *fn;
    void *arg;
};

/* An answer to keeper_release of a handle that is not known. */
struct stray {
    struct stray *next;
    uint64_t handle;
};

struct keeper {
    keeper_event_fn *fn;
    void *arg;
    struct transfer_hub *hub;
    struct timers timers;
    struct keep *by_handle; /* uthash */
    struct keep *keeps;     /* all */
    size_t count;           /* of keeps */
    struct place *places;
    struct servers *servers;
    struct gate *gates; /* uthash */
    struct query *queries;
    struct stray *strays, **strays_end;
    uint64_t random;
};

/* ---- keeper.c ---- */

uint16_t keeper_jitter(struct keeper *k);
/* ms, between three quarters and all of first * 2^failures, at most `most`. */
int64_t keeper_backoff_ms(struct keeper *k, unsigned failures, int64_t most);
/* Send one request; on failure nothing is in flight and err says why. */
enum justalock_status keep_send(struct keep *c, enum service_call call,
                                unsigned wait_s, int64_t limit_ms, bool fresh,
                                struct justalock_error *err) JUSTALOCK_MUST;
void keep_cancel(struct keep *c);
/* Set the timer for what c's state waits for. */
void keep_arm(struct keep *c);
/* To be looked at in this or the next pass. */
void keep_hurry(struct keep *c);
/* The owner has no say over c any more. */
void keep_final(struct keep *c);
void keep_free(struct keep *c);
/* Tell the owner. c may be changed by it, never freed. */
void keep_emit(struct keep *c, enum keeper_event_kind kind,
               enum justalock_status status, const char *text);

/* ---- keeper_ask.c: ASKING, WAITING, HELD ---- */

void ask_due(struct keep *c, struct clock_time now);
void ask_answered(struct keep *c, const struct service_answer *a);
/* What an answer says of the service. */
void ask_learn(struct keep *c, const struct service_answer *a);

/* ---- keeper_many.c ---- */

/* Does this answer count, and if it is of no use, is another server to be
 * asked at once? Changes *a accordingly. */
void keep_judge(struct keep *c, struct service_answer *a);
/* limit_ms, or less where several servers have to share what is left until
 * `end`. */
int64_t keep_share_ms(const struct keep *c, struct clock_time now,
                      struct clock_time end, int64_t limit_ms);
/* For what nobody waits for, how long to try. */
int64_t keep_give_ms(const struct keep *c);

/* ---- keeper_slots.c: pools ---- */

/* A pool at a service that knows none: each of its slots is a lock there. */
bool slots_by_ids(const struct keep *c);
/* Before an attempt that asks: for which slot. */
void slots_choose(struct keep *c);
/* After a 409 to it: is there another slot to be asked for at once? */
bool slots_next(struct keep *c);
/* What a 200 says of the slot; changes *a where that is not what it is due. */
void slots_settle(struct keep *c, struct service_answer *a);

/* ---- keeper_give.c: GIVING ---- */

void give_begin(struct keep *c, int64_t limit_ms);
void give_due(struct keep *c, struct clock_time now);
void give_answered(struct keep *c, const struct service_answer *a);

/* ---- keeper_query.c ---- */

/* One for each service; NULL: no memory. */
struct place *place_get(struct keeper *k, const struct keeper_service *service);
void place_put(struct keeper *k, struct place *p);
void query_free_all(struct keeper *k);

/* ---- keeper_gate.c ---- */

/*
 * Before an attempt: true to go on; false: c is in line, and is hurried when
 * its turn comes. A thousand attempts at once would only wait within libcurl,
 * with their t0 running.
 */
bool line_pass(struct keep *c);
/* Leave the line, if c is in it. */
void line_leave(struct keep *c);
/* An attempt of c's has ended: who is next? */
void line_next(struct place *p);

/* Wait for c's turn to poll. true: it is; false: another one polls. */
bool gate_join(struct keep *c);
/* Who polls for c's lock; NULL: nobody. */
const struct keep *gate_poller(const struct keep *c);
/* Let the next one poll. Nothing where c is in no gate. */
void gate_leave(struct keep *c);

#endif
