/* SPDX-License-Identifier: MIT */
/*
 * cov.c - linked into the programs of `make cov`. gcov writes what it counted
 * at exit, but most of our daemons are killed in the tests, and children end
 * by _exit: so it is written ten times a second, and there. Not by the keeper,
 * whose jail allows no files and no threads.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);
void __real__exit(int code) __attribute__((noreturn));
void __wrap__exit(int code) __attribute__((noreturn));

static int is_keeper(void)
{
    return strncmp(program_invocation_short_name, "justalock-keep", 14) == 0;
}

void __wrap__exit(int code)
{
    if (!is_keeper())
        __gcov_dump();
    __real__exit(code);
}

static void *write_on(void *arg)
{
    (void)arg;
    for (;;) {
        (void)usleep(100000);
        __gcov_dump();
        __gcov_reset();
    }
    return NULL;
}

/* The daemons: no thread where a program makes up its own mind about forks. */
static void __attribute__((constructor)) begin(void)
{
    const char *name = program_invocation_short_name;
    pthread_t thread;
    sigset_t all, before;

    if (strcmp(name, "justalock-agent") != 0 &&
        strncmp(name, "justalock-guard", 15) != 0 &&
        strcmp(name, "justalock-server") != 0)
        return;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_create(&thread, NULL, write_on, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}
