/* SPDX-License-Identifier: MIT */
/*
 * spank_wait.c - wait for the agent's verdict inside a task that is about to
 * run: with handlers for signals, an eye on slurmstepd, and every bound that
 * there is. Knows nothing of Slurm.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent_client.h"
#include "plugin.h"

/* How often we look whether slurmstepd is still there. */
#define LOOK_MS  1000
/* Packets after the deadline: a task that was stopped finds its verdict behind
 * them, and one that is told on and on does not wait for ever. */
#define LATE_MAX 64

static volatile sig_atomic_t fatal_signal;

struct saved_signals {
    struct sigaction action[NSIG];
    bool is_taken[NSIG];
    sigset_t mask;
};

static bool ends_the_wait(int signo)
{
    return signo == SIGTERM || signo == SIGINT || signo == SIGHUP ||
           signo == SIGQUIT || signo == SIGXCPU;
}

static void on_signal(int signo)
{
    if (ends_the_wait(signo))
        fatal_signal = signo;
}

/* Faults keep their meaning; stopping and going on work by default. */
static bool is_ours(int signo)
{
    switch (signo) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGSYS:
    case SIGCHLD:
    case SIGCONT:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
        return false;
    default:
        return true;
    }
}

static void take_signals(struct saved_signals *saved)
{
    struct sigaction handler = {.sa_handler = on_signal};
    sigset_t all;

    fatal_signal = 0;
    sigfillset(&all);
    sigfillset(&handler.sa_mask);
    (void)sigprocmask(SIG_BLOCK, &all, &saved->mask);
    for (int s = 1; s < NSIG; s++)
        saved->is_taken[s] =
            is_ours(s) && sigaction(s, &handler, &saved->action[s]) == 0;
}

/*
 * What is pending goes to our handlers before they are taken away. Blocked
 * while they are: else one that ends us could still come to a handler that
 * nobody asks any more.
 */
static void give_signals_back(const struct saved_signals *saved)
{
    sigset_t all;
    int signo;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &saved->mask, NULL);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    signo = fatal_signal;
    for (int s = 1; s < NSIG; s++)
        if (saved->is_taken[s])
            (void)sigaction(s, &saved->action[s], NULL);
    if (signo != 0)
        (void)signal(signo, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &saved->mask, NULL);
    if (signo == 0)
        return;
    (void)raise(signo);
    _exit(128 + signo);
}

/* 1: readable, 0: time for a look, -1: a signal that ends us has come. */
static int wait_readable(int fd, int64_t left_ms, const sigset_t *mask)
{
    int64_t ms = left_ms < LOOK_MS ? left_ms : LOOK_MS;
    struct timespec ts = {.tv_sec = ms / 1000,
                          .tv_nsec = (long)(ms % 1000) * 1000000};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = ppoll(&p, 1, &ts, mask);

    if (fatal_signal != 0)
        return -1;
    return n > 0 ? 1 : 0;
}

/* One readable packet. true: the wait is over, as ret_end says. */
static bool take_packet(const struct wait_for *w, struct wire_msg *ret_m,
                        enum wait_end *ret_end, struct justalock_error *err)
{
    enum justalock_status st = agent_recv(w->fd, ret_m, clock_now(), err);

    if (st == JUSTALOCK_OK && ret_m->type == WIRE_NOTE) {
        if (w->note != NULL && ret_m->text[0] != '\0')
            w->note(ret_m->text, w->arg);
        return false;
    }
    if (st == JUSTALOCK_OK && ret_m->type == WIRE_VERDICT) {
        *ret_end = WAIT_VERDICT;
        return true;
    }
    if (st == JUSTALOCK_OK)
        (void)error_set(err, JUSTALOCK_PROTO, "an answer of type %d",
                        (int)ret_m->type);
    *ret_end =
        st == JUSTALOCK_NET || st == JUSTALOCK_SYS ? WAIT_GONE : WAIT_RUBBISH;
    return st != JUSTALOCK_CANCELED;
}

static enum wait_end wait_loop(const struct wait_for *w, const sigset_t *mask,
                               struct wire_msg *ret_m,
                               struct justalock_error *err)
{
    int64_t limit_ms = w->first_ms;
    struct clock_time deadline = clock_add(clock_now(), limit_ms);
    bool is_first = true;
    unsigned late = 0;
    enum wait_end end;

    for (;;) {
        int64_t left = clock_is_never(deadline)
                           ? LOOK_MS
                           : clock_left_ms(deadline, clock_now());
        int readable = wait_readable(w->fd, left > 0 ? left : 0, mask);

        if (getppid() != w->parent)
            return WAIT_ORPHAN;
        if (readable < 0)
            return WAIT_GONE; /* give_signals_back ends us */
        if (readable > 0 && take_packet(w, ret_m, &end, err))
            return end;
        if (readable > 0 && is_first) {
            is_first = false;
            limit_ms = w->total_ms;
            deadline =
                limit_ms < 0 ? clock_never() : clock_add(clock_now(), limit_ms);
            continue;
        }
        if (left <= 0 && (readable == 0 || ++late > LATE_MAX)) {
            (void)error_set(err, JUSTALOCK_NET, "no answer within %lld ms",
                            (long long)limit_ms);
            return WAIT_SILENT;
        }
    }
}

enum wait_end wait_verdict(const struct wait_for *w,
                           struct wire_msg *ret_verdict,
                           struct justalock_error *err)
{
    struct saved_signals saved = {0};
    struct wire_msg m;
    enum wait_end end;

    take_signals(&saved);
    end = wait_loop(w, &saved.mask, &m, err);
    give_signals_back(&saved);
    if (end == WAIT_VERDICT && getppid() != w->parent)
        end = WAIT_ORPHAN;
    if (end == WAIT_VERDICT)
        *ret_verdict = m;
    return end;
}
