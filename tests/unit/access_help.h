/* SPDX-License-Identifier: MIT */
/*
 * access_help.h - for the tests of access.c and access_read.c: a list of
 * clients in a file.
 */
#ifndef TESTS_UNIT_ACCESS_HELP_H
#define TESTS_UNIT_ACCESS_HELP_H

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../modules/server/access.h"
#include "test.h"

/* SHA-256 of "one", "two". */
#define ONE "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

static char path[] = "/tmp/justalock-access.XXXXXX";

static inline void put(const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fputs(text, f) < 0, 0);
    assert_int_equal(fclose(f), 0);
}

static inline struct access *load(const char *text)
{
    struct justalock_error err;
    struct access *a = NULL;

    put(text);
    assert_int_equal(access_load(path, &a, &err), JUSTALOCK_OK);
    return a;
}

static inline int setup(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static inline int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

#endif
