/* SPDX-License-Identifier: MIT */
/*
 * run_alone.c - `justalock run` without an agent: reads the configuration,
 * makes front, back and keeper, which do the rest.
 *
 *   front (what the user started) - back - the command
 *                                 \ keeper
 *
 * The keeper is the front's child, so that the back, a subreaper, has no
 * child but the work: no child left means that no process of it is left.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alone.h"
#include "back.h"
#include "urls.h"
#include "wire.h"

#define SHARE_BYTES  (KEEPER_SHARE_LEN / 2)
#define CLIENT_BYTES 16

static enum justalock_status fill_client(struct keeper_lock *l,
                                         const struct run_options *o,
                                         struct justalock_error *err)
{
    char hex[2 * CLIENT_BYTES + 1];
    const char *client = o->client;
    enum justalock_status st;

    st = id_random_hex(l->share, SHARE_BYTES, err);
    if (st == JUSTALOCK_OK && client == NULL) {
        st = id_random_hex(hex, CLIENT_BYTES, err);
        client = hex;
    }
    if (st != JUSTALOCK_OK)
        return st;
    l->reusable_client = o->client != NULL;
    l->client_len = strlen(client);
    memcpy(l->client, client, l->client_len);
    return JUSTALOCK_OK;
}

/* The public service shows no labels: it need not learn our names. */
static void fill_label(struct alone *a, const struct run_options *o)
{
    struct keeper_lock *l = &a->hold.lock;

    if (o->label != NULL)
        (void)snprintf(l->label, sizeof(l->label), "%s", o->label);
    else if (!urls_has_public(a->hold.service.url))
        run_default_label(l->label);
}

static enum justalock_status fill_times(struct alone *a,
                                        const struct run_options *o,
                                        const struct config *c,
                                        const struct config_lock *policy,
                                        struct justalock_error *err)
{
    struct lease_times *t = &a->hold.lock.times;
    enum justalock_status st;

    config_lease(c, policy, o->life_s, t);
    a->hold.times = *t;
    st = lease_times_fill(&a->hold.times, false, err);
    if (st != JUSTALOCK_OK)
        return error_wrap(err, o->life_s > 0 ? st : JUSTALOCK_CONFIG, "%s",
                          o->lock);
    return JUSTALOCK_OK;
}

static void fill_policy(struct alone *a, const struct run_options *o,
                        const struct config_lock *policy)
{
    a->on_lost = o->on_lost != CONFIG_LOST_UNSET ? o->on_lost : policy->on_lost;
    a->lost_signal =
        o->on_lost != CONFIG_LOST_UNSET ? o->lost_signal : policy->lost_signal;
    a->on_end = policy->on_end;
    a->hold.wait_ms = o->wait_ms;
    if (o->wait_ms == WIRE_WAIT_DEFAULT)
        a->hold.wait_ms =
            policy->on_busy == CONFIG_BUSY_FAIL ? 0 : policy->wait_ms;
    if (a->hold.wait_ms < -1)
        a->hold.wait_ms = -1;
}

/* How many share a pool is for all to agree on: not for one to change. */
static enum justalock_status fill_slots(struct alone *a,
                                        const struct run_options *o,
                                        const struct config_lock *policy,
                                        struct justalock_error *err)
{
    a->hold.lock.slots = o->slots != 0 ? o->slots : policy->slots;
    if (policy->slots > 1 && a->hold.lock.slots != policy->slots)
        return error_set(err, JUSTALOCK_ARG,
                         "--slots: %u, but %.100s is defined with %u", o->slots,
                         o->lock, policy->slots);
    return JUSTALOCK_OK;
}

static enum justalock_status fill(struct alone *a, struct justalock_error *err)
{
    const struct run_options *o = a->base->options;
    struct cli_context c;
    struct config_lock policy;
    enum justalock_status st;

    st = cli_context_open(&c, o->config, o->url, true, err);
    if (st != JUSTALOCK_OK)
        return st;
    a->hold.service = c.service;
    (void)snprintf(a->hold.keeper_user, sizeof(a->hold.keeper_user), "%s",
                   c.config->agent.keeper_user);
    st = cli_context_lock(&c, o->lock, &policy, &a->hold.lock.id, err);
    a->names_are_plain =
        !c.config->hashed_names || (st == JUSTALOCK_OK && policy.has_id);
    if (st == JUSTALOCK_OK)
        st = fill_times(a, o, c.config, &policy, err);
    if (st == JUSTALOCK_OK)
        st = fill_slots(a, o, &policy, err);
    if (st == JUSTALOCK_OK)
        st = fill_client(&a->hold.lock, o, err);
    if (st == JUSTALOCK_OK) {
        fill_label(a, o);
        fill_policy(a, o, &policy);
    }
    cli_context_close(&c);
    return st;
}

static enum justalock_status make_talk(struct alone *a,
                                       struct justalock_error *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_sys(err, errno, "socketpair");
    a->front_end = pair[0];
    a->back_end = pair[1];
    return JUSTALOCK_OK;
}

static enum justalock_status prepare(struct alone *a,
                                     struct justalock_error *err)
{
    enum justalock_status st;

    st = fill(a, err);
    if (st == JUSTALOCK_OK)
        st = page_new(&a->page, err);
    if (st == JUSTALOCK_OK)
        st = make_talk(a, err);
    if (st == JUSTALOCK_OK && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        st = error_sys(err, errno, "PR_SET_CHILD_SUBREAPER");
    if (st == JUSTALOCK_OK)
        st = hold_start(&a->hold, err);
    if (st != JUSTALOCK_OK)
        return st;
    a->page->keeper = a->hold.pid;
    a->hold.begun = clock_now();
    a->front = getpid();
    return JUSTALOCK_OK;
}

int run_alone(struct run_base *b)
{
    struct justalock_error err;
    struct alone a;
    enum justalock_status st;
    pid_t back;

    memset(&a, 0, sizeof(a));
    a.base = b;
    a.hold.fd = -1;
    a.hold.pidfd = -1;
    st = prepare(&a, &err);
    if (st != JUSTALOCK_OK)
        return cli_fail(&err, st);
    back = fork();
    if (back < 0) {
        (void)error_sys(&err, errno, "fork");
        return cli_fail(&err, JUSTALOCK_SYS);
    }
    if (back == 0) {
        (void)close(a.front_end);
        _exit(back_main(&a));
    }
    (void)setpgid(back, back); /* the back does it too */
    (void)close(a.back_end);
    (void)close(a.hold.fd); /* the back's alone: its end ends the keeper */
    back_detach_stdio();
    return front_main(&a, back);
}
