/* SPDX-License-Identifier: MIT */
/*
 * limits.c - how much all clients and each may use, see limits.h.
 */
#include "limits.h"

#include <string.h>

#include "parse.h"

static const char *const names[LIMITS] = {[LOCK_LIMIT_WAITERS] = "waiters",
                                          [LOCK_LIMIT_HELD] = "held",
                                          [LOCK_LIMIT_RELEASED] = "released",
                                          [LIMIT_CONNECTIONS] = "connections"};

const char *limits_name(int limit)
{
    return names[limit];
}

enum justalock_status limits_parse(const char *text, struct server_limits *l,
                                   struct justalock_error *err)
{
    static const char each[] = "-each";

    for (int i = 0; i < LIMITS; i++) {
        size_t len = strlen(names[i]);
        bool is_each;
        uint64_t n;
        enum justalock_status st;

        if (strncmp(text, names[i], len) != 0)
            continue;
        is_each = strncmp(text + len, each, sizeof(each) - 1) == 0;
        if (is_each)
            len += sizeof(each) - 1;
        if (text[len] != '=')
            continue;
        st = parse_u64(text + len + 1, 1, LIMITS_MAX, "number", &n, err);
        if (st != JUSTALOCK_OK)
            return error_wrap(err, st, "--limit %.40s", text);
        *(is_each ? &l->each[i] : &l->all[i]) = (size_t)n;
        return JUSTALOCK_OK;
    }
    return error_set(err, JUSTALOCK_ARG,
                     "--limit %.40s: not NAME=NUMBER or NAME-each=NUMBER, "
                     "where NAME is connections, waiters, held or released",
                     text);
}

enum justalock_status limits_finish(struct server_limits *l, size_t files,
                                    struct justalock_error *err)
{
    struct lock_limits usual = lock_limits_default();

    for (int i = 0; i < LIMITS; i++) {
        if (l->all[i] == 0)
            l->all[i] =
                i < LOCK_LIMITS ? usual.all[i] : (size_t)LIMITS_CONNECTIONS;
        if (i == LIMIT_CONNECTIONS && l->all[i] > files)
            l->all[i] = files;
        if (l->each[i] == 0)
            l->each[i] = (l->all[i] + 1) / 2;
        if (i == LIMIT_CONNECTIONS && l->each[i] > files)
            l->each[i] = files;
        if (l->each[i] > l->all[i])
            return error_set(err, JUSTALOCK_ARG,
                             "--limit %s-each=%zu: more than the %zu of all "
                             "(--limit %s)",
                             names[i], l->each[i], l->all[i], names[i]);
    }
    return JUSTALOCK_OK;
}

struct lock_limits limits_of_table(const struct server_limits *l)
{
    struct lock_limits t;

    memcpy(t.all, l->all, sizeof(t.all));
    memcpy(t.each, l->each, sizeof(t.each));
    return t;
}
