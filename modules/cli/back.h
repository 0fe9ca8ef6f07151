/* SPDX-License-Identifier: MIT */
/*
 * back.h - the state of the back (see alone.h), shared by back.c, which keeps
 * the lock and starts the command, and back_end.c, which ends the work.
 */
#ifndef CLI_BACK_H
#define CLI_BACK_H

#include <stdio.h>

#include "alone.h"
#include "child.h"
#include "words.h"

enum back_state {
    BACK_ASKING,
    BACK_WORKING,
    BACK_ENDING,  /* the work has its TERM */
    BACK_KILLING, /* and its KILL, again and again */
    BACK_RELEASING,
    BACK_OVER
};

struct back {
    struct alone *a;
    enum back_state state;
    struct child child;
    struct waiting waiting;
    int front; /* -1: the front is gone */
    int timer;
    struct clock_time look_at; /* WORKING: mention what is left of the work;
                                  ENDING, KILLING: (next) KILL; RELEASING:
                                  give up */
    bool is_lost;
    bool has_stopped; /* the command itself, and the front with it */
    bool has_exited;  /* the command itself */
    int wait_status;  /* of it */
    bool told;        /* the front knows the exit code */
    int code;
    char holder[KEEPER_HOLDER_MAX + 1];
    char since[KEEPER_SINCE_MAX + 1];
};

/* Tell the front what to exit with; the first word counts. */
void back_finish(struct back *b, int code);
/* Give the lock back or abandon the wait, then end with code. */
void back_release(struct back *b, int code);
/* The lock is lost, or cannot be kept: do what --on-lost says. */
void back_lose(struct back *b, const char *why);
void back_front_gone(struct back *b);
/* A signal for the command, or for the wait. */
void back_signal(struct back *b, int signo);
/* Take what has died, and see whether anything of the work is left. */
void back_reap(struct back *b);
/* What is due by time. */
void back_time(struct back *b);
/* Let go of stdin and stdout: a reader of the command's output waits for
 * the command, not for us. */
void back_detach_stdio(void);

#endif
