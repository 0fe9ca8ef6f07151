/* SPDX-License-Identifier: MIT */
/*
 * test_guard_job.c - Slurm's jobs: prolog, tasks, epilog, runs after a
 * requeue, and what is asked of scontrol in the owner's name.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

#define STEP_BATCH UINT32_C(0xfffffffb)

static void say(const struct wire_msg *m, enum wire_verdict verdict,
                const char *part)
{
    int fd = rig_request(m);

    rig_expect(fd, verdict, part);
    (void)close(fd);
    rig_turn();
}

static void begin(uint32_t job_id, const char *locks)
{
    say(rig_job(WIRE_JOB_BEGIN, job_id, locks), WIRE_GO, "");
}

static int task(uint32_t job_id, const char *locks)
{
    return rig_request(rig_job(WIRE_JOB_TASK, job_id, locks));
}

/* Of job 5, held. */
static struct work *holds(const char *locks)
{
    begin(5, locks);
    (void)close(rig_hold(rig_job(WIRE_JOB_TASK, 5, locks)));
    rig_turn();
    return rig_work();
}

static void only_root_speaks_for_jobs(void **state)
{
    static const enum wire_type all[] = {WIRE_JOB_BEGIN, WIRE_JOB_END,
                                         WIRE_JOB_TASK};

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        int fd = rig_dial_as(65534);

        rig_say(fd, rig_job(all[i], 5, "a"));
        rig_expect(fd, WIRE_REFUSED_DENIED, "");
        (void)close(fd);
    }
    assert_null(rig_work());
}

static void nothing_is_kept_of_a_job_without_locks(void **state)
{
    (void)state;
    begin(5, "");
    assert_null(rig_work());
    say(rig_job(WIRE_JOB_TASK, 5, ""), WIRE_GO, "");
    assert_null(rig_work());
}

static void known_from_the_prolog_asked_for_by_a_task(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    begin(5, "a");
    assert_int_equal(rig_work()->state, WORK_KNOWN);
    assert_true(rig_is_recorded(rig_work()->f.number, WORK_KNOWN));
    assert_true(rig_is_asked_nothing());
    fd = rig_hold(rig_job(WIRE_JOB_TASK, 5, ""));
    (void)close(fd);
    rig_turn();
    assert_int_equal(rig_work()->state, WORK_HELD); /* between the steps, too */
    say(rig_job(WIRE_JOB_TASK, 5, "a"), WIRE_GO, "");
    assert_true(rig_is_asked_nothing());
    say(rig_job(WIRE_JOB_BEGIN, 5, "a"), WIRE_GO, ""); /* told twice */
    assert_int_equal(rig.g.works_len, 1);
}

/* Each node of several holds its share, whether a task asks there or not. */
static void eager_on_several_nodes(void **state)
{
    struct wire_msg *m = rig_job(WIRE_JOB_BEGIN, 5, "a");

    (void)state;
    rig_keeper();
    m->job.node_count = 2;
    say(m, WIRE_GO, "");
    (void)rig_grant(0);
    assert_int_equal(rig_work()->state, WORK_HELD);
    say(rig_job(WIRE_JOB_END, 5, ""), WIRE_GO, "");
    rig_give_back(1);
    assert_null(rig_work());
}

static void one_list_for_a_job(void **state)
{
    (void)state;
    rig_keeper();
    begin(5, "a,b");
    {
        int fd = task(5, "a,b");

        (void)rig_grant(0);
        (void)rig_grant(0);
        rig_expect(fd, WIRE_GO, "");
        (void)close(fd);
    }
    say(rig_job(WIRE_JOB_TASK, 5, "b,a"), WIRE_GO, "");
    say(rig_job(WIRE_JOB_TASK, 5, ""), WIRE_GO, "");
    say(rig_job(WIRE_JOB_TASK, 5, "a"), WIRE_REFUSED_BAD, "the whole list");
    say(rig_job(WIRE_JOB_TASK, 5, "a,b,c"), WIRE_REFUSED_BAD, "\"a,b,c\"");
    say(rig_job(WIRE_JOB_TASK, 5, "a,,b"), WIRE_REFUSED_BAD, "whole list");
    {
        struct wire_msg *m = rig_job(WIRE_JOB_TASK, 5, "a,b");

        m->job.uid = 7;
        say(m, WIRE_REFUSED_BAD, "job 5 is of another user");
    }
}

static void no_start_while_it_is_lost(void **state)
{
    struct work *w;
    pid_t pid = rig_process(5, 0);

    (void)state;
    rig_keeper();
    rig_scontrol("exit 0");
    w = holds("a");
    row_free(w->row); /* no longer armed, though we believe it held */
    say(rig_job(WIRE_JOB_TASK, 5, "a"), WIRE_REFUSED_LOST, "is being lost");
    w->row->work = w->f.number;
    row_arm(w->row, &(struct row_plan){.deadline = clock_add(clock_now(), 900),
                                       .term_lead_ms = 1000});
    say(rig_job(WIRE_JOB_TASK, 5, "a"), WIRE_REFUSED_LOST, "is being lost");
    rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST, "taken");
    say(rig_job(WIRE_JOB_TASK, 5, "a"), WIRE_REFUSED_LOST, "taken");
    rig_row(w, ROW_ENDING);
    rig_kill(pid);
    rig_row(w, ROW_DEAD);
    say(rig_job(WIRE_JOB_TASK, 5, "a"), WIRE_REFUSED_LOST, "not started");
    rig_children();
}

/* The next run waits until the last one is dead, with a client of its own. */
static void a_requeued_job(void **state)
{
    struct wire_msg *m;
    struct work *old;
    pid_t pid = rig_process(5, 0);
    int fd;

    (void)state;
    rig_keeper();
    old = holds("a");
    m = rig_job(WIRE_JOB_BEGIN, 5, "a");
    m->job.restart = 1;
    say(m, WIRE_GO, "");
    assert_true(old->is_old);
    assert_int_equal(old->state, WORK_ENDING);
    m = rig_job(WIRE_JOB_TASK, 5, "a");
    m->job.restart = 1;
    fd = rig_request(m);
    assert_int_equal(rig.g.works_len, 2);
    assert_memory_not_equal(rig_asked(KW_ACQUIRE)->lock.client,
                            old->helds[0].lock.client, 32);
    /* What began from here on is not of the old run. */
    assert_int_equal(atomic_load(&old->row->who.born_before),
                     proc_key_start(proc_key_self()));
    rig_row(old, ROW_ENDING);
    rig_kill(pid);
    rig_row(old, ROW_DEAD);
    rig_give_back(1);
    assert_int_equal(rig_work()->f.job.restart, 1);
    /* The epilog of any run ends all. */
    rig_say(rig_dial(), rig_job(WIRE_JOB_END, 5, ""));
    rig_expect(fd, WIRE_REFUSED_DENIED, "the job is over");
    rig_give_back(1);
    assert_null(rig_work());
}

static void a_task_that_cannot_be_contained(void **state)
{
    struct work *w;
    int fd;

    (void)state;
    rig_keeper();
    begin(5, "a");
    w = rig_work();
    w->who.kind = IDENTITY_SLURM; /* Slurm's folder, in which it is not */
    memcpy(w->who.path, "/sys/fs/cgroup/none", 20);
    fd = task(5, "a");
    rig_expect(fd, WIRE_REFUSED_LOCAL, "could not be contained");
    assert_true(rig_is_asked_nothing());
    assert_int_equal(w->state, WORK_KNOWN);
}

/* A rule might match, so the job is known; it has no list of its own. */
static void the_list_of_the_first_task(void **state)
{
    (void)state;
    rig_config("\"locks\": {\"few\": {\"users\": [\"1042\"]}},"
               "\"slurm\": {\"rules\": [{\"account\": \"chem\","
               " \"lock\": \"chem\"}]}");
    rig_scontrol("echo 'JobId=5 JobName=n UserId=0 Account=phys Restarts=0 "
                 "NumNodes=1 '");
    rig_keeper();
    for (int is_early = 0; is_early < 2; is_early++) {
        struct wire_msg *m = rig_job(WIRE_JOB_BEGIN, 5, "");
        int fd;

        m->job.uid = m->job.gid = 65534;
        say(m, WIRE_GO, "");
        if (!is_early) {
            rig_children();
            assert_int_equal(rig_work()->state, WORK_KNOWN);
        }
        m->type = WIRE_JOB_TASK;
        memcpy(m->locks, "b", 2);
        m->wait_ms = 12000;
        fd = rig_request(m);
        rig_children();
        rig_children();
        assert_in_range(rig_asked(KW_ACQUIRE)->wait_ms, 1, 12000);
        assert_string_equal(rig_work()->helds[0].name, "b");
        say(rig_job(WIRE_JOB_END, 5, ""), WIRE_GO, "");
        rig_expect(fd, WIRE_REFUSED_DENIED, "");
        rig_give_back(1);
        assert_null(rig_work());

        /* The user is asked about that list, too. */
        m = rig_job(WIRE_JOB_BEGIN, 5, "");
        m->job.uid = m->job.gid = 65534;
        say(m, WIRE_GO, "");
        if (!is_early)
            rig_children();
        m->type = WIRE_JOB_TASK;
        memcpy(m->locks, "few", 4);
        fd = rig_request(m);
        rig_children();
        rig_children();
        rig_expect(fd, WIRE_REFUSED_DENIED, "few");
        assert_true(rig_is_asked_nothing());
        say(rig_job(WIRE_JOB_END, 5, ""), WIRE_GO, "");
        assert_null(rig_work());
    }
}

static void a_waiting_task_that_dies(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    begin(5, "a");
    fd = task(5, "a");
    (void)rig_asked(KW_ACQUIRE);
    (void)close(fd);
    rig_turn();
    rig_give_back(1);
    assert_int_equal(rig_work()->state, WORK_KNOWN); /* it may ask again */
    assert_true(rig_is_recorded(rig_work()->f.number, WORK_KNOWN));
    (void)close(rig_hold(rig_job(WIRE_JOB_TASK, 5, "a")));
}

/* One that asks while the last request is being given back, waits for that. */
static void asked_again_at_once(void **state)
{
    char share[KEEPER_SHARE_LEN + 1];
    int fd;

    (void)state;
    rig_keeper();
    begin(5, "a");
    fd = task(5, "a");
    memcpy(share, rig_asked(KW_ACQUIRE)->lock.share, sizeof(share));
    (void)close(fd);
    rig_turn();
    fd = task(5, "a");
    assert_true(rig_is_silent(fd));
    rig_give_back(1);
    assert_string_not_equal(rig_asked(KW_ACQUIRE)->lock.share, share);
}

/* While what the refused one asked for is still given back. */
static void asked_again_in_another_way(void **state)
{
    struct wire_msg *m;
    int fd;

    (void)state;
    rig_keeper();
    begin(5, "a");
    m = rig_job(WIRE_JOB_TASK, 5, "a");
    m->on_busy = WIRE_BUSY_FAIL;
    fd = rig_request(m);
    rig_event(rig_asked(KW_ACQUIRE)->handle, KEEPER_BUSY, JUSTALOCK_HELD, "");
    rig_expect(fd, WIRE_REFUSED_BUSY, "");
    m = rig_job(WIRE_JOB_TASK, 5, "a");
    m->on_busy = WIRE_BUSY_WAIT;
    m->wait_ms = 1500;
    fd = rig_request(m);
    /* One that came later has no say. */
    m = rig_job(WIRE_JOB_TASK, 5, "a");
    m->on_busy = WIRE_BUSY_FAIL;
    (void)rig_request(m);
    rig_give_back(1);
    /* What is left of it; the first one's was none. */
    assert_in_range(rig_asked(KW_ACQUIRE)->wait_ms, 1, 1500);
    assert_true(rig_is_silent(fd));
}

/* ---- scontrol ---- */

static const char *scontrol_said(char *text, size_t size)
{
    char path[128];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "%s/said", rig.folder);
    n = proc_read_file(AT_FDCWD, path, text, size);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void scontrol(int status)
{
    char script[256];

    (void)snprintf(script, sizeof(script),
                   "echo \"$*\" >>%s/said; id -u >>%s/said; exit %d",
                   rig.folder, rig.folder, status);
    rig_scontrol(script);
}

static int busy_batch(uint32_t restart, uint8_t on_busy)
{
    struct wire_msg *m = rig_job(WIRE_JOB_BEGIN, 5, "a");
    int fd;

    m->on_busy = on_busy;
    m->job.restart = restart;
    say(m, WIRE_GO, "");
    m = rig_job(WIRE_JOB_TASK, 5, "a");
    m->on_busy = on_busy;
    m->job.restart = restart;
    m->step_id = STEP_BATCH;
    fd = rig_request(m);
    rig_event(rig_asked(KW_ACQUIRE)->handle, KEEPER_BUSY, JUSTALOCK_HELD, "");
    return fd;
}

static void requeued_when_it_is_busy(void **state)
{
    char said[256];
    int fd;

    (void)state;
    scontrol(0);
    rig_keeper();
    fd = busy_batch(0, WIRE_BUSY_REQUEUE);
    rig_children();
    rig_expect(fd, WIRE_REFUSED_REQUEUE, "goes back into the queue");
    assert_string_equal(scontrol_said(said, sizeof(said)), "requeue 5\n0\n");
    rig_give_back(1);
}

static void scontrol_that_fails(void **state)
{
    int fd;

    (void)state;
    scontrol(1);
    rig_keeper();
    fd = busy_batch(0, WIRE_BUSY_REQUEUE);
    rig_children();
    rig_expect(fd, WIRE_REFUSED_BUSY, "held by job 7");
    rig_give_back(1);
}

static void no_process_for_scontrol(void **state)
{
    static const char *const calls[] = {"fork", "pipe2"};

    (void)state;
    rig_keeper();
    for (size_t i = 0; i < LENGTH(calls); i++) {
        long live = failing_live();
        struct wire_msg *m = rig_job(WIRE_JOB_TASK, 5, "a");
        int fd;

        begin(5, "a");
        m = rig_job(WIRE_JOB_TASK, 5, "a");
        m->on_busy = WIRE_BUSY_REQUEUE;
        m->step_id = STEP_BATCH;
        fd = rig_request(m);
        failing_call(calls[i], EAGAIN);
        rig_event(rig_asked(KW_ACQUIRE)->handle, KEEPER_BUSY, JUSTALOCK_HELD,
                  "");
        rig_expect(fd, WIRE_REFUSED_BUSY, "held by job 7");
        rig_give_back(1);
        (void)close(fd);
        say(rig_job(WIRE_JOB_END, 5, ""), WIRE_GO, "");
        assert_null(rig_work());
        assert_int_equal(failing_live(), live);
    }
}

static void a_job_that_was_requeued_too_often(void **state)
{
    int fd;

    (void)state;
    scontrol(0);
    rig_config("\"slurm\": {\"requeue_max\": 3}");
    rig_keeper();
    fd = busy_batch(3, WIRE_BUSY_REQUEUE);
    rig_expect(fd, WIRE_REFUSED_BUSY, "held by job 7 since");
    rig_give_back(1);
    say(rig_job(WIRE_JOB_END, 5, ""), WIRE_GO, "");
    fd = busy_batch(2, WIRE_BUSY_REQUEUE);
    rig_children();
    rig_expect(fd, WIRE_REFUSED_REQUEUE, "");
    rig_give_back(1);
}

/* As its owner, and its array's own element. */
static void notified_of_a_loss(void **state)
{
    struct wire_msg *m = rig_job(WIRE_JOB_BEGIN, 5, "a");
    char said[512];
    struct work *w;

    (void)state;
    scontrol(0);
    rig_keeper();
    m->job.uid = m->job.gid = 65534;
    m->job.array_id = 4;
    m->job.array_task = 2;
    say(m, WIRE_GO, "");
    m->type = WIRE_JOB_TASK;
    w = rig_work();
    w->is_checked = true; /* its name and groups */
    memcpy(w->f.user, "nobody", 7);
    (void)close(rig_hold(m));
    assert_int_equal(chmod(rig.folder, 0777), 0);
    rig_event(work_handle(w, w->helds), KEEPER_LOST, JUSTALOCK_LOST, "taken");
    rig_children();
    (void)scontrol_said(said, sizeof(said));
    assert_has(said,
               "notify 4_2 justalock: lock \"a\" is lost: taken\n65534\n");
}

static void a_node_is_drained_for_what_does_not_die(void **state)
{
    char said[512];
    struct work *w;

    (void)state;
    scontrol(0);
    rig_keeper();
    w = holds("a");
    rig_row(w, ROW_ENDING);
    rig_children();
    rig_row(w, ROW_UNCONFIRMED);
    rig_children();
    hold_look_at_row(&rig.g, w); /* once is enough */
    rig_children();
    (void)scontrol_said(said, sizeof(said));
    assert_has(said, "update NodeName=n1 State=DRAIN Reason=justalock: the "
                     "death of job 5 could not be confirmed");
    assert_null(strstr(strstr(said, "DRAIN") + 1, "DRAIN"));
    assert_true(rig_is_asked_nothing()); /* and its lock is kept */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(only_root_speaks_for_jobs),
        RIG_TEST(nothing_is_kept_of_a_job_without_locks),
        RIG_TEST(known_from_the_prolog_asked_for_by_a_task),
        RIG_TEST(eager_on_several_nodes),
        RIG_TEST(one_list_for_a_job),
        RIG_TEST(no_start_while_it_is_lost),
        RIG_TEST(a_requeued_job),
        RIG_TEST(a_task_that_cannot_be_contained),
        RIG_TEST(the_list_of_the_first_task),
        RIG_TEST(a_waiting_task_that_dies),
        RIG_TEST(asked_again_at_once),
        RIG_TEST(asked_again_in_another_way),
        RIG_TEST(requeued_when_it_is_busy),
        RIG_TEST(scontrol_that_fails),
        RIG_TEST(no_process_for_scontrol),
        RIG_TEST(a_job_that_was_requeued_too_often),
        RIG_TEST(notified_of_a_loss),
        RIG_TEST(a_node_is_drained_for_what_does_not_die),
    };

    return RIG_RUN(tests);
}
