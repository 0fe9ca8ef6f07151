/* SPDX-License-Identifier: MIT */
/*
 * only_v2.c - preloaded into slurmd and slurmstepd by tests/slurm/cgroup.sh,
 * on a machine that has cgroup v1 mounted beside v2. Slurm's v2 plugin refuses
 * such a machine by what /proc/self/cgroup says; here that file has its line
 * of v2 alone. All else that Slurm does with cgroups is real.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);

typedef int open_fn(const char *path, int flags, ...);

static int only_v2(int from)
{
    char text[8192];
    ssize_t n = read(from, text, sizeof(text) - 1);
    int fd = memfd_create("cgroup", MFD_CLOEXEC);
    char *line;

    (void)close(from);
    text[n > 0 ? n : 0] = '\0';
    line = strstr(text, "0::");
    if (fd >= 0 && line) {
        (void)dprintf(fd, "%.*s\n", (int)strcspn(line, "\n"), line);
        (void)lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

static int open_real(const char *name, const char *path, int flags, int mode)
{
    open_fn *real = (open_fn *)dlsym(RTLD_NEXT, name);
    int fd = real(path, flags, mode);

    return fd >= 0 && strcmp(path, "/proc/self/cgroup") == 0 ? only_v2(fd) : fd;
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    int mode;

    va_start(ap, flags);
    mode = va_arg(ap, int);
    va_end(ap);
    return open_real("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    int mode;

    va_start(ap, flags);
    mode = va_arg(ap, int);
    va_end(ap);
    return open_real("open64", path, flags, mode);
}
