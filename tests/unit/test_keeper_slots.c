/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_slots.c - the keeper and pools: at a service that has them, and
 * at one that does not, where each slot is a lock of its own.
 */
#include "test.h"

#include <stdlib.h>

#include "../lib/fake_service.h"
#include "keeper.h"

#define EVENTS_MAX 256
#define LONG_MS    20000
#define OLD        "Justalock-Features: wait release token holder share\r\n"
#define NEW        "Justalock-Features: wait release token holder share slots\r\n"
#define LOCKS_MAX  8

/* Ours, and what the service does. */
struct rig {
    struct keeper *k;
    struct fake_service *f;
    struct keeper_service service;
    struct keeper_event events[EVENTS_MAX];
    size_t len, seen;
    struct keeper_view views[8];
    size_t views_len;
    enum justalock_status view_status;
    const char *features; /* "": base */
    struct {
        char path[64], client[64];
    } taken[LOCKS_MAX];
    unsigned drop; /* so many answers from now, though it is done */
    int slot;      /* of a service with pools; -1: not said */
    const char *holding;
    const char *body; /* of a view */
};

static void on_event(void *arg, const struct keeper_event *event)
{
    struct rig *r = arg;

    assert_true(r->len < EVENTS_MAX);
    r->events[r->len++] = *event;
}

static void headers(struct fake_step *s, const char *a, const char *b)
{
    (void)snprintf(s->headers, sizeof(s->headers), "%s%s", a, b);
}

/* The lock at a path, or a free place; NULL: full. */
static char *client_at(struct rig *r, const char *path)
{
    for (int i = 0; i < LOCKS_MAX; i++)
        if (strcmp(r->taken[i].path, path) == 0)
            return r->taken[i].client;
    for (int i = 0; i < LOCKS_MAX; i++) {
        if (r->taken[i].path[0] != '\0')
            continue;
        (void)snprintf(r->taken[i].path, sizeof(r->taken[i].path), "%s", path);
        return r->taken[i].client;
    }
    return NULL;
}

/* Locks by their paths; s=1 and DELETE free one at once. */
static void by_paths(void *arg, const struct fake_request *q,
                     struct fake_step *s)
{
    struct rig *r = arg;
    char path[64];
    char *client;

    (void)snprintf(path, sizeof(path), "%.*s",
                   (int)strcspn(q->target, "?") & 63, q->target);
    client = client_at(r, path);
    assert_non_null(client);
    if (client[0] != '\0' && strcmp(client, q->body) != 0) {
        s->status = 409;
        headers(s, r->features, "");
        return;
    }
    (void)snprintf(client, 64, "%.63s", q->body);
    if (strstr(q->target, "?s=1") && q->target[strlen(path) + 4] == '\0')
        client[0] = '\0';
    if (strcmp(q->method, "DELETE") == 0)
        client[0] = '\0';
    headers(s, r->features,
            r->features[0] != '\0' ? "Justalock-Holding: new\r\n" : "");
    if (r->drop > 0) {
        r->drop--;
        s->way = FAKE_DROP;
    }
}

/* As a service with pools would. */
static void pool(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct rig *r = arg;
    char more[128];

    if (strcmp(q->method, "GET") == 0) {
        headers(s, NEW, "");
        (void)snprintf(s->body, sizeof(s->body), "%s", r->body);
        return;
    }
    (void)snprintf(more, sizeof(more), "Justalock-Holding: %s\r\n", r->holding);
    if (r->slot >= 0)
        (void)snprintf(more, sizeof(more),
                       "Justalock-Holding: %s\r\nJustalock-Slot: %d\r\n",
                       r->holding, r->slot);
    headers(s, r->features, more);
}

static void rig_up(struct rig *r, fake_fn *script, const char *features)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    r->features = features;
    r->holding = "new";
    r->f = fake_start(script, r);
    assert_non_null(r->f);
    assert_ok(keeper_new(on_event, r, &r->k, &err), err);
    (void)snprintf(r->service.url, sizeof(r->service.url),
                   "http://127.0.0.1:%d/", fake_port(r->f));
}

static void rig_down(struct rig *r)
{
    keeper_free(r->k);
    fake_stop(r->f);
}

static void make_lock(struct keeper_lock *l, unsigned number, unsigned slots)
{
    memset(l, 0, sizeof(*l));
    memset(l->id.bytes, 0xab, sizeof(l->id.bytes));
    l->client_len =
        (size_t)snprintf((char *)l->client, 16, "client-%u", number);
    (void)snprintf(l->share, sizeof(l->share), "%016x", number);
    l->times.life_s = 60;
    l->slots = slots;
}

static void acquire(struct rig *r, unsigned number, unsigned slots,
                    int64_t wait_ms)
{
    struct keeper_lock lock;
    struct justalock_error err;

    make_lock(&lock, number, slots);
    assert_ok(keeper_acquire(r->k, number, &r->service, &lock, wait_ms, &err),
              err);
}

static const struct keeper_event *await(struct rig *r,
                                        enum keeper_event_kind kind)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);
    const struct keeper_event *e;

    while (r->seen == r->len) {
        if (clock_left_ms(end, clock_now()) <= 0)
            fail_msg("event %d did not come", (int)kind);
        (void)keeper_run(r->k, -1, 100);
    }
    e = &r->events[r->seen++];
    if (e->kind != kind)
        fail_msg("event %d came, not %d: %s", (int)e->kind, (int)kind, e->text);
    return e;
}

/* Request n is for that slot's own id, or with -1 for the pool. */
static void expect_slot(struct rig *r, unsigned n, int slot)
{
    struct lock_id pool_id, id;
    struct fake_request q;
    char want[64], value[32];

    memset(pool_id.bytes, 0xab, sizeof(pool_id.bytes));
    id_of_slot(&pool_id, slot < 0 ? 0 : (unsigned)slot, &id);
    assert_true(fake_get(r->f, n, &q));
    (void)snprintf(want, sizeof(want), "/%s?s=", id_format(&id).s);
    if (strncmp(q.target, want, strlen(want)) != 0)
        fail_msg("request %u is for %s, not %s", n, q.target, want);
    assert_int_equal(fake_header(&q, "Justalock-Slots", value, sizeof(value)),
                     slot < 0);
    if (slot < 0)
        assert_string_equal(value, "3");
}

/* ---- without pools ---- */

/* A pool of three fills, each in its own slot; a fourth asks for all of them
 * once and is refused, or waits until one is given back. */
static void fill_by_ids(const char *features)
{
    const struct keeper_event *e;
    unsigned used = 0, freed = 0;
    struct rig r;
    unsigned n;

    rig_up(&r, by_paths, features);
    for (unsigned i = 1; i <= 3; i++) {
        acquire(&r, i, 3, 0);
        e = await(&r, KEEPER_GRANTED);
        assert_true(e->has_slot && e->slot_has_id);
        assert_in_range(e->slot, 0, 2);
        assert_false(used >> e->slot & 1);
        used |= 1U << e->slot;
        freed = e->slot;
        n = fake_count(r.f);
        if (i == 1) {
            assert_int_equal(n, 1);
            assert_int_equal(e->slot, 0); /* who knows what service it is */
            expect_slot(&r, 0, -1);
        } else {
            expect_slot(&r, n - 1, (int)e->slot);
        }
    }
    n = fake_count(r.f);
    acquire(&r, 4, 3, 0);
    assert_int_equal(await(&r, KEEPER_BUSY)->status, JUSTALOCK_HELD);
    assert_int_equal(fake_count(r.f) - n, 3);
    acquire(&r, 5, 3, -1);
    await(&r, KEEPER_BUSY);
    keeper_release(r.k, 3, 2000);
    assert_int_equal(await(&r, KEEPER_RELEASED)->status, JUSTALOCK_OK);
    e = await(&r, KEEPER_GRANTED);
    assert_int_equal(e->handle, 5);
    assert_int_equal(e->slot, freed);
    rig_down(&r);
}

static void test_fills(void **state)
{
    (void)state;
    fill_by_ids("");
    fill_by_ids(OLD); /* with a queue for each lock, but not for a pool */
}

/* What is known of a service is not asked again: the order is random. */
static void test_random_order(void **state)
{
    unsigned seen = 0;
    struct keeper_lock other;
    struct justalock_error err;
    struct rig r;

    (void)state;
    rig_up(&r, by_paths, "");
    make_lock(&other, 1, 0);
    other.id.bytes[0] = 0;
    assert_ok(keeper_acquire(r.k, 1, &r.service, &other, 0, &err), err);
    await(&r, KEEPER_GRANTED); /* while it is held, the service is known */
    for (unsigned i = 2; i < 60 && seen != 7; i++) {
        const struct keeper_event *e;

        acquire(&r, i, 3, 0);
        e = await(&r, KEEPER_GRANTED);
        seen |= 1U << e->slot;
        expect_slot(&r, fake_count(r.f) - 1, (int)e->slot);
        keeper_release(r.k, i, 2000);
        await(&r, KEEPER_RELEASED);
    }
    assert_int_equal(seen, 7);
    rig_down(&r);
}

/* An answer that was not heard may have been a grant: the same one again. */
static void test_unheard(void **state)
{
    const struct keeper_event *e;
    struct fake_request a, b;
    unsigned n;
    struct rig r;

    (void)state;
    rig_up(&r, by_paths, "");
    r.drop = 2;
    acquire(&r, 1, 3, -1);
    await(&r, KEEPER_TROUBLE);
    await(&r, KEEPER_GRANTED);
    for (unsigned i = 0; i < fake_count(r.f); i++)
        expect_slot(&r, i, -1);
    n = fake_count(r.f);
    r.drop = 2;
    acquire(&r, 2, 3, -1);
    await(&r, KEEPER_TROUBLE);
    e = await(&r, KEEPER_GRANTED);
    assert_int_not_equal(e->slot, 0);
    assert_true(fake_get(r.f, fake_count(r.f) - 1, &b));
    for (; n < fake_count(r.f); n++) {
        assert_true(fake_get(r.f, n, &a));
        /* Slot 0 is taken, so that its 409 may have come before. */
        if (strncmp(a.target, "/q6urq6urq6urq6urq6urqw", 23) != 0)
            assert_string_equal(a.target, b.target);
    }
    rig_down(&r);
}

/* A keeper that goes on for another knows where. */
static void test_adopt(void **state)
{
    struct keeper_lock lock;
    struct justalock_error err;
    struct rig r;

    (void)state;
    rig_up(&r, by_paths, "");
    make_lock(&lock, 1, 3);
    lock.slot = 2;
    lock.slot_has_id = true;
    assert_ok(keeper_adopt(r.k, 1, &r.service, &lock, clock_now(), false, &err),
              err);
    await(&r, KEEPER_EXTENDED);
    expect_slot(&r, 0, 2);
    keeper_release(r.k, 1, 2000);
    await(&r, KEEPER_RELEASED);
    expect_slot(&r, 1, 2);
    rig_down(&r);
}

/* ---- with them ---- */

static void test_pool(void **state)
{
    const struct keeper_event *e;
    struct rig r;

    (void)state;
    rig_up(&r, pool, NEW);
    r.slot = 2;
    acquire(&r, 1, 3, 0);
    e = await(&r, KEEPER_GRANTED);
    assert_true(e->has_slot && !e->slot_has_id);
    assert_int_equal(e->slot, 2);
    expect_slot(&r, 0, -1);
    acquire(&r, 2, 1, 0); /* no pool: nothing of slots */
    e = await(&r, KEEPER_GRANTED);
    assert_false(e->has_slot);
    expect_slot(&r, 1, 0);
    rig_down(&r);
}

static void adopt_in(struct rig *r, unsigned slot)
{
    struct keeper_lock lock;
    struct justalock_error err;

    make_lock(&lock, 1, 3);
    lock.slot = slot;
    assert_ok(
        keeper_adopt(r->k, 1, &r->service, &lock, clock_now(), true, &err),
        err);
}

/* A refresh in another slot is no refresh: another may have had ours. */
static void test_moved(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, pool, NEW);
    r.slot = 1;
    r.holding = "renewed";
    adopt_in(&r, 1);
    await(&r, KEEPER_EXTENDED);
    expect_slot(&r, 0, -1);
    rig_down(&r);
    rig_up(&r, pool, NEW);
    r.slot = 0;
    r.holding = "renewed";
    adopt_in(&r, 1);
    await(&r, KEEPER_LOST);
    rig_down(&r);
    rig_up(&r, pool, OLD); /* it knows no pools any more */
    r.slot = 1;
    r.holding = "renewed";
    adopt_in(&r, 1);
    await(&r, KEEPER_LOST);
    rig_down(&r);
}

static void test_no_slot_said(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, pool, NEW);
    r.slot = -1;
    acquire(&r, 1, 3, -1);
    assert_non_null(strstr(await(&r, KEEPER_TROUBLE)->text, "slot"));
    r.slot = 1024;
    acquire(&r, 2, 3, -1);
    assert_non_null(strstr(await(&r, KEEPER_TROUBLE)->text, "slot"));
    r.slot = 1023;
    assert_int_equal(await(&r, KEEPER_GRANTED)->slot, 1023);
    rig_down(&r);
}

/* Known as one without pools, it answers as one with them. */
static void test_learns(void **state)
{
    const struct keeper_event *e;
    struct rig r;

    (void)state;
    rig_up(&r, pool, OLD);
    acquire(&r, 1, 1, 0);
    await(&r, KEEPER_GRANTED);
    r.features = NEW;
    r.slot = 2;
    acquire(&r, 2, 3, -1);
    await(&r, KEEPER_TROUBLE);
    e = await(&r, KEEPER_GRANTED);
    assert_true(e->has_slot && !e->slot_has_id);
    assert_int_equal(e->slot, 2);
    expect_slot(&r, 2, -1);
    rig_down(&r);
}

static void test_bad_calls(void **state)
{
    struct keeper_lock lock;
    struct justalock_error err;
    struct rig r;

    (void)state;
    rig_up(&r, pool, NEW);
    make_lock(&lock, 1, JUSTALOCK_SLOTS_MAX + 1);
    assert_fails(keeper_acquire(r.k, 1, &r.service, &lock, 0, &err),
                 JUSTALOCK_ARG, err, "1025");
    make_lock(&lock, 1, JUSTALOCK_SLOTS_MAX);
    lock.slot = JUSTALOCK_SLOTS_MAX;
    assert_fails(
        keeper_adopt(r.k, 1, &r.service, &lock, clock_now(), true, &err),
        JUSTALOCK_ARG, err, "1024");
    rig_down(&r);
}

/* ---- who is in ---- */

static void on_view(void *arg, uint64_t handle, enum justalock_status status,
                    const char *text, const struct keeper_view *view)
{
    struct rig *r = arg;

    (void)text;
    assert_int_equal(handle, 7);
    assert_true(r->views_len < 8);
    r->view_status = status;
    r->views[r->views_len++] = *view;
}

static void test_view(void **state)
{
    struct justalock_error err;
    struct keeper_lock lock;
    struct rig r;

    (void)state;
    rig_up(&r, pool, NEW);
    make_lock(&lock, 1, 0);
    r.body = "{\"held\":true,\"holder\":\"a\",\"waiters\":2,\"slots\":3,"
             "\"holders\":[{\"slot\":0,\"holder\":\"a\",\"token\":7},"
             "{\"slot\":2,\"holder\":\"b\",\"shares\":4,\"expires_ms\":5}]}";
    assert_ok(
        keeper_query(r.k, 7, &r.service, &lock.id, 5000, on_view, &r, &err),
        err);
    while (r.views_len < 2)
        (void)keeper_run(r.k, -1, 100);
    assert_int_equal(r.view_status, JUSTALOCK_OK);
    assert_true(r.views[0].has_more && !r.views[1].has_more);
    assert_int_equal(r.views[0].slots, 3);
    assert_int_equal(r.views[1].slots, 3);
    assert_int_equal(r.views[1].slot, 2);
    assert_int_equal(r.views[1].waiters, 2);
    assert_int_equal(r.views[1].shares, 4);
    assert_int_equal(r.views[1].expires_ms, 5);
    assert_string_equal(r.views[1].holder, "b");
    assert_true(r.views[0].has_token && !r.views[1].has_token);
    r.views_len = 0;
    r.body = "{\"held\":true,\"slots\":3,\"holders\":[{\"slot\":0},{\"slot\":"
             "1024}]}";
    assert_ok(
        keeper_query(r.k, 7, &r.service, &lock.id, 5000, on_view, &r, &err),
        err);
    while (r.views_len < 1)
        (void)keeper_run(r.k, -1, 100);
    assert_int_equal(r.view_status, JUSTALOCK_PROTO);
    rig_down(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills),
        cmocka_unit_test(test_random_order),
        cmocka_unit_test(test_unheard),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_no_slot_said),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_view),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
