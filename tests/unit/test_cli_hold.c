/* SPDX-License-Identifier: MIT */
/*
 * test_cli_hold.c - one lock through a keeper of our own, which is the real
 * one at a played service: killed, stopped, missing or dead while it gives
 * back, it is replaced, and what was held is taken up where it was.
 */
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/hold.h"
#include "../lib/fake_service.h"
#include "../lib/own_home.h"

#define LONG_MS  20000
#define FEATURES "Justalock-Features: wait release token holder share\r\n"

static struct hold h;
static struct fake_service *service;
static volatile bool is_busy;

static void serve(void *arg, const struct fake_request *q, struct fake_step *s)
{
    (void)arg;
    if (strcmp(q->method, "POST") != 0) {
        (void)snprintf(s->headers, sizeof(s->headers), FEATURES);
        return;
    }
    if (is_busy)
        s->status = 409;
    (void)snprintf(s->headers, sizeof(s->headers), FEATURES "%s",
                   is_busy ? "Justalock-Holder: job 7\r\n"
                           : "Justalock-Holding: renewed\r\n");
}

static int up(void **state)
{
    struct justalock_error err;

    (void)state;
    own_home_keeper("");
    is_busy = false;
    service = fake_start(serve, NULL);
    memset(&h, 0, sizeof(h));
    h.fd = h.pidfd = -1;
    h.wait_ms = -1;
    (void)snprintf(h.service.url, sizeof(h.service.url), "http://127.0.0.1:%d/",
                   fake_port(service));
    memcpy(h.lock.client, "me", 2);
    h.lock.client_len = 2;
    memcpy(h.lock.share, "00ff", 5);
    h.lock.times.life_s = 3;
    h.times = h.lock.times;
    assert_ok(lease_times_fill(&h.times, false, &err), err);
    h.begun = clock_now();
    return 0;
}

static int down(void **state)
{
    (void)state;
    hold_close(&h);
    if (h.pid > 0)
        (void)kill(h.pid, SIGKILL); /* it may stand still */
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    fake_stop(service);
    return 0;
}

/* The next event, as a back waits for it. */
static enum hold_news next(struct keeper_event *e, struct justalock_error *err)
{
    struct clock_time until = clock_add(clock_now(), LONG_MS);

    while (clock_left_ms(until, clock_now()) > 0) {
        struct pollfd p = {.fd = h.fd, .events = POLLIN};
        int64_t ms = clock_left_ms(hold_due(&h), clock_now());
        enum hold_news news;
        pid_t pid;

        (void)poll(&p, 1, ms < 0 ? 0 : ms > 50 ? 50 : (int)ms);
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            (void)hold_reaped(&h, pid);
        news = hold_tick(&h, err);
        if (news == HOLD_NOTHING)
            news = hold_next(&h, e, err);
        if (news != HOLD_NOTHING)
            return news;
    }
    fail_msg("no news");
    return HOLD_NOTHING;
}

static void expect(enum keeper_event_kind kind)
{
    struct justalock_error err;
    struct keeper_event e;

    assert_int_equal(next(&e, &err), HOLD_EVENT);
    if (e.kind != kind)
        fail_msg("event %d, not %d: %s", (int)e.kind, (int)kind, e.text);
}

static void held(void)
{
    struct justalock_error err;

    assert_ok(hold_start(&h, &err), err);
    assert_ok(hold_acquire(&h, &err), err);
    expect(KEEPER_GRANTED);
    assert_true(h.is_held && h.has_features);
    assert_int_equal(h.times.margin_ms, 250); /* by what the service is */
}

static void given_back(void)
{
    struct justalock_error err;
    struct keeper_event e;

    assert_true(hold_release(&h, 1000));
    do
        assert_int_equal(next(&e, &err), HOLD_EVENT);
    while (e.kind == KEEPER_EXTENDED);
    assert_int_equal(e.kind, KEEPER_RELEASED);
    assert_int_equal(e.status, JUSTALOCK_OK);
    assert_int_equal(fake_count_method(service, "DELETE"), 1);
}

static void held_and_given_back(void **state)
{
    struct clock_time before;

    (void)state;
    held();
    before = hold_deadline(&h);
    expect(KEEPER_EXTENDED);
    assert_true(hold_deadline(&h).boot_ms > before.boot_ms);
    given_back();
}

static void killed_and_gone_on(void **state)
{
    struct clock_time t0;
    pid_t old;

    (void)state;
    held();
    old = h.pid;
    t0 = h.t0;
    assert_int_equal(kill(old, SIGKILL), 0);
    expect(KEEPER_EXTENDED); /* of the next one; the same share */
    assert_int_not_equal(h.pid, old);
    assert_true(clock_elapsed_ms(t0, h.t0) >= 0);
    {
        struct fake_request q = {.connection = 0};
        char share[64];

        for (unsigned i = 0; fake_get(service, i, &q); i++) {
            if (strcmp(q.method, "POST") != 0)
                continue;
            assert_true(
                fake_header(&q, "Justalock-Share", share, sizeof(share)));
            assert_string_equal(share, "00ff");
        }
    }
    given_back();
}

/* It stands still: asked, and then replaced, before the lease is lost. */
static void stopped_and_replaced(void **state)
{
    struct justalock_error err;
    struct clock_time deadline;
    pid_t old;

    (void)state;
    h.lock.times.life_s = 8; /* asked after half of it, TERM at 5.6 s */
    h.times = h.lock.times;
    assert_ok(lease_times_fill(&h.times, false, &err), err);
    held();
    old = h.pid;
    assert_int_equal(kill(old, SIGSTOP), 0);
    deadline = hold_deadline(&h);
    expect(KEEPER_EXTENDED);
    assert_int_not_equal(h.pid, old);
    assert_true(clock_left_ms(deadline, clock_now()) > 0);
    given_back();
}

static void killed_while_it_waits(void **state)
{
    struct justalock_error err;

    (void)state;
    is_busy = true;
    assert_ok(hold_start(&h, &err), err);
    assert_ok(hold_acquire(&h, &err), err);
    expect(KEEPER_BUSY);
    assert_int_equal(kill(h.pid, SIGKILL), 0);
    expect(KEEPER_BUSY);
    is_busy = false;
    expect(KEEPER_GRANTED);
    given_back();
}

/* What is left of a wait is bounded, whatever time has gone by. */
static void a_wait_that_ran_out_meanwhile(void **state)
{
    struct justalock_error err;
    struct keeper_event e;

    (void)state;
    is_busy = true;
    h.wait_ms = 60000;
    h.begun = clock_add(clock_now(), -61000);
    assert_ok(hold_start(&h, &err), err);
    assert_ok(hold_acquire(&h, &err), err);
    assert_int_equal(next(&e, &err), HOLD_EVENT);
    assert_true(e.kind == KEEPER_BUSY || e.kind == KEEPER_TIMEOUT);
    assert_int_equal(e.status,
                     e.kind == KEEPER_BUSY ? e.status : JUSTALOCK_HELD);
    assert_true(clock_elapsed_ms(h.begun, clock_now()) < 61000 + LONG_MS);
}

static void no_keeper_can_be_started(void **state)
{
    struct justalock_error err;
    struct keeper_event e;

    (void)state;
    own_home_keeper(NULL);
    assert_fails(hold_start(&h, &err), JUSTALOCK_SYS, err,
                 "justalock-keeper: No such file");
    assert_int_equal(h.fd, -1);
    assert_int_equal(h.pid, 0);
    own_home_keeper("/bin/false"); /* ends at once, again and again */
    assert_ok(hold_start(&h, &err), err);
    (void)waitpid(h.pid, NULL, 0);
    (void)hold_reaped(&h, h.pid);
    if (hold_acquire(&h, &err) != JUSTALOCK_OK)
        assert_int_equal(err.sys_errno, EPIPE);
    assert_int_equal(next(&e, &err), HOLD_FAILED);
    assert_has(err.text, "ended 5 times in a row");
    assert_true(clock_is_never(hold_due(&h)));
}

/* Nobody knows whether it has given it back. */
static void dead_while_it_gives_back(void **state)
{
    struct justalock_error err;
    struct keeper_event e;

    (void)state;
    held();
    assert_int_equal(kill(h.pid, SIGSTOP), 0);
    assert_true(hold_release(&h, 1000));
    assert_int_equal(kill(h.pid, SIGKILL), 0);
    do
        assert_int_equal(next(&e, &err), HOLD_EVENT);
    while (e.kind == KEEPER_EXTENDED);
    assert_int_equal(e.kind, KEEPER_RELEASED);
    assert_int_equal(e.status, JUSTALOCK_NET);
    assert_false(hold_release(&h, 1000)); /* there is none to tell */
    assert_true(clock_is_never(hold_due(&h)));
}

static void asks_what_the_service_shows(void **state)
{
    static struct hold_views views;
    struct justalock_error err;
    const struct lock_id id = {.bytes = {1}};

    (void)state;
    assert_fails(hold_query(&h.service, "", &id, 1000, &views, &err),
                 JUSTALOCK_PROTO, err, "");
    (void)snprintf(h.service.url, sizeof(h.service.url), "nothing");
    assert_fails(hold_query(&h.service, "", &id, 1000, &views, &err),
                 JUSTALOCK_ARG, err, "");
    own_home_keeper("/bin/false");
    assert_int_not_equal(hold_query(&h.service, "", &id, 1000, &views, &err),
                         JUSTALOCK_OK);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(held_and_given_back),           TEST(killed_and_gone_on),
        TEST(stopped_and_replaced),          TEST(killed_while_it_waits),
        TEST(a_wait_that_ran_out_meanwhile), TEST(no_keeper_can_be_started),
        TEST(dead_while_it_gives_back),      TEST(asks_what_the_service_shows),
    };
    int rc;

    (void)argc;
    own_home_enter(argv);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    own_home_leave();
    return rc;
}
