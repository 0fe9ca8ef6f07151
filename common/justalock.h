/* SPDX-License-Identifier: MIT */
/*
 * justalock.h - the public interface of libjustalock: named locks that many
 * machines agree on, held as leases and kept refreshed by a thread.
 *
 * Every function that can fail returns an enum justalock_status and fills the
 * caller's optional struct justalock_error. Outputs named ret_ are untouched
 * on failure. All text is UTF-8. Nothing here prints, exits, changes signal
 * dispositions, the locale or the environment; but libcurl ignores SIGPIPE for
 * a moment in the justalock_free() of the last handle.
 */
#ifndef JUSTALOCK_H
#define JUSTALOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JUSTALOCK_VERSION "0.1.0"

#if defined(__GNUC__)
#define JUSTALOCK_API  __attribute__((visibility("default")))
#define JUSTALOCK_MUST __attribute__((warn_unused_result))
#else
#define JUSTALOCK_API
#define JUSTALOCK_MUST
#endif

#define JUSTALOCK_ID_LEN      16  /* bytes of a lock id */
#define JUSTALOCK_ID_TEXT_LEN 22  /* base64url without padding, without NUL */
#define JUSTALOCK_CLIENT_MAX  64  /* bytes of a client id that we accept */
#define JUSTALOCK_LABEL_MAX   120 /* printable characters of a label */
#define JUSTALOCK_LIFE_MIN_S  1
#define JUSTALOCK_LIFE_MAX_S  65535
#define JUSTALOCK_SLOTS_MAX   1024 /* holders of one lock at once */

/* The numbers never change; new ones are added at the end. */
enum justalock_status {
    JUSTALOCK_OK = 0,
    JUSTALOCK_HELD = 1,      /* someone else holds the lock */
    JUSTALOCK_LOST = 2,      /* was ours and is (or may be) no longer */
    JUSTALOCK_ARG = 3,       /* an argument is out of its range */
    JUSTALOCK_NOMEM = 4,     /* no memory */
    JUSTALOCK_SYS = 5,       /* a system call failed; sys_errno is set */
    JUSTALOCK_NET = 6,       /* the service could not be reached in time */
    JUSTALOCK_PROTO = 7,     /* an answer outside the protocol */
    JUSTALOCK_DENIED = 8,    /* not allowed, by the service or by policy */
    JUSTALOCK_CONFIG = 9,    /* the configuration is wrong */
    JUSTALOCK_CANCELED = 10, /* the caller or a signal ended the wait */
    JUSTALOCK_STATE = 11     /* the call does not fit the handle's state */
};

struct justalock_error {
    enum justalock_status status;
    int sys_errno;   /* errno of the failed call, or 0 */
    int http_status; /* of the service's answer, or 0 */
    char text[240];  /* one line, NUL-terminated, never empty on failure */
};

/*
 * Rules for all that follows.
 *
 * Pointers: `lock`, `options`, ids and texts must not be NULL unless said; all
 * are borrowed for the call and copied where needed. `err` may be NULL.
 * Units: names end in _ms (milliseconds), _s (seconds), _len (bytes).
 * Threads: every function may be called from any thread. One handle may be
 * used by several threads at once, with two rules: justalock_free() must be
 * the last call on it, alone; and a handle is one holder, so that threads
 * exclude each other by a mutex, or by a handle each, not by one handle.
 * Blocking: only the functions that say so wait for the network. They are not
 * ended by signals, and a thread in them must not be canceled
 * (pthread_cancel).
 * Thread of ours: the first function that needs the network starts one thread
 * for the whole process, with all signals blocked; it ends when the last
 * handle is freed or the process exits. It uses libcurl: a program that uses
 * libcurl older than 7.84 itself calls curl_global_init() first. libcurl looks
 * up host names in threads of its own, which may outlive that by seconds.
 * fork(): handles do not follow into the child. There every handle made
 * before is dead: not held, lost, its descriptor readable, calls return
 * STATE, and the child neither refreshes nor releases what the parent holds.
 * Free them or leave them; new handles work. Children of _Fork() or of a raw
 * clone() must not call us. fork() and justalock_new() wait while another
 * thread frees the last handle.
 * exec, exit: all descriptors are close-on-exec, but for pairs of sockets by
 * which some releases of libcurl wake themselves: these lead nowhere. A process
 * that ends without release leaves the lock to the end of its lease. exit() is
 * too late for a release: handlers of atexit() and destructors of static
 * objects that are older than the first acquire find every handle lost.
 * Source: Python is the client justalock_client 0.1.0; named where one of its
 * parts has its way here.
 */

/* ---- lock ids --------------------------------------------------------- */

/*
 * The id that a text means, by the Python client's rules, bit for bit: 36
 * characters with '-' are a UUID, 32 hex digits are bytes, 22 or 24
 * characters are base64, 16 are themselves, all else is hashed (SHA-256).
 *
 * ARG  not UTF-8, or those rules yield no 16 bytes (the text says why).
 * Source: Python, Lock.builder(str).
 */
JUSTALOCK_API enum justalock_status
justalock_id_from_text(const char *text, uint8_t ret_id[JUSTALOCK_ID_LEN],
                       struct justalock_error *err) JUSTALOCK_MUST;

/*
 * The id that bytes mean: 16 are taken as they are, fewer are padded with
 * zeros at the end, more are hashed. data may be NULL when len is 0.
 * Source: Python, Lock.builder(bytes).
 */
JUSTALOCK_API void justalock_id_from_bytes(const void *data, size_t len,
                                           uint8_t ret_id[JUSTALOCK_ID_LEN]);

/* The id of an integer, big-endian. Source: Python, Lock.builder(int). */
JUSTALOCK_API void justalock_id_from_u64(uint64_t value,
                                         uint8_t ret_id[JUSTALOCK_ID_LEN]);

/*
 * The id of an integer up to 2^128 - 1 in decimal digits.
 * ARG  not a whole number within that range.
 * Source: Python, Lock.builder(int).
 */
JUSTALOCK_API enum justalock_status
justalock_id_from_decimal(const char *text, uint8_t ret_id[JUSTALOCK_ID_LEN],
                          struct justalock_error *err) JUSTALOCK_MUST;

/*
 * Strictly an id: a UUID (8-4-4-4-12), 32 hex digits, or 22 characters of
 * base64url as justalock_id_format() prints it, with or without "==" behind.
 * Nothing is ever hashed.
 * ARG  anything else.
 */
JUSTALOCK_API enum justalock_status
justalock_id_from_uuid(const char *text, uint8_t ret_id[JUSTALOCK_ID_LEN],
                       struct justalock_error *err) JUSTALOCK_MUST;

/*
 * A new id: the time and 8 random bytes. SYS: the kernel gave no random.
 * Source: Python, generate_random_lock_id().
 */
JUSTALOCK_API enum justalock_status
justalock_id_random(uint8_t ret_id[JUSTALOCK_ID_LEN],
                    struct justalock_error *err) JUSTALOCK_MUST;

/* The id as it is on the wire: base64url without padding, and NUL. */
JUSTALOCK_API void
justalock_id_format(const uint8_t id[JUSTALOCK_ID_LEN],
                    char ret_text[JUSTALOCK_ID_TEXT_LEN + 1]);

/* ---- options: how a lock is held --------------------------------------- */

/*
 * Made once, used for any number of handles, changed between them, freed by
 * justalock_options_free(). Handles keep no reference to it. Two threads must
 * not change one at the same time.
 * Source: Python, LockBuilder.
 */
struct justalock_options;

/* All defaults. NOMEM. */
JUSTALOCK_API enum justalock_status
justalock_options_new(struct justalock_options **ret_options,
                      struct justalock_error *err) JUSTALOCK_MUST;

/* NULL is allowed. */
JUSTALOCK_API void justalock_options_free(struct justalock_options *options);

/*
 * Who we are to the service: 1 to 64 bytes. A client id is as good as a
 * password, and two holders with the same one both hold the lock: leave it
 * unset and every holding gets a random one of its own, which is the default.
 * With one that is set, a base service is not asked to end the lease at
 * release; it lapses.
 * data  NULL: back to random ones.
 * ARG   len is 0 or above 64.
 * Source: Python, LockBuilder.client_id().
 */
JUSTALOCK_API enum justalock_status justalock_options_client_id(
    struct justalock_options *options, const void *data, size_t len,
    struct justalock_error *err) JUSTALOCK_MUST;

/*
 * The lease, 1 to 65535 seconds; 60 by default. How long the lock stays taken
 * after a crash, and for a bit less how long an outage may last before it is
 * lost.
 * ARG   out of range.
 * Source: Python, LockBuilder.lifetime_seconds().
 */
JUSTALOCK_API enum justalock_status justalock_options_lifetime_s(
    struct justalock_options *options, unsigned lifetime_s,
    struct justalock_error *err) JUSTALOCK_MUST;

/*
 * A pool, as of licences: hold the lock with up to slots - 1 others, each in a
 * slot of its own, see justalock_slot(). 1 to JUSTALOCK_SLOTS_MAX; 1 by
 * default: alone. All who share a pool should say the same; who says less is
 * never in with more. On a service that knows no pools each slot is a lock of
 * its own, and they are tried one after the other.
 * ARG   out of range.
 */
JUSTALOCK_API enum justalock_status
justalock_options_slots(struct justalock_options *options, unsigned slots,
                        struct justalock_error *err) JUSTALOCK_MUST;

/*
 * From one refresh to the next, milliseconds; 0 (default): a third of the
 * lifetime. justalock_new() refuses what does not fit the lifetime.
 * ARG   negative.
 * Source: Python, LockBuilder.refresh_interval_seconds().
 */
JUSTALOCK_API enum justalock_status justalock_options_refresh_ms(
    struct justalock_options *options, int64_t refresh_ms,
    struct justalock_error *err) JUSTALOCK_MUST;

/*
 * The service: "https://justalock.dev/" by default, "http://head:7171/",
 * "unix:/run/justalock/server.sock"; several servers that share their state,
 * "http://a:7171,http://b:7171". No environment variable is read, but those
 * that libcurl and its TLS library read for themselves, such as SSLKEYLOGFILE.
 * ARG   longer than 511 bytes, or none of these forms; a user, a query or a
 *       fragment in it; a port above 65535; of several, one twice, more than
 *       8, http: beside https:, or the public service.
 * Source: Python, LockBuilder.base_url().
 */
JUSTALOCK_API enum justalock_status
justalock_options_url(struct justalock_options *options, const char *url,
                      struct justalock_error *err) JUSTALOCK_MUST;

/*
 * What a service may tell others of the holder, up to 120 bytes of printable
 * ASCII; "" by default. Never put a secret here.
 * ARG   too long, or not printable.
 */
JUSTALOCK_API enum justalock_status
justalock_options_label(struct justalock_options *options, const char *label,
                        struct justalock_error *err) JUSTALOCK_MUST;

/*
 * Files for TLS, PEM: whom to trust instead of the system's list, and our own
 * certificate and key. NULL: not used. Read at each new connection.
 * ARG   a path of more than 255 bytes; a certificate without its key.
 */
JUSTALOCK_API enum justalock_status justalock_options_tls_files(
    struct justalock_options *options, const char *ca_file,
    const char *cert_file, const char *key_file, struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * A file with the bearer token for the service: one line, 1 to 255 printable
 * characters. Read now. NULL: none.
 * SYS   it cannot be read.  ARG  it holds something else.
 */
JUSTALOCK_API enum justalock_status justalock_options_token_file(
    struct justalock_options *options, const char *path,
    struct justalock_error *err) JUSTALOCK_MUST;

/* ---- handles ------------------------------------------------------------ */

/*
 * One holder of one lock; may hold it any number of times, one after the
 * other. Freed by justalock_free().
 * Source: Python, Lock.
 */
struct justalock;

/*
 * A handle for the lock that `name` means (justalock_id_from_text).
 * Nothing is sent. options may be NULL: all defaults.
 * ARG    no id for this name, or lifetime and refresh interval do not fit.
 * NOMEM  no memory.  SYS  no descriptor.
 * Source: Python, Lock.builder(...).build().
 */
JUSTALOCK_API enum justalock_status justalock_new(
    const char *name, const struct justalock_options *options,
    struct justalock **ret_lock, struct justalock_error *err) JUSTALOCK_MUST;

/* The same for an id from one of the justalock_id_ functions. */
JUSTALOCK_API enum justalock_status justalock_new_id(
    const uint8_t id[JUSTALOCK_ID_LEN], const struct justalock_options *options,
    struct justalock **ret_lock, struct justalock_error *err) JUSTALOCK_MUST;

/*
 * Free a handle; NULL is allowed. What it holds is released first, as by
 * justalock_release(), so this may block as that does. The last handle's end
 * also ends the thread; what an abandoned attempt may have got is given back
 * before, which takes up to a second where the service does not answer.
 */
JUSTALOCK_API void justalock_free(struct justalock *lock);

/*
 * Take the lock, waiting at most timeout_ms; -1: for ever; 0: for no other
 * holder. While the service is unreachable or refuses us (NET, PROTO, DENIED)
 * the attempts go on within that time: justalock_trouble() tells. After a loss
 * this begins a new holding, without a release first.
 * OK        held; kept refreshed until released, lost or freed.
 * HELD      someone else holds it; see justalock_holder().
 * NET       the service could not be reached in time.
 * PROTO     something else answers there.  DENIED  it does not let us.
 * CANCELED  another thread called justalock_release() on the handle.
 * STATE     held or being acquired already; dead since fork().
 * NOMEM, SYS  nothing was sent.  ARG  the same; timeout_ms is below -1.
 * Whatever an abandoned attempt may have got is given back, while a handle
 * lives: see justalock_free(). Blocks.
 * Source: Python, Lock.__aenter__ (which gives up after 15 s).
 */
JUSTALOCK_API enum justalock_status
justalock_acquire(struct justalock *lock, int64_t timeout_ms,
                  struct justalock_error *err) JUSTALOCK_MUST;

/*
 * justalock_acquire() with a timeout of 0: never wait for another holder.
 * Blocks for one exchange with the service, or attempts at one: at most 2 s, or
 * a sixth of the lifetime where that is less, and some for giving up.
 */
JUSTALOCK_API enum justalock_status justalock_try(struct justalock *lock,
                                                  struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * Give the lock back. From the beginning of this call it is not held. Called
 * while another thread is in justalock_acquire() on the handle: ends that.
 * OK     given back: the next one may have it (on a service without release,
 *        or as options_client_id() says, when the lease ends).
 * LOST   it had been lost before. The handle is ready for the next acquire.
 * NET    given up, but the service did not confirm it: it may stay taken
 *        until the lease ends. The handle is ready for the next acquire.
 * STATE  nothing is held; dead since fork().
 * Blocks for one exchange with the service, at most 4 s.
 * Source: Python, Lock.__aexit__ (which lets the lease lapse).
 */
JUSTALOCK_API enum justalock_status
justalock_release(struct justalock *lock, struct justalock_error *err);

/*
 * 1 while the lock is surely ours, else 0. Decided by this call's own reading
 * of the clock, not by whether our thread has run. Look before each step that
 * needs the lock. Never blocks.
 */
JUSTALOCK_API int justalock_is_held(struct justalock *lock);

/*
 * 1 if the lock was held and is, or may be, no longer ours; stays so until
 * the next acquire or release. 1 for handles that are dead since fork().
 * Never blocks.
 * Source: Python, Lock.is_lock_lost.
 */
JUSTALOCK_API int justalock_is_lost(struct justalock *lock);

/*
 * How long the lock is surely ours if no refresh succeeds any more,
 * milliseconds; 0 when it is not held. Never blocks.
 */
JUSTALOCK_API int64_t justalock_remaining_ms(struct justalock *lock);

/*
 * Wait until the lock is lost, at most timeout_ms (-1: for ever).
 * LOST      it is lost; dead since fork().
 * OK        it is still held after timeout_ms.
 * CANCELED  another thread released it.
 * STATE     nothing is held.
 * ARG       timeout_ms is below -1.
 * Blocks. Source: Python, Lock.wait_for_lock_lost().
 */
JUSTALOCK_API enum justalock_status
justalock_wait_lost(struct justalock *lock, int64_t timeout_ms,
                    struct justalock_error *err) JUSTALOCK_MUST;

/*
 * A descriptor for poll, select or epoll: readable (POLLIN) while
 * justalock_is_lost() says 1, armed in the kernel, so that it also fires when
 * our thread does not run. The same one for the handle's whole life. Only
 * poll it: do not read, write or close it.
 */
JUSTALOCK_API int justalock_fd(const struct justalock *lock);

/*
 * The fencing token of the present holding: greater for every new holder.
 * STATE  nothing is held, or the service gives no tokens.
 */
JUSTALOCK_API enum justalock_status justalock_token(struct justalock *lock,
                                                    uint64_t *ret_token,
                                                    struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * The slot of the present holding, below what justalock_options_slots() said;
 * nobody else has it at the same time.
 * STATE  nothing is held, or the lock is no pool. Never blocks.
 */
JUSTALOCK_API enum justalock_status justalock_slot(struct justalock *lock,
                                                   unsigned *ret_slot,
                                                   struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * Of a holding, or of an acquire that another thread is in: OK while the
 * service answers; otherwise the status and text of the present outage (NET,
 * PROTO, DENIED), while the attempts go on. STATE: dead since fork(). Never
 * blocks.
 */
JUSTALOCK_API enum justalock_status justalock_trouble(
    struct justalock *lock, struct justalock_error *err) JUSTALOCK_MUST;

/* Who holds a lock, as told by the service; "" where it does not say. */
struct justalock_holder {
    char label[JUSTALOCK_LABEL_MAX + 1];
    char since[41]; /* "2026-11-23T07:46:09Z" */
};

/*
 * Who had the lock when the last acquire was refused; during a waiting acquire,
 * who has it now. STATE: that was not refused, or got the lock in the end; dead
 * since fork(). Never blocks.
 */
JUSTALOCK_API enum justalock_status
justalock_holder(struct justalock *lock, struct justalock_holder *ret_holder,
                 struct justalock_error *err) JUSTALOCK_MUST;

/* What the service shows of a lock to anyone; of a pool, of one holder. */
struct justalock_view {
    int held;                       /* 1: someone holds it */
    int has_token;                  /* token is set */
    uint64_t token;                 /* of the present holding */
    unsigned shares;                /* hosts that hold it together */
    unsigned waiters;               /* who wait for it */
    int64_t expires_ms;             /* from now; -1: not told */
    struct justalock_holder holder; /* held only */
    unsigned slots;                 /* of a pool; 0: it is none */
    unsigned slot;                  /* of this holder, below slots */
};

/*
 * Ask the service about the lock, without taking it and whoever holds it, at
 * most timeout_ms (1 and up). Of a pool the view is that of the lowest slot
 * that is held.
 * NET    no answer in time.  PROTO, DENIED  as acquire.
 * STATE  this service cannot tell; dead since fork().
 * ARG    timeout_ms is below 1.  NOMEM, SYS  nothing was sent.
 * Blocks for an hour at most.
 */
JUSTALOCK_API enum justalock_status justalock_query(
    struct justalock *lock, int64_t timeout_ms, struct justalock_view *ret_view,
    struct justalock_error *err) JUSTALOCK_MUST;

/*
 * The same of each holder, the lowest slot first: of the first `max`, 1 to
 * JUSTALOCK_SLOTS_MAX. *ret_len is how many there are, more than max perhaps;
 * with none ret_views[0] says who waits.
 * ARG  max is out of its range.  NOMEM, and as justalock_query().
 * Blocks.
 */
JUSTALOCK_API enum justalock_status justalock_query_slots(
    struct justalock *lock, int64_t timeout_ms,
    struct justalock_view *ret_views, size_t max, size_t *ret_len,
    struct justalock_error *err) JUSTALOCK_MUST;

/* ---- a function with the lock held --------------------------------------- */

/* The work. Runs in the caller's thread; results go through arg. */
typedef void justalock_work_fn(struct justalock *lock, void *arg);

/*
 * Acquire as justalock_acquire(lock, timeout_ms), run work(lock, arg),
 * release. Nobody stops the work when the lock is lost: it looks at
 * justalock_is_held(), justalock_fd() or justalock_wait_lost().
 * OK    the work ran and the lock was held until it returned. (That a release
 *       was not confirmed is no failure here.)
 * LOST  the work ran and the lock was lost meanwhile, or given back by the
 * work. else  as justalock_acquire(); the work did not run.
 * Blocks. Source: Python, `async with lock:`.
 */
JUSTALOCK_API enum justalock_status justalock_with(
    struct justalock *lock, int64_t timeout_ms, justalock_work_fn *work,
    void *arg, struct justalock_error *err) JUSTALOCK_MUST;

/*
 * The same without a handle: one is made for `name` and freed afterwards.
 * options may be NULL. Source: Python, with_lock().
 */
JUSTALOCK_API enum justalock_status
justalock_with_name(const char *name, const struct justalock_options *options,
                    int64_t timeout_ms, justalock_work_fn *work, void *arg,
                    struct justalock_error *err) JUSTALOCK_MUST;

/* ---- words -------------------------------------------------------------- */

/* A few words for a status: static text, never NULL, not translated. */
JUSTALOCK_API const char *justalock_strerror(enum justalock_status status);

/* JUSTALOCK_VERSION of the library that runs: static text. */
JUSTALOCK_API const char *justalock_version(void);

#ifdef __cplusplus
}
#endif
#endif /* JUSTALOCK_H */
