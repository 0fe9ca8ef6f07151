/* SPDX-License-Identifier: MIT */
/*
 * test_clock.c - clock.c: what a pair of clocks says of time gone by and time
 * left, in suspend and under slewing; readings from a faked clock_gettime.
 */
#include <errno.h>
#include <time.h>

#include "clock.h"
#include "test.h"

int __real_clock_gettime(clockid_t which, struct timespec *ts);
int __wrap_clock_gettime(clockid_t which, struct timespec *ts);

static clockid_t failing_clock = -1;
static int64_t asleep_ns; /* more than the machine has slept */
static int64_t slewed_ns; /* BOOTTIME and MONOTONIC are behind by this */
static int held_up;       /* readings of BOOTTIME after which we wait */
static int64_t waited_ns;

int __wrap_clock_gettime(clockid_t which, struct timespec *ts)
{
    int64_t ns;

    if (which == failing_clock) {
        errno = EINVAL;
        return -1;
    }
    if (__real_clock_gettime(which, ts) != 0)
        return -1;
    ns = ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec + waited_ns;
    if (which == CLOCK_BOOTTIME)
        ns += asleep_ns - slewed_ns;
    if (which == CLOCK_MONOTONIC)
        ns -= slewed_ns;
    ts->tv_sec = ns / 1000000000;
    ts->tv_nsec = ns % 1000000000;
    if (which == CLOCK_BOOTTIME && held_up > 0) {
        held_up--;
        waited_ns += 3000000000;
    }
    return 0;
}

static struct clock_time at(int64_t boot_ms, int64_t raw_ms)
{
    return (struct clock_time){.boot_ms = boot_ms, .raw_ms = raw_ms};
}

static void test_now(void **state)
{
    struct timespec boot, raw;
    struct clock_time now;

    (void)state;
    assert_int_equal(__real_clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    assert_int_equal(__real_clock_gettime(CLOCK_MONOTONIC_RAW, &raw), 0);
    now = clock_now();
    assert_in_range(now.boot_ms - boot.tv_sec * 1000 - boot.tv_nsec / 1000000,
                    0, 5000);
    assert_in_range(now.raw_ms - raw.tv_sec * 1000 - raw.tv_nsec / 1000000, 0,
                    5000);
    assert_in_range(clock_raw_ms() - now.raw_ms, 0, 5000);
    assert_in_range(clock_wall_s() - time(NULL) + 10, 0, 20);
}

static void test_add(void **state)
{
    struct clock_time t = clock_add(at(1000, 500), 250);

    (void)state;
    assert_int_equal(t.boot_ms, 1250);
    assert_int_equal(t.raw_ms, 750);
    t = clock_add(t, -300);
    assert_int_equal(t.boot_ms, 950);
    assert_int_equal(t.raw_ms, 450);
    t = clock_add(at(INT64_MAX - 5, 0), 6);
    assert_int_equal(t.boot_ms, INT64_MAX);
    assert_int_equal(t.raw_ms, 6);
    t = clock_add(at(INT64_MIN + 5, 0), -6);
    assert_int_equal(t.boot_ms, INT64_MIN);
}

static void test_elapsed(void **state)
{
    (void)state;
    assert_int_equal(clock_elapsed_ms(at(100, 50), at(160, 110)), 60);
    /* A suspend: RAW stood still. */
    assert_int_equal(clock_elapsed_ms(at(100, 50), at(9100, 60)), 9000);
    /* BOOTTIME slewed slow. */
    assert_int_equal(clock_elapsed_ms(at(0, 0), at(55000, 60000)), 60000);
    assert_int_equal(clock_elapsed_ms(at(INT64_MIN, 0), at(INT64_MAX, 0)),
                     INT64_MAX);
}

static void test_left(void **state)
{
    (void)state;
    assert_int_equal(clock_left_ms(at(100, 50), at(40, 30)), 20);
    assert_int_equal(clock_left_ms(at(100, 50), at(90, 30)), 10);
    assert_int_equal(clock_left_ms(at(100, 50), at(100, 30)), 0);
    assert_int_equal(clock_left_ms(at(100, 50), at(40, 51)), -1);
    assert_int_equal(clock_left_ms(at(INT64_MIN, 0), at(INT64_MAX, 0)),
                     INT64_MIN);
}

static void test_min(void **state)
{
    struct clock_time t = clock_min(at(10, 90), at(20, 80));

    (void)state;
    assert_int_equal(t.boot_ms, 10);
    assert_int_equal(t.raw_ms, 80);
    t = clock_min(clock_never(), at(20, 80));
    assert_int_equal(t.boot_ms, 20);
    assert_int_equal(t.raw_ms, 80);
}

static void test_never(void **state)
{
    struct clock_time never = clock_never();

    (void)state;
    assert_true(clock_is_never(never));
    assert_false(clock_is_never(at(INT64_MAX, 0)));
    assert_false(clock_is_never(at(0, INT64_MAX)));
    assert_true(clock_is_never(clock_add(never, 1000)));
    assert_true(clock_is_never(clock_add(never, -1000)));
    assert_int_equal(clock_left_ms(never, clock_now()), INT64_MAX);
    /* Never on one clock: the other one decides. */
    assert_int_equal(clock_left_ms(at(INT64_MAX, 70), at(0, 0)), 70);
}

/* A clock that cannot be read shortens a lease, never prolongs it. */
static void test_unreadable(void **state)
{
    struct clock_time before = clock_now();
    struct clock_time deadline = clock_add(before, 60000);

    (void)state;
    failing_clock = CLOCK_BOOTTIME;
    assert_true(clock_left_ms(deadline, clock_now()) <= 0);
    assert_true(clock_elapsed_ms(before, clock_now()) > 60000);
    /* A deadline that was made without it goes by the other clock. */
    deadline = clock_add(clock_now(), 60000);
    assert_in_range(clock_left_ms(deadline, clock_now()), 55000, 60000);
    failing_clock = CLOCK_MONOTONIC_RAW;
    assert_int_equal(clock_raw_ms(), INT64_MAX);
    failing_clock = CLOCK_REALTIME;
    assert_int_equal(clock_wall_s(), 0);
    failing_clock = -1;
}

/* Asleep for a part, slewed for another: no clock of the two says it all. */
static void test_asleep_and_slewed(void **state)
{
    struct clock_time before = clock_now();

    (void)state;
    asleep_ns = INT64_C(30000000000);
    slewed_ns = INT64_C(2000000000);
    assert_in_range(clock_elapsed_ms(before, clock_now()), 30000, 35000);
    assert_in_range(clock_now().boot_ms - before.boot_ms, 28000, 29999);
    assert_in_range(clock_now().raw_ms - before.raw_ms, 30000, 35000);
    asleep_ns = slewed_ns = 0;
}

/* Kept waiting between two readings: that is no sleep, and is not counted
 * twice nor left out. */
static void test_held_up(void **state)
{
    struct clock_time before = clock_now();

    (void)state;
    held_up = 3;
    assert_in_range(clock_elapsed_ms(before, clock_now()), 9000, 11000);
    held_up = 1000; /* each time: it ends all the same */
    waited_ns = 0;
    assert_in_range(clock_elapsed_ms(before, clock_now()), 45000, 50000);
    held_up = 0;
    waited_ns = 0;
}

static void test_boot_id(void **state)
{
    char id[38], again[37];

    (void)state;
    memset(id, 'x', sizeof(id));
    clock_boot_id(id);
    assert_int_equal(id[37], 'x');
    assert_int_equal(strlen(id), 36);
    assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
    clock_boot_id(again);
    assert_string_equal(id, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_elapsed),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_min),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_asleep_and_slewed),
        cmocka_unit_test(test_held_up),
        cmocka_unit_test(test_boot_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
