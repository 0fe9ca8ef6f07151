/* SPDX-License-Identifier: MIT */
/*
 * tree.c - finds and signals the descendants of a process. One pass per call;
 * who wants them dead calls again until none is left, since a process may
 * fork between our look and our signal.
 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "parse.h"
#include "proc.h"

struct procs {
    struct proc_stat *v; /* by pid, as /proc lists them; sorted to be sure */
    size_t len;
    size_t cap;
};

char tree_state(pid_t pid)
{
    struct proc_stat p;

    return proc_stat_read(pid, &p) ? p.state : 0;
}

static bool procs_add(struct procs *p, const struct proc_stat *one)
{
    if (p->len == p->cap) {
        size_t cap = p->cap == 0 ? 1024 : p->cap * 2;
        struct proc_stat *v = realloc(p->v, cap * sizeof(*v));

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
    const struct proc_stat *x = a;
    const struct proc_stat *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

static bool procs_read(struct procs *p)
{
    DIR *dir = opendir("/proc");
    struct dirent *e;
    struct proc_stat one;
    uint64_t pid;
    bool ok = dir != NULL;

    while (ok && (e = readdir(dir)) != NULL) {
        if (parse_u64(e->d_name, 1, INT32_MAX, "pid", &pid, NULL) !=
            JUSTALOCK_OK)
            continue;
        if (proc_stat_read((pid_t)pid, &one))
            ok = procs_add(p, &one);
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (ok && p->len > 0)
        qsort(p->v, p->len, sizeof(*p->v), by_pid);
    return ok;
}

static const struct proc_stat *procs_find(const struct procs *p, pid_t pid)
{
    struct proc_stat key = {.pid = pid};

    return p->len == 0 ? NULL
                       : bsearch(&key, p->v, p->len, sizeof(*p->v), by_pid);
}

/* Parents may change while we read, so the walk is bounded. */
static bool is_below(const struct procs *p, const struct proc_stat *one,
                     pid_t root)
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
static void signal_one(const struct proc_stat *seen, int signo)
{
    struct proc_stat now;
    int fd = proc_pidfd_open(seen->pid);

    if (fd < 0 && errno != ENOSYS)
        return;
    if (proc_stat_read(seen->pid, &now) && now.parent == seen->parent) {
        if (fd >= 0)
            (void)proc_pidfd_signal(fd, signo); /* gone is as good */
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
