/* SPDX-License-Identifier: MIT */
/*
 * pam_loop.c - times open_session and close_session of several PAM stacks in
 * turn, each in a process of its own, as a login is.
 *
 *   pam_loop FOLDER USER ROUNDS SERVICE...
 *
 * Prints "SERVICE MEDIAN MIN MAX" in milliseconds, and "SERVICE-FIRST" with
 * the differences of the same round to the first service.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_appl.h>

#define ROUNDS_MAX   1000
#define SERVICES_MAX 8

static int converse(int n, const struct pam_message **m,
                    struct pam_response **ret, void *arg)
{
    (void)arg;
    for (int i = 0; i < n; i++)
        fprintf(stderr, "%s\n", m[i]->msg);
    *ret = calloc((size_t)n, sizeof(**ret));
    return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* In a child: ms of open and close together, to the pipe. */
static void session(const char *folder, const char *user, const char *service,
                    int to)
{
    struct pam_conv conv = {converse, NULL};
    pam_handle_t *h;
    double begin, ms;

    if (pam_start_confdir(service, user, &conv, folder, &h) != PAM_SUCCESS)
        _exit(1);
    begin = now_ms();
    if (pam_open_session(h, 0) != PAM_SUCCESS ||
        pam_close_session(h, 0) != PAM_SUCCESS)
        _exit(2);
    ms = now_ms() - begin;
    pam_end(h, PAM_SUCCESS);
    _exit(write(to, &ms, sizeof(ms)) == (ssize_t)sizeof(ms) ? 0 : 3);
}

static double once(const char *folder, const char *user, const char *service)
{
    int pipes[2];
    double ms = -1;
    pid_t pid;

    if (pipe(pipes) != 0)
        exit(1);
    pid = fork();
    if (pid == 0)
        session(folder, user, service, pipes[1]);
    close(pipes[1]);
    if (read(pipes[0], &ms, sizeof(ms)) != (ssize_t)sizeof(ms)) {
        fprintf(stderr, "pam_loop: %s failed\n", service);
        exit(1);
    }
    close(pipes[0]);
    waitpid(pid, NULL, 0);
    return ms;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print(const char *name, const char *suffix, double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_size);
    printf("%s%s %.3f %.3f %.3f\n", name, suffix, v[n / 2], v[0], v[n - 1]);
}

int main(int argc, char **argv)
{
    static double ms[SERVICES_MAX][ROUNDS_MAX];
    size_t services = argc > 4 ? (size_t)argc - 4 : 0;
    size_t rounds = argc > 4 ? strtoul(argv[3], NULL, 10) : 0;

    if (services == 0 || services > SERVICES_MAX || rounds == 0 ||
        rounds > ROUNDS_MAX)
        return 64;
    for (size_t r = 0; r < rounds; r++)
        for (size_t s = 0; s < services; s++)
            ms[s][r] = once(argv[1], argv[2], argv[4 + s]);
    for (size_t s = services; s-- > 1;) {
        static double diff[ROUNDS_MAX];

        for (size_t r = 0; r < rounds; r++)
            diff[r] = ms[s][r] - ms[0][r];
        print(argv[4 + s], "-first", diff, rounds);
    }
    for (size_t s = 0; s < services; s++)
        print(argv[4 + s], "", ms[s], rounds);
    return 0;
}
