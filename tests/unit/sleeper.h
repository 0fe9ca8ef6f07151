/* SPDX-License-Identifier: MIT */
/*
 * sleeper.h - a child of the test that does nothing, as a work to be ended.
 */
#ifndef TESTS_UNIT_SLEEPER_H
#define TESTS_UNIT_SLEEPER_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

/* deaf: to TERM. It dies with the test. */
static pid_t start(bool is_deaf)
{
    sigset_t none;
    char ready;
    int out[2];
    pid_t pid;

    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGTERM, is_deaf ? SIG_IGN : SIG_DFL);
        (void)signal(SIGUSR1, SIG_DFL);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)!write(out[1], "", 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(out[0], &ready, 1), 1);
    (void)close(out[0]);
    (void)close(out[1]);
    return pid;
}

#endif
