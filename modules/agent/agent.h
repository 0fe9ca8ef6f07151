/* SPDX-License-Identifier: MIT */
/*
 * agent.h - what the agent's processes are started with, and their entries.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>

#define AGENT_STATE "/run/justalock/state"

struct agent_options {
    const char *config; /* NULL: the default path, which may be missing */
    const char *socket;
    const char *state;
    const char *keeper_user;
    int listen_fd; /* inherited listening socket, or -1 */
    int nudge_fd;  /* guard only: eventfds to and from the watch */
    int news_fd;
    bool is_guard;
    bool is_reload;
    bool is_stand_in; /* a watch that gives way to one of systemd's */
    bool is_debug;
};

/* A beat that stands still for so long means stopped or stuck. */
#define AGENT_BEAT_MS    4000
/* ... and only if the observer itself has run so often meanwhile. */
#define AGENT_BEAT_LOOKS 8

/* The words that start this program again. `role`: further words, or NULL. */
#define AGENT_ARGV_MAX 24
struct agent_argv {
    char *v[AGENT_ARGV_MAX];
    char numbers[3][12];
};
void agent_argv(const struct agent_options *o, struct agent_argv *ret_argv);
/* execv of ourselves; only returns where that fails. */
void agent_exec(const struct agent_argv *argv);

/*
 * agent.keeper_user of the configuration at the path (NULL: the default one).
 * False, and "": it cannot be read, or not within the time. Blocks for that
 * long at most.
 */
#define AGENT_USER_MAX 64 /* bytes */
bool agent_user(const char *config, int limit_ms,
                char ret_user[AGENT_USER_MAX + 1]);

int watch_main(const struct agent_options *o);
int guard_main(const struct agent_options *o);

#endif
