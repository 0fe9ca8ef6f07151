/* SPDX-License-Identifier: MIT */
/*
 * http.h - the server's one loop: connections, requests, and one commit for
 * all that a pass changed before any answer that may rest on it.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "error.h"

#define LISTEN_MAX 16

struct server;

/* Opens the state in `dir`, loads it, takes over the listening sockets. */
enum justalock_status server_new(const char *dir, const int *fds,
                                 size_t fds_len, struct server **ret_server,
                                 struct justalock_error *err) JUSTALOCK_MUST;
/* Until SIGTERM or SIGINT (which must be blocked). */
enum justalock_status server_run(struct server *s, struct justalock_error *err)
    JUSTALOCK_MUST;
void server_free(struct server *s);

#endif
