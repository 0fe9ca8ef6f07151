/* SPDX-License-Identifier: MIT */
/*
 * count_fds.h - how many descriptors this process has: none is to be left.
 */
#ifndef TESTS_UNIT_COUNT_FDS_H
#define TESTS_UNIT_COUNT_FDS_H

#include <fcntl.h>

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

#endif
