/* SPDX-License-Identifier: MIT */
/*
 * pam_options.c - reads the arguments of a line in pam.d, strictly: what is
 * not known, said twice or out of range is an error. Knows nothing of PAM.
 */
#include "pam_options.h"

#include <stddef.h>
#include <string.h>

#define WORD_MAX 256

struct option {
    const char *key;
    enum justalock_status (*take)(const struct option *opt, void *at,
                                  const char *value,
                                  struct justalock_error *err);
    size_t at;                /* of the member in struct pam_options */
    const char *const *words; /* that may be chosen; NULL at their end */
};

static enum justalock_status take_lock(const struct option *opt, void *at,
                                       const char *value,
                                       struct justalock_error *err)
{
    enum justalock_status st = parse_name(value, opt->key, err);

    if (st == JUSTALOCK_OK && strchr(value, ',') != NULL)
        return error_set(err, JUSTALOCK_CONFIG,
                         "lock=%.80s: one lock a line; for another one add a "
                         "line",
                         value);
    *(const char **)at = value;
    return st;
}

static enum justalock_status take_socket(const struct option *opt, void *at,
                                         const char *value,
                                         struct justalock_error *err)
{
    if (value[0] != '/' || strlen(value) > 107)
        return error_set(err, JUSTALOCK_CONFIG,
                         "%s=%.120s: not an absolute path of at most 107 "
                         "bytes",
                         opt->key, value);
    *(const char **)at = value;
    return JUSTALOCK_OK;
}

static enum justalock_status take_wait(const struct option *opt, void *at,
                                       const char *value,
                                       struct justalock_error *err)
{
    return parse_time_ms(value, PAM_WAIT_MAX_MS, opt->key, at, err);
}

static enum justalock_status take_timeout(const struct option *opt, void *at,
                                          const char *value,
                                          struct justalock_error *err)
{
    enum justalock_status st =
        parse_time_ms(value, PAM_TIMEOUT_MAX_MS, opt->key, at, err);

    if (st == JUSTALOCK_OK && *(int64_t *)at < PAM_TIMEOUT_MIN_MS)
        return error_set(err, JUSTALOCK_CONFIG,
                         "timeout=%s: at least %d ms are needed for an answer",
                         value, PAM_TIMEOUT_MIN_MS);
    return st;
}

/* The place of value among the words, from 1. */
static enum justalock_status take_word(const struct option *opt, void *at,
                                       const char *value,
                                       struct justalock_error *err)
{
    const char *const *w = opt->words;
    uint8_t place = 1;

    for (; w[place - 1] != NULL; place++) {
        if (strcmp(w[place - 1], value) != 0)
            continue;
        *(uint8_t *)at = place;
        return JUSTALOCK_OK;
    }
    return error_set(err, JUSTALOCK_CONFIG, "%s=%.80s: not %s%s%s%s%s",
                     opt->key, value, w[0], place > 2 ? ", " : "",
                     place > 2 ? w[1] : "", place > 3 ? ", " : "",
                     place > 3 ? w[2] : "");
}

/* No empty name: "a,,b" or "" would be someone's typing error. */
static enum justalock_status take_list(const struct option *opt, void *at,
                                       const char *value,
                                       struct justalock_error *err)
{
    const char *name = value;

    for (;;) {
        size_t n = strcspn(name, ",");

        if (n == 0 || n >= WORD_MAX)
            return error_set(err, JUSTALOCK_CONFIG,
                             "%s=%.80s: a name of 1 to %d bytes is missing",
                             opt->key, value, WORD_MAX - 1);
        if (name[n] == '\0')
            break;
        name += n + 1;
    }
    *(const char **)at = value;
    return JUSTALOCK_OK;
}

/* Their order is that of enum pam_unreachable and config_end. */
static const char *const unreachable[] = {"open", "closed", NULL};
static const char *const end[] = {"keep", "kill", "release", NULL};
static const char *const lost[] = {"kill", "log", NULL};
static const char *const share[] = {"host", NULL};

#define AT(member) offsetof(struct pam_options, member)

static const struct option options[] = {
    {"lock", take_lock, AT(lock), NULL},
    {"socket", take_socket, AT(socket), NULL},
    {"wait", take_wait, AT(wait_ms), NULL},
    {"timeout", take_timeout, AT(timeout_ms), NULL},
    {"on_unreachable", take_word, AT(on_unreachable), unreachable},
    {"on_end", take_word, AT(on_end), end},
    {"on_lost", take_word, AT(on_lost), lost},
    {"share", take_word, AT(share), share},
    {"users", take_list, AT(users), NULL},
    {"groups", take_list, AT(groups), NULL},
    {"except_users", take_list, AT(except_users), NULL},
    {"except_groups", take_list, AT(except_groups), NULL},
    {"services", take_list, AT(services), NULL},
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
        st = options[i].take(&options[i], (char *)o + options[i].at,
                             arg + n + 1, err);
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
                            .on_unreachable = PAM_OPEN};
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
    if (o.on_lost != 0)
        o.on_lost = o.on_lost == 1 ? WIRE_LOST_KILL : WIRE_LOST_LOG;
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
