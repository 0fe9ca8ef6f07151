/* SPDX-License-Identifier: MIT */
/*
 * keeper_wire.h - the messages between an owner of locks (the agent's guard,
 * or `justalock run`) and the program justalock-keeper, over a SEQPACKET
 * socket; one message a packet. Times are struct clock_time of this boot.
 *
 * The keeper program serves one owner at a time. It is started with the
 * socket as descriptor 0: with --connected it is one end of a socketpair; with
 * --listen a listening socket, whose newest connection replaces the last one
 * (a restarted guard), and the keeper goes on refreshing without an owner.
 * On a new connection it first sends one KW_KEEPING per handle, then KW_READY.
 *
 * What is said of pools stands at the end of a message, and only where there is
 * one: a keeper of before there were pools, which runs on while the guard is
 * renewed, is understood, and understands what has none.
 */
#ifndef COMMON_KEEPER_WIRE_H
#define COMMON_KEEPER_WIRE_H

#include <sys/types.h>

#include "buf.h"
#include "keeper.h"

#define KEEPER_WIRE_VERSION 1
#define KEEPER_WIRE_MAX     4096 /* bytes of a message, at most */

enum keeper_wire_type {
    /* owner to keeper */
    KW_ACQUIRE = 1, /* handle, service, lock, wait_ms; of a pool its slots */
    KW_ADOPT = 2,   /* handle, service, lock, t0, has_features; the same */
    KW_RELEASE = 3, /* handle, wait_ms as the limit */
    KW_QUERY = 4,   /* handle, service, lock.id, wait_ms as the limit */
    KW_PING = 5,    /* handle is echoed */
    /* keeper to owner */
    KW_EVENT = 16,   /* event; where there is one its slot */
    KW_VIEW = 17,    /* handle, event.status, event.text, view; of a pool its
                        slots. One for each holder, the last one without
                        view.has_more */
    KW_PONG = 18,    /* handle */
    KW_KEEPING = 19, /* handle, lock.id, lock.share, held, t0 of the last
                        success (held); of a pool its slots */
    KW_READY = 20
};

struct keeper_msg {
    enum keeper_wire_type type;
    uint64_t handle;
    int64_t wait_ms;
    struct clock_time t0;
    bool held;
    bool has_features; /* ADOPT: the service has named some */
    struct keeper_service service;
    struct keeper_lock lock;
    struct keeper_event event;
    struct keeper_view view;
};

/* The agent's records have these fields, too: what changes here wants another
 * version of both. */
void keeper_wire_put_service(struct buf *b, const struct keeper_service *s);
void keeper_wire_get_service(struct reader *r, struct keeper_service *s);
void keeper_wire_put_lock(struct buf *b, const struct keeper_lock *l);
void keeper_wire_get_lock(struct reader *r, struct keeper_lock *l);

/* Fill b (made with KEEPER_WIRE_MAX) with m, the fields of its type only. */
enum justalock_status keeper_wire_pack(const struct keeper_msg *m,
                                       struct buf *b,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;
/* Strict: version, type, all lengths, nothing left over; PROTO otherwise. */
enum justalock_status keeper_wire_unpack(const void *data, size_t len,
                                         struct keeper_msg *ret_m,
                                         struct justalock_error *err)
    JUSTALOCK_MUST;

/* Send without blocking (MSG_NOSIGNAL|MSG_DONTWAIT). SYS with EAGAIN when the
 * peer does not read, EPIPE when it is gone. */
enum justalock_status keeper_wire_send(int fd, const struct keeper_msg *m,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;
/* Receive one message; *ret_more false: nothing there (EAGAIN). SYS with
 * EPIPE at the end of the connection. */
enum justalock_status keeper_wire_recv(int fd, struct keeper_msg *ret_m,
                                       bool *ret_more,
                                       struct justalock_error *err)
    JUSTALOCK_MUST;

/*
 * Start justalock-keeper with `fd` as its descriptor 0 and `mode` "--listen"
 * or "--connected". The program is found beside the running one: in
 * DIR/../libexec/justalock/ of /proc/self/exe. As root it gives up its
 * privileges to `user` (or "nobody" where there is no such user) before it
 * reads a byte. SIGCHLD is not touched: the caller reaps *ret_pid.
 */
enum justalock_status keeper_wire_spawn(int fd, const char *mode,
                                        const char *user, pid_t *ret_pid,
                                        struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
