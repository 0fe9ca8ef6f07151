/* SPDX-License-Identifier: MIT */
/*
 * fake_service.h - a small HTTP/1.1 server for tests that answers as it is
 * told, well or badly, on 127.0.0.1 in threads of its own. Every request is
 * recorded. Knows nothing of locks.
 */
#ifndef TESTS_FAKE_SERVICE_H
#define TESTS_FAKE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "clock.h"

#define FAKE_REQUESTS_MAX 8192
#define FAKE_TEXT_MAX     1024

struct fake_request {
    unsigned connection; /* from 0, in the order of accept */
    unsigned number;     /* on that connection, from 0 */
    char method[16];
    char target[256];
    char head[FAKE_TEXT_MAX]; /* the header lines */
    char body[1024];
    size_t body_len;
    struct clock_time at; /* when its last byte was read */
};

enum fake_way {
    FAKE_ANSWER,       /* status, headers, body, after delay_ms */
    FAKE_RAW,          /* exactly the bytes of body, then close */
    FAKE_DROP,         /* close without an answer, after delay_ms */
    FAKE_RESET,        /* the same with RST */
    FAKE_SILENT,       /* never answer */
    FAKE_TRICKLE,      /* the answer byte by byte, delay_ms before each */
    FAKE_ENDLESS_HEAD, /* header lines for ever */
    FAKE_ENDLESS_BODY  /* a body for ever */
};

struct fake_step {
    enum fake_way way;
    int status;
    char headers[512]; /* each line ended by \r\n */
    char body[2048];
    int delay_ms;
    bool close; /* the connection, after the answer */
};

/* Fill *ret_step (zeroed; status 200). One call at a time. */
typedef void fake_fn(void *arg, const struct fake_request *request,
                     struct fake_step *ret_step);

struct fake_service;

/* NULL: it cannot be started; errno says why. */
struct fake_service *fake_start(fake_fn *fn, void *arg);
/* Closes all connections, ends all threads. */
void fake_stop(struct fake_service *f);
int fake_port(const struct fake_service *f);
/* Close the next n connections as soon as they are accepted. */
void fake_refuse(struct fake_service *f, unsigned n);
/* Close all connections that are there now. */
void fake_cut(struct fake_service *f);

/* What has come so far. */
unsigned fake_count(struct fake_service *f);
unsigned fake_count_method(struct fake_service *f, const char *method);
unsigned fake_connections(struct fake_service *f);
/* A copy of request n; false: there is none yet. */
bool fake_get(struct fake_service *f, unsigned n, struct fake_request *ret);
/* The value of a header line of it; false: it has none. */
bool fake_header(const struct fake_request *r, const char *name, char *ret,
                 size_t size);

#endif
