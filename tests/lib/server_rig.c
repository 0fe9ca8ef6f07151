/* SPDX-License-Identifier: MIT */
/*
 * server_rig.c - see server_rig.h.
 */
#include "server_rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

#define WAIT_MS 10000

/* ---- the window ---- */

static struct rig *rig_of(struct store *s)
{
    return (struct rig *)s;
}

static enum justalock_status seen_load(struct store *s, store_row_fn *fn,
                                       void *arg, struct justalock_error *err)
{
    struct rig *r = rig_of(s);

    r->loads++;
    if (r->refuse_loads > 0) {
        r->refuse_loads--;
        return error_set(
            err, r->refuse_as != JUSTALOCK_OK ? r->refuse_as : JUSTALOCK_SYS,
            "the window does not open");
    }
    return store_load(r->real, fn, arg, err);
}

static enum justalock_status seen_commit(struct store *s,
                                         const struct lock_change *changes,
                                         size_t len, uint64_t last_token,
                                         struct justalock_error *err)
{
    struct rig *r = rig_of(s);

    __atomic_add_fetch(len > 0 ? &r->commits : &r->empty_commits, 1,
                       __ATOMIC_SEQ_CST);
    if (r->on_commit != NULL && !r->on_commit(r, changes, len))
        return error_set(err, JUSTALOCK_SYS, "the window is shut");
    return store_commit(r->real, changes, len, last_token, err);
}

static void seen_close(struct store *s)
{
    store_close(rig_of(s)->real);
}

static enum justalock_status seen_end_quiet(struct store *s,
                                            struct justalock_error *err)
{
    return store_end_quiet(rig_of(s)->real, err);
}

static void seen_tick(struct store *s, int64_t now_ms, int64_t *ret_next_ms)
{
    (void)s;
    *ret_next_ms = now_ms + 5;
}

static void seen_step_down(struct store *s, const char *why)
{
    (void)why;
    s->shared.is_active = false;
    rig_of(s)->is_stepped_down = true;
}

static const struct store_ops alone_ops = {.load = seen_load,
                                           .commit = seen_commit,
                                           .close = seen_close,
                                           .end_quiet = seen_end_quiet};
static const struct store_ops shared_ops = {.load = seen_load,
                                            .commit = seen_commit,
                                            .close = seen_close,
                                            .end_quiet = seen_end_quiet,
                                            .tick = seen_tick,
                                            .step_down = seen_step_down};

/* ---- the server ---- */

enum justalock_status rig_new(struct rig *r, const char *folder,
                              const struct server_options *options,
                              struct justalock_error *err)
{
    struct listener l = {.fd = -1};
    enum justalock_status st;
    char address[128], bound[128];
    sigset_t set;

    (void)snprintf(r->folder, sizeof(r->folder), "%s", folder);
    (void)snprintf(r->socket, sizeof(r->socket), "%.100s.sock", folder);
    (void)snprintf(address, sizeof(address), "unix:%s", r->socket);
    if (options != NULL)
        r->options = *options;
    r->options.state = r->folder;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    st = limits_finish(&r->options.limits, LIMITS_MAX, err);
    if (st == JUSTALOCK_OK)
        st = listen_open(address, false, &l, bound, sizeof(bound), err);
    if (st != JUSTALOCK_OK)
        return st;
    l.is_tls = r->options.tls.cert != NULL;
    st = server_new(&r->options, &l, 1, &r->server, err);
    if (st != JUSTALOCK_OK) {
        (void)close(l.fd);
        return st;
    }
    r->window.ops = r->is_shared ? &shared_ops : &alone_ops;
    r->real = r->server->store;
    r->server->store = &r->window;
    return JUSTALOCK_OK;
}

static void *run(void *arg)
{
    struct rig *r = arg;
    struct justalock_error err;

    if (r->arm != NULL)
        r->arm(r->fail_at, r->fail_times);
    r->ended = server_run(r->server, &err);
    if (r->arm != NULL)
        r->arm(0, 0);
    return NULL;
}

void rig_run(struct rig *r)
{
    r->is_running = pthread_create(&r->thread, NULL, run, r) == 0;
}

enum justalock_status rig_up(struct rig *r, const char *folder,
                             const struct server_options *options,
                             struct justalock_error *err)
{
    enum justalock_status st;

    memset(r, 0, sizeof(*r));
    st = rig_new(r, folder, options, err);
    if (st == JUSTALOCK_OK)
        rig_run(r);
    return st;
}

enum justalock_status rig_stop(struct rig *r)
{
    if (r->is_running) {
        (void)kill(getpid(), SIGTERM);
        (void)pthread_join(r->thread, NULL);
    }
    r->is_running = false;
    return r->ended;
}

void rig_down(struct rig *r)
{
    int fd = r->server != NULL ? r->server->listen[0].fd : -1;

    (void)rig_stop(r);
    server_free(r->server);
    r->server = NULL;
    if (fd >= 0)
        (void)close(fd);
}

void rig_lead(struct rig *r, bool is_active)
{
    __atomic_store_n(&r->window.shared.is_active, is_active, __ATOMIC_SEQ_CST);
}

/* ---- requests ---- */

int rig_connect(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

bool rig_send(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

bool rig_ask(int fd, const char *method, const char *target, const char *body,
             const char *headers)
{
    char text[8192];
    int n = snprintf(text, sizeof(text),
                     "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s"
                     "\r\n%s",
                     method, target, strlen(body), headers, body);

    return n > 0 && (size_t)n < sizeof(text) && rig_send(fd, text, (size_t)n);
}

static bool wait_for(int fd, int64_t ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, (int)ms) == 1;
}

bool rig_is_answered(int fd)
{
    return wait_for(fd, 0);
}

const char *rig_header(const struct rig_answer *a, const char *name)
{
    static __thread char value[512];
    char want[80];
    const char *at;

    (void)snprintf(want, sizeof(want), "\r\n%s: ", name);
    at = strcasestr(a->head, want);
    if (at == NULL)
        return "";
    at += strlen(want);
    (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

/* One byte at a time: what comes behind it is the next answer's. */
struct rig_answer rig_read(int fd)
{
    struct rig_answer a = {.status = 0};
    size_t len = 0, want;

    while (len < sizeof(a.head) - 1 && strstr(a.head, "\r\n\r\n") == NULL)
        if (!wait_for(fd, WAIT_MS) || recv(fd, a.head + len++, 1, 0) != 1)
            return a;
    want = strtoul(rig_header(&a, "Content-Length"), NULL, 10);
    while (a.body_len < want && a.body_len < sizeof(a.body) - 1) {
        ssize_t n;

        if (want > sizeof(a.body) - 1)
            want = sizeof(a.body) - 1;
        if (!wait_for(fd, WAIT_MS) ||
            (n = recv(fd, a.body + a.body_len, want - a.body_len, 0)) <= 0)
            return a;
        a.body_len += (size_t)n;
    }
    if (strncmp(a.head, "HTTP/1.", 7) == 0)
        a.status = (int)strtol(a.head + 9, NULL, 10);
    return a;
}

const char *rig_lock(char name)
{
    static __thread char path[4][32];
    static __thread unsigned n;

    n = (n + 1) % 4;
    (void)snprintf(path[n], sizeof(path[n]), "/AAAAAAAAAAAAAAAAAAAA%cA", name);
    return path[n];
}

struct lock_id rig_lock_id(char name)
{
    const char *text = rig_lock(name) + 1;
    struct lock_id id;

    if (id_parse_strict(text, strlen(text), &id, NULL) != JUSTALOCK_OK)
        abort();
    return id;
}

/* ---- what is on disk ---- */

struct wanted {
    struct lock_id id;
    const char *client;
    bool is_there;
};

static enum justalock_status look(void *arg, const struct lock_row *row,
                                  bool is_tomb)
{
    struct wanted *w = arg;

    if (!is_tomb && memcmp(&row->id, &w->id, sizeof(w->id)) == 0 &&
        row->client_len == strlen(w->client) &&
        memcmp(row->client, w->client, row->client_len) == 0)
        w->is_there = true;
    return JUSTALOCK_OK;
}

bool rig_is_stored(const char *folder, char lock, const char *client)
{
    struct wanted w = {.id = rig_lock_id(lock), .client = client};
    struct justalock_error err;
    struct store_found found;
    struct store *s;

    if (store_open(folder, NULL, &s, &found, &err) != JUSTALOCK_OK)
        return false;
    if (store_load(s, look, &w, &err) != JUSTALOCK_OK)
        w.is_there = false;
    store_close(s);
    return w.is_there;
}
