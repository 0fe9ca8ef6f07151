/* SPDX-License-Identifier: MIT */
/*
 * tree.h - all processes below one of ours, found in /proc and signalled
 * through pidfds. With us as a subreaper nothing of the work can leave it.
 */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Send signo (0: only count) to every live process below root but those in
 * spare (what is below a spared one is not spared). Returns how many there
 * were; zombies do not count. -1 with errno: /proc could not be read.
 */
int tree_signal(pid_t root, const pid_t *spare, size_t spare_len, int signo);

/* The state letter of a process in /proc; 0: there is none. */
char tree_state(pid_t pid);

#endif
