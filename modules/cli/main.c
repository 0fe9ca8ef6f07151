/* SPDX-License-Identifier: MIT */
/*
 * main.c - the program justalock: finds the subcommand, prints help and
 * version. Each subcommand is a file of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", cmd_run},   {"id", cmd_id},           {"status", cmd_status},
    {"list", cmd_list}, {"release", cmd_release}, {"config", cmd_config},
};

#define COMMANDS_LEN (sizeof(commands) / sizeof(commands[0]))

static bool is_one_of(const char *arg, const char *a, const char *b)
{
    return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

/* "justalock COMMAND --help|--version"; only right after the command, so
 * that options of what `run` runs are never taken for ours. */
static int run_command(size_t which, int argc, char **argv)
{
    if (argc > 1 && is_one_of(argv[1], "--help", "-h"))
        return cli_help(commands[which].name);
    if (argc > 1 && is_one_of(argv[1], "--version", "-V")) {
        (void)printf("justalock %s\n", JUSTALOCK_VERSION);
        return CLI_OK;
    }
    return commands[which].run(argc, argv);
}

/*
 * Where the caller has none of 0, 1, 2, what we open next, a socket perhaps,
 * would be it, and be read, written or replaced as such. In its place stands
 * one that fails as none would (stdin cannot be read, stdout not be written)
 * and that ends at an exec: a command that we start has none, either.
 */
static bool hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", way | O_CLOEXEC) != fd) /* the lowest free */
            return false;
    }
    return true;
}

/* What stdout could not take is an error of the call, as for any filter. What
 * it refused earlier than at the end is not in the buffer any more. */
static int finish(int code)
{
    bool is_short = ferror(stdout) != 0;

    if ((fflush(stdout) != 0 || is_short) && code == CLI_OK) {
        cli_say("cannot write the output");
        return CLI_LOCAL;
    }
    return code;
}

int main(int argc, char **argv)
{
    if (!hold_standard_descriptors()) {
        cli_say("/dev/null: %s", strerror(errno)); /* where there is stderr */
        return CLI_LOCAL;
    }
    if (argc < 2) {
        (void)cli_help(NULL);
        return finish(CLI_USAGE);
    }
    if (is_one_of(argv[1], "--help", "-h"))
        return finish(cli_help(NULL));
    if (strcmp(argv[1], "help") == 0)
        return finish(cli_help(argc > 2 ? argv[2] : NULL));
    if (is_one_of(argv[1], "--version", "-V")) {
        (void)printf("justalock %s\n", JUSTALOCK_VERSION);
        return finish(CLI_OK);
    }
    for (size_t i = 0; i < COMMANDS_LEN; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return finish(run_command(i, argc - 1, argv + 1));
    return cli_usage("", "there is no command \"%s\"", argv[1]);
}
