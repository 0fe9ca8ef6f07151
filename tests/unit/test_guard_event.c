/* SPDX-License-Identifier: MIT */
/*
 * test_guard_event.c - what the keeper says of one lock, at every moment of a
 * work's life, in sentences that name the lock, its holder and since when;
 * and guard_tick's part: what happens because nothing is said.
 */
#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../lib/guard_rig.h"

#define BUSY                                                                   \
    "\"defaults\": {\"on_busy\": \"fail\"}, \"locks\": {\"open\": "            \
    "{\"on_unreachable\": \"open\", \"on_busy\": \"wait\", \"wait\": 60}}"

static uint64_t handle(void)
{
    return work_handle(rig_work(), rig_work()->helds);
}

/* The next answer, notes too. */
static const char *note(int fd)
{
    static struct wire_msg m;
    static char data[WIRE_MAX];
    struct justalock_error err;
    ssize_t n;

    rig_turn();
    n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
    if (n <= 0)
        fail_msg("nothing was said");
    assert_ok(wire_unpack(data, (size_t)n, &m, &err), err);
    assert_int_equal(m.type, WIRE_NOTE);
    return m.text;
}

/* A command that waits a minute. */
static int waits(const char *locks)
{
    struct wire_msg *m = rig_command(locks);
    int fd;

    m->wait_ms = 60000;
    fd = rig_request(m);
    assert_in_range(rig_asked(KW_ACQUIRE)->wait_ms, 59000, 60000);
    return fd;
}

static void busy_is_said_and_waited_for(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = waits("a");
    rig_event(handle(), KEEPER_BUSY, JUSTALOCK_HELD, "");
    {
        const char *text = note(fd);

        assert_has(text,
                   "waiting for lock \"a\", held by job 7 since 2026-11-2");
        assert_null(strchr(text, 'Z')); /* the time of this machine */
    }
    rig_event(handle(), KEEPER_TIMEOUT, JUSTALOCK_HELD, "");
    rig_expect(fd, WIRE_REFUSED_BUSY,
               "lock \"a\" is still held by job 7 since");
    rig_give_back(1);
    fd = waits("a"); /* not "after 0 s" */
    rig_event(handle(), KEEPER_BUSY, JUSTALOCK_HELD, "");
    (void)note(fd);
    rig_event(handle(), KEEPER_TIMEOUT, JUSTALOCK_HELD, "");
    rig_expect(fd, WIRE_REFUSED_BUSY, " ms");
    rig_give_back(1);
    assert_null(rig_work());
}

static void busy_is_final_for_a_try(void **state)
{
    int fd;

    (void)state;
    rig_config(BUSY);
    rig_keeper();
    fd = rig_request(rig_command("a"));
    (void)rig_asked(KW_ACQUIRE);
    rig_event(handle(), KEEPER_BUSY, JUSTALOCK_HELD, "");
    rig_expect(fd, WIRE_REFUSED_BUSY, "lock \"a\" is held by job 7 since");
    rig_give_back(1);
    assert_null(rig_work());
}

static void trouble_is_waited_out_for_a_while(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = waits("a");
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_NET, "no route to host");
    assert_has(note(fd), "does not answer (no route to host); trying on");
    rig_tick(GUARD_PATIENCE_MS - 200);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    rig_tick(GUARD_PATIENCE_MS + 200);
    rig_expect(fd, WIRE_REFUSED_NET,
               ", asked for lock \"a\", does not answer: no route to host");
    rig_give_back(1);
    /* One that has said that we wait is waited for. */
    fd = waits("a");
    rig_event(handle(), KEEPER_BUSY, JUSTALOCK_HELD, "");
    (void)note(fd);
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_NET, "no route to host");
    rig_tick(GUARD_PATIENCE_MS + 200);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    (void)close(fd);
}

/* What the service refuses is not silence. */
static void refused_by_the_service(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(rig_command("a"));
    (void)rig_asked(KW_ACQUIRE);
    rig_event(handle(), KEEPER_TIMEOUT, JUSTALOCK_DENIED, "status 403");
    rig_expect(fd, WIRE_REFUSED_DENIED,
               ", asked for lock \"a\", refuses it: status 403");
    rig_give_back(1);
    fd = waits("a"); /* its last word counts, not the time-out */
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_DENIED, "status 403");
    (void)note(fd);
    rig_tick(GUARD_PATIENCE_MS + 200);
    rig_expect(fd, WIRE_REFUSED_DENIED, "refuses it: status 403");
    rig_give_back(1);
    fd = waits("a");
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_DENIED, "status 403");
    (void)note(fd);
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_NET, "no route");
    rig_tick(GUARD_PATIENCE_MS + 200);
    rig_expect(fd, WIRE_REFUSED_NET, "does not answer: no route");
    rig_give_back(1);
    /* For a session it is a fault between service and us. */
    rig_config("\"locks\": {\"s\": {\"for\": \"pam\"}}");
    fd = rig_request(rig_session("s"));
    (void)rig_asked(KW_ACQUIRE);
    rig_event(handle(), KEEPER_TIMEOUT, JUSTALOCK_DENIED, "status 403");
    rig_expect(fd, WIRE_REFUSED_NET, "refuses it: status 403");
    rig_give_back(1);
}

static void trouble_that_lets_go_on(void **state)
{
    struct wire_msg *m = rig_job(WIRE_JOB_BEGIN, 5, "open");
    int fd;

    (void)state;
    rig_config(BUSY);
    rig_keeper();
    (void)rig_request(m);
    fd = rig_request(rig_job(WIRE_JOB_TASK, 5, "open"));
    (void)rig_asked(KW_ACQUIRE);
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_NET, "no route");
    rig_tick(GUARD_OPEN_MS - 100);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    rig_tick(GUARD_OPEN_MS + 100);
    rig_expect(fd, WIRE_GO,
               "starting without lock \"open\", as configured: the lock "
               "service does not answer: no route");
    rig_give_back(1); /* it may have got it unheard */
    fd = rig_request(rig_job(WIRE_JOB_TASK, 5, "open"));
    (void)rig_asked(KW_ACQUIRE);
    rig_event(handle(), KEEPER_TIMEOUT, JUSTALOCK_DENIED, "status 403");
    rig_expect(fd, WIRE_GO, "service refuses it: status 403");
    rig_give_back(1);
}

static void a_keeper_that_is_not_there(void **state)
{
    int fd;

    (void)state;
    fd = rig_request(rig_job(WIRE_JOB_BEGIN, 5, "a"));
    (void)close(fd);
    fd = rig_request(rig_job(WIRE_JOB_TASK, 5, "a"));
    rig_tick(GUARD_NOTE_MS + 100);
    assert_has(note(fd), "keeper is not running yet");
    rig_tick(2 * GUARD_NOTE_MS); /* once is enough */
    assert_true(rig_is_silent(fd));
    rig_work()->silent = clock_add(clock_now(), -GUARD_PATIENCE_MS);
    rig_tick(0);
    rig_expect(fd, WIRE_REFUSED_NET, "keeper is not running");
}

/* Asked without end, it waits without end. */
static void for_ever_is_for_ever(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(rig_command("a"));
    assert_int_equal(rig_asked(KW_ACQUIRE)->wait_ms, -1);
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_NET, "no route");
    rig_tick(10 * GUARD_PATIENCE_MS);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    rig_event(handle(), KEEPER_GRANTED, JUSTALOCK_OK, "");
    rig_expect(fd, WIRE_GO, "");
}

/* The first of two is lost while the second is waited for. */
static void lost_before_all_were_got(void **state)
{
    uint64_t first;
    int fd;

    (void)state;
    rig_keeper();
    fd = waits("a,b");
    first = handle();
    rig_event(first, KEEPER_GRANTED, JUSTALOCK_OK, "");
    assert_int_equal(rig_asked(KW_ACQUIRE)->handle, first + 1);
    assert_true(rig_is_recorded(rig_work()->f.number, WORK_ASKING));
    rig_event(first, KEEPER_LOST, JUSTALOCK_LOST, "taken");
    rig_expect(fd, WIRE_REFUSED_LOST, "is lost: taken");
    rig_give_back(2);
    assert_null(rig_work());
}

/* What comes too late, twice or for nobody changes nothing. */
static void events_out_of_turn(void **state)
{
    static const enum keeper_event_kind all[] = {
        KEEPER_GRANTED, KEEPER_EXTENDED, KEEPER_BUSY,    KEEPER_TROUBLE,
        KEEPER_LOST,    KEEPER_TIMEOUT,  KEEPER_RELEASED};
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    for (size_t i = 0; i < LENGTH(all); i++) {
        rig_event(handle() + 1, all[i], JUSTALOCK_OK, "x"); /* has one lock */
        rig_event(7, all[i], JUSTALOCK_OK, "x");
        if (all[i] != KEEPER_LOST && all[i] != KEEPER_TIMEOUT)
            rig_event(handle(), all[i], JUSTALOCK_HELD, "x");
        assert_int_equal(w->state, WORK_HELD);
        assert_int_equal(w->helds[0].state, HELD_OURS);
        assert_int_equal(row_state(w->row), ROW_ARMED);
        assert_true(rig_is_asked_nothing());
    }
    assert_true(rig_is_silent(fd));
    (void)close(fd);
    rig_turn();
    assert_int_equal(w->helds[0].state, HELD_RELEASING);
    for (size_t i = 0; i + 1 < LENGTH(all); i++) {
        rig_event(handle(), all[i], JUSTALOCK_OK, "x");
        assert_int_equal(w->helds[0].state, HELD_RELEASING);
    }
    rig_give_back(1);
    assert_null(rig_work());
}

/* Its module has to know: an agent that goes away then does not let it in. */
static void a_session_knows_that_it_is_busy(void **state)
{
    struct wire_msg *m;
    int fd;

    (void)state;
    rig_config("\"locks\": {\"s\": {\"for\": \"pam\"}}");
    rig_keeper();
    m = rig_session("s");
    m->wait_ms = 60000;
    fd = rig_request(m);
    (void)rig_asked(KW_ACQUIRE);
    rig_event(handle(), KEEPER_TROUBLE, JUSTALOCK_NET, "no route");
    assert_string_equal(note(fd), WIRE_NOTE_BUSY "0");
    assert_has(note(fd), "does not answer (no route)");
    rig_event(handle(), KEEPER_BUSY, JUSTALOCK_HELD, "");
    assert_string_equal(note(fd), WIRE_NOTE_BUSY "1");
    assert_has(note(fd), "waiting for lock \"s\"");
    (void)close(fd);
}

/* A keeper that says so has given it back. */
static void timed_out_while_it_is_held(void **state)
{
    struct work *w;

    (void)state;
    rig_keeper();
    (void)rig_hold(rig_command("a"));
    w = rig_work();
    rig_event(handle(), KEEPER_TIMEOUT, JUSTALOCK_PROTO, "status 404");
    assert_int_equal(w->helds[0].state, HELD_LOST);
    assert_int_equal(w->state, WORK_ENDING);
    assert_has(w->loss, "is lost: status 404");
}

/* Asked by nobody any more. */
static void a_wait_that_nobody_waits_for(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = waits("a");
    conn_detach(rig_work()->conns); /* as after a restart of the guard */
    rig_tick(GUARD_RETURN_MS - 200);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    rig_tick(GUARD_RETURN_MS + 200);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(fd);
}

static void a_release_that_is_never_answered(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    (void)close(fd);
    rig_turn();
    (void)rig_asked(KW_RELEASE);
    rig_tick(59000);
    assert_int_equal(rig_work()->state, WORK_RELEASING);
    rig_tick(61000);
    assert_null(rig_work());
    assert_int_equal(rig.g.table.rows[0].work, 0);
}

/* After a restart its owner is looked for where it is not connected. */
static void an_owner_that_died_meanwhile(void **state)
{
    pid_t pid = rig_process(0, 0);
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_hold(rig_command("a"));
    w = rig_work();
    conn_detach(w->conns);
    w->f.owner = proc_key_of(pid);
    rig_tick(1100);
    assert_int_equal(w->state, WORK_HELD);
    rig_kill(pid);
    rig_tick(2300);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(fd);
}

/* A work of which only the row is left, once the watch has ended it. */
static void rows_of_damaged_records(void **state)
{
    struct row *row = table_take(&rig.g.table);
    const struct row_plan plan = {.deadline = clock_now()};
    struct row_plan now;
    uint64_t word;

    (void)state;
    rig_keeper();
    row->work = 77;
    row_arm(row, &plan);
    hold_orphans(&rig.g);
    assert_int_equal(row_state(row), ROW_ARMED);
    assert_true(rig_is_asked_nothing());
    (void)row_look(row, &now, &word);
    assert_true(row_advance(row, word, ROW_DEAD));
    hold_orphans(&rig.g);
    for (uint64_t i = 0; i < WIRE_LOCKS_MAX; i++)
        assert_int_equal(rig_asked(KW_RELEASE)->handle,
                         77 << GUARD_HANDLE_BITS | i);
    assert_int_equal(row_state(row), ROW_FREE);
    assert_int_equal(row->work, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(busy_is_said_and_waited_for),
        RIG_TEST(busy_is_final_for_a_try),
        RIG_TEST(trouble_is_waited_out_for_a_while),
        RIG_TEST(refused_by_the_service),
        RIG_TEST(trouble_that_lets_go_on),
        RIG_TEST(a_keeper_that_is_not_there),
        RIG_TEST(for_ever_is_for_ever),
        RIG_TEST(lost_before_all_were_got),
        RIG_TEST(events_out_of_turn),
        RIG_TEST(a_session_knows_that_it_is_busy),
        RIG_TEST(timed_out_while_it_is_held),
        RIG_TEST(a_wait_that_nobody_waits_for),
        RIG_TEST(a_release_that_is_never_answered),
        RIG_TEST(an_owner_that_died_meanwhile),
        RIG_TEST(rows_of_damaged_records),
    };

    return RIG_RUN(tests);
}
