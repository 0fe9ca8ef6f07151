/* SPDX-License-Identifier: MIT */
/*
 * test_cli_child.c - the command's process: it waits at its gate, starts in
 * time or not at all, with what it is to know in its environment and nothing
 * of ours, and its end becomes an exit code.
 */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../modules/cli/child.h"
#include "../../modules/cli/cli.h"

static struct signals signals;
static const struct terminal no_terminal = {.fd = -1};
static char out[8192];

static struct child_pass in_time(void)
{
    return (struct child_pass){.stop_at = clock_add(clock_now(), 60000)};
}

/* It is started, goes with this pass (NULL: it is dropped), and ends; what it
 * said on 1 and 2 is in out. Returns the wait's status. */
static int run(const char *script, const struct child_pass *pass)
{
    char sh[] = "sh", c[] = "-c", text[512];
    char *argv[] = {sh, c, text, NULL};
    struct child_how how = {.argv = argv,
                            .lock = "the lock",
                            .signals = &signals,
                            .terminal = &no_terminal};
    int keep[2] = {fcntl(1, F_DUPFD_CLOEXEC, 3), fcntl(2, F_DUPFD_CLOEXEC, 3)};
    int status = 0, fds[2];
    struct justalock_error err;
    struct child child;
    size_t len = 0;
    ssize_t n;

    (void)snprintf(text, sizeof(text), "%s", script);
    if (script[0] == '/')
        argv[0] = text, argv[1] = NULL;
    (void)fflush(stdout);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(dup2(fds[1], 1) == 1 && dup2(fds[1], 2) == 2);
    (void)close(fds[1]);
    assert_ok(child_start(&how, &child, &err), err);
    assert_true(dup2(keep[0], 1) == 1 && dup2(keep[1], 2) == 2);
    (void)close(keep[0]);
    (void)close(keep[1]);
    assert_int_equal(getpgid(child.pid), child.pid);
    if (pass)
        assert_ok(child_go(&child, pass, &err), err);
    else
        child_drop(&child);
    assert_int_equal(child.gate, -1);
    while ((n = read(fds[0], out + len, sizeof(out) - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    return status;
}

static int code(const char *script, const struct child_pass *pass)
{
    return child_code(run(script, pass));
}

static void what_it_knows(void **state)
{
    struct child_pass pass = in_time();
    static const char show[] = "env | grep ^JUSTALOCK_ | sort";

    (void)state;
    (void)setenv("JUSTALOCK_TOKEN", "of another", 1);
    (void)setenv("JUSTALOCK_SLOT", "of another", 1);
    (void)setenv("JUSTALOCK_ID", "of another", 1);
    assert_int_equal(code(show, &pass), 0);
    assert_string_equal(out, "JUSTALOCK_LOCK=the lock\n");
    pass.has_token = pass.has_slot = pass.has_id = true;
    pass.token = UINT64_MAX;
    pass.slot = 1023;
    (void)snprintf(pass.id, sizeof(pass.id), "ABEiM0RVZneImaq7zN3u_w");
    assert_int_equal(code(show, &pass), 0);
    assert_string_equal(out, "JUSTALOCK_ID=ABEiM0RVZneImaq7zN3u_w\n"
                             "JUSTALOCK_LOCK=the lock\n"
                             "JUSTALOCK_SLOT=1023\n"
                             "JUSTALOCK_TOKEN=18446744073709551615\n");
    assert_string_equal(getenv("JUSTALOCK_TOKEN"), "of another"); /* ours */
    (void)unsetenv("JUSTALOCK_TOKEN");
    (void)unsetenv("JUSTALOCK_SLOT");
    (void)unsetenv("JUSTALOCK_ID");
}

static void in_time_or_not_at_all(void **state)
{
    struct child_pass pass = in_time();

    (void)state;
    pass.stop_at = clock_now();
    assert_int_equal(code("echo ran", &pass), CLI_LOST);
    assert_has(out, "the lock was lost before sh began");
    assert_null(strstr(out, "ran\n"));
    pass.stop_at = clock_add(clock_now(), 20000);
    assert_int_equal(code("echo ran", &pass), 0);
    assert_string_equal(out, "ran\n");
}

/* The gate is closed without a word: nothing begins. */
static void dropped(void **state)
{
    (void)state;
    assert_int_equal(code("echo ran", NULL), CLI_LOCAL);
    assert_string_equal(out, "");
}

static void its_end(void **state)
{
    struct child_pass pass = in_time();

    (void)state;
    assert_int_equal(code("exit 0", &pass), 0);
    assert_int_equal(code("exit 77", &pass), 77);
    assert_int_equal(code("exit 255", &pass), 255);
    assert_int_equal(code("kill -KILL $$", &pass), 137);
    assert_int_equal(code("kill -TERM $$", &pass), 143);
    assert_int_equal(code("/none/at/all", &pass), CLI_NOT_FOUND);
    assert_has(out, "cannot run /none/at/all: No such file");
    assert_int_equal(code("/etc/passwd", &pass), CLI_NO_EXEC);
    assert_has(out, "cannot run /etc/passwd: Permission denied");
}

/* Its signals are those of before us, none of our descriptors are its. */
static void nothing_of_ours(void **state)
{
    struct child_pass pass = in_time();
    int open_ours = 0, open_its = 0;

    (void)state;
    assert_int_equal(
        code("grep -E '^Sig(Blk|Ign)' /proc/$$/status | tr -d '\\t'", &pass),
        0);
    assert_has(out, "SigBlk:0000000000000000\n");
    for (int fd = 3; fd < 256; fd++)
        open_ours += fcntl(fd, F_GETFD) == 0; /* inherited by us */
    /* Without a pipe, whose ends the shell may still have, and with a last
     * command that keeps ls from being the shell's process. */
    assert_int_equal(code("ls /proc/$$/fd; :", &pass), 0);
    for (const char *c = out; *c; c++)
        open_its += *c == '\n';
    assert_int_equal(open_its, 3 + open_ours);
}

static struct child start(bool dies_with_us, const char *place)
{
    static char name[] = "sleep", seconds[] = "1000";
    static char *argv[] = {name, seconds, NULL};
    const struct child_how how = {.argv = argv,
                                  .lock = "l",
                                  .signals = &signals,
                                  .terminal = &no_terminal,
                                  .place = place,
                                  .dies_with_us = dies_with_us};
    const struct child_pass pass = in_time();
    struct justalock_error err;
    struct child child;

    assert_ok(child_start(&how, &child, &err), err);
    assert_ok(child_go(&child, &pass, &err), err);
    return child;
}

/* Of a parent that dies: with it, or not. */
static void with_its_parent(void **state)
{
    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (int dies = 0; dies < 2; dies++) {
        struct child child = {0};
        int fds[2], status;
        pid_t parent;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        parent = fork();
        if (parent == 0) {
            child = start(dies, NULL);
            (void)!write(fds[1], &child, sizeof(child));
            (void)raise(SIGKILL);
        }
        (void)close(fds[1]);
        assert_int_equal(read(fds[0], &child, sizeof(child)), sizeof(child));
        (void)close(fds[0]);
        assert_int_equal(waitpid(parent, NULL, 0), parent);
        if (!dies) {
            assert_int_equal(waitpid(child.pid, &status, WNOHANG), 0);
            assert_int_equal(kill(child.pid, SIGTERM), 0);
        }
        assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
        if (dies) /* at once, or when it saw that it had no parent */
            assert_true(child_code(status) == 128 + SIGKILL ||
                        child_code(status) == CLI_LOCAL);
        else
            assert_int_equal(WTERMSIG(status), SIGTERM);
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* A place that is none is no reason not to start. */
static void a_place_that_is_none(void **state)
{
    static const char *const places[] = {"", "/none", "/etc", "/etc/passwd"};

    (void)state;
    for (size_t i = 0; i < LENGTH(places); i++) {
        struct child child = start(false, places[i]);
        int status;

        assert_int_equal(kill(-child.pid, SIGKILL), 0);
        assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
}

/* It was killed while it waited: that is said, and SIGPIPE harms nobody. */
static void killed_at_the_gate(void **state)
{
    char name[] = "true";
    char *argv[] = {name, NULL};
    const struct child_how how = {.argv = argv,
                                  .lock = "l",
                                  .signals = &signals,
                                  .terminal = &no_terminal};
    const struct child_pass pass = in_time();
    struct justalock_error err;
    struct child child;

    (void)state;
    assert_ok(child_start(&how, &child, &err), err);
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
    assert_fails(child_go(&child, &pass, &err), JUSTALOCK_SYS, err,
                 "cannot start the command");
    assert_int_equal(child.gate, -1);
    child_drop(&child); /* twice harms nobody */
}

static int up(void **state)
{
    struct justalock_error err;

    (void)state;
    return signals_open(&signals, &err) == JUSTALOCK_OK ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    while (signals_next(&signals) > 0)
        continue;
    signals_restore(&signals);
    return close(signals.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_knows),
        cmocka_unit_test(in_time_or_not_at_all),
        cmocka_unit_test(dropped),
        cmocka_unit_test(its_end),
        cmocka_unit_test(nothing_of_ours),
        cmocka_unit_test(with_its_parent),
        cmocka_unit_test(a_place_that_is_none),
        cmocka_unit_test(killed_at_the_gate),
    };

    return cmocka_run_group_tests(tests, up, down);
}
