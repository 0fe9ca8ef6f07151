/* SPDX-License-Identifier: MIT */
/*
 * transfer_easy.h - between transfer.c and transfer_easy.c: one request as
 * libcurl sees it.
 */
#ifndef COMMON_TRANSFER_EASY_H
#define COMMON_TRANSFER_EASY_H

#include <curl/curl.h>

#include "buf.h"
#include "transfer.h"

struct pool;

struct transfer {
    struct transfer *prev, *next; /* of its pool */
    struct pool *pool;
    CURL *easy;
    transfer_fn *fn;
    void *arg;
    struct curl_slist *headers;
    struct buf head;
    size_t head_all; /* bytes of the heads of all answers, 1xx too */
    struct buf body;
    int64_t limit_ms;
    char error[CURL_ERROR_SIZE];
};

enum justalock_status transfer_easy_init(struct transfer *t,
                                         const struct transfer_request *request,
                                         struct justalock_error *err)
    JUSTALOCK_MUST;
/* Frees what init made, but not easy. */
void transfer_easy_done(struct transfer *t);
/* What came of it; borrows from t. */
void transfer_easy_answer(const struct transfer *t, CURLcode code,
                          struct transfer_answer *ret_answer);

#endif
