/* SPDX-License-Identifier: MIT */
/*
 * test_guard_keeper.c - the guard's link to its keeper: what is compared and
 * said again after each connection, so that no lock is lost, granted unheard
 * or kept by nobody; and a keeper that stands still is ended.
 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

static void keeping(uint64_t handle, bool is_held, struct clock_time t0)
{
    struct keeper_msg m = {
        .type = KW_KEEPING, .handle = handle, .held = is_held, .t0 = t0};

    memcpy(m.lock.share, "0123456789abcdef", 17);
    rig_keeper_says(&m);
}

static void ready(void)
{
    struct keeper_msg m = {.type = KW_READY};

    rig_keeper_says(&m);
}

static void asked_when_it_is_ready(void **state)
{
    const struct keeper_msg *m;
    int fd;

    (void)state;
    fd = rig_request(rig_command("a")); /* there is no keeper yet */
    rig_keeper_connect();
    assert_true(rig_is_asked_nothing());
    ready();
    m = rig_asked(KW_ACQUIRE);
    assert_int_equal(m->handle, work_handle(rig_work(), rig_work()->helds));
    assert_int_equal(m->wait_ms, -1);
    assert_string_equal(m->lock.share, rig_work()->helds[0].lock.share);
    (void)close(fd);
}

/* What is left of the wait is never "for ever", nor "try". */
static void a_wait_that_has_run_out_meanwhile(void **state)
{
    struct wire_msg *m = rig_command("a");
    static const int64_t left[] = {-5000, -1, 0, 1, 700};

    (void)state;
    m->wait_ms = 60000;
    (void)rig_request(m);
    for (size_t i = 0; i < LENGTH(left); i++) {
        struct clock_time now = clock_now();
        const struct keeper_msg *asks;

        rig_work()->until = clock_add(now, left[i]);
        rig_keeper();
        asks = rig_asked(KW_ACQUIRE);
        assert_in_range(asks->wait_ms, 1, 700);
        rig_keeper_gone();
    }
}

static void a_try_is_a_try_again(void **state)
{
    (void)state;
    rig_config("\"defaults\": {\"on_busy\": \"fail\", \"wait\": \"1m\"}");
    (void)rig_request(rig_command("a"));
    rig_keeper();
    assert_int_equal(rig_asked(KW_ACQUIRE)->wait_ms, 0);
    rig_keeper_gone();
    rig_keeper(); /* as a new one */
    assert_int_equal(rig_asked(KW_ACQUIRE)->wait_ms, 0);
}

/* A new keeper knows nothing: it goes on from the last success. */
static void held_is_adopted(void **state)
{
    const struct keeper_msg *m;
    struct clock_time t0;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    t0 = rig_work()->helds[0].t0;
    rig_keeper_gone();
    assert_int_equal(row_state(rig_work()->row), ROW_ARMED);
    rig_keeper();
    m = rig_asked(KW_ADOPT);
    assert_int_equal(m->t0.boot_ms, t0.boot_ms);
    assert_int_equal(m->t0.raw_ms, t0.raw_ms);
    assert_true(m->has_features);
    assert_true(rig_is_asked_nothing());
    (void)close(fd);
}

/* The same keeper: only what went unheard is new. */
static void kept_is_not_asked_again(void **state)
{
    struct row_plan before, after;
    struct clock_time t0;
    uint64_t handle;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    handle = work_handle(rig_work(), rig_work()->helds);
    (void)row_look(rig_work()->row, &before, NULL);
    rig_keeper_gone();
    rig_keeper_connect();
    t0 = clock_add(rig_work()->helds[0].t0, 3);
    keeping(handle, true, t0);
    ready();
    assert_true(rig_is_asked_nothing());
    (void)row_look(rig_work()->row, &after, NULL);
    assert_int_equal(after.deadline.boot_ms, before.deadline.boot_ms + 3);
    (void)close(fd);
}

static void granted_while_nobody_listened(void **state)
{
    uint64_t handle;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(rig_command("a"));
    handle = rig_asked(KW_ACQUIRE)->handle;
    rig_keeper_gone();
    rig_keeper_connect();
    assert_true(rig_is_silent(fd));
    keeping(handle, false, clock_now());
    assert_true(rig_is_silent(fd)); /* it still waits */
    keeping(handle, true, clock_now());
    rig_expect(fd, WIRE_GO, "");
    assert_int_equal(row_state(rig_work()->row), ROW_ARMED);
    ready();
    assert_true(rig_is_asked_nothing());
}

static void what_nobody_knows_is_given_back(void **state)
{
    struct row *row = table_take(&rig.g.table);
    const struct row_plan plan = {.deadline = clock_add(clock_now(), 60000)};
    const struct keeper_msg *m;

    (void)state;
    row->work = 77; /* of a record that is damaged */
    row_arm(row, &plan);
    rig_keeper_connect();
    keeping(77 << GUARD_HANDLE_BITS, true, clock_now());
    keeping(78 << GUARD_HANDLE_BITS, true, clock_now());
    ready();
    m = rig_asked(KW_RELEASE);
    assert_int_equal(m->handle, 78 << GUARD_HANDLE_BITS);
    assert_int_equal(m->wait_ms, GUARD_RELEASE_MS);
    assert_true(rig_is_asked_nothing());
}

static void a_release_is_said_again(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    (void)close(fd);
    rig_turn();
    (void)rig_asked(KW_RELEASE);
    assert_int_equal(rig_work()->state, WORK_RELEASING);
    rig_keeper_gone();
    rig_keeper(); /* that one does not know it: adopted to be given back */
    (void)rig_asked(KW_ADOPT);
    rig_give_back(1);
    assert_null(rig_work());
}

static void rubbish_costs_the_link_alone(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    assert_int_equal(send(rig.keeper, "rubbish", 7, MSG_NOSIGNAL), 7);
    rig_turn();
    assert_int_equal(rig.g.keeper.fd, -1);
    assert_false(rig.g.is_keeper_ready);
    assert_int_equal(rig_work()->state, WORK_HELD);
    rig_keeper_gone();
    rig_keeper();
    (void)rig_asked(KW_ADOPT);
    (void)close(fd);
}

static void one_that_does_not_read(void **state)
{
    struct keeper_msg ping = {.type = KW_PING};
    struct justalock_error err;
    int fd;

    (void)state;
    rig_keeper();
    while (keeper_wire_send(rig.g.keeper.fd, &ping, &err) == JUSTALOCK_OK)
        continue;
    assert_int_equal(err.sys_errno, EAGAIN);
    fd = rig_request(rig_command("a"));
    assert_int_equal(rig.g.keeper.fd, -1); /* said again to the next */
    rig_keeper_gone();
    rig_keeper();
    (void)rig_asked(KW_ACQUIRE);
    (void)close(fd);
}

static void link_tick(struct clock_time now, int64_t later_ms)
{
    keeper_link_tick(&rig.g, clock_add(now, later_ms));
}

static void one_that_stands_still_is_ended(void **state)
{
    struct keeper_msg pong = {.type = KW_PONG};
    struct clock_time now = clock_now();
    pid_t pid = rig_process(0, 0);

    (void)state;
    atomic_store(&rig.g.table.header->keeper, proc_key_of(pid));
    rig_keeper();
    /* A machine that was asleep: no look in between, no judgement. */
    link_tick(now, 60000);
    assert_true(rig.g.keeper.fd >= 0);
    for (int i = 1; i <= 3; i++)
        link_tick(now, 60000 + i * 1001);
    assert_true(rig.g.keeper.fd >= 0);
    rig_keeper_says(&pong);
    for (int i = 4; i <= 7; i++)
        link_tick(now, 60000 + i * 1001);
    assert_true(rig.g.keeper.fd >= 0); /* four looks since it answered */
    link_tick(now, 60000 + 8 * 1001);
    assert_int_equal(rig.g.keeper.fd, -1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void no_socket_is_tried_again(void **state)
{
    struct clock_time now = clock_now();

    (void)state;
    failing_call("socket", EMFILE);
    link_tick(now, 0);
    assert_int_equal(rig.g.keeper.fd, -1);
    link_tick(now, 1); /* not at once */
    assert_int_equal(rig.g.keeper.fd, -1);
    failing_call("epoll_ctl", ENOMEM);
    link_tick(now, 30);
    assert_int_equal(rig.g.keeper.fd, -1);
    link_tick(now, 60);
    assert_true(rig.g.keeper.fd >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(asked_when_it_is_ready),
        RIG_TEST(a_wait_that_has_run_out_meanwhile),
        RIG_TEST(a_try_is_a_try_again),
        RIG_TEST(held_is_adopted),
        RIG_TEST(kept_is_not_asked_again),
        RIG_TEST(granted_while_nobody_listened),
        RIG_TEST(what_nobody_knows_is_given_back),
        RIG_TEST(a_release_is_said_again),
        RIG_TEST(rubbish_costs_the_link_alone),
        RIG_TEST(one_that_does_not_read),
        RIG_TEST(one_that_stands_still_is_ended),
        RIG_TEST(no_socket_is_tried_again),
    };

    return RIG_RUN(tests);
}
