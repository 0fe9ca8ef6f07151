/* SPDX-License-Identifier: MIT */
/*
 * config_policy.c - what stands for one lock and one kind of work: its
 * definition over "defaults" over what is built in; and the lock's id.
 */
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "parse.h"

/* Design: jobs and sessions outlive a reboot of the head node. */
static const struct config_lock built_in_slurm = {
    .lifetime_s = 300,
    .wait_ms = 10 * 60 * 1000,
    .on_busy = CONFIG_BUSY_WAIT,
    .on_unreachable = CONFIG_UNREACHABLE_CLOSED,
    .on_lost = CONFIG_LOST_KILL,
    .on_end = CONFIG_END_KILL,
};
static const struct config_lock built_in_pam = {
    .lifetime_s = 300,
    .wait_ms = 0,
    .on_busy = CONFIG_BUSY_FAIL,
    .on_unreachable = CONFIG_UNREACHABLE_OPEN,
    .on_lost = CONFIG_LOST_KILL,
    .on_end = CONFIG_END_KEEP,
};
static const struct config_lock built_in_command = {
    .lifetime_s = 60,
    .wait_ms = -1,
    .on_busy = CONFIG_BUSY_WAIT,
    .on_unreachable = CONFIG_UNREACHABLE_CLOSED,
    .on_lost = CONFIG_LOST_KILL,
    .on_end = CONFIG_END_KEEP,
};

static const struct config_lock *built_in(enum config_for who)
{
    if (who == CONFIG_FOR_SLURM)
        return &built_in_slurm;
    return who == CONFIG_FOR_PAM ? &built_in_pam : &built_in_command;
}

static int compare_name(const void *name, const void *lock)
{
    return strcmp(name, ((const struct config_lock *)lock)->name);
}

const struct config_lock *config_find(const struct config *c, const char *name)
{
    const struct config_lock *best = NULL;
    size_t plain = c->locks_len - c->templates_len;

    if (plain > 0 && strchr(name, '%') == NULL)
        best = bsearch(name, c->locks + c->templates_len, plain,
                       sizeof(*c->locks), compare_name);
    if (best != NULL)
        return best;
    for (size_t i = 0; i < c->templates_len; i++) {
        const struct config_lock *lock = &c->locks[i];

        if (config_template_match(lock->name, name) &&
            (best == NULL || config_template_weight(lock->name) >
                                 config_template_weight(best->name)))
            best = lock;
    }
    return best;
}

unsigned config_kinds(const struct config *c, const struct config_lock *lock)
{
    unsigned others = CONFIG_FOR_SLURM | CONFIG_FOR_COMMAND;
    unsigned defaults =
        c->defaults.for_mask != 0 ? c->defaults.for_mask : others;

    if (lock == NULL)
        return c->adhoc ? defaults & others : 0;
    return lock->for_mask != 0 ? lock->for_mask : defaults;
}

/* Fill what p leaves unset. */
static void lay_over(struct config_lock *p, const struct config_lock *under)
{
    if (p->users == NULL)
        p->users = under->users;
    if (p->lifetime_s == 0)
        p->lifetime_s = under->lifetime_s;
    if (p->wait_ms == -2)
        p->wait_ms = under->wait_ms;
    if (p->grace_ms == -1)
        p->grace_ms = under->grace_ms;
    if (p->on_busy == CONFIG_BUSY_UNSET)
        p->on_busy = under->on_busy;
    if (p->on_unreachable == CONFIG_UNREACHABLE_UNSET)
        p->on_unreachable = under->on_unreachable;
    if (p->on_lost == CONFIG_LOST_UNSET) {
        p->on_lost = under->on_lost;
        p->lost_signal = under->lost_signal;
    }
    if (p->on_end == CONFIG_END_UNSET)
        p->on_end = under->on_end;
    if (p->share == CONFIG_SHARE_UNSET)
        p->share = under->share;
}

void config_merge(const struct config *c, const struct config_lock *lock,
                  enum config_for who, struct config_lock *ret_policy)
{
    const struct config_lock *under = built_in(who);
    struct config_lock p = c->defaults;

    if (lock != NULL) {
        p = *lock;
        lay_over(&p, &c->defaults);
    }
    /* "forever", "requeue" and "host" are for one kind of work each. */
    if (p.wait_ms == -1 && who != CONFIG_FOR_COMMAND)
        p.wait_ms = under->wait_ms;
    if (p.on_busy == CONFIG_BUSY_REQUEUE && who != CONFIG_FOR_SLURM)
        p.on_busy = under->on_busy;
    if (p.share == CONFIG_SHARE_UNSET || who != CONFIG_FOR_PAM)
        p.share = CONFIG_SHARE_NONE;
    /* Who says how long to wait means to wait. */
    if (p.wait_ms > 0 && p.on_busy == CONFIG_BUSY_UNSET)
        p.on_busy = CONFIG_BUSY_WAIT;
    lay_over(&p, under);
    p.has_grace = p.grace_ms > 0;
    p.for_mask = config_kinds(c, lock);
    p.slots = lock != NULL && lock->slots > 0 ? lock->slots : 1;
    *ret_policy = p;
}

void config_lease(const struct config *c, const struct config_lock *policy,
                  unsigned life_s, struct lease_times *ret_times)
{
    *ret_times = (struct lease_times){
        .life_s = life_s != 0 ? life_s : policy->lifetime_s,
        .grace_ms = policy->has_grace ? policy->grace_ms : 0,
        .attempt_ms = c->service.timeout_ms};
}

enum justalock_status config_times(const struct config *c,
                                   const struct config_lock *policy,
                                   struct lease_times *ret_times,
                                   struct justalock_error *err)
{
    struct lease_times times;
    enum justalock_status st;

    config_lease(c, policy, 0, &times);
    /* A service without features needs the larger margin. */
    st = lease_times_fill(&times, false, err);
    if (st == JUSTALOCK_OK)
        *ret_times = times;
    return st;
}

static enum justalock_status denied(const struct config *c,
                                    const struct config_lock *lock,
                                    const char *name, enum config_for who,
                                    struct justalock_error *err)
{
    const char *whom = who == CONFIG_FOR_SLURM ? "jobs"
                       : who == CONFIG_FOR_PAM ? "login sessions"
                                               : "commands";

    if (lock != NULL)
        return error_set(err, JUSTALOCK_DENIED,
                         "lock \"%.100s\" is not for %s, by its \"for\"", name,
                         whom);
    if (!c->adhoc)
        return error_set(err, JUSTALOCK_DENIED,
                         "lock \"%.100s\" has no definition, and \"adhoc\" "
                         "allows no others",
                         name);
    return error_set(err, JUSTALOCK_DENIED,
                     "lock \"%.100s\" has no definition that is for %s", name,
                     whom);
}

enum justalock_status config_policy(const struct config *c, const char *name,
                                    enum config_for who,
                                    struct config_lock *ret_policy,
                                    struct justalock_error *err)
{
    enum justalock_status st = parse_name(name, "lock", err);
    const struct config_lock *lock;
    struct config_lock policy;
    struct lease_times times;

    if (st != JUSTALOCK_OK)
        return st;
    lock = config_find(c, name);
    if ((config_kinds(c, lock) & (unsigned)who) == 0)
        return denied(c, lock, name, who, err);
    config_merge(c, lock, who, &policy);
    if (config_times(c, &policy, &times, err) != JUSTALOCK_OK)
        return error_wrap(err, JUSTALOCK_CONFIG, "lock \"%.60s\"", name);
    policy.grace_ms = times.grace_ms;
    *ret_policy = policy;
    return JUSTALOCK_OK;
}

enum justalock_status config_lock_id(const struct config *c,
                                     const struct secret *secret,
                                     const char *name,
                                     const struct config_lock *policy,
                                     struct lock_id *ret_id,
                                     struct justalock_error *err)
{
    if (policy->has_id) {
        *ret_id = policy->id;
        return JUSTALOCK_OK;
    }
    if (!c->hashed_names)
        return id_from_name(name, ret_id, err);
    if (secret == NULL)
        return error_set(err, JUSTALOCK_CONFIG,
                         "the names of locks are hashed with the site secret, "
                         "%.100s, which cannot be read here",
                         c->secret_file);
    secret_lock_id(secret, name, ret_id);
    return JUSTALOCK_OK;
}
