/* SPDX-License-Identifier: MIT */
/*
 * keeper_query.c - the services that are spoken to, and questions about a lock
 * that take nothing. Keeps no lock.
 */
#include "keeper_inner.h"

#include <string.h>

/* ---- places ---- */

struct place *place_get(struct keeper *k, const struct keeper_service *service)
{
    struct place *p;

    for (p = k->places; p; p = p->next) {
        const struct keeper_service *s = &p->service;

        if (strcmp(s->url, service->url) == 0 &&
            strcmp(s->ca_file, service->ca_file) == 0 &&
            strcmp(s->cert_file, service->cert_file) == 0 &&
            strcmp(s->key_file, service->key_file) == 0 &&
            strcmp(s->token, service->token) == 0 &&
            strcmp(s->proxy, service->proxy) == 0) {
            p->users++;
            return p;
        }
    }
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->service = *service;
    p->users = 1;
    p->next = k->places;
    k->places = p;
    return p;
}

void place_put(struct keeper *k, struct place *p)
{
    struct place **at = &k->places;

    if (--p->users > 0)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    explicit_bzero(&p->service, sizeof(p->service));
    free(p);
}

/* ---- queries ---- */

static void query_free(struct query *q)
{
    if (q->prev)
        q->prev->next = q->next;
    else
        q->keeper->queries = q->next;
    if (q->next)
        q->next->prev = q->prev;
    place_put(q->keeper, q->place);
    free(q);
}

static void on_view(void *arg, const struct transfer_answer *answer)
{
    struct query *q = arg;
    struct keeper_view view = {.expires_ms = -1};
    struct justalock_error err = {.text = ""};
    keeper_view_fn *fn = q->fn;
    void *fn_arg = q->arg;
    uint64_t handle = q->handle;
    enum justalock_status st = service_read_view(answer, &view, &err);

    query_free(q);
    fn(fn_arg, handle, st, err.text, &view);
}

enum justalock_status keeper_query(struct keeper *k, uint64_t handle,
                                   const struct keeper_service *service,
                                   const struct lock_id *id, int64_t limit_ms,
                                   keeper_view_fn *fn, void *arg,
                                   struct justalock_error *err)
{
    struct keeper_lock lock = {.id = *id};
    struct service_request r;
    struct query *q;
    enum justalock_status st = service_check(service, err);

    if (st != JUSTALOCK_OK)
        return st;
    q = calloc(1, sizeof(*q));
    if (!q)
        return error_nomem(err);
    q->keeper = k;
    q->handle = handle;
    q->fn = fn;
    q->arg = arg;
    q->place = place_get(k, service);
    if (!q->place) {
        free(q);
        return error_nomem(err);
    }
    q->next = k->queries;
    if (q->next)
        q->next->prev = q;
    k->queries = q;
    service_build(&q->place->service, &lock, SERVICE_VIEW, 0, &r);
    r.request.limit_ms = limit_ms;
    st = transfer_start(k->hub, &r.request, on_view, q, &q->flight, err);
    explicit_bzero(&r.token, sizeof(r.token));
    if (st != JUSTALOCK_OK)
        query_free(q);
    return st;
}

void query_free_all(struct keeper *k)
{
    while (k->queries) {
        transfer_cancel(k->queries->flight);
        query_free(k->queries);
    }
}
