/* SPDX-License-Identifier: MIT */
/*
 * service.h - the lock protocol, base and extensions: what is asked, and what
 * an answer means. Pure: sends nothing, keeps nothing, reads no clock.
 *
 * Only exactly 200 and 409 with sane content mean something; every other
 * answer is "no usable answer", redirects and pages of others included.
 */
#ifndef COMMON_SERVICE_H
#define COMMON_SERVICE_H

#include "keeper.h"
#include "transfer.h"

#define SERVICE_LINE_MAX     320 /* bytes of one header that we send */
#define SERVICE_IDENTITY_MAX 64
#define SERVICE_VIEW_MAX     524288 /* bytes of a view, of 1024 holders too */

/* What Justalock-Features may name. */
enum service_feature {
    SERVICE_HAS_WAIT = 1,
    SERVICE_HAS_RELEASE = 2,
    SERVICE_HAS_TOKEN = 4,
    SERVICE_HAS_HOLDER = 8,
    SERVICE_HAS_SHARE = 16,
    SERVICE_HAS_SLOTS = 32
};

/* ARG, with the reason, where a part of s cannot be used: its url, which may
 * name several servers (urls.h), or a token that is not printable. */
enum justalock_status service_check(const struct keeper_service *s,
                                    struct justalock_error *err) JUSTALOCK_MUST;

/* ARG for a client id, share, label or slots that cannot be sent. */
enum justalock_status service_check_lock(const struct keeper_lock *lock,
                                         struct justalock_error *err)
    JUSTALOCK_MUST;

enum service_call {
    SERVICE_TAKE,    /* take or refresh: POST, s = life_s */
    SERVICE_WAIT,    /* POST with Justalock-Wait */
    SERVICE_CONFIRM, /* take what a wait was offered, over its connection */
    SERVICE_SHRINK,  /* POST, s = 1 */
    SERVICE_DELETE,  /* give this share back */
    SERVICE_VIEW     /* GET /v1/locks/<id> */
};

/* A request with the room for its texts; request borrows from it and, for the
 * body, the files and the proxy, from service and lock. */
struct service_request {
    struct transfer_request request;
    char url[KEEPER_URL_MAX + 64];
    char share[64];
    char label[SERVICE_LINE_MAX];
    char wait[32];
    char slots[32];
    char token[SERVICE_LINE_MAX];
};

/* service->url: of one server. wait_s: SERVICE_WAIT only. limit_ms and fresh
 * are the caller's to set. */
void service_build(const struct keeper_service *service,
                   const struct keeper_lock *lock, enum service_call call,
                   unsigned wait_s, struct service_request *ret_request);

struct service_answer {
    enum lease_answer answer;
    bool usable;       /* 200 or 409: features is what this service has */
    bool offered;      /* 200 to SERVICE_WAIT: ask again to have it */
    bool broken;       /* 409: our own holding was, says the service */
    unsigned features; /* enum service_feature */
    bool has_token;
    uint64_t token;
    bool has_slot;
    unsigned slot;
    char holder[KEEPER_HOLDER_MAX + 1];
    char since[KEEPER_SINCE_MAX + 1];
    int64_t retry_after_ms; /* -1: not said */
    /* Of one of several servers: "" or 0 where it is not said, or not well. */
    char identity[SERVICE_IDENTITY_MAX + 1];
    uint64_t epoch;
    bool stray;                   /* keeper_servers.h: it does not count */
    bool elsewhere;               /* the same: ask another server at once */
    enum justalock_status status; /* not usable: NET, PROTO, DENIED; text */
    int http_status;
    char text[240];
};

/* Make it an answer of no use, for the reason given; http_status, features and
 * retry_after_ms stay. */
void service_refuse(struct service_answer *a, enum lease_answer answer,
                    enum justalock_status status, const char *text);

void service_read(const struct transfer_answer *answer,
                  struct service_answer *ret_answer);

/*
 * The answer to SERVICE_VIEW. OK; view.known false where the service cannot
 * tell (404, or no features). Else as struct service_answer. Of a pool it is
 * the first holder's, and has_more says that there are others.
 */
enum justalock_status service_read_view(const struct transfer_answer *answer,
                                        struct keeper_view *ret_view,
                                        struct justalock_error *err)
    JUSTALOCK_MUST;

/* After a view with has_more: each further holder, the last one without it.
 * NOMEM: not all of them. */
typedef void service_view_fn(void *arg, const struct keeper_view *view);
enum justalock_status service_read_holders(const struct transfer_answer *answer,
                                           service_view_fn *fn, void *arg,
                                           struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
