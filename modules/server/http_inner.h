/* SPDX-License-Identifier: MIT */
/*
 * http_inner.h - what http.c (the loop), http_lead.c, http_mhd.c
 * (libmicrohttpd's start and end), http_limit.c, http_request.c (one request),
 * http_head.c, http_access.c and http_answer.c (parts of it) share. For nobody
 * else.
 */
#ifndef SERVER_HTTP_INNER_H
#define SERVER_HTTP_INNER_H

#include <microhttpd.h>
#include <stdbool.h>

#include "access.h"
#include "http.h"
#include "http_conn.h"
#include "pages.h"
#include "request_guard.h"
#include "store.h"

/* libmicrohttpd before 0.9.71 has no enum for what a handler returns. */
#if MHD_VERSION >= 0x00097002
typedef enum MHD_Result mhd_result;
#else
typedef int mhd_result;
#endif

#define BODY_READ_MAX 4096 /* of a body that is too long, before we close */
#define RETRY_MS      1000 /* after a failed commit nothing is written for */
#define IDLE_S        360U /* a connection without a further request: closed */
#define LIMIT_RETRY_S 2    /* after a connection was refused */

enum source_kind { SOURCE_LISTEN, SOURCE_SIGNAL, SOURCE_MHD, SOURCE_REQUEST };

/* What an epoll event is about. */
struct source {
    enum source_kind kind;
    int fd;
    bool is_tls; /* LISTEN */
};

/* libmicrohttpd's daemons: TLS is all or nothing in one of them. */
enum { DAEMON_PLAIN, DAEMON_TLS, DAEMONS };

enum method { METHOD_POST, METHOD_DELETE, METHOD_GET, METHOD_OTHER };

enum request_state {
    REQUEST_READING,
    REQUEST_WAITING,  /* suspended until the table wakes it */
    REQUEST_DECIDED,  /* suspended until the pass is on disk */
    REQUEST_ANSWERING /* resumed: the next call queues the answer */
};

enum route {
    ROUTE_LOCK,
    ROUTE_BREAK,
    ROUTE_HOME,
    ROUTE_LOCKS,
    ROUTE_VIEW,
    ROUTE_METRICS,
    ROUTE_HEALTH
};

struct request {
    struct source source; /* its connection, while it waits */
    struct server *server;
    struct MHD_Connection *conn;
    enum request_state state;
    enum method method;
    enum route route;
    struct lock_request q; /* slots 0: not said */
    unsigned slot;         /* of a break */
    struct request_guard guard;
    const char *authorization;          /* libmicrohttpd's; NULL: none */
    const struct access_client *client; /* NULL: nobody we know */
    size_t body_seen;
    unsigned status;    /* of the answer; 0: none yet */
    const char *reason; /* body of a refusal; static */
    const char *allow;  /* 405 */
    bool must_close;
    bool is_watched; /* in our epoll */
    struct lock_answer answer;
    struct buf page;
    struct request *prev, *next;           /* all that are suspended */
    struct request *pass_prev, *pass_next; /* DECIDED */
};

/* A refusal at a limit is said when it begins, then seldom. */
struct limit_said {
    int64_t next_ms; /* 0: never said */
    uint64_t count;
};

struct server {
    struct MHD_Daemon *mhd[DAEMONS];
    int epoll_fd, signal_fd;
    struct source mhd_source[DAEMONS], signal_source, listen[LISTEN_MAX];
    size_t listen_len;
    const struct server_options *options;
    struct tls *tls;       /* NULL: not spoken */
    struct access *access; /* with TLS */
    struct store *store;
    struct lock_table *table;
    struct page_figures figures;
    int64_t quiet_until_ms; /* no grants before; 0: none to wait for */
    int64_t retry_ms;       /* a commit failed: no other before; 0: none did */
    bool is_failed;         /* and the state could not be read again */
    bool is_leading;        /* of a shared store: active, and it is loaded */
    int64_t tick_ms;        /* when a shared store wants its turn */
    int64_t commit_ms;      /* it waits for confirmations until; 0: not */
    size_t offers_before;   /* open at the last commit */
    int64_t gather_ms;      /* it waits for more requests until; 0: not */
    size_t answers_before;  /* of the last commit */
    size_t answers_wanted;  /* and of those that came meanwhile; 0: unknown */
    uint64_t commit_us;     /* the last one took */
    int64_t accept_ms;      /* a connection could not be taken: none before */
    bool is_stopping;
    struct server_limits limits;
    struct conns conns;
    int64_t silent_ms; /* when one of them has been silent for too long */
    struct limit_said said[LIMITS][2]; /* of all, of one */
    struct request *suspended;
    struct request *pass;
};

/* http_request.c: libmicrohttpd's handler and its end. */
mhd_result request_handle(void *cls, struct MHD_Connection *conn,
                          const char *url, const char *method,
                          const char *version, const char *data, size_t *len,
                          void **state);
void request_done(void *cls, struct MHD_Connection *conn, void **state,
                  enum MHD_RequestTerminationCode why);
size_t request_unescape(void *cls, struct MHD_Connection *conn, char *text);
/* The table answers a request that waited. */
void request_woken(void *arg, void *conn, const struct lock_answer *a);
/* The connection of a waiting request is gone. */
void request_gone(struct request *r);
void request_unwatch(struct request *r);
/* The answer is known and may leave with the pass. */
void request_decided(struct request *r);

/* http_head.c: may refuse it, must_close then where the rest is not read. */
void request_read_head(struct request *r, const char *url, const char *method,
                       const char *version);

/* http_access.c: may whoever asks over TLS do so? Else it is refused. */
void request_check_access(struct request *r);
/* Has a client that we know this right for the request's lock? */
bool request_may(const struct request *r, enum access_right right);

/* http_mhd.c */
enum justalock_status server_start_mhd(struct server *s,
                                       struct justalock_error *err);
void server_stop_mhd(struct server *s);
void server_run_mhd(struct server *s);
/* Milliseconds until it wants to run again; most_ms at most. */
int64_t server_mhd_ms(struct server *s, int64_t most_ms);
/* What we know of a connection; NULL: nothing. */
struct conn *server_conn(struct MHD_Connection *conn);
/* The name that a connection's certificate proves, or "". */
const char *server_peer_name(const struct server *s,
                             struct MHD_Connection *conn);

/* http_limit.c: may it be served? Else it is told so, and closed. */
bool server_admits(struct server *s, int fd, bool is_tls,
                   const struct sockaddr_storage *peer);
/* What the table does from now on is for whoever asks this. */
void request_charge(struct request *r);
/* The table has said LOCK_BUSY. */
void request_at_limit(struct request *r);

/* http_answer.c */
extern const char *const answer_features; /* what we can, in each answer */
mhd_result answer_send(struct request *r);
void answer_refuse(struct request *r, unsigned status, const char *reason);

/* http_pass.c: all that is on disk, every lease whole again; after a failed
 * commit (there is a table) no lease is longer for it. */
enum justalock_status server_load(struct server *s, uint64_t last_token,
                                  struct justalock_error *err);
/* An empty one, with our limits. */
struct lock_table *server_new_table(struct server *s, uint64_t last_token);
/* After a failed commit memory and disk differ: the disk is right. */
void server_reload(struct server *s);
/* Changes to disk, then answers. Returns when to come again: next_ms, when
 * the table has something due, or sooner. */
int64_t server_end_pass(struct server *s, int64_t now_ms, int64_t next_ms,
                        bool *ret_resumed);
/* false: a commit has just failed, what needs one is refused with 503. */
bool server_may_write(const struct server *s, int64_t now_ms);

/* What waits and what is decided is answered 503: none of it may leave as it
 * is. */
void server_fail_pass(struct server *s);

/* http_lead.c: become the server that answers, or stop being it, as a shared
 * store says. */
void server_follow_store(struct server *s);
/* Another one may answer now: nothing that is known here counts. */
void server_lose_lead(struct server *s);

/* http.c: have fd looked at by the loop. */
enum justalock_status server_add_source(struct server *s, struct source *src,
                                        enum source_kind kind, int fd,
                                        struct justalock_error *err);
/* Is there a change that is not on disk yet? */
bool server_is_dirty(const struct server *s);
/* May the table be asked? Else the request is refused with 503. */
bool server_is_serving(struct server *s, int64_t now_ms);

#endif
