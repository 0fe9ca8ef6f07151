/* SPDX-License-Identifier: MIT */
/*
 * test_agent_argv.c - the words with which the agent starts itself once more,
 * whether it knows them itself, and from which file it does so after an
 * upgrade. This program stands in for the agent: started by that name it says
 * its words.
 */
#include "copy_self.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../../modules/agent/agent.h"

static const struct agent_options plain = {.socket = "/s",
                                           .state = "/d",
                                           .keeper_user = "u",
                                           .listen_fd = -1,
                                           .nudge_fd = -1,
                                           .news_fd = -1};

static bool exec_fails; /* of /proc/self/exe */

int __real_execv(const char *path, char *const *argv);
int __wrap_execv(const char *path, char *const *argv);
int __wrap_execv(const char *path, char *const *argv)
{
    if (exec_fails && strcmp(path, "/proc/self/exe") == 0) {
        errno = ENOENT;
        return -1;
    }
    return __real_execv(path, argv);
}

static const char *joined(char *const *v)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (; *v != NULL; v++) {
        (void)snprintf(text + len, sizeof(text) - len, "%s%s",
                       len > 0 ? " " : "", *v);
        len = strlen(text);
    }
    return text;
}

/* ---- the words ---- */

static const char *words(const struct agent_options *o)
{
    static struct agent_argv argv;

    memset(&argv, 'x', sizeof(argv)); /* no NULL but its own */
    agent_argv(o, &argv);
    return joined(argv.v);
}

#define PLAIN "justalock-agent --socket /s --state /d --keeper-user u"

static void only_what_there_is(void **state)
{
    struct agent_options o = plain;

    (void)state;
    assert_string_equal(words(&o), PLAIN);
    o.config = "/c d"; /* a word of its own */
    assert_string_equal(words(&o), "justalock-agent --config /c d --socket /s "
                                   "--state /d --keeper-user u");
    o = plain;
    o.listen_fd = 0;
    assert_string_equal(words(&o), PLAIN " --internal-listen-fd 0");
    o = plain;
    o.is_debug = true;
    assert_string_equal(words(&o), PLAIN " --debug");
    o = plain;
    o.is_stand_in = true;
    assert_string_equal(words(&o), PLAIN " --internal-stand-in");
    o = plain;
    o.is_reload = true; /* is never handed on */
    assert_string_equal(words(&o), PLAIN);
}

/* What is the guard's is not a watch's, and the other way round. */
static void of_its_role_only(void **state)
{
    struct agent_options o = plain;

    (void)state;
    o.nudge_fd = 5;
    o.news_fd = 6;
    o.listen_fd = 4;
    assert_string_equal(words(&o), PLAIN " --internal-listen-fd 4");
    o.is_guard = true;
    assert_string_equal(words(&o),
                        PLAIN " --internal-listen-fd 4 --internal-nudge-fd 5 "
                              "--internal-news-fd 6 --internal-guard");
    o.is_stand_in = true;
    assert_string_equal(words(&o),
                        PLAIN " --internal-listen-fd 4 --internal-nudge-fd 5 "
                              "--internal-news-fd 6 --internal-guard");
    o.news_fd = -1;
    o.listen_fd = -1;
    assert_string_equal(words(&o),
                        PLAIN " --internal-nudge-fd 5 --internal-guard");
}

static struct agent_options most(void)
{
    struct agent_options o = plain;

    o.config = "/c";
    o.listen_fd = INT_MAX;
    o.nudge_fd = INT_MAX - 1;
    o.news_fd = INT_MAX - 2;
    o.is_guard = o.is_debug = o.is_stand_in = true;
    return o;
}

static void all_of_them_have_room(void **state)
{
    struct agent_options o = most();
    struct agent_argv argv;
    size_t n = 0;

    (void)state;
    agent_argv(&o, &argv);
    assert_string_equal(
        joined(argv.v),
        "justalock-agent --config /c --socket /s --state /d --keeper-user u "
        "--internal-listen-fd 2147483647 --internal-nudge-fd 2147483646 "
        "--internal-news-fd 2147483645 --internal-guard --debug");
    while (argv.v[n] != NULL)
        n++;
    assert_true(n < AGENT_ARGV_MAX);
    /* Two of them at once: the numbers are each one's own. */
    struct agent_argv other;

    o.listen_fd = 3;
    agent_argv(&o, &other);
    assert_string_equal(argv.v[10], "2147483647");
    assert_string_equal(other.v[10], "3");
}

/* ---- does it know them? ---- */

static char self[PATH_MAX / 2];

/* The exit status of `path` with these words, what it says in `said`. */
static char said[2048];

static int runs(const char *path, char *const *argv)
{
    int out[2];
    int status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 1);
        (void)dup2(out[1], 2);
        (void)__real_execv(path, argv);
        _exit(127);
    }
    (void)close(out[1]);
    while ((n = read(out[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    (void)close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void the_agent_knows_each(void **state)
{
    static char version[] = "--version", unknown[] = "--internal-none";
    struct agent_options o = most();
    struct agent_argv argv;
    char path[PATH_MAX];
    size_t n = 0;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s", self);
    for (int up = 0; up < 3; up++) /* B/tests/unit/ME */
        *strrchr(path, '/') = '\0';
    (void)snprintf(path + strlen(path), sizeof(path) - strlen(path),
                   "/bin/justalock-agent");
    for (int guard = 0; guard < 2; guard++) {
        o.is_guard = guard;
        agent_argv(&o, &argv);
        for (n = 0; argv.v[n] != NULL;)
            n++;
        /* They are read in their order: it comes to this one only when it has
         * taken all others. */
        argv.v[n] = version;
        argv.v[n + 1] = NULL;
        assert_int_equal(runs(path, argv.v), 0);
        assert_has(said, "justalock-agent ");
    }
    argv.v[n - 1] = unknown; /* so it would have said */
    assert_int_equal(runs(path, argv.v), 64);
}

/* ---- from which file ---- */

static void put_script(const char *name)
{
    FILE *f = fopen(in_scratch(name), "we");

    assert_non_null(f);
    assert_true(fputs("#!/bin/sh\necho the new one: $*\n", f) >= 0);
    assert_int_equal(fchmod(fileno(f), 0700), 0);
    assert_int_equal(fclose(f), 0);
}

static int stage(const char *path, const char *what)
{
    char me[] = "test_agent_argv", how[16];
    char *argv[] = {me, how, NULL};

    (void)snprintf(how, sizeof(how), "%s", what);
    return runs(path, argv);
}

static void it_runs_itself(void **state)
{
    (void)state;
    assert_int_equal(stage(self, "again"), 0);
    assert_string_equal(said, PLAIN " --debug\n");
}

/* The kernel has the old file as long as it runs. */
static void it_runs_itself_though_removed(void **state)
{
    const char *path = copy_self("removed");

    (void)state;
    assert_int_equal(stage(path, "remove"), 0);
    assert_string_equal(said, PLAIN " --debug\n");
    assert_int_equal(access(path, F_OK), -1);
}

static void else_what_has_replaced_it(void **state)
{
    const char *path = copy_self("replaced");

    (void)state;
    put_script("new");
    assert_int_equal(stage(path, "replace"), 0);
    assert_string_equal(said, "the new one: --socket /s --state /d "
                              "--keeper-user u --debug\n");
}

static void else_it_says_so(void **state)
{
    (void)state;
    assert_int_equal(stage(copy_self("gone"), "fail"), 9);
    /* Not removed: what /proc/self/exe says is the path as it is. */
    assert_int_equal(stage(copy_self("kept (deleted"), "kept"), 0);
    assert_string_equal(said, PLAIN " --debug\n");
}

/* What `stage` starts: be the agent that starts itself again. */
static int be_agent(const char *how)
{
    struct agent_options o = plain;
    struct agent_argv argv;
    char path[PATH_MAX];
    char fresh[PATH_MAX + 8];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (n <= 0)
        return 2;
    path[n] = '\0';
    o.is_debug = true;
    agent_argv(&o, &argv);
    exec_fails = strcmp(how, "again") != 0 && strcmp(how, "remove") != 0;
    if (exec_fails || strcmp(how, "remove") == 0) {
        if (strcmp(how, "kept") != 0 && unlink(path) != 0)
            return 3;
        *strrchr(path, '/') = '\0';
        (void)snprintf(fresh, sizeof(fresh), "%s/new", path);
        path[strlen(path)] = '/';
        if (strcmp(how, "replace") == 0 && rename(fresh, path) != 0)
            return 4;
    }
    agent_exec(&argv);
    return 9;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_there_is),
        cmocka_unit_test(of_its_role_only),
        cmocka_unit_test(all_of_them_have_room),
        cmocka_unit_test(the_agent_knows_each),
        cmocka_unit_test(it_runs_itself),
        cmocka_unit_test(it_runs_itself_though_removed),
        cmocka_unit_test(else_what_has_replaced_it),
        cmocka_unit_test(else_it_says_so),
    };
    ssize_t n;

    if (strcmp(argv[0], "justalock-agent") == 0)
        return puts(joined(argv)) >= 0 ? 0 : 1;
    if (argc == 2)
        return be_agent(argv[1]);
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return 1;
    self[n] = '\0';
    return cmocka_run_group_tests_name("agent_argv", tests, scratch_make,
                                       scratch_remove);
}
