/* SPDX-License-Identifier: MIT */
/*
 * nomem.c - a whole server whose memory runs out: the allocation of number n
 * fails, of our code or of SQLite, libmicrohttpd, the C library, whoever asks
 * for it; for n = FIRST, FIRST + STEP, ... until a server comes to its end
 * without a failure. For each n twice:
 *
 *   once  that one fails; the server begins with no state
 *   on    all fail from that one until we say that there is memory again; the
 *         server begins with the state that the first one left
 *
 * Whatever it does, it must not crash or hang; what it answered with 200 is on
 * disk, and nobody else gets it; and it serves again when there is memory. A
 * start may be refused. One of two is killed with SIGKILL at its end, the
 * other is asked to end and must not have lost a block of memory.
 *
 *   nomem FOLDER FIRST STEP     in TAP
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/fail_alloc.h"
#include "../lib/server_rig.h"
#include "clock.h"

#define HANG_MS   8000
#define SERVES_MS 20000
/* How a server ends, besides 0. */
enum { END_NOT_STARTED = 10, END_NO_FAILURE };

static const char names[] = "abcde";

/* What was answered. */
struct book {
    const char *holder[sizeof(names)]; /* NULL: nobody for certain */
    bool is_open[sizeof(names)];       /* asked without an answer: either way */
};

static char folder[120], path[108];
static unsigned failed;
static long *left; /* blocks that the last server did not free */
static long usual; /* what libraries keep */
static long point;
static const char *mode;

static void broken(const char *what, char lock)
{
    printf("# point %ld, %s: %s (lock %c)\n", point, mode, what, lock);
    failed++;
}

/* ---- the server, in a process of its own ---- */

static void on_memory(int sig)
{
    (void)sig;
    (void)fail_alloc_off();
}

static int serve(const struct server_options *options)
{
    struct listener l = {.fd = -1};
    struct justalock_error err;
    struct server *s = NULL;
    enum justalock_status st;
    char address[128], bound[128];

    (void)snprintf(address, sizeof(address), "unix:%s", path);
    st = listen_open(address, false, &l, bound, sizeof(bound), &err);
    if (st == JUSTALOCK_OK)
        st = server_new(options, &l, 1, &s, &err);
    if (st == JUSTALOCK_OK)
        st = server_run(s, &err);
    server_free(s);
    if (l.fd >= 0)
        (void)close(l.fd);
    return st == JUSTALOCK_OK ? 0 : END_NOT_STARTED;
}

static int child(long n, long times)
{
    struct server_options options = {.state = folder};
    long before = fail_alloc_live();
    struct justalock_error err;
    bool hit;
    int rc;

    (void)signal(SIGUSR1, on_memory);
    if (limits_finish(&options.limits, LIMITS_MAX, &err) != JUSTALOCK_OK)
        return END_NOT_STARTED;
    fail_alloc_at(n, times);
    rc = serve(&options);
    hit = fail_alloc_off();
    *left = fail_alloc_live() - before;
    return rc == 0 && !hit ? END_NO_FAILURE : rc;
}

static pid_t begin(long n, long times)
{
    pid_t pid;

    (void)unlink(path);
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0)
        exit(child(n, times));
    return pid;
}

/* ---- what is asked of it ---- */

/* -1: it has ended. */
static int dial(pid_t pid)
{
    int64_t until = clock_raw_ms() + HANG_MS;

    for (;;) {
        int fd = rig_connect(path);
        siginfo_t info = {0};

        if (fd >= 0)
            return fd;
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid != 0)
            return -1;
        if (clock_raw_ms() > until) {
            broken("cannot be reached", '-');
            return -1;
        }
        (void)usleep(1000);
    }
}

static struct rig_answer answer(int fd)
{
    int64_t t0 = clock_raw_ms();
    struct rig_answer a = rig_read(fd);

    if (clock_raw_ms() - t0 > HANG_MS)
        broken("hangs", '-');
    return a;
}

/* Asks on *fd, which is made anew where its connection is gone. */
static struct rig_answer ask(pid_t pid, int *fd, const char *method,
                             const char *target, const char *body,
                             const char *headers)
{
    struct rig_answer a = {.status = 0};

    if (*fd < 0)
        *fd = dial(pid);
    if (*fd >= 0 && rig_ask(*fd, method, target, body, headers))
        a = answer(*fd);
    if (a.status == 0 && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    return a;
}

static void note_take(struct book *b, int i, const char *client,
                      const struct rig_answer *a)
{
    const char *holding = rig_header(a, "Justalock-Holding");
    bool is_new = strcmp(holding, "new") == 0;

    if (a->status == 0) { /* it may have been done */
        b->is_open[i] |= b->holder[i] == NULL;
        return;
    }
    if (a->status != 200 || strcmp(holding, "offered") == 0)
        return;
    /* Where memory failed for a header it has none of them: still a grant. */
    if (b->holder[i] != NULL && strcmp(b->holder[i], client) != 0)
        broken("granted while another holds it", names[i]);
    if (is_new && b->holder[i] != NULL)
        broken("granted anew to who held it", names[i]);
    b->holder[i] = client;
    b->is_open[i] = false;
}

static void take(struct book *b, pid_t pid, int *fd, int i, const char *client,
                 const char *headers)
{
    struct rig_answer a =
        ask(pid, fd, "POST", rig_lock(names[i]), client, headers);

    note_take(b, i, client, &a);
}

static void give(struct book *b, pid_t pid, int *fd, int i, const char *client)
{
    struct rig_answer a =
        ask(pid, fd, "DELETE", rig_lock(names[i]), client, "");

    if (b->holder[i] == NULL || strcmp(b->holder[i], client) != 0)
        return;
    if (a.status == 200 || a.status == 0)
        b->holder[i] = NULL;
    b->is_open[i] = a.status == 0;
}

static void story(struct book *b, pid_t pid)
{
    int one = -1, two = -1;
    struct rig_answer a;

    take(b, pid, &one, 0, "one", "Justalock-Share: s\r\n");
    take(b, pid, &one, 0, "one", "Justalock-Share: s\r\n");
    take(b, pid, &one, 0, "two", "");
    take(b, pid, &one, 1, "one", "Justalock-Label: who\r\n");
    two = dial(pid);
    if (two >= 0 && rig_ask(two, "POST", rig_lock(names[1]), "two",
                            "Justalock-Wait: 2\r\n")) {
        (void)usleep(2000);
        give(b, pid, &one, 1, "one");
        a = answer(two);
        note_take(b, 1, "two", &a);
        take(b, pid, &two, 1, "two", "");
    }
    take(b, pid, &one, 2, "one", "");
    give(b, pid, &one, 2, "one");
    take(b, pid, &one, 3, "one", "");
    (void)ask(pid, &one, "GET", "/v1/locks", "", "");
    (void)ask(pid, &one, "GET", "/metrics", "", "");
    (void)ask(pid, &one, "GET", "/", "", "");
    (void)ask(pid, &one, "POST", "/nothing", "x", "Justalock-Wait: x\r\n");
    if (one >= 0)
        (void)close(one);
    if (two >= 0)
        (void)close(two);
}

/* There is memory again: nobody gets what another was given, and what is free
 * is granted. */
static void afterwards(struct book *b, pid_t pid)
{
    int64_t until = clock_raw_ms() + SERVES_MS;
    struct rig_answer a;
    int fd = -1;

    do {
        a = ask(pid, &fd, "POST", rig_lock(names[4]), "end", "");
        if (a.status != 200)
            (void)usleep(50000);
    } while (a.status != 200 && clock_raw_ms() < until);
    if (a.status != 200)
        broken("does not serve again", names[4]);
    note_take(b, 4, "end", &a);
    for (int i = 0; i < 4; i++) {
        a = ask(pid, &fd, "POST", rig_lock(names[i]), "thief", "");
        if (b->holder[i] != NULL && strcmp(b->holder[i], "thief") != 0 &&
            a.status != 409)
            broken("not refused to another", names[i]);
        if (b->holder[i] == NULL && a.status == 200)
            b->holder[i] = "thief";
        if (a.status == 0)
            broken("does not answer", names[i]);
        b->is_open[i] = false;
    }
    if (fd >= 0)
        (void)close(fd);
}

static void check_disk(const struct book *b)
{
    for (int i = 0; i < 5; i++)
        if (b->holder[i] != NULL && !b->is_open[i] &&
            !rig_is_stored(folder, names[i], b->holder[i]))
            broken("was answered with 200 and is not on disk", names[i]);
}

/* Returns whether it has come to its end without a failure. */
static bool once(struct book *b, long n, long times, bool is_killed)
{
    pid_t pid;
    bool was_up;
    int status = 0, fd;

    *left = 0;
    pid = begin(n, times);
    fd = dial(pid);
    was_up = fd >= 0;
    if (was_up) {
        (void)close(fd);
        story(b, pid);
        (void)kill(pid, SIGUSR1);
        fd = dial(pid);
        was_up = fd >= 0;
    }
    if (was_up) {
        (void)close(fd);
        afterwards(b, pid);
        (void)kill(pid, is_killed ? SIGKILL : SIGTERM);
    }
    if (waitpid(pid, &status, 0) != pid)
        broken("cannot be waited for", '-');
    if (WIFSIGNALED(status) && !(is_killed && WTERMSIG(status) == SIGKILL))
        broken("crashed", '-');
    if (*left > usual) {
        printf("# %ld blocks, %ld as ever\n", *left, usual);
        broken("has lost memory", '-');
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == END_NOT_STARTED && was_up)
        broken("ended by itself", '-');
    check_disk(b);
    return WIFEXITED(status) && WEXITSTATUS(status) == END_NO_FAILURE;
}

static void clear(void)
{
    static const char *const files[] = {
        "locks.db", "locks.db-wal", "locks.db-shm", "mark", "running", "lock"};
    char file[160];

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(file, sizeof(file), "%s/%s", folder, files[i]);
        (void)unlink(file);
    }
    (void)rmdir(folder);
}

static void block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct book first = {.holder = {NULL}};
    long step, points = 0;
    bool is_over = false;

    if (argc != 4)
        return 64;
    (void)snprintf(folder, sizeof(folder), "%s/state", argv[1]);
    (void)snprintf(path, sizeof(path), "%.100s/sock", argv[1]);
    point = strtol(argv[2], NULL, 10);
    step = strtol(argv[3], NULL, 10);
    if (point < 1 || step < 1)
        return 64;
    left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (left == MAP_FAILED)
        return 71;
    block_signals();
    usual = LONG_MAX;
    mode = "none";
    clear();
    if (!once(&first, 0, 0, false))
        broken("does not come to its end", '-');
    usual = *left;
    for (; !is_over; point += step, points++) {
        struct book b = {.holder = {NULL}};

        clear();
        mode = "once";
        is_over = once(&b, point, 1, points % 2 == 0);
        mode = "on";
        (void)once(&b, point, FAIL_ALLOC_ON, points % 2 != 0);
    }
    printf("%s 1 - %ld points of failure, to the one of number %ld\n",
           failed == 0 ? "ok" : "not ok", points, point - step);
    printf("1..1\n");
    return failed != 0;
}
