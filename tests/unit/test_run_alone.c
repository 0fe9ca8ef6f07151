/* SPDX-License-Identifier: MIT */
/*
 * test_run_alone.c - the two supervisors of a command without an agent, by
 * clocks that sleep, are slewed and set: each alone ends the work in time.
 * Signals only children of its own.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/back.h"
#include "../../modules/cli/talk.h"
#include "fake_clock.h"
#include "sleeper.h"
#include "test.h"

/* A minute until TERM, 20 s to KILL, 10 s to the deadline. */
#define LIFE_MS  60000
#define GRACE_MS 20000
#define KILL_MS  10000

struct stage {
    struct run_options options;
    struct run_base base;
    struct alone a;
    struct back b;
    pid_t work;
    int status;
};

static void setup(struct stage *s, bool is_deaf)
{
    static char name[] = "work";
    static char *argv[] = {name, NULL};
    struct justalock_error err;
    struct lease_times times = {.grace_ms = GRACE_MS, .kill_ms = KILL_MS};
    int64_t ms = LIFE_MS + GRACE_MS + KILL_MS;

    memset(s, 0, sizeof(*s));
    memset(&fake_clock, 0, sizeof(fake_clock));
    s->options = (struct run_options){.lock = "test", .argv = argv};
    s->base.options = &s->options;
    s->base.terminal.fd = -1;
    s->a.base = &s->base;
    s->a.on_lost = CONFIG_LOST_KILL;
    s->a.hold = (struct hold){.fd = -1, .pidfd = -1, .times = times};
    assert_ok(page_new(&s->a.page, &err), err);
    page_set_deadline(s->a.page, &times, clock_add(clock_now(), ms));
    s->work = start(is_deaf);
    s->a.page->child = s->work;
    s->b = (struct back){.a = &s->a,
                         .state = BACK_WORKING,
                         .child = {.pid = s->work, .gate = -1},
                         .front = -1,
                         .look_at = clock_never(),
                         .told = true};
}

static void done(struct stage *s)
{
    memset(&fake_clock, 0, sizeof(fake_clock));
    if (waitpid(s->work, NULL, WNOHANG) == 0) {
        (void)kill(s->work, SIGKILL);
        (void)waitpid(s->work, NULL, 0);
    }
}

static const struct {
    const char *text;
    int64_t gone_ms, asleep_ms, slewed_ms, wall_ms;
    bool is_due;
} cases[] = {
    {"nothing", 0, 0, 0, 0, false},
    {"awake, short of it", LIFE_MS - 1000, 0, 0, 0, false},
    {"awake", LIFE_MS, 0, 0, 0, true},
    {"asleep, short of it", 0, LIFE_MS - 1000, 0, 0, false},
    {"asleep", 0, LIFE_MS, 0, 0, true},
    {"slewed down", LIFE_MS, 0, -4980, 0, true},
    {"slewed up", LIFE_MS - 4600, 0, 4600, 0, true},
    {"0.1 % slow", LIFE_MS, 0, -60, 0, true},
    {"0.1 % fast", LIFE_MS - 60, 0, 60, 0, true},
    {"slept and slewed", 40000, 20000, -3300, 0, true},
    {"set forward", 0, 0, 0, 86400000, false},
    {"set back", LIFE_MS, 0, 0, -86400000, true},
};

static void move(size_t i)
{
    fake_clock.gone_ms = cases[i].gone_ms;
    fake_clock.asleep_ms = cases[i].asleep_ms;
    fake_clock.slewed_ms = cases[i].slewed_ms;
    fake_clock.wall_ms = cases[i].wall_ms;
}

static void the_back_sends_term(void **state)
{
    struct stage s;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(&s, false);
        move(i);
        back_time(&s.b);
        if ((s.b.state == BACK_ENDING) != cases[i].is_due)
            fail_msg("%s: its state is %d", cases[i].text, s.b.state);
        if (cases[i].is_due) {
            assert_int_equal(waitpid(s.work, &s.status, 0), s.work);
            assert_int_equal(WTERMSIG(s.status), SIGTERM);
        }
        done(&s);
    }
}

/* The back may have seen that already. */
static void is_killed(struct stage *s)
{
    assert_true(s->b.state >= BACK_KILLING);
    if (waitpid(s->work, &s->status, 0) == s->work)
        assert_int_equal(WTERMSIG(s->status), SIGKILL);
}

static void the_back_sends_kill(void **state)
{
    struct stage s;

    (void)state;
    setup(&s, true);
    fake_clock.asleep_ms = LIFE_MS;
    back_time(&s.b);
    assert_int_equal(s.b.state, BACK_ENDING);
    fake_clock.asleep_ms = LIFE_MS + GRACE_MS - 1000;
    back_time(&s.b);
    assert_int_equal(waitpid(s.work, &s.status, WNOHANG), 0);
    fake_clock.asleep_ms = LIFE_MS + GRACE_MS;
    back_time(&s.b);
    is_killed(&s);
    assert_true(s.b.is_lost);
    done(&s);
}

/* All at once, TERM and KILL and the deadline: it sleeps through them. */
static void the_back_wakes_late(void **state)
{
    struct stage s;

    (void)state;
    setup(&s, true);
    fake_clock.asleep_ms = 10 * LIFE_MS;
    back_time(&s.b); /* TERM */
    back_time(&s.b); /* KILL */
    is_killed(&s);
    done(&s);
}

/*
 * The front alone: its back is stopped. It sleeps in poll while the clocks
 * move; a word from the back wakes it as the timer would, which counts a real
 * suspend.
 */
static void the_front_ends_it(void **state)
{
    struct stage s;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct justalock_error err;
        int64_t more_ms = GRACE_MS + 100; /* KILL is due, and slack */
        int pair[2];
        pid_t back;

        if (!cases[i].is_due)
            continue;
        setup(&s, true);
        assert_int_equal(
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
        assert_ok(signals_open(&s.base.signals, &err), err);
        back = start(true);
        (void)kill(back, SIGSTOP);
        s.a.front_end = pair[0];
        (void)talk_send(pair[1], TALK_CONTINUED, 0);
        move(i);
        fake_clock.gone_ms += more_ms;
        assert_int_equal(front_main(&s.a, back), CLI_LOST);
        assert_int_not_equal(waitpid(s.work, &s.status, WNOHANG), 0); /* dead */
        (void)close(pair[0]);
        (void)close(pair[1]);
        signals_restore(&s.base.signals);
        done(&s);
    }
}

/* It rings early rather than late: the clocks may run apart until then. */
static void the_timer_rings_early(void **state)
{
    struct justalock_error err;
    struct itimerspec spec;
    int fd = -1;

    (void)state;
    memset(&fake_clock, 0, sizeof(fake_clock));
    assert_ok(timer_open(&fd, &err), err);
    timer_set(fd, clock_add(clock_now(), 40000));
    assert_int_equal(timerfd_gettime(fd, &spec), 0);
    assert_in_range(spec.it_value.tv_sec, 30, 35);
    timer_set(fd, clock_now());
    assert_int_equal(timerfd_gettime(fd, &spec), 0);
    assert_true(spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec <= 1);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_back_sends_term),
        cmocka_unit_test(the_back_sends_kill),
        cmocka_unit_test(the_back_wakes_late),
        cmocka_unit_test(the_front_ends_it),
        cmocka_unit_test(the_timer_rings_early),
    };

    (void)alarm(60); /* a front that misses it waits for ever */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
