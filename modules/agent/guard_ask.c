/* SPDX-License-Identifier: MIT */
/*
 * guard_ask.c - children for what may block: looking up users, and scontrol
 * as somebody without privileges. Bounded in time and in what they may say;
 * never on the path to a deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

#include "guard.h"
#include "log.h"

#define CHILD_MS 5000

static void on_output(struct guard *g, struct source *s, uint32_t events)
{
    struct child_run *c = (struct child_run *)(void *)s;
    ssize_t n;

    (void)events;
    n = read(s->fd, c->out + c->out_len, sizeof(c->out) - 1 - c->out_len);
    if (n > 0) {
        c->out_len += (size_t)n;
        c->out[c->out_len] = '\0';
        if (c->out_len < sizeof(c->out) - 1)
            return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    guard_forget_fd(g, s);
}

static _Noreturn void be_child(struct guard *g, struct work *w, int out,
                               void (*fn)(struct guard *g, struct work *w),
                               uint32_t uid, uint32_t gid, char *const *argv)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0)
        _exit(126);
    if (fn)
        fn(g, w);
    if (!argv)
        _exit(0);
    (void)proc_write_file(AT_FDCWD, "/proc/self/oom_score_adj", "0");
    if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0 ||
        chdir("/") < 0)
        _exit(126);
    (void)execvp(argv[0], argv);
    _exit(127);
}

struct child_run *child_start(struct guard *g, struct work *w,
                              void (*fn)(struct guard *g, struct work *w),
                              uint32_t uid, uint32_t gid, char *const *argv,
                              void (*done)(struct guard *, struct work *,
                                           struct child_run *, int))
{
    struct child_run *c = calloc(1, sizeof(*c));
    struct justalock_error err;
    int fds[2];

    if (!c || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        free(c);
        return NULL;
    }
    c->pid = fork();
    if (c->pid == 0)
        be_child(g, w, fds[1], fn, uid, gid, argv);
    (void)close(fds[1]);
    if (c->pid < 0) {
        (void)close(fds[0]);
        free(c);
        return NULL;
    }
    c->source = (struct source){.fd = fds[0], .ready = on_output};
    c->work = w ? w->f.number : 0;
    c->until = clock_add(clock_now(), CHILD_MS);
    c->done = done;
    if (guard_watch_fd(g, &c->source, 1 /* EPOLLIN */, &err) != JUSTALOCK_OK) {
        (void)close(c->source.fd);
        c->source.fd = -1;
    }
    DL_APPEND(g->children, c);
    return c;
}

static void finish(struct guard *g, struct child_run *c, int status)
{
    /* What it wrote last may still be in the pipe. */
    while (c->source.fd >= 0 && c->out_len < sizeof(c->out) - 1) {
        size_t before = c->out_len;

        on_output(g, &c->source, 0);
        if (c->out_len == before)
            break;
    }
    if (c->source.fd >= 0)
        guard_forget_fd(g, &c->source);
    DL_DELETE(g->children, c);
    if (c->done)
        c->done(g, work_by_number(g, c->work), c, status);
    free(c);
}

void children_reap(struct guard *g)
{
    struct child_run *c, *next;
    int status;

    DL_FOREACH_SAFE(g->children, c, next)
    if (waitpid(c->pid, &status, WNOHANG) == c->pid)
        finish(g, c, status);
}

void children_tick(struct guard *g, struct clock_time now)
{
    struct child_run *c, *next;

    DL_FOREACH_SAFE(g->children, c, next)
    {
        if (clock_left_ms(c->until, now) > 0)
            continue;
        (void)kill(c->pid, SIGKILL); /* not reaped yet: still its own pid */
        c->until = clock_add(now, CHILD_MS);
    }
}
