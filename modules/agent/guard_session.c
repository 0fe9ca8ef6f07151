/* SPDX-License-Identifier: MIT */
/*
 * guard_session.c - login sessions of pam_justalock. The module asks once and
 * goes; what stays is the life line, a FIFO whose write end is in the program
 * that opened the session and in its plain forks. Its HUP, or a word from who
 * knows the session's cookie, says that the session is over; both are only
 * the moment to look what of it still lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guard.h"
#include "log.h"

#define PATIENCE_MIN_MS 500
#define ASK_AGAIN_MS    1000 /* a module comes back after our restart */
#define LOOK_MS         1000
#define WARN_MS         10000 /* before it is ended */

/* ---- the life line ---- */

static bool life_path(const struct guard *g, const struct work *w,
                      char *ret_path)
{
    return (size_t)snprintf(ret_path, PATH_MAX, "%s/life-%llu", g->o->state,
                            (unsigned long long)w->f.number) < PATH_MAX;
}

static struct work *work_of_life(struct source *s)
{
    return (struct work *)(void *)((char *)s - offsetof(struct work, life));
}

static void is_over(struct guard *g, struct work *w, proc_key closer);

static void life_ready(struct guard *g, struct source *s, uint32_t events)
{
    struct work *w = work_of_life(s);
    char data[64];

    (void)events;
    /* Nobody has anything to write. */
    if (read(s->fd, data, sizeof(data)) != 0)
        return;
    guard_forget_fd(g, s);
    s->fd = -1;
    is_over(g, w, 0);
}

/* Read end into the loop. -1 with errno. */
static int life_listen(struct guard *g, struct work *w, const char *path)
{
    struct justalock_error err;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -1;
    w->life = (struct source){.fd = fd, .ready = life_ready};
    if (guard_watch_fd(g, &w->life, EPOLLIN, &err) == JUSTALOCK_OK)
        return 0;
    (void)close(fd);
    w->life.fd = -1;
    errno = ENOMEM;
    return -1;
}

/* The write end, or -1 with errno. */
static int life_make(struct guard *g, struct work *w)
{
    char path[PATH_MAX];
    int fd;

    errno = ENAMETOOLONG;
    session_forget(g, w);
    if (!life_path(g, w, path) || mkfifo(path, 0600) < 0)
        return -1;
    /* Our own read end lets the other be opened without waiting. */
    if (life_listen(g, w, path) < 0)
        return -1;
    fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        session_forget(g, w);
    return fd;
}

void session_forget(struct guard *g, struct work *w)
{
    char path[PATH_MAX];

    if (w->f.kind != WORK_SESSION)
        return;
    if (w->life.fd >= 0)
        guard_forget_fd(g, &w->life);
    w->life.fd = -1;
    if (life_path(g, w, path) && unlink(path) < 0 && errno != ENOENT)
        log_error("%s: %s", path, strerror(errno));
}

void session_adopt(struct guard *g, struct work *w)
{
    char path[PATH_MAX];
    char byte;

    if (w->f.is_over || !life_path(g, w, path))
        return;
    if (life_listen(g, w, path) < 0) {
        log_error("%s: %s", path, strerror(errno));
        w->is_undelivered = true;
        return;
    }
    /* A FIFO that nobody has opened for writing since does not say HUP. */
    w->is_undelivered = read(w->life.fd, &byte, 1) == 0;
    if (w->is_undelivered) {
        guard_forget_fd(g, &w->life);
        w->life.fd = -1;
    }
}

/* ---- it begins ---- */

/* The same program once more, after our restart: it has no answer yet. */
static bool take_up(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    for (struct work *w = g->works; w; w = w->next) {
        if (w->f.kind != WORK_SESSION || w->f.owner != c->peer || w->conns ||
            w->f.is_over || strcmp(w->option, m->locks) != 0)
            continue;
        if (w->state == WORK_ASKING || w->state == WORK_RESOLVING) {
            conn_attach(c, w);
            if (w->is_busy_seen)
                say_waiting(g, w);
            return true;
        }
        if (w->state == WORK_HELD && w->is_undelivered) {
            conn_attach(c, w);
            session_granted(g, w);
            return true;
        }
    }
    return false;
}

static enum justalock_status fill(struct work *w, const struct conn *c,
                                  const struct wire_msg *m,
                                  struct justalock_error *err)
{
    const struct wire_session *s = &m->session;
    int64_t patience = (int64_t)s->timeout_ms * 4 / 5;

    w->f.uid = s->uid;
    w->f.owner = c->peer;
    w->f.job.array_id = WIRE_NO_ARRAY;
    if (!text_set(&w->option, m->locks))
        return error_nomem(err);
    (void)snprintf(w->f.user, sizeof(w->f.user), "%s", s->user);
    (void)snprintf(w->f.login, sizeof(w->f.login), "%s", s->service);
    (void)snprintf(w->f.ruser, sizeof(w->f.ruser), "%s", s->ruser);
    /* Only shown: a long one may be cut, but not inside a letter, or its
     * record could not be read again. */
    (void)snprintf(w->f.rhost, sizeof(w->f.rhost), "%.63s", s->rhost);
    parse_mask_unclean(w->f.rhost);
    w->f.wait_ms = m->wait_ms;
    w->f.on_lost = (enum config_lost)m->on_lost;
    w->f.on_end = (enum config_end)s->on_end;
    w->f.is_shared = s->share != 0;
    w->patience_ms = patience > PATIENCE_MIN_MS ? patience : PATIENCE_MIN_MS;
    return id_random_hex(w->f.cookie, WIRE_COOKIE_LEN / 2, err);
}

/* What is wrong with the request; "" where nothing is. */
static const char *fault_of(const struct conn *c, const struct wire_msg *m)
{
    const struct wire_session *s = &m->session;

    if (c->peer == 0)
        return "the program is not to be seen from here: another pid "
               "namespace?";
    if (m->locks[0] == '\0' || strchr(m->locks, ','))
        return "a session names one lock";
    if (s->user[0] == '\0' || s->service[0] == '\0')
        return "a session has a user and a service";
    if (strlen(s->user) >= sizeof(((struct work_facts *)0)->user) ||
        strlen(s->ruser) >= sizeof(((struct work_facts *)0)->ruser) ||
        strlen(s->service) >= sizeof(((struct work_facts *)0)->login))
        return "names of users and services have at most 63 bytes";
    if (m->wait_ms < WIRE_WAIT_DEFAULT || m->wait_ms == -1 ||
        m->on_lost > WIRE_LOST_LOG || m->on_lost == WIRE_LOST_SIGNAL ||
        s->on_end > CONFIG_END_RELEASE || s->share > 1)
        return "a policy is out of range";
    return "";
}

void session_open(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    const char *fault = fault_of(c, m);
    struct justalock_error err;
    struct work *w;

    if (c->uid != 0) {
        conn_verdict(g, c, WIRE_REFUSED_DENIED,
                     "only a program that runs as root opens sessions");
        return;
    }
    if (fault[0] != '\0') {
        conn_verdict(g, c, WIRE_REFUSED_BAD, "%s", fault);
        return;
    }
    if (take_up(g, c, m))
        return;
    w = work_new(g, WORK_SESSION, 0);
    if (!w) {
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "no memory, or too much work");
        return;
    }
    if (fill(w, c, m, &err) != JUSTALOCK_OK) {
        work_remove(g, w);
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "%s", err.text);
        return;
    }
    conn_attach(c, w);
    job_resolve(g, w);
}

void session_place(struct guard *g, struct work *w)
{
    struct justalock_error err;
    char text[64];

    if (w->who.kind != IDENTITY_NONE)
        return;
    if (work_put(g, w, w->f.owner, &err) == JUSTALOCK_OK)
        return;
    work_text(w, text, sizeof(text));
    log_warn("%s: %s; it is found by its descendants", text, err.text);
    if (w->who.kind == IDENTITY_CGROUP)
        (void)work_cgroup_remove(w->who.path);
    w->who.path[0] = '\0';
    w->who.kind = IDENTITY_TREE;
    atomic_store(&w->who.root, w->f.owner);
    work_changed_identity(w);
}

void session_granted(struct guard *g, struct work *w)
{
    static struct wire_msg m;
    struct conn *c = w->conns; /* one program, one connection */
    int life;

    if (!c) {
        hold_over(g, w); /* it did not wait for us */
        return;
    }
    life = life_make(g, w);
    conn_detach(c);
    if (life < 0) {
        conn_verdict(g, c, WIRE_REFUSED_LOCAL, "the session's life line: %s",
                     strerror(errno));
        hold_over(g, w);
        return;
    }
    w->is_undelivered = false;
    say_slots(g, w, c);
    say_fill_go(w, c, &m);
    memcpy(m.cookie, w->f.cookie, sizeof(m.cookie));
    conn_send_fd(g, c, &m, life);
    (void)close(life); /* the message has its own */
}

/* ---- it ends ---- */

static struct work *work_by_cookie(struct guard *g, const char *cookie)
{
    for (struct work *w = g->works; w; w = w->next)
        if (w->f.kind == WORK_SESSION && w->f.cookie[0] != '\0' &&
            strcmp(w->f.cookie, cookie) == 0)
            return w;
    return NULL;
}

/*
 * The program that opened it, and the one that closed it, are found with the
 * session and are not of it any more: they do not keep the lock, and are not
 * ended with what is left.
 */
static void spare(struct work *w, proc_key closer)
{
    atomic_store(&w->who.spare[0], w->f.owner);
    if (closer != 0 && closer != w->f.owner)
        atomic_store(&w->who.spare[1], closer);
    work_changed_identity(w);
}

static void is_over(struct guard *g, struct work *w, proc_key closer)
{
    char text[64];

    switch (w->state) {
    case WORK_HELD:
        spare(w, closer);
        work_text(w, text, sizeof(text));
        log_info("%s is over", text);
        hold_over(g, w);
        return;
    case WORK_LAPSED:
        hold_over(g, w);
        return;
    case WORK_LEAVING:
    case WORK_ENDING:
        spare(w, closer);
        w->f.is_over = true;
        return;
    case WORK_KNOWN:
    case WORK_RESOLVING:
    case WORK_ASKING:
    case WORK_RELEASING:
    case WORK_GONE:
        return;
    }
}

void session_close(struct guard *g, struct conn *c, const struct wire_msg *m)
{
    struct work *w = work_by_cookie(g, m->cookie);
    uint64_t number;
    char text[80];
    int left;

    if (strlen(m->cookie) != WIRE_COOKIE_LEN || !w) {
        conn_verdict(g, c, WIRE_GO, "%s", ""); /* it is gone already */
        return;
    }
    number = w->f.number;
    conn_attach(c, w);
    c->is_ended = true;
    is_over(g, w, c->peer);
    w = work_by_number(g, number);
    if (!w || w->state != WORK_LEAVING)
        return; /* answered when it is given back */
    left = work_count(&w->who);
    (void)snprintf(text, sizeof(text),
                   "the lock is kept: %d processes of the session live on",
                   left > 0 ? left : 0);
    session_settled(g, w, text);
}

void session_settled(struct guard *g, struct work *w, const char *text)
{
    struct conn *next;

    if (w->f.kind != WORK_SESSION)
        return;
    for (struct conn *c = w->conns; c; c = next) {
        next = c->work_next;
        if (!c->is_ended)
            continue;
        conn_detach(c);
        conn_verdict(g, c, WIRE_GO, "%s", text);
    }
}

/* Before its sshd is ended too, which could not pass a later line on. */
static void warn(struct work *w, struct clock_time now)
{
    const struct held *h = &w->helds[0];
    struct row_plan plan;
    char text[200];
    int64_t left, since;

    /* Due at a third of it, and then again and again. */
    since = clock_elapsed_ms(h->t0, now);
    if (since < (int64_t)h->lock.times.life_s * 1000 / 2) {
        w->is_warned = false;
        return;
    }
    if (w->is_warned || row_look(w->row, &plan, NULL) != ROW_ARMED)
        return;
    left = clock_left_ms(plan.deadline, now) - plan.term_lead_ms;
    if (left > WARN_MS)
        return;
    w->is_warned = true;
    (void)snprintf(text, sizeof(text),
                   "lock \"%.80s\" could not be refreshed for %lld s", h->name,
                   (long long)(since / 1000));
    session_tell(w, text, left > 0 ? left : 0);
}

void session_tick(struct guard *g, struct work *w, struct clock_time now)
{
    warn(w, now);
    if (w->life.fd >= 0 || !hold_is_due(w, LOOK_MS, now))
        return;
    /* Since a restart of ours nobody has its life line: its program will ask
     * again, or it is over. */
    if (w->is_undelivered && proc_key_is_alive(w->f.owner) &&
        clock_elapsed_ms(w->left_alone, now) < ASK_AGAIN_MS)
        return;
    is_over(g, w, 0);
}

/* ---- its terminals ---- */

#define TERMINALS_MAX 16

struct terminals {
    uint64_t v[TERMINALS_MAX];
    size_t len;
};

static void add_terminal(void *arg, pid_t pid)
{
    struct terminals *t = arg;
    struct proc_stat st;

    if (!proc_stat_read(pid, &st) || st.terminal == 0)
        return;
    for (size_t i = 0; i < t->len; i++)
        if (t->v[i] == st.terminal)
            return;
    if (t->len < TERMINALS_MAX)
        t->v[t->len++] = st.terminal;
}

/* Never waits: a terminal that is stopped or full misses the line. */
static void say_on(uint64_t terminal, const char *line, size_t len)
{
    unsigned major = (unsigned)(terminal >> 8 & 0xfff);
    unsigned minor = (unsigned)((terminal & 0xff) | (terminal >> 12 & 0xfff00));
    char path[32];
    struct stat st;
    int fd;

    (void)snprintf(path, sizeof(path), "/dev/%s%u",
                   major == 136 ? "pts/" : "tty", minor);
    if (major != 136 && major != 4)
        return;
    fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && isatty(fd) &&
        write(fd, line, len) < 0)
        log_debug("%s: %s", path, strerror(errno));
    (void)close(fd);
}

/* What the loss of its lock means to it; left_ms < 0: it is lost now. */
static void fate_of(const struct work *w, int64_t left_ms, char *ret_text,
                    size_t size)
{
    bool is_signal = w->f.on_lost == CONFIG_LOST_SIGNAL;

    if (w->f.on_lost == CONFIG_LOST_LOG)
        (void)snprintf(ret_text, size, "goes on without it");
    else if (left_ms >= 0)
        (void)snprintf(ret_text, size, "%s in %lld s unless it can",
                       is_signal ? "gets a signal" : "ends",
                       (long long)(left_ms / 1000));
    else
        (void)snprintf(ret_text, size, "%s",
                       is_signal ? "gets a signal" : "is being ended");
}

void session_tell(const struct work *w, const char *text, int64_t left_ms)
{
    struct terminals t = {.len = 0};
    char fate[80];
    char line[440];
    int len;

    fate_of(w, left_ms, fate, sizeof(fate));
    len = snprintf(line, sizeof(line),
                   "\r\njustalock: %.300s: this session %s\r\n", text, fate);
    parse_mask_unclean(line + 2);
    memcpy(line + len - 2, "\r\n", 2);
    work_each(&w->who, add_terminal, &t);
    for (size_t i = 0; i < t.len; i++)
        say_on(t.v[i], line, (size_t)len);
}
