/* SPDX-License-Identifier: MIT */
/*
 * witness.c - a piece of work that sees for itself whether it is alone. Its
 * first act is to lock a file that all processes of one lock's work share: the
 * kernel keeps that lock until the last process that inherited the descriptor
 * is dead, whoever killed it. Who does not get it at once came too early.
 *
 *   witness MARKS LOCK MS [KIND...]
 *
 * MARKS/LOCK is the file; it holds the last fencing token. What is wrong goes
 * to MARKS/broken, one line each. It is done after MS; with WORK_HISTORY set it
 * says so there, for tests/faults/oracle, as the work that WORK_LOCK and
 * WORK_NAME name (see work.c). So long lives each of its children:
 *   plain   one child
 *   setsid  one in a session of its own whose parent is gone
 *   deaf    one that ignores TERM, INT and HUP
 *   stop    one that stops itself
 *   storm   twenty that start another each, in place of themselves, until MS
 *   vfork   one that waits for its own child, in D state
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORM 20

static const char *marks, *lock;
static struct timespec end;

static void broken(const char *what)
{
    char path[4096], line[300];
    struct timespec now;
    int fd, n;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(path, sizeof(path), "%s/broken", marks);
    n = snprintf(line, sizeof(line), "%lld.%03ld %s: %s, process %d\n",
                 (long long)now.tv_sec, now.tv_nsec / 1000000, lock, what,
                 (int)getpid());
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        perror(path);
}

/* The descriptor stays open, in every child too. */
static void be_alone(void)
{
    const char *text = getenv("JUSTALOCK_TOKEN");
    uint64_t token = text ? strtoull(text, NULL, 10) : 0;
    char path[4096], last[32] = "";
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", marks, lock);
    fd = open(path, O_RDWR | O_CREAT, 0666);
    if (fd < 0) {
        perror(path);
        exit(71);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        broken("an earlier holder is alive");
    if (token == 0)
        return;
    if (pread(fd, last, sizeof(last) - 1, 0) > 0 &&
        strtoull(last, NULL, 10) >= token)
        broken("the token did not grow");
    (void)snprintf(last, sizeof(last), "%020" PRIu64 "\n", token);
    if (pwrite(fd, last, strlen(last), 0) < 0)
        perror(path);
}

static void say_done(void)
{
    const char *history = getenv("WORK_HISTORY");
    const char *of = getenv("WORK_LOCK"), *name = getenv("WORK_NAME");
    char line[300];
    int fd, n;

    if (!history || !of || !name)
        return;
    n = snprintf(line, sizeof(line), "done %.100s %.100s 0\n", of, name);
    fd = open(history, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        perror(history);
}

static void live(void)
{
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        continue;
}

static _Noreturn void storm(void)
{
    struct timespec now, nap = {.tv_nsec = 20 * 1000000};

    do {
        pid_t pid = fork();

        if (pid > 0)
            _exit(0);
        (void)nanosleep(&nap, NULL);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
    _exit(0);
}

static void ignore_all(void)
{
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
}

/* In a child. A vfork(2) parent waits in D state until its child is gone. */
static _Noreturn void be(const char *kind)
{
    if (strcmp(kind, "deaf") == 0)
        ignore_all();
    if (strcmp(kind, "stop") == 0)
        (void)raise(SIGSTOP);
    if (strcmp(kind, "storm") == 0)
        storm();
    if (strcmp(kind, "setsid") == 0) {
        (void)setsid();
        if (fork() != 0)
            _exit(0);
    }
    if (strcmp(kind, "vfork") == 0 && vfork() == 0) {
        live();
        _exit(0);
    }
    live();
    _exit(0);
}

int main(int argc, char **argv)
{
    long ms;

    if (argc < 4)
        return 64;
    marks = argv[1];
    lock = argv[2];
    be_alone();
    ms = strtol(argv[3], NULL, 10);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    for (int i = 4; i < argc; i++) {
        int n = strcmp(argv[i], "storm") == 0 ? STORM : 1;

        while (n-- > 0)
            if (fork() == 0)
                be(argv[i]);
    }
    live();
    say_done();
    while (wait(NULL) > 0) /* not the stopped ones: who ends us ends them */
        continue;
    return 0;
}
