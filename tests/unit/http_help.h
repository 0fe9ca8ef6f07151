/* SPDX-License-Identifier: MIT */
/*
 * http_help.h - for the tests of http*.c: a server of server_rig.h in one
 * line, and requests whose answers are looked at.
 */
#ifndef TESTS_UNIT_HTTP_HELP_H
#define TESTS_UNIT_HTTP_HELP_H

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/server_rig.h"
#include "clock.h"
#include "scratch.h"
#include "test.h"

static inline void up(struct rig *r, const char *name)
{
    struct justalock_error err;

    assert_ok(rig_up(r, in_scratch(name), NULL, &err), err);
}

static inline int dial(const struct rig *r)
{
    int fd = rig_connect(r->socket);

    assert_true(fd >= 0);
    return fd;
}

static inline struct rig_answer ask(int fd, const char *method, char lock,
                                    const char *client)
{
    assert_true(rig_ask(fd, method, rig_lock(lock), client, ""));
    return rig_read(fd);
}

static inline struct rig_answer get(int fd, const char *target)
{
    assert_true(rig_ask(fd, "GET", target, "", ""));
    return rig_read(fd);
}

static inline void expect(const struct rig_answer *a, int status,
                          const char *holding)
{
    if (a->status != status ||
        strcmp(rig_header(a, "Justalock-Holding"), holding) != 0)
        fail_msg("%d %s, not %d %s: %s", a->status,
                 rig_header(a, "Justalock-Holding"), status, holding, a->body);
}

/* Until so many wait in queues. */
static inline void await_waiters(int fd, unsigned n)
{
    int64_t until = clock_raw_ms() + 10000;
    struct rig_answer a;
    char line[64];

    (void)snprintf(line, sizeof(line), "\njustalock_waiters %u\n", n);
    do {
        a = get(fd, "/metrics");
        assert_true(clock_raw_ms() < until);
    } while (strstr(a.body, line) == NULL);
}

#endif
