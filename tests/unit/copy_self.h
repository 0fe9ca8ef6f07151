/* SPDX-License-Identifier: MIT */
/*
 * copy_self.h - the test program once more, as a file of its own in scratch.h's
 * folder.
 */
#ifndef TESTS_UNIT_COPY_SELF_H
#define TESTS_UNIT_COPY_SELF_H

#include <fcntl.h>
#include <sys/sendfile.h>

#include "scratch.h"
#include "test.h"

static const char *copy_self(const char *name)
{
    const char *path = in_scratch(name);
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    struct stat sb;

    assert_true(from >= 0 && to >= 0 && fstat(from, &sb) == 0);
    for (off_t left = sb.st_size; left > 0;) {
        ssize_t n = sendfile(to, from, NULL, (size_t)left);

        assert_true(n > 0);
        left -= n;
    }
    (void)close(from);
    (void)close(to);
    return path;
}

#endif
