/* SPDX-License-Identifier: MIT */
/*
 * pam_options.c - reads the arguments of a line in pam.d, strictly: what is
 * not known, said twice or out of range is an error. Knows nothing of PAM.
 */
#include "pam_options.h"

#include <string.h>

#define WORD_MAX 256

struct option {
    const char *key;
    enum justalock_status (*take)(struct pam_options *o, const char *value,
                                  struct justalock_error *err);
};

static enum justalock_status take_lock(struct pam_options *o, const char *value,
                                       struct justalock_error *err)
{
    enum justalock_status st = parse_name(value, "lock", err);

    if (st == JUSTALOCK_OK && strchr(value, ',') != NULL)
        return error_set(err, JUSTALOCK_CONFIG,
                         "lock=%.80s: one lock a line; for another one add a "
                         "line",
                         value);
    o->lock = value;
    return st;
}

static enum justalock_status take_socket(struct pam_options *o,
                                         const char *value,
                                         struct justalock_error *err)
{
    if (value[0] != '/' || strlen(value) > 107)
        return error_set(err, JUSTALOCK_CONFIG,
                         "socket=%.120s: not an absolute path of at most 107 "
                         "bytes",
                         value);
    o->socket = value;
    return JUSTALOCK_OK;
}

static enum justalock_status take_wait(struct pam_options *o, const char *value,
                                       struct justalock_error *err)
{
    return parse_time_ms(value, PAM_WAIT_MAX_MS, "wait", &o->wait_ms, err);
}

static enum justalock_status take_timeout(struct pam_options *o,
                                          const char *value,
                                          struct justalock_error *err)
{
    enum justalock_status st = parse_time_ms(value, PAM_TIMEOUT_MAX_MS,
                                             "timeout", &o->timeout_ms, err);

    if (st == JUSTALOCK_OK && o->timeout_ms < PAM_TIMEOUT_MIN_MS)
        return error_set(err, JUSTALOCK_CONFIG,
                         "timeout=%s: at least %d ms are needed for an answer",
                         value, PAM_TIMEOUT_MIN_MS);
    return st;
}

/* The place of value in words, from 1. */
static enum justalock_status choose(const char *key, const char *value,
                                    const char *const words[],
                                    uint8_t *ret_choice,
                                    struct justalock_error *err)
{
    for (uint8_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], value) != 0)
            continue;
        *ret_choice = (uint8_t)(i + 1);
        return JUSTALOCK_OK;
    }
    return error_set(err, JUSTALOCK_CONFIG, "%s=%.80s: not one of %s%s%s%s%s",
                     key, value, words[0], words[1] ? ", " : "",
                     words[1] ? words[1] : "", words[1] && words[2] ? ", " : "",
                     words[1] && words[2] ? words[2] : "");
}

static enum justalock_status take_unreachable(struct pam_options *o,
                                              const char *value,
                                              struct justalock_error *err)
{
    static const char *const words[] = {"open", "closed", NULL};
    uint8_t choice = 1;
    enum justalock_status st =
        choose("on_unreachable", value, words, &choice, err);

    o->is_open = choice == 1;
    return st;
}

static enum justalock_status take_end(struct pam_options *o, const char *value,
                                      struct justalock_error *err)
{
    static const char *const words[] = {"keep", "kill", "release", NULL};

    return choose("on_end", value, words, &o->on_end, err);
}

static enum justalock_status take_lost(struct pam_options *o, const char *value,
                                       struct justalock_error *err)
{
    static const char *const words[] = {"kill", "log", NULL};
    enum justalock_status st =
        choose("on_lost", value, words, &o->on_lost, err);

    if (st == JUSTALOCK_OK)
        o->on_lost = o->on_lost == 1 ? WIRE_LOST_KILL : WIRE_LOST_LOG;
    return st;
}

static enum justalock_status take_share(struct pam_options *o,
                                        const char *value,
                                        struct justalock_error *err)
{
    static const char *const words[] = {"host", NULL};

    return choose("share", value, words, &o->share, err);
}

/* No empty name: "a,,b" or "" would be someone's typing error. */
static enum justalock_status take_list(const char *key, const char *value,
                                       const char **ret_list,
                                       struct justalock_error *err)
{
    const char *at = value;

    for (;;) {
        size_t n = strcspn(at, ",");

        if (n == 0 || n >= WORD_MAX)
            return error_set(err, JUSTALOCK_CONFIG,
                             "%s=%.80s: a name of 1 to %d bytes is missing",
                             key, value, WORD_MAX - 1);
        if (at[n] == '\0')
            break;
        at += n + 1;
    }
    *ret_list = value;
    return JUSTALOCK_OK;
}

static enum justalock_status take_users(struct pam_options *o,
                                        const char *value,
                                        struct justalock_error *err)
{
    return take_list("users", value, &o->users, err);
}

static enum justalock_status take_groups(struct pam_options *o,
                                         const char *value,
                                         struct justalock_error *err)
{
    return take_list("groups", value, &o->groups, err);
}

static enum justalock_status take_except_users(struct pam_options *o,
                                               const char *value,
                                               struct justalock_error *err)
{
    return take_list("except_users", value, &o->except_users, err);
}

static enum justalock_status take_except_groups(struct pam_options *o,
                                                const char *value,
                                                struct justalock_error *err)
{
    return take_list("except_groups", value, &o->except_groups, err);
}

static enum justalock_status take_services(struct pam_options *o,
                                           const char *value,
                                           struct justalock_error *err)
{
    return take_list("services", value, &o->services, err);
}

static const struct option options[] = {
    {"lock", take_lock},
    {"socket", take_socket},
    {"wait", take_wait},
    {"timeout", take_timeout},
    {"on_unreachable", take_unreachable},
    {"on_end", take_end},
    {"on_lost", take_lost},
    {"share", take_share},
    {"users", take_users},
    {"groups", take_groups},
    {"except_users", take_except_users},
    {"except_groups", take_except_groups},
    {"services", take_services},
};
#define OPTIONS_LEN (sizeof(options) / sizeof(options[0]))

static enum justalock_status take(struct pam_options *o, const char *arg,
                                  unsigned *seen, struct justalock_error *err)
{
    size_t n = strcspn(arg, "=");
    enum justalock_status st;

    for (size_t i = 0; i < OPTIONS_LEN; i++) {
        if (strlen(options[i].key) != n ||
            strncmp(options[i].key, arg, n) != 0 || arg[n] != '=')
            continue;
        if (*seen & 1U << i)
            return error_set(err, JUSTALOCK_CONFIG, "%s= is said twice",
                             options[i].key);
        *seen |= 1U << i;
        st = options[i].take(o, arg + n + 1, err);
        return st == JUSTALOCK_OK || st == JUSTALOCK_NOMEM
                   ? st
                   : error_wrap(err, JUSTALOCK_CONFIG, "%s", "argument");
    }
    return error_set(err, JUSTALOCK_CONFIG, "argument %.80s is not known", arg);
}

enum justalock_status options_parse(int argc, const char **argv,
                                    struct pam_options *ret_options,
                                    struct justalock_error *err)
{
    struct pam_options o = {.socket = WIRE_SOCKET,
                            .wait_ms = WIRE_WAIT_DEFAULT,
                            .timeout_ms = PAM_TIMEOUT_MS,
                            .is_open = true};
    unsigned seen = 0;

    for (int i = 0; i < argc; i++) {
        enum justalock_status st;

        if (strcmp(argv[i], "debug") == 0) {
            o.is_debug = true;
            continue;
        }
        st = take(&o, argv[i], &seen, err);
        if (st != JUSTALOCK_OK)
            return st;
    }
    if (o.lock == NULL)
        return error_set(err, JUSTALOCK_CONFIG, "lock=NAME is missing");
    *ret_options = o;
    return JUSTALOCK_OK;
}

bool options_next(const char **list, char *ret_word, size_t size)
{
    size_t n;

    if (*list == NULL)
        return false;
    n = strcspn(*list, ",");
    if (n >= size)
        return false; /* refused when it was read */
    memcpy(ret_word, *list, n);
    ret_word[n] = '\0';
    *list = (*list)[n] == ',' ? *list + n + 1 : NULL;
    return true;
}

bool options_list_has(const char *list, const char *word)
{
    char one[WORD_MAX];

    while (options_next(&list, one, sizeof(one)))
        if (strcmp(one, word) == 0)
            return true;
    return false;
}

bool options_want_service(const struct pam_options *o, const char *service)
{
    if (o->services != NULL)
        return options_list_has(o->services, service);
    return strcmp(service, "systemd-user") != 0 &&
           strcmp(service, "login") != 0;
}
