/* SPDX-License-Identifier: MIT */
/*
 * periodic.c - an example: a cleanup that only one machine does at a time,
 * run every day. The Python README's "Periodic Tasks".
 *
 *   periodic [URL [ROUNDS [MILLISECONDS_PER_PART]]]   for ever by default
 */
#include <justalock.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define A_DAY_MS (24L * 3600 * 1000)

static void sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000,
                          .tv_nsec = ms % 1000 * 1000 * 1000};

    (void)nanosleep(&ts, NULL);
}

static void say(const char *text)
{
    puts(text);
    (void)fflush(stdout);
}

/* One instance performs the cleanup across all servers; 1: it was this one. */
static int periodic_cleanup(struct justalock *lock, long part_ms)
{
    struct justalock_error err;
    enum justalock_status st = justalock_try(lock, &err);

    if (st == JUSTALOCK_HELD) {
        say("Another instance is performing cleanup");
        return 0;
    }
    if (st != JUSTALOCK_OK) {
        (void)fprintf(stderr, "periodic: %s\n", err.text);
        return 0;
    }
    say("Starting periodic cleanup...");
    sleep_ms(part_ms); /* clean up old files */
    if (justalock_is_held(lock))
        sleep_ms(part_ms); /* vacuum the database */
    st = justalock_release(lock, &err);
    if (st != JUSTALOCK_OK) {
        (void)fprintf(stderr, "periodic: %s\n", err.text);
        return st != JUSTALOCK_LOST;
    }
    say("Cleanup completed!");
    return 1;
}

static enum justalock_status make(const char *url, struct justalock **ret_lock,
                                  struct justalock_error *err)
{
    struct justalock_options *options = NULL;
    enum justalock_status st = justalock_options_new(&options, err);
    char label[JUSTALOCK_LABEL_MAX + 1];

    if (st == JUSTALOCK_OK && url)
        st = justalock_options_url(options, url, err);
    if (st == JUSTALOCK_OK)
        st = justalock_options_lifetime_s(options, 3600, err);
    /* Python's example names the process as client id. Here the client id
     * stays a secret of its own, and the label is what others may see. */
    (void)snprintf(label, sizeof(label), "cleanup-%ld", (long)getpid());
    if (st == JUSTALOCK_OK)
        st = justalock_options_label(options, label, err);
    if (st == JUSTALOCK_OK)
        st = justalock_new("daily-cleanup-lock", options, ret_lock, err);
    justalock_options_free(options);
    return st;
}

int main(int argc, char **argv)
{
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
    long part_ms = argc > 3 ? strtol(argv[3], NULL, 10) : 1000;
    struct justalock *lock = NULL;
    struct justalock_error err;

    if (make(argc > 1 ? argv[1] : NULL, &lock, &err) != JUSTALOCK_OK) {
        (void)fprintf(stderr, "periodic: %s\n", err.text);
        return 1;
    }
    while (rounds != 0) {
        (void)periodic_cleanup(lock, part_ms);
        if (rounds > 0)
            rounds--;
        if (rounds != 0)
            sleep_ms(argc > 3 ? part_ms : A_DAY_MS);
    }
    justalock_free(lock);
    return 0;
}
