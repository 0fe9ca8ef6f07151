/* SPDX-License-Identifier: MIT */
/*
 * test_spank_task.c - a task that is about to run: what it asks, what it says
 * and to whom, and whether it goes on, before an agent that grants, refuses,
 * is missing, hangs up, talks rubbish, and a Slurm that does not say all.
 */
#include <errno.h>
#include <slurm/slurm.h>
#include <sys/resource.h>

#include "copy_self.h"
#include "count_fds.h"
#include "spank_agent.h"

#define UNSET                                                                  \
    "env: -JUSTALOCK_LOCK\n-JUSTALOCK_TOKEN\n-JUSTALOCK_ID\n-JUSTALOCK_SLOT\n"

static struct plugin_settings settings;

static void run_task(void)
{
    char name[17] = "";
    int before = count_fds();

    (void)prctl(PR_SET_NAME, "slurmstepd");
    task_ask(NULL, &settings);
    task_await(NULL, &settings);
    (void)prctl(PR_GET_NAME, name);
    if (strcmp(name, "slurmstepd") != 0)
        _exit(90);
    if (count_fds() != before)
        _exit(91);
}

/* A batch job's only task. */
static void prepare(const char *lock)
{
    fake_reset(S_CTX_REMOTE);
    fake.value[PLUGIN_OPTION_LOCK] = lock;
    memset(&settings, 0, sizeof(settings));
    (void)snprintf(settings.socket, sizeof(settings.socket), "%s/agent",
                   scratch);
    settings.timeout_ms = 10000;
    task_stepd();
    (void)unsetenv("SLURMD_NODENAME");
}

static void begins(void)
{
    hook_begins(run_task);
}

/* All of it, with one answer. */
static int answered(const struct wire_msg *m)
{
    struct wire_msg asked;
    int fd;

    begins();
    fd = agent_must_be_asked(&asked);
    agent_says(fd, m);
    (void)close(fd);
    return hook_ends();
}

/* ---- go ---- */

static void what_it_asks(void **state)
{
    static const spank_item_t array = S_JOB_ARRAY_ID;
    struct wire_msg m;

    (void)state;
    prepare("b,a");
    fake.value[PLUGIN_OPTION_WAIT] = "90";
    fake.value[PLUGIN_OPTION_ON_BUSY] = "requeue";
    begins();
    agent_decides(agent_must_be_asked(&m), WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
    assert_int_equal(m.type, WIRE_JOB_TASK);
    assert_int_equal(m.job.job_id, 812);
    assert_int_equal(m.job.leader_id, 812);
    assert_int_equal(m.job.uid, 2001);
    assert_int_equal(m.job.gid, 2002);
    assert_int_equal(m.job.restart, 0);
    assert_int_equal(m.job.array_id, WIRE_NO_ARRAY);
    assert_int_equal(m.job.array_task, WIRE_NO_ARRAY);
    assert_int_equal(m.step_id, SLURM_BATCH_SCRIPT);
    assert_int_equal(m.local_task, 0);
    assert_string_equal(m.locks, "b,a");
    assert_int_equal(m.wait_ms, 90000);
    assert_int_equal(m.on_busy, WIRE_BUSY_REQUEUE);
    prepare(NULL);
    fake.step_id = 3;
    fake.task_id = 5;
    fake.array_id = 500;
    fake.array_task = 0;
    for (int i = 0; i < 2; i++) {
        begins();
        agent_decides(agent_must_be_asked(&m), WIRE_GO, "");
        assert_int_equal(hook_ends(), 0);
        assert_int_equal(m.step_id, 3);
        assert_int_equal(m.local_task, 5);
        assert_int_equal(m.job.array_id, i == 0 ? 500 : WIRE_NO_ARRAY);
        assert_int_equal(m.job.array_task, i == 0 ? 0 : WIRE_NO_ARRAY);
        assert_string_equal(m.locks, "");
        assert_int_equal(m.wait_ms, WIRE_WAIT_DEFAULT);
        assert_int_equal(m.on_busy, WIRE_BUSY_DEFAULT);
        fake.missing = &array;
    }
}

static void granted(void **state)
{
    struct wire_msg asked, m = {.type = WIRE_VERDICT, .has_token = 1};
    int fd;

    (void)state;
    prepare("a,b");
    m.token = UINT64_MAX;
    (void)snprintf(m.locks, sizeof(m.locks), "a,b");
    (void)snprintf(m.ids, sizeof(m.ids), "AAAAAAAAAAAAAAAAAAAAAA,B");
    (void)snprintf(m.text, sizeof(m.text), "have it");
    begins();
    fd = agent_must_be_asked(&asked);
    agent_notes(fd, WIRE_NOTE_SLOT "-,2");
    agent_says(fd, &m);
    (void)close(fd);
    assert_int_equal(hook_ends(), 0);
    assert_string_equal(hook.said, "justalock: have it\nwent on\nlog: "
                                   "env: JUSTALOCK_LOCK=a,b\n"
                                   "JUSTALOCK_TOKEN=18446744073709551615\n"
                                   "JUSTALOCK_ID=AAAAAAAAAAAAAAAAAAAAAA,B\n"
                                   "JUSTALOCK_SLOT=-,2\n");
    /* Another task of the step says nothing. */
    fake.task_id = 1;
    m.has_token = 0;
    m.ids[0] = '\0';
    assert_int_equal(answered(&m), 0);
    assert_string_equal(hook.said,
                        "went on\nlog: env: JUSTALOCK_LOCK=a,b\n"
                        "-JUSTALOCK_TOKEN\n-JUSTALOCK_ID\n-JUSTALOCK_SLOT\n");
}

/* What an earlier holder left in the environment goes. */
static void nothing_was_asked(void **state)
{
    struct wire_msg asked, m = {.type = WIRE_VERDICT, .has_token = 1};
    int fd;

    (void)state;
    prepare(NULL);
    m.token = 7;
    begins();
    fd = agent_must_be_asked(&asked);
    agent_notes(fd, WIRE_NOTE_SLOT "3");
    agent_says(fd, &m);
    (void)close(fd);
    assert_int_equal(hook_ends(), 0);
    assert_string_equal(hook.said, "went on\nlog: " UNSET);
}

/* ---- refused ---- */

static void refused(void **state)
{
    static const struct {
        enum wire_verdict verdict;
        const char *text, *said;
    } cases[] = {
        {WIRE_REFUSED_BUSY, "lock a is taken",
         "justalock: lock a is taken\n"
         "justalock: the job was not started; --lock-on-busy=wait and "
         "--lock-wait=TIME say how long it waits\n"},
        {WIRE_REFUSED_NET, "no service", "justalock: no service\n"},
        {WIRE_REFUSED_DENIED, "not you", "justalock: not you\n"},
        {WIRE_REFUSED_CONFIG, "", "justalock: refused by the node's agent\n"},
        {WIRE_REFUSED_BAD, "bad", "justalock: bad\n"},
        {WIRE_REFUSED_LOST, "lost", "justalock: lost\n"},
        {WIRE_REFUSED_REQUEUE, "requeued", "justalock: requeued\n"},
        {WIRE_REFUSED_LOCAL, "no memory", "justalock: no memory\n"},
        {(enum wire_verdict)200, "what?", "justalock: what?\n"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (int quiet = 0; quiet < 3; quiet++) {
            struct wire_msg m;

            prepare(i % 2 == 0 ? "a" : NULL); /* a rule's lock, too */
            settings.is_open = true;          /* this is not "no agent" */
            fake.task_id = quiet == 1;
            fake.node_id = quiet == 2;
            begins();
            agent_decides(agent_must_be_asked(&m), cases[i].verdict,
                          cases[i].text);
            assert_int_equal(hook_ends(), 75);
            assert_string_equal(hook.said, quiet ? "" : cases[i].said);
        }
}

static void said_once(void **state)
{
    struct wire_msg m;
    int fd;

    (void)state;
    for (int quiet = 0; quiet < 2; quiet++) {
        prepare("a");
        fake.task_id = quiet;
        begins();
        fd = agent_must_be_asked(&m);
        agent_notes(fd, "held by bob");
        agent_notes(fd, "held by bob");
        agent_notes(fd, WIRE_NOTE_SLOT "1");
        (void)close(fd); /* and a new agent, which says it, too */
        fd = agent_must_be_asked(&m);
        agent_notes(fd, "held by bob");
        agent_notes(fd, "held by eve");
        agent_notes(fd, "requeueing");
        /* Its note has said so. */
        agent_decides(fd, WIRE_REFUSED_REQUEUE, "requeued");
        assert_int_equal(hook_ends(), 75);
        assert_string_equal(hook.said,
                            quiet ? ""
                                  : "justalock: held by bob\njustalock: held "
                                    "by eve\njustalock: requeueing\n");
    }
}

/* ---- refused here ---- */

static void wrong_requests(void **state)
{
    struct wire_msg m;

    (void)state;
    for (int quiet = 0; quiet < 2; quiet++) {
        prepare("a,,b");
        fake.task_id = quiet;
        begins();
        assert_int_equal(agent_asked(&m, 200), -1);
        assert_int_equal(hook_ends(), 75);
        assert_true(quiet ? hook.said[0] == '\0' : hook_said("empty name"));
        prepare("a");
        fake.task_id = quiet;
        settings.is_bad = true;
        settings.is_open = true;
        (void)snprintf(settings.why, sizeof(settings.why), "debug: unknown");
        begins();
        assert_int_equal(hook_ends(), 75);
        assert_string_equal(hook.said,
                            quiet ? ""
                                  : "justalock: plugstack.conf is wrong: "
                                    "debug: unknown\n");
    }
    /* Nothing to a job that asks for nothing. */
    fake.value[PLUGIN_OPTION_LOCK] = NULL;
    begins();
    agent_decides(agent_must_be_asked(&m), WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
}

static void invented_jobs(void **state)
{
    struct wire_msg m;

    (void)state;
    prepare("a");
    fake.job_id = 0xffff0000;
    begins();
    assert_int_equal(hook_ends(), 75);
    assert_string_equal(hook.said, "justalock: srun --no-allocate has no job "
                                   "that could hold a lock\n");
    prepare(NULL);
    fake.job_id = 0xffff0000;
    begins();
    assert_int_equal(hook_ends(), 0);
    assert_string_equal(hook.said, "went on\nlog: " UNSET);
    fake.job_id--;
    begins();
    agent_decides(agent_must_be_asked(&m), WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
}

/* Whatever Slurm does not say: who asked for a lock does not run without. */
static void slurm_does_not_say(void **state)
{
    static const spank_item_t items[] = {S_JOB_ID, S_JOB_STEPID, S_JOB_UID,
                                         S_JOB_GID, S_TASK_ID};
    static const spank_item_t node = S_JOB_NODEID;
    struct wire_msg m;

    (void)state;
    for (size_t i = 0; i < LENGTH(items); i++) {
        prepare("a");
        fake.missing = &items[i];
        begins();
        assert_int_equal(hook_ends(), 75);
        assert_string_equal(hook.said, "justalock: Slurm does not say which "
                                       "job and task this is\n");
        fake.value[PLUGIN_OPTION_LOCK] = NULL;
        begins();
        assert_int_equal(hook_ends(), 0);
        assert_string_equal(hook.said,
                            "went on\nlog: justalock: Slurm does not say which "
                            "job and task this is\n" UNSET);
    }
    assert_int_equal(agent_asked(&m, 0), -1);
    prepare("a");
    fake.missing = &node; /* then it is the first */
    begins();
    agent_decides(agent_must_be_asked(&m), WIRE_REFUSED_DENIED, "no");
    assert_int_equal(hook_ends(), 75);
    assert_string_equal(hook.said, "justalock: no\n");
}

static void run_without_descriptors(void)
{
    const struct rlimit none = {.rlim_cur = 3, .rlim_max = 3};

    if (setrlimit(RLIMIT_NOFILE, &none) != 0)
        _exit(92);
    run_task();
}

static void no_descriptors(void **state)
{
    (void)state;
    prepare("a");
    settings.is_open = true; /* a local error is not "no agent" */
    hook_begins(run_without_descriptors);
    assert_int_equal(hook_ends(), 75);
    assert_true(hook_said("justalock: cannot make a socket: "));
    prepare(NULL);
    hook_begins(run_without_descriptors);
    assert_int_equal(hook_ends(), 0);
    assert_true(hook_said("log: justalock: cannot make a socket: "));
    assert_true(hook_said(UNSET));
}

/* ---- no agent ---- */

static void no_agent_at_all(void **state)
{
    int64_t began;

    (void)state;
    agent_down();
    prepare("a");
    fake.step_id = 0;
    for (int quiet = 0; quiet < 2; quiet++) {
        fake.task_id = quiet;
        settings.is_open = false;
        assert_int_equal(setenv("SLURMD_NODENAME", "n7", 1), 0);
        begins();
        assert_int_equal(hook_ends(), 75);
        assert_true(quiet ? hook.said[0] == '\0'
                          : hook_said("justalock: n7: not started without lock "
                                      "a: no agent: no justalock-agent answers "
                                      "at "));
        settings.is_open = true;
        begins();
        assert_int_equal(hook_ends(), 0);
        assert_true(hook_said("went on\nlog: " UNSET));
        assert_true(quiet == !hook_said("justalock: n7: starting, as "
                                        "no_agent=open says, without lock a"));
    }
    (void)unsetenv("SLURMD_NODENAME");
    /* It costs a job that asks for nothing nothing. */
    prepare(NULL);
    fake.step_id = 0;
    began = clock_now().boot_ms;
    for (int i = 0; i < 5; i++) {
        begins();
        assert_int_equal(hook_ends(), 0);
        assert_true(hook_said("log: justalock: no agent: "));
        assert_true(hook_said(UNSET));
    }
    assert_true(clock_now().boot_ms - began < 4 * 1000);
    agent_up();
}

static void it_starts_meanwhile(void **state)
{
    struct wire_msg m;

    (void)state;
    agent_down();
    prepare("a");
    begins();
    (void)poll(NULL, 0, 100);
    agent_up();
    agent_decides(agent_must_be_asked(&m), WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
}

static void it_hangs_up(void **state)
{
    struct wire_msg first, m, go = {.type = WIRE_VERDICT, .locks = "a"};
    unsigned times = 0;
    int fd;

    (void)state;
    prepare("a");
    begins();
    fd = agent_must_be_asked(&first);
    agent_notes(fd, WIRE_NOTE_SLOT "1"); /* of a holding that is no more */
    (void)close(fd);
    fd = agent_must_be_asked(&m);
    assert_memory_equal(&m, &first, sizeof(m));
    agent_says(fd, &go);
    (void)close(fd);
    assert_int_equal(hook_ends(), 0);
    assert_true(hook_said("JUSTALOCK_LOCK=a\n"));
    assert_true(hook_said("-JUSTALOCK_SLOT\n"));
    /* Several times, and each one is there and says so: it goes on waiting. */
    prepare("a");
    settings.timeout_ms = 1000;
    begins();
    for (int i = 0; i < 4; i++) {
        fd = agent_must_be_asked(&m);
        agent_notes(fd, "held by bob");
        (void)poll(NULL, 0, 350);
        (void)close(fd);
    }
    agent_decides(agent_must_be_asked(&m), WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
    /* And always. */
    prepare("a");
    fake.step_id = 0;
    settings.timeout_ms = 300;
    begins();
    while ((fd = agent_asked(&m, 1000)) >= 0) {
        (void)close(fd);
        times++;
    }
    assert_in_range(times, 2, 8);
    assert_int_equal(hook_ends(), 75);
    assert_true(hook_said("has closed the connection"));
}

/* A word each time, and no verdict: as long as the job wanted to wait. */
static void it_says_a_word_and_hangs_up(void **state)
{
    struct wire_msg m;
    unsigned times = 0;
    int fd;

    (void)state;
    prepare("a");
    fake.step_id = 0;
    fake.value[PLUGIN_OPTION_WAIT] = "300ms";
    settings.timeout_ms = 200;
    begins();
    while (times < 200 && (fd = agent_asked(&m, 1000)) >= 0) {
        agent_notes(fd, "held by bob");
        (void)poll(NULL, 0, 5);
        (void)close(fd);
        times++;
    }
    assert_in_range(times, 2, 30);
    assert_int_equal(hook_ends(), 75);
    assert_true(hook_said("justalock: held by bob\njustalock: "));
    assert_true(hook_said("not started without lock a"));
}

static void it_is_silent(void **state)
{
    struct wire_msg m;
    int fd;

    (void)state;
    prepare("a");
    fake.step_id = 0;
    settings.timeout_ms = 100;
    begins();
    fd = agent_must_be_asked(&m);
    assert_int_equal(hook_ends(), 75);
    assert_true(hook_said("no agent: no answer within 100 ms"));
    (void)close(fd);
    /* --lock-wait= and the first answer's time, from when it was asked. */
    fake.value[PLUGIN_OPTION_WAIT] = "150ms";
    settings.is_open = true;
    begins();
    fd = agent_must_be_asked(&m);
    agent_notes(fd, "held by bob");
    assert_int_equal(hook_ends(), 0);
    assert_true(hook_said("no agent: no answer within 2"));
    (void)close(fd);
}

static void it_talks_rubbish(void **state)
{
    struct wire_msg m;
    int fd;

    (void)state;
    prepare("a");
    fake.step_id = 0;
    begins();
    fd = agent_must_be_asked(&m);
    assert_int_equal(send(fd, "\xff\x00rubbish", 9, MSG_NOSIGNAL), 9);
    assert_int_equal(hook_ends(), 75);
    assert_true(hook_said("not started without lock a: no agent: "));
    (void)close(fd);
}

/* ---- while it waits ---- */

static void is_named_so_that_scancel_finds_it(void **state)
{
    struct wire_msg m;
    char path[64], name[32] = "";
    int fd;

    (void)state;
    prepare("a");
    begins();
    fd = agent_must_be_asked(&m);
    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)hook.pid);
    for (int i = 0; i < 5000 && strcmp(name, "justalock\n") != 0; i++) {
        FILE *f = fopen(path, "re");

        assert_true(f != NULL && fgets(name, sizeof(name), f) != NULL);
        (void)fclose(f);
        (void)poll(NULL, 0, 1);
    }
    assert_string_equal(name, "justalock\n");
    assert_int_equal(kill(hook.pid, SIGTERM), 0);
    assert_int_equal(hook_ends(), 128 + SIGTERM);
    assert_string_equal(hook.said, "");
    (void)close(fd);
}

static void be_stepd(void)
{
    task_stepd();
    if (fork() == 0) {
        (void)alarm(60);
        run_task();
        dprintf(2, "the orphan went on\n");
        _exit(0);
    }
    for (;;)
        (void)pause();
}

/* slurmstepd is killed, and the agent goes before or after: nothing starts. */
static void orphans_do_not_start(void **state)
{
    struct wire_msg m;
    int fd;

    (void)state;
    for (int first = 0; first < 2; first++) {
        prepare("a");
        settings.is_open = true;
        settings.timeout_ms = 3000;
        hook_begins(be_stepd);
        fd = agent_must_be_asked(&m);
        agent_down();
        if (first) { /* it is asking again by then */
            (void)close(fd);
            (void)poll(NULL, 0, 150);
        }
        assert_int_equal(kill(hook.pid, SIGKILL), 0);
        assert_int_equal(
            waitid(P_PID, (id_t)hook.pid, &(siginfo_t){0}, WEXITED | WNOWAIT),
            0);
        if (!first)
            (void)close(fd);
        assert_int_equal(hook_ends(), 128 + SIGKILL); /* and the orphan's */
        assert_string_equal(hook.said, "");
        agent_up();
    }
}

/* ---- the owner requeues it ---- */

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fchmod(fileno(f), 0755), 0);
    assert_int_equal(fclose(f), 0);
}

/* This program where slurmstepd would be: PREFIX/sbin, scontrol in bin. */
static void be_beside_scontrol(void)
{
    assert_int_equal(mkdir(in_scratch("sbin"), 0755), 0);
    assert_int_equal(mkdir(in_scratch("bin"), 0755), 0);
    (void)copy_self("sbin/slurmstepd");
    put("bin/scontrol", "#!/bin/sh\n"
                        "echo \"$* PATH=$PATH SLURM_CONF=${SLURM_CONF-unset}"
                        " X=${X-unset}\" >\"${0%/bin/scontrol}/called\"\n"
                        "exit $(cat \"${0%/bin/scontrol}/rc\")\n");
    put("bin/sleep", "#!/bin/sh\necho slept $1 >>\"${0%/bin/sleep}/called\"\n");
}

/* What that program does: be slurmstepd with one task, and end as it does. */
static int as_slurmstepd(char **argv)
{
    (void)snprintf(scratch, sizeof(scratch), "%s", argv[1]);
    prepare("a");
    fake.step_id = strcmp(argv[2], "batch") == 0 ? SLURM_BATCH_SCRIPT : 0;
    fake.restarts = argv[3][0] != '\0' ? argv[3] : NULL;
    fake.value[PLUGIN_OPTION_ON_BUSY] = argv[4];
    if (strcmp(argv[5], "array") == 0) {
        fake.array_id = 500;
        fake.array_task = 3;
    }
    settings.is_open = strcmp(argv[6], "open") == 0;
    settings.timeout_ms = 50; /* its agent is one that never answers */
    hook_begins(run_task);
    return hook_ends();
}

static const char *called(void)
{
    static char text[512];
    FILE *f = fopen(in_scratch("called"), "re");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

    text[n] = '\0';
    if (f != NULL)
        (void)fclose(f);
    (void)unlink(in_scratch("called"));
    return text;
}

static int stepd(const char *step, const char *restarts, const char *on_busy,
                 const char *array, const char *open)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl(in_scratch("sbin/slurmstepd"), "slurmstepd", scratch, step,
                    restarts, on_busy, array, open, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void requeued_by_its_owner(void **state)
{
    static const struct {
        const char *step, *restarts, *on_busy, *array, *open;
        bool is_called;
    } cases[] = {
        {"batch", "", "wait", "", "", true},
        {"batch", "0", "requeue", "", "", true},
        {"batch", "15", "wait", "array", "", true},
        {"batch", "16", "wait", "", "", false},
        {"batch", "4294967296", "wait", "", "", false},
        {"batch", "x", "wait", "", "", false},
        {"batch", "", "fail", "", "", false},
        {"step", "", "wait", "", "", false},
        {"batch", "", "wait", "", "open", false},
    };
    char want[512];

    (void)state;
    be_beside_scontrol();
    assert_int_equal(setenv("SLURM_CONF", "/x/slurm.conf", 1), 0);
    assert_int_equal(setenv("X", "y", 1), 0);
    put("rc", "0");
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bool is_open = cases[i].open[0] != '\0';

        /* Once requeued it never ends as if it had been done. */
        assert_int_equal(stepd(cases[i].step, cases[i].restarts,
                               cases[i].on_busy, cases[i].array, cases[i].open),
                         is_open ? 0 : 75);
        (void)snprintf(want, sizeof(want),
                       "requeue %s PATH=%s/bin:/usr/bin:/bin "
                       "SLURM_CONF=/x/slurm.conf X=unset\nslept 60\n",
                       cases[i].array[0] != '\0' ? "500_3" : "812", scratch);
        assert_string_equal(called(), cases[i].is_called ? want : "");
    }
    put("rc", "1");
    assert_int_equal(stepd("batch", "", "wait", "", ""), 75);
    assert_null(strstr(called(), "slept"));
    assert_int_equal(unsetenv("SLURM_CONF"), 0);
    put("rc", "0");
    assert_int_equal(stepd("batch", "", "wait", "", ""), 75);
    assert_non_null(strstr(called(), "SLURM_CONF=unset"));
    agent_down(); /* and with it who waits to be let in */
    agent_up();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_asks),
        cmocka_unit_test(granted),
        cmocka_unit_test(nothing_was_asked),
        cmocka_unit_test(refused),
        cmocka_unit_test(said_once),
        cmocka_unit_test(wrong_requests),
        cmocka_unit_test(invented_jobs),
        cmocka_unit_test(slurm_does_not_say),
        cmocka_unit_test(no_descriptors),
        cmocka_unit_test(no_agent_at_all),
        cmocka_unit_test(it_starts_meanwhile),
        cmocka_unit_test(it_hangs_up),
        cmocka_unit_test(it_says_a_word_and_hangs_up),
        cmocka_unit_test(it_is_silent),
        cmocka_unit_test(it_talks_rubbish),
        cmocka_unit_test(is_named_so_that_scancel_finds_it),
        cmocka_unit_test(orphans_do_not_start),
        cmocka_unit_test(requeued_by_its_owner),
    };

    if (argc == 7)
        return as_slurmstepd(argv);
    return cmocka_run_group_tests_name("spank_task", tests, agent_setup,
                                       agent_teardown);
}
