/* SPDX-License-Identifier: MIT */
/*
 * test_guard_locks.c - from names and rules to locks: the same list whatever
 * its order, names that jobs and users cannot make collide, limits, and who
 * may take what.
 */
#include "test.h"

#include "../lib/guard_rig.h"

static struct wants got;

static struct work_facts job(const char *partition)
{
    struct work_facts f = {.kind = WORK_JOB, .uid = 1000, .is_told = true};

    f.job = rig_job(WIRE_JOB_BEGIN, 5, "")->job;
    f.job.uid = 1000;
    (void)snprintf(f.job.partition, sizeof(f.job.partition), "%s", partition);
    (void)snprintf(f.user, sizeof(f.user), "alice");
    return f;
}

static struct work_facts session(void)
{
    struct work_facts f = {.kind = WORK_SESSION, .uid = 0};

    (void)snprintf(f.user, sizeof(f.user), "root");
    (void)snprintf(f.ruser, sizeof(f.ruser), "alice");
    (void)snprintf(f.login, sizeof(f.login), "sudo");
    return f;
}

static void takes(const char *list, const struct work_facts *f)
{
    struct justalock_error err;

    assert_ok(locks_parse(&rig.g, list, f, &got, &err), err);
}

static void refuses(const char *list, const struct work_facts *f,
                    enum justalock_status status, const char *part)
{
    struct justalock_error err;

    assert_fails(locks_parse(&rig.g, list, f, &got, &err), status, err, part);
}

static void sorted_and_each_once(void **state)
{
    struct work_facts f = job("main");
    static struct wants first;

    (void)state;
    takes("c,a,b,a,c", &f);
    assert_int_equal(got.len, 3);
    for (size_t i = 1; i < got.len; i++)
        assert_true(
            memcmp(&got.v[i - 1].id, &got.v[i].id, sizeof(got.v[i].id)) < 0);
    first = got;
    takes("b,c,a", &f);
    assert_true(wants_equal(&first, &got));
    takes("b,c", &f);
    assert_false(wants_equal(&first, &got));
    takes("b,c,d", &f);
    assert_false(wants_equal(&first, &got));
    takes("", &f);
    assert_int_equal(got.len, 0);
}

static void wrong_names(void **state)
{
    static const char *const wrong[] = {",", "a,", ",a", "a,,b", "a\nb"};
    struct work_facts f = job("main");

    (void)state;
    for (size_t i = 0; i < LENGTH(wrong); i++)
        refuses(wrong[i], &f, JUSTALOCK_ARG, "lock name");
}

static void at_most_sixteen(void **state)
{
    struct work_facts f = job("main");
    char list[256] = "";
    size_t at = 0;

    (void)state;
    for (int i = 0; i < WIRE_LOCKS_MAX; i++)
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%sl%d",
                               i > 0 ? "," : "", i);
    takes(list, &f);
    assert_int_equal(got.len, WIRE_LOCKS_MAX);
    (void)snprintf(list + at, sizeof(list) - at, ",l0"); /* known already */
    takes(list, &f);
    assert_int_equal(got.len, WIRE_LOCKS_MAX);
    (void)snprintf(list + at, sizeof(list) - at, ",l16");
    refuses(list, &f, JUSTALOCK_ARG, "more than 16 locks");
}

/* As many bytes as the variable may have that the work sees. */
static void not_too_long_together(void **state)
{
    enum { N = 8, LEN = WIRE_LIST_MAX / N };
    struct work_facts f = job("main");
    char list[WIRE_LIST_MAX + 2] = "";

    (void)state;
    /* 1023 = 8 * 127 + 7, the commas. */
    for (int i = 0; i < N; i++) {
        memset(list + i * (LEN + 1), 'a' + i, LEN);
        list[i * (LEN + 1) + LEN] = i + 1 < N ? ',' : '\0';
    }
    assert_int_equal(strlen(list), WIRE_LIST_MAX);
    takes(list, &f);
    assert_int_equal(got.len, N);
    memcpy(list, "%u", 2); /* alice: three more */
    refuses(list, &f, JUSTALOCK_ARG, "1026 bytes together");
    list[WIRE_LIST_MAX - 2] = '\0';
    refuses(list, &f, JUSTALOCK_ARG, "1024 bytes together");
    list[WIRE_LIST_MAX - 3] = '\0';
    takes(list, &f);
    assert_int_equal(got.len, N);
}

static void singleton_is_of_user_and_name(void **state)
{
    struct work_facts f = job("main"), other = f;
    struct want mine;

    (void)state;
    assert_true(locks_needs_name("a,singleton"));
    assert_false(locks_needs_name("a,singleton:x"));
    assert_false(locks_needs_name("singletons"));
    assert_false(locks_needs_name(""));
    takes("singleton", &f);
    /* 22 characters would be read as an id: not of that length any more. */
    assert_string_equal(got.v[0].name, "singleton:1000:nightly:");
    mine = got.v[0];
    takes("singleton:nightly", &f);
    assert_memory_equal(&got.v[0].id, &mine.id, sizeof(mine.id));
    other.uid = 1001;
    takes("singleton", &other);
    assert_memory_not_equal(&got.v[0].id, &mine.id, sizeof(mine.id));
    takes("singleton:import", &f);
    assert_string_equal(got.v[0].name, "singleton:1000:import");
    /* No name can lie to be another's: ':' is written as %3A in it. */
    takes("singleton:a:b", &f);
    assert_string_equal(got.v[0].name, "singleton:1000:a%3Ab");
    other = f;
    other.job.name[0] = '\0';
    refuses("singleton", &other, JUSTALOCK_ARG, "the job has no name");
    refuses("singleton:", &f, JUSTALOCK_ARG, "the job has no name");
    other.kind = WORK_COMMAND; /* a name as any other there */
    takes("singleton", &other);
    assert_string_equal(got.v[0].name, "singleton");
}

static void templates(void **state)
{
    struct work_facts f = job("main"), s = session();

    (void)state;
    rig_config("\"locks\": {\"%s/%u\": {\"for\": \"pam\"},"
               " \"by/%R\": {\"for\": \"pam\"}}");
    takes("home/%u@%h", &f);
    assert_string_equal(got.v[0].name, "home/alice@n1");
    f.user[0] = '\0';
    refuses("home/%u", &f, JUSTALOCK_ARG, "%u");
    takes("%s/%u", &s);
    assert_string_equal(got.v[0].name, "sudo/root");
    takes("by/%R", &s);
    assert_string_equal(got.v[0].name, "by/alice");
    s.ruser[0] = '\0';
    refuses("by/%R", &s, JUSTALOCK_ARG, "%R");
    f.kind = WORK_COMMAND; /* as it was typed */
    takes("home/%u", &f);
    assert_string_equal(got.v[0].name, "home/%u");
}

static void only_what_it_is_defined_for(void **state)
{
    struct work_facts f = job("main"), s = session(), c = job("main");

    (void)state;
    c.kind = WORK_COMMAND;
    rig_config("\"adhoc\": false, \"locks\": {\"both\": {},"
               "\"pam\": {\"for\": \"pam\"}, \"job\": {\"for\": \"slurm\"}}");
    takes("both,job", &f);
    refuses("pam", &f, JUSTALOCK_DENIED, "pam");
    refuses("job", &c, JUSTALOCK_DENIED, "job");
    refuses("both", &s, JUSTALOCK_DENIED, "both");
    refuses("another", &f, JUSTALOCK_DENIED, "another");
    takes("pam", &s);
}

static void without_a_configuration(void **state)
{
    struct work_facts f = job("main");
    struct config *c = rig.g.config;
    struct justalock_error err;
    bool needs_slurm = true;

    (void)state;
    rig.g.config = NULL;
    (void)snprintf(rig.g.config_error, sizeof(rig.g.config_error), "line 7");
    refuses("a", &f, JUSTALOCK_CONFIG, "line 7");
    assert_fails(locks_of_job(&rig.g, "", &f, &got, &err), JUSTALOCK_CONFIG,
                 err, "line 7");
    assert_false(locks_rules_apply(&rig.g, &f, &needs_slurm));
    assert_false(needs_slurm);
    rig.g.config = c;
}

static void users(void **state)
{
    struct work_facts f = job("main"), c = job("main");
    struct justalock_error err;

    (void)state;
    c.kind = WORK_COMMAND;
    rig_config("\"locks\": {\"few\": {\"users\": [\"1042\"]}, \"any\": {}}");
    assert_true(locks_have_users(&rig.g, "any,few", &f));
    assert_false(locks_have_users(&rig.g, "any", &f));
    assert_false(locks_have_users(&rig.g, ",", &f));
    assert_fails(locks_allowed(&rig.g, "any,few", &f, &err), JUSTALOCK_DENIED,
                 err, "few");
    f.uid = 1042;
    assert_ok(locks_allowed(&rig.g, "any,few", &f, &err), err);
    f.uid = 0;
    assert_ok(locks_allowed(&rig.g, "any,few", &f, &err), err);
    /* A user's command: only what is opened to users by name. */
    assert_fails(locks_allowed(&rig.g, "any", &c, &err), JUSTALOCK_DENIED, err,
                 "not opened to users");
    c.uid = 1042;
    assert_ok(locks_allowed(&rig.g, "few", &c, &err), err);
    c.uid = 0;
    assert_ok(locks_allowed(&rig.g, "any", &c, &err), err);
}

static void life_in_place_of_the_configured(void **state)
{
    struct work_facts c = job("main");
    struct justalock_error err;

    (void)state;
    c.kind = WORK_COMMAND;
    rig_config("\"locks\": {\"g\": {\"grace\": \"5s\", \"lifetime\": 30}}");
    takes("a", &c);
    assert_ok(locks_set_life(&got, 4, &err), err);
    assert_int_equal(got.v[0].times.life_s, 4);
    takes("a,g", &c);
    assert_fails(locks_set_life(&got, 5, &err), JUSTALOCK_ARG, err,
                 "lock \"g\"");
    takes("g", &c);
    assert_ok(locks_set_life(&got, 60, &err), err);
    assert_int_equal(got.v[0].times.grace_ms, 5000);
}

/* ---- rules ---- */

static void applies(const struct work_facts *f, bool apply, bool needs)
{
    bool needs_slurm = !needs;

    assert_int_equal(locks_rules_apply(&rig.g, f, &needs_slurm), apply);
    assert_int_equal(needs_slurm, needs);
}

static const char *option = "";

static void by_rule(const struct work_facts *f, size_t locks)
{
    struct justalock_error err;

    assert_ok(locks_of_job(&rig.g, option, f, &got, &err), err);
    assert_int_equal(got.len, locks);
}

static void rules_add_their_locks(void **state)
{
    struct work_facts f = job("main");

    (void)state;
    applies(&f, false, false);
    rig_config("\"slurm\": {\"rules\": ["
               "{\"partition\": \"io\", \"lock\": [\"scratch\", \"a\"]},"
               "{\"user\": [\"bob\", \"1000\"], \"account\": \"chem\","
               " \"lock\": \"chem\"},"
               "{\"reservation\": \"m\", \"name\": \"n\", \"lock\": \"m\"}]}");
    memcpy(f.job.reservation, "none", 5);
    memcpy(f.job.account, "phys", 5);
    applies(&f, false, false);
    by_rule(&f, 0);
    memcpy(f.job.partition, "io", 3);
    applies(&f, true, false);
    by_rule(&f, 2);
    option = "a,b";
    by_rule(&f, 3);                   /* a is both */
    memcpy(f.job.account, "chem", 5); /* by the number of the user */
    applies(&f, true, false);
    by_rule(&f, 4);
    f.uid = 1001;
    by_rule(&f, 3);
    memcpy(f.user, "bob", 4);
    by_rule(&f, 4);
    /* What is not known yet may match, and is asked for. */
    f.job.account[0] = '\0';
    applies(&f, true, true);
    by_rule(&f, 3); /* asked for, and Slurm says it has none */
    memcpy(f.job.partition, "main", 5);
    applies(&f, true, true);
    memcpy(f.user, "eve", 4); /* cannot match, whatever the account */
    applies(&f, false, false);
}

static void a_wrong_rule_says_where(void **state)
{
    struct work_facts f = job("io");
    struct justalock_error err;

    (void)state;
    rig_config("\"locks\": {\"p\": {\"for\": \"slurm\", \"users\": \"x\"}},"
               "\"slurm\": {\"rules\": [{\"partition\": \"io\","
               " \"lock\": \"h/%u\"}]}");
    f.user[0] = '\0';
    assert_fails(locks_of_job(&rig.g, "", &f, &got, &err), JUSTALOCK_ARG, err,
                 "the rule at ");
    assert_has(err.text, "conf.json:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(sorted_and_each_once),
        RIG_TEST(wrong_names),
        RIG_TEST(at_most_sixteen),
        RIG_TEST(not_too_long_together),
        RIG_TEST(singleton_is_of_user_and_name),
        RIG_TEST(templates),
        RIG_TEST(only_what_it_is_defined_for),
        RIG_TEST(without_a_configuration),
        RIG_TEST(users),
        RIG_TEST(life_in_place_of_the_configured),
        RIG_TEST(rules_add_their_locks),
        RIG_TEST(a_wrong_rule_says_where),
    };

    return RIG_RUN(tests);
}
