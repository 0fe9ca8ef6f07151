/* SPDX-License-Identifier: MIT */
/*
 * guard_locks.c - from the names that a job or command asks for, and the rules
 * that its partition or account brings, to locks: expanded, allowed, with ids
 * and policies, sorted by id so that two jobs cannot wait for each other.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "guard.h"

#define SINGLETON "singleton"

static enum config_for kind_of(const struct work_facts *f)
{
    return f->kind == WORK_JOB       ? CONFIG_FOR_SLURM
           : f->kind == WORK_SESSION ? CONFIG_FOR_PAM
                                     : CONFIG_FOR_COMMAND;
}

/* ---- names ---- */

/* The next of "a,b"; false at the end. Empty ones count, and are refused. */
static bool next_name(const char **at, char *ret_name, size_t size)
{
    size_t n;

    if (!*at)
        return false;
    n = strcspn(*at, ",");
    (void)snprintf(ret_name, size, "%.*s", (int)n, *at);
    *at = (*at)[n] == ',' ? *at + n + 1 : NULL;
    return true;
}

static bool is_singleton(const char *name)
{
    size_t n = strlen(SINGLETON);

    return strncmp(name, SINGLETON, n) == 0 &&
           (name[n] == '\0' || name[n] == ':');
}

bool locks_needs_name(const char *list)
{
    char name[WIRE_LIST_MAX + 1];
    const char *at = list[0] != '\0' ? list : NULL;

    while (next_name(&at, name, sizeof(name)))
        if (strcmp(name, SINGLETON) == 0)
            return true;
    return false;
}

/*
 * A name that we make shall not by its length be taken for an id or base64
 * (16, 22, 24, 32, 36 characters). ':' is encoded in values: no collision.
 */
static void avoid_shapes(char *name, size_t size)
{
    size_t n = strlen(name);

    if ((n == 16 || n == 22 || n == 24 || n == 32 || n == 36) && n + 1 < size)
        memcpy(name + n, ":", 2);
}

/* "singleton": of the user and the job's name; "singleton:TEXT" of TEXT. */
static enum justalock_status singleton(const struct work_facts *f,
                                       const char *name, char *ret_name,
                                       size_t size, struct justalock_error *err)
{
    const char *text = strchr(name, ':');
    char uid[16];
    struct config_names names = {.user = uid};

    (void)snprintf(uid, sizeof(uid), "%u", f->uid);
    names.service = text ? text + 1 : f->job.name;
    if (names.service[0] == '\0')
        return error_set(err, JUSTALOCK_ARG, "%s: the job has no name", name);
    if (config_expand(SINGLETON ":%u:%s", &names, ret_name, size, err) !=
        JUSTALOCK_OK)
        return err->status;
    avoid_shapes(ret_name, size);
    return JUSTALOCK_OK;
}

static enum justalock_status expand(const struct guard *g,
                                    const struct work_facts *f,
                                    const char *name, char *ret_name,
                                    size_t size, struct justalock_error *err)
{
    struct config_names names = {.user = f->user[0] != '\0' ? f->user : NULL,
                                 .host = g->host};

    if (f->kind == WORK_SESSION) {
        names.service = f->login;
        names.ruser = f->ruser[0] != '\0' ? f->ruser : NULL;
    }
    if (f->kind == WORK_JOB && is_singleton(name))
        return singleton(f, name, ret_name, size, err);
    if (strlen(name) >= size)
        return error_set(err, JUSTALOCK_ARG,
                         "lock name: %zu bytes are more than the %zu allowed",
                         strlen(name), size - 1);
    /* A command's name is as its user typed it, with an agent or without. */
    if (f->kind == WORK_COMMAND || !strchr(name, '%')) {
        (void)snprintf(ret_name, size, "%s", name);
        return JUSTALOCK_OK;
    }
    return config_expand(name, &names, ret_name, size, err);
}

/* ---- one lock ---- */

static void fill_want(const struct config *c, const struct config_lock *p,
                      struct want *want)
{
    config_lease(c, p, 0, &want->times);
    want->has_grace = p->has_grace;
    want->wait_ms = p->wait_ms;
    want->on_busy = p->on_busy;
    want->on_unreachable = p->on_unreachable;
    want->on_lost = p->on_lost;
    want->lost_signal = p->lost_signal;
    want->on_end = p->on_end;
    want->slots = p->slots;
    want->has_own_id = p->has_id;
    want->is_shared = p->share == CONFIG_SHARE_HOST;
}

static enum justalock_status check_times(const struct want *want,
                                         struct justalock_error *err)
{
    struct lease_times t = want->times;
    enum justalock_status st = lease_times_fill(&t, false, err);

    return st == JUSTALOCK_OK ? st
                              : error_wrap(err, st, "lock \"%s\"", want->name);
}

enum justalock_status locks_set_life(struct wants *wants, unsigned life_s,
                                     struct justalock_error *err)
{
    enum justalock_status st = JUSTALOCK_OK;

    for (size_t i = 0; st == JUSTALOCK_OK && i < wants->len; i++) {
        struct want *w = &wants->v[i];

        w->times.life_s = life_s;
        if (!w->has_grace)
            w->times.grace_ms = 0;
        st = check_times(w, err);
    }
    return st;
}

static enum justalock_status add(const struct guard *g,
                                 const struct work_facts *f, const char *name,
                                 struct wants *wants,
                                 struct justalock_error *err)
{
    struct config_lock policy;
    struct want want = {.name = ""};
    enum justalock_status st;
    size_t len;

    st = expand(g, f, name, want.name, sizeof(want.name), err);
    if (st == JUSTALOCK_OK)
        st = parse_name(want.name, "lock name", err);
    if (st == JUSTALOCK_OK)
        st = config_policy(g->config, want.name, kind_of(f), &policy, err);
    if (st == JUSTALOCK_OK)
        st = config_lock_id(g->config, g->has_secret ? &g->secret : NULL,
                            want.name, &policy, &want.id, err);
    if (st != JUSTALOCK_OK)
        return st;
    fill_want(g->config, &policy, &want);
    want.said = config_find(g->config, want.name);
    st = check_times(&want, err);
    if (st != JUSTALOCK_OK)
        return st;
    for (size_t i = 0; i < wants->len; i++)
        if (memcmp(&wants->v[i].id, &want.id, sizeof(want.id)) == 0)
            return JUSTALOCK_OK;
    if (wants->len == WIRE_LOCKS_MAX)
        return error_set(err, JUSTALOCK_ARG, "more than %d locks",
                         WIRE_LOCKS_MAX);
    /* The work sees all of them in one variable. */
    len = strlen(want.name);
    for (size_t i = 0; i < wants->len; i++)
        len += strlen(wants->v[i].name) + 1;
    if (len > WIRE_LIST_MAX)
        return error_set(err, JUSTALOCK_ARG,
                         "lock names: %zu bytes together are more than the %d "
                         "allowed",
                         len, WIRE_LIST_MAX);
    wants->v[wants->len++] = want;
    return JUSTALOCK_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct want *x = a;
    const struct want *y = b;

    return memcmp(&x->id, &y->id, sizeof(x->id));
}

static enum justalock_status parse_into(const struct guard *g, const char *list,
                                        const struct work_facts *f,
                                        struct wants *wants,
                                        struct justalock_error *err)
{
    char name[WIRE_LIST_MAX + 1];
    const char *at = list[0] != '\0' ? list : NULL;
    enum justalock_status st = JUSTALOCK_OK;

    if (!g->config)
        return error_set(err, JUSTALOCK_CONFIG, "%s", g->config_error);
    while (st == JUSTALOCK_OK && next_name(&at, name, sizeof(name)))
        st = add(g, f, name, wants, err);
    if (wants->len > 0)
        qsort(wants->v, wants->len, sizeof(*wants->v), by_id);
    return st;
}

enum justalock_status locks_parse(const struct guard *g, const char *list,
                                  const struct work_facts *f,
                                  struct wants *ret_wants,
                                  struct justalock_error *err)
{
    ret_wants->len = 0;
    return parse_into(g, list, f, ret_wants, err);
}

bool locks_have_users(const struct guard *g, const char *list,
                      const struct work_facts *f)
{
    static struct wants wants;
    struct config_lock policy;
    struct justalock_error err;

    if (locks_parse(g, list, f, &wants, &err) != JUSTALOCK_OK)
        return false; /* said when they are taken */
    for (size_t i = 0; i < wants.len; i++)
        if (config_policy(g->config, wants.v[i].name, kind_of(f), &policy,
                          &err) == JUSTALOCK_OK &&
            policy.users)
            return true;
    return false;
}

bool wants_equal(const struct wants *a, const struct wants *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        if (memcmp(&a->v[i].id, &b->v[i].id, sizeof(a->v[i].id)) != 0)
            return false;
    return true;
}

enum justalock_status locks_allowed(const struct guard *g, const char *list,
                                    const struct work_facts *f,
                                    struct justalock_error *err)
{
    char name[WIRE_LIST_MAX + 1];
    char full[PARSE_NAME_MAX + 1];
    const char *at = list[0] != '\0' ? list : NULL;
    struct config_lock policy;
    struct justalock_error other;

    while (g->config && next_name(&at, name, sizeof(name))) {
        /* What is wrong with a name is said where it is taken. */
        if (expand(g, f, name, full, sizeof(full), &other) != JUSTALOCK_OK ||
            config_policy(g->config, full, kind_of(f), &policy, &other) !=
                JUSTALOCK_OK)
            continue;
        if (f->kind == WORK_COMMAND && f->uid != 0 && !policy.users)
            return error_set(err, JUSTALOCK_DENIED,
                             "lock \"%s\" is not opened to users of this "
                             "host's agent",
                             full);
        if (config_user_allowed(&policy, f->uid, err) != JUSTALOCK_OK)
            return err->status;
    }
    return JUSTALOCK_OK;
}

/* ---- rules ---- */

/* -1: only Slurm can say; else whether any of the list matches. */
static int matches(char **list, const char *value)
{
    if (!list)
        return 1;
    if (value[0] == '\0')
        return -1;
    for (; *list; list++)
        if (strcmp(*list, value) == 0)
            return 1;
    return 0;
}

/* The user by name, or by number. */
static int matches_user(char **list, const struct work_facts *f)
{
    char uid[16];

    (void)snprintf(uid, sizeof(uid), "%u", f->uid);
    return !list || matches(list, uid) == 1 ? 1 : matches(list, f->user);
}

static int rule_matches(const struct config_rule *r, const struct work_facts *f,
                        bool is_all_known)
{
    const int answers[] = {matches(r->partition, f->job.partition),
                           matches_user(r->user, f),
                           matches(r->account, f->job.account),
                           matches(r->reservation, f->job.reservation),
                           matches(r->name, f->job.name)};
    int all = 1;

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        int a = answers[i] < 0 && is_all_known ? 0 : answers[i];

        if (a == 0)
            return 0;
        if (a < 0)
            all = -1;
    }
    return all;
}

bool locks_rules_apply(const struct guard *g, const struct work_facts *f,
                       bool *ret_needs_slurm)
{
    bool apply = false;

    *ret_needs_slurm = false;
    if (!g->config)
        return false;
    for (size_t i = 0; i < g->config->slurm.rules_len; i++) {
        int m = rule_matches(&g->config->slurm.rules[i], f, false);

        apply |= m != 0;
        *ret_needs_slurm |= m < 0;
    }
    return apply;
}

enum justalock_status locks_of_job(const struct guard *g, const char *list,
                                   const struct work_facts *f,
                                   struct wants *ret_wants,
                                   struct justalock_error *err)
{
    enum justalock_status st = locks_parse(g, list, f, ret_wants, err);

    if (st != JUSTALOCK_OK)
        return st;
    for (size_t i = 0; i < g->config->slurm.rules_len; i++) {
        const struct config_rule *r = &g->config->slurm.rules[i];

        if (rule_matches(r, f, true) != 1)
            continue;
        for (char **name = r->lock; name && *name && st == JUSTALOCK_OK; name++)
            st = add(g, f, *name, ret_wants, err);
        if (st != JUSTALOCK_OK)
            return error_wrap(err, st, "the rule at %s:%u", r->place.file,
                              r->place.line);
    }
    if (ret_wants->len > 0)
        qsort(ret_wants->v, ret_wants->len, sizeof(*ret_wants->v), by_id);
    return JUSTALOCK_OK;
}
