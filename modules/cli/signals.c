/* SPDX-License-Identifier: MIT */
/*
 * signals.c - all signals through one signalfd, and back to what they were
 * for the command. Decides which ones are passed on; passes none on itself.
 */
#include "signals.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum justalock_status signals_open(struct signals *s,
                                   struct justalock_error *err)
{
    struct sigaction old, dfl;

    memset(s, 0, sizeof(*s));
    s->fd = -1;
    memset(&dfl, 0, sizeof(dfl));
    dfl.sa_handler = SIG_DFL;
    /* With SIGCHLD ignored, as a parent may leave it, no status would come. */
    if (sigaction(SIGCHLD, &dfl, &old) != 0)
        return error_sys(err, errno, "sigaction");
    s->chld_was_ignored = old.sa_handler == SIG_IGN;
    (void)sigfillset(&s->taken); /* cannot fail */
    /* What nohup or a shell has us ignore is ignored: blocked, it would come.
     */
    for (int n = 1; n < NSIG; n++)
        if (n != SIGCHLD && sigaction(n, NULL, &old) == 0 &&
            old.sa_handler == SIG_IGN)
            (void)sigdelset(&s->taken, n);
    if (sigprocmask(SIG_BLOCK, &s->taken, &s->saved) != 0)
        return error_sys(err, errno, "sigprocmask");
    return signals_reopen(s, err);
}

enum justalock_status signals_reopen(struct signals *s,
                                     struct justalock_error *err)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = signalfd(-1, &s->taken, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0)
        return error_sys(err, errno, "signalfd");
    return JUSTALOCK_OK;
}

int signals_next(const struct signals *s)
{
    struct signalfd_siginfo info;

    if (read(s->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

void signals_restore(const struct signals *s)
{
    struct sigaction ign;

    if (s->chld_was_ignored) {
        memset(&ign, 0, sizeof(ign));
        ign.sa_handler = SIG_IGN;
        (void)sigaction(SIGCHLD, &ign, NULL); /* as it was; cannot fail */
    }
    (void)sigprocmask(SIG_SETMASK, &s->saved, NULL);
}

bool signals_stop_self(const _Atomic int *call_off)
{
    struct sigaction act, old;
    sigset_t one, before;
    bool is_off;

    memset(&act, 0, sizeof(act));
    act.sa_handler = SIG_DFL;
    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGTSTP);
    if (sigprocmask(SIG_BLOCK, &one, &before) != 0 ||
        sigaction(SIGTSTP, &act, &old) != 0)
        return true;
    /* Each of SIGTSTP and SIGCONT takes a pending other one away: the SIGCONT
     * of who calls it off after our look comes after this one. */
    (void)kill(getpid(), SIGTSTP);
    is_off = call_off != NULL && *call_off != 0;
    if (is_off) {
        act.sa_handler = SIG_IGN; /* discards the pending one */
        (void)sigaction(SIGTSTP, &act, NULL);
    }
    /* We stop within this call, and go on from it after SIGCONT. */
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    (void)sigaction(SIGTSTP, &old, NULL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return !is_off;
}

bool signals_is_forwarded(int signo)
{
    switch (signo) {
    case 0:
    case SIGCHLD: /* about our own children */
    case SIGPIPE: /* about our own stderr */
    case SIGTTIN:
    case SIGTTOU:
        return false;
    default:
        return true;
    }
}

bool signals_is_ending(int signo)
{
    switch (signo) {
    case SIGTSTP:
    case SIGCONT:
    case SIGWINCH:
    case SIGURG:
        return false;
    default:
        return signals_is_forwarded(signo);
    }
}
