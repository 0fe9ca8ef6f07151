/* SPDX-License-Identifier: MIT */
/*
 * keeper_main.c - the program justalock-keeper: the keeper behind the
 * messages of keeper_wire.h. Holds no privilege and no secret but the client
 * ids it is given; its owner decides, and counts the deadlines itself.
 *
 * --connected  descriptor 0 is the owner's socket. When the owner is gone, the
 *              keeper is too, and what is held is left to its lease: the work
 *              may still be alive.
 * --listen     descriptor 0 is a listening socket. Without an owner it goes on
 *              refreshing; what an owner did not hear it reads from KEEPING.
 *              SIGTERM ends it at once, as any death would: nothing is given
 *              back, and another keeper can adopt all.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper_jail.h"
#include "keeper_wire.h"
#include "log.h"

#define RUN_MS       60000
#define BATCH        256     /* messages read in one pass */
#define QUEUE_MAX    8388608 /* bytes for an owner that does not read */
#define LAST_MS      2000    /* to give back what was asked for, at the end */
#define LAST_LONG_MS 15000   /* where another server may have to take over */
#define EXIT_USAGE   64
#define EXIT_PRIVATE 77 /* privileges could not be given up */

/* A message that the socket had no room for yet. */
struct unsent {
    struct unsent *next;
    size_t len;
    char data[];
};

struct program {
    struct keeper *keeper;
    bool listens;
    uid_t starter;
    int inbox;  /* epoll: the listening socket and the owner's */
    int listen; /* -1: --connected */
    int owner;  /* -1: none */
    bool wants_out;
    uintptr_t generation; /* of the owner, so that views reach who asked */
    struct unsent *unsent, **unsent_end;
    size_t unsent_bytes;
};

/* ---- the owner's socket ---- */

static void watch(struct program *p, int fd, bool wants_out)
{
    struct epoll_event ev = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0),
                             .data.fd = fd};

    if (epoll_ctl(p->inbox, EPOLL_CTL_ADD, fd, &ev) < 0 &&
        epoll_ctl(p->inbox, EPOLL_CTL_MOD, fd, &ev) < 0)
        log_error("epoll: %s", strerror(errno));
}

static void drop_owner(struct program *p, const char *why)
{
    if (p->owner < 0)
        return;
    if (why)
        log_warn("connection of the owner dropped: %s", why);
    (void)close(p->owner);
    p->owner = -1;
    p->wants_out = false;
    p->generation++;
    while (p->unsent) {
        struct unsent *u = p->unsent;

        p->unsent = u->next;
        free(u);
    }
    p->unsent_end = &p->unsent;
    p->unsent_bytes = 0;
}

static void flush(struct program *p)
{
    while (p->unsent) {
        struct unsent *u = p->unsent;

        if (send(p->owner, u->data, u->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                drop_owner(p, errno == EPIPE || errno == ECONNRESET
                                  ? NULL
                                  : strerror(errno));
            return;
        }
        p->unsent = u->next;
        p->unsent_bytes -= u->len;
        free(u);
    }
    p->unsent_end = &p->unsent;
    if (p->wants_out)
        watch(p, p->owner, false);
    p->wants_out = false;
}

/*
 * An owner that does not read for long loses its connection, never a fact:
 * what it missed is in the KEEPING of the next one.
 */
static void tell(struct program *p, const struct keeper_msg *m)
{
    struct justalock_error err;
    struct unsent *u = NULL;
    struct buf b;

    if (p->owner < 0)
        return;
    buf_init(&b, KEEPER_WIRE_MAX);
    if (keeper_wire_pack(m, &b, &err) == JUSTALOCK_OK &&
        p->unsent_bytes + b.len <= QUEUE_MAX)
        u = malloc(sizeof(*u) + b.len);
    if (u) {
        u->next = NULL;
        u->len = b.len;
        memcpy(u->data, b.data, b.len);
        *p->unsent_end = u;
        p->unsent_end = &u->next;
        p->unsent_bytes += u->len;
    }
    buf_done(&b);
    if (!u) {
        drop_owner(p, "it does not read, or there is no memory");
        return;
    }
    flush(p);
    if (p->unsent && !p->wants_out) {
        p->wants_out = true;
        watch(p, p->owner, true);
    }
}

/* ---- what the keeper says ---- */

static void on_event(void *arg, const struct keeper_event *event)
{
    struct keeper_msg m = {.type = KW_EVENT, .event = *event};

    tell(arg, &m);
}

/* A question, and who asked it. */
struct asked {
    struct program *program;
    uintptr_t generation;
};

static void tell_view(struct program *p, uint64_t handle,
                      enum justalock_status status, const char *text,
                      const struct keeper_view *view)
{
    struct keeper_msg m = {.type = KW_VIEW, .handle = handle};
    struct justalock_error cut = {.text = ""};

    (void)error_set(&cut, status, "%s", text);
    m.event.status = status;
    memcpy(m.event.text, cut.text, sizeof(m.event.text));
    if (view)
        m.view = *view;
    tell(p, &m);
}

static void on_view(void *arg, uint64_t handle, enum justalock_status status,
                    const char *text, const struct keeper_view *view)
{
    struct asked *asked = arg;

    if (asked->program->generation == asked->generation)
        tell_view(asked->program, handle, status, text, view);
    if (status != JUSTALOCK_OK || !view || !view->has_more)
        free(asked);
}

static void on_keeping(void *arg, const struct keeper_keeping *keeping)
{
    struct keeper_msg m = {.type = KW_KEEPING,
                           .handle = keeping->handle,
                           .held = keeping->held,
                           .t0 = keeping->t0};

    m.lock.slots = keeping->slots;
    m.lock.slot = keeping->slot;
    m.lock.slot_has_id = keeping->slot_has_id;

    m.lock.id = keeping->id;
    memcpy(m.lock.share, keeping->share, sizeof(m.lock.share));
    tell(arg, &m);
}

/* ---- what the owner says ---- */

static void refuse(struct program *p, const struct keeper_msg *m,
                   enum keeper_event_kind kind,
                   const struct justalock_error *err)
{
    struct keeper_event e = {
        .handle = m->handle, .kind = kind, .status = err->status};

    memcpy(e.text, err->text, sizeof(e.text));
    on_event(p, &e);
}

static void do_acquire(struct program *p, const struct keeper_msg *m)
{
    struct justalock_error err;
    enum justalock_status st = keeper_acquire(p->keeper, m->handle, &m->service,
                                              &m->lock, m->wait_ms, &err);

    if (st == JUSTALOCK_STATE)
        drop_owner(p, "it asks for a handle that is kept already");
    else if (st != JUSTALOCK_OK)
        refuse(p, m, KEEPER_TIMEOUT, &err);
}

static void do_adopt(struct program *p, const struct keeper_msg *m)
{
    struct justalock_error err;
    enum justalock_status st =
        keeper_adopt(p->keeper, m->handle, &m->service, &m->lock, m->t0,
                     m->has_features, &err);

    /* STATE: it is kept already, which is what was asked. */
    if (st != JUSTALOCK_OK && st != JUSTALOCK_STATE)
        refuse(p, m, KEEPER_LOST, &err);
}

static void do_query(struct program *p, const struct keeper_msg *m)
{
    struct asked *asked = malloc(sizeof(*asked));
    struct justalock_error err;
    enum justalock_status st;

    if (!asked) {
        tell_view(p, m->handle, JUSTALOCK_NOMEM, "no memory", NULL);
        return;
    }
    *asked = (struct asked){p, p->generation};
    st = keeper_query(p->keeper, m->handle, &m->service, &m->lock.id,
                      m->wait_ms, on_view, asked, &err);
    if (st == JUSTALOCK_OK)
        return;
    free(asked);
    tell_view(p, m->handle, st, err.text, NULL);
}

static void do_message(struct program *p, const struct keeper_msg *m)
{
    struct keeper_msg pong = {.type = KW_PONG, .handle = m->handle};

    switch (m->type) {
    case KW_ACQUIRE:
        do_acquire(p, m);
        return;
    case KW_ADOPT:
        do_adopt(p, m);
        return;
    case KW_RELEASE:
        keeper_release(p->keeper, m->handle, m->wait_ms);
        return;
    case KW_QUERY:
        do_query(p, m);
        return;
    case KW_PING:
        tell(p, &pong);
        return;
    case KW_EVENT:
    case KW_VIEW:
    case KW_PONG:
    case KW_KEEPING:
    case KW_READY:
        break;
    }
    drop_owner(p, "it sends what only we may send");
}

static void read_owner(struct program *p)
{
    struct justalock_error err;
    struct keeper_msg m;
    int left = BATCH; /* the rest with the next pass: refreshes come first */
    bool more = true;

    while (p->owner >= 0 && left-- > 0) {
        if (keeper_wire_recv(p->owner, &m, &more, &err) != JUSTALOCK_OK)
            drop_owner(p, err.sys_errno == EPIPE ? NULL : err.text);
        else if (!more)
            break;
        else
            do_message(p, &m);
    }
    explicit_bzero(&m, sizeof(m));
}

static void greet(struct program *p)
{
    struct keeper_msg ready = {.type = KW_READY};

    watch(p, p->owner, false);
    keeper_each(p->keeper, on_keeping, p);
    tell(p, &ready);
}

static void accept_owner(struct program *p)
{
    struct ucred cred = {.uid = (uid_t)-1};
    socklen_t len = sizeof(cred);
    int fd = accept4(p->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            log_error("accept: %s", strerror(errno));
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
        (cred.uid != 0 && cred.uid != p->starter)) {
        log_warn("connection of user %u refused", (unsigned)cred.uid);
        (void)close(fd);
        return;
    }
    drop_owner(p, p->owner >= 0 ? "a newer one came" : NULL);
    p->owner = fd;
    greet(p);
}

static void read_inbox(struct program *p)
{
    struct epoll_event events[4];
    int n = epoll_wait(p->inbox, events, 4, 0);

    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == p->listen) {
            accept_owner(p);
            continue;
        }
        if (events[i].data.fd != p->owner)
            continue; /* a newer one came in this pass */
        if (events[i].events & EPOLLOUT)
            flush(p);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            read_owner(p);
    }
}

/* ---- the program ---- */

static void serve(struct program *p)
{
    struct clock_time end;

    while (p->listens || p->owner >= 0)
        if (keeper_run(p->keeper, p->inbox, RUN_MS))
            read_inbox(p);
    keeper_abandon(p->keeper);
    end = clock_add(clock_now(),
                    keeper_has_several(p->keeper) ? LAST_LONG_MS : LAST_MS);
    while (keeper_count(p->keeper) > 0 && clock_left_ms(end, clock_now()) > 0)
        (void)keeper_run(p->keeper, -1, clock_left_ms(end, clock_now()));
}

static enum justalock_status start(struct program *p,
                                   struct justalock_error *err)
{
    enum justalock_status st = keeper_new(on_event, p, &p->keeper, err);

    if (st != JUSTALOCK_OK)
        return st;
    p->inbox = epoll_create1(EPOLL_CLOEXEC);
    if (p->inbox < 0)
        return error_sys(err, errno, "epoll");
    st = jail_shut(err);
    if (st != JUSTALOCK_OK)
        return st;
    if (p->listens) {
        p->listen = STDIN_FILENO;
        if (fcntl(p->listen, F_SETFL, O_NONBLOCK) < 0)
            return error_sys(err, errno, "descriptor 0");
        watch(p, p->listen, false);
    } else {
        p->owner = STDIN_FILENO;
        greet(p);
    }
    return JUSTALOCK_OK;
}

static void print_help(void)
{
    (void)puts(
        "usage: justalock-keeper --connected|--listen [--user NAME]\n"
        "\n"
        "Talks to the lock service for justalock and justalock-agent, which\n"
        "start it with a socket as descriptor 0. Not meant to be run by hand.\n"
        "\n"
        "  --connected  descriptor 0 is connected; end when its peer does\n"
        "  --listen     descriptor 0 listens; go on without an owner\n"
        "  --user NAME  as root: become this user (justalock, else nobody)\n"
        "  --help, --version");
}

/* -1: go on; else the exit status. */
static int parse_args(int argc, char **argv, struct program *p,
                      const char **ret_user)
{
    bool has_mode = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help();
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            (void)puts("justalock-keeper " JUSTALOCK_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--user") == 0 && i + 1 < argc) {
            *ret_user = argv[++i];
            continue;
        }
        p->listens = strcmp(argv[i], "--listen") == 0;
        if (has_mode || (!p->listens && strcmp(argv[i], "--connected") != 0)) {
            log_error("%s: not an option here; see --help", argv[i]);
            return EXIT_USAGE;
        }
        has_mode = true;
    }
    if (!has_mode)
        log_error("--connected or --listen is missing; see --help");
    return has_mode ? -1 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static struct program p = {.listen = -1, .owner = -1};
    struct justalock_error err = {.text = ""};
    const char *user = NULL;
    sigset_t pipe_set;
    int rc;

    /* One heap for all: a thread that looks up a name needs none of its own. */
    (void)mallopt(M_ARENA_MAX, 1); /* else it is only larger */
    p.starter = getuid();
    p.unsent_end = &p.unsent;
    log_open("justalock-keeper", LOG_LEVEL_INFO);
    rc = parse_args(argc, argv, &p, &user);
    if (rc >= 0)
        return rc;
    if (jail_drop(user, &err) != JUSTALOCK_OK) {
        log_error("%s", err.text);
        return EXIT_PRIVATE;
    }
    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &pipe_set, NULL); /* the set is valid */
    if (start(&p, &err) != JUSTALOCK_OK) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    serve(&p);
    drop_owner(&p, NULL);
    /* Not keeper_free: goodbyes of TLS would only cost time. */
    return EXIT_SUCCESS;
}
