/* SPDX-License-Identifier: MIT */
/*
 * http_conn.h - connections before their requests, see http_conn.c. Knows
 * nothing of libmicrohttpd or locks.
 */
#ifndef SERVER_HTTP_CONN_H
#define SERVER_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define SILENT_S 20 /* until the first request is whole, else it is closed */

/* An IPv4 address (all of loopback is one), an IPv6 /64, or a user. */
struct address_key {
    int family;
    uint8_t bytes[8];
};

struct address {
    struct address_key key;
    size_t open, coming;
    uint64_t pass; /* when they were coming */
    UT_hash_handle hh;
};

struct conn {
    int fd;
    struct address *address;
    int64_t since_ms;
    bool is_silent, is_leaving;
    struct conn *prev, *next; /* silent ones */
    char *name;               /* of its certificate; NULL: not looked at */
    unsigned reads;           /* tls_reads then */
};

struct conns {
    size_t all_max, each_max;
    size_t open, coming, leaving; /* leaving: of the open ones */
    uint64_t pass;
    struct conn *silent;
    struct address *addresses;
};

enum conn_verdict { CONN_WELCOME, CONN_TOO_MANY, CONN_TOO_MANY_OF_ADDRESS };

/* Just accepted, from peer. ret_who: "address 192.0.2.7", "user 1000". What is
 * welcome is expected at conn_new before the next conns_pass. */
enum conn_verdict conns_admit(struct conns *cs,
                              const struct sockaddr_storage *peer, int fd,
                              int64_t now_ms, char *ret_who, size_t size);
/* NULL: no memory. */
struct conn *conn_new(struct conns *cs, int fd, int64_t now_ms);
void conn_free(struct conns *cs, struct conn *c);
void conn_who(const struct conn *c, char *dst, size_t size);
/* It may stay now; c may be NULL. */
void conn_has_asked(struct conns *cs, struct conn *c);
/* Libmicrohttpd has run: who was coming is there. */
void conns_pass(struct conns *cs);
/* End those that were silent for too long; when to come again. */
int64_t conns_run(struct conns *cs, int64_t now_ms);
void conns_done(struct conns *cs);

#endif
