/* SPDX-License-Identifier: MIT */
/*
 * test_guard_tick.c - what time does to work, to the millisecond and by
 * either clock: each bound is looked at just before it and when it is reached.
 */
#include "test.h"

#include <unistd.h>

#include "../lib/guard_rig.h"

static struct clock_time zero; /* what a test counts from */

/* The work looked at so many ms after zero. */
static void look(int64_t ms)
{
    hold_tick(&rig.g, rig_work(), clock_add(zero, ms));
    rig_turn();
}

/* The same where one of the clocks stands still. */
static void look_by(int64_t boot_ms, int64_t raw_ms)
{
    hold_tick(
        &rig.g, rig_work(),
        (struct clock_time){zero.boot_ms + boot_ms, zero.raw_ms + raw_ms});
    rig_turn();
}

/* One that asks; nothing has been said to it. */
static int asks(const struct wire_msg *m)
{
    int fd = rig_request(m);

    (void)rig_asked(KW_ACQUIRE);
    zero = clock_now();
    return fd;
}

static struct wire_msg *waits(const char *locks)
{
    struct wire_msg *m = rig_command(locks);

    m->wait_ms = 600000;
    return m;
}

/* Its service is silent since zero. */
static void silence(const char *why)
{
    rig_work()->silent = zero;
    text_say(&rig_work()->trouble, "%s", why);
}

static int held(const struct wire_msg *m)
{
    int fd = rig_hold(m);

    zero = clock_now();
    return fd;
}

static int task(const char *locks)
{
    (void)close(rig_request(rig_job(WIRE_JOB_BEGIN, 5, locks)));
    rig_turn();
    return rig_request(rig_job(WIRE_JOB_TASK, 5, locks));
}

/* ---- who asks ---- */

static void a_note_after_two_seconds(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    for (int i = 0; i < 3; i++) {
        fd = asks(waits("a"));
        rig_work()->conns->since = zero;
        look(GUARD_NOTE_MS - 1);
        assert_false(rig_work()->conns->is_noted);
        look_by(i == 1 ? 0 : GUARD_NOTE_MS, i == 2 ? 0 : GUARD_NOTE_MS);
        assert_true(rig_work()->conns->is_noted);
        assert_false(rig_is_silent(fd));
        look(GUARD_NOTE_MS); /* once is enough */
        assert_true(rig_is_silent(fd));
        (void)close(fd);
        rig_turn();
        rig_give_back(1);
    }
}

/* Silent since the first look; that is no new beginning with each. */
static void a_keeper_that_never_comes(void **state)
{
    int fd;

    (void)state;
    fd = rig_request(waits("a"));
    zero = clock_now();
    assert_true(clock_is_never(rig_work()->silent));
    look(0);
    look(GUARD_PATIENCE_MS - 1);
    assert_int_equal(rig_work()->silent.boot_ms, zero.boot_ms);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    look(GUARD_PATIENCE_MS);
    rig_expect(fd, WIRE_REFUSED_NET, "keeper is not running yet");
}

static void asked_by_nobody(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = asks(waits("a"));
    rig_work()->left_alone = zero; /* but somebody has come */
    look(GUARD_RETURN_MS + 1);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    conn_detach(rig_work()->conns);
    rig_work()->left_alone = zero;
    rig_work()->f.is_eager = true; /* one that needs nobody */
    look(GUARD_RETURN_MS + 1);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    rig_work()->f.is_eager = false;
    look(GUARD_RETURN_MS);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    rig_work()->state = WORK_RESOLVING; /* the same where it is looked up */
    look(GUARD_RETURN_MS);
    assert_int_equal(rig_work()->state, WORK_RESOLVING);
    look(GUARD_RETURN_MS + 1);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(fd);
}

/* ---- a service that is silent ---- */

/* Work that may go on without. */
static int asks_open(const struct wire_msg *m)
{
    int fd = asks(m);

    rig_work()->f.on_unreachable = CONFIG_UNREACHABLE_OPEN;
    return fd;
}

/* Its patience ends then, and not before; with `verdict`. */
static void expect_patience(int fd, int64_t ms, enum wire_verdict verdict,
                            const char *text)
{
    silence("the cable is cut");
    rig_work()->conns->is_noted = true;
    look(ms - 1);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    assert_true(rig_is_silent(fd));
    look(ms);
    rig_expect(fd, verdict, text);
    rig_give_back(1);
    (void)close(fd);
    rig_turn();
}

static void patience(void **state)
{
    static struct keeper_service several;
    struct wire_msg *m;
    int fd;

    (void)state;
    rig_keeper();
    fd = asks(waits("a"));
    expect_patience(fd, GUARD_PATIENCE_MS, WIRE_REFUSED_NET,
                    "the cable is cut");
    rig_config("\"locks\": {\"a\": {\"on_unreachable\": \"open\"}}");
    fd = asks(waits("a")); /* a command does not, whatever is configured */
    expect_patience(fd, GUARD_PATIENCE_MS, WIRE_REFUSED_NET,
                    "the cable is cut");
    fd = asks_open(waits("a"));
    expect_patience(fd, GUARD_OPEN_MS, WIRE_GO, "starting without lock");
    assert_null(rig_work());
    /* Another server may take over. */
    fd = asks_open(waits("a"));
    several = *rig_work()->service;
    (void)snprintf(several.url, sizeof(several.url), "http://x,http://y");
    {
        const struct keeper_service *one = rig_work()->service;

        rig_work()->service = &several;
        silence("the cable is cut");
        look(GUARD_OPEN_MS);
        assert_int_equal(rig_work()->state, WORK_ASKING);
        look(GUARD_PATIENCE_MS - 1);
        assert_int_equal(rig_work()->state, WORK_ASKING);
        rig_work()->service = one;
        (void)close(fd);
        rig_turn();
        rig_give_back(1);
    }
    /* For ever, unless it may go on without. */
    m = rig_command("a");
    m->wait_ms = -1;
    fd = asks_open(m);
    expect_patience(fd, GUARD_OPEN_MS, WIRE_GO, "starting without lock");
    m = rig_command("b");
    m->wait_ms = -1;
    fd = asks(m);
    silence("the cable is cut");
    look(1000LL * GUARD_PATIENCE_MS);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    /* The clock has gone back: no silence at all. */
    rig_work()->f.wait_ms = 1000;
    look(-1000LL * GUARD_PATIENCE_MS);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    (void)close(fd);
}

static void patience_of_a_session(void **state)
{
    static const int64_t all[] = {1, 2500, GUARD_PATIENCE_MS * 3};

    (void)state;
    rig_config("\"locks\": {\"s\": {\"for\": \"pam\", \"id\": "
               "\"00112233-4455-6677-8899-aabbccddeeff\", \"on_unreachable\": "
               "\"closed\"}}");
    rig_keeper();
    for (size_t i = 0; i < LENGTH(all); i++) {
        int fd = asks(rig_session("s"));

        rig_work()->patience_ms = all[i];
        expect_patience(fd, all[i], WIRE_REFUSED_NET, "the cable is cut");
        assert_null(rig_work());
    }
}

/* Of two locks it is the one that is asked for. */
static void the_lock_that_is_asked_for(void **state)
{
    char name[PARSE_NAME_MAX + 32];
    int fd;

    (void)state;
    rig_keeper();
    fd = rig_request(waits("a,b"));
    (void)rig_grant(0);
    (void)rig_asked(KW_ACQUIRE);
    zero = clock_now();
    assert_int_equal(rig_work()->helds[0].state, HELD_OURS);
    (void)snprintf(name, sizeof(name), "asked for lock \"%s\", does",
                   rig_work()->helds[1].name);
    silence("no route");
    look(GUARD_PATIENCE_MS);
    rig_expect(fd, WIRE_REFUSED_NET, name);
    rig_give_back(2);
    assert_null(rig_work());
    (void)close(fd);
}

/* ---- who holds ---- */

/* Its owner is dead: seen once in a second, where it is not connected, and at
 * once after a restart. */
static void an_owner_is_looked_for(void **state)
{
    pid_t pid = rig_process(0, 0);
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = held(rig_command("a"));
    w = rig_work();
    w->f.owner = proc_key_of(pid);
    rig_kill(pid);
    w->looked = zero;
    look(1000); /* connected as it is */
    assert_int_equal(w->state, WORK_HELD);
    conn_detach(w->conns);
    look(999);
    assert_int_equal(w->state, WORK_HELD);
    assert_int_equal(w->looked.boot_ms, zero.boot_ms);
    look(1000);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(fd);

    fd = held(rig_command("a"));
    w = rig_work();
    w->f.owner = 0; /* nobody that lives */
    conn_detach(w->conns);
    guard_resume(&rig.g);
    look(0);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(fd);
}

static void a_place_becomes_empty(void **state)
{
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    fd = held(rig_command("a"));
    w = rig_work();
    w->who.kind = IDENTITY_NONE; /* nobody in it */
    w->state = WORK_LEAVING;
    w->looked = zero;
    look(199);
    assert_int_equal(w->state, WORK_LEAVING);
    look(200);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(fd);
}

static void a_job_that_is_forgotten(void **state)
{
    struct work *w;

    (void)state;
    rig_keeper();
    rig_scontrol("echo slurm_load_jobs error: Invalid job id specified >&2; "
                 "exit 1");
    {
        int fd = task("a");

        (void)rig_grant(0);
        rig_expect(fd, WIRE_GO, "");
        (void)close(fd);
        rig_turn();
    }
    zero = clock_now();
    w = rig_work();
    w->who.kind = IDENTITY_NONE;
    w->empty = w->looked = zero;
    look(29999);
    assert_int_equal(w->looked.boot_ms, zero.boot_ms);
    look(30000);
    assert_int_equal(w->looked.boot_ms, zero.boot_ms + 30000);
    assert_null(rig.g.children); /* not for long enough */
    w->looked = zero;
    look(59999);
    assert_null(rig.g.children);
    w->looked = zero;
    look(60000);
    assert_non_null(rig.g.children);
    w->looked = zero;
    look(60000); /* it is asked already */
    assert_null(rig.g.children->next);
    rig_children();
    rig_give_back(1);
    assert_null(rig_work());
}

/* ---- who is over ---- */

static void a_release_without_an_answer(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    fd = held(rig_command("a"));
    (void)close(fd);
    rig_turn();
    (void)rig_asked(KW_RELEASE);
    rig_work()->asked = zero;
    look(60000);
    assert_int_equal(rig_work()->state, WORK_RELEASING);
    look_by(0, 60001);
    assert_null(rig_work());
    /* What the keeper says at last is of nobody. */
    rig_event(100 << GUARD_HANDLE_BITS, KEEPER_RELEASED, JUSTALOCK_OK, "");
    rig_event(100 << GUARD_HANDLE_BITS, KEEPER_GRANTED, JUSTALOCK_OK, "");
    assert_null(rig_work());
}

/* States in which time alone does nothing, however much goes by. */
static void states_without_a_bound(void **state)
{
    static const enum work_state all[] = {WORK_KNOWN, WORK_ENDING, WORK_LAPSED};
    struct work *w;

    (void)state;
    rig_keeper();
    (void)held(rig_command("a"));
    w = rig_work();
    for (size_t i = 0; i < LENGTH(all); i++) {
        w->state = all[i];
        look(1000000000);
        assert_ptr_equal(rig_work(), w);
        assert_int_equal(w->state, all[i]);
        assert_true(rig_is_asked_nothing());
    }
    w->state = WORK_HELD;
}

/* ---- rows of nobody ---- */

static struct row *row_of(uint64_t work, enum row_state to)
{
    const struct row_plan plan = {.deadline = clock_now()};
    struct row *row = table_take(&rig.g.table);
    struct row_plan now;
    uint64_t word;

    assert_non_null(row);
    row->work = work;
    row_arm(row, &plan);
    (void)row_look(row, &now, &word);
    assert_true(row_advance(row, word, to));
    return row;
}

static void rows_of_nobody(void **state)
{
    struct row *row;

    (void)state;
    rig_keeper();
    (void)held(rig_command("a"));
    row = row_of(rig_work()->f.number, ROW_DEAD); /* somebody's */
    hold_orphans(&rig.g);
    assert_int_equal(row_state(row), ROW_DEAD);
    row->work = 0;
    hold_orphans(&rig.g);
    assert_int_equal(row_state(row), ROW_DEAD);
    assert_true(rig_is_asked_nothing());
    row_free(row);
    row = row_of(UINT64_MAX, ROW_LAPSED); /* as damaged as can be */
    hold_orphans(&rig.g);
    for (uint64_t k = 0; k < WIRE_LOCKS_MAX; k++)
        assert_true(rig_asked(KW_RELEASE)->handle ==
                    (UINT64_MAX << GUARD_HANDLE_BITS | k));
    assert_int_equal(row_state(row), ROW_FREE);
    assert_int_equal(rig_work()->state, WORK_HELD);
    /* More rows said to be used than there are. */
    atomic_store(&rig.g.table.header->used, UINT32_MAX);
    hold_orphans(&rig.g);
    assert_true(rig_is_asked_nothing());
    atomic_store(&rig.g.table.header->used, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_note_after_two_seconds),
        RIG_TEST(a_keeper_that_never_comes),
        RIG_TEST(asked_by_nobody),
        RIG_TEST(patience),
        RIG_TEST(patience_of_a_session),
        RIG_TEST(the_lock_that_is_asked_for),
        RIG_TEST(an_owner_is_looked_for),
        RIG_TEST(a_place_becomes_empty),
        RIG_TEST(a_job_that_is_forgotten),
        RIG_TEST(a_release_without_an_answer),
        RIG_TEST(states_without_a_bound),
        RIG_TEST(rows_of_nobody),
    };

    return RIG_RUN(tests);
}
