/* SPDX-License-Identifier: MIT */
/*
 * transfer_inner.h - what the files of transfer share: a hub, its two pools of
 * connections, and one request as libcurl sees it.
 */
#ifndef COMMON_TRANSFER_INNER_H
#define COMMON_TRANSFER_INNER_H

#include <curl/curl.h>
#include <sys/un.h>

#include "buf.h"
#include "transfer.h"
#include "transfer_name.h"

/* What an epoll event is about, where it is not a socket of libcurl's. */
#define ABOUT_TIMER UINT64_MAX
#define ABOUT_NAMES (UINT64_MAX - 1)

#define SPARE_MAX 16 /* idle easy handles that are kept */

struct pool {
    struct transfer_hub *hub;
    CURLM *multi;
    struct clock_time due; /* when libcurl wants to be called */
    struct transfer *first;
};

struct transfer_hub {
    int epoll;
    int timer;
    struct clock_time armed; /* what the timer is set to */
    struct pool pools[2];    /* [is_wait] */
    struct names *names;
    struct transfer *naming; /* wait for a name */
    CURL *spare[SPARE_MAX];
    size_t spare_len;
};

struct transfer {
    struct transfer *prev, *next; /* of its pool */
    struct pool *pool;
    CURL *easy;
    transfer_fn *fn;
    void *arg;
    struct curl_slist *headers;
    struct name *name;         /* being looked up: not yet with libcurl */
    struct curl_slist *places; /* the name's addresses, for libcurl */
    struct clock_time until;
    struct buf head;
    size_t head_all; /* bytes of the heads of all answers, 1xx too */
    struct buf body;
    bool is_too_long; /* the answer */
    int64_t limit_ms;
    bool is_socket;
    char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char error[CURL_ERROR_SIZE];
};

/* ---- transfer.c ---- */

/* From its name's list to libcurl. NOMEM: t is where it was. */
enum justalock_status transfer_enter(struct transfer *t) JUSTALOCK_MUST;
/* Take t out of everything and free it. */
void transfer_drop(struct transfer *t);

/* ---- transfer_easy.c ---- */

enum justalock_status transfer_easy_init(struct transfer *t,
                                         const struct transfer_request *request,
                                         struct justalock_error *err)
    JUSTALOCK_MUST;
/* Tell libcurl the addresses of the name, and how much time is left. */
enum justalock_status transfer_easy_place(struct transfer *t,
                                          const struct name *name,
                                          int64_t left_ms) JUSTALOCK_MUST;
/* Frees what init made, but not easy. */
void transfer_easy_done(struct transfer *t);
/* What came of it; borrows from t. */
void transfer_easy_answer(const struct transfer *t, CURLcode code,
                          struct transfer_answer *ret_answer);

#endif
