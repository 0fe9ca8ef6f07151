/* SPDX-License-Identifier: MIT */
/*
 * child.h - the command: forked into a process group of its own and stopped
 * at a pipe, until it is let go with what it should know of its lock.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include "clock.h"
#include "id.h"
#include "signals.h"
#include "terminal.h"

/* What the child is told when it is let go. */
struct child_pass {
    struct clock_time stop_at; /* it does not start at or after this */
    bool has_token;
    bool has_id;
    bool has_slot;
    bool on_terminal; /* its group has the terminal */
    uint64_t token;
    unsigned slot;
    char id[JUSTALOCK_ID_TEXT_LEN + 1];
};

struct child {
    pid_t pid; /* also its process group; 0: none */
    int gate;  /* write end of the pipe that it waits at; -1 */
};

struct child_how {
    char **argv;
    const char *lock; /* for JUSTALOCK_LOCK */
    const struct signals *signals;
    const struct terminal *terminal;
    const char *place; /* cgroup to start it in if we may; NULL or "": ours */
    bool dies_with_us; /* SIGKILL to it when this process dies */
};

enum justalock_status child_start(const struct child_how *how,
                                  struct child *ret_child,
                                  struct justalock_error *err) JUSTALOCK_MUST;
enum justalock_status child_go(struct child *c, const struct child_pass *pass,
                               struct justalock_error *err) JUSTALOCK_MUST;
/* Not let go: it ends without having run anything. The caller reaps it. */
void child_drop(struct child *c);

/* The exit status of a waitpid status: 128+n for signals. */
int child_code(int wait_status);

#endif
