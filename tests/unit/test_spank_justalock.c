/* SPDX-License-Identifier: MIT */
/*
 * test_spank_justalock.c - the hooks as Slurm calls them, one place of Slurm
 * after the other: which do something there, and that none but the submission
 * of a wrong request ever returns anything but 0.
 */
#include "spank_agent.h"

extern const char plugin_name[], plugin_type[];
extern const unsigned int spank_plugin_version;

static char socket_word[160], timeout_word[] = "timeout=300ms",
                              bad_word[] = "debug";
static char *good[] = {socket_word, timeout_word, NULL};
static char *bad[] = {socket_word, timeout_word, bad_word, NULL};

static void at(spank_context_t where)
{
    fake_reset(where);
}

static void it_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(plugin_name, "justalock");
    assert_string_equal(plugin_type, "spank");
    assert_int_equal(spank_plugin_version, 1);
}

/* ---- init ---- */

static void options_where_they_are_of_use(void **state)
{
    static const struct {
        spank_context_t where;
        int options;
    } cases[] = {
        {S_CTX_LOCAL, 3},  {S_CTX_ALLOCATOR, 3},  {S_CTX_REMOTE, 3},
        {S_CTX_SLURMD, 0}, {S_CTX_JOB_SCRIPT, 0}, {S_CTX_ERROR, 0},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        at(cases[i].where);
        assert_int_equal(slurm_spank_init(NULL, 2, good), 0);
        assert_int_equal(fake.options, cases[i].options);
        assert_string_equal(fake.said, "");
        at(cases[i].where);
        assert_int_equal(slurm_spank_init(NULL, 3, bad), 0);
        assert_int_equal(fake.options, cases[i].options);
        assert_true(
            (fake.options > 0) ==
            (strstr(fake.said, "justalock: plugstack.conf: debug") != NULL));
        assert_int_equal(slurm_spank_init_post_opt(NULL, 3, bad), 0);
    }
}

/* ---- submission ---- */

static spank_context_t where;
static bool is_bad, is_typed;

static void submit(void)
{
    int typed = 0;

    at(where);
    if (slurm_spank_init(NULL, is_bad ? 3 : 2, is_bad ? bad : good) != 0 ||
        fake.options != 3)
        _exit(90);
    if (is_typed)
        typed =
            fake.option[0]->cb(fake.option[0]->val, "a", where == S_CTX_REMOTE);
    if (typed != 0)
        _exit(91);
    _exit(slurm_spank_init_post_opt(NULL, 0, NULL) == 0 ? 0 : 1);
}

static void only_submission_is_refused(void **state)
{
    static const spank_context_t places[] = {S_CTX_LOCAL, S_CTX_ALLOCATOR,
                                             S_CTX_REMOTE};

    (void)state;
    for (size_t i = 0; i < LENGTH(places) * 4; i++) {
        where = places[i / 4];
        is_bad = i % 2;
        is_typed = i / 2 % 2;
        hook_begins(submit);
        /* -1 in slurmstepd would drain the node. */
        assert_int_equal(hook_ends(),
                         is_bad && is_typed && where != S_CTX_REMOTE);
    }
}

/* ---- prolog and epilog, without an init ---- */

static bool is_epilog;

static void script(void)
{
    int rc;

    at(S_CTX_JOB_SCRIPT);
    rc = is_epilog ? slurm_spank_job_epilog(NULL, is_bad ? 3 : 2, bad)
                   : slurm_spank_job_prolog(NULL, is_bad ? 3 : 2, bad);
    if (rc != 0)
        _exit(1);
}

static void prolog_and_epilog(void **state)
{
    struct wire_msg m;

    (void)state;
    for (int i = 0; i < 4; i++) {
        is_epilog = i / 2;
        is_bad = i % 2;
        hook_begins(script);
        agent_decides(agent_must_be_asked(&m), WIRE_REFUSED_LOCAL, "no");
        assert_int_equal(hook_ends(), 0);
        assert_int_equal(m.type, is_epilog ? WIRE_JOB_END : WIRE_JOB_BEGIN);
        assert_int_equal(m.job.job_id, 812);
        assert_true(hook_said(is_epilog ? "epilog: no" : "prolog: no"));
        assert_true(hook_said("plugstack.conf: debug") == is_bad);
    }
    agent_down();
    for (int i = 0; i < 2; i++) {
        is_epilog = i;
        hook_begins(script);
        assert_int_equal(hook_ends(), 0);
        assert_true(hook_said("no justalock-agent answers"));
    }
    agent_up();
}

/* ---- a task ---- */

static void run_task(void)
{
    if (slurm_spank_task_init_privileged(NULL, 0, NULL) != 0 ||
        slurm_spank_task_init(NULL, 0, NULL) != 0)
        _exit(1);
}

static void a_task(void **state)
{
    struct wire_msg m;

    (void)state;
    /* In slurmstepd, then in a fork of it. */
    at(S_CTX_REMOTE);
    assert_int_equal(slurm_spank_init(NULL, 2, good), 0);
    assert_int_equal(slurm_spank_init_post_opt(NULL, 2, good), 0);
    fake.value[PLUGIN_OPTION_LOCK] = "a";
    fake.step_id = 0;
    hook_begins(run_task);
    agent_decides(agent_must_be_asked(&m), WIRE_GO, "");
    assert_int_equal(hook_ends(), 0);
    assert_int_equal(m.type, WIRE_JOB_TASK);
    assert_string_equal(m.locks, "a");
    hook_begins(run_task);
    agent_decides(agent_must_be_asked(&m), WIRE_REFUSED_BUSY, "taken");
    assert_int_equal(hook_ends(), 75);
    assert_true(hook_said("justalock: taken\n"));
    /* It was told of the socket, and of the time, by init alone. */
    hook_begins(run_task);
    (void)close(agent_must_be_asked(&m));
    agent_down();
    assert_int_equal(hook_ends(), 75);
    agent_up();
    assert_int_equal(slurm_spank_init(NULL, 3, bad), 0);
    hook_begins(run_task);
    assert_int_equal(hook_ends(), 75);
    assert_true(hook_said("plugstack.conf is wrong: debug"));
}

static int setup(void **state)
{
    if (agent_setup(state) != 0)
        return -1;
    (void)snprintf(socket_word, sizeof(socket_word), "socket=%s", agent.path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_a_name),
        cmocka_unit_test(options_where_they_are_of_use),
        cmocka_unit_test(only_submission_is_refused),
        cmocka_unit_test(prolog_and_epilog),
        cmocka_unit_test(a_task),
    };

    return cmocka_run_group_tests_name("spank_justalock", tests, setup,
                                       agent_teardown);
}
