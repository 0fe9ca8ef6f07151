/* SPDX-License-Identifier: MIT */
/*
 * alone.h - the two supervisors of a command that runs without an agent.
 * The front is the process that the user started; the back, forked from it,
 * is the command's parent and owns the lock. Either may be killed or stopped:
 * the other one ends the work before the lease does.
 */
#ifndef CLI_ALONE_H
#define CLI_ALONE_H

#include "hold.h"
#include "page.h"
#include "run.h"

/* What front and back both know; made before the fork. */
struct alone {
    struct run_base *base;
    struct page *page;
    struct hold hold;
    enum config_lost on_lost;
    int lost_signal;
    enum config_end on_end; /* what becomes of what the command leaves */
    bool names_are_plain;   /* the command may know the lock's id */
    pid_t front;
    int front_end; /* of the talk between both */
    int back_end;
};

/* Supervise until all is over; return the exit code. */
int front_main(struct alone *a, pid_t back);
int back_main(struct alone *a);

#define ALONE_LOOK_MS 10 /* between two looks at what still lives */

#endif
