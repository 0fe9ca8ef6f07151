/* SPDX-License-Identifier: MIT */
/*
 * test_cli_main.c - the program itself: which words are subcommands, help and
 * versions, what it does without standard descriptors, and a stdout that
 * takes nothing. help.c has no more to it than the texts.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int justalock_main(int argc, char **argv);
#define main justalock_main
#include "../../modules/cli/main.c"
#undef main

#define ARGS 8

static char out[8192], said[4096];

static void take(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while ((n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    (void)close(fd);
}

/* The exit code; out and said are filled. `arrange` is called first in it. */
static int call(void (*arrange)(void), const char *line)
{
    char words[256], *argv[ARGS + 1] = {NULL}, *rest = words, *word;
    int pipes[2][2], status, argc = 0;
    pid_t pid;

    (void)snprintf(words, sizeof(words), "justalock %s", line);
    while (argc < ARGS && (word = strsep(&rest, " ")) != NULL)
        if (word[0] != '\0')
            argv[argc++] = word;
    assert_int_equal(pipe2(pipes[0], O_CLOEXEC), 0);
    assert_int_equal(pipe2(pipes[1], O_CLOEXEC), 0);
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        (void)dup2(pipes[0][1], 1);
        (void)dup2(pipes[1][1], 2);
        if (arrange != NULL)
            arrange();
        status = justalock_main(argc, argv);
        for (int fd = 0; fd < 3; fd++) /* none is free for what comes next */
            if (fcntl(fd, F_GETFD) < 0)
                _exit(99);
        _exit(status);
    }
    (void)close(pipes[0][1]);
    (void)close(pipes[1][1]);
    take(pipes[0][0], out, sizeof(out));
    take(pipes[1][0], said, sizeof(said));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void each_command_has_its_help(void **state)
{
    static const char *const general[] = {"--help", "-h", "help"};

    (void)state;
    for (size_t i = 0; i < LENGTH(general); i++) {
        assert_int_equal(call(NULL, general[i]), CLI_OK);
        assert_has(out, "usage: justalock COMMAND");
        assert_string_equal(said, "");
    }
    for (size_t i = 0; i < COMMANDS_LEN; i++) {
        char usage[64], line[64];

        (void)snprintf(usage, sizeof(usage), "usage: justalock %s ",
                       commands[i].name);
        (void)snprintf(line, sizeof(line), "  %s ", commands[i].name);
        assert_int_equal(call(NULL, "help"), CLI_OK);
        assert_has(out, line);
        for (int way = 0; way < 3; way++) {
            (void)snprintf(line, sizeof(line), "%s%s%s",
                           way == 0 ? "help " : "", commands[i].name,
                           way == 1   ? " --help"
                           : way == 2 ? " -h"
                                      : "");
            assert_int_equal(call(NULL, line), CLI_OK);
            assert_int_equal(strncmp(out, usage, strlen(usage)), 0);
        }
        (void)snprintf(line, sizeof(line), "%s -V", commands[i].name);
        assert_int_equal(call(NULL, line), CLI_OK);
        assert_string_equal(out, "justalock " JUSTALOCK_VERSION "\n");
    }
    assert_int_equal(call(NULL, "--version"), CLI_OK);
    assert_string_equal(out, "justalock " JUSTALOCK_VERSION "\n");
}

static void what_is_no_command(void **state)
{
    (void)state;
    assert_int_equal(call(NULL, ""), CLI_USAGE);
    assert_has(out, "usage: justalock COMMAND");
    assert_int_equal(call(NULL, "runs a true"), CLI_USAGE);
    assert_has(said, "there is no command \"runs\"");
    assert_string_equal(out, "");
    assert_int_equal(call(NULL, "help runs"), CLI_USAGE);
    assert_has(said, "there is no command \"runs\"");
    /* Only right after the command: the rest may be another program's. */
    assert_int_equal(call(NULL, "run -w x a true --help"), CLI_USAGE);
    assert_has(said, "-w: ");
    assert_string_equal(out, "");
}

/* ---- what it is started with ---- */

static void no_stdin(void)
{
    (void)close(0);
}

static void no_stdout(void)
{
    (void)close(1);
}

static void stderr_alone(void)
{
    (void)close(0);
    (void)close(1);
}

/* What is in their place does what none would, and a command has none. */
static void without_standard_descriptors(void **state)
{
    static void (*const all[])(void) = {no_stdin, no_stdout, stderr_alone};

    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++) {
        int expected = all[i] == no_stdin ? CLI_OK : CLI_LOCAL;

        assert_int_equal(call(all[i], "--version"), expected);
        if (expected != CLI_OK)
            assert_has(said, "cannot write the output");
    }
    {
        pid_t pid = fork();
        int status;
        char c;

        if (pid == 0) {
            for (int fd = 0; fd < 3; fd++)
                (void)close(fd);
            if (!hold_standard_descriptors())
                _exit(1);
            for (int fd = 0; fd < 3; fd++)
                if (fcntl(fd, F_GETFD) != FD_CLOEXEC)
                    _exit(2);
            _exit(read(0, &c, 1) == -1 && errno == EBADF &&
                          write(1, "", 1) == -1 && write(2, "", 1) == -1
                      ? 0
                      : 3);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void full(void)
{
    (void)dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), 1);
}

static void full_at_once(void)
{
    full();
    (void)setvbuf(stdout, NULL, _IONBF, 0);
}

/* At the end, or earlier: then the buffer is empty at the end. */
static void a_full_stdout(void **state)
{
    (void)state;
    assert_int_equal(call(full, "--help"), CLI_LOCAL);
    assert_has(said, "cannot write the output");
    assert_int_equal(call(full_at_once, "--help"), CLI_LOCAL);
    assert_has(said, "cannot write the output");
    assert_int_equal(call(full_at_once, "help runs"), CLI_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_has_its_help),
        cmocka_unit_test(what_is_no_command),
        cmocka_unit_test(without_standard_descriptors),
        cmocka_unit_test(a_full_stdout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
