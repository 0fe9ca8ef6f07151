/* SPDX-License-Identifier: MIT */
/*
 * listen.h - the sockets a server listens on: what is beyond loopback speaks
 * TLS and asks who is there, or is refused.
 */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct listener {
    int fd;
    bool is_tls;
};

/*
 * Open `address`: ADDRESS:PORT, [V6]:PORT, unix:PATH, or tls: before one of
 * the first two. TLS is spoken where tls: asks for it and at any address
 * beyond loopback; DENIED with a sentence where has_tls is false then. A unix
 * socket file that nobody listens on is replaced. What is bound (port 0:
 * which) goes to ret_bound.
 */
enum justalock_status listen_open(const char *address, bool has_tls,
                                  struct listener *ret_listener,
                                  char *ret_bound, size_t size,
                                  struct justalock_error *err) JUSTALOCK_MUST;

/* Sockets handed over by systemd, at most max. TLS and refusals as for
 * listen_open. */
enum justalock_status listen_inherited(bool has_tls, struct listener *ret,
                                       size_t max, size_t *ret_len,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
