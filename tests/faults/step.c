/* SPDX-License-Identifier: MIT */
/*
 * step.c - ends, crashes or stops a process at one point of its run. Points
 * are counted from 1: each system call has two, before it and after it, so
 * that all that others can see of a process is the same between two points,
 * but for memory that it shares.
 *
 *   step -o FILE POINT SIGNAL -p PID          from now on, until TERM
 *   step -o FILE [-c N] POINT SIGNAL -- COMMAND [ARG...]
 *
 * -c N: not the command itself but the N-th process that it makes. POINT 0
 * only counts. FILE gets "traced" when the count begins, then "hit POINT CALL"
 * or "end POINTS". Exits as the command does; with -p with 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAKES (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)

static const char *out_path;
static long point, points;
static int how;
static volatile sig_atomic_t is_over;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "step: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void say(const char *word, long number, long call)
{
    char line[80];
    int fd = open(out_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int n = snprintf(line, sizeof(line), "%s %ld %ld\n", word, number, call);

    if (fd < 0 || write(fd, line, (size_t)n) != n)
        die(out_path);
    (void)close(fd);
}

static void on_term(int signo)
{
    (void)signo;
    is_over = 1;
}

static int signal_of(const char *name)
{
    static const struct {
        const char *name;
        int signo;
    } known[] = {{"KILL", SIGKILL},
                 {"SEGV", SIGSEGV},
                 {"ABRT", SIGABRT},
                 {"STOP", SIGSTOP}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].signo;
    fprintf(stderr, "step: %s: KILL, SEGV, ABRT or STOP\n", name);
    exit(64);
}

/* -1: it has ended, and with it what there was to count. */
static int next_stop(pid_t pid, int *ret_status)
{
    pid_t got;

    do {
        got = waitpid(pid, ret_status, __WALL);
    } while (got < 0 && errno == EINTR && !is_over);
    if (got < 0 || !WIFSTOPPED(*ret_status))
        return -1;
    return *ret_status >> 8;
}

/* The process that is to be counted: pid's n-th child, both stopped now. */
static pid_t child_of(pid_t pid, long n)
{
    unsigned long child = 0;
    int status, stop, sig = 0;

    while (n > 0) {
        if (ptrace(PTRACE_CONT, pid, NULL, sig) < 0)
            die("the command");
        stop = next_stop(pid, &status);
        if (stop < 0)
            return -1;
        sig = stop >> 8 == 0 ? stop : 0;
        if (stop != (SIGTRAP | (PTRACE_EVENT_FORK << 8)) &&
            stop != (SIGTRAP | (PTRACE_EVENT_VFORK << 8)) &&
            stop != (SIGTRAP | (PTRACE_EVENT_CLONE << 8)))
            continue;
        if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) < 0 ||
            next_stop((pid_t)child, &status) < 0)
            die("a child");
        if (--n > 0 && ptrace(PTRACE_DETACH, (pid_t)child, NULL, NULL) < 0)
            die("a child that is not wanted");
    }
    return (pid_t)child;
}

static void hit(pid_t pid, int *ret_status)
{
    struct __ptrace_syscall_info info = {.op = 0};

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
        info.entry.nr = 0;
    if (kill(pid, how) < 0)
        die("the signal");
    say("hit", points,
        info.op == PTRACE_SYSCALL_INFO_ENTRY ? (long)info.entry.nr : -1);
    /* Who dies while it is traced is seen dead by us first. */
    if (how == SIGKILL)
        (void)next_stop(pid, ret_status);
    else
        (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

/* It is stopped. Returns when it has ended, with that in *ret_status, or is
 * left to itself. */
static void count(pid_t pid, int *ret_status)
{
    int stop;
    long sig = 0;
    enum __ptrace_request go = PTRACE_SYSCALL;

    say("traced", 0, 0);
    for (;;) {
        if (ptrace(go, pid, NULL, sig) < 0)
            break; /* killed meanwhile */
        stop = next_stop(pid, ret_status);
        if (is_over) {
            if (stop < 0) {
                (void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
                (void)waitpid(pid, ret_status, __WALL);
            }
            (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
            break;
        }
        if (stop < 0)
            break;
        sig = 0;
        go = PTRACE_SYSCALL;
        if (stop == (SIGTRAP | 0x80)) {
            if (++points == point) {
                hit(pid, ret_status);
                return;
            }
        } else if (stop >> 8 == PTRACE_EVENT_STOP) {
            if ((stop & 0xff) != SIGTRAP)
                go = PTRACE_LISTEN; /* it stops, as any process */
        } else if (stop >> 8 == 0) {
            sig = stop;
        }
    }
    say("end", points, 0);
}

static void seize(pid_t pid, int options)
{
    int status;

    if (ptrace(PTRACE_SEIZE, pid, NULL, options) < 0 ||
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 ||
        next_stop(pid, &status) < 0)
        die("it cannot be traced");
}

static int run(char **argv, long child_n)
{
    int ready[2], status = 0;
    char byte;
    pid_t pid, counted;

    if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        die("fork");
    if (pid == 0) {
        (void)close(ready[1]);
        (void)!read(ready[0], &byte, 1); /* until we are traced */
        (void)execvp(argv[0], argv);
        die(argv[0]);
    }
    seize(pid, PTRACE_O_TRACESYSGOOD | (child_n > 0 ? MAKES : 0));
    (void)close(ready[0]);
    (void)close(ready[1]);
    counted = child_n > 0 ? child_of(pid, child_n) : pid;
    if (counted > 0 && counted != pid &&
        (ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 ||
         ptrace(PTRACE_SETOPTIONS, counted, NULL, PTRACE_O_TRACESYSGOOD) < 0))
        die("the command");
    if (counted > 0)
        count(counted, &status);
    /* ECHILD: we have seen its end already. */
    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_term};
    long child_n = 0;
    pid_t pid;
    int opt, status;

    while ((opt = getopt(argc, argv, "+o:c:")) > 0) {
        if (opt == 'o')
            out_path = optarg;
        else if (opt == 'c')
            child_n = strtol(optarg, NULL, 10);
        else
            return 64;
    }
    if (!out_path || argc - optind < 4)
        return 64;
    point = strtol(argv[optind], NULL, 10);
    how = signal_of(argv[optind + 1]);
    if (strcmp(argv[optind + 2], "--") == 0)
        return run(argv + optind + 3, child_n);
    (void)sigaction(SIGTERM, &sa, NULL); /* no SA_RESTART */
    pid = (pid_t)strtol(argv[optind + 3], NULL, 10);
    seize(pid, PTRACE_O_TRACESYSGOOD);
    count(pid, &status);
    return 0;
}
