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
    p->servers = servers_get(&k->servers, service->url);
    if (!p->servers) {
        free(p);
        return NULL;
    }
    p->service = *service;
    p->users = 1;
    if (p->servers->count > 1) /* else their answers count for nothing */
        p->features = SERVICE_HAS_RELEASE;
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

static void on_view(void *arg, const struct transfer_answer *answer);

_Static_assert(KEEPER_QUERY_MAX_MS == TRANSFER_LIMIT_MAX, "one request");

/* Ask the next server; with one, the only one, once. */
static enum justalock_status ask(struct query *q, struct justalock_error *err)
{
    struct keeper_lock lock = {.id = q->id};
    struct keeper_service service;
    struct service_request r;
    enum justalock_status st;
    int64_t left_ms = clock_left_ms(q->until, clock_now());

    servers_pick(q->place->servers, &q->round, &q->place->service, &service);
    service_build(&service, &lock, SERVICE_VIEW, 0, &r);
    r.request.limit_ms =
        left_ms / (int64_t)servers_left(q->place->servers, &q->round);
    if (r.request.limit_ms < 1)
        r.request.limit_ms = 1;
    st =
        transfer_start(q->keeper->hub, &r.request, on_view, q, &q->flight, err);
    explicit_bzero(&r.token, sizeof(r.token));
    explicit_bzero(&service.token, sizeof(service.token));
    return st;
}

/*
 * A server that is not active shows an empty list, which says nothing: its
 * answers name no service. true: another one has been asked.
 */
static bool is_elsewhere(struct query *q, const struct transfer_answer *answer,
                         enum justalock_status *st, struct justalock_error *err)
{
    struct service_answer a;

    if (q->place->servers->count == 1)
        return false;
    service_read(answer, &a);
    (void)servers_judge(q->place->servers, &q->round, &a);
    if (a.http_status == 200)
        return false;
    if (servers_failed(q->place->servers, &q->round, &a)) {
        *st = ask(q, err);
        return *st == JUSTALOCK_OK;
    }
    *st = error_set(err, a.status, "%s", a.text);
    return false;
}

struct asker {
    keeper_view_fn *fn;
    void *arg;
    uint64_t handle;
};

static void tell(void *arg, const struct keeper_view *view)
{
    const struct asker *a = arg;

    a->fn(a->arg, a->handle, JUSTALOCK_OK, "", view);
}

static void on_view(void *arg, const struct transfer_answer *answer)
{
    struct query *q = arg;
    struct keeper_view view = {.expires_ms = -1};
    struct justalock_error err = {.text = ""};
    struct asker asker = {q->fn, q->arg, q->handle};
    enum justalock_status st = JUSTALOCK_OK;

    if (is_elsewhere(q, answer, &st, &err))
        return;
    if (st == JUSTALOCK_OK)
        st = service_read_view(answer, &view, &err);
    view.http_status = answer->http_status;
    query_free(q);
    asker.fn(asker.arg, asker.handle, st, err.text, &view);
    if (st != JUSTALOCK_OK || !view.has_more)
        return;
    st = service_read_holders(answer, tell, &asker, &err);
    view.has_more = false;
    if (st != JUSTALOCK_OK)
        asker.fn(asker.arg, asker.handle, st, err.text, &view);
}

enum justalock_status keeper_query(struct keeper *k, uint64_t handle,
                                   const struct keeper_service *service,
                                   const struct lock_id *id, int64_t limit_ms,
                                   keeper_view_fn *fn, void *arg,
                                   struct justalock_error *err)
{
    struct query *q;
    enum justalock_status st = service_check(service, err);

    if (st != JUSTALOCK_OK)
        return st;
    q = calloc(1, sizeof(*q));
    if (!q)
        return error_nomem(err);
    q->keeper = k;
    q->handle = handle;
    q->id = *id;
    q->until = clock_add(clock_now(), limit_ms);
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
    st = ask(q, err);
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
