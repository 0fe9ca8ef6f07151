/* SPDX-License-Identifier: MIT */
/*
 * tree.c - finds and signals the descendants of a process. One pass per call;
 * who wants them dead calls again until none is left, since a process may
 * fork between our look and our signal.
 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parse.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

struct proc {
    pid_t pid;
    pid_t parent;
    bool is_alive;
};

struct procs {
    struct proc *v; /* by pid, as /proc lists them; sorted to be sure */
    size_t len;
    size_t cap;
};

int tree_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int tree_pidfd_signal(int pidfd, int signo)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
}

/* Field `want` (counted after the state, which is 0) of what follows the
 * name in /proc/PID/stat. The name may hold spaces and brackets. */
static bool stat_field(const char *rest, unsigned want, uint64_t *ret_value)
{
    char number[24];
    size_t n;

    for (; want > 0; want--) {
        rest = strchr(rest, ' ');
        if (rest == NULL)
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

/* proc(5): PID (NAME) STATE PPID ... the 20th field is the thread count. */
static char read_stat(pid_t pid, struct proc *ret_proc)
{
    char path[32];
    char text[512];
    uint64_t parent, threads;
    const char *rest;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof(text) - 1);
    (void)close(fd); /* only read from */
    if (n <= 0)
        return 0;
    text[n] = '\0';
    rest = strrchr(text, ')');
    if (rest == NULL || rest[1] != ' ' || !stat_field(rest + 2, 1, &parent) ||
        !stat_field(rest + 2, 17, &threads))
        return 0;
    ret_proc->pid = pid;
    ret_proc->parent = (pid_t)parent;
    /* A zombie whose other threads still run is not dead. */
    ret_proc->is_alive = rest[2] != 'X' && (rest[2] != 'Z' || threads > 1);
    return rest[2];
}

char tree_state(pid_t pid)
{
    struct proc p;

    return read_stat(pid, &p);
}

static bool procs_add(struct procs *p, const struct proc *one)
{
    if (p->len == p->cap) {
        size_t cap = p->cap == 0 ? 1024 : p->cap * 2;
        struct proc *v = realloc(p->v, cap * sizeof(*v));

        if (v == NULL)
            return false;
        p->v = v;
        p->cap = cap;
    }
    p->v[p->len++] = *one;
    return true;
}

static int by_pid(const void *a, const void *b)
{
    const struct proc *x = a;
    const struct proc *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

static bool procs_read(struct procs *p)
{
    DIR *dir = opendir("/proc");
    struct dirent *e;
    struct proc one;
    uint64_t pid;
    bool ok = dir != NULL;

    while (ok && (e = readdir(dir)) != NULL) {
        if (parse_u64(e->d_name, 1, INT32_MAX, "pid", &pid, NULL) !=
            JUSTALOCK_OK)
            continue;
        if (read_stat((pid_t)pid, &one) != 0)
            ok = procs_add(p, &one);
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (ok && p->len > 0)
        qsort(p->v, p->len, sizeof(*p->v), by_pid);
    return ok;
}

static const struct proc *procs_find(const struct procs *p, pid_t pid)
{
    struct proc key = {.pid = pid};

    return p->len == 0 ? NULL
                       : bsearch(&key, p->v, p->len, sizeof(*p->v), by_pid);
}

/* Parents may change while we read, so the walk is bounded. */
static bool is_below(const struct procs *p, const struct proc *one, pid_t root)
{
    size_t steps = 0;

    while (one != NULL && steps++ <= p->len) {
        if (one->parent == root)
            return true;
        one = procs_find(p, one->parent);
    }
    return false;
}

static bool is_spared(pid_t pid, const pid_t *spare, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (spare[i] == pid)
            return true;
    return false;
}

/*
 * The pidfd first, then a second look: if pid and parent are what we saw, the
 * descriptor is of a process of the tree, even if the pid was reused.
 */
static void signal_one(const struct proc *seen, int signo)
{
    struct proc now;
    int fd = tree_pidfd(seen->pid);

    if (fd < 0 && errno != ENOSYS)
        return;
    if (read_stat(seen->pid, &now) != 0 && now.parent == seen->parent) {
        if (fd >= 0)
            (void)tree_pidfd_signal(fd, signo); /* gone is as good */
        else
            (void)kill(seen->pid, signo);
    }
    if (fd >= 0)
        (void)close(fd);
}

int tree_signal(pid_t root, const pid_t *spare, size_t spare_len, int signo)
{
    struct procs p = {NULL, 0, 0};
    int count = 0;

    if (!procs_read(&p)) {
        free(p.v);
        return -1;
    }
    for (size_t i = 0; i < p.len; i++) {
        if (!p.v[i].is_alive || is_spared(p.v[i].pid, spare, spare_len) ||
            !is_below(&p, &p.v[i], root))
            continue;
        count++;
        if (signo != 0)
            signal_one(&p.v[i], signo);
    }
    free(p.v);
    return count;
}
