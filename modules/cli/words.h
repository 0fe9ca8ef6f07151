/* SPDX-License-Identifier: MIT */
/*
 * words.h - the line that shows a wait: on a terminal one line updated in
 * place, elsewhere one line at first and then one every minute.
 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include "cli.h"

struct waiting {
    bool in_place; /* stderr is a terminal */
    bool shown;
    struct clock_time begun;
    struct clock_time due; /* the next repetition */
    char text[400];
};

void waiting_init(struct waiting *w);
/* Show text, e.g. "waiting for scratch, held by alice since ...". */
void waiting_show(struct waiting *w, const char *text);
/* Repeat it where that is due. */
void waiting_tick(struct waiting *w);
struct clock_time waiting_due(const struct waiting *w);
/* The wait is over: take an in-place line away. */
void waiting_done(struct waiting *w);

#endif
