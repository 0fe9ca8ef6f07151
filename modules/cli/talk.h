/* SPDX-License-Identifier: MIT */
/*
 * talk.h - the messages between front and back of one `justalock run`: one
 * program without exec between them, so a plain struct is the format.
 */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include <stdbool.h>

enum talk_kind {
    /* front to back */
    TALK_SIGNAL = 1, /* value: we got this signal; pass it on, or end */
    /* back to front */
    TALK_STOPPED = 16, /* the command was stopped from the terminal */
    TALK_CONTINUED = 17,
    TALK_EXITED = 18, /* the command itself has ended; more may run */
    TALK_ENDED = 19   /* all is over: exit with value */
};

struct talk {
    int kind;
    int value;
};

/* false: the other side is gone or does not read. */
bool talk_send(int fd, enum talk_kind kind, int value);
/* 1: a message; 0: none now; -1: the other side is gone. */
int talk_recv(int fd, struct talk *ret_talk);

#endif
