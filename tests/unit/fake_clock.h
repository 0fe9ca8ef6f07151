/* SPDX-License-Identifier: MIT */
/*
 * fake_clock.h - the machine's clocks, moved by a test. Link with
 * -Wl,--wrap=clock_gettime (UNIT_LDFLAGS_test_X). Timers of the kernel go on
 * as they are.
 */
#ifndef TESTS_UNIT_FAKE_CLOCK_H
#define TESTS_UNIT_FAKE_CLOCK_H

#include <stdint.h>
#include <time.h>

int __real_clock_gettime(clockid_t which, struct timespec *ts);
int __wrap_clock_gettime(clockid_t which, struct timespec *ts);

static struct {
    int64_t gone_ms;   /* time that has gone by, awake */
    int64_t asleep_ms; /* and asleep: BOOTTIME only */
    int64_t slewed_ms; /* BOOTTIME and MONOTONIC are ahead by it; -: behind */
    int64_t wall_ms;   /* REALTIME was set */
} fake_clock;

int __wrap_clock_gettime(clockid_t which, struct timespec *ts)
{
    int64_t ms = fake_clock.gone_ms;
    int64_t ns;

    if (__real_clock_gettime(which, ts) != 0)
        return -1;
    if (which == CLOCK_BOOTTIME)
        ms += fake_clock.asleep_ms;
    if (which == CLOCK_BOOTTIME || which == CLOCK_MONOTONIC)
        ms += fake_clock.slewed_ms;
    if (which == CLOCK_REALTIME)
        ms += fake_clock.wall_ms;
    ns = (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec + ms * 1000000;
    ts->tv_sec = ns / 1000000000;
    ts->tv_nsec = ns % 1000000000;
    return 0;
}

#endif
