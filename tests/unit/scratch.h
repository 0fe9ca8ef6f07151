/* SPDX-License-Identifier: MIT */
/*
 * scratch.h - a folder of a test's own under TMPDIR, removed at its end.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

static int scratch_make(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(scratch, sizeof(scratch), "%.30s/justalock-unit.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    return mkdtemp(scratch) != NULL ? 0 : -1;
}

static int scratch_one(const char *path, const struct stat *sb, int type,
                       struct FTW *ftw)
{
    (void)sb;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int scratch_clear(const char *path)
{
    return nftw(path, scratch_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int scratch_remove(void **state)
{
    (void)state;
    return scratch_clear(scratch);
}

/* The path of a file in it; good for the next three calls. */
static const char *in_scratch(const char *name)
{
    static char path[4][256];
    static unsigned n;

    n = (n + 1) % 4;
    (void)snprintf(path[n], sizeof(path[n]), "%s/%s", scratch, name);
    return path[n];
}

#endif
