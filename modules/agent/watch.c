/* SPDX-License-Identifier: MIT */
/*
 * watch.c - the agent's first process: keeps the table of deadlines, ends
 * work that reaches its own, and sees to it that guard and keeper run. Reads
 * no configuration and nothing that anybody sends.
 *
 * A plain stop with work left leaves a copy of it behind that goes on
 * enforcing deadlines, until a new agent takes over or nothing is left.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"

#define LOCK_WAIT_MS 3000 /* for an earlier watch to be gone */
#define START_MS     20   /* between looks until the guard answers */
#define EXIT_OS      71
#define EXIT_RUNS    75 /* another agent runs */
#define EXIT_CONFIG  78

/* mkdir -p: the parents as of any service, the last one for root alone. */
static enum justalock_status make_state_dir(const char *path,
                                            struct justalock_error *err)
{
    char part[PATH_MAX];
    struct stat sb;

    if (path[0] != '/' ||
        (size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
        return error_set(err, JUSTALOCK_ARG, "%s: not an absolute path", path);
    for (char *at = strchr(part + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return error_sys(err, errno, "%s", part);
        *at = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_sys(err, errno, "%s", path);
    if (lstat(path, &sb) < 0)
        return error_sys(err, errno, "%s", path);
    if (!S_ISDIR(sb.st_mode) || sb.st_uid != 0 || (sb.st_mode & 022) != 0)
        return error_set(err, JUSTALOCK_CONFIG,
                         "%s: not a folder of root that others cannot write",
                         path);
    return JUSTALOCK_OK;
}

/* What a stop left behind, or stands in for an agent that systemd starts,
 * gives way to a new one at once. */
static void end_leftover(struct table *t)
{
    proc_key old = atomic_load(&t->header->watch);

    if (atomic_load(&t->header->is_leftover) != 0 &&
        proc_key_signal(old, SIGKILL))
        log_info("taking over from process %d", (int)proc_key_pid(old));
}

static enum justalock_status lock_state(struct watch *w,
                                        struct justalock_error *err)
{
    struct clock_time until = clock_add(clock_now(), LOCK_WAIT_MS);

    while (!table_try_lock(&w->table)) {
        end_leftover(&w->table);
        if (clock_left_ms(until, clock_now()) <= 0)
            return error_set(
                err, JUSTALOCK_STATE,
                "another agent (process %d) runs with the state in %s",
                (int)proc_key_pid(atomic_load(&w->table.header->watch)),
                w->o->state);
        (void)usleep(20000);
    }
    atomic_store(&w->table.header->watch, proc_key_self());
    atomic_store(&w->table.header->is_leftover, w->o->is_stand_in);
    return JUSTALOCK_OK;
}

static enum justalock_status open_descriptors(struct watch *w,
                                              struct justalock_error *err)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        (void)sigaddset(&set, ours[i]);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    w->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    w->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->signal_fd < 0 || w->timer_fd < 0 || w->nudge_fd < 0 ||
        w->news_fd < 0)
        return error_sys(err, errno, "descriptors of the watch");
    return JUSTALOCK_OK;
}

/* Killing must not wait for a disk. Both may be forbidden in a container. */
static void harden(void)
{
    if (mlockall(MCL_CURRENT) < 0)
        log_debug("mlockall: %s", strerror(errno));
    if (proc_write_file(AT_FDCWD, "/proc/self/oom_score_adj", "-1000") != 0)
        log_debug("oom_score_adj cannot be set");
}

/* ---- the loop ---- */

/* Wake at the time even if the machine was suspended meanwhile. */
static void set_timer(const struct watch *w, struct clock_time next)
{
    struct itimerspec at = {.it_value.tv_nsec = 0};

    if (!clock_is_never(next)) {
        at.it_value.tv_sec = next.boot_ms / 1000;
        at.it_value.tv_nsec = (long)(next.boot_ms % 1000) * 1000000;
        if (next.boot_ms <= 0)
            at.it_value.tv_nsec = 1;
    }
    (void)timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void drain(int fd)
{
    uint64_t count;

    while (read(fd, &count, sizeof(count)) > 0)
        continue;
}

static void on_signals(struct watch *w)
{
    struct signalfd_siginfo si;

    while (read(w->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
        if (w->is_leftover)
            continue; /* stopped already; what is left is to be enforced */
        if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
            w->is_stopping = true;
        if (si.ssi_signo == SIGHUP && w->guard.pidfd >= 0)
            (void)proc_pidfd_signal(w->guard.pidfd, SIGHUP);
    }
}

static void pass(struct watch *w)
{
    struct pollfd p[] = {{.fd = w->signal_fd, .events = POLLIN},
                         {.fd = w->timer_fd, .events = POLLIN},
                         {.fd = w->nudge_fd, .events = POLLIN},
                         {.fd = w->guard.pidfd, .events = POLLIN},
                         {.fd = w->keeper.pidfd, .events = POLLIN}};
    struct clock_time next;
    int64_t ms = watch_rows(w, &next), dog_ms;

    set_timer(w, next);
    atomic_fetch_add(&w->table.header->watch_beat, 1);
    if (!w->is_ready && !w->is_leftover && ms > START_MS)
        ms = START_MS;
    dog_ms = notify_watchdog(&w->watchdog);
    if (ms > dog_ms)
        ms = dog_ms;
    (void)poll(p, sizeof(p) / sizeof(p[0]), (int)ms);
    drain(w->timer_fd);
    drain(w->nudge_fd);
    on_signals(w);
    if (!w->is_leftover)
        watch_children(w);
}

/* After the stop: only deadlines, until none is left. */
static _Noreturn void leftover(struct watch *w)
{
    atomic_store(&w->table.header->watch, proc_key_self());
    atomic_store(&w->table.header->is_leftover, 1);
    harden();
    w->is_leftover = true;
    w->watchdog.every_ms = 0; /* systemd's main process is another one now */
    (void)close(w->listen_fd);
    log_info("stopped; %u pieces of work are left, each ends by its deadline "
             "unless an agent is started before",
             table_active(&w->table));
    while (table_active(&w->table) > 0)
        pass(w);
    log_info("nothing is left");
    exit(0);
}

static int stop(struct watch *w)
{
    pid_t pid;

    notify_send("STOPPING=1");
    /* A connection is refused from here on, not accepted and dropped. */
    if (!w->is_inherited)
        (void)unlink(w->o->socket);
    watch_end_children(w);
    if (table_active(&w->table) == 0)
        return w->exit_code;
    pid = fork();
    if (pid == 0) {
        (void)setsid();
        leftover(w);
    }
    if (pid < 0) {
        log_error("fork: %s; the watch stays", strerror(errno));
        leftover(w);
    }
    return w->exit_code;
}

static enum justalock_status prepare(struct watch *w,
                                     struct justalock_error *err)
{
    enum justalock_status st = make_state_dir(w->o->state, err);

    if (st == JUSTALOCK_OK)
        st = open_descriptors(w, err);
    if (st == JUSTALOCK_OK)
        st = table_open(w->o->state, &w->table, err);
    harden(); /* the table too */
    if (st == JUSTALOCK_OK)
        st = lock_state(w, err);
    if (st != JUSTALOCK_OK)
        return st;
    w->guard = (struct child){
        .name = "guard", .key = &w->table.header->guard, .pidfd = -1};
    w->keeper = (struct child){
        .name = "keeper", .key = &w->table.header->keeper, .pidfd = -1};
    watch_take_over(w);
    return watch_listen(w, err);
}

int watch_main(const struct agent_options *o)
{
    struct watch w = {.o = o, .listen_fd = -1};
    struct justalock_error err;
    enum justalock_status st;

    (void)prctl(PR_SET_NAME, "justalock-watch");
    if (o->is_stand_in)
        (void)unsetenv("NOTIFY_SOCKET"); /* it listens to its own only */
    notify_watchdog_init(&w.watchdog);
    st = prepare(&w, &err);

    if (st != JUSTALOCK_OK) {
        log_error("%s", err.text);
        return st == JUSTALOCK_STATE    ? EXIT_RUNS
               : st == JUSTALOCK_CONFIG ? EXIT_CONFIG
                                        : EXIT_OS;
    }
    watch_children(&w);
    while (!w.is_stopping)
        pass(&w);
    return stop(&w);
}
