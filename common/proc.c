/* SPDX-License-Identifier: MIT */
/*
 * proc.c - reads /proc and small kernel files into buffers on the stack.
 * Decides nothing about who belongs to what.
 */
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "parse.h"

/* glibc 2.28 has no names for them. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define PID_BITS 22 /* PID_MAX_LIMIT is 2^22 */

/* Fields of /proc/PID/stat, counted from the state (0), see proc(5). */
#define STAT_PARENT  1
#define STAT_TTY     4
#define STAT_THREADS 17
#define STAT_START   19

int proc_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int proc_pidfd_signal(int fd, int signo)
{
    return (int)syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
}

ssize_t proc_read_file(int dir, const char *path, char *data, size_t size)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;
    int saved;

    if (fd < 0)
        return -1;
    while (len < size - 1) {
        n = read(fd, data + len, size - 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    saved = errno;
    (void)close(fd); /* only read from */
    errno = saved;
    if (n < 0)
        return -1;
    data[len] = '\0';
    return (ssize_t)len;
}

int proc_write_file(int dir, const char *path, const char *text)
{
    int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);
    ssize_t n;
    int why;

    if (fd < 0)
        return errno;
    do
        n = write(fd, text, len);
    while (n < 0 && errno == EINTR);
    why = n == (ssize_t)len ? 0 : n < 0 ? errno : EIO;
    (void)close(fd); /* these files act in write() */
    return why;
}

/* man 2 getdents64; opendir would allocate. */
struct listed {
    uint64_t d_ino;
    int64_t d_off;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
};

int proc_each_name(int dir, bool (*fn)(void *arg, int dir, const char *name),
                   void *arg)
{
    union {
        struct listed entry; /* for its alignment */
        char bytes[4096];
    } u;
    long n;

    if (lseek(dir, 0, SEEK_SET) < 0)
        return -1;
    while ((n = syscall(SYS_getdents64, dir, u.bytes, sizeof(u.bytes))) > 0) {
        for (long at = 0; at < n;) {
            struct listed *d = (struct listed *)(void *)(u.bytes + at);

            if (d->d_name[0] != '.' && !fn(arg, dir, d->d_name))
                return 0;
            at += d->d_reclen;
        }
    }
    return n < 0 ? -1 : 0;
}

pid_t proc_pid_of_name(const char *name)
{
    pid_t pid = 0;

    for (; *name; name++) {
        if (*name < '0' || *name > '9' || pid >= 1 << PID_BITS)
            return 0;
        pid = pid * 10 + (*name - '0');
    }
    return pid < 1 << PID_BITS ? pid : 0;
}

static bool stat_field(const char *rest, unsigned want, uint64_t *ret_value)
{
    char number[24];
    size_t n;

    for (; want > 0; want--) {
        rest = strchr(rest, ' ');
        if (!rest)
            return false;
        rest++;
    }
    n = strspn(rest, "0123456789");
    if (n == 0 || n >= sizeof(number))
        return false;
    memcpy(number, rest, n);
    number[n] = '\0';
    return parse_u64(number, 0, UINT64_MAX, "stat", ret_value, NULL) ==
           JUSTALOCK_OK;
}

bool proc_stat_read(pid_t pid, struct proc_stat *ret_stat)
{
    char path[32];
    char text[768];
    uint64_t parent, threads, start, terminal;
    const char *rest;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (proc_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return false;
    /* The name, in brackets, may hold anything, brackets too. */
    rest = strrchr(text, ')');
    if (!rest || rest[1] != ' ' ||
        !stat_field(rest + 2, STAT_PARENT, &parent) ||
        !stat_field(rest + 2, STAT_THREADS, &threads) ||
        !stat_field(rest + 2, STAT_START, &start))
        return false;
    if (!stat_field(rest + 2, STAT_TTY, &terminal))
        terminal = 0;
    *ret_stat = (struct proc_stat){.pid = pid,
                                   .parent = (pid_t)parent,
                                   .state = rest[2],
                                   .is_alive = rest[2] != 'X' &&
                                               (rest[2] != 'Z' || threads > 1),
                                   .terminal = terminal,
                                   .start = start};
    return true;
}

proc_key proc_key_of(pid_t pid)
{
    struct proc_stat st;

    if (pid <= 0 || !proc_stat_read(pid, &st))
        return 0;
    return (st.start << PID_BITS) | (proc_key)pid;
}

proc_key proc_key_self(void)
{
    return proc_key_of(getpid());
}

pid_t proc_key_pid(proc_key key)
{
    return (pid_t)(key & ((1U << PID_BITS) - 1));
}

uint64_t proc_key_start(proc_key key)
{
    return key >> PID_BITS;
}

bool proc_key_is_alive(proc_key key)
{
    struct proc_stat st;

    return key != 0 && proc_stat_read(proc_key_pid(key), &st) &&
           st.start == key >> PID_BITS && st.is_alive;
}

int proc_key_open(proc_key key)
{
    int fd;

    if (key == 0) {
        errno = ESRCH;
        return -1;
    }
    fd = proc_pidfd_open(proc_key_pid(key));
    /* The descriptor first, then the look: it is of what we looked at. */
    if (fd >= 0 && !proc_key_is_alive(key)) {
        (void)close(fd);
        errno = ESRCH;
        return -1;
    }
    return fd;
}

bool proc_key_signal(proc_key key, int signo)
{
    int fd = proc_key_open(key);
    bool sent;

    if (fd < 0) /* an old kernel, a filter, no descriptor left */
        return errno != ESRCH && proc_key_is_alive(key) &&
               kill(proc_key_pid(key), signo) == 0;
    sent = proc_pidfd_signal(fd, signo) == 0;
    (void)close(fd);
    return sent;
}

/* The lines of cgroup v1 come before it, each as long as a path can be. */
void proc_cgroup_path(pid_t pid, char *ret_path, size_t size)
{
    static const char mark[] = "0::";
    char data[1024];
    size_t at = 0, len = 0; /* in the line, in the path */
    bool is_it = true, is_done = false;
    ssize_t n;
    int fd;

    ret_path[0] = '\0';
    (void)snprintf(data, sizeof(data), "/proc/%d/cgroup", (int)pid);
    fd = open(data, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    while (!is_done && (n = read(fd, data, sizeof(data))) > 0)
        for (ssize_t i = 0; i < n && !is_done; i++) {
            if (data[i] == '\n') {
                is_done = is_it && at >= sizeof(mark) - 1;
                is_it = true;
                at = 0;
                continue;
            }
            if (at < sizeof(mark) - 1)
                is_it = is_it && data[i] == mark[at];
            else if (is_it && len < size)
                ret_path[len++] = data[i];
            at++;
        }
    (void)close(fd); /* only read from */
    ret_path[is_done && len < size ? len : 0] = '\0';
}

uint64_t proc_ticks_now(void)
{
    struct timespec ts;
    long hz = sysconf(_SC_CLK_TCK);

    if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0 || hz <= 0)
        return UINT64_MAX;
    return (uint64_t)ts.tv_sec * (uint64_t)hz +
           (uint64_t)ts.tv_nsec / (1000000000U / (uint64_t)hz);
}
