/* SPDX-License-Identifier: MIT */
/*
 * folder.h - a folder in memory for a fuzz target that needs files. It goes
 * with the process, however that ends: a child waits for its end and removes
 * it.
 */
#ifndef TESTS_FUZZ_FOLDER_H
#define TESTS_FUZZ_FOLDER_H

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int folder_remove(const char *path, const struct stat *sb, int type,
                         struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    (void)remove(path);
    return 0;
}

/* folder: ends in XXXXXX, as for mkdtemp. */
static inline void folder_make(char *folder)
{
    int ends[2];
    pid_t pid;
    char byte;

    if (mkdtemp(folder) == NULL || pipe2(ends, O_CLOEXEC) != 0)
        abort();
    pid = fork();
    if (pid < 0)
        abort();
    if (pid > 0) {
        (void)close(ends[0]); /* the other end is open as long as we live */
        return;
    }
    (void)setsid(); /* what ends us by our group does not end it */
    (void)close(ends[1]);
    for (int fd = 0; fd < 3; fd++)
        (void)close(fd);
    while (read(ends[0], &byte, 1) > 0)
        ;
    (void)nftw(folder, folder_remove, 8, FTW_DEPTH | FTW_PHYS);
    _exit(0);
}

#endif
