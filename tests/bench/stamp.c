/* SPDX-License-Identifier: MIT */
/*
 * stamp.c - the work of the handover measurement: appends one line with
 * CLOCK_MONOTONIC in nanoseconds of its first instruction and of its end.
 * Linked statically, so that no loader stands before the first instruction.
 *
 *   stamp FILE [HOLD_MS | GATE]   GATE: a FIFO; ends when a byte comes
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long long)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int hold(const char *how)
{
    char byte;
    char *end;
    long ms = strtol(how, &end, 10);
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    int fd;

    if (*end == '\0')
        return nanosleep(&ts, NULL);
    fd = open(how, O_RDONLY);
    return fd < 0 || read(fd, &byte, 1) != 1 ? -1 : 0;
}

int main(int argc, char **argv)
{
    long long begin = now_ns();
    char line[64];
    int fd, len;

    if (argc < 2)
        return 64;
    fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || (argc > 2 && hold(argv[2]) != 0))
        return 1;
    len = snprintf(line, sizeof(line), "%lld %lld\n", begin, now_ns());
    return write(fd, line, (size_t)len) == len ? 0 : 1;
}
