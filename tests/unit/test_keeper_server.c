/* SPDX-License-Identifier: MIT */
/*
 * test_keeper_server.c - the keeper against the real justalock-server: taking
 * turns, shares, and a server that is killed and comes back.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"

#define LONG_MS    20000
#define EVENTS_MAX 1024

static char program[PATH_MAX];
static pid_t alive; /* for the end of a test that failed */

struct rig {
    struct keeper *k;
    pid_t server;
    char dir[64];
    struct keeper_service service;
    struct keeper_event events[EVENTS_MAX];
    size_t len;
    size_t seen;
    bool viewed;
    struct keeper_view view;
};

static void on_event(void *arg, const struct keeper_event *event)
{
    struct rig *r = arg;

    assert_true(r->len < EVENTS_MAX);
    r->events[r->len++] = *event;
}

static void start_server(struct rig *r)
{
    char at[128];
    char state[128];

    (void)snprintf(at, sizeof(at), "unix:%s/sock", r->dir);
    (void)snprintf(state, sizeof(state), "%s/state", r->dir);
    r->server = fork();
    if (r->server == 0) {
        int null = open("/dev/null", O_RDWR);

        (void)dup2(null, 2);
        (void)execl(program, program, "--listen", at, "--state", state,
                    (char *)NULL);
        _exit(99);
    }
    assert_true(r->server > 0);
    alive = r->server;
}

static void rig_up(struct rig *r)
{
    struct justalock_error err;
    char state[128];

    memset(r, 0, sizeof(*r));
    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/justalock-test.XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    (void)snprintf(state, sizeof(state), "%s/state", r->dir);
    assert_int_equal(mkdir(state, 0700), 0);
    (void)snprintf(r->service.url, sizeof(r->service.url), "unix:%s/sock",
                   r->dir);
    start_server(r);
    assert_ok(keeper_new(on_event, r, &r->k, &err), err);
}

static void end_server(struct rig *r, int signo)
{
    assert_int_equal(kill(r->server, signo), 0);
    assert_int_equal(waitpid(r->server, NULL, 0), r->server);
    alive = 0;
}

static void rig_down(struct rig *r)
{
    pid_t pid;

    keeper_free(r->k);
    end_server(r, SIGKILL);
    pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", r->dir, (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void acquire(struct rig *r, uint64_t handle, const char *client,
                    int64_t wait_ms)
{
    struct keeper_lock l;
    struct justalock_error err;

    memset(&l, 0, sizeof(l));
    memset(l.id.bytes, 0x42, sizeof(l.id.bytes));
    l.client_len = strlen(client);
    memcpy(l.client, client, l.client_len);
    (void)snprintf(l.share, sizeof(l.share), "%08x%08x", (unsigned)handle,
                   (unsigned)r->len);
    (void)snprintf(l.label, sizeof(l.label), "work of %s", client);
    l.times.life_s = 4;
    assert_ok(keeper_acquire(r->k, handle, &r->service, &l, wait_ms, &err),
              err);
}

/* The next event that is not one of the refreshes. */
static const struct keeper_event *await(struct rig *r,
                                        enum keeper_event_kind kind,
                                        uint64_t handle)
{
    struct clock_time end = clock_add(clock_now(), LONG_MS);
    const struct keeper_event *e;

    do {
        while (r->seen == r->len) {
            if (clock_left_ms(end, clock_now()) <= 0)
                fail_msg("event %d did not come", (int)kind);
            (void)keeper_run(r->k, -1, 1000);
        }
        e = &r->events[r->seen++];
    } while (e->kind == KEEPER_EXTENDED && kind != KEEPER_EXTENDED);
    if (e->kind != kind || e->handle != handle)
        fail_msg("event %d of %d came, not %d: %s", (int)e->kind,
                 (int)e->handle, (int)kind, e->text);
    return e;
}

static void release(struct rig *r, uint64_t handle)
{
    keeper_release(r->k, handle, 2000);
}

/* While the server starts its socket is not there yet. */
static void first_grant(struct rig *r, uint64_t handle, const char *client)
{
    acquire(r, handle, client, -1);
    while (r->len == 0 || r->events[r->len - 1].kind != KEEPER_GRANTED)
        (void)keeper_run(r->k, -1, 1000);
    r->seen = r->len;
}

static void test_turns(void **state)
{
    struct rig r;
    const struct keeper_event *e;
    uint64_t token;

    (void)state;
    rig_up(&r);
    first_grant(&r, 1, "alice");
    e = &r.events[r.seen - 1];
    assert_true(e->has_features && e->has_token);
    token = e->token;
    acquire(&r, 2, "bob", 0);
    e = await(&r, KEEPER_BUSY, 2);
    assert_string_equal(e->holder, "work of alice");
    assert_true(e->since[0] != '\0');
    acquire(&r, 3, "bob", -1);
    await(&r, KEEPER_BUSY, 3);
    release(&r, 1);
    /* Whichever of the two answers is the first. */
    while (r.len < r.seen + 2)
        (void)keeper_run(r.k, -1, 1000);
    e = &r.events[r.seen];
    if (e->kind == KEEPER_RELEASED)
        e++;
    assert_int_equal(e->kind, KEEPER_GRANTED);
    assert_int_equal(e->handle, 3);
    assert_true(e->token > token);
    assert_false(e->was_renewed);
    r.seen = r.len;
    await(&r, KEEPER_EXTENDED, 3);
    await(&r, KEEPER_EXTENDED, 3);
    release(&r, 3);
    assert_int_equal(await(&r, KEEPER_RELEASED, 3)->status, JUSTALOCK_OK);
    rig_down(&r);
}

/* Two nodes of one job: free only when both have given theirs back. */
static void test_shares(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r);
    first_grant(&r, 1, "job");
    acquire(&r, 2, "job", 0);
    assert_true(await(&r, KEEPER_GRANTED, 2)->was_renewed);
    release(&r, 1);
    await(&r, KEEPER_RELEASED, 1);
    acquire(&r, 3, "rival", 0);
    await(&r, KEEPER_BUSY, 3);
    release(&r, 2);
    await(&r, KEEPER_RELEASED, 2);
    acquire(&r, 4, "rival", 0);
    await(&r, KEEPER_GRANTED, 4);
    rig_down(&r);
}

/* Killed and started again: what was held is held, who waits gets it. */
static void test_server_killed(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r);
    first_grant(&r, 1, "alice");
    acquire(&r, 2, "bob", -1);
    await(&r, KEEPER_BUSY, 2);
    end_server(&r, SIGKILL);
    start_server(&r);
    for (;;) {
        while (r.seen == r.len)
            (void)keeper_run(r.k, -1, 1000);
        if (r.events[r.seen].kind == KEEPER_LOST)
            fail_msg("lost: %s", r.events[r.seen].text);
        if (r.events[r.seen++].kind == KEEPER_EXTENDED)
            break;
    }
    release(&r, 1);
    for (;;) {
        while (r.seen == r.len)
            (void)keeper_run(r.k, -1, 1000);
        if (r.events[r.seen++].kind == KEEPER_GRANTED)
            break;
    }
    assert_int_equal(r.events[r.seen - 1].handle, 2);
    rig_down(&r);
}

/* A keeper that ended without a word: another one goes on. */
static void test_adopt(void **state)
{
    struct rig r;
    struct keeper_lock l;
    struct justalock_error err;
    struct clock_time t0;

    (void)state;
    rig_up(&r);
    first_grant(&r, 1, "alice");
    t0 = r.events[r.seen - 1].t0;
    memset(&l, 0, sizeof(l));
    memset(l.id.bytes, 0x42, sizeof(l.id.bytes));
    memcpy(l.client, "alice", 5);
    l.client_len = 5;
    memcpy(l.share, "0000000100000000", 17); /* as acquire() made it */
    l.times.life_s = 4;
    keeper_free(r.k);
    assert_ok(keeper_new(on_event, &r, &r.k, &err), err);
    assert_ok(keeper_adopt(r.k, 7, &r.service, &l, t0, false, &err), err);
    await(&r, KEEPER_EXTENDED, 7);
    release(&r, 7);
    await(&r, KEEPER_RELEASED, 7);
    assert_ok(keeper_adopt(r.k, 8, &r.service, &l, t0, false, &err), err);
    await(&r, KEEPER_LOST, 8); /* given back is given back */
    rig_down(&r);
}

static void look(struct rig *r);

/* Adopted and given back in one breath, as a guard does that was started
 * anew: nothing is to wait for the lease to end. */
static void test_adopt_and_give(void **state)
{
    struct rig r;
    struct keeper_lock l;
    struct justalock_error err;
    struct clock_time t0;

    (void)state;
    rig_up(&r);
    first_grant(&r, 1, "alice");
    t0 = r.events[r.seen - 1].t0;
    memset(&l, 0, sizeof(l));
    memset(l.id.bytes, 0x42, sizeof(l.id.bytes));
    memcpy(l.client, "alice", 5);
    l.client_len = 5;
    memcpy(l.share, "0000000100000000", 17); /* as acquire() made it */
    l.times.life_s = 4;
    l.reusable_client = true;
    keeper_free(r.k);
    assert_ok(keeper_new(on_event, &r, &r.k, &err), err);
    assert_ok(keeper_adopt(r.k, 7, &r.service, &l, t0, true, &err), err);
    release(&r, 7);
    await(&r, KEEPER_RELEASED, 7);
    assert_int_equal(r.events[r.seen - 1].status, JUSTALOCK_OK);
    look(&r);
    assert_false(r.view.held);
    rig_down(&r);
}

static void on_view(void *arg, uint64_t handle, enum justalock_status status,
                    const char *text, const struct keeper_view *view)
{
    struct rig *r = arg;

    (void)handle;
    if (status != JUSTALOCK_OK)
        fail_msg("view: %s", text);
    r->view = *view;
    r->viewed = true;
}

static void look(struct rig *r)
{
    struct lock_id id;
    struct justalock_error err;

    memset(id.bytes, 0x42, sizeof(id.bytes));
    r->viewed = false;
    assert_ok(
        keeper_query(r->k, 1, &r->service, &id, LONG_MS, on_view, r, &err),
        err);
    while (!r->viewed)
        (void)keeper_run(r->k, -1, 1000);
    assert_true(r->view.known);
}

static void test_view(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r);
    first_grant(&r, 1, "alice");
    look(&r);
    assert_true(r.view.held && r.view.has_token);
    assert_string_equal(r.view.holder, "work of alice");
    assert_int_equal(r.view.shares, 1);
    assert_in_range(r.view.expires_ms, 1, 4000);
    release(&r, 1);
    await(&r, KEEPER_RELEASED, 1);
    look(&r);
    assert_false(r.view.held);
    rig_down(&r);
}

static int end_alive(void **state)
{
    (void)state;
    if (alive > 0 && kill(alive, SIGKILL) == 0)
        (void)waitpid(alive, NULL, 0);
    alive = 0;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_turns, end_alive),
        cmocka_unit_test_teardown(test_shares, end_alive),
        cmocka_unit_test_teardown(test_server_killed, end_alive),
        cmocka_unit_test_teardown(test_adopt, end_alive),
        cmocka_unit_test_teardown(test_adopt_and_give, end_alive),
        cmocka_unit_test_teardown(test_view, end_alive),
    };
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 64);
    char *slash;

    for (int up = 0; up < 3 && n > 0; up++) { /* BUILD/tests/unit/NAME */
        slash = strrchr(program, '/');
        if (slash)
            *slash = '\0';
    }
    (void)snprintf(program + strlen(program), 64, "/bin/justalock-server");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
