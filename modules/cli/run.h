/* SPDX-License-Identifier: MIT */
/*
 * run.h - what `justalock run` was asked for, and its two ways: through the
 * host's agent, or alone with a keeper process of its own.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli.h"
#include "signals.h"
#include "terminal.h"

struct run_options {
    const char *lock;
    char **argv;     /* the command */
    int64_t wait_ms; /* WIRE_WAIT_DEFAULT, -1 for ever, 0 once */
    unsigned life_s; /* 0: as configured */
    unsigned slots;  /* the same */
    int busy_code;
    enum config_lost on_lost; /* UNSET: as configured */
    int lost_signal;
    const char *client; /* NULL: random */
    const char *label;  /* NULL: made up */
    const char *url;    /* NULL: environment, configuration */
    const char *config;
    const char *socket;
    bool no_agent;
};

/* What both ways start with. */
struct run_base {
    const struct run_options *options;
    struct signals signals;
    struct terminal terminal;
};

/*
 * Through the agent. *ret_alone is set where the agent cannot or will not
 * serve this user, so that the other way is to be tried; nothing has been
 * started then. Returns the exit code.
 */
int run_agent(struct run_base *b, bool *ret_alone);
int run_alone(struct run_base *b);

/* What to exit with for a signal of ours, 128+n. */
int run_signal_code(int signo);

/*
 * The label of a holder where none was given: user@host and the pid. out
 * holds JUSTALOCK_LABEL_MAX + 1.
 */
void run_default_label(char *out);
/* What who was refused a busy lock may do; wait_ms as in the options. */
const char *run_busy_advice(int64_t wait_ms);

#endif
