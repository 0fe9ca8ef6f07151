/* SPDX-License-Identifier: MIT */
/*
 * keeper_spawn.c - start the program justalock-keeper with one descriptor and
 * nothing else of the caller: no other descriptors, environment, signal
 * settings or terminal. Reaping it is the caller's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper_wire.h"

#define PROGRAM   "/../libexec/justalock/justalock-keeper"
#define DELETED   " (deleted)" /* the kernel's mark after an upgrade */
#define REPORT_FD 3            /* the child's way to say why not */

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9; older glibc has no name for it */
#endif

/* The program beside the running one, into path (PATH_MAX bytes). */
static enum justalock_status find_program(char *path,
                                          struct justalock_error *err)
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    size_t mark = strlen(DELETED);
    char *slash;

    if (n < 0)
        return error_sys(err, errno, "/proc/self/exe");
    path[n] = '\0';
    if ((size_t)n > mark && strcmp(path + n - mark, DELETED) == 0)
        path[(size_t)n - mark] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) + sizeof(PROGRAM) > PATH_MAX)
        return error_set(err, JUSTALOCK_SYS, "%s: no place for the keeper",
                         path);
    memcpy(slash, PROGRAM, sizeof(PROGRAM));
    return JUSTALOCK_OK;
}

/* ---- in the child, after fork: async-signal-safe calls only ---- */

/* man 2 getdents64; opendir would allocate. */
struct listed {
    uint64_t d_ino;
    int64_t d_off;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
};

/* The number that a name in /proc/self/fd is, -1 for none. */
static int fd_of_name(const char *name)
{
    int fd = 0;

    if (*name == '\0')
        return -1;
    for (; *name; name++) {
        if (*name < '0' || *name > '9' || fd > INT_MAX / 10 - 1)
            return -1;
        fd = fd * 10 + (*name - '0');
    }
    return fd;
}

/* Close what one reading of /proc/self/fd lists; true if there was any. */
static bool close_listed(int dir, int first)
{
    union {
        struct listed entry; /* for its alignment */
        char bytes[2048];
    } u;
    bool any = false;
    long n;

    while ((n = syscall(SYS_getdents64, dir, u.bytes, sizeof(u.bytes))) > 0) {
        for (long at = 0; at < n;) {
            struct listed *d = (struct listed *)(void *)(u.bytes + at);
            int fd = fd_of_name(d->d_name);

            if (fd >= first && fd != dir) {
                (void)close(fd); /* whatever it was: not ours to keep */
                any = true;
            }
            at += d->d_reclen;
        }
    }
    return any;
}

static void close_from(int first)
{
    int dir;

    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0)
        return;
    dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        long most = sysconf(_SC_OPEN_MAX);

        for (int fd = first; fd < most; fd++)
            (void)close(fd);
        return;
    }
    while (close_listed(dir, first))
        (void)lseek(dir, 0, SEEK_SET); /* closing shifts the listing */
    (void)close(dir);
}

static void reset_signals(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        (void)sigaction(s, &sa, NULL); /* KILL, STOP, libc's own: refused */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* fd to 0, /dev/null to 1 and, where there is none, to 2. 0 or an errno. */
static int set_descriptors(int fd, int *report)
{
    int moved = fcntl(*report, F_DUPFD_CLOEXEC, REPORT_FD + 1);
    int null, flags;

    /* Out of the way of 0 to 3, wherever they are now. */
    fd = fcntl(fd, F_DUPFD_CLOEXEC, REPORT_FD + 1);
    if (moved < 0 || fd < 0)
        return errno;
    *report = moved;
    if (dup2(fd, 0) < 0 || dup3(moved, REPORT_FD, O_CLOEXEC) < 0)
        return errno;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || (null != 1 && dup2(null, 1) < 0))
        return errno;
    /* The caller's pipe may be there, where it had none: exec closes it. */
    flags = fcntl(2, F_GETFD);
    if ((flags < 0 || (flags & FD_CLOEXEC) != 0) && dup2(null, 2) < 0)
        return errno;
    if (null == 1 && fcntl(1, F_SETFD, 0) < 0)
        return errno;
    if (null == 2 && fcntl(2, F_SETFD, 0) < 0)
        return errno;
    return 0;
}

static _Noreturn void become_keeper(int fd, int report, const char *path,
                                    char *const *argv, char *const *envp)
{
    int why = set_descriptors(fd, &report);

    if (why == 0) {
        close_from(REPORT_FD + 1);
        reset_signals();
        /* Away from the terminal: ^C and ^Z are for the work. */
        (void)setsid(); /* fails only for a leader, which a child is not */
        if (chdir("/") == 0)
            (void)execve(path, argv, envp);
        why = errno;
        report = REPORT_FD;
    }
    if (write(report, &why, sizeof(why)) < 0)
        _exit(126); /* nobody is left to be told */
    _exit(127);
}

/* ---- in the caller ---- */

/* 0 once the program runs; else why it does not. */
static int read_report(int fd)
{
    int why = 0;
    ssize_t n;

    do
        n = read(fd, &why, sizeof(why));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(why) ? why : 0;
}

static enum justalock_status start(int fd, char *path, char **argv, char **envp,
                                   pid_t *ret_pid, struct justalock_error *err)
{
    int report[2];
    int why;
    pid_t pid;

    if (pipe2(report, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe for the keeper");
    pid = fork();
    if (pid == 0)
        become_keeper(fd, report[1], path, argv, envp);
    why = errno;
    (void)close(report[1]);
    if (pid > 0)
        why = read_report(report[0]);
    (void)close(report[0]);
    if (pid < 0)
        return error_sys(err, why, "fork the keeper");
    if (why != 0) {
        (void)waitpid(pid, NULL, 0); /* ECHILD: the caller's handler did */
        return error_sys(err, why, "%s", path);
    }
    *ret_pid = pid;
    return JUSTALOCK_OK;
}

enum justalock_status keeper_wire_spawn(int fd, const char *mode,
                                        const char *user, pid_t *ret_pid,
                                        struct justalock_error *err)
{
    char path[PATH_MAX];
    char journal[64] = "JOURNAL_STREAM=";
    char name[] = "justalock-keeper";
    char flag[] = "--user";
    char search[] = "PATH=/usr/bin:/bin";
    const char *stream = getenv("JOURNAL_STREAM");
    size_t len = strlen(journal);
    /* execve does not write to them; its type is older than const. */
    char *argv[] = {name, (char *)(uintptr_t)mode, user ? flag : NULL,
                    (char *)(uintptr_t)user, NULL};
    char *envp[] = {search, NULL, NULL};
    enum justalock_status st = find_program(path, err);

    if (st != JUSTALOCK_OK)
        return st;
    if (stream && strlen(stream) < sizeof(journal) - len) {
        memcpy(journal + len, stream, strlen(stream) + 1);
        envp[1] = journal;
    }
    return start(fd, path, argv, envp, ret_pid, err);
}
