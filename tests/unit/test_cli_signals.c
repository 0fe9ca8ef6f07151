/* SPDX-License-Identifier: MIT */
/*
 * test_cli_signals.c - signals come through one descriptor, those that were
 * ignored stay so, and all is as it was for who is started; stopping oneself,
 * and being called off.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/signals.h"

static struct signals s;
static sigset_t before;

static int up(void **state)
{
    struct justalock_error err;

    (void)state;
    (void)sigprocmask(SIG_SETMASK, NULL, &before);
    return signals_open(&s, &err) == JUSTALOCK_OK ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    while (signals_next(&s) > 0)
        continue;
    signals_restore(&s);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return close(s.fd);
}

/* Each of them, without ending or stopping us. */
static void one_by_one(void **state)
{
    (void)state;
    assert_int_equal(signals_next(&s), 0);
    for (int n = 1; n < NSIG; n++) {
        if (n == SIGKILL || n == SIGSTOP || n == 32 || n == 33)
            continue; /* nobody's, and the C library's */
        assert_int_equal(kill(getpid(), n), 0);
        assert_int_equal(signals_next(&s), n);
    }
    assert_int_equal(signals_next(&s), 0);
}

static void what_was_ignored(void **state)
{
    struct justalock_error err;
    struct sigaction act;
    sigset_t mask;

    (void)state;
    assert_int_equal(down(NULL), 0);
    (void)signal(SIGHUP, SIG_IGN); /* nohup */
    (void)signal(SIGCHLD, SIG_IGN);
    assert_ok(signals_open(&s, &err), err);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_int_equal(signals_next(&s), 0);
    /* A child's end is told all the same. */
    if (fork() == 0)
        _exit(3);
    assert_int_equal(waitpid(-1, NULL, 0) > 0, 1);
    assert_int_equal(signals_next(&s), SIGCHLD);
    signals_restore(&s);
    (void)sigaction(SIGCHLD, NULL, &act);
    assert_true(act.sa_handler == SIG_IGN); /* as we found it */
    (void)sigaction(SIGHUP, NULL, &act);
    assert_true(act.sa_handler == SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int n = 1; n < 32; n++)
        assert_int_equal(sigismember(&mask, n), sigismember(&before, n));
    (void)signal(SIGHUP, SIG_DFL);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)close(s.fd);
    assert_ok(signals_open(&s, &err), err);
}

/* A child gets its own, not its parent's. */
static void reopened(void **state)
{
    struct justalock_error err;
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    pid = fork();
    if (pid == 0) {
        int fd = s.fd;

        if (signals_reopen(&s, &err) != JUSTALOCK_OK || s.fd != fd)
            _exit(1);
        if (signals_next(&s) != 0) /* the parent's is not pending here */
            _exit(2);
        (void)raise(SIGUSR2);
        _exit(signals_next(&s) == SIGUSR2 ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(signals_next(&s), SIGUSR1);
}

/* In a group of its own that is not orphaned: the session's leader is we. */
static pid_t stopper(const _Atomic int *call_off)
{
    pid_t pid = fork();

    if (pid == 0) {
        bool has_stopped;

        (void)setpgid(0, 0);
        has_stopped = signals_stop_self(call_off);
        /* SIGTSTP is taken as before, and comes through the descriptor. */
        (void)raise(SIGTSTP);
        while (signals_next(&s) != SIGTSTP)
            continue;
        _exit(has_stopped ? 10 : 20);
    }
    (void)setpgid(pid, pid);
    return pid;
}

static void stops_itself(void **state)
{
    int status;
    pid_t pid = stopper(NULL);

    (void)state;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 10);
}

static void called_off(void **state)
{
    _Atomic int *word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t pid;

    (void)state;
    assert_true(word != MAP_FAILED);
    *word = 1;
    pid = stopper(word);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFEXITED(status)); /* it has not stopped */
    assert_int_equal(WEXITSTATUS(status), 20);
    *word = 0;
    pid = stopper(word);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    *word = 1;
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 10);
    /* The page goes with the program. */
}

static void what_is_done_with_each(void **state)
{
    static const int ours[] = {0, SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU};
    static const int harmless[] = {SIGTSTP, SIGCONT, SIGWINCH, SIGURG};

    (void)state;
    for (int n = 0; n < NSIG; n++) {
        bool is_ours = false, is_harmless = false;

        for (size_t i = 0; i < LENGTH(ours); i++)
            is_ours |= ours[i] == n;
        for (size_t i = 0; i < LENGTH(harmless); i++)
            is_harmless |= harmless[i] == n;
        assert_int_equal(signals_is_forwarded(n), !is_ours);
        assert_int_equal(signals_is_ending(n), !is_ours && !is_harmless);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_by_one, up, down),
        cmocka_unit_test_setup_teardown(what_was_ignored, up, down),
        cmocka_unit_test_setup_teardown(reopened, up, down),
        cmocka_unit_test_setup_teardown(stops_itself, up, down),
        cmocka_unit_test_setup_teardown(called_off, up, down),
        cmocka_unit_test(what_is_done_with_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
