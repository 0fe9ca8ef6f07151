/* SPDX-License-Identifier: MIT */
/*
 * http.h - the server's one loop: connections, requests, and one commit for
 * all that a pass changed before any answer that may rest on it.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "etcd.h"
#include "limits.h"
#include "listen.h"
#include "tls.h"

#define LISTEN_MAX 16

struct server;

struct server_options {
    const char *state; /* folder, or etcd://... */
    struct etcd_files etcd;
    struct tls_files tls; /* cert NULL: no TLS */
    const char *access;   /* who may do what over TLS; with TLS: not NULL */
    struct server_limits limits; /* after limits_finish */
};

/* Opens the state, loads it, takes over the listening sockets. Borrows o. */
enum justalock_status server_new(const struct server_options *o,
                                 const struct listener *listeners, size_t len,
                                 struct server **ret_server,
                                 struct justalock_error *err) JUSTALOCK_MUST;
/* Until SIGTERM or SIGINT; SIGHUP has certificate, key, authorities and list of
 * clients read again. All three must be blocked. */
enum justalock_status server_run(struct server *s, struct justalock_error *err)
    JUSTALOCK_MUST;
void server_free(struct server *s);

#endif
