/* SPDX-License-Identifier: MIT */
/*
 * fuzz_slurm_socket.c - any packets as the agent's answers to a task of a job.
 * The input is a row of [length of two bytes, bytes]. Whatever comes, the wait
 * ends, and in a verdict only where one came.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../modules/slurm/plugin.h"

#define PACKETS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void note(const char *text, void *arg)
{
    (void)arg;
    require(text[0] != '\0' && parse_is_clean_text(text, strlen(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire_msg verdict;
    struct wait_for w = {
        .parent = getppid(), .first_ms = 1000, .total_ms = 1000, .note = note};
    struct justalock_error err = {.text = ""};
    int pair[2];

    require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    for (int i = 0; i < PACKETS_MAX && size >= 2; i++) {
        size_t len = (size_t)data[0] | (size_t)data[1] << 8;

        data += 2;
        size -= 2;
        if (len > size)
            len = size;
        if (len > 0) /* an empty one reads as the end */
            (void)send(pair[1], data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        data += len;
        size -= len;
    }
    (void)close(pair[1]);
    memset(&verdict, 0, sizeof(verdict));
    w.fd = pair[0];
    switch (wait_verdict(&w, &verdict, &err)) {
    case WAIT_VERDICT:
        require(verdict.type == WIRE_VERDICT);
        require(parse_is_clean_text(verdict.text, strlen(verdict.text)));
        break;
    case WAIT_RUBBISH:
    case WAIT_GONE:
        require(verdict.type == 0 && err.text[0] != '\0');
        break;
    case WAIT_SILENT:
    case WAIT_ORPHAN:
        abort(); /* the other end is closed, and our parent lives */
    }
    (void)close(pair[0]);
    return 0;
}
