/* SPDX-License-Identifier: MIT */
/*
 * test_spank_script.c - job_prolog and job_epilog: what the agent is told of a
 * job, from slurmd's environment and Slurm's items, and that nothing the agent
 * does holds up slurmd or makes a prolog fail.
 */
#include "spank_agent.h"

static struct plugin_settings settings;
static struct wire_msg told;

static void begin_hook(void)
{
    script_begin(NULL, &settings);
}

static void end_hook(void)
{
    script_end(NULL, &settings);
}

static const char *const names[] = {
    "SLURM_JOB_ID",        "SLURM_JOB_UID",           "SLURM_JOB_GID",
    "SLURM_HET_JOB_ID",    "SLURM_ARRAY_JOB_ID",      "SLURM_ARRAY_TASK_ID",
    "SLURM_CLUSTER_NAME",  "SLURM_JOB_RESTART_COUNT", "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_PARTITION", "SLURM_JOB_RESERVATION",   "SLURM_JOB_ACCOUNT",
    "SLURM_JOB_NAME"};

static void prepare(void)
{
    fake_reset(S_CTX_JOB_SCRIPT);
    memset(&settings, 0, sizeof(settings));
    (void)snprintf(settings.socket, sizeof(settings.socket), "%s/agent",
                   scratch);
    settings.timeout_ms = 1500;
    for (size_t i = 0; i < LENGTH(names); i++)
        assert_int_equal(unsetenv(names[i]), 0);
}

static void env(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

/* The hook's message, which is answered by a go. */
static const struct wire_job *tells(void (*hook_fn)(void))
{
    hook_begins(hook_fn);
    agent_decides(agent_must_be_asked(&told), WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
    return &told.job;
}

/* ---- what it tells ---- */

static void all_of_it(void **state)
{
    const struct wire_job *j;

    (void)state;
    for (int end = 0; end < 2; end++) {
        prepare();
        env("SLURM_HET_JOB_ID", "810");
        env("SLURM_ARRAY_JOB_ID", "700");
        env("SLURM_ARRAY_TASK_ID", "0");
        env("SLURM_JOB_RESTART_COUNT", "4294967295");
        env("SLURM_JOB_NUM_NODES", "16");
        env("SLURM_CLUSTER_NAME", "c1");
        env("SLURM_JOB_PARTITION", "io,cpu");
        env("SLURM_JOB_RESERVATION", "maint 3");
        env("SLURM_JOB_ACCOUNT", "\xc3\xa4");
        env("SLURM_JOB_NAME", "my job");
        /* Slurm's own word counts. */
        env("SLURM_JOB_ID", "1");
        env("SLURM_JOB_UID", "0");
        env("SLURM_JOB_GID", "0");
        fake.value[PLUGIN_OPTION_LOCK] = "a,b";
        fake.value[PLUGIN_OPTION_WAIT] = "90";
        fake.value[PLUGIN_OPTION_ON_BUSY] = "fail";
        j = tells(end ? end_hook : begin_hook);
        assert_int_equal(told.type, end ? WIRE_JOB_END : WIRE_JOB_BEGIN);
        assert_int_equal(j->job_id, 812);
        assert_int_equal(j->uid, 2001);
        assert_int_equal(j->gid, 2002);
        assert_int_equal(j->leader_id, 810);
        assert_int_equal(j->array_id, 700);
        assert_int_equal(j->array_task, 0);
        assert_int_equal(j->restart, UINT32_MAX);
        assert_int_equal(j->node_count, 16);
        assert_string_equal(j->cluster, "c1");
        assert_string_equal(j->partition, "io,cpu");
        assert_string_equal(j->reservation, "maint 3");
        assert_string_equal(j->account, "\xc3\xa4");
        assert_string_equal(j->name, "my job");
        assert_string_equal(told.locks, end ? "" : "a,b");
        if (!end) {
            assert_int_equal(told.wait_ms, 90000);
            assert_int_equal(told.on_busy, WIRE_BUSY_FAIL);
        }
        assert_string_equal(hook.said, "went on\nlog: env: ");
    }
}

static void nothing_but_the_job(void **state)
{
    const struct wire_job *j;

    (void)state;
    prepare();
    j = tells(begin_hook);
    assert_int_equal(j->leader_id, 812);
    assert_int_equal(j->array_id, WIRE_NO_ARRAY);
    assert_int_equal(j->array_task, WIRE_NO_ARRAY);
    assert_int_equal(j->restart, 0);
    assert_int_equal(j->node_count, 0);
    assert_string_equal(j->cluster, "");
    assert_string_equal(j->name, "");
    assert_string_equal(told.locks, "");
    assert_int_equal(told.wait_ms, WIRE_WAIT_DEFAULT);
    assert_int_equal(told.on_busy, WIRE_BUSY_DEFAULT);
}

/* What Slurm does not give is in the environment, or nobody's. */
static void slurm_does_not_say(void **state)
{
    const struct wire_job *j;

    (void)state;
    prepare();
    fake.is_without_items = true;
    env("SLURM_JOB_ID", "77");
    env("SLURM_JOB_UID", "1001");
    env("SLURM_JOB_GID", "1002");
    j = tells(begin_hook);
    assert_int_equal(j->job_id, 77);
    assert_int_equal(j->leader_id, 77);
    assert_int_equal(j->uid, 1001);
    assert_int_equal(j->gid, 1002);
    prepare();
    fake.is_without_items = true;
    j = tells(end_hook);
    assert_int_equal(j->job_id, 0);
    assert_int_equal(j->uid, UINT32_MAX); /* never root's */
    assert_int_equal(j->gid, UINT32_MAX);
}

static void numbers_that_are_none(void **state)
{
    static const char *const wrong[] = {"",   "x",  "-1", "4294967296",
                                        "1x", " 1", "+1", "0x1"};

    (void)state;
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        const struct wire_job *j;

        prepare();
        env("SLURM_HET_JOB_ID", wrong[i]);
        env("SLURM_ARRAY_JOB_ID", wrong[i]);
        env("SLURM_ARRAY_TASK_ID", wrong[i]);
        env("SLURM_JOB_RESTART_COUNT", wrong[i]);
        env("SLURM_JOB_NUM_NODES", wrong[i]);
        j = tells(begin_hook);
        assert_int_equal(j->leader_id, 812);
        assert_int_equal(j->array_id, WIRE_NO_ARRAY);
        assert_int_equal(j->array_task, WIRE_NO_ARRAY);
        assert_int_equal(j->restart, 0);
        assert_int_equal(j->node_count, 0);
    }
}

/* A text that is not clean, or too long, is left out; the rest is told. */
static void texts_that_are_none(void **state)
{
    char text[WIRE_FIELD_MAX + 2];
    const struct wire_job *j;

    (void)state;
    memset(text, 't', sizeof(text));
    text[WIRE_FIELD_MAX + 1] = '\0';
    prepare();
    env("SLURM_JOB_NAME", text);
    env("SLURM_JOB_PARTITION", "a\nb");
    env("SLURM_JOB_ACCOUNT", "\xff");
    env("SLURM_JOB_RESERVATION", "\x1b[m");
    env("SLURM_CLUSTER_NAME", "c1");
    j = tells(begin_hook);
    assert_string_equal(j->name, "");
    assert_string_equal(j->partition, "");
    assert_string_equal(j->account, "");
    assert_string_equal(j->reservation, "");
    assert_string_equal(j->cluster, "c1");
    text[WIRE_FIELD_MAX] = '\0';
    env("SLURM_JOB_NAME", text);
    assert_string_equal(tells(begin_hook)->name, text);
}

/* The tasks refuse it, with a sentence; here it is logged. */
static void a_wrong_option(void **state)
{
    (void)state;
    prepare();
    fake.value[PLUGIN_OPTION_LOCK] = "a,,b";
    (void)tells(begin_hook);
    assert_string_equal(told.locks, "");
    assert_true(hook_said("log: justalock: job 812: --lock"));
    assert_true(hook_said("empty name"));
    fake.value[PLUGIN_OPTION_LOCK] = "a";
    settings.is_bad = true;
    (void)snprintf(settings.why, sizeof(settings.why), "debug: unknown");
    (void)tells(begin_hook); /* told all the same */
    assert_string_equal(told.locks, "a");
    assert_true(hook_said("log: justalock: plugstack.conf: debug: unknown\n"));
}

/* ---- what the agent does about it ---- */

static void only_logged(const char *why)
{
    assert_int_equal(hook_ends(), 0);
    if (!hook_said("went on\nlog: justalock: job 812, prolog: ") ||
        !hook_said(why))
        fail_msg("\"%s\" is not in \"%s\"", why, hook.said);
}

static void no_agent(void **state)
{
    struct clock_time began = clock_now();

    (void)state;
    prepare();
    agent_down();
    hook_begins(begin_hook);
    only_logged("no justalock-agent answers at ");
    hook_begins(end_hook);
    assert_int_equal(hook_ends(), 0);
    assert_true(hook_said("log: justalock: job 812, epilog: no justalock"));
    assert_true(clock_elapsed_ms(began, clock_now()) < 1500); /* no retries */
    agent_up();
}

static void refused(void **state)
{
    (void)state;
    prepare();
    hook_begins(begin_hook);
    agent_decides(agent_must_be_asked(&told), WIRE_REFUSED_DENIED, "not you");
    only_logged("prolog: not you\n");
    hook_begins(begin_hook);
    agent_decides(agent_must_be_asked(&told), WIRE_REFUSED_BAD, "");
    only_logged("prolog: refused by the node's agent\n");
}

static void not_as_it_should_be(void **state)
{
    struct wire_msg m = {.type = WIRE_ITEM};
    int fd;

    (void)state;
    prepare();
    hook_begins(begin_hook);
    (void)close(agent_must_be_asked(&told));
    only_logged("has closed the connection");
    hook_begins(begin_hook);
    fd = agent_must_be_asked(&told);
    assert_int_equal(send(fd, "\xff\x00rubbish", 9, MSG_NOSIGNAL), 9);
    only_logged("version");
    (void)close(fd);
    hook_begins(begin_hook);
    fd = agent_must_be_asked(&told);
    agent_says(fd, &m);
    only_logged("an answer of type 66");
    (void)close(fd);
    hook_begins(begin_hook);
    fd = agent_must_be_asked(&told);
    agent_notes(fd, "waiting");
    agent_notes(fd, "waiting");
    agent_decides(fd, WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
    assert_string_equal(hook.said, "went on\nlog: env: "); /* no more */
}

static void silent_for(int64_t timeout_ms, int64_t least, int64_t most)
{
    struct clock_time began;
    int64_t ms;
    int fd;

    prepare();
    settings.timeout_ms = timeout_ms;
    began = clock_now();
    hook_begins(begin_hook);
    fd = agent_must_be_asked(&told);
    only_logged("does not answer in time");
    ms = clock_elapsed_ms(began, clock_now());
    assert_in_range(ms, least, most);
    (void)close(fd);
}

/* Two seconds, however long timeout= is for the tasks. */
static void silent(void **state)
{
    (void)state;
    silent_for(100, 100, 1900);
    silent_for(60000, 2000, 15000);
}

/* ... and whatever it says meanwhile. */
static void talks_on_and_on(void **state)
{
    struct wire_msg m = {.type = WIRE_NOTE, .text = "and"};
    struct justalock_error err;
    struct buf b;
    int fd;

    (void)state;
    prepare();
    settings.timeout_ms = 200;
    buf_init(&b, WIRE_MAX);
    assert_ok(wire_pack(&m, &b, &err), err);
    hook_begins(begin_hook);
    fd = agent_must_be_asked(&told);
    while (send(fd, b.data, b.len, MSG_NOSIGNAL) > 0)
        ; /* until it goes */
    only_logged("an answer of type 64");
    buf_done(&b);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it),
        cmocka_unit_test(nothing_but_the_job),
        cmocka_unit_test(slurm_does_not_say),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(texts_that_are_none),
        cmocka_unit_test(a_wrong_option),
        cmocka_unit_test(no_agent),
        cmocka_unit_test(refused),
        cmocka_unit_test(not_as_it_should_be),
        cmocka_unit_test(silent),
        cmocka_unit_test(talks_on_and_on),
    };

    return cmocka_run_group_tests_name("spank_script", tests, agent_setup,
                                       agent_teardown);
}
