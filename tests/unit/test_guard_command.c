/* SPDX-License-Identifier: MIT */
/*
 * test_guard_command.c - commands of `justalock run`, seen by the guard: what
 * may be started when, what its end and that of its owner mean, and an owner
 * that comes back after a restart of the guard.
 */
#include "test.h"

#include <signal.h>
#include <unistd.h>

#include "../lib/guard_rig.h"

static const struct wire_msg over = {.type = WIRE_COMMAND_END};

static void starts(int fd, pid_t pid, enum wire_verdict verdict,
                   const char *part)
{
    const struct wire_msg m = {.type = WIRE_COMMAND_PID, .pid = (uint32_t)pid};

    rig_say(fd, &m);
    rig_expect(fd, verdict, part);
}

static void wrong_requests(void **state)
{
    struct wire_msg *m;

    (void)state;
    rig_keeper();
    rig_expect(rig_request(rig_command("")), WIRE_REFUSED_BAD, "names a lock");
    for (int i = 0; i < 3; i++) {
        m = rig_command("a");
        m->on_lost = i == 0 ? WIRE_LOST_LOG + 1 : WIRE_LOST_SIGNAL;
        m->signo = i == 1 ? 0 : 65;
        rig_expect(rig_request(m), WIRE_REFUSED_BAD, "");
    }
    rig_config("\"locks\": {\"g\": {\"grace\": \"5s\", \"lifetime\": 30}}");
    m = rig_command("g");
    m->life_s = 5;
    rig_expect(rig_request(m), WIRE_REFUSED_BAD, "lifetime of 5 s");
    assert_true(rig_is_asked_nothing());
    /* Without a lock there is nothing to start in it, nor to end. */
    starts(rig_dial(), getpid(), WIRE_REFUSED_LOST, "no lock is held");
    rig_expect(rig_request(&over), WIRE_REFUSED_LOST, "no lock is held");
    assert_null(rig_work());
}

static void what_it_says_of_itself(void **state)
{
    struct wire_msg *m = rig_command("a");
    const struct keeper_msg *asks;

    (void)state;
    rig_keeper();
    memcpy(m->label, "me", 3);
    memcpy(m->client, "client-of-mine", 15);
    m->life_s = 20;
    m->wait_ms = 0;
    (void)rig_request(m);
    asks = rig_asked(KW_ACQUIRE);
    assert_int_equal(asks->wait_ms, 0);
    assert_int_equal(asks->lock.times.life_s, 20);
    assert_string_equal(asks->lock.label, "me");
    assert_memory_equal(asks->lock.client, "client-of-mine", 14);
}

static void only_its_children_and_while_it_is_held(void **state)
{
    struct work *w;
    pid_t pid = rig_process(0, 0);
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    starts(fd, getppid(), WIRE_REFUSED_BAD, "is no child of");
    starts(fd, 0x7fffffff, WIRE_REFUSED_BAD, "is no child of");
    starts(fd, -1, WIRE_REFUSED_BAD, "is no child of");
    assert_int_equal(work_count(&w->who), 0);
    starts(fd, pid, WIRE_GO, "");
    assert_int_equal(work_count(&w->row->who), 1); /* where the watch looks */
    assert_true(w->has_started);
    /* In the work, and told all the same that it comes too late. */
    row_end(w->row, &(struct row_plan){.deadline = clock_now()});
    starts(fd, pid, WIRE_REFUSED_LOST, "is being lost");
    rig_row(w, ROW_ENDING);
    assert_int_equal(rig_answer(fd)->type, WIRE_LOST);
    starts(fd, pid, WIRE_REFUSED_LOST, "could not be refreshed");
}

static void over_and_empty(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    rig_say(fd, &over);
    rig_expect(fd, WIRE_GO, "");
    assert_int_equal(row_state(&rig.g.table.rows[0]), ROW_CLOSED);
    rig_give_back(1);
    assert_null(rig_work());
}

/* A process that it leaves behind keeps the lock: promise 2. */
static void over_and_not_empty(void **state)
{
    pid_t pid = rig_process(0, 0);
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    starts(fd, pid, WIRE_GO, "");
    rig_say(fd, &over);
    rig_expect(fd, WIRE_GO, "");
    assert_int_equal(rig_work()->state, WORK_LEAVING);
    (void)close(fd);
    rig_tick(500);
    assert_true(rig_is_asked_nothing());
    rig_kill(pid);
    rig_tick(1000);
    rig_give_back(1);
    assert_null(rig_work());
}

/* Who ran it is gone without a word: what it started is ended. */
static void its_owner_dies(void **state)
{
    pid_t pid = rig_process(0, 0);
    struct row_plan plan;
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    starts(fd, pid, WIRE_GO, "");
    (void)close(fd);
    rig_turn();
    assert_int_equal(w->state, WORK_ENDING);
    (void)row_look(w->row, &plan, NULL);
    assert_int_equal(plan.policy, ROW_KILL);
    assert_true(clock_left_ms(plan.deadline, clock_now()) <= plan.term_lead_ms);
    rig_row(w, ROW_ENDING);
    rig_kill(pid);
    rig_row(w, ROW_DEAD);
    rig_give_back(1);
    assert_null(rig_work());
    /* While it asked: given back. */
    fd = rig_request(rig_command("a"));
    (void)rig_asked(KW_ACQUIRE);
    (void)close(fd);
    rig_turn();
    rig_give_back(1);
    assert_null(rig_work());
}

/* The end while it is being ended is answered when all is dead. */
static void over_while_it_is_ended(void **state)
{
    pid_t pid = rig_process(0, 0);
    struct work *w;

    (void)state;
    rig_keeper();
    for (int is_stuck = 0; is_stuck < 2; is_stuck++) {
        int fd = rig_hold(rig_command("a"));

        w = rig_work();
        starts(fd, pid, WIRE_GO, "");
        rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST,
                  "taken");
        assert_has(rig_answer(fd)->text, "taken");
        rig_say(fd, &over);
        assert_true(rig_is_silent(fd));
        rig_row(w, ROW_ENDING);
        assert_true(rig_is_silent(fd));
        if (is_stuck) {
            rig_row(w, ROW_UNCONFIRMED);
            assert_has(rig_answer(fd)->text, "could not be confirmed");
            rig_expect(fd, WIRE_REFUSED_LOST, "taken");
        }
        rig_row(w, ROW_DEAD);
        if (!is_stuck)
            rig_expect(fd, WIRE_REFUSED_LOST, "taken");
        rig_give_back(1);
        assert_null(rig_work());
        (void)close(fd);
        rig_turn();
    }
}

static void a_loss_that_ends_nothing(void **state)
{
    struct wire_msg *m = rig_command("a");
    int fd;

    (void)state;
    rig_keeper();
    m->on_lost = WIRE_LOST_LOG;
    fd = rig_hold(m);
    rig_row(rig_work(), ROW_LAPSED);
    assert_int_equal(rig_answer(fd)->type, WIRE_LOST);
    rig_say(fd, &over);
    rig_expect(fd, WIRE_GO, "is lost"); /* the status is the command's */
    rig_give_back(1);
    assert_null(rig_work());
}

/* Its connection is a new one, since the guard is. */
static void an_owner_that_comes_back(void **state)
{
    struct work *w;
    int fd, again;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    conn_detach(w->conns); /* of the old guard */
    again =
        rig_request(rig_command("b")); /* another command of the same process */
    assert_int_equal(rig.g.works_len, 2);
    (void)close(again);
    rig_turn();
    (void)rig_asked(KW_ACQUIRE);
    rig_give_back(1);
    again = rig_request(rig_command("a"));
    rig_expect(again, WIRE_GO, "");
    assert_true(rig_is_asked_nothing());
    rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST, "taken");
    assert_has(rig_answer(again)->text, "taken");
    /* ... and once more, with the loss behind it. */
    conn_detach(w->conns);
    again = rig_request(rig_command("a"));
    assert_has(rig_answer(again)->text, "taken");
    rig_row(w, ROW_ENDING);
    rig_row(w, ROW_UNCONFIRMED);
    assert_int_equal(rig_answer(again)->type, WIRE_LOST);
    conn_detach(w->conns);
    again = rig_request(rig_command("a"));
    assert_has(rig_answer(again)->text, "could not be confirmed");
    /* The end may come on a connection of its own. */
    conn_detach(w->conns);
    rig_expect(rig_request(&over), WIRE_REFUSED_LOST, "taken");
    rig_row(w, ROW_DEAD);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(wrong_requests),
        RIG_TEST(what_it_says_of_itself),
        RIG_TEST(only_its_children_and_while_it_is_held),
        RIG_TEST(over_and_empty),
        RIG_TEST(over_and_not_empty),
        RIG_TEST(its_owner_dies),
        RIG_TEST(over_while_it_is_ended),
        RIG_TEST(a_loss_that_ends_nothing),
        RIG_TEST(an_owner_that_comes_back),
    };

    return RIG_RUN(tests);
}
