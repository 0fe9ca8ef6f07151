/* SPDX-License-Identifier: MIT */
/*
 * guard_take.c - the locks that were found for a work are made its own: whose
 * client it is, its shares, the service, and what of several policies counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bearer.h"
#include "guard.h"

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from ? from : "");
}

/* The token is read by root, here; the keeper could not. */
static enum justalock_status fill_service(const struct guard *g,
                                          struct keeper_service *s,
                                          struct justalock_error *err)
{
    const struct config *c = g->config;

    memset(s, 0, sizeof(*s));
    copy_text(s->url, sizeof(s->url), c->service.url);
    copy_text(s->ca_file, sizeof(s->ca_file), c->service.ca_file);
    copy_text(s->cert_file, sizeof(s->cert_file), c->service.cert_file);
    copy_text(s->key_file, sizeof(s->key_file), c->service.key_file);
    copy_text(s->proxy, sizeof(s->proxy), c->service.proxy);
    return c->service.token_file
               ? bearer_load(c->service.token_file, s->token, err)
               : JUSTALOCK_OK;
}

static enum justalock_status find_service(struct guard *g,
                                          const struct keeper_service **ret,
                                          struct justalock_error *err)
{
    struct keeper_service s;
    enum justalock_status st = fill_service(g, &s, err);

    if (st == JUSTALOCK_OK) {
        *ret = service_use(g, &s);
        st = *ret ? JUSTALOCK_OK : error_nomem(err);
    }
    explicit_bzero(&s, sizeof(s));
    return st;
}

/*
 * What a line of pam.d asks for holds where the definition says nothing, and
 * otherwise only where it is stricter.
 */
static void narrow(const struct guard *g, struct work_facts *f,
                   const struct want *want)
{
    static const uint8_t end_rank[] = {0, 2, 3, 1}; /* -, keep, kill, release */
    static const uint8_t lost_rank[] = {0, 3, 2, 1}; /* -, kill, signal, log */
    const struct config_lock *d = &g->config->defaults;
    const struct config_lock *s = want->said;
    bool has_busy = d->on_busy != CONFIG_BUSY_UNSET ||
                    (s && s->on_busy != CONFIG_BUSY_UNSET);
    bool has_wait = d->wait_ms != -2 || (s && s->wait_ms != -2);
    bool has_end =
        d->on_end != CONFIG_END_UNSET || (s && s->on_end != CONFIG_END_UNSET);
    bool has_lost = d->on_lost != CONFIG_LOST_UNSET ||
                    (s && s->on_lost != CONFIG_LOST_UNSET);
    bool has_share =
        d->share != CONFIG_SHARE_UNSET || (s && s->share != CONFIG_SHARE_UNSET);

    if (f->wait_ms == WIRE_WAIT_DEFAULT ||
        (has_wait && want->wait_ms >= 0 && want->wait_ms < f->wait_ms))
        f->wait_ms = want->wait_ms;
    if (has_busy && want->on_busy == CONFIG_BUSY_FAIL)
        f->wait_ms = 0;
    /* The program must hear "busy" while it listens. */
    if (f->wait_ms < 0 || f->wait_ms > WIRE_SESSION_WAIT_MAX_MS)
        f->wait_ms = WIRE_SESSION_WAIT_MAX_MS;
    f->on_busy = f->wait_ms == 0 ? WIRE_BUSY_FAIL : WIRE_BUSY_WAIT;
    if (f->on_end == CONFIG_END_UNSET ||
        (has_end && end_rank[want->on_end] > end_rank[f->on_end]))
        f->on_end = want->on_end;
    if (f->on_lost == CONFIG_LOST_UNSET ||
        (has_lost && lost_rank[want->on_lost] > lost_rank[f->on_lost])) {
        f->on_lost = want->on_lost;
        f->lost_signal = want->lost_signal;
    }
    f->is_shared = has_share ? want->is_shared : f->is_shared;
    /* The module decides what that means: it may be us who are missing. */
    f->on_unreachable = CONFIG_UNREACHABLE_CLOSED;
}

/* The strictest of all locks is the work's. */
static void fill_policies(const struct guard *g, struct work_facts *f,
                          const struct wants *wants)
{
    const struct want *w = wants->v;
    int64_t wait = w[0].wait_ms;

    if (f->kind == WORK_SESSION) {
        struct lease_times t = w[0].times;
        struct justalock_error err;

        narrow(g, f, w); /* one lock a session */
        if (lease_times_fill(&t, false, &err) == JUSTALOCK_OK)
            f->grace_ms = t.grace_ms;
        return;
    }

    /* A command never starts without its lock. */
    f->on_unreachable = f->kind == WORK_COMMAND ? CONFIG_UNREACHABLE_CLOSED
                                                : w[0].on_unreachable;
    f->on_end = w[0].on_end;
    if (f->kind == WORK_JOB || f->on_lost == CONFIG_LOST_UNSET) {
        f->on_lost = w[0].on_lost;
        f->lost_signal = w[0].lost_signal;
    }
    /* What its call says goes before what is configured. */
    if (f->kind == WORK_COMMAND && f->wait_ms != WIRE_WAIT_DEFAULT &&
        f->on_busy == WIRE_BUSY_DEFAULT)
        f->on_busy = WIRE_BUSY_WAIT;
    if (f->on_busy == WIRE_BUSY_DEFAULT)
        f->on_busy = w[0].on_busy == CONFIG_BUSY_FAIL      ? WIRE_BUSY_FAIL
                     : w[0].on_busy == CONFIG_BUSY_REQUEUE ? WIRE_BUSY_REQUEUE
                                                           : WIRE_BUSY_WAIT;
    f->grace_ms = 0;
    for (size_t i = 0; i < wants->len; i++) {
        struct lease_times t = w[i].times;
        struct justalock_error err;

        if (w[i].on_unreachable == CONFIG_UNREACHABLE_CLOSED)
            f->on_unreachable = CONFIG_UNREACHABLE_CLOSED;
        if (w[i].on_lost == CONFIG_LOST_KILL && f->kind == WORK_JOB)
            f->on_lost = CONFIG_LOST_KILL;
        if (w[i].on_end == CONFIG_END_KILL)
            f->on_end = CONFIG_END_KILL;
        if (w[i].wait_ms >= 0 && (wait < 0 || w[i].wait_ms < wait))
            wait = w[i].wait_ms;
        if (lease_times_fill(&t, false, &err) == JUSTALOCK_OK &&
            t.grace_ms > f->grace_ms)
            f->grace_ms = t.grace_ms;
    }
    if (f->wait_ms == WIRE_WAIT_DEFAULT)
        f->wait_ms = wait;
}

/*
 * Who we are for one lock. The nodes and components of a job must be the same
 * client, so theirs comes from the site secret.
 */
static enum justalock_status fill_client(const struct guard *g,
                                         const struct work_facts *f,
                                         const char *client,
                                         struct keeper_lock *lock,
                                         struct justalock_error *err)
{
    bool is_one_node =
        f->job.node_count == 1 && f->job.leader_id == f->job.job_id;
    /* A het job's leader looks like any job on one node, so random is for
     * those of whom nothing is known, and where there is no secret. */
    bool is_alone = f->kind == WORK_COMMAND ||
                    (f->kind == WORK_SESSION && !f->is_shared) ||
                    (f->kind == WORK_JOB &&
                     (!f->is_told || (is_one_node && !g->has_secret)));
    const struct secret_job job = {.cluster = g->config->slurm.cluster
                                                  ? g->config->slurm.cluster
                                                  : f->job.cluster,
                                   .job_id = f->job.leader_id,
                                   .array_task = f->job.array_task,
                                   .restart = f->job.restart,
                                   .uid = f->job.uid};
    enum justalock_status st;
    char text[33];

    if (client && client[0] != '\0') {
        lock->client_len = strlen(client);
        memcpy(lock->client, client, lock->client_len);
        lock->reusable_client = true;
        return JUSTALOCK_OK;
    }
    if (!is_alone && !g->has_secret)
        return error_set(err, JUSTALOCK_CONFIG, "%s needs the site secret: %s",
                         f->kind == WORK_SESSION ? "share=host"
                                                 : "a job on several nodes",
                         g->secret_error);
    if (is_alone) {
        st = id_random_hex(text, 16, err);
        if (st != JUSTALOCK_OK)
            return st;
    } else if (f->kind == WORK_SESSION) {
        secret_session_client(&g->secret, g->host, f->uid, &lock->id, text);
        lock->reusable_client = true; /* others use it longer */
    } else {
        secret_job_client(&g->secret, &job, &lock->id, text);
        /* Other nodes use it longer: never shorten their lease. */
        lock->reusable_client = true;
    }
    lock->client_len = 32;
    memcpy(lock->client, text, 32);
    return JUSTALOCK_OK;
}

static enum justalock_status fill_held(const struct guard *g,
                                       const struct work_facts *f,
                                       const struct want *want,
                                       const char *client, const char *label,
                                       struct held *h,
                                       struct justalock_error *err)
{
    copy_text(h->name, sizeof(h->name), want->name);
    h->lock.id = want->id;
    h->lock.times = want->times;
    h->lock.slots = want->slots;
    h->is_public_id = !g->config->hashed_names || want->has_own_id;
    copy_text(h->lock.label, sizeof(h->lock.label), label);
    for (char *c = h->lock.label; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?'; /* a header's value */
    if (fill_client(g, f, client, &h->lock, err) != JUSTALOCK_OK)
        return err->status;
    return id_random_hex(h->lock.share, KEEPER_SHARE_LEN / 2, err);
}

enum justalock_status locks_take(struct guard *g, struct work *w,
                                 const struct wants *wants, const char *client,
                                 const char *label, struct justalock_error *err)
{
    struct held *helds = calloc(wants->len, sizeof(*helds));
    const struct keeper_service *service = NULL;
    enum justalock_status st;

    if (!helds)
        return error_nomem(err);
    fill_policies(g, &w->f, wants); /* whose client we are depends on them */
    st = find_service(g, &service, err);
    for (size_t i = 0; i < wants->len && st == JUSTALOCK_OK; i++)
        st = fill_held(g, &w->f, &wants->v[i], client, label, &helds[i], err);
    if (st != JUSTALOCK_OK) {
        free(helds);
        service_drop(g, service);
        return st;
    }
    free(w->helds);
    w->helds = helds;
    w->f.helds_len = wants->len;
    service_drop(g, w->service);
    w->service = service;
    return JUSTALOCK_OK;
}

void locks_names(const struct work *w, char *ret_list, size_t size)
{
    size_t at = 0;

    ret_list[0] = '\0';
    for (size_t i = 0; i < w->f.helds_len; i++) {
        int n = snprintf(ret_list + at, size - at, "%s%s", at > 0 ? "," : "",
                         w->helds[i].name);

        if (n < 0 || (size_t)n >= size - at) {
            ret_list[at] = '\0';
            return;
        }
        at += (size_t)n;
    }
}
