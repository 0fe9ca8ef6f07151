/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - HTTP requests, any number at a time, each bounded in time and
 * size. The only user of libcurl. Knows nothing of locks.
 *
 * Not thread-safe: one thread owns a hub. Requests marked `is_wait` go over
 * connections of their own, so that an answer that is held back never stands
 * before a short request.
 */
#ifndef COMMON_TRANSFER_H
#define COMMON_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "error.h"

#define TRANSFER_HEADERS_MAX 16        /* lines of a request */
#define TRANSFER_HEAD_MAX    16384     /* bytes of all headers of an answer */
#define TRANSFER_BODY_MAX    65536     /* bytes of an answer's body */
#define TRANSFER_LIMIT_MAX   3600000LL /* ms of one request */

/* All texts are borrowed for the call of transfer_start. NULL or "": none. */
struct transfer_request {
    const char *method; /* "POST", "DELETE", "GET" */
    const char *url;    /* http: or https: */
    const char *socket; /* unix socket to speak over instead of TCP */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    const char *proxy;
    const char *headers[TRANSFER_HEADERS_MAX]; /* "Name: value", up to NULL */
    const void *body;
    size_t body_len;
    int64_t limit_ms;  /* for all of it, name lookup included */
    size_t answer_max; /* of the answer's body; 0: TRANSFER_BODY_MAX */
    bool is_wait;
    bool fresh; /* on no connection that is there already */
};

/* Lives for the call of the transfer_fn only. */
struct transfer_answer {
    enum justalock_status status; /* OK: a whole answer; NET, PROTO, NOMEM */
    int http_status;              /* 0 unless OK */
    const char *head; /* OK: the last answer's lines, each ended by \r\n */
    size_t head_len;
    const char *body;
    size_t body_len;
    char text[240]; /* not OK: why */
};

struct transfer;
struct transfer_hub;

/* Called from transfer_run; the transfer is gone then. May start and cancel
 * others. */
typedef void transfer_fn(void *arg, const struct transfer_answer *answer);

enum justalock_status transfer_hub_new(struct transfer_hub **ret_hub,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;
/* Closes all connections; no transfer_fn is called. NULL is allowed. */
void transfer_hub_free(struct transfer_hub *hub);

/* Begins; nothing is waited for. On failure fn is not called. */
enum justalock_status transfer_start(struct transfer_hub *hub,
                                     const struct transfer_request *request,
                                     transfer_fn *fn, void *arg,
                                     struct transfer **ret_transfer,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;

/* Ends it where it stands; its fn is not called. The request may still reach
 * the service. */
void transfer_cancel(struct transfer *t);

/*
 * One pass: wait until `until` at most for the network or fd (-1: none), then
 * call the fn of every transfer that is over. Returns true if fd is readable.
 * SIGPIPE does not reach the caller.
 */
bool transfer_run(struct transfer_hub *hub, int fd, struct clock_time until);

#endif
