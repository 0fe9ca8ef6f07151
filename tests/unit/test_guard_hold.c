/* SPDX-License-Identifier: MIT */
/*
 * test_guard_hold.c - the life of a work's locks: what is on record before
 * what is asked and said, deadlines, losses and ends; and each allocation of
 * such a life fails in turn.
 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

#define LIFE_S 60 /* a command's, where nothing is configured */

static void no_request_without_a_record(void **state)
{
    (void)state;
    rig_keeper();
    failing_call("rename", ENOSPC);
    rig_expect(rig_request(rig_command("a")), WIRE_REFUSED_LOCAL,
               "No space left on device");
    assert_true(rig_is_asked_nothing());
    assert_null(rig_work());
    assert_int_equal(rig.g.table.rows[0].work, 0); /* free for another */

    (void)rig_request(rig_command("a"));
    assert_true(rig_is_recorded(rig_work()->f.number, WORK_ASKING));
    assert_string_equal(rig_asked(KW_ACQUIRE)->service.url,
                        "http://127.0.0.1:9/");
}

static void armed_and_recorded_before_go(void **state)
{
    struct row_plan plan;
    struct clock_time t0;
    const struct wire_msg *m;
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(rig_command("a"));
    w = rig_work();
    assert_int_equal(row_state(w->row), ROW_FREE);
    assert_true(rig_is_silent(fd));
    (void)rig_grant(1500);
    t0 = w->helds[0].t0;
    assert_true(rig_is_recorded(w->f.number, WORK_HELD));
    assert_int_equal(row_look(w->row, &plan, NULL), ROW_ARMED);
    /* A thousandth, and 250 ms of a service that names its features. */
    assert_int_equal(plan.deadline.boot_ms, t0.boot_ms + LIFE_S * 999 - 250);
    assert_int_equal(plan.kill_lead_ms, 1000);
    assert_int_equal(plan.term_lead_ms, 6000);
    assert_int_equal(w->row->work, w->f.number);
    m = rig_answer(fd);
    assert_int_equal(m->verdict, WIRE_GO);
    assert_string_equal(m->locks, "a");
    assert_true(m->has_token);
    assert_int_equal(m->token, 42);
}

static void a_grant_that_is_too_old_starts_nothing(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(rig_command("a"));
    (void)rig_grant(LIFE_S * 1000 - 6000);
    assert_true(rig_is_silent(fd));
    assert_int_equal(row_state(rig_work()->row), ROW_ARMED); /* the watch's */
    rig_row(rig_work(), ROW_ENDING);
    assert_int_equal(rig_answer(fd)->type, WIRE_LOST);
    rig_row(rig_work(), ROW_DEAD);
    rig_give_back(1);
    assert_null(rig_work());
}

static void several_one_after_the_other(void **state)
{
    struct work *w;
    struct row_plan plan;
    uint64_t first;
    int fd;

    (void)state;
    rig_config("\"locks\": {\"short\": {\"lifetime\": 20}}");
    rig_keeper();
    fd = rig_request(rig_command("a,short"));
    w = rig_work();
    assert_int_equal(w->f.helds_len, 2);
    assert_true(memcmp(&w->helds[0].lock.id, &w->helds[1].lock.id,
                       sizeof(struct lock_id)) < 0);
    first = rig_grant(10000);
    assert_int_equal(first & 31, 0);
    assert_true(rig_is_silent(fd));
    assert_int_equal(row_state(w->row), ROW_FREE);
    assert_int_equal(rig_grant(0) & 31, 1);
    rig_expect(fd, WIRE_GO, "");
    /* The earliest deadline of the two. */
    assert_int_equal(row_look(w->row, &plan, NULL), ROW_ARMED);
    for (int i = 0; i < 2; i++) {
        int64_t d = w->helds[i].t0.boot_ms +
                    (int64_t)w->helds[i].lock.times.life_s * 999 - 250;

        assert_true(plan.deadline.boot_ms <= d);
    }
    (void)close(fd);
}

static void extended_by_what_the_keeper_says(void **state)
{
    struct row_plan before, after;
    struct work *w;
    uint64_t handle;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    handle = work_handle(w, &w->helds[0]);
    (void)row_look(w->row, &before, NULL);
    (void)usleep(3000);
    rig_event(handle, KEEPER_EXTENDED, JUSTALOCK_OK, "");
    (void)row_look(w->row, &after, NULL);
    assert_true(after.deadline.boot_ms > before.deadline.boot_ms);
    /* What the watch ends stays ended, whatever the service says now. */
    rig_row(w, ROW_ENDING);
    assert_int_equal(rig_answer(fd)->type, WIRE_LOST);
    rig_event(handle, KEEPER_EXTENDED, JUSTALOCK_OK, "");
    assert_int_equal(row_look(w->row, &before, NULL), ROW_ENDING);
    assert_int_equal(before.deadline.boot_ms, after.deadline.boot_ms);
    assert_int_equal(w->state, WORK_ENDING);
    rig_row(w, ROW_DEAD);
    rig_give_back(1);
    assert_null(rig_work());
}

/* Of several the one that could not be refreshed, in whatever place. */
static void the_one_that_ended_is_named(void **state)
{
    (void)state;
    rig_keeper();
    for (size_t i = 0; i < 3; i++) {
        int fd = rig_request(rig_command("a,b,c"));
        struct work *w;
        char text[PARSE_NAME_MAX + 80];

        for (size_t k = 0; k < 3; k++)
            (void)rig_grant(k == i ? 1000 : 0);
        rig_expect(fd, WIRE_GO, "");
        w = rig_work();
        (void)snprintf(text, sizeof(text), "lock \"%s\" is lost: it could not",
                       w->helds[i].name);
        rig_row(w, ROW_ENDING);
        assert_has(rig_answer(fd)->text, text);
        (void)close(fd);
        rig_row(w, ROW_DEAD);
        rig_give_back(3);
    }
}

/* TERM has come in time; KILL comes as planned, or when another has it. */
static void grace_until_another_has_it(void **state)
{
    struct row_plan before, after;
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    (void)row_look(w->row, &before, NULL);
    rig_row(w, ROW_ENDING);
    assert_has(rig_answer(fd)->text, "could not be refreshed in time");
    (void)row_look(w->row, &after, NULL);
    assert_int_equal(after.deadline.boot_ms, before.deadline.boot_ms);
    rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST, "taken");
    (void)row_look(w->row, &after, NULL);
    assert_true(clock_left_ms(after.deadline, clock_now()) <=
                after.kill_lead_ms);
    assert_true(rig_is_silent(fd)); /* told once */
}

static void lost_is_ended_at_once(void **state)
{
    struct row_plan plan;
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    rig_event(work_handle(w, &w->helds[0]), KEEPER_LOST, JUSTALOCK_LOST,
              "held by job 7 now");
    assert_has(rig_answer(fd)->text, "held by job 7 now");
    assert_int_equal(row_look(w->row, &plan, NULL), ROW_ARMED);
    assert_true(clock_left_ms(plan.deadline, clock_now()) <= 1000);
    assert_int_equal(w->state, WORK_ENDING);
    rig_row(w, ROW_ENDING);
    assert_true(rig_is_silent(fd)); /* once is enough */
    /* Kept until it is seen dead. */
    assert_true(rig_is_asked_nothing());
    rig_row(w, ROW_UNCONFIRMED);
    assert_has(rig_answer(fd)->text, "could not be confirmed");
    assert_true(rig_is_asked_nothing());
    rig_row(w, ROW_DEAD);
    assert_true(rig_is_recorded(w->f.number, WORK_RELEASING));
    rig_give_back(1);
    assert_null(rig_work());
    assert_int_equal(rig.g.table.rows[0].work, 0);
}

static void lost_and_left_alone(void **state)
{
    struct wire_msg *m = rig_command("a");
    struct row_plan plan;
    struct work *w;
    int fd;

    (void)state;
    m->on_lost = WIRE_LOST_SIGNAL;
    m->signo = SIGUSR1;
    rig_keeper();
    fd = rig_hold(m);
    w = rig_work();
    (void)row_look(w->row, &plan, NULL);
    assert_int_equal(plan.policy, ROW_SIGNAL);
    assert_int_equal(plan.signo, SIGUSR1);
    rig_row(w, ROW_LAPSED);
    assert_int_equal(rig_answer(fd)->type, WIRE_LOST);
    assert_int_equal(w->state, WORK_LAPSED);
    assert_true(rig_is_recorded(w->f.number, WORK_LAPSED));
    rig_give_back(1); /* nobody else waits for the lease to end */
    assert_non_null(rig_work());
    (void)close(fd);
    rig_turn();
    assert_null(rig_work());
    assert_int_equal(row_state(&rig.g.table.rows[0]), ROW_FREE);
}

static void begins_a_job(uint32_t job_id, const char *locks)
{
    int fd = rig_request(rig_job(WIRE_JOB_BEGIN, job_id, locks));

    rig_expect(fd, WIRE_GO, "");
    (void)close(fd);
    (void)close(rig_hold(rig_job(WIRE_JOB_TASK, job_id, locks)));
    rig_turn();
}

static void ends(uint32_t job_id)
{
    int fd = rig_request(rig_job(WIRE_JOB_END, job_id, ""));

    rig_expect(fd, WIRE_GO, "");
    (void)close(fd);
    rig_turn();
}

static void over_when_it_is_empty(void **state)
{
    struct row_plan plan;
    struct work *w;
    pid_t pid;

    (void)state;
    rig_config("\"locks\": {\"keep\": {\"on_end\": \"keep\"},"
               "\"release\": {\"on_end\": \"release\"}}");
    rig_keeper();
    /* A process of the job lives on: ended, and only then given back. */
    pid = rig_process(5, 0);
    begins_a_job(5, "a");
    w = rig_work();
    ends(5);
    assert_int_equal(w->state, WORK_ENDING);
    assert_int_equal(row_look(w->row, &plan, NULL), ROW_ARMED);
    assert_true(clock_left_ms(plan.deadline, clock_now()) <= plan.term_lead_ms);
    assert_true(rig_is_asked_nothing());
    rig_kill(pid);
    rig_row(w, ROW_DEAD);
    rig_give_back(1);
    assert_null(rig_work());

    /* Kept with it, and looked at. */
    pid = rig_process(6, 0);
    begins_a_job(6, "keep");
    w = rig_work();
    ends(6);
    assert_int_equal(w->state, WORK_LEAVING);
    assert_true(w->f.is_over);
    rig_tick(1000);
    assert_int_equal(w->state, WORK_LEAVING);
    rig_kill(pid);
    rig_tick(2000);
    assert_int_equal(row_state(&rig.g.table.rows[0]), ROW_CLOSED);
    rig_give_back(1);
    assert_null(rig_work());

    /* Given back all the same. */
    (void)rig_process(7, 0);
    begins_a_job(7, "release");
    ends(7);
    rig_give_back(1);
    assert_null(rig_work());
}

static void over_while_it_asks(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(rig_job(WIRE_JOB_TASK, 5, "a"));
    rig_children(); /* scontrol says nothing of it */
    (void)rig_asked(KW_ACQUIRE);
    ends(5);
    rig_expect(fd, WIRE_REFUSED_DENIED, "the job is over");
    rig_give_back(1);
    assert_null(rig_work());
}

static void more_than_the_table_has(void **state)
{
    (void)state;
    rig_keeper();
    for (uint32_t i = 0; i < TABLE_ROWS; i++)
        rig.g.table.rows[i].work = 7;
    rig_expect(rig_request(rig_command("a")), WIRE_REFUSED_LOCAL,
               "as many locks as it can");
    assert_null(rig_work());
    assert_true(rig_is_asked_nothing());
}

/* On record as held, and the table is a new one. */
static void held_without_a_row(void **state)
{
    struct work *w;
    pid_t pid;

    (void)state;
    rig_keeper();
    pid = rig_process(5, 0);
    begins_a_job(5, "a");
    w = rig_work();
    row_free(w->row);
    w->row = NULL;
    hold_without_row(&rig.g, w);
    assert_non_null(w->row);
    assert_int_equal(w->row->who.kind, IDENTITY_JOB);
    assert_int_equal(w->state, WORK_ENDING);
    assert_has(w->loss, "the table of deadlines was damaged");
    assert_true(rig_is_asked_nothing());
    rig_row(w, ROW_ENDING);
    rig_kill(pid);
    rig_row(w, ROW_DEAD);
    rig_give_back(1);
    assert_null(rig_work());

    begins_a_job(6, "a"); /* nothing of it is alive */
    w = rig_work();
    row_free(w->row);
    w->row = NULL;
    hold_without_row(&rig.g, w);
    rig_give_back(1);
    assert_null(rig_work());
}

/* ---- no memory ---- */

/* Whatever it is asked for, the keeper does. */
static void serve(void)
{
    static struct keeper_msg m;
    struct justalock_error err;
    bool more = false;

    while (rig.g.keeper.fd >= 0 &&
           keeper_wire_recv(rig.keeper, &m, &more, &err) == JUSTALOCK_OK &&
           more) {
        if (m.type == KW_ACQUIRE)
            rig_event(m.handle, KEEPER_GRANTED, JUSTALOCK_OK, "");
        else if (m.type == KW_RELEASE)
            rig_event(m.handle, KEEPER_RELEASED, JUSTALOCK_OK, "");
    }
}

/* true: it got so far that its locks were held. */
static bool one_life(void)
{
    int fd = rig_dial();
    bool is_held;

    rig_say(fd, rig_command("a,b"));
    serve();
    if (rig.g.keeper.fd < 0) { /* it was lost by it: a new one */
        rig_keeper_gone();
        rig_keeper();
        serve();
    }
    is_held = rig.g.works && rig.g.works->state == WORK_HELD;
    if (is_held)
        assert_int_equal(row_state(rig.g.works->row), ROW_ARMED);
    (void)close(fd);
    rig_turn();
    serve();
    if (rig.g.keeper.fd < 0) {
        rig_keeper_gone();
        rig_keeper();
        serve();
    }
    return is_held;
}

static void each_allocation_fails(void **state)
{
    bool is_done = false, is_held = false;
    long nth;

    (void)state;
    rig_keeper();
    assert_true(one_life()); /* what is made once is made */
    rig.around = failing_pause;
    failing_pause(true);
    for (nth = 0; !is_done && nth < 1000; nth++) {
        long live = failing_live();
        char name[32];

        (void)snprintf(name, sizeof(name), "work-%llu",
                       (unsigned long long)rig.g.next_number);
        failing_memory(nth);
        is_held = one_life();
        is_done = !failing_came();
        failing_memory(-1);
        assert_null(rig.g.works);
        assert_null(rig.g.conns);
        assert_int_equal(failing_live(), live);
        assert_int_equal(table_active(&rig.g.table), 0);
        assert_int_equal(rig.g.table.rows[0].work, 0);
        assert_false(rig_has_file(name));
    }
    rig.around = NULL;
    failing_pause(false);
    assert_true(is_done && is_held);
    assert_true(nth > 10); /* conn, work, two of the index, locks, records.. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(no_request_without_a_record),
        RIG_TEST(armed_and_recorded_before_go),
        RIG_TEST(a_grant_that_is_too_old_starts_nothing),
        RIG_TEST(several_one_after_the_other),
        RIG_TEST(extended_by_what_the_keeper_says),
        RIG_TEST(the_one_that_ended_is_named),
        RIG_TEST(grace_until_another_has_it),
        RIG_TEST(lost_is_ended_at_once),
        RIG_TEST(lost_and_left_alone),
        RIG_TEST(over_when_it_is_empty),
        RIG_TEST(over_while_it_asks),
        RIG_TEST(more_than_the_table_has),
        RIG_TEST(held_without_a_row),
        RIG_TEST(each_allocation_fails),
    };

    return RIG_RUN(tests);
}
