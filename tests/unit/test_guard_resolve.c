/* SPDX-License-Identifier: MIT */
/*
 * test_guard_resolve.c - what has to be known before locks are asked for: the
 * user, and what scontrol prints of a job, whatever it prints; and the
 * children of guard_ask that find it out.
 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/failing.h"
#include "../lib/guard_rig.h"

/* As of scontrol show job -o. */
#define LINE                                                                   \
    "JobId=5 JobName=%s UserId=alice(0) Account=chem Restarts=2 "              \
    "Partition=io NumNodes=3-3 Reservation=(null) JobState=RUNNING "

static const struct wire_msg end = {.type = WIRE_JOB_END, .job = {.job_id = 5}};

static void prints(const char *text)
{
    char script[2048];

    (void)snprintf(script, sizeof(script), "cat <<'X'\n%s\nX", text);
    rig_scontrol(script);
}

/* A task of job 5 of which no prolog has told. */
static int asks(const char *locks)
{
    int fd = rig_request(rig_job(WIRE_JOB_TASK, 5, locks));

    rig_children();
    return fd;
}

static void ends(int fd)
{
    (void)close(fd);
    (void)close(rig_request(&end));
    rig_turn();
    while (rig.g.works)
        rig_give_back(1);
}

static void what_slurm_says_of_a_job(void **state)
{
    char text[512];
    const struct wire_job *j;
    int fd;

    (void)state;
    rig_keeper();
    (void)snprintf(text, sizeof(text),
                   "JobId=55 JobName=x UserId=0 Restarts=9 NumNodes=9 \n" LINE,
                   "my job Account=x");
    prints(text);
    fd = asks("a");
    j = &rig_work()->f.job;
    assert_true(rig_work()->f.is_told);
    assert_string_equal(j->name, "my job Account=x"); /* a name may lie */
    assert_int_equal(j->restart, 2);
    assert_int_equal(j->node_count, 3);
    assert_int_equal(j->leader_id, 5);
    assert_int_equal(j->array_id, WIRE_NO_ARRAY);
    assert_string_equal(j->account, "chem");
    assert_string_equal(j->partition, "io");
    assert_string_equal(j->reservation, "");
    (void)rig_asked(KW_ACQUIRE);
    ends(fd);

    prints("JobId=5 HetJobId=4 ArrayJobId=3 ArrayTaskId=8 JobName=x UserId=0 "
           "Restarts=0 NumNodes=1 ");
    fd = asks("a");
    j = &rig_work()->f.job;
    assert_int_equal(j->leader_id, 4);
    assert_int_equal(j->array_id, 3);
    assert_int_equal(j->array_task, 8);
    (void)rig_asked(KW_ACQUIRE);
    ends(fd);
}

/* What a rule looks at is the job's, not what its user wrote in a name. */
static void a_name_is_no_field(void **state)
{
    static const struct {
        const char *line;
        enum wire_verdict verdict;
    } all[] = {
        {"JobId=5 JobName=x Account=phys UserId=0 Account=chem Restarts=0 "
         "NumNodes=1 ",
         WIRE_REFUSED_BUSY}, /* the rule's lock, which another has */
        {"JobId=5 JobName=x Account=chem UserId=0 Account=phys Restarts=0 "
         "NumNodes=1 ",
         WIRE_GO},
        {"JobId=5 JobName=x UserId=0 Account=phys UserId=0 Account=chem "
         "Restarts=0 NumNodes=1 ",
         WIRE_REFUSED_LOCAL}, /* nobody knows which */
        {"JobId=5 JobName=x UserId=0 Account=chem Restarts=0 NumNodes=1 "
         "Comment=x Account=phys ",
         WIRE_REFUSED_LOCAL},
        {"JobId=5 JobName=x\nJobId=5 JobName=x UserId=0 Account=phys "
         "Restarts=0 NumNodes=1 ",
         WIRE_REFUSED_LOCAL},
    };

    (void)state;
    rig_config("\"defaults\": {\"on_busy\": \"fail\"}, \"slurm\": {\"rules\":"
               "[{\"account\": \"chem\", \"lock\": \"chem\"}]}");
    rig_keeper();
    for (size_t i = 0; i < LENGTH(all); i++) {
        int fd;

        prints(all[i].line);
        (void)close(rig_request(rig_job(WIRE_JOB_BEGIN, 5, "")));
        rig_children();
        fd = rig_request(rig_job(WIRE_JOB_TASK, 5, ""));
        rig_children();
        if (all[i].verdict == WIRE_REFUSED_BUSY)
            rig_event(rig_asked(KW_ACQUIRE)->handle, KEEPER_BUSY,
                      JUSTALOCK_HELD, "");
        rig_expect(fd, all[i].verdict, "");
        ends(fd);
    }
}

/* ... nor is it what makes two jobs one. */
static void a_name_is_no_leader(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    prints("JobId=5 JobName=x HetJobId=4 ArrayJobId=3 ArrayTaskId=1 UserId=0 "
           "Restarts=0 NumNodes=1 ");
    fd = asks("a");
    assert_true(rig_work()->f.is_told);
    assert_int_equal(rig_work()->f.job.leader_id, 5);
    assert_int_equal(rig_work()->f.job.array_id, WIRE_NO_ARRAY);
    (void)rig_asked(KW_ACQUIRE);
    ends(fd);
}

static void what_is_not_our_job_is_not_read(void **state)
{
    static const char *const all[] = {
        "",
        "JobId=55 Restarts=0 NumNodes=1 ",
        "x JobId=5 Restarts=0 NumNodes=1 ",
        "JobId=5 NumNodes=1 ",
        "JobId=5 Restarts=0 ",
        "JobId=5 Restarts=x NumNodes=1 ",
        "JobId=5 Restarts=99999999999 NumNodes=1 ",
        "slurm_load_jobs error: Invalid job id specified",
    };

    (void)state;
    rig_keeper();
    for (size_t i = 0; i < LENGTH(all); i++) {
        int fd;

        prints(all[i]);
        fd = asks("a"); /* of nobody: a client of its own */
        assert_false(rig_work()->f.is_told);
        assert_false(rig_work()->helds[0].lock.reusable_client);
        (void)rig_asked(KW_ACQUIRE);
        ends(fd);
    }
}

static void a_name_that_is_needed_and_not_said(void **state)
{
    struct wire_msg *m = rig_job(WIRE_JOB_TASK, 5, "singleton");
    int fd;

    (void)state;
    m->job.name[0] = '\0';
    rig_keeper();
    prints("nothing");
    fd = rig_request(m);
    rig_children();
    rig_expect(fd, WIRE_REFUSED_LOCAL, "scontrol does not know the job");
    rig_scontrol("exit 3");
    fd = rig_request(m);
    rig_children();
    rig_expect(fd, WIRE_REFUSED_LOCAL, "could not say");
    prints("JobId=5 JobName=n UserId=0 Restarts=0 NumNodes=1 ");
    fd = rig_request(m);
    rig_children();
    assert_string_equal(rig_work()->helds[0].name, "singleton:0:n");
    (void)close(fd);
}

static void a_child_that_takes_too_long(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    rig_scontrol("exec sleep 1000");
    fd = rig_request(rig_job(WIRE_JOB_TASK, 5, "singleton"));
    children_tick(&rig.g, clock_add(clock_now(), 4000));
    (void)usleep(20000);
    children_reap(&rig.g);
    assert_non_null(rig.g.children);
    children_tick(&rig.g, clock_add(clock_now(), 5001));
    rig_children();
    rig_expect(fd, WIRE_REFUSED_LOCAL, "could not");
}

/* More than is kept, and the end of it unheard. */
static void a_child_that_says_too_much(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    rig_scontrol("yes 'JobId=4 Restarts=0 NumNodes=1 ' | head -n 100000");
    fd = asks("a");
    assert_false(rig_work()->f.is_told);
    (void)rig_asked(KW_ACQUIRE);
    ends(fd);
}

static void answers_for_what_is_gone(void **state)
{
    int fd;

    (void)state;
    rig_keeper();
    rig_scontrol("exec sleep 1000");
    fd = rig_request(rig_job(WIRE_JOB_TASK, 5, "a"));
    assert_int_equal(rig_work()->state, WORK_RESOLVING);
    (void)close(fd);
    while (rig_work()->state != WORK_KNOWN) { /* the child has it, too */
        (void)usleep(1000);
        rig_turn();
    }
    prints("JobId=5 JobName=n UserId=0 Restarts=7 NumNodes=1 ");
    fd = rig_request(rig_job(WIRE_JOB_TASK, 5, "a")); /* asks anew */
    assert_non_null(rig.g.children->next);
    (void)kill(rig.g.children->pid, SIGKILL); /* the first one: unheard */
    rig_children();
    assert_int_equal(rig_work()->f.job.restart, 7);
    (void)rig_asked(KW_ACQUIRE);
    ends(fd);
}

static void a_user_is_looked_up_in_a_child(void **state)
{
    int fd = rig_dial_as(65534);

    (void)state;
    rig_config("\"locks\": {\"n\": {\"users\": [\"nobody\"]},"
               "\"o\": {\"users\": [\"root\"]}}");
    rig_keeper();
    rig_say(fd, rig_command("n"));
    assert_int_equal(rig_work()->state, WORK_RESOLVING);
    rig_children();
    assert_string_equal(rig_work()->f.user, "nobody");
    assert_has(rig_asked(KW_ACQUIRE)->lock.label, "nobody@n1");
    (void)close(fd);
    rig_turn();
    rig_give_back(1);
    fd = rig_dial_as(65534);
    rig_say(fd, rig_command("o"));
    rig_children();
    rig_expect(fd, WIRE_REFUSED_DENIED, "\"o\"");
    assert_null(rig_work());
    fd = rig_dial_as(65534);
    rig_say(fd, rig_command("free")); /* what is for anyone is roots' here */
    rig_children();
    rig_expect(fd, WIRE_REFUSED_DENIED, "not opened to users");
}

static void no_child_can_be_started(void **state)
{
    static const char *const calls[] = {"fork", "pipe2"};

    (void)state;
    rig_keeper();
    for (size_t i = 0; i <= LENGTH(calls); i++) {
        int fd = rig_dial();

        rig_turn();
        if (i < LENGTH(calls))
            failing_call(calls[i], EAGAIN);
        rig_say(fd, rig_job(WIRE_JOB_TASK, 5, "a"));
        if (i < LENGTH(calls))
            rig_expect(fd, WIRE_REFUSED_LOCAL, "cannot start a process");
        else
            rig_children();
    }
    (void)rig_asked(KW_ACQUIRE); /* the same job, the next time */
}

static void each_allocation_fails(void **state)
{
    const struct wire_msg *m = rig_job(WIRE_JOB_TASK, 5, "a");
    bool is_done = false;
    long nth;

    (void)state;
    prints("JobId=5 JobName=n UserId=0 Restarts=0 NumNodes=1 ");
    rig_keeper();
    rig.around = failing_pause;
    failing_pause(true);
    for (nth = 0; !is_done && nth < 200; nth++) {
        long live = failing_live();
        int fd = rig_dial();

        failing_memory(nth);
        rig_say(fd, m);
        for (int ms = 0; rig.g.children && ms < 10000; ms++) {
            (void)usleep(1000);
            failing_pause(false);
            children_reap(&rig.g);
            failing_pause(true);
        }
        is_done = !failing_came();
        failing_memory(-1);
        if (rig.g.keeper.fd < 0) {
            rig_keeper_gone();
            rig_keeper();
        }
        (void)close(fd);
        (void)close(rig_request(&end));
        rig_turn();
        while (rig.g.works)
            rig_event(work_handle(rig.g.works, rig.g.works->helds),
                      KEEPER_RELEASED, JUSTALOCK_OK, "");
        while (!rig_is_asked_nothing())
            continue;
        assert_null(rig.g.children);
        for (int ms = 0; rig.g.conns && ms < 10000; ms++) {
            (void)usleep(1000); /* a child may have had its other end, too */
            rig_turn();
        }
        assert_null(rig.g.conns);
        assert_int_equal(failing_live(), live);
    }
    rig.around = NULL;
    failing_pause(false);
    assert_true(is_done && nth > 10);
}

/* ---- jobs whose end nobody told ---- */

static void over_though_no_epilog_said_so(void **state)
{
    static const struct {
        const char *text;
        bool is_over;
    } all[] = {
        {"slurm_load_jobs error: Invalid job id specified", true},
        {"JobId=5 JobName=Invalid job id UserId=0 JobState=RUNNING Restarts=0 ",
         false},
        {"JobId=5 JobName=Invalid job id UserId=0 JobState=COMPLETING "
         "Restarts=0 ",
         false},
        {"JobId=5 JobName=Invalid job id UserId=0 JobState=SUSPENDED "
         "Restarts=0 ",
         false},
        {"JobId=55 JobName=Invalid job id UserId=0 JobState=COMPLETED "
         "Restarts=0 ",
         false},
        {"slurm_load_jobs error: Unable to contact slurm controller", false},
        {"JobId=5 JobName=Invalid job id UserId=0 JobState=COMPLETED "
         "Restarts=0 ",
         true},
        {"JobId=5 JobName=Invalid job id UserId=0 JobState=OUT_OF_MEMORY "
         "Restarts=0 ",
         true},
        {"JobId=5 JobName=Invalid job id UserId=0 JobState=RUNNING Restarts=1 ",
         true}, /* a later run */
    };

    (void)state;
    rig_keeper();
    for (size_t i = 0; i < LENGTH(all); i++) {
        struct work *w;
        int fd = rig_request(rig_job(WIRE_JOB_BEGIN, 5, "a"));

        (void)close(fd);
        (void)close(rig_hold(rig_job(WIRE_JOB_TASK, 5, "a")));
        rig_turn();
        w = rig_work();
        prints(all[i].text);
        rig_tick(59000); /* not at once */
        assert_null(rig.g.children);
        w->looked = clock_add(clock_now(), -60000);
        rig_tick(61000);
        assert_non_null(rig.g.children);
        rig_children();
        if (!all[i].is_over) {
            assert_int_equal(w->state, WORK_HELD);
            (void)close(rig_request(&end));
            rig_turn();
        }
        rig_give_back(1);
        assert_null(rig_work());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_slurm_says_of_a_job),
        RIG_TEST(a_name_is_no_field),
        RIG_TEST(a_name_is_no_leader),
        RIG_TEST(what_is_not_our_job_is_not_read),
        RIG_TEST(a_name_that_is_needed_and_not_said),
        RIG_TEST(a_child_that_takes_too_long),
        RIG_TEST(a_child_that_says_too_much),
        RIG_TEST(answers_for_what_is_gone),
        RIG_TEST(a_user_is_looked_up_in_a_child),
        RIG_TEST(no_child_can_be_started),
        RIG_TEST(each_allocation_fails),
        RIG_TEST(over_though_no_epilog_said_so),
    };

    return RIG_RUN(tests);
}
