/* SPDX-License-Identifier: MIT */
/*
 * guard_watch.c - sees to it that there is a watch: a dead or stopped one is
 * replaced by a whole new agent, which then replaces this guard.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"
#include "log.h"
#include "notify.h"

#define SUPERVISED_MS 1000 /* that systemd gets to start one */
#define AGAIN_MS      3000 /* for a new watch to come up */

static void start_agent(struct guard *g)
{
    struct agent_options o = *g->o;
    struct agent_argv argv;
    sigset_t none;
    pid_t pid;

    o.is_guard = false;
    o.is_stand_in = notify_is_supervised();
    o.listen_fd = g->listener.fd;
    agent_argv(&o, &argv);
    pid = fork();
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0); /* ends at once */
        return;
    }
    if (pid < 0) {
        log_error("a new agent does not start: %s", strerror(errno));
        return;
    }
    /* Twice: it shall not be the child of what it is going to end. */
    if (fork() != 0)
        _exit(0);
    (void)setsid();
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* Those who are in its backlog lose nothing. */
    (void)fcntl(o.listen_fd, F_SETFD, 0);
    agent_exec(&argv);
    _exit(127);
}

static void on_watch_end(struct guard *g, struct source *s, uint32_t events)
{
    (void)events;
    guard_forget_fd(g, s);
    log_warn("the watch is gone");
    g->watch_again =
        clock_add(clock_now(), notify_is_supervised() ? SUPERVISED_MS : 0);
}

static void follow(struct guard *g)
{
    proc_key key = atomic_load(&g->table.header->watch);
    struct justalock_error err;
    int fd = proc_key_open(key);

    if (fd < 0)
        return;
    g->watch = (struct source){.fd = fd, .ready = on_watch_end};
    if (guard_watch_fd(g, &g->watch, EPOLLIN, &err) != JUSTALOCK_OK) {
        (void)close(fd);
        g->watch.fd = -1;
    }
    g->watch_beat_at = clock_now();
    g->watch_beat_looks = 0;
}

static void look_at_beat(struct guard *g, struct clock_time now)
{
    uint64_t beat = atomic_load(&g->table.header->watch_beat);

    if (beat != g->watch_beat_seen) {
        g->watch_beat_seen = beat;
        g->watch_beat_at = now;
        g->watch_beat_looks = 0;
        return;
    }
    if (++g->watch_beat_looks < AGENT_BEAT_LOOKS || g->watch.fd < 0 ||
        clock_elapsed_ms(g->watch_beat_at, now) <= AGENT_BEAT_MS)
        return;
    log_warn("the watch has not moved for %d ms; it is replaced",
             (int)clock_elapsed_ms(g->watch_beat_at, now));
    (void)proc_pidfd_signal(g->watch.fd, SIGKILL);
    g->watch_beat_at = now;
}

void watch_look(struct guard *g, struct clock_time now)
{
    look_at_beat(g, now);
    if (g->watch.fd >= 0)
        return;
    follow(g); /* a new one has come, and will end us */
    if (g->watch.fd >= 0 || clock_left_ms(g->watch_again, now) > 0)
        return;
    log_warn("starting a new watch");
    start_agent(g);
    g->watch_again = clock_add(now, AGAIN_MS);
}
