/* SPDX-License-Identifier: MIT */
/*
 * watch_children.c - starts guard and keeper and the sockets that outlive
 * them, starts them again when they die, and kills a guard whose beat stands
 * still. Ends no work.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper_wire.h"
#include "log.h"
#include "notify.h"
#include "watch.h"

#define BACKLOG      1024
#define AGAIN_MS     50 /* after the first quick death; doubled */
#define AGAIN_MAX_MS 1000
#define AGAIN_DEATHS 5    /* from so many on AGAIN_MAX_MS, not doubled */
#define QUICK_MS     5000 /* who lived shorter died quickly */
#define END_MS       1000 /* from TERM to KILL of our own processes */
#define EXIT_CONFIG  78

static enum justalock_status listen_at(const char *path, mode_t mode,
                                       int *ret_fd, struct justalock_error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    mode_t before;
    int fd, failed;

    if (strlen(path) >= sizeof(at.sun_path))
        return error_set(err, JUSTALOCK_ARG,
                         "%s: a socket's path has %zu "
                         "bytes at most",
                         path, sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_sys(err, errno, "%s", path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_sys(err, errno, "socket %s", path);
    before = umask((mode_t)(0777 & ~mode));
    failed = bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
             listen(fd, BACKLOG) < 0;
    (void)umask(before);
    if (failed) {
        enum justalock_status st = error_sys(err, errno, "%s", path);

        (void)close(fd);
        return st;
    }
    *ret_fd = fd;
    return JUSTALOCK_OK;
}

/* The folder of the socket, as of any service in /run. */
static void make_parent(const char *path)
{
    char parent[256];
    char *slash;

    (void)snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return;
    *slash = '\0';
    if (mkdir(parent, 0755) < 0 && errno != EEXIST)
        log_warn("%s: %s", parent, strerror(errno));
}

/* As systemd made it for us, at a path of its own choice. */
static enum justalock_status take_over_socket(int fd,
                                              struct justalock_error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof(at), type_len = sizeof(int);
    int type = 0, flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
        return error_sys(err, errno, "the inherited socket");
    if (at.sun_family != AF_UNIX || type != SOCK_SEQPACKET)
        return error_set(err, JUSTALOCK_CONFIG,
                         "the inherited socket is not a unix socket of type "
                         "SEQPACKET: see ListenSequentialPacket= in "
                         "systemd.socket(5)");
    log_info("listening on %s, from systemd", at.sun_path);
    return JUSTALOCK_OK;
}

/*
 * Does the path lead to somebody who listens? Asked when the guard of the
 * earlier watch is dead and only we have its socket: then that is us. Another
 * watch may have been between it and us, and have put its own socket there.
 */
static bool is_found(int fd)
{
    struct sockaddr_un at = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof(at);
    int probe, failed;

    if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return false;
    probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return true; /* it is as likely as before */
    failed = connect(probe, (struct sockaddr *)&at, len) < 0 &&
             (errno == ECONNREFUSED || errno == ENOENT);
    (void)close(probe);
    return !failed;
}

enum justalock_status watch_listen(struct watch *w, struct justalock_error *err)
{
    enum justalock_status st;
    size_t len;
    int fd;

    if (w->o->listen_fd >= 0) {
        w->listen_fd = w->o->listen_fd;
        if (is_found(w->listen_fd) &&
            fcntl(w->listen_fd, F_SETFD, FD_CLOEXEC) == 0)
            return JUSTALOCK_OK;
        log_warn("the inherited socket is no longer at its path");
        (void)close(w->listen_fd);
        w->listen_fd = -1;
    }
    st = notify_sockets(1, &fd, &len, err);
    if (st != JUSTALOCK_OK)
        return st;
    if (len == 1) {
        w->is_inherited = true;
        w->listen_fd = fd;
        return take_over_socket(fd, err);
    }
    make_parent(w->o->socket);
    return listen_at(w->o->socket, 0666, &w->listen_fd, err);
}

/* ---- starting ---- */

static pid_t start_keeper(struct watch *w, struct justalock_error *err)
{
    char path[256];
    pid_t pid = -1;
    int fd = -1;

    /* A listening socket of its own each time: what an old keeper still had
     * in its backlog is of nobody's use. */
    if ((size_t)snprintf(path, sizeof(path), "%s/keeper.sock", w->o->state) >=
        sizeof(path)) {
        (void)error_set(err, JUSTALOCK_ARG, "%s: too long", w->o->state);
        return -1;
    }
    if (listen_at(path, 0600, &fd, err) != JUSTALOCK_OK)
        return -1;
    if (keeper_wire_spawn(fd, "--listen", w->o->keeper_user, &pid, err) !=
        JUSTALOCK_OK)
        pid = -1;
    (void)close(fd);
    if (pid > 0) {
        /* It may be killed for memory before anything of root is. */
        (void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
        (void)proc_write_file(AT_FDCWD, path, "0");
    }
    return pid;
}

static void keep_open(int fd)
{
    (void)fcntl(fd, F_SETFD, 0); /* it is open: cannot fail */
}

static pid_t start_guard(struct watch *w, struct justalock_error *err)
{
    struct agent_options o = *w->o;
    struct agent_argv argv;
    sigset_t none;
    pid_t pid;

    o.is_guard = true;
    o.listen_fd = w->listen_fd;
    o.nudge_fd = w->nudge_fd;
    o.news_fd = w->news_fd;
    agent_argv(&o, &argv);
    pid = fork();
    if (pid < 0)
        (void)error_sys(err, errno, "fork the guard");
    if (pid != 0)
        return pid;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    keep_open(o.listen_fd);
    keep_open(o.nudge_fd);
    keep_open(o.news_fd);
    agent_exec(&argv);
    _exit(127);
}

static void started(struct watch *w, struct child *c, pid_t pid)
{
    proc_key key = proc_key_of(pid);

    c->pidfd = proc_pidfd_open(pid);
    c->started = clock_now();
    atomic_store(c->key, key);
    if (c == &w->guard) {
        w->beat_seen = atomic_load(&w->table.header->guard_beat);
        w->beat_at = c->started;
        w->beat_looks = 0;
    }
    log_debug("%s is process %d", c->name, (int)pid);
}

static void start(struct watch *w, struct child *c)
{
    struct justalock_error err;
    pid_t pid;

    if (clock_left_ms(c->again, clock_now()) > 0)
        return;
    pid = c == &w->guard ? start_guard(w, &err) : start_keeper(w, &err);
    if (pid > 0) {
        started(w, c, pid);
        return;
    }
    log_error("the %s does not start: %s", c->name, err.text);
    c->again = clock_add(clock_now(), AGAIN_MAX_MS);
}

/* ---- noticing ---- */

/* Its exit status where it was our child; -1: unknown. */
static int reap(struct child *c)
{
    int status = 0;
    pid_t pid = proc_key_pid(atomic_load(c->key));

    if (waitpid(pid, &status, WNOHANG) != pid)
        return -1;
    return status;
}

static void died(struct watch *w, struct child *c)
{
    int64_t lived = clock_elapsed_ms(c->started, clock_now());
    int status = reap(c);
    int64_t pause = 0;

    (void)close(c->pidfd);
    c->pidfd = -1;
    if (c == &w->guard && status >= 0 && WIFEXITED(status) &&
        WEXITSTATUS(status) == EXIT_CONFIG && !w->is_ready &&
        table_active(&w->table) == 0) {
        w->exit_code = EXIT_CONFIG; /* it has said why */
        w->is_stopping = true;
        return;
    }
    c->deaths = lived < QUICK_MS ? c->deaths + 1 : 0;
    if (c->deaths > 1)
        pause = c->deaths < AGAIN_DEATHS ? (int64_t)AGAIN_MS << c->deaths
                                         : AGAIN_MAX_MS;
    c->again = clock_add(clock_now(), pause);
    if (w->is_stopping)
        return;
    if (status >= 0 && WIFSIGNALED(status))
        log_warn("the %s was killed by signal %d; starting it again", c->name,
                 WTERMSIG(status));
    else
        log_warn("the %s has ended; starting it again", c->name);
}

static bool has_ended(const struct child *c)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

    if (c->pidfd < 0)
        return false;
    return poll(&p, 1, 0) == 1;
}

/*
 * Stopped, or stuck: it is killed, and a new one adopts all. Counted in our
 * own looks too: when the machine was suspended, nobody's beat moved.
 */
static void look_at_beat(struct watch *w)
{
    uint64_t beat = atomic_load(&w->table.header->guard_beat);
    struct clock_time now = clock_now();

    if (beat != w->beat_seen) {
        w->beat_seen = beat;
        w->beat_at = now;
        w->beat_looks = 0;
        return;
    }
    w->beat_looks++;
    if (w->guard.pidfd < 0 || w->beat_looks < AGENT_BEAT_LOOKS ||
        clock_elapsed_ms(w->beat_at, now) <= AGENT_BEAT_MS)
        return;
    log_warn("the guard has not moved for %d ms; it is ended",
             (int)clock_elapsed_ms(w->beat_at, now));
    (void)proc_pidfd_signal(w->guard.pidfd, SIGKILL);
}

void watch_children(struct watch *w)
{
    struct child *both[] = {&w->keeper, &w->guard};

    look_at_beat(w);
    for (size_t i = 0; i < 2; i++) {
        if (has_ended(both[i]))
            died(w, both[i]);
        if (both[i]->pidfd < 0 && !w->is_stopping)
            start(w, both[i]);
    }
    if (w->is_ready || atomic_load(&w->table.header->ready) == 0 ||
        atomic_load(&w->table.header->ready) != atomic_load(w->guard.key))
        return;
    w->is_ready = true;
    notify_send("READY=1");
    log_info("ready: %s", w->o->socket);
}

static void wait_end(struct child *c, int64_t ms)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

    if (c->pidfd >= 0 && poll(&p, 1, (int)ms) == 1) {
        (void)reap(c);
        (void)close(c->pidfd);
        c->pidfd = -1;
    }
}

void watch_end_children(struct watch *w)
{
    struct child *both[] = {&w->guard, &w->keeper};
    static const int signals[] = {SIGTERM, SIGKILL};

    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < 2; i++)
            if (both[i]->pidfd >= 0)
                (void)proc_pidfd_signal(both[i]->pidfd, signals[s]);
        for (size_t i = 0; i < 2; i++)
            wait_end(both[i], END_MS);
    }
}

void watch_take_over(struct watch *w)
{
    struct table_header *h = w->table.header;
    proc_key old = atomic_load(&h->guard);
    int fd = proc_key_open(old);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (fd >= 0) {
        log_info("ending the guard of an earlier watch, process %d",
                 (int)proc_key_pid(old));
        (void)proc_pidfd_signal(fd, SIGKILL);
        (void)poll(&p, 1, END_MS); /* it may be stuck in the kernel */
        (void)close(fd);
    }
    atomic_store(&h->ready, 0);
    w->keeper.pidfd = proc_key_open(atomic_load(&h->keeper));
    w->keeper.started = clock_now();
    if (w->keeper.pidfd >= 0)
        log_info("going on with the keeper of an earlier watch, process %d",
                 (int)proc_key_pid(atomic_load(&h->keeper)));
}
