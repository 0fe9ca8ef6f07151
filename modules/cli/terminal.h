/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - who has the terminal: handed to the command's process group
 * where it was ours, and taken back.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

struct terminal {
    int fd;    /* the controlling terminal, CLOEXEC; -1: none */
    pid_t own; /* the process group that we were started in */
};

void terminal_open(struct terminal *t);
/* Is the group that we were started in the foreground group? */
bool terminal_is_ours(const struct terminal *t);
bool terminal_is_of(const struct terminal *t, pid_t group);
/* SIGTTOU must be blocked in these. Failure leaves all as it is. */
void terminal_give(const struct terminal *t, pid_t group);
/* Back to our group, if `group` has it. Returns whether it had. */
bool terminal_take(const struct terminal *t, pid_t group);
/* To `group`, if ours has it: a shell has put us into the foreground. */
void terminal_pass_on(const struct terminal *t, pid_t group);

#endif
