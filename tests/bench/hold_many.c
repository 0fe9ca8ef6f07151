/* SPDX-License-Identifier: MIT */
/*
 * hold_many.c - holds N locks through the agent, a connection each, as N
 * `justalock run` would; says "held" and waits until it is killed.
 *
 *   hold_many SOCKET N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent_client.h"

#define WAIT_MS 30000

static void fail(const char *what, const char *text)
{
    (void)fprintf(stderr, "hold_many: %s: %s\n", what, text);
    exit(1);
}

static int ask(const char *path, unsigned n)
{
    struct clock_time until = clock_add(clock_now(), WAIT_MS);
    static struct wire_msg m; /* large */
    struct justalock_error err = {.text = ""};
    int fd = -1;

    memset(&m, 0, sizeof(m));
    m.type = WIRE_COMMAND;
    m.wait_ms = WIRE_WAIT_DEFAULT;
    m.life_s = 60;
    (void)snprintf(m.locks, sizeof(m.locks), "bench-%u", n);
    if (agent_connect(path, &fd, &err) != JUSTALOCK_OK ||
        agent_send(fd, &m, until, &err) != JUSTALOCK_OK)
        fail(m.locks, err.text);
    return fd;
}

/* The verdict, then ourselves as the work. */
static void settle(int fd)
{
    struct clock_time until = clock_add(clock_now(), WAIT_MS);
    static struct wire_msg m;
    struct justalock_error err = {.text = ""};

    do {
        if (agent_recv(fd, &m, until, &err) != JUSTALOCK_OK)
            fail("verdict", err.text);
    } while (m.type == WIRE_NOTE);
    if (m.type != WIRE_VERDICT || m.verdict != WIRE_GO)
        fail("refused", m.text);
    memset(&m, 0, sizeof(m));
    m.type = WIRE_COMMAND_PID;
    m.pid = (uint32_t)getpid();
    if (agent_send(fd, &m, until, &err) != JUSTALOCK_OK ||
        agent_recv(fd, &m, until, &err) != JUSTALOCK_OK)
        fail("pid", err.text);
    if (m.type != WIRE_VERDICT || m.verdict != WIRE_GO)
        fail("pid refused", m.text);
}

int main(int argc, char **argv)
{
    struct rlimit many = {.rlim_cur = 8192, .rlim_max = 8192};
    unsigned long i, n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

    if (n < 1 || n > 8000 || setrlimit(RLIMIT_NOFILE, &many) != 0)
        return 64;
    for (i = 0; i < n; i++)
        settle(ask(argv[1], (unsigned)i));
    puts("held");
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}
