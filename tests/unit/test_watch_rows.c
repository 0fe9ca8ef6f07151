/* SPDX-License-Identifier: MIT */
/*
 * test_watch_rows.c - the watch's pass over the table, with real processes:
 * TERM when it is due and not before, KILL so that all is dead by the
 * deadline, and honest words where it is not, by clocks that sleep, are slewed
 * and set. Signals only children of its own.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../modules/agent/watch.h"
#include "../../modules/agent/work.h"
#include "fake_clock.h"
#include "sleeper.h"

/* Generous: the machine may be busy with other things for a while. */
#define TERM_LEAD_MS 20000
#define KILL_LEAD_MS 10000

struct stage {
    struct watch w;
    struct row *row;
    pid_t pid;
    int status; /* of waitpid; -1: it lives */
};

static struct row_plan plan_in(int64_t ms, enum row_policy policy)
{
    return (struct row_plan){.deadline = clock_add(clock_now(), ms),
                             .term_lead_ms = TERM_LEAD_MS,
                             .kill_lead_ms = KILL_LEAD_MS,
                             .policy = policy,
                             .signo = SIGUSR1};
}

static void setup(struct stage *s, const struct row_plan *plan, pid_t pid)
{
    memset(s, 0, sizeof(*s));
    s->w.table.header = calloc(1, sizeof(*s->w.table.header));
    s->w.table.rows = calloc(TABLE_ROWS, sizeof(*s->w.table.rows));
    assert_non_null(s->w.table.header);
    assert_non_null(s->w.table.rows);
    s->w.news_fd = eventfd(0, EFD_NONBLOCK);
    s->row = table_take(&s->w.table);
    assert_non_null(s->row);
    s->row->work = 1;
    s->pid = pid;
    s->status = -1;
    atomic_store(&s->row->who.root, proc_key_of(pid));
    atomic_store(&s->row->who.kind, IDENTITY_TREE);
    row_arm(s->row, plan);
}

static void done(struct stage *s)
{
    if (s->status < 0 && s->pid != getpid()) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
    }
    (void)close(s->w.news_fd);
    free(s->w.table.rows);
    free(s->w.table.header);
}

static bool was_told(struct stage *s)
{
    uint64_t n;

    return read(s->w.news_fd, &n, sizeof(n)) == (ssize_t)sizeof(n);
}

/* Pass after pass until the row is in the state. */
static void until(struct stage *s, enum row_state state)
{
    struct clock_time next;

    for (int i = 0; i < 2000 && row_state(s->row) != state; i++) {
        int64_t again = watch_rows(&s->w, &next);

        assert_true(again >= 0);
        if (s->status < 0 && s->pid != getpid() &&
            waitpid(s->pid, &s->status, WNOHANG) == 0)
            s->status = -1;
        (void)usleep(5000);
    }
    assert_int_equal(row_state(s->row), state);
}

static void what_is_not_due_is_left_alone(void **state)
{
    struct row_plan plan = plan_in(TERM_LEAD_MS + 60000, ROW_KILL);
    struct clock_time next;
    struct stage s;

    (void)state;
    setup(&s, &plan, start(false));
    assert_int_equal(watch_rows(&s.w, &next), 500);
    /* When it has to look is TERM's time, not the deadline's. */
    assert_int_equal(next.boot_ms, plan.deadline.boot_ms - TERM_LEAD_MS);
    assert_int_equal(row_state(s.row), ROW_ARMED);
    assert_false(was_told(&s));
    assert_int_equal(waitpid(s.pid, &s.status, WNOHANG), 0);
    s.status = -1;
    done(&s);
}

static void term_comes_in_time(void **state)
{
    struct row_plan plan = plan_in(TERM_LEAD_MS + 20, ROW_KILL);
    struct stage s;

    (void)state;
    setup(&s, &plan, start(false));
    until(&s, ROW_DEAD);
    assert_true(clock_left_ms(plan.deadline, clock_now()) > KILL_LEAD_MS);
    assert_true(WIFSIGNALED(s.status));
    assert_int_equal(WTERMSIG(s.status), SIGTERM);
    assert_true(was_told(&s));
    done(&s);
}

static void kill_comes_so_that_all_is_dead_by_the_deadline(void **state)
{
    struct row_plan plan = plan_in(KILL_LEAD_MS + 300, ROW_KILL);
    struct stage s;

    (void)state;
    setup(&s, &plan, start(true));
    until(&s, ROW_ENDING);
    assert_false(row_extend(s.row, clock_add(plan.deadline, 60000)));
    until(&s, ROW_DEAD);
    assert_true(clock_left_ms(plan.deadline, clock_now()) > 0);
    assert_int_equal(WTERMSIG(s.status), SIGKILL);
    done(&s);
}

static void what_is_extended_lives(void **state)
{
    struct row_plan plan = plan_in(TERM_LEAD_MS + 20, ROW_KILL);
    struct clock_time next;
    struct stage s;

    (void)state;
    setup(&s, &plan, start(false));
    assert_true(row_extend(s.row, clock_add(plan.deadline, 60000)));
    (void)usleep(40000);
    (void)watch_rows(&s.w, &next);
    assert_int_equal(row_state(s.row), ROW_ARMED);
    done(&s);
}

/* A folder that cannot be read stands in for a process that does not die. */
static void what_is_not_seen_dead_is_said(void **state)
{
    struct row_plan plan = plan_in(100, ROW_KILL);
    struct stage s;

    (void)state;
    setup(&s, &plan, getpid());
    (void)snprintf(s.row->who.path, sizeof(s.row->who.path), "/proc/version");
    atomic_store(&s.row->who.kind, IDENTITY_CGROUP);
    until(&s, ROW_UNCONFIRMED);
    assert_true(clock_left_ms(plan.deadline, clock_now()) <= 0);
    assert_true(was_told(&s));
    /* And it goes on until it is. */
    (void)snprintf(s.row->who.path, sizeof(s.row->who.path), "/nonexistent/x");
    until(&s, ROW_DEAD);
    done(&s);
}

static void other_policies_leave_it_running(void **state)
{
    struct row_plan plan = plan_in(TERM_LEAD_MS, ROW_LOG);
    struct stage s;

    (void)state;
    setup(&s, &plan, start(false));
    until(&s, ROW_LAPSED);
    assert_int_equal(waitpid(s.pid, &s.status, WNOHANG), 0);
    s.status = -1;
    done(&s);

    plan = plan_in(TERM_LEAD_MS, ROW_SIGNAL);
    setup(&s, &plan, start(false));
    until(&s, ROW_LAPSED);
    if (s.status < 0)
        assert_int_equal(waitpid(s.pid, &s.status, 0), s.pid);
    assert_int_equal(WTERMSIG(s.status), SIGUSR1);
    done(&s);
}

/* How it is after the clocks have moved: one pass is all that it takes. */
static enum row_state after_one_pass(struct stage *s)
{
    struct clock_time next;

    (void)watch_rows(&s->w, &next);
    memset(&fake_clock, 0, sizeof(fake_clock));
    return row_state(s->row);
}

static void a_suspended_machine_wakes_to_it(void **state)
{
    struct row_plan plan = plan_in(TERM_LEAD_MS + 60000, ROW_KILL);
    struct stage s;

    (void)state;
    setup(&s, &plan, start(true));
    fake_clock.asleep_ms = 50000;
    assert_int_equal(after_one_pass(&s), ROW_ARMED);
    fake_clock.asleep_ms = 60000;
    assert_int_equal(after_one_pass(&s), ROW_ENDING);
    assert_int_equal(waitpid(s.pid, &s.status, WNOHANG), 0); /* deaf to TERM */
    /* Past the deadline: no TERM is waited for. */
    fake_clock.asleep_ms = 60000 + TERM_LEAD_MS;
    (void)after_one_pass(&s);
    assert_int_equal(waitpid(s.pid, &s.status, 0), s.pid);
    assert_int_equal(WTERMSIG(s.status), SIGKILL);
    done(&s);
}

/* chrony slews BOOTTIME by 8.3 % at most, RAW not at all. */
static void the_clock_that_is_ahead_counts(void **state)
{
    static const struct {
        int64_t gone_ms, slewed_ms;
        enum row_state want;
    } cases[] = {
        {59000, 0, ROW_ARMED},      {60000, 0, ROW_ENDING},
        {60000, -4980, ROW_ENDING}, /* slewed down: RAW knows */
        {59000, -4900, ROW_ARMED},  {56000, 4600, ROW_ENDING},
        {54000, 4500, ROW_ARMED},   {60000, -60, ROW_ENDING}, /* drift */
        {59950, 60, ROW_ENDING},    {59000, 59, ROW_ARMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct row_plan plan = plan_in(TERM_LEAD_MS + 60000, ROW_KILL);
        struct stage s;

        setup(&s, &plan, start(true));
        fake_clock.gone_ms = cases[i].gone_ms;
        fake_clock.slewed_ms = cases[i].slewed_ms;
        if (after_one_pass(&s) != cases[i].want)
            fail_msg("case %zu: the row is %d", i, row_state(s.row));
        done(&s);
    }
}

/* A part of the lease is slept, another one slewed: neither clock alone has
 * counted all of it. */
static void slept_and_slewed_add_up(void **state)
{
    struct row_plan plan = plan_in(TERM_LEAD_MS + 60000, ROW_KILL);
    struct stage s;

    (void)state;
    setup(&s, &plan, start(true));
    fake_clock.gone_ms = 40000;
    fake_clock.slewed_ms = -3300;
    fake_clock.asleep_ms = 20000;
    assert_int_equal(after_one_pass(&s), ROW_ENDING);
    done(&s);
}

static void the_wall_clock_says_nothing(void **state)
{
    static const int64_t days_ms[] = {86400000, -86400000};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct row_plan plan = plan_in(TERM_LEAD_MS + 60000, ROW_KILL);
        struct stage s;

        setup(&s, &plan, start(true));
        fake_clock.wall_ms = days_ms[i];
        assert_int_equal(after_one_pass(&s), ROW_ARMED);
        fake_clock.gone_ms = 60000;
        fake_clock.wall_ms = days_ms[i];
        assert_int_equal(after_one_pass(&s), ROW_ENDING);
        done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_due_is_left_alone),
        cmocka_unit_test(term_comes_in_time),
        cmocka_unit_test(kill_comes_so_that_all_is_dead_by_the_deadline),
        cmocka_unit_test(what_is_extended_lives),
        cmocka_unit_test(what_is_not_seen_dead_is_said),
        cmocka_unit_test(other_policies_leave_it_running),
        cmocka_unit_test(a_suspended_machine_wakes_to_it),
        cmocka_unit_test(the_clock_that_is_ahead_counts),
        cmocka_unit_test(slept_and_slewed_add_up),
        cmocka_unit_test(the_wall_clock_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
