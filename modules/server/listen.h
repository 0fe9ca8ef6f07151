/* SPDX-License-Identifier: MIT */
/*
 * listen.h - the sockets a server listens on: loopback and unix sockets only,
 * until there are TLS and tokens.
 */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <stddef.h>

#include "error.h"

/*
 * Open `address`: ADDRESS:PORT, [V6]:PORT or unix:PATH. DENIED with a sentence
 * for an address beyond loopback. A unix socket file that nobody listens on
 * is replaced. What is bound (port 0: which) goes to ret_bound.
 */
enum justalock_status listen_open(const char *address, int *ret_fd,
                                  char *ret_bound, size_t size,
                                  struct justalock_error *err) JUSTALOCK_MUST;

/* Sockets handed over by systemd, at most max. The same is refused as for
 * listen_open. */
enum justalock_status listen_inherited(int *ret_fds, size_t max,
                                       size_t *ret_len,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
