/* SPDX-License-Identifier: MIT */
/*
 * test_guard_resume.c - what a guard that starts again makes of each piece of
 * work on record: by its state, by what its row has come to, and by how much
 * of its wait is over. Records and real restarts: test_guard.c.
 */
#include "test.h"

#include <unistd.h>

#include "../lib/guard_rig.h"

/* As a new guard finds it: nobody is connected. */
static struct work *alone(void)
{
    struct work *w = rig_work();

    while (w->conns)
        conn_detach(w->conns);
    return w;
}

static struct work *holds(const char *locks)
{
    (void)close(rig_hold(rig_command(locks)));
    return alone();
}

static struct work *asks(const char *locks, int64_t wait_ms)
{
    struct wire_msg *m = rig_command(locks);

    m->wait_ms = wait_ms;
    (void)rig_request(m);
    (void)rig_asked(KW_ACQUIRE);
    return alone();
}

static void resume(void)
{
    guard_resume(&rig.g);
}

/* ---- held ---- */

/* Refreshes do not write t0: the row has it. */
static void t0_is_the_rows(void **state)
{
    struct row_plan plan;
    struct clock_time t0;
    struct work *w;

    (void)state;
    rig_keeper();
    w = holds("a");
    t0 = w->helds[0].t0;
    (void)row_look(w->row, &plan, NULL);
    assert_true(row_extend(w->row, clock_add(plan.deadline, 7000)));
    w->helds[0].state = HELD_ASKING; /* the record is older than the grant */
    resume();
    assert_int_equal(w->state, WORK_HELD);
    assert_int_equal(w->helds[0].state, HELD_OURS);
    assert_int_equal(w->helds[0].t0.boot_ms, t0.boot_ms + 7000);
    assert_int_equal(w->helds[0].t0.raw_ms, t0.raw_ms + 7000);
    assert_false(clock_is_never(w->left_alone));
}

/* Granted and armed, and the guard died before it wrote that. */
static void armed_while_it_asked(void **state)
{
    struct work *w;

    (void)state;
    rig_keeper();
    w = holds("a");
    w->state = WORK_ASKING;
    resume();
    assert_int_equal(w->state, WORK_HELD);
}

/* Kept by a process. */
static pid_t lives(struct work *w)
{
    pid_t pid = rig_process(0, 0);

    w->who.kind = IDENTITY_TREE;
    atomic_store(&w->who.root, proc_key_of(pid));
    return pid;
}

static void over_and_kept(void **state)
{
    struct work *w;
    pid_t pid;

    (void)state;
    rig_keeper();
    w = holds("a");
    pid = lives(w);
    w->f.is_over = true;
    resume();
    assert_int_equal(w->state, WORK_LEAVING);
    resume();
    assert_int_equal(w->state, WORK_LEAVING);
    rig_kill(pid); /* looked at at once, every time */
    resume();
    rig_give_back(1);
    assert_null(rig_work());
}

/* Whether the command lives says why its owner does not. */
static void its_owner_is_gone(void **state)
{
    struct work *w;
    pid_t pid;

    (void)state;
    rig_keeper();
    w = holds("a");
    pid = lives(w);
    w->f.owner = 0; /* nobody that lives */
    resume();
    assert_int_equal(w->state, WORK_ENDING); /* killed: it ends, too */
    rig_kill(pid);
    rig_row(w, ROW_DEAD);
    rig_give_back(1);
    assert_null(rig_work());

    w = holds("b");
    pid = lives(w);
    rig_kill(pid);
    w->f.owner = 0;
    resume(); /* has waited for it */
    rig_give_back(1);
    assert_null(rig_work());
}

/* By the watch, meanwhile. */
static void ended_meanwhile(void **state)
{
    static const enum row_state rows[] = {ROW_ENDING, ROW_UNCONFIRMED};

    (void)state;
    rig_keeper();
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct work *w = holds("a");

        assert_true(
            row_advance(w->row, atomic_load(&w->row->word), ROW_ENDING));
        if (rows[i] != ROW_ENDING)
            assert_true(
                row_advance(w->row, atomic_load(&w->row->word), rows[i]));
        w->state = i == 0 ? WORK_HELD : WORK_ENDING;
        resume();
        assert_int_equal(w->state, WORK_ENDING);
        assert_true(w->loss[0] != '\0');
        assert_int_equal(w->is_unconfirmed, rows[i] == ROW_UNCONFIRMED);
        assert_true(row_advance(w->row, atomic_load(&w->row->word), ROW_DEAD));
        resume();
        rig_give_back(1);
        assert_null(rig_work());
    }
}

/* The table is a new one. */
static void without_a_row(void **state)
{
    struct row_plan plan;
    struct work *w;

    (void)state;
    rig_keeper();
    w = holds("a");
    row_free(w->row);
    w->row = NULL;
    w->who.kind = IDENTITY_NONE; /* nothing of it lives */
    resume();
    rig_give_back(1);
    assert_null(rig_work());

    w = holds("b");
    row_free(w->row);
    w->row = NULL;
    (void)lives(w);
    resume();
    assert_int_equal(w->state, WORK_ENDING);
    assert_has(w->loss, "table of deadlines was damaged");
    assert_int_equal(w->row->work, w->f.number);
    assert_true(row_look(w->row, &plan, NULL) == ROW_ARMED ||
                row_look(w->row, &plan, NULL) == ROW_ENDING);
    assert_in_range(clock_left_ms(plan.deadline, clock_now()), 0,
                    plan.kill_lead_ms);
}

/* ---- asked for ---- */

static void the_wait_that_is_left(void **state)
{
    static const struct {
        int64_t ago_s, least_ms, most_ms;
    } cases[] = {
        {0, 60000, 60000},  {1, 60000, 60000}, /* which may not be over yet */
        {41, 20000, 20000}, {60, 1000, 1000},     {61, 0, 0},
        {7200, 0, 0},       {-3600, 60000, 60000}}; /* a clock that was set back
                                                     */
    struct work *w;

    (void)state;
    rig_keeper();
    w = asks("a", 60000);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int64_t left, since = clock_wall_s();

        w->f.since_s = since - cases[i].ago_s;
        resume();
        left = clock_left_ms(w->until, w->asked);
        if (clock_wall_s() != since) { /* the second was just over: again */
            i--;
            continue;
        }
        assert_int_equal(w->state, WORK_ASKING);
        assert_in_range(left, cases[i].least_ms, cases[i].most_ms);
    }
    w->f.wait_ms = -1;
    resume();
    assert_true(clock_is_never(w->until));
}

/* The first that is not ours was being asked for. */
static void the_second_of_three(void **state)
{
    uint64_t number;
    struct work *w;

    (void)state;
    rig_keeper();
    w = asks("a,b,c", 60000);
    number = w->f.number;
    w->helds[0].state = HELD_OURS;
    w->helds[1].state = w->helds[2].state = HELD_OVER; /* whatever it is */
    row_free(w->row);
    w->row = NULL;
    state_drop(&rig.g, w);
    resume();
    assert_int_equal(w->helds[0].state, HELD_OURS);
    assert_int_equal(w->helds[1].state, HELD_ASKING);
    assert_int_equal(w->helds[2].state, HELD_OVER);
    assert_int_equal(w->row->work, number);
    assert_true(rig_is_recorded(number, WORK_ASKING));
}

/* As many as may be: what was asked for is given back, not forgotten. */
static void no_row_is_free(void **state)
{
    struct work *w;

    (void)state;
    rig_keeper();
    w = asks("a", 60000);
    row_free(w->row);
    w->row = NULL;
    for (struct row *r; (r = table_take(&rig.g.table)) != NULL;)
        r->work = 1;
    resume();
    rig_give_back(1);
    assert_null(rig_work());
}

/* ---- neither ---- */

static void what_was_only_looked_up(void **state)
{
    static const enum work_state unchanged[] = {WORK_LAPSED, WORK_GONE};
    struct clock_time long_ago = {1, 1};
    struct work *w;

    (void)state;
    rig_keeper();
    w = holds("a");
    row_free(w->row);
    w->row = NULL;
    for (size_t i = 0; i < LENGTH(unchanged); i++) {
        w->state = unchanged[i];
        resume();
        assert_int_equal(w->state, unchanged[i]);
    }
    w->state = WORK_RELEASING; /* its minute begins anew */
    w->asked = long_ago;
    resume();
    assert_int_equal(w->state, WORK_RELEASING);
    assert_true(w->asked.boot_ms > long_ago.boot_ms);
    w->state = WORK_RESOLVING; /* its owner asks again */
    resume();
    assert_null(rig_work());
}

/* A job that asks by itself has nobody who would ask again. */
static void a_job_that_was_looked_up(void **state)
{
    static const bool eager[] = {false, true};

    (void)state;
    rig_keeper();
    for (size_t i = 0; i < LENGTH(eager); i++) {
        struct work *w;

        rig_expect(rig_request(rig_job(WIRE_JOB_BEGIN, 5 + (unsigned)i, "a")),
                   WIRE_GO, "");
        w = work_by_job(&rig.g, 5 + (unsigned)i);
        w->state = WORK_RESOLVING;
        w->f.is_eager = eager[i];
        resume();
        rig_turn();
        assert_int_equal(w->state, eager[i] ? WORK_ASKING : WORK_KNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(t0_is_the_rows),
        RIG_TEST(armed_while_it_asked),
        RIG_TEST(over_and_kept),
        RIG_TEST(its_owner_is_gone),
        RIG_TEST(ended_meanwhile),
        RIG_TEST(without_a_row),
        RIG_TEST(the_wait_that_is_left),
        RIG_TEST(the_second_of_three),
        RIG_TEST(no_row_is_free),
        RIG_TEST(what_was_only_looked_up),
        RIG_TEST(a_job_that_was_looked_up),
    };

    return RIG_RUN(tests);
}
