/* SPDX-License-Identifier: MIT */
/*
 * test_cli_terminal.c - who has the terminal, by a shell that the test is, in
 * a session of its own: what the functions do, and a front whose command ends,
 * stops, goes on, or was begun in the background.
 */
#include "front_stage.h"

#include <stdio.h>
#include <termios.h>

static int tty = -1;

static pid_t foreground(void)
{
    return tcgetpgrp(tty);
}

static void await_foreground(pid_t group)
{
    for (int ms = 0; ms < LONG_MS && foreground() != group; ms++)
        (void)usleep(1000);
    assert_int_equal(foreground(), group);
}

static void put_foreground(pid_t group)
{
    assert_int_equal(tcsetpgrp(tty, group), 0);
}

static int down(void **state)
{
    put_foreground(getpgrp());
    return stage_down(state);
}

/* ---- the functions ---- */

static void a_terminal_is_given_and_taken(void **state)
{
    struct terminal t;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        (void)setpgid(0, 0);
        stage_pause();
    }
    (void)setpgid(child, child);
    terminal_open(&t);
    assert_true(t.fd >= 0);
    assert_int_equal(fcntl(t.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(t.own, getpgrp());
    assert_true(terminal_is_ours(&t));
    assert_false(terminal_is_of(&t, child));
    assert_false(terminal_is_of(&t, 0));
    assert_false(terminal_take(&t, child)); /* it has not got it */
    assert_int_equal(foreground(), getpgrp());
    terminal_pass_on(&t, 0); /* there is no command */
    assert_int_equal(foreground(), getpgrp());
    terminal_pass_on(&t, child);
    assert_int_equal(foreground(), child);
    terminal_pass_on(&t, 1); /* it is not ours any more */
    assert_int_equal(foreground(), child);
    assert_false(terminal_is_ours(&t));
    assert_true(terminal_take(&t, child));
    assert_int_equal(foreground(), getpgrp());
    terminal_give(&t, child);
    assert_int_equal(foreground(), child);
    terminal_give(&t, 1); /* of another session: all stays as it is */
    assert_int_equal(foreground(), child);
    assert_true(terminal_take(&t, child));
    (void)close(t.fd);
    stage_kill(child, SIGKILL);
}

static void no_terminal(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct terminal t;

        (void)setsid();
        terminal_open(&t); /* there is none */
        terminal_give(&t, getpid());
        terminal_pass_on(&t, getpid());
        _exit(t.fd == -1 && !terminal_is_ours(&t) &&
                      !terminal_take(&t, getpid())
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- a front ---- */

/* A shell does not stop for it. */
static void block_ttou(int how)
{
    sigset_t one;

    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGTTOU);
    (void)sigprocmask(how, &one, NULL);
}

/* As a shell begins a job: a group of its own, with another one in it. */
static void in_a_job(void)
{
    (void)setpgid(0, 0);
    block_ttou(SIG_UNBLOCK);
    stage.left = fork();
    if (stage.left == 0) {
        (void)signal(SIGINT, SIG_DFL);
        stage_pause();
    }
    terminal_open(&stage.base.terminal);
}

static void job(enum config_lost on_lost)
{
    stage_init(on_lost);
    stage_held(60000);
    stage_start(STAGE_DIES, in_a_job);
    assert_int_equal(foreground(), getpgrp());
}

static void is_continued(void)
{
    stage_thaw();
    assert_int_equal(stage_heard(), SIGCONT);
    assert_int_equal(stage_heard(), SIGCONT);
}

static void it_comes_back_from_the_command(void **state)
{
    pid_t front;

    (void)state;
    job(CONFIG_LOST_KILL);
    front = stage.front;
    put_foreground(stage.command);
    stage_say(TALK_EXITED, 0);
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
    assert_int_equal(foreground(), front);
}

static void a_shell_stops_and_continues_it(void **state)
{
    (void)state;
    job(CONFIG_LOST_KILL);
    put_foreground(stage.command);
    stage_say(TALK_STOPPED, SIGTSTP);
    stage_stops();
    assert_int_equal(foreground(), stage.front); /* as the shell's job */
    put_foreground(getpgrp());
    is_continued(); /* bg */
    assert_int_equal(foreground(), getpgrp());
    stage.page->goes_on = 0;
    stage_say(TALK_STOPPED, SIGTTIN);
    stage_stops();
    put_foreground(stage.front); /* fg */
    is_continued();
    assert_int_equal(foreground(), stage.command);
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
}

/* The command goes on before the front has stopped with it. */
static void it_gives_back_what_it_took(void **state)
{
    (void)state;
    job(CONFIG_LOST_KILL);
    put_foreground(stage.command);
    stage_freeze();
    stage_say(TALK_STOPPED, SIGTSTP);
    stage.page->goes_on = 1;
    stage_thaw(); /* as the back does */
    stage_kill(stage.front, SIGUSR1);
    while (stage_heard() != SIGUSR1)
        continue;
    await_foreground(stage.command);
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
}

/* fg of one that was begun in the background, and runs. */
static void a_shell_brings_it_to_the_front(void **state)
{
    (void)state;
    job(CONFIG_LOST_KILL);
    put_foreground(stage.front);
    stage_thaw();
    assert_int_equal(stage_heard(), SIGCONT);
    assert_int_equal(foreground(), stage.command);
    /* Not when there is none any more: then it is ours. */
    stage_say(TALK_EXITED, 0);
    await_foreground(stage.front);
    stage_thaw();
    assert_int_equal(stage_heard(), SIGCONT);
    assert_int_equal(foreground(), stage.front);
    stage_say(TALK_ENDED, 0);
    stage_ends(0, "");
}

/* Those who were begun with us see the key as without us. */
static void an_interrupt_is_for_all(void **state)
{
    (void)state;
    job(CONFIG_LOST_KILL);
    put_foreground(stage.command);
    stage_say(TALK_EXITED, SIGINT);
    stage_say(TALK_ENDED, 128 + SIGINT);
    stage_ends_by(SIGINT, "");
    stage_await_dead(stage.left);
}

static void an_interrupt_that_is_for_the_command(void **state)
{
    static const struct {
        bool has_terminal;
        int status, code;
    } all[] = {
        {false, SIGINT, 128 + SIGINT}, /* by kill */
        {true, SIGTERM, 128 + SIGTERM},
        {true, SIGINT, CLI_LOST},
        {true, 130 << 8, 130}, /* it said so, and was not ended by it */
    };

    for (size_t i = 0; i < LENGTH(all); i++) {
        job(CONFIG_LOST_KILL);
        if (all[i].has_terminal)
            put_foreground(stage.command);
        stage_say(TALK_EXITED, all[i].status);
        stage_say(TALK_ENDED, all[i].code);
        stage_ends(all[i].code, "");
        assert_false(stage_is_dead(stage.left));
        (void)down(state);
    }
    stage_init(CONFIG_LOST_KILL);
}

/* The back is dead, and the command had the terminal. */
static void it_comes_back_without_a_back(void **state)
{
    pid_t front;

    (void)state;
    job(CONFIG_LOST_KILL);
    front = stage.front;
    put_foreground(stage.command);
    stage_kill(stage.back, SIGKILL);
    stage_kill(stage.left, SIGKILL);
    stage_ends(CLI_LOST, "ending work");
    assert_int_equal(foreground(), front);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, down)

static int run(const char *name)
{
    const struct CMUnitTest tests[] = {
        TEST(a_terminal_is_given_and_taken),
        TEST(no_terminal),
        TEST(it_comes_back_from_the_command),
        TEST(a_shell_stops_and_continues_it),
        TEST(it_gives_back_what_it_took),
        TEST(a_shell_brings_it_to_the_front),
        TEST(an_interrupt_is_for_all),
        TEST(an_interrupt_that_is_for_the_command),
        TEST(it_comes_back_without_a_back),
    };

    (void)alarm(60); /* a front that misses something waits for ever */
    (void)setsid();
    tty = open(name, O_RDWR | O_CLOEXEC); /* it is ours from here on */
    block_ttou(SIG_BLOCK);
    (void)signal(SIGHUP, SIG_IGN);
    stage_init(CONFIG_LOST_KILL);
    /* What a front leaves comes to us. */
    if (tty < 0 || foreground() != getpgrp() ||
        prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    int keys = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name;
    int status;
    pid_t pid;

    if (keys < 0 || grantpt(keys) != 0 || unlockpt(keys) != 0)
        return 99;
    name = ptsname(keys);
    pid = fork();
    if (pid == 0)
        exit(run(name)); /* the tests' words are flushed */
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}
