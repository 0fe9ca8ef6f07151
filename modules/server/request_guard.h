/* SPDX-License-Identifier: MIT */
/*
 * request_guard.h - what a request must be before anything of it is used.
 * libmicrohttpd is lax where two readers of one byte stream can disagree
 * (request smuggling); this is strict and pure.
 */
#ifndef SERVER_REQUEST_GUARD_H
#define SERVER_REQUEST_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define GUARD_HEADERS_MAX 64
#define GUARD_URL_MAX     256

struct request_guard {
    unsigned hosts, lengths, codings, headers;
    size_t length;   /* Content-Length's value, where there is one */
    const char *why; /* NULL: nothing wrong so far */
};

/* Look at one header; value may be NULL. */
void guard_header(struct request_guard *g, const char *name, const char *value);
/* After the last one. NULL: fine; else a static sentence for the 400. */
const char *guard_end(const struct request_guard *g, const char *version,
                      const char *url);
/* After the body: was as much read as the head says? */
const char *guard_body(const struct request_guard *g, size_t body_len);

#endif
