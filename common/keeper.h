/* SPDX-License-Identifier: MIT */
/*
 * keeper.h - one event loop that acquires, waits for, refreshes and releases
 * any number of locks over few connections. The only part that talks to the
 * lock service; it knows ids and client ids, never names or the site secret.
 *
 * Used three ways: in the justalock-keeper program (behind the messages of
 * keeper_wire.h, for the agent's guard and for `justalock run`), and in the
 * thread that libjustalock keeps. Not thread-safe: one thread owns it.
 */
#ifndef COMMON_KEEPER_H
#define COMMON_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bearer.h"
#include "clock.h"
#include "id.h"
#include "lease.h"

#define KEEPER_URL_MAX    511
#define KEEPER_PATH_MAX   255
#define KEEPER_SHARE_LEN  16  /* characters: random hex, without NUL */
#define KEEPER_HOLDER_MAX 120 /* what a service says of a holder */
#define KEEPER_SINCE_MAX  40  /* "2026-11-23T07:46:09Z" */

/* Where and how a service is spoken to. Empty texts: unset. */
struct keeper_service {
    char url[KEEPER_URL_MAX + 1]; /* http:, https:, unix:/path; urls.h */
    char ca_file[KEEPER_PATH_MAX + 1];
    char cert_file[KEEPER_PATH_MAX + 1];
    char key_file[KEEPER_PATH_MAX + 1];
    char token[BEARER_MAX + 1]; /* bearer token itself, read by root */
    char proxy[KEEPER_PATH_MAX + 1];
};

/* One lock to be kept. The share is made by the owner, fresh and random for
 * each acquisition (id_random_hex), so that a restarted keeper can go on. */
struct keeper_lock {
    struct lock_id id;
    uint8_t client[JUSTALOCK_CLIENT_MAX];
    size_t client_len; /* 1..64 */
    char share[KEEPER_SHARE_LEN + 1];
    char label[JUSTALOCK_LABEL_MAX + 1]; /* may be "" */
    struct lease_times times;            /* zero fields: defaults */
    bool reusable_client; /* client id may serve again: no s=1 on a base
                             service, the lease lapses instead */
    unsigned slots;       /* of a pool: 2 and up; 0 or 1: no pool */
    /* A pool's, once granted; to be kept for keeper_adopt. */
    unsigned slot;
    bool slot_has_id; /* the service knows no pools: id_of_slot() is asked */
};

enum keeper_event_kind {
    KEEPER_GRANTED,  /* first grant, confirmed: t0, token, fresh */
    KEEPER_EXTENDED, /* refreshed: t0 */
    KEEPER_BUSY,     /* another holds it: holder, since where known. Sent on
                        the first 409 and when the holder changes; for a try
                        (wait_ms 0) it is final */
    KEEPER_TROUBLE,  /* the service does not answer; still trying. Sent once
                        per outage; status NET, PROTO or DENIED, text why */
    KEEPER_LOST,     /* was held, is lost; final but for keeper_release */
    KEEPER_TIMEOUT,  /* the wait ended without a grant; final. status HELD if
                        the last usable answer was 409, else NET/... ; the
                        share has been (or is being) given back. Never after
                        GRANTED; an owner that hears it then has lost it */
    KEEPER_RELEASED  /* keeper_release is done; final. status OK: given back;
                        NET: not confirmed, the lease may run until t0+L */
};

struct keeper_event {
    uint64_t handle;
    enum keeper_event_kind kind;
    enum justalock_status status;
    int http_status; /* of the answer that status is of, 0: there was none;
                        does not go over keeper_wire.h */
    struct clock_time t0;
    bool has_features; /* the service named features: margin 250 ms */
    bool has_token;
    bool has_slot; /* GRANTED in a pool: slot, slot_has_id */
    unsigned slot;
    bool slot_has_id;
    bool was_renewed; /* GRANTED: the service said that this client id held
                         the lock already (another node's share) */
    uint64_t token;
    char holder[KEEPER_HOLDER_MAX + 1];
    char since[KEEPER_SINCE_MAX + 1];
    char text[240];
};

/* Called from within keeper_run; may call the keeper_ functions. */
typedef void keeper_event_fn(void *arg, const struct keeper_event *event);

struct keeper;

/* Calls curl_global_init once per process (pthread_once). */
enum justalock_status keeper_new(keeper_event_fn *fn, void *arg,
                                 struct keeper **ret_keeper,
                                 struct justalock_error *err) JUSTALOCK_MUST;
/* Stops at once and frees; nothing is released at the service. */
void keeper_free(struct keeper *k);

/*
 * Begin to acquire. wait_ms: 0 asks once (a bounded number of attempts where
 * the service does not answer, within one attempt_ms), > 0 at most so long,
 * < 0 for ever. Handles are the owner's, unique among those not final. STATE
 * for a handle in use, ARG for values out of range. Copies all.
 */
enum justalock_status keeper_acquire(struct keeper *k, uint64_t handle,
                                     const struct keeper_service *service,
                                     const struct keeper_lock *lock,
                                     int64_t wait_ms,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;

/* Go on with a lease that was granted at t0 (this boot): refresh at once.
 * has_features: its service has named some, so that it is given back at once
 * even if no answer comes before that. */
enum justalock_status keeper_adopt(struct keeper *k, uint64_t handle,
                                   const struct keeper_service *service,
                                   const struct keeper_lock *lock,
                                   struct clock_time t0, bool has_features,
                                   struct justalock_error *err) JUSTALOCK_MUST;

/*
 * Give the lock back, or abandon an acquisition; at any time after acquire.
 * Nothing of the handle is in flight when RELEASED comes; with several
 * servers and status NET, it is still tried for a while to give it back.
 * Bounded by limit_ms. Unknown handles are answered RELEASED, status STATE.
 */
void keeper_release(struct keeper *k, uint64_t handle, int64_t limit_ms);

/* What the service shows of a lock, to anyone; of a pool, of one holder. */
struct keeper_view {
    int http_status; /* of the answer; 0: there was none */
    bool known;      /* the service can tell (has /v1/locks) */
    bool held;
    bool has_token;
    uint64_t token;
    unsigned shares;
    unsigned waiters;
    int64_t expires_ms; /* from now; -1 unknown */
    unsigned slots;     /* of a pool; 0: it is none */
    unsigned slot;
    bool has_more; /* another holder of the pool follows */
    char holder[KEEPER_HOLDER_MAX + 1];
    char since[KEEPER_SINCE_MAX + 1];
};
typedef void keeper_view_fn(void *arg, uint64_t handle,
                            enum justalock_status status, const char *text,
                            const struct keeper_view *view);
#define KEEPER_QUERY_MAX_MS 3600000
/* GET /v1/locks/<id>; the answer comes through fn, within limit_ms, at most
 * KEEPER_QUERY_MAX_MS: in one call, of a pool in one for each holder. */
enum justalock_status keeper_query(struct keeper *k, uint64_t handle,
                                   const struct keeper_service *service,
                                   const struct lock_id *id, int64_t limit_ms,
                                   keeper_view_fn *fn, void *arg,
                                   struct justalock_error *err) JUSTALOCK_MUST;

/*
 * One pass: wait at most max_ms for network, timers or `fd` (-1: none) being
 * readable, and do what is due. Returns true if fd is readable.
 */
bool keeper_run(struct keeper *k, int fd, int64_t max_ms);

/* Handles that are not final, and shares that are still being given back. */
size_t keeper_count(const struct keeper *k);

/* Some service that it has spoken to has several servers: to give something
 * back may take until another one has taken over. */
bool keeper_has_several(const struct keeper *k);

/* Forget what is held, give back what was asked for; no more events. The
 * owner is gone: its work may still be alive, so no lease is ended. Run until
 * keeper_count() is 0. */
void keeper_abandon(struct keeper *k);

struct keeper_keeping {
    uint64_t handle;
    struct lock_id id;
    char share[KEEPER_SHARE_LEN + 1];
    bool held;
    struct clock_time t0; /* of the last success; held only */
    unsigned slots, slot; /* as of its struct keeper_lock */
    bool slot_has_id;
};
typedef void keeper_keeping_fn(void *arg, const struct keeper_keeping *keeping);
/* Every handle that is not final. fn must not call the keeper_ functions. */
void keeper_each(const struct keeper *k, keeper_keeping_fn *fn, void *arg);

#endif
