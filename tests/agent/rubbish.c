/* SPDX-License-Identifier: MIT */
/*
 * rubbish.c - says to the agent what no module would: messages with bytes
 * changed, cut, doubled and in any order, on connections that end at any time.
 * The same seed says the same.
 *
 *   rubbish SOCKET SECONDS SEED UID FILE...
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_client.h"

#define SEEDS_MAX 64

static struct {
    uint8_t data[WIRE_MAX];
    size_t len;
} seeds[SEEDS_MAX];
static size_t seeds_len;
static uint64_t state;

/* splitmix64 */
static uint64_t draw(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return (size_t)(draw() % n);
}

/* Every second message is as it should be: what follows it comes further. */
static size_t make(uint8_t data[WIRE_MAX])
{
    size_t which = below(seeds_len);
    size_t len = seeds[which].len;

    memcpy(data, seeds[which].data, len);
    if (draw() % 2 == 0)
        return len;
    for (size_t n = 1 + below(4); n > 0; n--) {
        size_t at = below(len + 1);

        if (at == len && len < WIRE_MAX)
            data[len++] = (uint8_t)draw();
        else if (draw() % 8 == 0)
            len = at + 1;
        else
            data[at] = draw() % 2 ? (uint8_t)draw()
                                  : (uint8_t)(data[at] ^ 1U << below(8));
    }
    return len;
}

static void one_connection(const char *path)
{
    uint8_t data[WIRE_MAX];
    struct justalock_error err;
    struct pollfd p = {.events = POLLIN};

    if (agent_connect(path, &p.fd, &err) != JUSTALOCK_OK) {
        (void)usleep(1000); /* it is busy with the last ones */
        return;
    }
    for (size_t n = below(4); n > 0; n--) {
        (void)send(p.fd, data, make(data), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (draw() % 2 && poll(&p, 1, (int)below(4)) == 1)
            (void)recv(p.fd, data, sizeof(data), MSG_DONTWAIT);
    }
    (void)close(p.fd);
}

/* Whom the agent takes for a task of a job ends with it: not us. */
static void one_child(const char *path)
{
    pid_t pid;

    (void)draw();
    pid = fork();
    if (pid == 0) {
        one_connection(path);
        _exit(0);
    }
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    struct clock_time end;
    unsigned n = 0;
    uid_t uid;

    if (argc < 6)
        return 64;
    state = strtoull(argv[3], NULL, 10);
    uid = (uid_t)strtoul(argv[4], NULL, 10);
    for (int i = 5; i < argc && seeds_len < SEEDS_MAX; i++) {
        FILE *f = fopen(argv[i], "re");

        if (f == NULL)
            return 66;
        seeds[seeds_len].len = fread(seeds[seeds_len].data, 1, WIRE_MAX, f);
        seeds_len += seeds[seeds_len].len > 0;
        (void)fclose(f);
    }
    if (uid != 0 && setuid(uid) != 0)
        return 71;
    end = clock_add(clock_now(), 1000 * strtol(argv[2], NULL, 10));
    for (; clock_left_ms(end, clock_now()) > 0; n++)
        if (uid == 0)
            one_child(argv[1]);
        else
            one_connection(argv[1]);
    printf("%u connections\n", n);
    return n > 0 ? 0 : 1;
}
