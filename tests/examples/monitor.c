/* SPDX-License-Identifier: MIT */
/*
 * monitor.c - an example: ten steps of work under a lock, given up as soon as
 * the lock is lost. The Python README's "Monitoring Lock Status".
 *
 *   monitor [URL [MILLISECONDS_PER_STEP]]
 *
 * Ends with 0 after the work, 1 without the lock, 2 if it was lost.
 */
#include <justalock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS 10

/* Work for one step. Returns 0 as soon as the lock is lost. */
static int work_step(struct justalock *lock, int step, int step_ms)
{
    struct pollfd lost = {.fd = justalock_fd(lock), .events = POLLIN};

    printf("Working... step %d/%d\n", step, STEPS);
    (void)fflush(stdout);
    /* A program with a loop of its own adds this descriptor to it. */
    (void)poll(&lost, 1, step_ms);
    return justalock_is_held(lock);
}

static void long_running_work(struct justalock *lock, void *arg)
{
    const int *step_ms = arg;
    int step;

    for (step = 1; step <= STEPS; step++)
        if (!work_step(lock, step, *step_ms))
            return;
}

int main(int argc, char **argv)
{
    int step_ms = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1000;
    struct justalock_options *options = NULL;
    struct justalock_error err = {.text = ""};
    enum justalock_status st;

    st = justalock_options_new(&options, &err);
    if (st == JUSTALOCK_OK && argc > 1)
        st = justalock_options_url(options, argv[1], &err);
    if (st == JUSTALOCK_OK)
        st = justalock_options_lifetime_s(options, 3, &err);
    if (st == JUSTALOCK_OK)
        st = justalock_with_name("monitored-lock", options, -1,
                                 long_running_work, &step_ms, &err);
    justalock_options_free(options);
    switch (st) {
    case JUSTALOCK_OK:
        puts("Work completed successfully!");
        return 0;
    case JUSTALOCK_LOST:
        puts("Lock was lost, stopping work!");
        return 2;
    default:
        (void)fprintf(stderr, "monitor: %s\n", err.text);
        return 1;
    }
}
