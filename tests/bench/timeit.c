/* SPDX-License-Identifier: MIT */
/*
 * timeit.c - how long commands take, side by side: in each round every command
 * runs N times, one after the other in turn, so that what else the machine
 * does falls on all alike.
 *
 *   timeit ROUNDS N NAME COMMAND [ARG...] [, NAME COMMAND [ARG...]]...
 *
 * Prints per command: NAME median min max (milliseconds, of the rounds'
 * medians), then per command after the first: NAME/FIRST median min max of the
 * rounds' ratios FIRST:NAME. A command that fails ends it.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 8
#define ROUNDS_MAX   200
#define N_MAX        1000

static struct {
    const char *name;
    char **argv;
} commands[COMMANDS_MAX];
static size_t commands_len;
static double took[COMMANDS_MAX][N_MAX];
static double medians[COMMANDS_MAX][ROUNDS_MAX];

static double now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double run(char **argv)
{
    extern char **environ;
    double start = now_ms();
    posix_spawn_file_actions_t quiet;
    int status;
    pid_t pid;

    (void)posix_spawn_file_actions_init(&quiet);
    (void)posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
        (void)fprintf(stderr, "timeit: %s failed\n", argv[0]);
        exit(1);
    }
    (void)posix_spawn_file_actions_destroy(&quiet);
    return now_ms() - start;
}

static void summary(const char *name, const char *per, double *v, size_t len)
{
    qsort(v, len, sizeof(v[0]), by_value);
    printf("%s%s%s %.3f %.3f %.3f\n", name, *per ? "/" : "", per, v[len / 2],
           v[0], v[len - 1]);
}

static void parse(char **argv)
{
    size_t i;

    commands[0].name = argv[0];
    commands[0].argv = argv + 1;
    commands_len = 1;
    for (i = 1; argv[i]; i++) {
        if (strcmp(argv[i], ",") != 0 || !argv[i + 1] || !argv[i + 2] ||
            commands_len == COMMANDS_MAX)
            continue;
        argv[i] = NULL;
        commands[commands_len].name = argv[i + 1];
        commands[commands_len++].argv = argv + i + 2;
        i++;
    }
}

static void one_round(size_t round, size_t n)
{
    size_t i, c;

    for (i = 0; i < n; i++)
        for (c = 0; c < commands_len; c++)
            took[c][i] = run(commands[c].argv);
    for (c = 0; c < commands_len; c++) {
        qsort(took[c], n, sizeof(took[c][0]), by_value);
        medians[c][round] = took[c][n / 2];
    }
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 4 ? strtoul(argv[1], NULL, 10) : 0;
    size_t n = argc > 4 ? strtoul(argv[2], NULL, 10) : 0;
    static double ratios[COMMANDS_MAX][ROUNDS_MAX];
    size_t r, c;

    if (rounds < 1 || rounds > ROUNDS_MAX || n < 1 || n > N_MAX)
        return 64;
    parse(argv + 3);
    for (c = 0; c < commands_len; c++)
        (void)run(commands[c].argv); /* warm */
    for (r = 0; r < rounds; r++) {
        one_round(r, n);
        for (c = 1; c < commands_len; c++)
            ratios[c][r] = medians[0][r] / medians[c][r];
    }
    for (c = 0; c < commands_len; c++)
        summary(commands[c].name, "", medians[c], rounds);
    for (c = 1; c < commands_len; c++)
        summary(commands[0].name, commands[c].name, ratios[c], rounds);
    return 0;
}
