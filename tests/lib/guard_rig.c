/* SPDX-License-Identifier: MIT */
/*
 * guard_rig.c - the guard's surroundings, see guard_rig.h.
 */
#include "guard_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/agent/record.h"
#include "../unit/scratch.h"
#include "../unit/test.h"
#include "log.h"

#define LONG_MS 20000 /* never reached in a test that passes */

struct rig rig;

static pid_t processes[16];
static size_t processes_len;

/* ---- up and down ---- */

static int listen_at(const char *path, mode_t mode)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void write_config(const char *members)
{
    char text[8192];

    (void)snprintf(text, sizeof(text),
                   "{ \"service\": {\"url\": \"http://127.0.0.1:9/\"},\n"
                   "  \"agent\": {\"cgroup\": \"/proc/none\"},\n"
                   "  \"secret_file\": \"%s\"%s%s }\n",
                   in_scratch("secret"), members[0] ? ", " : "", members);
    write_text(rig.config, text, 0644);
}

void rig_config(const char *members)
{
    struct justalock_error err;

    write_config(members);
    if (!guard_reload(&rig.g, &err))
        fail_msg("%s", err.text);
}

bool rig_is_possible(void)
{
    if (geteuid() == 0)
        return true;
    (void)puts("ok 1 # SKIP a guard is root's");
    return false;
}

int rig_guard_up(void **state)
{
    struct guard *g = &rig.g;
    struct justalock_error err;

    memset(&rig, 0, sizeof(rig));
    rig.keeper = -1;
    log_open("guard", LOG_LEVEL_ERROR);
    if (scratch_make(state) != 0 || chmod(scratch, 0755) < 0)
        return -1;
    (void)snprintf(rig.folder, sizeof(rig.folder), "%s", scratch);
    (void)snprintf(rig.state, sizeof(rig.state), "%s/state", scratch);
    (void)snprintf(rig.config, sizeof(rig.config), "%s/conf.json", scratch);
    (void)snprintf(rig.path, sizeof(rig.path), "%s/agent.sock", scratch);
    assert_int_equal(mkdir(rig.state, 0700), 0);
    write_text(in_scratch("secret"),
               "0123456789abcdef0123456789abcdef0123456789abcdef", 0600);
    rig.o = (struct agent_options){
        .config = rig.config,
        .socket = rig.path,
        .state = rig.state,
        .keeper_user = "nobody",
        .nudge_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
        .news_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    rig.o.listen_fd = listen_at(rig.path, 0666);
    rig.keeper_listener = listen_at(in_scratch("state/keeper.sock"), 0600);
    g->o = &rig.o;
    g->keeper.fd = g->watch.fd = g->listener.fd = -1;
    assert_ok(table_open(rig.state, &g->table, &err), err);
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    g->listener = (struct source){rig.o.listen_fd, conn_ready_listener};
    assert_ok(guard_watch_fd(g, &g->listener, EPOLLIN, &err), err);
    g->is_accepting = true;
    g->next_number = 100;
    (void)snprintf(g->host, sizeof(g->host), "n1");
    g->tick = clock_now();
    g->crowd_said = clock_never();
    atomic_store(&g->table.header->watch, proc_key_self());
    rig_config("");
    return 0;
}

static void end_children(void)
{
    while (rig.g.children) {
        (void)kill(rig.g.children->pid, SIGKILL);
        (void)waitpid(rig.g.children->pid, NULL, 0);
        rig.g.children->done = NULL;
        children_reap(&rig.g);
        if (rig.g.children) { /* reaped by us: let it believe so */
            struct child_run *c = rig.g.children;

            guard_forget_fd(&rig.g, &c->source);
            rig.g.children = c->next;
            free(c);
        }
    }
}

int rig_guard_down(void **state)
{
    struct guard *g = &rig.g;

    for (size_t i = 0; i < processes_len; i++) {
        (void)kill(processes[i], SIGKILL);
        (void)waitpid(processes[i], NULL, 0);
    }
    processes_len = 0;
    end_children();
    while (g->works) {
        g->works->who.kind = IDENTITY_NONE;
        work_remove(g, g->works);
    }
    for (struct conn *c = g->conns; c; c = c->next)
        conn_close(g, c);
    conns_sweep(g);
    rig_keeper_gone();
    guard_forget_fd(g, &g->keeper);
    guard_forget_fd(g, &g->watch);
    (void)close(rig.keeper_listener);
    guard_forget_fd(g, &g->listener);
    (void)close(rig.o.nudge_fd);
    (void)close(rig.o.news_fd);
    (void)close(g->epoll);
    table_close(&g->table);
    config_free(g->config);
    g->config = NULL;
    return scratch_remove(state);
}

/* ---- the loop ---- */

static void around(bool is_ours)
{
    if (rig.around)
        rig.around(is_ours);
}

void rig_turn(void)
{
    struct epoll_event e;

    around(false);
    while (epoll_wait(rig.g.epoll, &e, 1, 0) == 1) {
        struct source *s = e.data.ptr;

        s->ready(&rig.g, s, e.events);
        conns_sweep(&rig.g);
    }
    around(true);
}

void rig_tick(int64_t later_ms)
{
    struct clock_time now = clock_add(clock_now(), later_ms);
    struct work *next;

    around(false);
    for (struct work *w = rig.g.works; w; w = next) {
        next = w->next;
        hold_tick(&rig.g, w, now);
    }
    rig_turn();
}

struct work *rig_work(void)
{
    assert_true(rig.g.works_len <= 1);
    return rig.g.works;
}

bool rig_has_file(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", rig.state, name);
    return access(path, F_OK) == 0;
}

bool rig_is_recorded(uint64_t number, enum work_state state)
{
    static char data[RECORD_MAX + 2];
    static struct record r;
    char path[256];
    struct justalock_error err;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "%s/work-%llu", rig.state,
                   (unsigned long long)number);
    n = proc_read_file(AT_FDCWD, path, data, sizeof(data));
    if (n < 0)
        return false;
    assert_ok(record_unpack(data, (size_t)n, &r, &err), err);
    return r.state == state;
}

/* ---- modules ---- */

int rig_dial(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", rig.path);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

int rig_dial_as(uint32_t uid)
{
    uid_t own = geteuid();
    int fd;

    assert_int_equal(seteuid(uid), 0);
    fd = rig_dial();
    assert_int_equal(seteuid(own), 0);
    return fd;
}

static struct wire_msg asks;

static struct wire_msg *request(enum wire_type type, const char *locks)
{
    memset(&asks, 0, sizeof(asks));
    asks.type = type;
    (void)snprintf(asks.locks, sizeof(asks.locks), "%s", locks);
    asks.wait_ms = WIRE_WAIT_DEFAULT;
    return &asks;
}

struct wire_msg *rig_job(enum wire_type type, uint32_t job_id,
                         const char *locks)
{
    struct wire_msg *m = request(type, locks);

    m->job = (struct wire_job){.job_id = job_id,
                               .leader_id = job_id,
                               .array_id = WIRE_NO_ARRAY,
                               .array_task = WIRE_NO_ARRAY,
                               .uid = 0,
                               .node_count = 1,
                               .partition = "main",
                               .name = "nightly"};
    return m;
}

struct wire_msg *rig_command(const char *locks)
{
    return request(WIRE_COMMAND, locks);
}

struct wire_msg *rig_session(const char *lock)
{
    struct wire_msg *m = request(WIRE_SESSION_OPEN, lock);

    m->session = (struct wire_session){.uid = 1000,
                                       .user = "alice",
                                       .rhost = "192.0.2.7",
                                       .service = "sshd",
                                       .timeout_ms = 10000};
    return m;
}

void rig_say(int fd, const struct wire_msg *m)
{
    struct justalock_error err;
    struct buf b;

    buf_init(&b, WIRE_MAX);
    assert_ok(wire_pack(m, &b, &err), err);
    assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), b.len);
    buf_done(&b);
    rig_turn();
}

int rig_request(const struct wire_msg *m)
{
    int fd = rig_dial();

    rig_say(fd, m);
    return fd;
}

/* false: nothing there, or the end. */
static bool next(int fd, struct wire_msg *m)
{
    static char data[WIRE_MAX];
    struct justalock_error err;
    ssize_t n;

    rig_turn();
    n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
    if (n <= 0)
        return false;
    assert_ok(wire_unpack(data, (size_t)n, m, &err), err);
    return true;
}

bool rig_is_silent(int fd)
{
    static struct wire_msg m;

    return !next(fd, &m);
}

const struct wire_msg *rig_answer(int fd)
{
    static struct wire_msg m;

    do
        if (!next(fd, &m))
            fail_msg("no answer came");
    while (m.type == WIRE_NOTE);
    return &m;
}

void rig_expect(int fd, enum wire_verdict verdict, const char *part)
{
    const struct wire_msg *m = rig_answer(fd);

    assert_int_equal(m->type, WIRE_VERDICT);
    if (m->verdict != verdict)
        fail_msg("verdict %d, not %d: %s", m->verdict, (int)verdict, m->text);
    assert_has(m->text, part);
}

/* ---- the keeper ---- */

void rig_keeper_connect(void)
{
    rig.g.keeper_again = (struct clock_time){0, 0};
    keeper_link_tick(&rig.g, clock_now());
    rig.keeper =
        accept4(rig.keeper_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(rig.keeper >= 0);
}

void rig_keeper(void)
{
    struct keeper_msg ready = {.type = KW_READY};

    rig_keeper_connect();
    rig_keeper_says(&ready);
    assert_true(rig.g.is_keeper_ready);
}

void rig_keeper_gone(void)
{
    if (rig.keeper < 0)
        return;
    (void)close(rig.keeper);
    rig.keeper = -1;
    rig_turn();
}

void rig_keeper_says(const struct keeper_msg *m)
{
    struct justalock_error err;

    assert_ok(keeper_wire_send(rig.keeper, m, &err), err);
    rig_turn();
}

static bool asked(struct keeper_msg *m)
{
    struct justalock_error err;
    bool more = false;

    do
        assert_ok(keeper_wire_recv(rig.keeper, m, &more, &err), err);
    while (more && m->type == KW_PING);
    return more;
}

const struct keeper_msg *rig_asked(enum keeper_wire_type type)
{
    static struct keeper_msg m;

    if (!asked(&m))
        fail_msg("the keeper is not asked for %d", (int)type);
    assert_int_equal(m.type, type);
    return &m;
}

bool rig_is_asked_nothing(void)
{
    static struct keeper_msg m;

    return !asked(&m);
}

void rig_event(uint64_t handle, enum keeper_event_kind kind,
               enum justalock_status status, const char *text)
{
    struct keeper_msg m = {.type = KW_EVENT};

    m.event.handle = handle;
    m.event.kind = kind;
    m.event.status = status;
    m.event.t0 = clock_now();
    (void)snprintf(m.event.text, sizeof(m.event.text), "%s", text);
    if (kind == KEEPER_BUSY) {
        (void)snprintf(m.event.holder, sizeof(m.event.holder), "job 7");
        (void)snprintf(m.event.since, sizeof(m.event.since),
                       "2026-11-23T07:46:09Z");
    }
    rig_keeper_says(&m);
}

uint64_t rig_grant(int64_t ago_ms)
{
    uint64_t handle = rig_asked(KW_ACQUIRE)->handle;
    struct keeper_msg m = {.type = KW_EVENT};

    m.event.handle = handle;
    m.event.kind = KEEPER_GRANTED;
    m.event.t0 = clock_add(clock_now(), -ago_ms);
    m.event.has_features = true;
    m.event.has_token = true;
    m.event.token = 42;
    rig_keeper_says(&m);
    return handle;
}

int rig_hold(const struct wire_msg *m)
{
    int fd = rig_request(m);

    (void)rig_grant(0);
    rig_expect(fd, WIRE_GO, "");
    return fd;
}

void rig_give_back(size_t locks)
{
    while (locks-- > 0)
        rig_event(rig_asked(KW_RELEASE)->handle, KEEPER_RELEASED, JUSTALOCK_OK,
                  "");
}

void rig_row(struct work *w, enum row_state state)
{
    struct row_plan plan;
    uint64_t word;

    (void)row_look(w->row, &plan, &word);
    assert_true(row_advance(w->row, word, state));
    around(false);
    hold_look_at_row(&rig.g, w);
    around(true);
    rig_turn();
}

/* ---- processes ---- */

pid_t rig_process(uint32_t job_id, uint32_t uid)
{
    char id[40];
    char sleep[] = "sleep", seconds[] = "1000";
    char *const argv[] = {sleep, seconds, NULL};
    char *const envp[] = {id, NULL};
    char text[2];
    int out[2];
    pid_t pid;

    (void)snprintf(id, sizeof(id), "SLURM_JOB_ID=%u", job_id);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        if (setuid(uid) == 0)
            (void)execve("/bin/sleep", argv, envp);
        _exit(99);
    }
    assert_true(pid > 0);
    assert_true(processes_len < LENGTH(processes));
    processes[processes_len++] = pid;
    (void)close(out[1]);
    assert_int_equal(read(out[0], text, 1), 0); /* the exec closed it */
    (void)close(out[0]);
    return pid;
}

void rig_kill(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (size_t i = 0; i < processes_len; i++)
        if (processes[i] == pid)
            processes[i] = processes[--processes_len];
}

void rig_scontrol(const char *script)
{
    char text[4096];
    char path[4096];

    (void)mkdir(in_scratch("bin"), 0755);
    (void)snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
    write_text(in_scratch("bin/scontrol"), text, 0755);
    (void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", in_scratch("bin"));
    assert_int_equal(setenv("PATH", path, 1), 0);
}

void rig_children(void)
{
    for (int ms = 0; rig.g.children && ms < LONG_MS; ms++) {
        rig_turn();
        children_reap(&rig.g);
        (void)usleep(1000);
    }
    assert_null(rig.g.children);
    rig_turn();
}
