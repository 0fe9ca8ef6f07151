/* SPDX-License-Identifier: MIT */
/*
 * notify.h - a daemon's talk with systemd: that it is ready, its watchdog,
 * sockets handed over; by environment and datagrams as sd_notify(3) and
 * sd_listen_fds(3) describe them, without their library. Where no systemd
 * started us, nothing happens.
 */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include <stdbool.h>

#include "clock.h"
#include "error.h"

/* "READY=1" and the like. Does not block; a failure is logged. */
void notify_send(const char *text);

/* Will somebody start us again when we die? */
bool notify_is_supervised(void);

/* WatchdogSec: who does not send for that long is killed by systemd. */
struct notify_watchdog {
    int64_t every_ms; /* half of what is allowed; 0: none is asked for */
    struct clock_time next;
};
void notify_watchdog_init(struct notify_watchdog *w);
/* Call it in each pass: sends when it is due. Returns the milliseconds until
 * it is due again, INT64_MAX without a watchdog. */
int64_t notify_watchdog(struct notify_watchdog *w);

/*
 * The descriptors handed over to this process, from *ret_first on, made
 * close-on-exec; *ret_len 0 where there are none. ARG for more than max.
 * Their variables leave the environment, so call it before any thread.
 */
enum justalock_status notify_sockets(size_t max, int *ret_first,
                                     size_t *ret_len,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;

#endif
