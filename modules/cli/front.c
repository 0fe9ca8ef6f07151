/* SPDX-License-Identifier: MIT */
/*
 * front.c - the front of `justalock run` without an agent: the process that
 * the user started. Passes signals and the terminal on, returns the status,
 * and ends the work itself by the deadline where the back does not: because
 * it was killed, stopped, or is late. Never talks to the keeper.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alone.h"
#include "child.h"
#include "proc.h"
#include "talk.h"
#include "tree.h"

#define SLACK_MAX_MS 50 /* the back, if it is well, comes first */

struct front {
    struct alone *a;
    pid_t back;
    int timer;
    int talk;        /* -1: the back is gone */
    bool is_alone;   /* the back died before its time */
    sigset_t missed; /* signals that it could not be told of */
    bool has_exited;
    int wait_status; /* of the command */
    bool had_terminal;
    bool is_ending; /* TERM is out by our own decision */
    struct clock_time kill_at;
    bool is_over;
    int code;
};

static void finish(struct front *f, int code)
{
    if (!f->is_over)
        f->code = code;
    f->is_over = true;
}

static pid_t command_of(const struct front *f)
{
    return f->a->page->child;
}

/* Everything below us but the back and its keeper. */
static int signal_work(struct front *f, int signo)
{
    pid_t spare[2] = {f->is_alone ? 0 : f->back, f->a->page->keeper};

    return tree_signal(getpid(), spare, 2, signo);
}

static void begin_ending(struct front *f)
{
    struct page *p = f->a->page;

    f->is_ending = true;
    f->kill_at = page_kill_at(p);
    if (f->is_alone)
        f->kill_at = clock_min(f->kill_at, clock_add(clock_now(), p->grace_ms));
    if (!page_claim_warning(p))
        return;
    (void)signal_work(f, SIGTERM); /* what it misses, KILL gets */
    (void)signal_work(f, SIGCONT);
}

/* A stopped back, and a keeper whose back is gone, are of no use any more. */
static void end_helpers(struct front *f)
{
    const struct hold *h = &f->a->hold;

    if (!f->is_alone)
        (void)kill(f->back, SIGKILL); /* our child, not reaped */
    if (h->pidfd >= 0)
        (void)proc_pidfd_signal(h->pidfd, SIGKILL);
}

static bool is_back_stopped(const struct front *f)
{
    char state = tree_state(f->back);

    return f->is_alone || state == 'T' || state == 't';
}

static void kill_pass(struct front *f)
{
    struct page *p = f->a->page;
    int left = signal_work(f, SIGKILL);
    bool is_late = clock_left_ms(page_deadline(p), clock_now()) <= 0;

    if (left == 0 && (is_late || is_back_stopped(f))) {
        end_helpers(f);
        finish(f, CLI_LOST);
    } else if (is_late) {
        end_helpers(f);
        cli_say("%s: the lease has ended, and the end of %s could not be "
                "confirmed",
                f->a->base->options->lock, f->a->base->options->argv[0]);
        finish(f, CLI_LOST_ALIVE);
    }
}

static int64_t slack_ms(const struct page *p)
{
    int64_t quarter = p->kill_ms / 4;

    return quarter < SLACK_MAX_MS ? quarter : SLACK_MAX_MS;
}

/* The deadline counts as long as the work may run and a loss kills it. */
static bool is_enforcing(const struct front *f)
{
    return f->a->on_lost == CONFIG_LOST_KILL && f->a->page->state == PAGE_HELD;
}

static struct clock_time next_due(const struct front *f)
{
    struct page *p = f->a->page;

    if (f->is_alone && f->is_ending)
        return f->kill_at;
    if (!is_enforcing(f))
        return clock_never();
    return clock_add(f->is_ending ? f->kill_at : page_term_at(p), slack_ms(p));
}

static void on_time(struct front *f)
{
    struct clock_time now = clock_now();

    if (clock_left_ms(next_due(f), now) > 0)
        return;
    if (!f->is_ending) {
        begin_ending(f);
        return;
    }
    kill_pass(f);
    f->kill_at = clock_add(now, ALONE_LOOK_MS);
}

/* It may have been reaped by the back, and its pid be another's by now. */
static bool is_child(pid_t pid)
{
    siginfo_t info;

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void signal_command(const struct front *f, int signo)
{
    pid_t command = command_of(f);

    if (!f->has_exited && command != 0 && is_child(command))
        (void)kill(-command, signo);
}

static void pass_signal(struct front *f, int signo)
{
    if (f->is_alone)
        signal_command(f, signo);
    else if (!talk_send(f->talk, TALK_SIGNAL, signo))
        (void)sigaddset(&f->missed, signo); /* it is dead, or will be */
}

/* Stop as the command did, and go on with it. But who is alone in ending the
 * work in time does not stop. */
static void stop_with_command(struct front *f)
{
    const struct terminal *t = &f->a->base->terminal;
    const _Atomic int *call_off = f->is_alone ? NULL : &f->a->page->goes_on;
    bool has_stopped;

    if (f->is_alone && f->a->on_lost == CONFIG_LOST_KILL)
        return;
    (void)terminal_take(t, command_of(f));
    has_stopped = signals_stop_self(call_off);
    terminal_pass_on(t, command_of(f));
    if (!has_stopped)
        return;
    f->a->page->goes_on = 1; /* an older word of the back stops nobody */
    pass_signal(f, SIGCONT);
}

static void on_exited(struct front *f, int status)
{
    f->has_exited = true;
    f->wait_status = status;
    f->had_terminal = terminal_take(&f->a->base->terminal, command_of(f));
}

static void on_talk(struct front *f, const struct talk *t)
{
    switch (t->kind) {
    case TALK_STOPPED:
        stop_with_command(f);
        break;
    case TALK_EXITED:
        on_exited(f, t->value);
        break;
    case TALK_ENDED:
        finish(f, t->value);
        break;
    default:
        break;
    }
}

static void pass_missed_on(const struct front *f)
{
    for (int n = 1; n < NSIG; n++)
        if (sigismember(&f->missed, n) == 1)
            signal_command(f, n);
}

/* The back died before its time; all below it is ours now. */
static void take_over(struct front *f)
{
    const struct run_options *o = f->a->base->options;

    if (f->a->page->state == PAGE_DONE) {
        finish(f, f->has_exited ? child_code(f->wait_status) : CLI_LOCAL);
    } else if (command_of(f) == 0) {
        cli_say("%s: our second process was killed; %s was not started",
                o->lock, o->argv[0]);
        finish(f, CLI_LOCAL);
    } else if (f->a->on_lost == CONFIG_LOST_KILL) {
        cli_say("lost lock %s: our second process was killed; ending %s",
                o->lock, o->argv[0]);
        begin_ending(f);
    } else {
        cli_say("lost lock %s: our second process was killed; %s goes on "
                "without it",
                o->lock, o->argv[0]);
        if (f->a->on_lost == CONFIG_LOST_SIGNAL &&
            page_claim_warning(f->a->page))
            signal_command(f, f->a->lost_signal);
        pass_missed_on(f);
    }
}

static void read_talk(struct front *f)
{
    struct talk t;
    int n;

    while (!f->is_over && (n = talk_recv(f->talk, &t)) != 0) {
        if (n < 0) {
            (void)close(f->talk);
            f->talk = -1;
            return; /* SIGCHLD tells that the back is dead */
        }
        on_talk(f, &t);
    }
}

static void on_child(struct front *f, pid_t pid, int status)
{
    if (WIFSTOPPED(status)) {
        int signo = WSTOPSIG(status);

        if (f->is_alone && pid == command_of(f) &&
            (signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU))
            stop_with_command(f);
    } else if (pid == f->back && !f->is_alone) {
        f->is_alone = true;
        read_talk(f); /* its last words */
        if (!f->is_over)
            take_over(f);
    } else if (f->is_alone && pid == command_of(f) && !f->has_exited) {
        on_exited(f, status);
    }
}

static void reap_children(struct front *f)
{
    int status = 0;
    pid_t pid;

    while (!f->is_over && (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0)
        on_child(f, pid, status);
}

static void reap(struct front *f)
{
    reap_children(f);
    if (!f->is_alone || f->is_over || signal_work(f, 0) != 0)
        return;
    /* All of the work has come down to us and is gone; the command perhaps
     * just now, and its status with it. */
    reap_children(f);
    end_helpers(f);
    if (f->a->on_lost == CONFIG_LOST_KILL)
        finish(f, CLI_LOST);
    else
        finish(f, f->has_exited ? child_code(f->wait_status) : CLI_LOST);
}

static void on_signal(struct front *f, int signo)
{
    /* What the command left behind was never in the foreground. */
    bool is_there = command_of(f) != 0 && !f->has_exited;

    if (signo == SIGTSTP && !is_there) {
        if (!f->is_alone || f->a->on_lost != CONFIG_LOST_KILL)
            (void)signals_stop_self(NULL);
        return;
    }
    if (signo == SIGCONT && is_there)
        terminal_pass_on(&f->a->base->terminal, command_of(f));
    if (signals_is_forwarded(signo))
        pass_signal(f, signo);
}

static void loop(struct front *f)
{
    struct pollfd p[3];
    int signo;

    while (!f->is_over) {
        timer_set(f->timer, next_due(f));
        p[0] = (struct pollfd){.fd = f->a->base->signals.fd, .events = POLLIN};
        p[1] = (struct pollfd){.fd = f->timer, .events = POLLIN};
        p[2] = (struct pollfd){.fd = f->talk, .events = POLLIN};
        (void)poll(p, 3, -1); /* all signals are blocked: no EINTR */
        on_time(f);
        reap(f); /* first: a stop that a dead back tells of is not for us */
        read_talk(f);
        while (!f->is_over && (signo = signals_next(&f->a->base->signals)) > 0)
            on_signal(f, signo);
        reap(f); /* its signal is taken now */
    }
}

/*
 * The terminal sent its INT to the command's group alone. Those who were
 * started with us, a script above all, are to see it as without us.
 */
static void pass_interrupt_on(const struct front *f)
{
    struct sigaction dfl;
    sigset_t one;

    if (!f->had_terminal || !f->has_exited || !WIFSIGNALED(f->wait_status) ||
        WTERMSIG(f->wait_status) != SIGINT || f->code != 128 + SIGINT)
        return;
    memset(&dfl, 0, sizeof(dfl));
    dfl.sa_handler = SIG_DFL;
    (void)kill(0, SIGINT);
    (void)sigaction(SIGINT, &dfl, NULL);
    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGINT);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL); /* we end here */
}

int front_main(struct alone *a, pid_t back)
{
    struct front f;
    struct justalock_error err;

    memset(&f, 0, sizeof(f));
    f.a = a;
    f.back = back;
    f.talk = a->front_end;
    (void)sigemptyset(&f.missed);
    if (timer_open(&f.timer, &err) != JUSTALOCK_OK) {
        /* The back sees that we are gone and ends. */
        return cli_fail(&err, JUSTALOCK_SYS);
    }
    loop(&f);
    pass_interrupt_on(&f);
    return f.code;
}
