/* SPDX-License-Identifier: MIT */
/*
 * test_work.c - whose processes are whose where there is no cgroup: by tree,
 * by the job's id in the environment, born before or after. Signals only
 * children of its own.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../modules/agent/work.h"

/* A number that no other process has in its environment. */
static uint32_t job_id(void)
{
    return 3000000000u + (uint32_t)getpid();
}

/* A shell with a child, with SLURM_JOB_ID or without; waits until it runs. */
static pid_t start(bool with_job)
{
    char env[40];
    char *with[] = {env, NULL};
    char *without[] = {NULL};
    char ready;
    int out[2];
    pid_t pid;

    (void)snprintf(env, sizeof(env), "SLURM_JOB_ID=%u", job_id());
    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        char sh[] = "sh", opt[] = "-c";
        char script[] = "/bin/sleep 60 & echo; exec 1>&-; wait; true";
        char *argv[] = {sh, opt, script, NULL};

        (void)setpgid(0, 0);
        (void)dup2(out[1], 1);
        (void)close(out[0]);
        (void)close(out[1]);
        (void)execve("/bin/sh", argv, with_job ? with : without);
        _exit(127);
    }
    (void)close(out[1]);
    assert_int_equal(read(out[0], &ready, 1), 1);
    (void)close(out[0]);
    return pid;
}

static void end(pid_t pid, const struct identity *who)
{
    for (int i = 0; i < 500 && work_count(who) > 0; i++) {
        (void)work_signal(who, SIGKILL);
        (void)waitpid(pid, NULL, WNOHANG);
        (void)usleep(10000);
    }
    assert_int_equal(work_count(who), 0);
    /* A child whose parent went first is no descendant any more. */
    (void)kill(-pid, SIGKILL);
}

static void a_tree_is_a_process_and_its_descendants(void **state)
{
    struct identity who = {.kind = IDENTITY_TREE};
    pid_t pid = start(false);
    pid_t other = start(false);
    struct identity others = {.kind = IDENTITY_TREE};

    (void)state;
    assert_int_equal(work_count(&who), 0); /* nothing started */
    atomic_store(&who.root, proc_key_of(pid));
    atomic_store(&others.root, proc_key_of(other));
    assert_int_equal(work_count(&who), 2);
    assert_true(work_has(&who, pid));
    assert_false(work_has(&who, other));
    assert_false(work_has(&who, getpid()));
    end(pid, &who);
    assert_int_equal(work_count(&others), 2);
    end(other, &others);
}

static void a_job_is_known_by_its_environment(void **state)
{
    struct identity who = {.kind = IDENTITY_JOB, .job_id = job_id()};
    struct identity others = {.kind = IDENTITY_TREE};
    pid_t pid = start(true);
    pid_t other = start(false);

    (void)state;
    atomic_store(&others.root, proc_key_of(other));
    who.uid = getuid();
    assert_int_equal(work_count(&who), 2);
    assert_false(work_has(&who, other));
    who.uid++; /* another user's */
    assert_int_equal(work_count(&who), 0);
    who.uid--;
    who.job_id /= 10; /* the beginning of a number is not the number */
    assert_int_equal(work_count(&who), 0);
    who.job_id = job_id();
    end(pid, &who);
    assert_int_equal(work_count(&others), 2);
    end(other, &others);
}

static void what_is_born_later_is_of_the_next_run(void **state)
{
    struct identity who = {.kind = IDENTITY_JOB, .job_id = job_id()};
    pid_t pid = start(true);

    (void)state;
    who.uid = getuid();
    atomic_store(&who.born_before, proc_key_start(proc_key_of(pid)));
    assert_int_equal(work_count(&who), 0);
    atomic_store(&who.born_before, proc_ticks_now() + 1);
    assert_int_equal(work_count(&who), 2);
    end(pid, &who);
}

static void a_reused_pid_is_another_process(void **state)
{
    pid_t pid = start(false);
    proc_key key = proc_key_of(pid);

    (void)state;
    assert_true(proc_key_is_alive(key));
    assert_int_equal(proc_key_pid(key), pid);
    assert_false(proc_key_is_alive(key + (UINT64_C(1) << 22)));
    assert_false(proc_key_signal(key + (UINT64_C(1) << 22), SIGKILL));
    assert_true(proc_key_is_alive(key));
    struct identity who = {.kind = IDENTITY_TREE};

    atomic_store(&who.root, key);
    end(pid, &who);
    assert_false(proc_key_is_alive(key));
}

static void a_folder_that_is_gone_is_empty(void **state)
{
    struct identity who = {.kind = IDENTITY_CGROUP,
                           .path = "/nonexistent/justalock/x/job-1-0"};

    (void)state;
    assert_int_equal(work_count(&who), 0);
    (void)snprintf(who.path, sizeof(who.path), "/proc/version");
    assert_int_equal(work_count(&who), -1); /* it cannot be told */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_is_a_process_and_its_descendants),
        cmocka_unit_test(a_job_is_known_by_its_environment),
        cmocka_unit_test(what_is_born_later_is_of_the_next_run),
        cmocka_unit_test(a_reused_pid_is_another_process),
        cmocka_unit_test(a_folder_that_is_gone_is_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
