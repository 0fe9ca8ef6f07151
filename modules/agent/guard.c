/* SPDX-License-Identifier: MIT */
/*
 * guard.c - the guard's start and its loop. All that it does is begun by a
 * descriptor or by the clock; nothing in it blocks.
 */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"

#define TICK_MS     200
#define STARTING_MS 20 /* while there is no keeper yet */
#define EXIT_OS     71
#define EXIT_CONFIG 78

enum justalock_status guard_watch_fd(struct guard *g, struct source *s,
                                     uint32_t events,
                                     struct justalock_error *err)
{
    struct epoll_event e = {.events = events, .data.ptr = s};

    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, s->fd, &e) < 0)
        return error_sys(err, errno, "epoll");
    return JUSTALOCK_OK;
}

void guard_forget_fd(struct guard *g, struct source *s)
{
    if (s->fd < 0)
        return;
    (void)epoll_ctl(g->epoll, EPOLL_CTL_DEL, s->fd, NULL); /* it is in it */
    (void)close(s->fd);
    s->fd = -1;
}

void guard_nudge(const struct guard *g)
{
    uint64_t one = 1;

    if (write(g->o->nudge_fd, &one, sizeof(one)) < 0)
        log_debug("nudge: %s", strerror(errno)); /* it looks anyhow, soon */
}

/* ---- configuration ---- */

static void take_secret(struct guard *g)
{
    struct justalock_error err;
    struct secret secret;

    if (secret_load(g->config->secret_file, &secret, &err) != JUSTALOCK_OK) {
        (void)snprintf(g->secret_error, sizeof(g->secret_error), "%s",
                       err.text);
        log_info("no site secret: %s", err.text);
        return;
    }
    g->secret = secret;
    g->has_secret = true;
    secret_wipe(&secret);
}

static void find_home(struct guard *g)
{
    const char *folder = g->config ? g->config->agent.cgroup : NULL;
    struct justalock_error err;

    work_home_find(folder, g->table.header->tag, &g->home, &err);
    if (!g->home.is_usable)
        log_warn("no cgroups of our own (%s): work that Slurm does not keep "
                 "in one is found by its process tree and SLURM_JOB_ID; what "
                 "leaves both behind is not",
                 err.text);
}

bool guard_reload(struct guard *g, struct justalock_error *err)
{
    struct config *fresh = NULL;

    if (config_load(g->o->config, &fresh, stderr, err) != JUSTALOCK_OK) {
        log_error("%s: %s",
                  g->config ? "the last good configuration stays"
                            : "no configuration",
                  err->text);
        (void)snprintf(g->config_error, sizeof(g->config_error), "%s",
                       err->text);
        return false;
    }
    config_free(g->config);
    g->config = fresh;
    take_secret(g);
    return true;
}

static bool is_claimed(void *arg, const char *path)
{
    struct guard *g = arg;

    for (struct work *w = g->works; w; w = w->next)
        if (strcmp(w->who.path, path) == 0)
            return true;
    return false;
}

/* ---- the loop ---- */

static void on_signal(struct guard *g, struct source *s, uint32_t events)
{
    struct signalfd_siginfo si;
    struct justalock_error err;

    (void)events;
    while (read(s->fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
        if (si.ssi_signo == SIGCHLD)
            children_reap(g);
        else if (si.ssi_signo == SIGHUP)
            (void)guard_reload(g, &err); /* it says what is wrong */
        else
            g->is_stopping = true;
    }
}

static void on_news(struct guard *g, struct source *s, uint32_t events)
{
    struct work *next;
    uint64_t count;

    (void)events;
    if (read(s->fd, &count, sizeof(count)) < 0)
        return;
    for (struct work *w = g->works; w; w = next) {
        next = w->next;
        hold_look_at_row(g, w);
    }
    hold_orphans(g);
}

static void tick(struct guard *g)
{
    struct clock_time now = clock_now();
    struct work *next;

    if (clock_elapsed_ms(g->tick, now) < TICK_MS)
        return;
    g->tick = now;
    atomic_fetch_add(&g->table.header->guard_beat, 1);
    watch_look(g, now);
    keeper_link_tick(g, now);
    children_tick(g, now);
    conns_tick(g, now);
    for (struct work *w = g->works; w; w = next) {
        next = w->next;
        hold_tick(g, w, now);
    }
}

static void loop(struct guard *g)
{
    while (!g->is_stopping) {
        struct epoll_event e;
        /* One event at a time: what it does may end other sources. */
        int n = epoll_wait(g->epoll, &e, 1,
                           g->is_keeper_ready ? TICK_MS : STARTING_MS);

        if (n == 1) {
            struct source *s = e.data.ptr;

            s->ready(g, s, e.events);
            conns_sweep(g);
        }
        if (g->keeper.fd < 0)
            keeper_link_tick(g, clock_now());
        tick(g);
    }
}

/* ---- the start ---- */

static enum justalock_status add(struct guard *g, struct source *s, int fd,
                                 void (*ready)(struct guard *, struct source *,
                                               uint32_t),
                                 struct justalock_error *err)
{
    *s = (struct source){.fd = fd, .ready = ready};
    if (fd < 0)
        return error_sys(err, errno, "descriptors of the guard");
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return guard_watch_fd(g, s, EPOLLIN, err);
}

static enum justalock_status open_descriptors(struct guard *g,
                                              struct justalock_error *err)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    enum justalock_status st;
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        (void)sigaddset(&set, ours[i]);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)fcntl(g->o->nudge_fd, F_SETFD, FD_CLOEXEC);
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (g->epoll < 0)
        return error_sys(err, errno, "epoll");
    st = add(g, &g->signals, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
             on_signal, err);
    if (st == JUSTALOCK_OK)
        st = add(g, &g->news, g->o->news_fd, on_news, err);
    return st;
}

static void short_host(char *ret_host, size_t size)
{
    (void)gethostname(ret_host, size - 1); /* "" where it has none */
    ret_host[size - 1] = '\0';
    ret_host[strcspn(ret_host, ".")] = '\0';
}

static enum justalock_status start(struct guard *g, struct justalock_error *err)
{
    enum justalock_status st = table_open(g->o->state, &g->table, err);
    bool has_config;

    if (st == JUSTALOCK_OK)
        st = open_descriptors(g, err);
    if (st != JUSTALOCK_OK)
        return st;
    short_host(g->host, sizeof(g->host));
    g->tick = clock_now();
    g->crowd_said = clock_never();
    g->next_number = (uint64_t)g->tick.boot_ms; /* above any of this boot */
    has_config = guard_reload(g, err);
    st = state_load(g, err);
    if (st != JUSTALOCK_OK)
        return st;
    /* What is held goes on; what is asked for is refused with this. */
    if (!has_config && g->works_len == 0 && table_active(&g->table) == 0)
        return JUSTALOCK_CONFIG;
    find_home(g);
    guard_resume(g);
    hold_orphans(g);
    work_home_sweep(&g->home, is_claimed, g);
    st = add(g, &g->listener, g->o->listen_fd, conn_ready_listener, err);
    g->is_accepting = st == JUSTALOCK_OK;
    return st;
}

int guard_main(const struct agent_options *o)
{
    static struct guard g = {
        .keeper.fd = -1, .watch.fd = -1, .listener.fd = -1};
    struct justalock_error err;
    enum justalock_status st;

    (void)prctl(PR_SET_NAME, "justalock-guard");
    g.o = o;
    st = start(&g, &err);
    if (st != JUSTALOCK_OK) {
        if (st != JUSTALOCK_CONFIG)
            log_error("guard: %s", err.text);
        return st == JUSTALOCK_CONFIG ? EXIT_CONFIG : EXIT_OS;
    }
    atomic_fetch_add(&g.table.header->guard_beat, 1);
    atomic_store(&g.table.header->ready, proc_key_self());
    loop(&g);
    work_home_sweep(&g.home, is_claimed, &g);
    if (g.works_len == 0)
        work_home_remove(&g.home);
    secret_wipe(&g.secret);
    return 0;
}
