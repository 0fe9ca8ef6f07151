/* SPDX-License-Identifier: MIT */
/*
 * signals.h - all signals through one descriptor, and back to what they were
 * for the command that we start. No handler is ever installed.
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "error.h"

struct signals {
    int fd; /* non-blocking; readable: one is pending */
    sigset_t saved;
    sigset_t taken; /* all but what was ignored */
    bool chld_was_ignored;
};

/* Block all signals that are not ignored; before the first child. */
enum justalock_status signals_open(struct signals *s,
                                   struct justalock_error *err) JUSTALOCK_MUST;
/* A descriptor of its own for this process, after a fork. */
enum justalock_status signals_reopen(struct signals *s,
                                     struct justalock_error *err)
    JUSTALOCK_MUST;
/* The next pending signal; 0: none. */
int signals_next(const struct signals *s);
/* Mask and dispositions as we found them: for the child, before exec. */
void signals_restore(const struct signals *s);
/*
 * Let SIGTSTP act on us as on any program. Returns when we go on; at once
 * where nobody could make us go on (an orphaned process group). call_off (may
 * be NULL): who sets it and then sends us SIGCONT has us go on, whenever that
 * is; false: it was set before we stopped.
 */
bool signals_stop_self(const _Atomic int *call_off);
/* Is this one passed on to the command? */
bool signals_is_forwarded(int signo);
/* Does it end a wait, as it would end a program without handlers? */
bool signals_is_ending(int signo);

#endif
