/* SPDX-License-Identifier: MIT */
/*
 * capture.c - runs a program and collects what it prints, see capture.h.
 */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

_Noreturn static void run(const char *const argv[], int out)
{
    int null = open("/dev/null", O_RDWR);

    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0)
        _exit(127);
    /* execvp changes nothing of it. */
    (void)execvp(argv[0], (char **)(uintptr_t)argv);
    _exit(127);
}

static enum justalock_status collect(int fd, const char *name,
                                     struct clock_time by, struct buf *b,
                                     struct justalock_error *err)
{
    char part[4096];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = clock_left_ms(by, clock_now());
        ssize_t n;

        if (left <= 0)
            return error_set(err, JUSTALOCK_NET, "%s does not end in time",
                             name);
        if (poll(&p, 1, (int)(left < 1000 ? left : 1000)) <= 0)
            continue;
        n = read(fd, part, sizeof(part));
        if (n == 0)
            return JUSTALOCK_OK;
        if (n < 0 && errno != EINTR)
            return error_sys(err, errno, "%s", name);
        if (n > 0)
            buf_add(b, part, (size_t)n);
        if (b->failed && b->len + (size_t)n <= b->max)
            return error_nomem(err);
        if (b->failed)
            return error_set(err, JUSTALOCK_SYS,
                             "%s prints more than %zu bytes", name, b->max);
    }
}

enum justalock_status capture(const char *const argv[], int64_t limit_ms,
                              struct buf *b, struct justalock_error *err)
{
    enum justalock_status st;
    int fds[2], status = 0;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_sys(err, errno, "pipe");
    pid = fork();
    if (pid < 0) {
        int saved = errno;

        (void)close(fds[0]);
        (void)close(fds[1]);
        return error_sys(err, saved, "fork");
    }
    if (pid == 0)
        run(argv, fds[1]);
    (void)close(fds[1]);
    st = collect(fds[0], argv[0], clock_add(clock_now(), limit_ms), b, err);
    (void)close(fds[0]);
    if (st != JUSTALOCK_OK)
        (void)kill(pid, SIGKILL); /* our child, not reaped */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (st != JUSTALOCK_OK)
        return st;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(err, JUSTALOCK_SYS, "%s cannot be run, or fails",
                         argv[0]);
    return JUSTALOCK_OK;
}
