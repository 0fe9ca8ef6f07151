/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_many.c - the keeper and a service of three servers, each of
 * which plays the active one, a standby, a silent one, one of another service
 * or one from before a takeover. Times are real, so the leases are short.
 */
#include "test.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/fail_alloc.h"
#include "../lib/fake_service.h"
#include "keeper.h"

#define SERVERS    3
#define EVENTS_MAX 4096
#define FEATURES   "Justalock-Features: wait release token holder share\r\n"
#define LONG_MS    20000

enum role {
    ACTIVE,  /* grants, refreshes, takes back */
    BUSY,    /* active: another holds it; waits are held back */
    WAITED,  /* active: waits end in an offer, the confirmation is granted */
    STANDBY, /* 503; its page shows no locks */
    SILENT,
    DENIED, /* 401 */
    PLAIN   /* grants, as a service on its own does */
};

struct server {
    struct rig *rig;
    struct fake_service *f;
    _Atomic enum role role;
    _Atomic unsigned epoch;
    const char *identity;
};

struct rig {
    struct keeper *k;
    struct server servers[SERVERS];
    struct keeper_service service;
    atomic_bool held; /* at the service */
    struct keeper_event events[EVENTS_MAX];
    size_t len;
    size_t seen;
    bool viewed;
    enum justalock_status view_status;
    struct keeper_view view;
    char view_text[240];
};

/* ---- the servers ---- */

static bool has(const struct fake_request *q, const char *name)
{
    char value[64];

    return fake_header(q, name, value, sizeof(value));
}

static void say(const struct server *a, struct fake_step *s, int status,
                const char *more)
{
    s->status = status;
    (void)snprintf(s->headers, sizeof(s->headers),
                   FEATURES "Justalock-Service: %s\r\nJustalock-Epoch: %u\r\n"
                            "%s",
                   a->identity, a->epoch, more);
}

static void take(struct server *a, const struct fake_request *q,
                 struct fake_step *s)
{
    bool was_held;

    if (a->role == WAITED && has(q, "Justalock-Wait")) {
        say(a, s, 200, "Justalock-Holding: offered\r\n");
        return;
    }
    if (a->role == BUSY && has(q, "Justalock-Wait")) {
        s->way = FAKE_SILENT;
        return;
    }
    if (a->role != ACTIVE && !(a->role == WAITED && a->rig->held)) {
        if (a->role == WAITED)
            a->rig->held = true; /* the next one finds it granted */
        say(a, s, 409, "Justalock-Holder: job 9\r\n");
        return;
    }
    was_held = atomic_exchange(&a->rig->held, true);
    say(a, s, 200,
        was_held && a->role == ACTIVE
            ? "Justalock-Holding: renewed\r\nJustalock-Token: 42\r\n"
            : "Justalock-Holding: new\r\nJustalock-Token: 42\r\n");
}

static void play(void *arg, const struct fake_request *q, struct fake_step *s)
{
    struct server *a = arg;
    static const char view[] = "{\"held\":true,\"shares\":1,\"waiters\":0}";
    bool is_view = strcmp(q->method, "GET") == 0;
    enum role role = a->role;

    switch (role) {
    case STANDBY:
        s->status = is_view ? 200 : 503;
        (void)snprintf(s->headers, sizeof(s->headers), "%s",
                       FEATURES "Retry-After: 1\r\n");
        (void)snprintf(s->body, sizeof(s->body), "%s", "{\"held\":false}");
        return;
    case SILENT:
        s->way = FAKE_SILENT;
        return;
    case DENIED:
        s->status = 401;
        return;
    case PLAIN:
        (void)snprintf(s->headers, sizeof(s->headers), "%s",
                       FEATURES "Justalock-Holding: new\r\n");
        return;
    default:
        break;
    }
    if (is_view) {
        say(a, s, 200, "");
        (void)snprintf(s->body, sizeof(s->body), "%s", view);
    } else if (strcmp(q->method, "DELETE") == 0) {
        a->rig->held = false;
        say(a, s, 200, "");
    } else {
        take(a, q, s);
    }
}

/* ---- the keeper ---- */

static void on_event(void *arg, const struct keeper_event *event)
{
    struct rig *r = arg;

    assert_true(r->len < EVENTS_MAX);
    r->events[r->len++] = *event;
}

static void roles(struct rig *r, enum role a, enum role b, enum role c)
{
    r->servers[0].role = a;
    r->servers[1].role = b;
    r->servers[2].role = c;
}

static void rig_up(struct rig *r, enum role a, enum role b, enum role c)
{
    struct justalock_error err;

    memset(r, 0, sizeof(*r));
    roles(r, a, b, c);
    for (int i = 0; i < SERVERS; i++) {
        struct server *s = &r->servers[i];

        s->rig = r;
        s->epoch = 7;
        s->identity = "ours";
        s->f = fake_start(play, s);
        assert_non_null(s->f);
    }
    assert_ok(keeper_new(on_event, r, &r->k, &err), err);
    (void)snprintf(r->service.url, sizeof(r->service.url),
                   "http://127.0.0.1:%d,http://127.0.0.1:%d/,"
                   "http://127.0.0.1:%d",
                   fake_port(r->servers[0].f), fake_port(r->servers[1].f),
                   fake_port(r->servers[2].f));
}

static void rig_down(struct rig *r)
{
    keeper_free(r->k);
    for (int i = 0; i < SERVERS; i++)
        fake_stop(r->servers[i].f);
}

static void acquire(struct rig *r, uint64_t handle, unsigned life_s,
                    int64_t wait_ms)
{
    struct keeper_lock l;
    struct justalock_error err;

    memset(&l, 0, sizeof(l));
    memset(l.id.bytes, 0xab, sizeof(l.id.bytes));
    memcpy(l.client, "client-1", 8);
    l.client_len = 8;
    (void)snprintf(l.share, sizeof(l.share), "%016x", (unsigned)handle);
    l.times.life_s = life_s;
    assert_ok(keeper_acquire(r->k, handle, &r->service, &l, wait_ms, &err),
              err);
}

static void run_until(struct rig *r, size_t events, int64_t most_ms)
{
    struct clock_time end = clock_add(clock_now(), most_ms);

    while (r->len < events) {
        int64_t left = clock_left_ms(end, clock_now());

        if (left <= 0)
            fail_msg("%zu events came within %lld ms, not %zu", r->len,
                     (long long)most_ms, events);
        (void)keeper_run(r->k, -1, left);
    }
}

static const struct keeper_event *await(struct rig *r,
                                        enum keeper_event_kind kind)
{
    const struct keeper_event *e;

    run_until(r, r->seen + 1, LONG_MS);
    e = &r->events[r->seen++];
    if (e->kind != kind)
        fail_msg("event %d came, not %d: %s", (int)e->kind, (int)kind, e->text);
    return e;
}

/* The next one, whatever trouble was in between. */
static const struct keeper_event *extended(struct rig *r)
{
    do
        run_until(r, r->seen + 1, LONG_MS);
    while (r->events[r->seen++].kind == KEEPER_TROUBLE);
    r->seen--;
    return await(r, KEEPER_EXTENDED);
}

static unsigned count(struct rig *r, int server)
{
    return fake_count(r->servers[server].f);
}

static void await_requests(struct rig *r, int server, unsigned n)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);

    while (count(r, server) < n) {
        if (clock_left_ms(end, clock_now()) <= 0)
            fail_msg("%u requests came to %d, not %u", count(r, server), server,
                     n);
        (void)keeper_run(r->k, -1, 10);
    }
}

static struct fake_request request(struct rig *r, int server, unsigned n)
{
    struct fake_request q;

    if (!fake_get(r->servers[server].f, n, &q))
        fail_msg("request %u has not come to %d", n, server);
    return q;
}

static void expect_counts(struct rig *r, unsigned a, unsigned b, unsigned c)
{
    assert_int_equal(count(r, 0), a);
    assert_int_equal(count(r, 1), b);
    assert_int_equal(count(r, 2), c);
}

static void await_idle(struct rig *r, int64_t most_ms)
{
    struct clock_time end = clock_add(clock_now(), most_ms);

    while (keeper_count(r->k) > 0) {
        if (clock_left_ms(end, clock_now()) <= 0)
            fail_msg("%zu are not given back", keeper_count(r->k));
        (void)keeper_run(r->k, -1, 10);
    }
}

/* t was read between both; on both clocks. */
static void expect_between(struct clock_time a, struct clock_time t,
                           struct clock_time b)
{
    assert_true(a.boot_ms <= t.boot_ms && t.boot_ms <= b.boot_ms);
    assert_true(a.raw_ms <= t.raw_ms && t.raw_ms <= b.raw_ms);
}

/* ---- to get it ---- */

/* Two that are not active: the third is asked at once, and from then on. */
static void test_standbys(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, STANDBY, STANDBY, ACTIVE);
    acquire(&r, 1, 60, 0);
    e = await(&r, KEEPER_GRANTED);
    assert_true(e->has_token && e->has_features);
    expect_counts(&r, 1, 1, 1);
    expect_between(request(&r, 1, 0).at, e->t0, request(&r, 2, 0).at);
    acquire(&r, 2, 60, 0);
    assert_true(await(&r, KEEPER_GRANTED)->was_renewed);
    expect_counts(&r, 1, 1, 2);
    keeper_release(r.k, 1, LONG_MS);
    assert_int_equal(await(&r, KEEPER_RELEASED)->status, JUSTALOCK_OK);
    expect_counts(&r, 1, 1, 3);
    rig_down(&r);
}

/* A try is bounded as a whole: one that is silent leaves time for others. */
static void test_try_past_silence(void **state)
{
    struct rig r;
    const struct keeper_event *e;
    struct clock_time began;

    (void)state;
    rig_up(&r, SILENT, STANDBY, ACTIVE);
    began = clock_now();
    acquire(&r, 1, 6, 0); /* 1 s */
    e = await(&r, KEEPER_GRANTED);
    /* Counted from the attempt that was answered. */
    expect_between(request(&r, 1, 0).at, e->t0, request(&r, 2, 0).at);
    assert_true(clock_elapsed_ms(began, e->t0) >= 300);
    assert_true(clock_elapsed_ms(began, clock_now()) < 1000);
    expect_counts(&r, 1, 1, 1);
    rig_down(&r);
}

/* A port where nobody listens, and that nobody else gets. */
static int refusing_port(int *ret_fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(*ret_fd >= 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static void test_refused(void **state)
{
    struct rig r;
    struct clock_time began;
    int fd;

    (void)state;
    rig_up(&r, STANDBY, ACTIVE, STANDBY);
    (void)snprintf(r.service.url, sizeof(r.service.url),
                   "http://127.0.0.1:%d,http://127.0.0.1:%d",
                   refusing_port(&fd), fake_port(r.servers[1].f));
    began = clock_now();
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_GRANTED); /* and no trouble before */
    assert_true(clock_elapsed_ms(began, clock_now()) < 1000);
    rig_down(&r);
    (void)close(fd);
}

/* None is active: trouble is told once, with where, and asked on. */
static void test_none_active(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, STANDBY, DENIED, STANDBY);
    acquire(&r, 1, 60, -1);
    e = await(&r, KEEPER_TROUBLE);
    assert_int_equal(e->status, JUSTALOCK_DENIED); /* tells most */
    assert_has(e->text, "/: the service answers with status 401");
    await_requests(&r, 2, 3);
    /* A standby's Retry-After is heeded once all have been asked. */
    assert_true(clock_elapsed_ms(request(&r, 0, 0).at, request(&r, 0, 2).at) >=
                1990);
    assert_true(clock_elapsed_ms(request(&r, 0, 2).at, request(&r, 2, 2).at) <
                900);
    r.servers[1].role = ACTIVE;
    await(&r, KEEPER_GRANTED);
    rig_down(&r);
}

static void test_try_denied(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, DENIED, STANDBY, STANDBY);
    acquire(&r, 1, 60, 0);
    e = await(&r, KEEPER_TIMEOUT);
    assert_int_equal(e->status, JUSTALOCK_DENIED);
    expect_counts(&r, 1, 1, 1);
    rig_down(&r);
}

/* ---- whose answers count ---- */

/* Services on their own would each grant it. */
static void test_no_identity(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, PLAIN, PLAIN, PLAIN);
    acquire(&r, 1, 60, 300);
    assert_int_equal(await(&r, KEEPER_TROUBLE)->status, JUSTALOCK_NET);
    e = await(&r, KEEPER_TIMEOUT);
    assert_int_equal(e->status, JUSTALOCK_NET);
    assert_has(e->text, "active one of several");
    rig_down(&r);
    /* One of them alone is what it always was. */
    rig_up(&r, PLAIN, PLAIN, PLAIN);
    *strchr(r.service.url, ',') = '\0';
    acquire(&r, 1, 60, 0);
    await(&r, KEEPER_GRANTED);
    rig_down(&r);
}

/* What was learned first stays, when nothing is kept any more, too. */
static void test_other_identity(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, ACTIVE, STANDBY, STANDBY);
    acquire(&r, 1, 60, 0);
    await(&r, KEEPER_GRANTED);
    keeper_release(r.k, 1, LONG_MS);
    await(&r, KEEPER_RELEASED);
    assert_int_equal(keeper_count(r.k), 0);
    roles(&r, STANDBY, ACTIVE, BUSY);
    r.servers[1].identity = "other";
    r.servers[1].epoch = 9;
    r.servers[2].identity = "other";
    acquire(&r, 2, 6, 0);
    assert_int_equal(await(&r, KEEPER_TIMEOUT)->status, JUSTALOCK_NET);
    assert_true(count(&r, 1) > 0 && count(&r, 2) > 0);
    rig_down(&r);
}

/*
 * Held at the first, which falls silent; the second is of another service and
 * says "renewed", the third took over. Then a late one: "it is another's".
 */
static void test_held(void **state)
{
    struct rig r;
    const struct keeper_event *e;
    unsigned asked;

    (void)state;
    rig_up(&r, ACTIVE, ACTIVE, ACTIVE);
    r.servers[1].identity = "other";
    r.servers[2].epoch = 8;
    acquire(&r, 1, 6, 0);
    await(&r, KEEPER_GRANTED);
    expect_counts(&r, 1, 0, 0);
    r.servers[0].role = SILENT;
    e = extended(&r);
    expect_counts(&r, 2, 1, 1);
    expect_between(request(&r, 1, 0).at, e->t0, request(&r, 2, 0).at);
    /* All ask the third now. */
    (void)extended(&r);
    expect_counts(&r, 2, 1, 2);
    /* The first wakes up as one from before; the third hands over for long
     * enough that it is asked, and takes it again. */
    roles(&r, BUSY, BUSY, STANDBY);
    asked = count(&r, 0);
    await_requests(&r, 0, asked + 2);
    r.servers[2].role = ACTIVE;
    await(&r, KEEPER_TROUBLE);
    while (r.events[r.len - 1].kind != KEEPER_EXTENDED) {
        run_until(&r, r.len + 1, LONG_MS);
        assert_int_not_equal(r.events[r.len - 1].kind, KEEPER_LOST);
    }
    rig_down(&r);
}

/* A grant from before a takeover is none. */
static void test_lower_epoch(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, ACTIVE, STANDBY, STANDBY);
    r.servers[0].epoch = 8;
    acquire(&r, 1, 60, 0);
    await(&r, KEEPER_GRANTED);
    roles(&r, STANDBY, ACTIVE, STANDBY); /* of epoch 7 */
    acquire(&r, 2, 6, 0);
    assert_int_equal(await(&r, KEEPER_TIMEOUT)->status, JUSTALOCK_NET);
    assert_has(r.events[1].text, "epoch 7");
    rig_down(&r);
}

/* Work is ended in time where none of them answers any more. */
static void test_all_silent(void **state)
{
    struct rig r;
    struct clock_time t0;

    (void)state;
    rig_up(&r, ACTIVE, STANDBY, STANDBY);
    acquire(&r, 1, 4, -1);
    t0 = await(&r, KEEPER_GRANTED)->t0;
    roles(&r, SILENT, SILENT, SILENT);
    await(&r, KEEPER_TROUBLE);
    await(&r, KEEPER_LOST);
    assert_true(clock_elapsed_ms(t0, clock_now()) < 4000);
    /* Each was asked before TERM. */
    assert_true(count(&r, 1) > 0 && count(&r, 2) > 0);
    rig_down(&r);
}

/* ---- to wait ---- */

/* The queue is at the active one; when it is gone, at its successor. */
static void test_wait(void **state)
{
    struct rig r;
    const struct keeper_event *e;
    char value[8];
    struct fake_request q;

    (void)state;
    rig_up(&r, STANDBY, BUSY, STANDBY);
    acquire(&r, 1, 60, -1);
    assert_string_equal(await(&r, KEEPER_BUSY)->holder, "job 9");
    await_requests(&r, 1, 2);
    q = request(&r, 1, 1);
    assert_true(fake_header(&q, "Justalock-Wait", value, sizeof(value)));
    assert_string_equal(value, "10"); /* a paused one is to be noticed */
    r.servers[2].epoch = 8;
    roles(&r, STANDBY, STANDBY, WAITED);
    r.held = true;
    fake_cut(r.servers[1].f); /* as when it is killed */
    e = await(&r, KEEPER_GRANTED);
    q = request(&r, 2, count(&r, 2) - 1); /* the confirmation */
    assert_false(has(&q, "Justalock-Wait"));
    expect_between(request(&r, 2, count(&r, 2) - 2).at, e->t0, q.at);
    rig_down(&r);
}

/* None is active for a while: asked on until one is, or the wait ends. */
static void test_wait_through(void **state)
{
    struct rig r;
    const struct keeper_event *e;

    (void)state;
    rig_up(&r, BUSY, STANDBY, STANDBY);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_BUSY);
    await_requests(&r, 0, 2);
    r.servers[0].role = STANDBY;
    fake_cut(r.servers[0].f);
    await(&r, KEEPER_TROUBLE);
    await_requests(&r, 2, 2);
    r.held = true;
    r.servers[1].role = WAITED;
    await(&r, KEEPER_GRANTED);
    roles(&r, STANDBY, STANDBY, STANDBY);
    acquire(&r, 2, 60, 700);
    await(&r, KEEPER_TROUBLE);
    e = await(&r, KEEPER_TIMEOUT);
    assert_int_equal(e->status, JUSTALOCK_NET);
    assert_has(e->text, "503");
    rig_down(&r);
}

/* One that is paused holds a wait for long; others notice, and tell. */
static void test_wait_called_back(void **state)
{
    struct rig r;
    struct clock_time began;

    (void)state;
    rig_up(&r, BUSY, STANDBY, STANDBY);
    acquire(&r, 1, 60, -1);
    await(&r, KEEPER_BUSY);
    await_requests(&r, 0, 2);
    began = clock_now();
    r.servers[1].epoch = 8;
    roles(&r, SILENT, BUSY, STANDBY);
    acquire(&r, 2, 6, 0);
    await(&r, KEEPER_BUSY);   /* the try: through the second */
    await_requests(&r, 1, 2); /* and the wait is there now */
    assert_true(clock_elapsed_ms(began, clock_now()) < 5000);
    rig_down(&r);
}

/* ---- to give back ---- */

/* The owner is told in time; its share goes when one has taken over. */
static void test_release_late(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, ACTIVE, STANDBY, STANDBY);
    acquire(&r, 1, 60, 0);
    await(&r, KEEPER_GRANTED);
    roles(&r, STANDBY, STANDBY, STANDBY);
    keeper_release(r.k, 1, 500);
    assert_int_equal(await(&r, KEEPER_RELEASED)->status, JUSTALOCK_NET);
    assert_int_equal(keeper_count(r.k), 1);
    acquire(&r, 1, 60, 0); /* the handle is free again */
    assert_int_equal(await(&r, KEEPER_TIMEOUT)->status, JUSTALOCK_NET);
    assert_true(r.held);
    assert_true(keeper_has_several(r.k));
    r.servers[2].role = ACTIVE;
    await_idle(&r, LONG_MS);
    assert_false(r.held);
    assert_int_equal(fake_count_method(r.servers[2].f, "DELETE") >= 2, true);
    rig_down(&r);
}

/* A lost attempt is given back at the successor, though nothing was heard. */
static void test_abandoned(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, SILENT, STANDBY, STANDBY);
    acquire(&r, 1, 60, -1);
    await_requests(&r, 0, 1);
    r.servers[1].role = ACTIVE;
    keeper_release(r.k, 1, LONG_MS);
    assert_int_equal(await(&r, KEEPER_RELEASED)->status, JUSTALOCK_OK);
    assert_int_equal(fake_count_method(r.servers[1].f, "DELETE"), 1);
    rig_down(&r);
}

/* ---- to look ---- */

static void on_view(void *arg, uint64_t handle, enum justalock_status status,
                    const char *text, const struct keeper_view *view)
{
    struct rig *r = arg;

    (void)handle;
    r->viewed = true;
    r->view_status = status;
    r->view = *view;
    (void)snprintf(r->view_text, sizeof(r->view_text), "%s", text);
}

static void look(struct rig *r, int64_t limit_ms)
{
    struct lock_id id = {{1}};
    struct justalock_error err;

    r->viewed = false;
    assert_ok(
        keeper_query(r->k, 1, &r->service, &id, limit_ms, on_view, r, &err),
        err);
    while (!r->viewed)
        (void)keeper_run(r->k, -1, 1000);
}

static void test_view(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, STANDBY, SILENT, ACTIVE);
    look(&r, 1500); /* a standby's empty list says nothing */
    assert_int_equal(r.view_status, JUSTALOCK_OK);
    assert_true(r.view.known && r.view.held);
    r.servers[2].role = STANDBY;
    look(&r, 1500);
    assert_int_equal(r.view_status, JUSTALOCK_NET);
    assert_has(r.view_text, "active one of several");
    rig_down(&r);
}

/* ---- without memory ---- */

/* Each allocation fails in turn: refused, or retried, never both. */
static void test_no_memory(void **state)
{
    struct rig r;
    bool failed;
    long n;

    (void)state;
    fail_alloc_only_ours(true);
    for (n = 1, failed = true; failed; n++) {
        struct keeper_lock l = {.client_len = 1, .times.life_s = 60};
        struct justalock_error err;

        rig_up(&r, STANDBY, STANDBY, ACTIVE);
        l.client[0] = 'c';
        l.share[0] = '1';
        fail_alloc_at(n, 1);
        if (keeper_acquire(r.k, 1, &r.service, &l, -1, &err) == JUSTALOCK_OK) {
            while (r.len == 0 || r.events[r.len - 1].kind != KEEPER_GRANTED) {
                assert_true(r.len < 3);
                run_until(&r, r.len + 1, LONG_MS);
            }
        } else {
            assert_int_equal(err.status, JUSTALOCK_NOMEM);
            assert_int_equal(keeper_count(r.k), 0);
        }
        failed = fail_alloc_off();
        rig_down(&r);
    }
    assert_true(n > 6);
    for (n = 1, failed = true; failed; n++) {
        struct lock_id id = {{1}};
        struct justalock_error err;
        enum justalock_status st;

        rig_up(&r, STANDBY, STANDBY, ACTIVE);
        fail_alloc_at(n, 1);
        st = keeper_query(r.k, 1, &r.service, &id, 2000, on_view, &r, &err);
        while (st == JUSTALOCK_OK && !r.viewed)
            (void)keeper_run(r.k, -1, 1000);
        failed = fail_alloc_off();
        if (st == JUSTALOCK_OK && r.view_status == JUSTALOCK_OK)
            assert_true(r.view.held);
        rig_down(&r);
    }
    assert_true(n > 4);
    fail_alloc_only_ours(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standbys),
        cmocka_unit_test(test_try_past_silence),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_none_active),
        cmocka_unit_test(test_try_denied),
        cmocka_unit_test(test_no_identity),
        cmocka_unit_test(test_other_identity),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_lower_epoch),
        cmocka_unit_test(test_all_silent),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_wait_through),
        cmocka_unit_test(test_wait_called_back),
        cmocka_unit_test(test_release_late),
        cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
