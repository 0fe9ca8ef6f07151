/* SPDX-License-Identifier: MIT */
/*
 * test_guard_session.c - login sessions: who may open one, the life line that
 * says when it is over, what of it keeps the lock, the cookie, and what its
 * terminals show.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"
#include "agent_client.h"

#define CONFIG                                                                 \
    "\"locks\": {\"s\": {\"for\": \"pam\"}, \"kill\": {\"for\": \"pam\","      \
    " \"on_end\": \"kill\"}, \"few\": {\"for\": \"pam\", \"users\":"           \
    " [\"1042\"]}, \"job\": {}}"

static int up(void **state)
{
    int rc = rig_guard_up(state);

    if (rc != 0)
        return rc;
    rig_config(CONFIG);
    rig_keeper();
    return 0;
}

static void say(const struct wire_msg *m, enum wire_verdict verdict,
                const char *part)
{
    int fd = rig_request(m);

    rig_expect(fd, verdict, part);
    (void)close(fd);
    rig_turn();
}

static char cookie[WIRE_COOKIE_LEN + 1];

/* Open one, with its lock; returns the life line. */
static int opens_as(const struct wire_msg *request)
{
    static struct wire_msg m;
    struct justalock_error err;
    int life = -1, fd = rig_request(request);

    (void)rig_grant(0);
    assert_ok(agent_recv_fd(fd, &m, &life, clock_now(), &err), err);
    assert_int_equal(m.verdict, WIRE_GO);
    assert_true(life > 2);
    assert_int_equal(strlen(m.cookie), WIRE_COOKIE_LEN);
    memcpy(cookie, m.cookie, sizeof(cookie));
    (void)close(fd);
    rig_turn();
    assert_int_equal(rig_work()->state, WORK_HELD);
    return life;
}

static int opens(const char *lock)
{
    return opens_as(rig_session(lock));
}

static int closes(void)
{
    struct wire_msg m = {.type = WIRE_SESSION_CLOSE};

    memcpy(m.cookie, cookie, sizeof(cookie));
    return rig_request(&m);
}

static void wrong_requests(void **state)
{
    static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    struct wire_msg *m;
    int fd = rig_dial_as(65534);

    (void)state;
    rig_say(fd, rig_session("s"));
    rig_expect(fd, WIRE_REFUSED_DENIED, "runs as root");
    say(rig_session(""), WIRE_REFUSED_BAD, "one lock");
    say(rig_session("s,kill"), WIRE_REFUSED_BAD, "one lock");
    m = rig_session("s");
    m->session.user[0] = '\0';
    say(m, WIRE_REFUSED_BAD, "a user and a service");
    m = rig_session("s");
    m->session.service[0] = '\0';
    say(m, WIRE_REFUSED_BAD, "a user and a service");
    for (int i = 0; i < 3; i++) {
        m = rig_session("s");
        (void)snprintf(i == 0   ? m->session.user
                       : i == 1 ? m->session.ruser
                                : m->session.service,
                       sizeof(m->session.user), "%s", long_name);
        say(m, WIRE_REFUSED_BAD, "at most 63 bytes");
    }
    for (int i = 0; i < 6; i++) {
        m = rig_session("s");
        m->wait_ms = i == 0 ? -1 : i == 1 ? -3 : 0;
        m->on_lost = i == 2 ? WIRE_LOST_SIGNAL : i == 3 ? 4 : 0;
        m->session.on_end = i == 4 ? CONFIG_END_RELEASE + 1 : 0;
        m->session.share = i == 5 ? 2 : 0;
        say(m, WIRE_REFUSED_BAD, "out of range");
    }
    /* The admin's mistakes, not the user's. */
    say(rig_session("job"), WIRE_REFUSED_CONFIG, "job");
    say(rig_session("none"), WIRE_REFUSED_CONFIG, "none");
    assert_null(rig_work());
    assert_true(rig_is_asked_nothing());
}

static void users_of_a_lock(void **state)
{
    int fd = rig_request(rig_session("few"));
    struct wire_msg *m;

    (void)state;
    rig_children();
    rig_expect(fd, WIRE_REFUSED_DENIED, "few");
    m = rig_session("few");
    m->session.uid = 1042;
    (void)rig_request(m);
    rig_children();
    assert_string_equal(rig_asked(KW_ACQUIRE)->lock.label,
                        "alice@n1 (sshd from 192.0.2.7)");
}

/* Its record must be read again. */
static void a_host_that_is_cut_inside_a_letter(void **state)
{
    struct wire_msg *m = rig_session("s");
    int life;

    (void)state;
    memset(m->session.rhost, 'r', 70);
    memcpy(m->session.rhost + 61, "\xe2\x82\xac", 3); /* a euro sign */
    m->session.rhost[70] = '\0';
    life = opens_as(m);
    assert_int_equal(strlen(rig_work()->f.rhost), 63);
    assert_true(parse_is_clean_text(rig_work()->f.rhost, 63));
    (void)close(life);
}

static void busy_and_silent(void **state)
{
    int fd = rig_request(rig_session("s"));

    (void)state;
    assert_int_equal(rig_asked(KW_ACQUIRE)->wait_ms, 0);
    rig_event(work_handle(rig_work(), rig_work()->helds), KEEPER_BUSY,
              JUSTALOCK_HELD, "");
    rig_expect(fd, WIRE_REFUSED_BUSY, "is held by job 7 since");
    rig_give_back(1);
    assert_null(rig_work());
    /* The module waits 10 s; it hears of a silent service before. */
    fd = rig_request(rig_session("s"));
    (void)rig_asked(KW_ACQUIRE);
    rig_event(work_handle(rig_work(), rig_work()->helds), KEEPER_TROUBLE,
              JUSTALOCK_NET, "no route");
    rig_tick(7900);
    assert_int_equal(rig_work()->state, WORK_ASKING);
    rig_tick(8100);
    rig_expect(fd, WIRE_REFUSED_NET, "no route");
    rig_give_back(1);
    assert_null(rig_work());
}

static void over_with_its_life_line(void **state)
{
    struct work *w;
    int life = opens("s");
    int copy = dup(life); /* as a plain fork keeps it */

    (void)state;
    w = rig_work();
    assert_true(rig_is_recorded(w->f.number, WORK_HELD));
    (void)close(life);
    rig_tick(10000);
    assert_int_equal(w->state, WORK_HELD);
    (void)close(copy);
    rig_turn(); /* what is of it: we alone, and we are spared */
    rig_give_back(1);
    assert_null(rig_work());
    assert_int_equal(rig.g.table.rows[0].work, 0);
}

/* A child of the program that opened it, which it leaves behind. */
static void kept_by_what_lives_on(void **state)
{
    pid_t pid = rig_process(0, 0);
    int fd, life = opens("s");
    struct work *w = rig_work();

    (void)state;
    assert_int_equal(w->row->who.kind, IDENTITY_TREE);
    fd = closes();
    rig_expect(fd, WIRE_GO, "1 processes of the session live on");
    assert_int_equal(w->state, WORK_LEAVING);
    assert_true(rig_is_asked_nothing());
    assert_int_equal(row_state(w->row), ROW_ARMED);
    (void)close(fd);
    rig_kill(pid);
    rig_tick(1000);
    rig_give_back(1);
    assert_null(rig_work());
    (void)close(life);
}

static void ended_where_it_is_so_configured(void **state)
{
    pid_t pid = rig_process(0, 0);
    int fd, life = opens("kill");
    struct work *w = rig_work();

    (void)state;
    fd = closes();
    assert_true(rig_is_silent(fd)); /* answered when it is free */
    assert_int_equal(w->state, WORK_ENDING);
    rig_row(w, ROW_ENDING);
    rig_kill(pid);
    rig_row(w, ROW_DEAD);
    assert_true(rig_is_silent(fd));
    rig_give_back(1);
    rig_expect(fd, WIRE_GO, "");
    assert_null(rig_work());
    (void)close(life);
}

/* Its lock is gone and it was let live: its end is answered as any other. */
static void over_after_its_lock_lapsed(void **state)
{
    struct wire_msg *m = rig_session("s");
    int life;

    (void)state;
    m->on_lost = WIRE_LOST_LOG;
    life = opens_as(m);
    rig_row(rig_work(), ROW_LAPSED);
    rig_give_back(1);
    assert_int_equal(rig_work()->state, WORK_LAPSED);
    rig_expect(closes(), WIRE_GO, "");
    assert_null(rig_work());
    (void)close(life);
}

static void a_cookie_that_nobody_gave(void **state)
{
    int life = opens("s");

    (void)state;
    cookie[0] = cookie[0] == '0' ? '1' : '0';
    rig_expect(closes(), WIRE_GO, ""); /* gone already, for all it can tell */
    cookie[0] = '\0';
    rig_expect(closes(), WIRE_GO, "");
    assert_int_equal(rig_work()->state, WORK_HELD);
    (void)close(life);
}

/* It did not wait for the answer. */
static void one_that_is_gone_when_it_is_granted(void **state)
{
    int fd = rig_request(rig_session("s"));
    uint64_t handle = rig_asked(KW_ACQUIRE)->handle;

    (void)state;
    rig.g.works->conns->work->f.is_eager = true; /* not seen to go yet */
    (void)close(fd);
    rig_turn();
    rig_event(handle, KEEPER_GRANTED, JUSTALOCK_OK, "");
    rig_give_back(1);
    assert_null(rig_work());
}

static void no_life_line_no_session(void **state)
{
    int fd;

    (void)state;
    for (int i = 0; i < 2; i++) {
        char name[32];

        fd = rig_request(rig_session("s"));
        (void)snprintf(name, sizeof(name), "life-%llu",
                       (unsigned long long)rig_work()->f.number);
        if (i == 0) { /* in its place, and not to be removed */
            char path[128];

            (void)snprintf(path, sizeof(path), "%s/%s", rig.state, name);
            assert_int_equal(mkdir(path, 0700), 0);
        } else {
            failing_call("epoll_ctl", ENOSPC);
        }
        (void)rig_grant(0);
        rig_expect(fd, WIRE_REFUSED_LOCAL, "life line: ");
        (void)close(fd);
        rig_turn();
        rig_give_back(1);
        assert_null(rig_work());
        assert_int_equal(rig_has_file(name), i == 0);
    }
}

static void each_allocation_fails(void **state)
{
    bool is_done = false;
    long nth;

    (void)state;
    rig.around = failing_pause;
    failing_pause(true);
    for (nth = 0; !is_done && nth < 200; nth++) {
        static struct keeper_msg m;
        static struct wire_msg answer;
        struct justalock_error err;
        long live = failing_live();
        bool more = true;
        int life = -1, fd = rig_dial();

        failing_memory(nth);
        rig_say(fd, rig_session("s"));
        for (int i = 0; i < 2; i++) {
            while (rig.g.keeper.fd >= 0 &&
                   keeper_wire_recv(rig.keeper, &m, &more, &err) ==
                       JUSTALOCK_OK &&
                   more)
                if (m.type == KW_ACQUIRE)
                    rig_event(m.handle, KEEPER_GRANTED, JUSTALOCK_OK, "");
                else if (m.type == KW_RELEASE)
                    rig_event(m.handle, KEEPER_RELEASED, JUSTALOCK_OK, "");
            if (rig.g.keeper.fd < 0) {
                rig_keeper_gone();
                rig_keeper();
            } else if (i == 0) {
                if (agent_recv_fd(fd, &answer, &life, clock_now(), &err) ==
                        JUSTALOCK_OK &&
                    life >= 0)
                    (void)close(life); /* it is over again */
                life = -1;
                (void)close(fd);
                fd = -1;
                rig_turn();
            }
        }
        if (fd >= 0)
            (void)close(fd);
        rig_turn();
        is_done = !failing_came();
        failing_memory(-1);
        while (rig.g.works) {
            enum held_state was = rig.g.works->helds[0].state;

            assert_int_equal(was, HELD_RELEASING);
            rig_event(work_handle(rig.g.works, rig.g.works->helds),
                      KEEPER_RELEASED, JUSTALOCK_OK, "");
        }
        while (!rig_is_asked_nothing())
            continue;
        assert_null(rig.g.conns);
        assert_int_equal(failing_live(), live);
        assert_int_equal(table_active(&rig.g.table), 0);
    }
    rig.around = NULL;
    failing_pause(false);
    assert_true(is_done && nth > 8);
}

/* ---- after a restart ---- */

/* As a new guard finds it, having read the record. */
static void adopted(struct work *w)
{
    guard_forget_fd(&rig.g, &w->life);
    w->left_alone = clock_now();
    session_adopt(&rig.g, w);
}

static void the_life_line_is_taken_up(void **state)
{
    int life = opens("s");

    (void)state;
    adopted(rig_work());
    assert_false(rig_work()->is_undelivered);
    assert_true(rig_work()->life.fd >= 0);
    rig_tick(60000);
    assert_int_equal(rig_work()->state, WORK_HELD);
    (void)close(life);
    rig_turn();
    rig_give_back(1);
    assert_null(rig_work());
}

/* Granted, and the answer was lost with the old guard: asked again. */
static void undelivered_and_asked_again(void **state)
{
    static struct wire_msg m;
    struct justalock_error err;
    int fd, life = opens("s");

    (void)state;
    (void)close(life);
    guard_forget_fd(&rig.g, &rig_work()->life);
    adopted(rig_work());
    assert_true(rig_work()->is_undelivered);
    rig_tick(900); /* it gets its time to come back */
    assert_int_equal(rig_work()->state, WORK_HELD);
    fd = rig_request(rig_session("s"));
    assert_true(rig_is_asked_nothing()); /* the same lock */
    assert_ok(agent_recv_fd(fd, &m, &life, clock_now(), &err), err);
    assert_int_equal(m.verdict, WIRE_GO);
    assert_true(life > 2);
    assert_false(rig_work()->is_undelivered);
    (void)close(life);
    rig_turn();
    rig_give_back(1);
    assert_null(rig_work());
}

static void undelivered_and_never_asked_again(void **state)
{
    int life = opens("s");

    (void)state;
    (void)close(life);
    guard_forget_fd(&rig.g, &rig_work()->life);
    adopted(rig_work());
    rig_work()->looked = clock_add(clock_now(), -2000);
    rig_tick(1100);
    rig_give_back(1);
    assert_null(rig_work());
}

/* Who would have to ask is dead. */
static void undelivered_to_the_dead(void **state)
{
    int life = opens("s");

    (void)state;
    (void)close(life);
    guard_forget_fd(&rig.g, &rig_work()->life);
    rig_work()->f.owner = 0; /* nobody that lives */
    guard_resume(&rig.g);
    assert_true(rig_work()->is_undelivered);
    rig_tick(0);
    rig_give_back(1);
    assert_null(rig_work());
}

static void without_its_fifo(void **state)
{
    char path[128];
    int life = opens("s");

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/life-%llu", rig.state,
                   (unsigned long long)rig_work()->f.number);
    assert_int_equal(unlink(path), 0);
    adopted(rig_work());
    assert_true(rig_work()->is_undelivered);
    assert_int_equal(rig_work()->state, WORK_HELD);
    (void)close(life);
}

/* ---- its terminals ---- */

/* A login on a terminal of its own. */
static pid_t login(int *ret_master)
{
    char byte;
    pid_t pid = forkpty(ret_master, NULL, NULL, NULL);

    if (pid == 0) {
        (void)!write(1, "x", 1);
        for (;;)
            (void)pause();
    }
    assert_true(pid > 0);
    assert_int_equal(read(*ret_master, &byte, 1), 1);
    assert_int_equal(fcntl(*ret_master, F_SETFL, O_NONBLOCK), 0);
    return pid;
}

static const char *shown(int master)
{
    static char text[1024];
    struct pollfd p = {.fd = master, .events = POLLIN};
    ssize_t n;

    (void)poll(&p, 1, 500); /* the kernel passes it on when it has time */
    n = read(master, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void its_terminals_show_a_loss(void **state)
{
    int master, life;
    pid_t pid = login(&master);
    struct work *w;
    struct row_plan plan;

    (void)state;
    life = opens("s");
    w = rig_work();
    /* It comes near: said once, with what is left. */
    plan.deadline = clock_add(w->helds[0].t0, 300 * 1000);
    (void)row_look(w->row, &plan, NULL);
    session_tick(&rig.g, w,
                 clock_add(plan.deadline, -plan.term_lead_ms - 9000));
    assert_has(shown(master), "lock \"s\" could not be refreshed for 2");
    session_tick(&rig.g, w,
                 clock_add(plan.deadline, -plan.term_lead_ms - 8000));
    assert_string_equal(shown(master), "");
    rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST, "taken");
    assert_has(shown(master), "lock \"s\" is lost: taken: this session is "
                              "being ended\r");
    session_tell(w, "by \033[2J", -1);
    assert_has(shown(master), "justalock: by ?[2J: this session");
    w->f.on_lost = CONFIG_LOST_SIGNAL;
    session_tell(w, "x", 5999);
    assert_has(shown(master), "x: this session gets a signal in 5 s unless");
    session_tell(w, "x", -1);
    assert_has(shown(master), "x: this session gets a signal\r");
    w->f.on_lost = CONFIG_LOST_LOG;
    session_tell(w, "x", 5999);
    assert_has(shown(master), "x: this session goes on without it\r");
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)close(master);
    (void)close(life);
}

/* ^S, or a peer that does not read: the others are told all the same. */
static void a_terminal_that_is_full(void **state)
{
    static char fill[65536];
    int first, second, life, slave;
    pid_t pids[2] = {login(&first), login(&second)};
    struct work *w;

    (void)state;
    memset(fill, 'x', sizeof(fill));
    slave = open(ptsname(first), O_WRONLY | O_NONBLOCK | O_NOCTTY);
    assert_true(slave >= 0);
    while (write(slave, fill, sizeof(fill)) > 0)
        continue;
    life = opens("s");
    w = rig_work();
    rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST, "taken");
    assert_has(shown(second), "is lost: taken");
    for (int i = 0; i < 2; i++) {
        (void)kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    (void)close(slave);
    (void)close(first);
    (void)close(second);
    (void)close(life);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, up, rig_guard_down)
    const struct CMUnitTest tests[] = {
        TEST(wrong_requests),
        TEST(users_of_a_lock),
        TEST(a_host_that_is_cut_inside_a_letter),
        TEST(busy_and_silent),
        TEST(over_with_its_life_line),
        TEST(kept_by_what_lives_on),
        TEST(ended_where_it_is_so_configured),
        TEST(over_after_its_lock_lapsed),
        TEST(a_cookie_that_nobody_gave),
        TEST(one_that_is_gone_when_it_is_granted),
        TEST(no_life_line_no_session),
        TEST(each_allocation_fails),
        TEST(the_life_line_is_taken_up),
        TEST(undelivered_and_asked_again),
        TEST(undelivered_and_never_asked_again),
        TEST(undelivered_to_the_dead),
        TEST(without_its_fifo),
        TEST(its_terminals_show_a_loss),
        TEST(a_terminal_that_is_full),
    };

    return RIG_RUN(tests);
}
