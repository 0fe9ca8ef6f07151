/* SPDX-License-Identifier: MIT */
/*
 * front_stage.h - a real front with all that is below it: a back that does
 * nothing by itself, a command and what the command left behind. The test
 * speaks the back's words; the page is open to it.
 */
#ifndef TESTS_UNIT_FRONT_STAGE_H
#define TESTS_UNIT_FRONT_STAGE_H

#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/alone.h"
#include "../../modules/cli/talk.h"
#include "../../modules/cli/tree.h"
#include "proc.h"

#define LONG_MS 20000

/* How the command takes a signal; it exits with 3 at USR1, with 4 at USR2. */
enum stage_work {
    STAGE_NONE, /* there is no command */
    STAGE_DIES,
    STAGE_DEAF,   /* to TERM */
    STAGE_LEAVES, /* STAGE_DIES, and has left a process that does not */
};

static struct {
    struct run_options options;
    struct run_base base;
    struct alone a;
    struct page *page;
    pid_t front, back, command, left, keeper;
    int talk; /* the back's end, -1 */
    int said; /* the front's stderr */
} stage;

static void stage_exit(int signo)
{
    _exit(signo == SIGUSR1 ? 3 : 4);
}

static void stage_pause(void)
{
    for (;;)
        (void)pause();
}

static void stage_command(enum stage_work work, int tell)
{
    sigset_t none;

    (void)setpgid(0, 0);
    (void)signal(SIGUSR1, stage_exit);
    (void)signal(SIGUSR2, stage_exit);
    (void)signal(SIGTERM, work == STAGE_DEAF ? SIG_IGN : SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    stage.command = getpid();
    if (work == STAGE_LEAVES) {
        stage.left = fork();
        if (stage.left == 0) {
            (void)setpgid(0, 0);
            (void)signal(SIGTERM, SIG_IGN);
            stage.left = getpid();
            (void)!write(tell, &stage, sizeof(stage));
            stage_pause();
        }
    } else {
        (void)!write(tell, &stage, sizeof(stage));
    }
    stage_pause();
}

/* In the front's place: what is below it, then, once `go` ends, itself. */
static void stage_below(enum stage_work work, int tell, int go)
{
    struct justalock_error err;
    char end;

    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    stage.base.terminal.own = getpgrp();
    if (signals_open(&stage.base.signals, &err) != JUSTALOCK_OK)
        _exit(99);
    stage.front = getpid();
    stage.keeper = fork();
    if (stage.keeper == 0)
        stage_pause();
    stage.a.hold.pidfd = proc_pidfd_open(stage.keeper);
    stage.page->keeper = stage.keeper;
    stage.back = fork();
    if (stage.back == 0) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        stage.back = getpid();
        if (work == STAGE_NONE)
            (void)!write(tell, &stage, sizeof(stage));
        else if (fork() == 0)
            stage_command(work, tell);
        stage_pause();
    }
    (void)!read(go, &end, 1);
    _exit(front_main(&stage.a, stage.back));
}

static void stage_init(enum config_lost on_lost)
{
    static char name[] = "work";
    static char *argv[] = {name, NULL};
    struct justalock_error err;

    memset(&stage, 0, sizeof(stage));
    stage.options = (struct run_options){.lock = "a", .argv = argv};
    stage.base.options = &stage.options;
    stage.base.terminal.fd = -1;
    stage.a.base = &stage.base;
    stage.a.on_lost = on_lost;
    stage.a.lost_signal = SIGUSR1;
    assert_ok(page_new(&stage.page, &err), err);
    stage.a.page = stage.page;
}

/* The lock is held for so long from now; two seconds from TERM to KILL. */
static void stage_held(int64_t ms)
{
    const struct lease_times times = {.grace_ms = 2000, .kill_ms = 1000};

    page_set_deadline(stage.page, &times, clock_add(clock_now(), ms));
}

/* `enter` is called in the front's process first (NULL: it gets a group). */
static void stage_start(enum stage_work work, void (*enter)(void))
{
    int tell[2], go[2], talk[2], said[2];

    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
    stage.front = fork();
    if (stage.front == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(talk[1]);
        (void)close(said[0]);
        (void)close(go[1]);
        (void)dup2(said[1], 2);
        stage.a.front_end = talk[0];
        if (enter != NULL)
            enter();
        else
            (void)setpgid(0, 0);
        stage_below(work, tell[1], go[0]);
    }
    (void)close(talk[0]);
    (void)close(tell[1]);
    (void)close(said[1]);
    assert_int_equal(read(tell[0], &stage, sizeof(stage)), sizeof(stage));
    (void)close(tell[0]);
    stage.talk = talk[1];
    stage.said = said[0];
    stage.page->child = stage.command;
    (void)close(go[0]);
    (void)close(go[1]);
}

static void stage_say(enum talk_kind kind, int value)
{
    assert_true(talk_send(stage.talk, kind, value));
}

/* The next signal that the front passes on. */
static int stage_heard(void)
{
    struct pollfd p = {.fd = stage.talk, .events = POLLIN};
    struct talk t;

    assert_int_equal(poll(&p, 1, LONG_MS), 1);
    assert_int_equal(talk_recv(stage.talk, &t), 1);
    assert_int_equal(t.kind, TALK_SIGNAL);
    return t.value;
}

static bool stage_is_dead(pid_t pid)
{
    char state = tree_state(pid);

    return state == 0 || state == 'Z' || state == 'X';
}

static void stage_dead(pid_t pid)
{
    assert_true(stage_is_dead(pid));
}

static void stage_await_dead(pid_t pid)
{
    for (int ms = 0; ms < LONG_MS && !stage_is_dead(pid); ms++)
        (void)usleep(1000);
    stage_dead(pid);
}

static void stage_kill(pid_t pid, int signo)
{
    assert_true(pid > 0);
    assert_int_equal(kill(pid, signo), 0);
}

/* The front stands still while several things come together. */
static void stage_freeze(void)
{
    stage_kill(stage.front, SIGSTOP);
    assert_int_equal(waitpid(stage.front, NULL, WUNTRACED), stage.front);
}

static void stage_thaw(void)
{
    stage_kill(stage.front, SIGCONT);
}

static void stage_stops(void)
{
    int status;

    assert_int_equal(waitpid(stage.front, &status, WUNTRACED), stage.front);
    if (!WIFSTOPPED(status))
        fail_msg("it has ended: %x", status);
    assert_int_equal(WSTOPSIG(status), SIGTSTP);
}

/* All it said; it must hold `part`, "" is nothing at all. */
static void stage_ends_by(int want, const char *part)
{
    char text[2048];
    size_t len = 0;
    ssize_t n;
    int status;

    assert_int_equal(waitpid(stage.front, &status, WUNTRACED), stage.front);
    if (WIFSTOPPED(status))
        fail_msg("it has stopped");
    stage.front = 0;
    if (stage.back > 0)
        (void)kill(stage.back, SIGKILL);
    (void)fcntl(stage.said, F_SETFL, O_NONBLOCK); /* who is left has it, too */
    while ((n = read(stage.said, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    if (status != want)
        fail_msg("status %x, not %x: %s", status, want, text);
    if (part[0] == '\0')
        assert_string_equal(text, "");
    assert_has(text, part);
}

static void stage_ends(int code, const char *part)
{
    stage_ends_by(code << 8, part);
}

static int stage_down(void **state)
{
    const pid_t all[] = {stage.front, stage.back, stage.command, stage.left,
                         stage.keeper};

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++)
        if (all[i] > 0)
            (void)kill(all[i], SIGKILL);
    if (stage.talk > 0)
        (void)close(stage.talk);
    (void)close(stage.said);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    return 0;
}

#endif
