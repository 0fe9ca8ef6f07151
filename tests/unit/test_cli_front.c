/* SPDX-License-Identifier: MIT */
/*
 * test_cli_front.c - the process that the user started: what it passes on,
 * stops with, returns, and does alone when its back is stopped or dies, at
 * each step and together with whatever else may happen. The test is the back.
 */
#include "front_stage.h"

static void stage_await(pid_t pid, char state)
{
    for (int ms = 0; ms < LONG_MS && tree_state(pid) != state; ms++)
        (void)usleep(1000);
    assert_int_equal(tree_state(pid), state);
}

/* ---- the back lives ---- */

static void its_status_is_what_the_back_says(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    stage_say(TALK_EXITED, 3 << 8);
    stage_say(TALK_ENDED, 7);
    stage_say(TALK_ENDED, 8); /* the first one counts */
    stage_ends(7, "");
}

static void signals_are_passed_on(void **state)
{
    static const int all[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                              SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH};
    static const int ours[] = {SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU};

    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    for (size_t i = 0; i < LENGTH(all); i++) {
        stage_kill(stage.front, all[i]);
        assert_int_equal(stage_heard(), all[i]);
    }
    for (size_t i = 0; i < LENGTH(ours); i++)
        stage_kill(stage.front, ours[i]);
    stage_kill(stage.front, SIGRTMIN); /* is taken after these */
    assert_int_equal(stage_heard(), SIGRTMIN);
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
}

static void before_there_is_a_command(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_start(STAGE_NONE, NULL);
    stage_kill(stage.front, SIGTSTP);
    stage_stops();
    stage_kill(stage.front, SIGTERM); /* while it stands */
    stage_thaw();
    assert_int_equal(stage_heard(), SIGTERM);
    assert_int_equal(stage_heard(), SIGCONT);
    stage_say(TALK_ENDED, 143);
    stage_ends(143, "");
}

static void stops_and_goes_on_with_the_command(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    for (int i = 0; i < 2; i++) {
        stage.page->goes_on = 0;
        stage_say(TALK_STOPPED, SIGTSTP);
        stage_stops();
        stage_thaw();
        assert_int_equal(stage_heard(), SIGCONT);
        assert_int_equal(stage_heard(), SIGCONT); /* what it got itself */
    }
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
}

/* The command goes on before the front has stopped with it: it would stand
 * still for ever. */
static void continued_before_it_has_stopped(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    stage_freeze();
    stage_say(TALK_STOPPED, SIGTSTP);
    stage.page->goes_on = 1;
    stage_thaw(); /* as the back does */
    stage_say(TALK_ENDED, 5);
    stage_ends(5, "");
}

/* Two stops that it hears of late: it goes on once, and so does the command. */
static void an_older_stop_stops_nobody(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    stage_freeze();
    stage_say(TALK_STOPPED, SIGTSTP);
    stage_say(TALK_STOPPED, SIGTTIN);
    stage_thaw();
    stage_stops();
    stage_thaw();
    assert_int_equal(stage_heard(), SIGCONT);
    stage_say(TALK_ENDED, 5);
    stage_ends(5, "");
}

static void in_a_session_of_its_own(void)
{
    (void)setsid();
}

static void nobody_could_continue_it(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_DIES, in_a_session_of_its_own);
    stage_say(TALK_STOPPED, SIGTSTP);
    assert_int_equal(stage_heard(), SIGCONT); /* nor the command */
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
}

/* What is left was never in the foreground: the stop is ours alone. */
static void stopped_after_the_command(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_LEAVES, NULL);
    stage_freeze();
    stage_say(TALK_EXITED, 0);
    stage_kill(stage.front, SIGTSTP);
    stage_thaw();
    /* The SIGCONT took this TSTP away; here is another. */
    stage_kill(stage.front, SIGRTMIN);
    while (stage_heard() != SIGRTMIN)
        continue;
    stage_kill(stage.front, SIGTSTP);
    stage_stops();
    stage_thaw();
    assert_int_equal(stage_heard(), SIGCONT);
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
}

/* ---- the back is late ---- */

static void nothing_is_due_without_a_lock(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(-1);
    stage.page->state = PAGE_DONE;
    stage_start(STAGE_DIES, NULL);
    stage_kill(stage.front, SIGUSR1);
    assert_int_equal(stage_heard(), SIGUSR1); /* it has looked at the time */
    assert_int_equal(stage.page->warned, 0);
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
    assert_int_equal(kill(stage.command, 0), 0);
}

static void a_stopped_back(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(3100); /* TERM, then KILL after 2 s */
    stage_start(STAGE_LEAVES, NULL);
    stage_kill(stage.back, SIGSTOP);
    stage_await(stage.command, 'Z'); /* by its TERM */
    assert_true(clock_left_ms(page_kill_at(stage.page), clock_now()) > 0);
    assert_int_equal(stage.page->warned, 1);
    assert_int_not_equal(tree_state(stage.left), 'Z');
    stage_ends(CLI_LOST, "");
    assert_true(clock_left_ms(page_deadline(stage.page), clock_now()) > 0);
    stage_dead(stage.left);
    stage_await_dead(stage.keeper); /* told to, not waited for */
    stage_await_dead(stage.back);
}

/* Whether the work is dead at the end of the lease is not known then. */
static void later_than_the_lease(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(-1000);
    stage_start(STAGE_DEAF, NULL);
    stage_ends(CLI_LOST_ALIVE,
               "a: the lease has ended, and the end of work could not be "
               "confirmed");
}

static void a_loss_that_kills_nobody(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_LOG);
    stage_held(-1000);
    stage_start(STAGE_DIES, NULL);
    stage_kill(stage.front, SIGUSR1);
    assert_int_equal(stage_heard(), SIGUSR1);
    assert_int_equal(stage.page->warned, 0);
    stage_say(TALK_ENDED, 9);
    stage_ends(9, "");
}

/* ---- the back dies ---- */

static void back_dies(void)
{
    stage_kill(stage.back, SIGKILL);
    (void)close(stage.talk);
    stage.talk = 0;
}

static void before_the_command(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_start(STAGE_NONE, NULL);
    back_dies();
    stage_ends(CLI_LOCAL, "a: our second process was killed; work was not "
                          "started");
}

static void while_the_command_runs(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000); /* the grace counts, not the lease */
    stage_start(STAGE_LEAVES, NULL);
    back_dies();
    stage_ends(CLI_LOST, "lost lock a: our second process was killed; ending "
                         "work");
    stage_dead(stage.command);
    stage_dead(stage.left);
    stage_await_dead(stage.keeper); /* told to, not waited for */
}

/* A stop of the only one who ends the work in time. */
static void it_does_not_stop_then(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_LEAVES, NULL);
    stage_freeze();
    stage_say(TALK_STOPPED, SIGTSTP); /* its last word */
    back_dies();
    stage_await(stage.back, 'Z');
    stage_thaw();
    stage_await(stage.command, 0);
    stage_kill(stage.front, SIGTSTP);
    stage_ends(CLI_LOST, "ending work");
    stage_dead(stage.left);
}

static void with_its_last_words(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_KILL);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    stage_freeze();
    stage_say(TALK_EXITED, 0);
    stage_say(TALK_ENDED, 11);
    back_dies();
    stage_await(stage.back, 'Z');
    stage_thaw();
    stage_ends(11, "");
}

/* The work is over; only the release was under way. */
static void while_it_gives_back(void **state)
{
    (void)state;
    for (int told = 0; told < 2; told++) {
        stage_init(CONFIG_LOST_KILL);
        stage_held(60000);
        stage_start(STAGE_NONE, NULL);
        stage.page->state = PAGE_DONE;
        if (told)
            stage_say(TALK_EXITED, 6 << 8);
        back_dies();
        stage_ends(told ? 6 : CLI_LOCAL, "");
        (void)stage_down(state);
    }
    stage_init(CONFIG_LOST_KILL);
}

/* Both are dead when it looks: the status is not to be lost. */
static void together_with_the_command(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_LOG);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    stage_freeze();
    back_dies();
    stage_await(stage.back, 'Z');
    stage_kill(stage.command, SIGUSR2);
    stage_await(stage.command, 'Z');
    stage_thaw();
    stage_ends(4, "lost lock a: our second process was killed; work goes on "
                  "without it");
}

static void the_command_goes_on(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_LOG);
    stage_held(60000);
    stage_start(STAGE_LEAVES, NULL);
    back_dies();
    stage_await(stage.back, 0);
    stage_kill(stage.front, SIGUSR1); /* still its command's */
    stage_await(stage.command, 0);
    stage_kill(stage.front, SIGTERM); /* nobody's, now */
    stage_kill(stage.left, SIGKILL);  /* until then it stays */
    stage_ends(3, "goes on without it");
}

static void the_command_gets_its_signal(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_SIGNAL);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    back_dies();
    stage_ends(3, "goes on without it");
    assert_int_equal(stage.page->warned, 1);
}

/* Stopped by its terminal, it stops us, as if there were a back. */
static void it_stops_with_the_command_then(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_LOG);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    back_dies();
    stage_await(stage.back, 0);
    stage_kill(stage.command, SIGTSTP);
    stage_stops();
    stage_thaw();
    stage_kill(stage.front, SIGUSR1);
    stage_ends(3, "goes on without it");
}

static bool is_pending(pid_t pid, int signo)
{
    char path[64], line[128];
    unsigned long long set = 0;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, "ShdPnd:", 7) == 0)
            set = strtoull(line + 7, NULL, 16);
    (void)fclose(f);
    return (set >> (signo - 1) & 1) != 0;
}

/* A signal that comes when the back cannot be told any more, and is not dead
 * as far as we know. */
static void a_signal_between(void **state)
{
    (void)state;
    stage_init(CONFIG_LOST_LOG);
    stage_held(60000);
    stage_start(STAGE_DIES, NULL);
    (void)close(stage.talk);
    stage.talk = 0;
    stage_kill(stage.front, SIGTERM);
    for (int ms = 0; ms < LONG_MS && is_pending(stage.front, SIGTERM); ms++)
        (void)usleep(1000);
    stage_kill(stage.back, SIGKILL);
    stage_ends(143, "goes on without it");
}

/* It had reaped the command, without a word: the pid is another's. */
static void a_command_that_is_no_more(void **state)
{
    pid_t other = fork();

    (void)state;
    if (other == 0) {
        (void)setpgid(0, 0);
        stage_pause();
    }
    (void)setpgid(other, other);
    stage_init(CONFIG_LOST_SIGNAL);
    stage_held(60000);
    stage_start(STAGE_NONE, NULL);
    stage.page->child = other;
    back_dies();
    stage_ends(CLI_LOST, "goes on without it");
    assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
    stage_kill(other, SIGKILL);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, stage_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_status_is_what_the_back_says),
        TEST(signals_are_passed_on),
        TEST(before_there_is_a_command),
        TEST(stops_and_goes_on_with_the_command),
        TEST(continued_before_it_has_stopped),
        TEST(an_older_stop_stops_nobody),
        TEST(nobody_could_continue_it),
        TEST(stopped_after_the_command),
        TEST(nothing_is_due_without_a_lock),
        TEST(a_stopped_back),
        TEST(later_than_the_lease),
        TEST(a_loss_that_kills_nobody),
        TEST(before_the_command),
        TEST(while_the_command_runs),
        TEST(it_does_not_stop_then),
        TEST(with_its_last_words),
        TEST(while_it_gives_back),
        TEST(together_with_the_command),
        TEST(the_command_goes_on),
        TEST(the_command_gets_its_signal),
        TEST(it_stops_with_the_command_then),
        TEST(a_signal_between),
        TEST(a_command_that_is_no_more),
    };

    (void)alarm(120); /* a front that misses something waits for ever */
    /* What a front leaves comes to us. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
