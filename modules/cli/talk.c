/* SPDX-License-Identifier: MIT */
/*
 * talk.c - sends and receives the messages between front and back. Never
 * blocks: a stopped reader must not stop the other supervisor.
 */
#include "talk.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

bool talk_send(int fd, enum talk_kind kind, int value)
{
    struct talk t = {.kind = kind, .value = value};

    return fd >= 0 && send(fd, &t, sizeof(t), MSG_NOSIGNAL | MSG_DONTWAIT) ==
                          (ssize_t)sizeof(t);
}

int talk_recv(int fd, struct talk *ret_talk)
{
    ssize_t n;

    if (fd < 0)
        return 0;
    do
        n = recv(fd, ret_talk, sizeof(*ret_talk), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(*ret_talk))
        return 1;
    return n < 0 && errno == EAGAIN ? 0 : -1;
}
