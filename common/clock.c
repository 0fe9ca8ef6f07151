/* SPDX-License-Identifier: MIT */
/*
 * clock.c - the two clocks that leases are counted in, read and compared.
 * Makes no decision about a lease.
 */
#include "clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS 1000000
#define TRIES     16

/*
 * None of these clocks can fail on a kernel that we run on (BOOTTIME: 2.6.39,
 * RAW: 2.6.28). Were one to fail all the same, the time must not stand still
 * at an old value: INT64_MAX makes every deadline count as reached.
 */
static int64_t read_ns(clockid_t which)
{
    struct timespec ts;

    if (clock_gettime(which, &ts) != 0)
        return INT64_MAX;
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t to_ms(int64_t ns)
{
    return ns == INT64_MAX ? ns : ns / NS_PER_MS;
}

/*
 * BOOTTIME, and how long the machine has slept since it booted: BOOTTIME and
 * MONOTONIC are slewed alike and differ by just that. The two are not read at
 * once, so we read again if we were kept waiting in between for a
 * millisecond; were we each time, the last reading has to do.
 */
static int64_t read_boot_ns(int64_t *ret_asleep_ns)
{
    int64_t boot, before, after;

    for (int i = 0; i < TRIES; i++) {
        before = read_ns(CLOCK_MONOTONIC);
        boot = read_ns(CLOCK_BOOTTIME);
        after = read_ns(CLOCK_MONOTONIC);
        if (boot == INT64_MAX || after == INT64_MAX || before == INT64_MAX) {
            *ret_asleep_ns = 0;
            return boot;
        }
        /* Rather too little than too much: at t0 too much is dangerous, and
         * what comes later is read again. */
        *ret_asleep_ns = boot > after ? boot - after : 0;
        if (after - before < NS_PER_MS)
            break;
    }
    return boot;
}

/* Saturating: a deadline that is never reached stays so. */
static int64_t add_ms(int64_t a, int64_t b)
{
    int64_t sum;

    if (a == INT64_MAX)
        return a;
    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static int64_t sub_ms(int64_t a, int64_t b)
{
    int64_t diff;

    if (__builtin_sub_overflow(a, b, &diff))
        return b < 0 ? INT64_MAX : INT64_MIN;
    return diff;
}

static int64_t min_ms(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_ms(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct clock_time clock_now(void)
{
    int64_t asleep_ns = 0;
    int64_t boot_ns = read_boot_ns(&asleep_ns);
    int64_t raw_ns = read_ns(CLOCK_MONOTONIC_RAW);

    return (struct clock_time){
        .boot_ms = to_ms(boot_ns),
        .raw_ms = raw_ns == INT64_MAX ? raw_ns : to_ms(raw_ns + asleep_ns)};
}

struct clock_time clock_add(struct clock_time t, int64_t ms)
{
    return (struct clock_time){.boot_ms = add_ms(t.boot_ms, ms),
                               .raw_ms = add_ms(t.raw_ms, ms)};
}

int64_t clock_elapsed_ms(struct clock_time from, struct clock_time now)
{
    return max_ms(sub_ms(now.boot_ms, from.boot_ms),
                  sub_ms(now.raw_ms, from.raw_ms));
}

/* What is never reached on one clock is left to the other one. */
static int64_t left_ms(int64_t deadline, int64_t now)
{
    return deadline == INT64_MAX ? INT64_MAX : sub_ms(deadline, now);
}

int64_t clock_left_ms(struct clock_time deadline, struct clock_time now)
{
    return min_ms(left_ms(deadline.boot_ms, now.boot_ms),
                  left_ms(deadline.raw_ms, now.raw_ms));
}

struct clock_time clock_min(struct clock_time a, struct clock_time b)
{
    return (struct clock_time){.boot_ms = min_ms(a.boot_ms, b.boot_ms),
                               .raw_ms = min_ms(a.raw_ms, b.raw_ms)};
}

struct clock_time clock_never(void)
{
    return (struct clock_time){.boot_ms = INT64_MAX, .raw_ms = INT64_MAX};
}

bool clock_is_never(struct clock_time t)
{
    return t.boot_ms == INT64_MAX && t.raw_ms == INT64_MAX;
}

int64_t clock_raw_ms(void)
{
    return to_ms(read_ns(CLOCK_MONOTONIC_RAW));
}

int64_t clock_wall_s(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return 0;
    return ts.tv_sec;
}

void clock_boot_id(char ret_id[37])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    char text[37];
    ssize_t n;

    ret_id[0] = '\0';
    if (fd < 0)
        return;
    n = read(fd, text, sizeof(text));
    (void)close(fd); /* only read from */
    if (n < 36)
        return;
    memcpy(ret_id, text, 36);
    ret_id[36] = '\0';
}
