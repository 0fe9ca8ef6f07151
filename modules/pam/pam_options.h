/* SPDX-License-Identifier: MIT */
/*
 * pam_options.h - the arguments of a line in pam.d. They are libpam's and
 * live as long as the call; nothing is copied.
 */
#ifndef PAM_OPTIONS_H
#define PAM_OPTIONS_H

#include <stdbool.h>

#include "parse.h"
#include "wire.h"

#define PAM_TIMEOUT_MS     5000
#define PAM_TIMEOUT_MIN_MS 100
#define PAM_TIMEOUT_MAX_MS (10 * 60 * 1000LL)
#define PAM_WAIT_MAX_MS    WIRE_SESSION_WAIT_MAX_MS

enum pam_unreachable { PAM_OPEN = 1, PAM_CLOSED = 2 };

struct pam_options {
    const char *lock;
    const char *socket;
    int64_t wait_ms; /* WIRE_WAIT_DEFAULT: not said */
    int64_t timeout_ms;
    uint8_t on_unreachable; /* enum pam_unreachable */
    uint8_t on_end;         /* enum config_end's order; 0: not said */
    uint8_t on_lost;        /* enum wire_on_lost */
    uint8_t share;          /* 1: host */
    /* "a,b", or NULL */
    const char *users, *groups, *except_users, *except_groups, *services;
    bool is_debug;
};

/* CONFIG: err names the argument, its value and what it may be. */
enum justalock_status options_parse(int argc, const char **argv,
                                    struct pam_options *ret_options,
                                    struct justalock_error *err) JUSTALOCK_MUST;

/* Is the word one of "a,b"? list may be NULL. */
bool options_list_has(const char *list, const char *word);
/*
 * Does the line apply to this service? systemd-user, which every login starts
 * and which outlives it, and login, the console, only where they are named.
 */
bool options_want_service(const struct pam_options *o, const char *service);

/* The next word of a list into ret_word; false at its end. */
bool options_next(const char **list, char *ret_word, size_t size);

#endif
