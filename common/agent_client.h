/* SPDX-License-Identifier: MIT */
/*
 * agent_client.h - what a module says to the agent. Links libc only; no
 * thread, child, signal handler, stdio; every call is bounded in time.
 */
#ifndef COMMON_AGENT_CLIENT_H
#define COMMON_AGENT_CLIENT_H

#include "clock.h"
#include "wire.h"

/*
 * Connect without ever blocking. The descriptor is CLOEXEC, non-blocking and
 * never 0, 1 or 2. NET: no socket, nobody listens, backlog full (the agent is
 * missing or stuck; sys_errno says which, EAGAIN: stuck). SYS: a local error
 * (EMFILE, ENOMEM, EACCES).
 */
enum justalock_status agent_connect(const char *path, int *ret_fd,
                                    struct justalock_error *err) JUSTALOCK_MUST;

/* Send one message, at most until deadline. NET: agent gone or not reading. */
enum justalock_status agent_send(int fd, const struct wire_msg *m,
                                 struct clock_time deadline,
                                 struct justalock_error *err) JUSTALOCK_MUST;

/*
 * Receive one message, at most until deadline; looks once more after it. An
 * interrupting signal with a handler ends it: CANCELED. NET: no answer in
 * time or the agent is gone. PROTO: not our format.
 */
enum justalock_status agent_recv(int fd, struct wire_msg *ret_m,
                                 struct clock_time deadline,
                                 struct justalock_error *err) JUSTALOCK_MUST;

/*
 * As agent_recv; a descriptor that came with the message is in *ret_fd, CLOEXEC
 * and above 2, else -1. SYS with EMFILE: one came, and there was no room.
 */
enum justalock_status agent_recv_fd(int fd, struct wire_msg *ret_m, int *ret_fd,
                                    struct clock_time deadline,
                                    struct justalock_error *err) JUSTALOCK_MUST;

#endif
